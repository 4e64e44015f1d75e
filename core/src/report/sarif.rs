//! SARIF 2.1.0, as code scanning reads it. Source: OASIS "Static Analysis Results Interchange Format 2.1.0", sections by number.
//!
//! Only what a person must look at is a result: readers such as GitHub show every result, whatever its `kind`. A rule that
//! could not be judged is `open` (§3.27.9) with level `none`, as the format wants it, and besides a notification of
//! level `error`, as are faults and unreadable input: an unknown is no defect of the documents, and not silent either.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::lint::{Duplicate, concerns};
use super::located::{Located, Problem};
use crate::policy::{Fault, Gate, Severity, Verdict};
use crate::{Digest, Place};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
const HOMEPAGE: &str = "https://github.com/ovncilium/ovncilium";
/// Rule of [`Duplicate`], which no policy speaks of.
const DUPLICATE: &str = "duplicate-key";

/// The words of one rule, from the module that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// `policy/rule`.
    pub id: String,
    /// What holds, in the positive.
    pub title: String,
    /// Why it matters and how to fix it.
    pub help: String,
    /// The page of the policy in Markdown, for built-in ones.
    pub page: Option<String>,
}

/// What a run found.
pub(super) struct Run<'r> {
    /// `lint`.
    pub(super) command: &'static str,
    pub(super) version: &'r str,
    pub(super) findings: &'r [Located],
    pub(super) duplicate_keys: &'r [Duplicate],
    pub(super) faults: &'r [Fault],
    pub(super) problems: &'r [Problem],
    pub(super) gate: Gate,
}

/// The log with its one run.
pub(super) fn write(report: &Run<'_>, texts: &[RuleText]) -> Value {
    let shown: Vec<&Located> = report.findings.iter().filter(|finding| concerns(finding)).collect();
    let mut ids: Vec<String> = shown.iter().map(|finding| finding.id()).collect();
    ids.extend(report.duplicate_keys.first().map(|_| DUPLICATE.to_owned()));
    ids.sort();
    ids.dedup();
    let index = |id: &str| ids.iter().position(|known| known == id);
    let rules: Vec<Value> = ids.iter().map(|id| rule(id, &shown, texts)).collect();
    let mut seen = BTreeMap::new();
    let mut results: Vec<Value> =
        shown.iter().map(|finding| result(finding, index(&finding.id()), &mut seen)).collect();
    results.extend(report.duplicate_keys.iter().map(|key| duplicate(key, index(DUPLICATE), &mut seen)));
    let judged = report.gate != Gate::CouldNotJudge;
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ovncilium",
                "semanticVersion": report.version,
                "informationUri": HOMEPAGE,
                "rules": rules,
            }},
            "automationDetails": { "id": format!("ovncilium/{}/", report.command) },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": judged,
                "exitCode": report.gate.exit_code() as u8,
                "exitCodeDescription": report.gate.exit_code().meaning(),
                "toolExecutionNotifications": notifications(report, &shown),
            }],
            "results": results,
        }],
    })
}

