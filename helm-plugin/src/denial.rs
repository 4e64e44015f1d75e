//! What a person reads: which rule, which document, which key, what was found, what to set.
//!
//! Reads the same in a terminal, behind Helm 3's `Error: … error output:` and in a file: plain text, no colour, no
//! control characters, one line of result and one of what to do next at the end.

use std::fmt::Write;

use ovncilium_core::facts::Source;
use ovncilium_core::policy::{Evaluation, Finding, Gate, Severity, Verdict};
use ovncilium_core::render::{Dialect, Document, RenderError, Stream};
use serde_json::Value;

use crate::Mode;

/// Findings that are shown in full.
const SHOWN: usize = 40;
/// Longest value that is shown, in characters.
const VALUE: usize = 100;

/// A stream and what the policies said of it.
pub(crate) struct Judged<'j> {
    pub(crate) stream: &'j Stream,
    pub(crate) evaluation: &'j Evaluation,
    pub(crate) mode: Mode,
    pub(crate) source: &'j Source,
}

/// The gate is closed.
pub(crate) fn refused(judged: &Judged<'_>) -> String {
    let evaluation = judged.evaluation;
    let denied = evaluation.findings.iter().filter(|f| f.denies()).count();
    let open = evaluation.findings.iter().filter(|f| f.is_open()).count();
    let mut out = String::new();
    let headline = if denied > 0 {
        format!("this chart must not be installed: {} not hold", count(denied, "rule does", "rules do"))
    } else if evaluation.modules.is_empty() && evaluation.faults.is_empty() {
        "this chart could not be judged: no policy module ran".to_owned()
    } else {
        let unknown = count(open, "rule has no answer", "rules have no answer");
        let faults = count(evaluation.faults.len(), "policy could not run", "policies could not run");
        match (open, evaluation.faults.len()) {
            (_, 0) => format!("this chart could not be judged: {unknown}"),
            (0, _) => format!("this chart could not be judged: {faults}"),
            _ => format!("this chart could not be judged: {unknown}, {faults}"),
        }
    };
    line(&mut out, &format!("ovncilium: {headline}"));
    details(&mut out, judged);
    let sets = set_values(evaluation);
    if sets.len() > 1 {
        line(&mut out, &format!("all values to set:\n  {}", sets.join(" \\\n  ")));
    }
    notes(&mut out, judged);
    let code = evaluation.gate().exit_code() as u8;
    let word = if evaluation.gate() == Gate::Denied { "denied" } else { "could not judge" };
    line(&mut out, &format!("{word}: Helm was given nothing, nothing was installed or changed (exit code {code})"));
    line(&mut out, &format!("next: {}", next(evaluation, &sets)));
    plain(&out)
}

/// The gate is open.
pub(crate) fn allowed(judged: &Judged<'_>, patches: usize) -> String {
    let evaluation = judged.evaluation;
    let twice: usize = judged.stream.documents().iter().map(|document| document.duplicate_keys().len()).sum();
    let warnings = evaluation.concerns().len() + twice;
    let mut out = String::new();
    if warnings > 0 {
        line(&mut out, &format!("ovncilium: {}", count(warnings, "remark", "remarks")));
        details(&mut out, judged);
        notes(&mut out, judged);
    } else if judged.mode == Mode::Offline {
        notes(&mut out, judged);
    }
    let holds = evaluation.count(Severity::Error, Verdict::Pass);
    let documents = count(judged.stream.documents().len(), "document", "documents");
    let patched = if patches > 0 { format!(", {}", count(patches, "patch", "patches")) } else { String::new() };
    line(
        &mut out,
        &format!(
            "allowed: {documents}, {} {}{patched}",
            count(holds, "rule", "rules"),
            if holds == 1 { "holds" } else { "hold" }
        ),
    );
    plain(&out)
}

/// The stream is not what Kubernetes reads.
pub(crate) fn unreadable(error: &RenderError) -> String {
    plain(&format!(
        "ovncilium: the stream from Helm cannot be read\n\n  {error}\n\n\
         could not judge: Helm was given nothing, nothing was installed or changed (exit code 4)\n\
         next: see the stream with `helm template` and the same values, and repair the template\n"
    ))
}

/// A patch cannot be applied, or may not be.
pub(crate) fn unwritable(error: &RenderError) -> String {
    match error {
        RenderError::NotPatchable { by, refusal, .. } => {
            let next = format!("{}; then `{by}` has nothing to patch", refusal.instead);
            unpatched(&error.to_string(), &next)
        }
        _ => bad_patch(&error.to_string()),
    }
}

/// A policy answered a patch that is none.
pub(crate) fn bad_patch(message: &str) -> String {
    unpatched(message, "report it to the policy's author")
}

fn unpatched(message: &str, next: &str) -> String {
    plain(&format!(
        "ovncilium: a policy wants to change the chart and cannot\n\n  {message}\n\n\
         could not judge: Helm was given nothing, nothing was installed or changed (exit code 4)\nnext: {next}\n"
    ))
}

