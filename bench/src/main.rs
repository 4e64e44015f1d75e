//! `ovncilium-bench`: measures a release binary from outside, as people call it, beside its peers. Never run by tests.

mod input;
mod instructions;
mod machine;
mod measure;
mod options;
mod peers;
mod rows;
mod table;
mod verdicts;

use std::io::Write as _;
use std::process::ExitCode;

use options::{Job, Options, USAGE};

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        say(USAGE);
        return ExitCode::from(2);
    };
    let result = match &options.job {
        Job::Table { .. } => rows::table(&options),
        Job::Count { check } => rows::count(&options, *check),
        Job::Snapshot { file } => rows::snapshot(options.nodes, file),
    };
    let mut out = std::io::stdout();
    // Nobody is left to be told when the reader has gone.
    match &result {
        Ok(text) => drop(out.write_all(text.as_bytes())),
        Err(why) => say(why),
    }
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line for whoever waits.
fn say(text: &str) {
    // Nobody is left to be told when the reader has gone.
    drop(writeln!(std::io::stderr(), "{text}"));
}
