//! Cases written in YAML: facts, settings and documents in, findings out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::host::{Docs, FactSet, run};
use crate::policy::Policy;
use crate::{Finding, Verdict};

/// One case. A file of the `cases` folder is a YAML list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: String,
    /// Facts by name; only the fields that matter. What is not here is unknown.
    #[serde(default)]
    pub facts: BTreeMap<String, Value>,
    /// Facts that are unknown, with the reason.
    #[serde(default)]
    pub unknown: BTreeMap<String, String>,
    /// Settings; `{}` when absent.
    #[serde(default = "empty")]
    pub settings: Value,
    /// Documents of the stream; no stream when absent.
    #[serde(default)]
    pub documents: Option<Vec<Value>>,
    /// All findings, in order.
    pub expect: Vec<Expected>,
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

/// What a finding must be; parts that are absent may be anything.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Id of the rule.
    pub rule: String,
    /// `pass`, `fail`, `unknown` or `skip`.
    pub verdict: String,
    /// The subject, whole.
    pub subject: Option<String>,
    /// A part of the message.
    pub message: Option<String>,
    /// A part of the remedy.
    pub remedy: Option<String>,
    /// Index of the document.
    pub document: Option<u32>,
    /// The pointer, whole.
    pub pointer: Option<String>,
}

impl Case {
    /// Its facts, as the pretend host takes them.
    pub fn fact_set(&self) -> FactSet {
        let known = self.facts.iter().fold(FactSet::new(), |set, (name, value)| set.known(name, value.clone()));
        self.unknown.iter().fold(known, |set, (name, why)| set.unknown(name, why))
    }
}

/// All cases of a folder with the file each is in, sorted by file.
///
/// # Panics
/// When the folder cannot be read, has no case, or a file is no list of cases: a test without cases proves nothing.
#[expect(clippy::panic, reason = "called by tests only; a broken case file must stop them")]
pub fn load_cases(folder: impl AsRef<Path>) -> Vec<(PathBuf, Case)> {
    let folder = folder.as_ref();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let list: Vec<Case> = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        cases.extend(list.into_iter().map(|case| (file.clone(), case)));
    }
    assert!(!cases.is_empty(), "{} has no cases", folder.display());
    cases
}

/// What differs between the findings of a case and what it expects; none when they agree.
pub fn mismatch(expected: &[Expected], findings: &[Finding]) -> Option<String> {
    let told = || findings.iter().map(|f| format!("  {}", tell(f))).collect::<Vec<_>>().join("\n");
    if expected.len() != findings.len() {
        return Some(format!("expected {} findings, got {}:\n{}", expected.len(), findings.len(), told()));
    }
    for (at, (want, got)) in expected.iter().zip(findings).enumerate() {
        let part = |want: &Option<String>, got: Option<&str>| {
            want.as_ref().is_none_or(|want| got.is_some_and(|got| got.contains(want.as_str())))
        };
        let whole = |want: &Option<String>, got: &Option<String>| want.is_none() || want == got;
        let agrees = want.rule == got.rule
            && want.verdict == got.verdict.word()
            && whole(&want.subject, &got.subject)
            && whole(&want.pointer, &got.pointer)
            && part(&want.message, Some(&got.message))
            && part(&want.remedy, got.remedy.as_deref())
            && (want.document.is_none() || want.document == got.document);
        if !agrees {
            return Some(format!("finding {at} is not {want:?}; all of them:\n{}", told()));
        }
    }
    None
}

fn tell(finding: &Finding) -> String {
    let mut line = format!("{} {}: {}", finding.verdict.word(), finding.rule, finding.message);
    for (word, part) in [("subject", &finding.subject), ("pointer", &finding.pointer), ("remedy", &finding.remedy)] {
        if let Some(part) = part {
            line.push_str(&format!(" [{word} {part}]"));
        }
    }
    if let Some(document) = finding.document {
        line.push_str(&format!(" [document {document}]"));
    }
    line
}

/// Runs every case of a folder natively, and asserts what any policy must keep: facts taken away never pass.
///
/// # Panics
/// When a case does not give what it expects; all that do not are told together.
#[expect(clippy::panic, reason = "called by tests only")]
pub fn run_cases<P: Policy>(folder: impl AsRef<Path>) {
    let mut wrong = Vec::new();
    for (file, case) in load_cases(folder) {
        let documents = case.documents.clone().map(Docs);
        let difference = match run::<P>(case.fact_set(), &case.settings, documents) {
            Ok(findings) => mismatch(&case.expect, &findings),
            Err(fault) => Some(fault),
        };
        if let Some(difference) = difference {
            wrong.push(format!("{}: {}: {difference}", file.display(), case.name));
        }
    }
    // Whoever knows nothing may not judge: without any fact and without documents no error-level rule passes.
    let info = P::info();
    if let Ok(findings) = run::<P>(FactSet::new(), &empty(), None) {
        let errors = |f: &&Finding| info.rules.iter().any(|r| r.id == f.rule && r.severity == crate::Severity::Error);
        if let Some(pass) = findings.iter().filter(errors).find(|f| f.verdict == Verdict::Pass) {
            wrong.push(format!("without any fact: {}", tell(pass)));
        }
    }
    if !wrong.is_empty() {
        panic!("{} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}
