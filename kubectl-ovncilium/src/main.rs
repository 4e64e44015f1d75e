//! `kubectl ovncilium`, and by the name it is called with the Helm post-renderer: one binary, one core.

mod cli;
mod commands;
mod failure;
mod input;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let code = match cli::parse(arguments) {
        Ok(command) => commands::run(command),
        Err(stopped) => stopped.show(),
    };
    ExitCode::from(code as u8)
}
