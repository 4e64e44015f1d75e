//! Running tools and saying what happens: the only place of this crate that starts processes or prints.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A chore that did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChoreError {
    #[error("{usage}")]
    Usage { usage: &'static str },
    #[error("`{command}` could not be started: {error}")]
    Start { command: String, error: std::io::Error },
    #[error("`{command}` failed")]
    Failed { command: String },
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("{id}: its module cannot be made a component: {error}")]
    Component { id: String, error: String },
    #[error("{0}")]
    Differs(String),
    #[error("{what} cannot be read: {error}")]
    Read { what: String, error: String },
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// One line on stderr.
pub(crate) fn say(line: &str) {
    // Nobody is left to be told when stderr is gone.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The cargo that runs us.
pub(crate) fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Runs cargo in the repository's root with its output shown.
pub(crate) fn cargo(arguments: &[&str], environment: &[(&str, String)]) -> Result<(), ChoreError> {
    run(&cargo_program(), arguments, environment)
}

/// Runs a program in the repository's root with its output shown.
pub(crate) fn run(program: &str, arguments: &[&str], environment: &[(&str, String)]) -> Result<(), ChoreError> {
    let told = format!("{program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(root())
        .status()
        .map_err(|error| ChoreError::Start { command: told.clone(), error })?;
    if status.success() { Ok(()) } else { Err(ChoreError::Failed { command: told }) }
}

/// Builds a program of the workspace and runs it in the repository's root. With the features of the whole workspace, as the tests build
/// it: with `--package` cargo would choose fewer, and build much of it anew.
pub(crate) fn built(name: &str, arguments: &[&str]) -> Result<(), ChoreError> {
    cargo(&["build", "--quiet", "--workspace", "--locked", "--bin", name], &[])?;
    // Beside this program, wherever cargo was told to put it.
    let own = std::env::current_exe().map_err(|error| ChoreError::Start { command: name.to_owned(), error })?;
    run(&own.with_file_name(name).to_string_lossy(), arguments, &[])
}

/// What a program says on stdout, trimmed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String, ChoreError> {
    let told = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .map_err(|error| ChoreError::Start { command: told.clone(), error })?;
    if !output.status.success() {
        return Err(ChoreError::Failed { command: told });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
