//! `ovncilium-e2e SCENARIO...`: plays scenarios on a real control plane. Called by `cargo xtask e2e`.

use std::{env, io, process::ExitCode};

use ovncilium_e2e::cli::{self, Outcome};

fn main() -> ExitCode {
    let names: Vec<_> = env::args().skip(1).collect();
    match cli::run(&names, &mut io::stdout(), &mut io::stderr()) {
        Outcome::Passed => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::from(1),
        Outcome::Usage => ExitCode::from(2),
        Outcome::Code(code) => ExitCode::from(code),
    }
}
