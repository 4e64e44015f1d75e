//! The report of `lint`: what the policies found in rendered documents, by file and line.

use std::fmt::Write as _;

use serde::Serialize;

use super::located::{Located, Problem, Whereabouts};
use super::sarif::{self, RuleText};
use super::{Label, Paint, SCHEMA, check, junit};
use crate::facts::Source;
use crate::policy::{Evaluation, Fault, Gate, ModuleRun, Severity, Verdict};
use crate::{ExitCode, NextStep, Place};

/// The report of `lint`.
#[derive(Debug, Clone, Serialize)]
pub struct LintReport {
    /// Version of this format.
    pub schema: u32,
    /// Version of the program.
    pub version: String,
    /// Where facts came from; [`Source::Offline`] when documents were judged alone.
    pub source: Source,
    /// Files that were read, in order.
    pub files: Vec<String>,
    /// How many documents they hold.
    pub documents: usize,
    /// Modules that ran.
    pub modules: Vec<ModuleRun>,
    /// Their findings.
    pub findings: Vec<Located>,
    /// Keys written twice: Kubernetes takes the last one without a word.
    pub duplicate_keys: Vec<Duplicate>,
    /// Modules that could not judge.
    pub faults: Vec<Fault>,
    /// Input that could not be judged.
    pub problems: Vec<Problem>,
    /// What follows.
    pub gate: Gate,
    /// The exit code.
    pub exit_code: u8,
}

/// A key that is written twice in one mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// The object: `ConfigMap kube-system/cilium-config`.
    pub object: String,
    /// JSON pointer of the key in the document.
    pub pointer: String,
    /// Line of the one that is ignored, in the same file.
    pub ignored_line: u32,
    /// The one that counts.
    #[serde(flatten)]
    pub place: Place,
}

impl Duplicate {
    /// What is wrong, as one sentence.
    pub(super) fn message(&self) -> String {
        let Self { pointer, ignored_line, place, .. } = self;
        format!("{pointer} is written twice: line {ignored_line} is ignored, line {} counts", place.line)
    }
}

/// What the report is made of.
#[derive(Debug, Clone)]
pub struct Linted {
    /// Where facts came from.
    pub source: Source,
    /// Files that were read.
    pub files: Vec<String>,
    /// How many documents they hold.
    pub documents: usize,
    /// What the policies said; nothing when they were not asked.
    pub evaluation: Option<Evaluation>,
    /// File, line and object of each finding, in the same order.
    pub places: Vec<Whereabouts>,
    /// Keys written twice.
    pub duplicate_keys: Vec<Duplicate>,
    /// Input that could not be judged.
    pub problems: Vec<Problem>,
}

