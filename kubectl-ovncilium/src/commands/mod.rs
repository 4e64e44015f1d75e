//! One file per command. Each returns its exit code or its failure; [`run`] is where both become the process's end.

mod check;
mod explain;
mod lint;
mod migrate;
mod plan;
mod post_render;
mod rehearse;
mod rollback;
mod snapshot;
mod status;

use ovncilium_core::ExitCode;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

/// Run one command.
pub fn run(cli: Cli) -> ExitCode {
    let connection = &cli.connection;
    let result = match &cli.command {
        Command::Check(args) => check::run(args, connection),
        Command::Snapshot(args) => snapshot::run(args, connection),
        Command::Plan(args) => plan::run(args, connection),
        Command::Migrate(args) if args.rehearse => rehearse::run(args),
        Command::Migrate(args) => migrate::run(args, connection),
        Command::Status(args) => status::run(args, connection),
        Command::Rollback(args) => rollback::run(args, connection),
        Command::PostRender(args) => Ok(post_render::run(args, connection)),
        Command::Lint(args) => lint::run(args, connection),
        Command::Explain(args) => explain::run(args),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.show(),
    }
}

/// JSON for stdout.
///
/// # Errors
/// Never for our own reports.
fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::of(ExitCode::Internal, &error, None))
}
