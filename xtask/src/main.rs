//! Chores of the repository: `cargo xtask policies [--check]`, `cargo xtask gen [--check]`, `cargo xtask schemas`,
//! `cargo xtask e2e <scenario>`.

mod policies;
mod reference;
mod run;
mod schemas;

use std::process::ExitCode;

use run::ChoreError;

const USAGE: &str = "\
usage: cargo xtask <chore>
  policies          build the policy modules into policies/dist, with digests
  policies --check  build them elsewhere and compare byte for byte
  gen               write docs/reference from the program's help and its exit codes
  gen --check       compare it with what would be written
  schemas           fetch the schemas of JUnit and SARIF and hold our reports to them (wants python3 with pip)
  e2e <scenario>    run an end-to-end scenario: the same as cargo run -p ovncilium-e2e -- <scenario>";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["policies"] => policies::build(),
        ["policies", "--check"] => policies::check(),
        ["gen"] => reference::build(),
        ["gen", "--check"] => reference::check(),
        ["schemas"] => schemas::check(),
        ["e2e", rest @ ..] => run::cargo(&[&["run", "-p", "ovncilium-e2e", "--"], rest].concat(), &[]),
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
