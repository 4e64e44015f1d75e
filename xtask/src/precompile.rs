//! Compiles the policy modules of policies/dist ahead of time, for a release that brings their code along.

use crate::run::{ChoreError, cargo, output, say};

const FOLDER: &str = "target/precompiled";

/// Fills `target/precompiled` with code for `target`, else for this machine's kind.
pub(crate) fn build(target: Option<&str>) -> Result<(), ChoreError> {
    let own = output("rustc", &["-vV"])?;
    let own = own.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let target = target.unwrap_or(own);
    let arguments =
        ["run", "--quiet", "--locked", "-p", "ovncilium-policy-host", "--example", "precompile", "--", target, FOLDER];
    // The program that makes the code needs none itself.
    cargo(&arguments, &[("OVNCILIUM_PRECOMPILED", String::new())])?;
    say(&format!("precompile: {FOLDER} holds code for {target}; build with OVNCILIUM_PRECOMPILED=$PWD/{FOLDER}"));
    Ok(())
}