fn rule(id: &str, shown: &[&Located], texts: &[RuleText]) -> Value {
    if id == DUPLICATE {
        let help = "Of two equal keys Kubernetes takes the last one without a word; another reader may take the first, or refuse the file.";
        return json!({
            "id": id,
            "shortDescription": { "text": "every key is written once" },
            "help": { "text": help },
            "defaultConfiguration": { "level": "warning" },
        });
    }
    let of = shown.iter().find(|finding| finding.id() == id);
    let text = texts.iter().find(|text| text.id == id);
    let title = text.map(|text| text.title.as_str()).or(of.map(|finding| finding.title.as_str())).unwrap_or(id);
    let policy = id.split('/').next().unwrap_or(id);
    let words = text.map(|text| text.help.as_str()).filter(|help| !help.is_empty()).unwrap_or(title);
    let mut help = json!({ "text": format!("{words}\nMore: kubectl ovncilium explain {policy}") });
    let mut rule = Map::new();
    if let Some(page) = text.and_then(|text| text.page.as_ref()) {
        help["markdown"] = json!(page);
        rule.insert("helpUri".to_owned(), json!(format!("{HOMEPAGE}/blob/main/docs/checks/{policy}.md")));
    }
    rule.insert("id".to_owned(), json!(id));
    rule.insert("shortDescription".to_owned(), json!({ "text": title }));
    rule.insert("fullDescription".to_owned(), json!({ "text": words }));
    rule.insert("help".to_owned(), help);
    let severity = of.map_or(Severity::Error, |finding| finding.severity);
    rule.insert("defaultConfiguration".to_owned(), json!({ "level": level(severity) }));
    rule.insert("properties".to_owned(), json!({ "tags": [policy] }));
    Value::Object(rule)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn result(finding: &Located, rule: Option<usize>, seen: &mut BTreeMap<String, u32>) -> Value {
    let id = finding.id();
    let mut text = finding.message.clone();
    if let Some(remedy) = &finding.remedy {
        text.push_str("\nTo do: ");
        text.push_str(remedy);
    }
    if let Some(source) = &finding.source {
        text.push_str("\nTemplate: ");
        text.push_str(source);
    }
    let (kind, level) = match finding.verdict {
        Verdict::Unknown => ("open", "none"),
        _ => ("fail", level(finding.severity)),
    };
    let object = finding.object.as_deref().or(finding.subject.as_deref());
    // What names the same finding in another run: neither its line nor its words.
    let place = finding.source.as_deref().or(finding.place.as_ref().map(|place| place.file.as_str()));
    let key =
        [&id, place.unwrap_or_default(), object.unwrap_or_default(), finding.pointer.as_deref().unwrap_or_default()];
    let mut result = json!({
        "ruleId": id,
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": { "text": text },
        "partialFingerprints": fingerprint(&key, seen),
        "properties": { "policy": finding.policy, "module": finding.module.to_string(), "verdict": finding.verdict },
    });
    let location = location(finding.place.as_ref(), object, finding.pointer.as_deref());
    if let Some(location) = location {
        result["locations"] = json!([location]);
    }
    result
}

fn duplicate(key: &Duplicate, rule: Option<usize>, seen: &mut BTreeMap<String, u32>) -> Value {
    json!({
        "ruleId": DUPLICATE,
        "ruleIndex": rule,
        "kind": "fail",
        "level": "warning",
        "message": { "text": key.message() },
        "locations": [location(Some(&key.place), Some(&key.object), Some(&key.pointer))],
        "partialFingerprints": fingerprint(&[DUPLICATE, &key.place.file, &key.object, &key.pointer], seen),
    })
}

/// The same in every run, and unlike any other of this run. GitHub matches alerts by `primaryLocationLineHash` alone.
fn fingerprint(key: &[&str], seen: &mut BTreeMap<String, u32>) -> Value {
    let digest = Digest::of(key.join("\n")).to_string();
    let hash = digest.trim_start_matches("sha256:").get(..32).unwrap_or_default().to_owned();
    let count = seen.entry(hash.clone()).or_default();
    *count += 1;
    json!({ "ovncilium/v1": format!("{hash}:{count}"), "primaryLocationLineHash": format!("{hash}:{count}") })
}

fn location(place: Option<&Place>, object: Option<&str>, pointer: Option<&str>) -> Option<Value> {
    let mut location = Map::new();
    if let Some(place) = place {
        location.insert("physicalLocation".to_owned(), physical(place));
    }
    let mut logical = Vec::new();
    if let Some(object) = object {
        let name = object.rsplit([' ', '/']).next().unwrap_or(object);
        logical.push(json!({ "name": name, "fullyQualifiedName": object, "kind": "resource" }));
        if let Some(pointer) = pointer {
            let key = pointer.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
            logical
                .push(json!({ "name": key, "fullyQualifiedName": format!("{object}#{pointer}"), "kind": "property" }));
        }
    }
    if !logical.is_empty() {
        location.insert("logicalLocations".to_owned(), Value::Array(logical));
    }
    (!location.is_empty()).then_some(Value::Object(location))
}

fn physical(place: &Place) -> Value {
    json!({
        "artifactLocation": artifact(&place.file),
        "region": { "startLine": place.line.max(1) },
    })
}

/// Relative to where the command ran (§3.4.3); an absolute path is a `file` URI, stdin is called `stdin`.
fn artifact(file: &str) -> Value {
    let path = file.replace('\\', "/");
    match path.as_str() {
        "-" => json!({ "uri": "stdin" }),
        absolute if absolute.starts_with('/') => json!({ "uri": format!("file://{}", encoded(absolute)) }),
        relative => {
            let relative = relative.trim_start_matches("./");
            json!({ "uri": encoded(relative), "uriBaseId": "%SRCROOT%" })
        }
    }
}

/// Percent-encodes what a path in a URI may not hold (RFC 3986 §3.3; a colon would read as a scheme).
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn notifications(report: &Run<'_>, shown: &[&Located]) -> Vec<Value> {
    let open = shown.iter().filter(|finding| finding.is_open()).map(|finding| {
        let text = format!("{} could not be judged: {}", finding.id(), finding.message);
        json!({ "level": "error", "message": { "text": text }, "associatedRule": { "id": finding.id() } })
    });
    let faults = report
        .faults
        .iter()
        .map(|fault| json!({ "level": "error", "message": { "text": format!("{fault}\nTo do: {}", fault.remedy) } }));
    let problems = report.problems.iter().map(|problem| {
        let text = format!("{}\nTo do: {}", problem.message, problem.remedy);
        let mut notification = json!({ "level": "error", "message": { "text": text } });
        if let Some(place) = &problem.place {
            notification["locations"] = json!([{ "physicalLocation": physical(place) }]);
        }
        notification
    });
    open.chain(faults).chain(problems).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(artifact("./a b/ü:c.yaml"), json!({ "uri": "a%20b/%C3%BC%3Ac.yaml", "uriBaseId": "%SRCROOT%" }));
        assert_eq!(artifact("/tmp/x#y.yaml"), json!({ "uri": "file:///tmp/x%23y.yaml" }));
        assert_eq!(artifact("-"), json!({ "uri": "stdin" }));
    }

    #[test]
    fn equal_findings_of_one_run_are_told_apart_and_keep_their_names_in_the_next() {
        let run = || {
            let mut seen = BTreeMap::new();
            [["a", "b"], ["a", "b"], ["a", "c"]].map(|key| fingerprint(&key, &mut seen)["ovncilium/v1"].to_string())
        };
        let first = run();
        assert_eq!(first, run());
        assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2], "{first:?}");
    }
}
