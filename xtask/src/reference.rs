//! Generates docs/reference: what the binary's own help says, the exit codes, the version tables. `--check` holds that they are
//! current.

use std::fs;
use std::process::{Command, Stdio};

use ovncilium_core::ExitCode;

use crate::run::{ChoreError, cargo_program, root, say};

const FOLDER: &str = "docs/reference";
const NOTE: &str = "<!-- Written by `cargo xtask gen`: change the sources, not this file. -->\n\n";
/// Heading of the flags that every command has.
const COMMON: &str = "Cluster (as kubectl):";

/// Writes every page.
pub(crate) fn build() -> Result<(), ChoreError> {
    let folder = root().join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| ChoreError::File { path: folder.clone(), error })?;
    for (name, text) in pages()? {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| ChoreError::File { path, error })?;
    }
    say(&format!("gen: {FOLDER} is written"));
    Ok(())
}

/// Compares every page with what would be written.
pub(crate) fn check() -> Result<(), ChoreError> {
    let mut different = Vec::new();
    for (name, text) in pages()? {
        match fs::read_to_string(root().join(FOLDER).join(name)) {
            Ok(found) if found == text => {}
            Ok(found) => {
                let line = text.lines().zip(found.lines()).position(|(ours, theirs)| ours != theirs);
                let line = line.unwrap_or_else(|| text.lines().count().min(found.lines().count())) + 1;
                different.push(format!("{FOLDER}/{name} is not current from line {line} on"));
            }
            Err(error) => different.push(format!("{FOLDER}/{name}: {error}")),
        }
    }
    if different.is_empty() {
        say(&format!("gen: {FOLDER} is what the program says"));
        return Ok(());
    }
    different.push("run `cargo xtask gen` and commit docs/reference".to_owned());
    Err(ChoreError::Differs(different.join("\n")))
}

/// File names and texts.
fn pages() -> Result<[(&'static str, String); 3], ChoreError> {
    Ok([
        ("cli.md", command_line()?),
        ("exit-codes.md", exit_codes()),
        ("versions.md", format!("# Versions\n\n{NOTE}{}", crate::versions::page())),
    ])
}

fn command_line() -> Result<String, ChoreError> {
    let top = help(&[])?;
    let (overview, common) = take_common(&top);
    let mut page =
        format!("# Command line\n\n{NOTE}What `--help` says. [Exit codes](exit-codes.md).\n\n{}", fenced(&overview));
    for command in commands(&top)? {
        let (own, _) = take_common(&help(&[&command])?);
        page.push_str(&format!("\n## `{command}`\n\n{}", fenced(&own)));
    }
    page.push_str(&format!(
        "\n## Flags of every command\n\nThey come after the command, as kubectl wants it.\n\n{}",
        fenced(&common)
    ));
    Ok(page)
}

fn exit_codes() -> String {
    let mut page = format!(
        "# Exit codes\n\n{NOTE}Frozen: scripts may rely on them. What to do about each: [the runbook](../runbook.md#exit-codes).\n\n"
    );
    page.push_str("| code | meaning |\n|---|---|\n");
    for code in ExitCode::ALL {
        page.push_str(&format!("| {} | {} |\n", code as u8, code.meaning()));
    }
    page
}

/// Help of a command, the same on every machine: no terminal, a fixed width, nothing of the environment.
fn help(words: &[&str]) -> Result<String, ChoreError> {
    let arguments = [&["run", "--quiet", "--package", "kubectl-ovncilium", "--"], words, &["--help"]].concat();
    let told = format!("cargo {}", arguments.join(" "));
    let output = Command::new(cargo_program())
        .args(&arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("OVNCILIUM_CONFIG")
        .output()
        .map_err(|error| ChoreError::Start { command: told.clone(), error })?;
    if !output.status.success() {
        return Err(ChoreError::Failed { command: told });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// Names under `Commands:`.
fn commands(top: &str) -> Result<Vec<String>, ChoreError> {
    let list = top.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let names: Vec<String> = list
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        let error = "it lists no commands".to_owned();
        return Err(ChoreError::Read { what: "the help of the program".to_owned(), error });
    }
    Ok(names)
}

/// A help text without the flags of every command, and these.
fn take_common(help: &str) -> (String, String) {
    let (mut own, mut common, mut inside) = (Vec::new(), Vec::new(), false);
    for line in help.lines() {
        let is_heading = !line.is_empty() && !line.starts_with(' ');
        inside = line == COMMON || (inside && !is_heading);
        if inside { common.push(line) } else { own.push(line) }
    }
    (own.join("\n").trim_end().to_owned(), common.join("\n").trim_end().to_owned())
}

fn fenced(text: &str) -> String {
    format!("```text\n{text}\n```\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "About.\n\nUsage: x\n\nCommands:\n  check  Judge\n         more\n  help   Print\n\nOptions:\n  -h\n\nCluster (as kubectl):\n      --context\n\n          Which\n\nCilium:\n      --chart";

    #[test]
    fn commands_are_those_of_the_list_without_help() {
        assert_eq!(commands(HELP).unwrap(), ["check"]);
        assert!(commands("Usage: x").is_err());
    }

    #[test]
    fn flags_of_every_command_are_taken_out_of_the_middle() {
        let (own, common) = take_common(HELP);
        assert!(own.ends_with("Options:\n  -h\n\nCilium:\n      --chart"), "{own}");
        assert_eq!(common, "Cluster (as kubectl):\n      --context\n\n          Which");
    }
}
