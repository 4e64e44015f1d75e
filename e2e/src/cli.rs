//! The command line: names of scenarios, or `all`.

use std::io::Write;

use crate::{
    error::explain,
    lab::{commands, probe},
    scenarios::{ALL, Scenario},
    tools::Tools,
};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// An argument names no scenario.
    Usage,
    /// That of a program that was run in a lab.
    Code(u8),
}

/// Builds the tools, then plays the named scenarios one after another and goes on after a failure.
pub fn run(names: &[String], out: &mut dyn Write, err: &mut dyn Write) -> Outcome {
    if let [lab, rest @ ..] = names
        && lab == "lab"
    {
        return command_of_a_lab(rest, out, err);
    }
    if let [probe, rest @ ..] = names
        && probe == "probe"
    {
        return match probe::run(rest) {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                let _reader_gone = writeln!(err, "error: {}", explain(&error));
                Outcome::Failed
            }
        };
    }
    let chosen: Option<Vec<&Scenario>> = match names {
        [all] if all == "all" => Some(ALL.iter().collect()),
        names => names.iter().map(|name| ALL.iter().find(|scenario| scenario.name == name)).collect(),
    };
    match chosen {
        Some(chosen) if !chosen.is_empty() => match Tools::build() {
            Ok(tools) => {
                let failed = chosen.iter().filter(|scenario| !scenario.play(&tools, out)).count();
                if failed == 0 { Outcome::Passed } else { Outcome::Failed }
            }
            Err(error) => {
                let _reader_gone = writeln!(err, "error: {}", explain(&error));
                Outcome::Failed
            }
        },
        _ => {
            let list: String = ALL.iter().map(|s| format!("  {:<16} {}\n", s.name, s.about)).collect();
            let _reader_gone = write!(
                err,
                "usage: ovncilium-e2e SCENARIO... | all\n\n{list}\nhint: cargo xtask e2e {}\n",
                ALL[0].name
            );
            Outcome::Usage
        }
    }
}

fn command_of_a_lab(args: &[String], out: &mut dyn Write, err: &mut dyn Write) -> Outcome {
    let (text, outcome) = match commands::run(args, out) {
        Ok(Some(0)) => return Outcome::Passed,
        Ok(Some(code)) => return Outcome::Code(u8::try_from(code).unwrap_or(1)),
        Ok(None) => (commands::USAGE.to_owned(), Outcome::Usage),
        Err(error) => (format!("error: {}", explain(&error)), Outcome::Failed),
    };
    let _reader_gone = writeln!(err, "{text}");
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_or_missing_name_lists_the_known_ones() {
        for names in [&["spin".to_owned()][..], &[]] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            assert_eq!(run(names, &mut out, &mut err), Outcome::Usage);
            assert!(out.is_empty() && String::from_utf8(err).unwrap().contains("  control-plane "));
        }
    }
}