/// Something else is in the way: no cluster, no facts.
pub(crate) fn stopped(headline: &str, cause: &str, code: u8, next: &str) -> String {
    plain(&format!(
        "ovncilium: {headline}\n\n  {cause}\n\n\
         stopped: Helm was given nothing, nothing was installed or changed (exit code {code})\nnext: {next}\n"
    ))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn details(out: &mut String, judged: &Judged<'_>) {
    let concerns = judged.evaluation.concerns();
    for finding in concerns.iter().take(SHOWN) {
        detail(out, judged, finding);
    }
    if concerns.len() > SHOWN {
        line(out, &format!("\n  and {} more", concerns.len() - SHOWN));
    }
    let twice: Vec<_> =
        judged.stream.documents().iter().flat_map(|d| d.duplicate_keys().iter().map(move |key| (d, key))).collect();
    for (document, key) in twice.iter().take(SHOWN) {
        let _ = write!(out, "\n   warning  a key is written twice: Helm takes the last one without a word\n");
        field(out, "document", &format!("{} {}", document.index, document.describe()));
        if let Some(source) = &document.source {
            field(out, "template", source);
        }
        let (pointer, first, last) = (&key.pointer, key.first_line, key.line);
        field(out, "key", &format!("{pointer} (line {first} of the stream is ignored, line {last} counts)"));
    }
    for fault in &judged.evaluation.faults {
        let _ = write!(out, "\n     fault  {}: {}\n", fault.policy, fault.message);
        field(out, "do", &fault.remedy);
        if let Some(module) = &fault.module {
            field(out, "module", &module.to_string());
        }
    }
    out.push('\n');
}

fn field(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "            {name:<8} {value}");
}

fn detail(out: &mut String, judged: &Judged<'_>, finding: &Finding) {
    let word = match (finding.severity, finding.verdict) {
        (_, Verdict::Unknown) => "unknown",
        (Severity::Error, _) => "denied",
        (Severity::Warning, _) => "warning",
        (Severity::Info, _) => "info",
    };
    let _ = write!(out, "\n{word:>10}  {}: {}\n", finding.id(), finding.title);
    field(out, "because", &finding.message);
    let document = finding.document.and_then(|index| judged.stream.document(index));
    if let Some(document) = document {
        field(out, "document", &format!("{} {}", document.index, document.describe()));
    } else if let Some(subject) = &finding.subject {
        field(out, "object", subject);
    }
    if let Some(source) = finding.source.as_ref().or(document.and_then(|document| document.source.as_ref())) {
        field(out, "template", source);
    }
    if let Some(pointer) = &finding.pointer {
        let line = document.and_then(|document| document.line_of(pointer));
        let there = document.and_then(|document| document.value().pointer(pointer)).is_some();
        let place = match line {
            Some(line) if there => format!("{pointer} (line {line} of the stream)"),
            Some(line) => format!("{pointer} (below line {line} of the stream)"),
            None => pointer.clone(),
        };
        field(out, "key", &place);
        if let Some(document) = document {
            field(out, "found", &found(document, pointer));
        }
    }
    if let Some(remedy) = &finding.remedy {
        field(out, if remedy.starts_with("--set") { "set" } else { "do" }, remedy);
    }
    field(out, "module", &finding.module.to_string());
}

/// The value at the key, as JSON; never of a Secret.
fn found(document: &Document, pointer: &str) -> String {
    let secret =
        document.objects().iter().any(|object| object.kind == "Secret" && pointer.starts_with(&object.pointer()));
    match document.value().pointer(pointer) {
        None => "nothing, the key is not there".to_owned(),
        Some(_) if secret => "a value (masked, it belongs to a Secret)".to_owned(),
        Some(Value::Object(map)) => count(map.len(), "entry", "entries"),
        Some(Value::Array(items)) => count(items.len(), "item", "items"),
        Some(value) => {
            let text = value.to_string();
            match text.char_indices().nth(VALUE) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

/// `--set …` remedies of what denies, each once.
fn set_values(evaluation: &Evaluation) -> Vec<&str> {
    let mut sets = Vec::new();
    for finding in evaluation.findings.iter().filter(|finding| finding.denies()) {
        if let Some(remedy) = finding.remedy.as_deref().filter(|remedy| remedy.starts_with("--set"))
            && !sets.contains(&remedy)
        {
            sets.push(remedy);
        }
    }
    sets
}

fn notes(out: &mut String, judged: &Judged<'_>) {
    let facts = match judged.source {
        Source::Offline => "none, documents only (--offline); the cluster was not asked".to_owned(),
        Source::Live { server, context: Some(context), .. } => format!("live, context {context} ({server})"),
        Source::Live { server, context: None, .. } => format!("live ({server})"),
        Source::Manifests { paths } => format!("manifests, {}", paths.join(", ")),
        Source::Rehearsal => "the pretend cluster of a rehearsal".to_owned(),
    };
    line(out, &format!("facts: {facts}"));
    match judged.stream.dialect() {
        Dialect::Helm3 => line(out, "not seen: hooks and crds/ (Helm 3 shows neither to a post-renderer)"),
        Dialect::Helm4 => line(out, "not seen: crds/ (Helm shows them to no post-renderer)"),
        Dialect::Plain => {}
    }
}

fn next(evaluation: &Evaluation, sets: &[&str]) -> String {
    let policy = evaluation.findings.iter().find(|f| f.denies()).map(|f| &f.policy);
    let open = evaluation.findings.iter().find(|f| f.is_open()).map(|f| &f.policy);
    match (policy, open) {
        (Some(policy), _) if !sets.is_empty() => {
            format!("run the same helm command with the values above; why: `kubectl ovncilium explain {policy}`")
        }
        (Some(policy), _) => format!("run `kubectl ovncilium explain {policy}`"),
        (None, _) if !evaluation.faults.is_empty() => "run `kubectl ovncilium explain` to see the modules".to_owned(),
        (None, Some(policy)) => format!(
            "run `kubectl ovncilium check` to see which facts are missing; why they matter: `kubectl ovncilium explain {policy}`"
        ),
        (None, None) => "run `kubectl ovncilium explain` to see which modules are expected".to_owned(),
    }
}

/// Charts choose names and values: nothing of them may steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' => c,
        c if c.is_control() => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    text.chars().map(harmless).collect()
}
