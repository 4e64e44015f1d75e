//! Chores of the repository: `cargo xtask policies [--check]`, `cargo xtask precompile`, `cargo xtask gen [--check]`,
//! `cargo xtask schemas`, `cargo xtask dist`, `cargo xtask e2e <scenario>`.

mod dist;
mod policies;
mod precompile;
mod reference;
mod run;
mod schemas;
mod versions;

use std::path::Path;
use std::process::ExitCode;

use run::ChoreError;

const USAGE: &str = "\
usage: cargo xtask <chore>
  policies          build the policy modules into policies/dist, with digests
  policies --check  build them elsewhere and compare byte for byte
  precompile [TARGET]
                    compile the modules for a release: OVNCILIUM_PRECOMPILED=target/precompiled cargo build --release
  gen               write docs/reference from the program's help and its exit codes
  gen --check       compare it with what would be written
  dist [--binary FILE] [--out DIR]
                    make the archives for krew and Helm, of a release build or of FILE, in target/dist or DIR
  schemas           fetch the schemas of JUnit and SARIF and hold our reports to them (wants python3 with pip)
  e2e <scenario>    build ovncilium-e2e and run an end-to-end scenario";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["policies"] => policies::build(),
        ["policies", "--check"] => policies::check(),
        ["precompile"] => precompile::build(None),
        ["precompile", target] => precompile::build(Some(target)),
        ["gen"] => reference::build(),
        ["gen", "--check"] => reference::check(),
        ["dist", rest @ ..] => dist(rest),
        ["schemas"] => schemas::check(),
        ["e2e", rest @ ..] => run::built("ovncilium-e2e", rest),
        _ => Err(ChoreError::Usage { usage: USAGE }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn dist(arguments: &[&str]) -> Result<(), ChoreError> {
    let (mut binary, mut out) = (None, None);
    for pair in arguments.chunks(2) {
        match pair {
            ["--binary", file] => binary = Some(Path::new(*file)),
            ["--out", dir] => out = Some(Path::new(*dir)),
            _ => return Err(ChoreError::Usage { usage: USAGE }),
        }
    }
    dist::build(binary, out)
}