impl LintReport {
    /// The report. A problem closes a gate that the policies left open, and never hides a denial.
    pub fn new(linted: Linted) -> Self {
        let gate = match linted.evaluation.as_ref().map(Evaluation::gate) {
            Some(Gate::Open) if linted.problems.is_empty() => Gate::Open,
            Some(Gate::Denied) => Gate::Denied,
            _ => Gate::CouldNotJudge,
        };
        let evaluation = linted.evaluation.unwrap_or_default();
        let mut places = linted.places.into_iter();
        let located = |finding| {
            let (place, object) = places.next().unwrap_or_default();
            Located { finding, place, object }
        };
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: linted.source,
            files: linted.files,
            documents: linted.documents,
            modules: evaluation.modules,
            findings: evaluation.findings.into_iter().map(located).collect(),
            duplicate_keys: linted.duplicate_keys,
            faults: evaluation.faults,
            problems: linted.problems,
            gate,
            exit_code: gate.exit_code() as u8,
        }
    }

    /// The exit code of the command.
    pub fn exit(&self) -> ExitCode {
        self.gate.exit_code()
    }

    /// The report for people: `file:line`, then what and why. What passed is counted only, unless `all`.
    pub fn text(&self, paint: &dyn Paint, all: bool) -> String {
        let mut out = String::new();
        let mut shown: Vec<&Located> = self.findings.iter().filter(|f| all || concerns(f)).collect();
        shown.sort_by_key(|f| (std::cmp::Reverse(f.severity), std::cmp::Reverse(f.verdict)));
        for finding in shown {
            let (label, mark) = check::mark(finding);
            head(&mut out, paint, (label, mark), finding.place.as_ref(), &finding.title, Some(&finding.id()));
            line(&mut out, &finding.message);
            if let Some(object) = finding.object.as_ref().or(finding.subject.as_ref()) {
                let key = finding.pointer.as_ref().map(|pointer| format!(", {pointer}")).unwrap_or_default();
                line(&mut out, &format!("{object}{key}"));
            }
            if let Some(source) = &finding.source {
                line(&mut out, &format!("template {source}"));
            }
            if let Some(remedy) = finding.remedy.as_deref().filter(|_| finding.verdict != Verdict::Pass) {
                line(&mut out, &format!("{} {remedy}", paint.paint(Label::Dim, "hint:")));
            }
        }
        for key in &self.duplicate_keys {
            let title = "every key is written once";
            head(&mut out, paint, (Label::Warn, "‼"), Some(&key.place), title, None);
            line(&mut out, &key.message());
            line(&mut out, &key.object);
        }
        for fault in &self.faults {
            let title = format!("{}: {}", fault.policy, fault.message);
            head(&mut out, paint, (Label::Bad, "×"), None, &title, None);
            line(&mut out, &format!("{} {}", paint.paint(Label::Dim, "hint:"), fault.remedy));
        }
        for problem in &self.problems {
            head(&mut out, paint, (Label::Open, "?"), problem.place.as_ref(), &problem.message, None);
            line(&mut out, &format!("{} {}", paint.paint(Label::Dim, "hint:"), problem.remedy));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        if self.source == Source::Offline {
            let _ = writeln!(out, "{}", paint.paint(Label::Dim, "facts: none, documents alone were judged"));
        }
        let _ = writeln!(out, "{}", self.result(paint));
        let _ = writeln!(out, "{} {}", paint.paint(Label::Dim, "next:"), self.next().line());
        out
    }

    fn result(&self, paint: &dyn Paint) -> String {
        let count = |severity, verdicts: &[Verdict]| {
            self.findings.iter().filter(|f| f.severity == severity && verdicts.contains(&f.verdict)).count()
        };
        let (label, word) = match self.gate {
            Gate::Open => (Label::Good, "allowed"),
            Gate::Denied => (Label::Bad, "denied"),
            Gate::CouldNotJudge => (Label::Open, "could not judge"),
        };
        let warned = count(Severity::Warning, &[Verdict::Fail, Verdict::Unknown]) + self.duplicate_keys.len();
        format!(
            "{}: {} documents, {} rules hold, {} denied, {} unknown, {} faults, {warned} warnings",
            paint.paint(label, word),
            self.documents,
            count(Severity::Error, &[Verdict::Pass]),
            count(Severity::Error, &[Verdict::Fail]),
            count(Severity::Error, &[Verdict::Unknown]),
            self.faults.len() + self.problems.len(),
        )
    }

    fn next(&self) -> NextStep {
        let first = self.findings.iter().find(|f| f.denies()).or(self.findings.iter().find(|f| f.is_open()));
        match (self.gate, first, self.problems.first(), self.faults.first()) {
            (Gate::Open, ..) => NextStep::Edit("commit or apply these documents as they are".to_owned()),
            (_, Some(finding), ..) => NextStep::Command(format!("kubectl ovncilium explain {}", finding.policy)),
            (_, _, Some(problem), _) => NextStep::Edit(problem.remedy.clone()),
            (_, _, _, Some(fault)) => NextStep::Edit(fault.remedy.clone()),
            _ => NextStep::Edit("give at least one policy module".to_owned()),
        }
    }

    /// The report as JUnit XML: one test case per finding, with file and line.
    pub fn junit(&self) -> String {
        junit::write("ovncilium lint", &self.findings, &self.faults, &self.problems)
    }

    /// The report as SARIF 2.1.0, for code scanning. `rules` are texts of the rules that ran; a rule without one has its title.
    pub fn sarif(&self, rules: &[RuleText]) -> serde_json::Value {
        let run = sarif::Run {
            command: "lint",
            version: &self.version,
            findings: &self.findings,
            duplicate_keys: &self.duplicate_keys,
            faults: &self.faults,
            problems: &self.problems,
            gate: self.gate,
        };
        sarif::write(&run, rules)
    }
}

/// Whether a person must look at it.
pub(super) fn concerns(finding: &Located) -> bool {
    matches!(finding.verdict, Verdict::Fail | Verdict::Unknown)
}

fn head(
    out: &mut String,
    paint: &dyn Paint,
    (label, mark): (Label, &str),
    place: Option<&Place>,
    title: &str,
    id: Option<&str>,
) {
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    let id = id.map(|id| paint.paint(Label::Dim, &format!(" [{id}]"))).unwrap_or_default();
    let _ = writeln!(out, "{} {place}{title}{id}", paint.paint(label, mark));
}

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "    {text}");
}
