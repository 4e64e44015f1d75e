//! One file per command. Each returns its exit code or its failure; [`run`] is where both become the process's end.

mod check;
mod explain;
mod lint;
mod migrate;
mod plan;
mod post_render;
mod rehearse;
mod replace_kube_proxy;
mod rollback;
mod snapshot;
mod status;
mod values;
mod verify;

use ovncilium_core::policy::ModuleRun;
use ovncilium_core::report::RuleText;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_helm_plugin::{Environment, other_version, refuse};
use ovncilium_policy_host::Catalog;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::input::files;

/// Run one command.
pub fn run(cli: Cli) -> ExitCode {
    let connection = &cli.connection;
    if let Some(code) = behind_another_plugin(&cli.command) {
        return code;
    }
    let result = match &cli.command {
        Command::Check(args) => check::run(args, connection),
        Command::Snapshot(args) => snapshot::run(args, connection),
        Command::Plan(args) => plan::run(args, connection),
        Command::Migrate(args) if args.rehearse => rehearse::run(args),
        Command::Migrate(args) => migrate::run(args, connection),
        Command::Status(args) => status::run(args, connection),
        Command::Verify(args) => verify::run(args, connection),
        Command::ReplaceKubeProxy(args) => replace_kube_proxy::run(args, connection),
        Command::Rollback(args) => rollback::run(args, connection),
        Command::PostRender(args) => Ok(post_render::run(args, connection)),
        Command::Values(args) => values::run(args, connection),
        Command::Lint(args) => lint::run(args, connection),
        Command::Explain(args) => explain::run(args),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.show(),
    }
}

/// Refuses to be the program of a Helm plugin of another version.
fn behind_another_plugin(command: &Command) -> Option<ExitCode> {
    // Looking at the calling helm costs something; most calls come from no plugin.
    std::env::var_os("HELM_PLUGIN_NAME")?;
    let environment = Environment::current();
    let read = |path: &std::path::Path| files::read_text(path).ok();
    let trouble = other_version(env!("CARGO_PKG_VERSION"), &environment, read)?;
    Some(match command {
        Command::PostRender(args) => {
            let headline = "plugin and program are of two versions";
            refuse(headline, &trouble, args.report.as_deref(), &environment, &mut std::io::stderr().lock())
        }
        _ => Failure::new(trouble.exit, trouble.message, NextStep::Edit(trouble.next)).show(),
    })
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

/// What the modules that ran say of their rules.
fn rules(catalog: &Catalog, modules: &[ModuleRun]) -> Vec<RuleText> {
    let ran = |id: &str| modules.iter().any(|module| module.policy.as_str() == id);
    let described = catalog.describe().into_iter().flatten().filter(|module| ran(&module.id));
    described
        .flat_map(|module| {
            let page = explain::page(&module.id);
            module.rules.into_iter().map(move |rule| RuleText {
                id: format!("{}/{}", module.id, rule.id),
                title: rule.title,
                help: rule.help,
                page: page.map(str::to_owned),
            })
        })
        .collect()
}
