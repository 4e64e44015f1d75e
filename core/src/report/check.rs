//! The report of `check`: what the policies found, and what that means.

use std::fmt::Write as _;

use serde::Serialize;

use super::sarif::{self, RuleText};
use super::{Label, Located, Paint, SCHEMA, Whereabouts, junit};
use crate::facts::manifests::Places;
use crate::facts::{Facts, Source};
use crate::policy::{Evaluation, Fault, Finding, Gate, ModuleRun, Severity, Verdict};
use crate::{Digest, ExitCode, NextStep};

/// The report of `check`.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// Version of this format.
    pub schema: u32,
    /// Version of the program.
    pub version: String,
    /// Where the facts came from.
    pub source: Source,
    /// Digest of the facts.
    pub facts: Digest,
    /// Subjects that are not known, and why.
    pub unknown: Vec<UnknownFact>,
    /// Modules that ran.
    pub modules: Vec<ModuleRun>,
    /// Their findings; about an object of manifests with its file and line.
    pub findings: Vec<Located>,
    /// Modules that could not judge.
    pub faults: Vec<Fault>,
    /// What follows.
    pub gate: Gate,
    /// The exit code.
    pub exit_code: u8,
}

/// A subject that is not known.
#[derive(Debug, Clone, Serialize)]
pub struct UnknownFact {
    /// Its name.
    pub subject: String,
    /// Why.
    pub reason: String,
}

impl CheckReport {
    /// The report of one evaluation.
    pub fn new(facts: &Facts, evaluation: Evaluation) -> Self {
        let gate = evaluation.gate();
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: facts.source.clone(),
            facts: facts.digest(),
            unknown: facts
                .unknowns()
                .into_iter()
                .map(|(subject, reason)| UnknownFact { subject: subject.to_owned(), reason: reason.to_owned() })
                .collect(),
            modules: evaluation.modules,
            findings: evaluation.findings.into_iter().map(Located::from).collect(),
            faults: evaluation.faults,
            gate,
            exit_code: gate.exit_code() as u8,
        }
    }

    /// With file and line of what findings are about, where it stands in manifests and nothing nearer is known.
    #[must_use]
    pub fn at(mut self, places: &Places) -> Self {
        for located in self.findings.iter_mut().filter(|located| located.place.is_none()) {
            located.place = located.finding.subject.as_deref().and_then(|subject| places.of(subject)).cloned();
        }
        self
    }

    /// The report with file, line and object of each finding, in their order.
    #[must_use]
    pub fn located(mut self, places: Vec<Whereabouts>) -> Self {
        for (finding, (place, object)) in self.findings.iter_mut().zip(places) {
            (finding.place, finding.object) = (place, object);
        }
        self
    }

    /// The exit code of the command.
    pub fn exit(&self) -> ExitCode {
        self.gate.exit_code()
    }

    /// The report for people. Passed rules are one line per policy unless `all`.
    pub fn text(&self, paint: &dyn Paint, all: bool) -> String {
        let mut out = String::new();
        for module in &self.modules {
            self.module_text(&mut out, paint, module, all);
        }
        for fault in &self.faults {
            let _ = writeln!(out, "{} {:<26} {}", paint.paint(Label::Bad, "×"), fault.policy, fault.message);
            let _ = writeln!(out, "    {} {}", paint.paint(Label::Dim, "hint:"), fault.remedy);
        }
        for unknown in &self.unknown {
            let line = format!("not known: {} ({})", unknown.subject, unknown.reason);
            let _ = writeln!(out, "{}", paint.paint(Label::Dim, &line));
        }
        let _ = writeln!(out, "\n{}", self.result(paint));
        let _ = writeln!(out, "{} {}", paint.paint(Label::Dim, "next:"), self.next().line());
        out
    }

    fn module_text(&self, out: &mut String, paint: &dyn Paint, module: &ModuleRun, all: bool) {
        let mine: Vec<&Located> =
            self.findings.iter().filter(|f| f.policy == module.policy && f.module == module.module).collect();
        let concerns: Vec<&&Located> =
            mine.iter().filter(|f| matches!(f.verdict, Verdict::Fail | Verdict::Unknown)).collect();
        let passed = mine.iter().filter(|f| f.verdict == Verdict::Pass).count();
        let digest = paint.paint(Label::Dim, &format!("sha256:{}…", module.module.short()));
        let mark = concerns.iter().map(|f| mark(f)).max_by_key(|(label, _)| rank(*label)).unwrap_or((Label::Good, "√"));
        let _ = writeln!(
            out,
            "{} {:<26} {} passed, {} to look at  {digest}",
            paint.paint(mark.0, mark.1),
            module.policy.as_str(),
            passed,
            concerns.len()
        );
        for finding in mine.iter().filter(|f| all || matches!(f.verdict, Verdict::Fail | Verdict::Unknown)) {
            finding_text(out, paint, finding);
        }
    }

    fn result(&self, paint: &dyn Paint) -> String {
        let count =
            |severity, verdict| self.findings.iter().filter(|f| f.severity == severity && f.verdict == verdict).count();
        let denied = count(Severity::Error, Verdict::Fail);
        let open = count(Severity::Error, Verdict::Unknown);
        let warned = count(Severity::Warning, Verdict::Fail) + count(Severity::Warning, Verdict::Unknown);
        let (label, word) = match self.gate {
            Gate::Open => (Label::Good, "ready"),
            Gate::Denied => (Label::Bad, "denied"),
            Gate::CouldNotJudge => (Label::Open, "could not judge"),
        };
        format!(
            "{}: {} policies ran, {denied} rules denied, {open} unknown, {} faults, {warned} warnings",
            paint.paint(label, word),
            self.modules.len(),
            self.faults.len()
        )
    }

    fn next(&self) -> NextStep {
        match self.gate {
            Gate::Open => NextStep::Command("kubectl ovncilium plan --chart CHART".to_owned()),
            Gate::Denied | Gate::CouldNotJudge => {
                let first = self.findings.iter().find(|f| f.denies() || f.is_open());
                match (first, self.faults.first()) {
                    (Some(finding), _) => NextStep::Command(format!("kubectl ovncilium explain {}", finding.policy)),
                    (None, Some(fault)) => NextStep::Edit(fault.remedy.clone()),
                    (None, None) => NextStep::Edit("give at least one policy module".to_owned()),
                }
            }
        }
    }

    /// The report as JUnit XML: one test case per finding, with file and line where it has them.
    pub fn junit(&self) -> String {
        junit::write("ovncilium check", &self.findings, &self.faults, &[])
    }

    /// The report as SARIF 2.1.0. `rules` are texts of the rules that ran; a rule without one has its title.
    pub fn sarif(&self, rules: &[RuleText]) -> serde_json::Value {
        let run = sarif::Run {
            command: "check",
            version: &self.version,
            findings: &self.findings,
            duplicate_keys: &[],
            faults: &self.faults,
            problems: &[],
            gate: self.gate,
        };
        sarif::write(&run, rules)
    }
}

