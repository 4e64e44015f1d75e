//! `kubectl ovncilium`, and by the name it is called with the Helm post-renderer: one binary, one core.

mod cli;
mod commands;
mod failure;
mod input;
mod ui;

use std::process::ExitCode;

/// `x` to the power of `y`, in place of the C library's: tokio's statistics want this one function, and for it every process would load
/// `libm.so.6` (docs/adr/0012-what-a-post-render-waits-for.md).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the name is the C library's, and so is what it does")]
#[unsafe(no_mangle)]
extern "C" fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let code = match cli::parse(arguments) {
        Ok(command) => commands::run(command),
        Err(stopped) => stopped.show(),
    };
    ExitCode::from(code as u8)
}
