//! The report of `verify`: what a migration has made, held against the cluster.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Label, Paint, SCHEMA};
use crate::ExitCode;
use crate::facts::Facts;
use crate::plan::drift::{self, Held, Standing};

/// The report of `verify`.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// Version of this format.
    pub schema: u32,
    /// When the facts were collected.
    pub collected_at: jiff::Timestamp,
    /// Everything that must stay true.
    pub held: Vec<Held>,
}

impl VerifyReport {
    /// The report from facts; `left` are pods that stay without endpoint on purpose, as `namespace/name`.
    pub fn new(facts: &Facts, left: &[String]) -> Self {
        Self { schema: SCHEMA, collected_at: facts.collected_at, held: drift::held(facts, left) }
    }

    /// How the command ends.
    pub fn exit(&self) -> ExitCode {
        drift::exit_code(&self.held)
    }

    /// The report for people.
    pub fn text(&self, paint: &dyn Paint) -> String {
        let mut out = String::new();
        for one in &self.held {
            let (label, mark) = match one.standing {
                Standing::Holds => (Label::Good, "√"),
                Standing::Drifted => (Label::Bad, "×"),
                Standing::Unknown => (Label::Open, "?"),
                Standing::NotAsked => (Label::Dim, "-"),
            };
            let _ = writeln!(out, "{} {:<10} {}", paint.paint(label, mark), one.id, one.title);
            for line in &one.told {
                let _ = writeln!(out, "    {line}");
            }
            if let Some(remedy) = &one.remedy {
                let _ = writeln!(out, "    {} {remedy}", paint.paint(Label::Dim, "hint:"));
            }
        }
        let count = |standing| self.held.iter().filter(|one| one.standing == standing).count();
        let (drifted, unknown) = (count(Standing::Drifted), count(Standing::Unknown));
        let (label, words) = match (drifted, unknown) {
            (0, 0) if count(Standing::NotAsked) > 0 => {
                (Label::Good, "nothing has drifted, as far as it was looked; `--nodes` looks at the nodes".to_owned())
            }
            (0, 0) => (Label::Good, "nothing has drifted".to_owned()),
            (0, unknown) => (Label::Open, format!("{unknown} of {} are not known", self.held.len())),
            (drifted, _) => (Label::Bad, format!("{drifted} of {} have drifted", self.held.len())),
        };
        let _ = writeln!(out, "{}", paint.paint(label, &words));
        out
    }
}