pub(super) fn mark(finding: &Finding) -> (Label, &'static str) {
    match (finding.verdict, finding.severity) {
        (Verdict::Pass, _) => (Label::Good, "√"),
        (Verdict::Skip, _) => (Label::Dim, "-"),
        (Verdict::Unknown, Severity::Error) => (Label::Open, "?"),
        (Verdict::Fail, Severity::Error) => (Label::Bad, "×"),
        _ => (Label::Warn, "‼"),
    }
}

fn rank(label: Label) -> u8 {
    match label {
        Label::Bad => 3,
        Label::Open => 2,
        Label::Warn => 1,
        _ => 0,
    }
}

fn finding_text(out: &mut String, paint: &dyn Paint, finding: &Located) {
    let (label, mark) = mark(finding);
    let _ = writeln!(out, "    {} {}", paint.paint(label, mark), finding.title);
    let place = finding.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let subject = finding.subject.as_deref().map(|s| format!("{s}{place}: ")).unwrap_or_default();
    let _ =
        writeln!(out, "      {subject}{} {}", finding.message, paint.paint(Label::Dim, &format!("[{}]", finding.id())));
    if let Some(place) = &finding.place {
        let key = finding.pointer.as_deref().map(|pointer| format!(", {pointer}")).unwrap_or_default();
        let _ = writeln!(out, "      {place}{key}");
    }
    if let Some(source) = &finding.source {
        let _ = writeln!(out, "      template {source}");
    }
    if let Some(remedy) = finding.remedy.as_deref().filter(|_| finding.verdict != Verdict::Pass) {
        let _ = writeln!(out, "      {} {remedy}", paint.paint(Label::Dim, "hint:"));
    }
}
