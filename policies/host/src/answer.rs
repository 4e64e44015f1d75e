//! What modules answer, checked and made harmless: texts stripped, sizes capped, rules known, patches allowed.

use std::collections::BTreeSet;

use ovncilium_core::Digest;
use ovncilium_core::policy::{FaultKind, Finding, Severity, Verdict};

use crate::bindings::exports::ovncilium::policy::policy as wire;
use crate::bindings::ovncilium::policy::types;
use crate::documents::DocumentSource;
use crate::limits::Limits;
use crate::trouble::Trouble;

/// Longest text of one field of a finding, in bytes.
const FIELD: usize = 16 << 10;

const AUTHOR: &str = "report it to the module's author";

/// One line without control characters, terminal escapes and invisible direction marks, at most `limit` bytes long.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    // Nearly every text is a short line of ASCII.
    if text.len() <= limit && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.trim().to_owned();
    }
    let mut out = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        let c = match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() => continue,
            // Direction marks and overrides, and the byte order mark: they make a line read as something else.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => continue,
            c => c,
        };
        if out.len() + c.len_utf8() > limit {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out.trim().to_owned()
}

fn kebab(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && id
            .split('-')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "info" => Some(Severity::Info),
        _ => None,
    }
}

/// One rule as a module told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) help: String,
}

/// What a module said about itself, checked.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) title: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) facts: Vec<String>,
    pub(crate) selectors: Vec<types::Selector>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) settings_schema: Option<String>,
}

impl Info {
    /// Checks what `describe` answered.
    pub(crate) fn read(info: types::Info) -> Result<Self, Trouble> {
        let bad =
            |what: String| Trouble::new(FaultKind::BadAnswer, format!("it describes itself wrongly: {what}"), AUTHOR);
        if !kebab(&info.id) {
            return Err(bad(format!("the id `{}` is not kebab-case", clean(&info.id, 80))));
        }
        let known = ["cluster", "node", "document", "stream"];
        if let Some(scope) = info.scopes.iter().find(|scope| !known.contains(&scope.as_str())) {
            return Err(bad(format!("there is no scope `{}`; there are {}", clean(scope, 80), known.join(", "))));
        }
        if info.rules.is_empty() || info.scopes.is_empty() {
            return Err(bad("it has no rules or no scopes".to_owned()));
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(info.rules.len());
        for rule in info.rules {
            let id = clean(&rule.id, 80);
            if !kebab(&rule.id) || rules.iter().any(|other| other.id == id) {
                return Err(bad(format!("the rule id `{id}` is not kebab-case or is there twice")));
            }
            let Some(severity) = severity(&rule.severity) else {
                return Err(bad(format!("the rule `{id}` has no severity `error`, `warning` or `info`")));
            };
            rules.push(Rule { id, severity, title: clean(&rule.title, FIELD), help: clean(&rule.help, FIELD) });
        }
        Ok(Self {
            id: info.id,
            version: clean(&info.version, 64),
            title: clean(&info.title, FIELD),
            scopes: info.scopes.into_iter().collect(),
            facts: info.facts,
            selectors: info.selectors,
            rules,
            settings_schema: info.settings_schema,
        })
    }
}

/// Collects the findings of one run and holds them to the limits.
pub(crate) struct Collector<'a> {
    pub(crate) info: &'a Info,
    pub(crate) module: Digest,
    pub(crate) documents: Option<&'a dyn DocumentSource>,
    pub(crate) mutate: bool,
    pub(crate) limits: Limits,
    pub(crate) findings: Vec<Finding>,
    pub(crate) bytes: usize,
}

impl Collector<'_> {
    /// Takes the findings of one call.
    pub(crate) fn take(&mut self, findings: Vec<wire::Finding>) -> Result<(), Trouble> {
        for finding in findings {
            let finding = self.read(finding)?;
            self.findings.push(finding);
        }
        Ok(())
    }

    fn read(&mut self, finding: wire::Finding) -> Result<Finding, Trouble> {
        let texts = [&finding.subject, &finding.remedy, &finding.pointer, &finding.patch];
        self.bytes += finding.message.len() + texts.into_iter().flatten().map(String::len).sum::<usize>();
        if self.findings.len() >= self.limits.findings || self.bytes > self.limits.output {
            let (findings, bytes) = (self.limits.findings, self.limits.output);
            let message = format!("it answered more than {findings} findings or {bytes} bytes");
            return Err(Trouble::new(FaultKind::Output, message, AUTHOR));
        }
        let bad = |what: String| Trouble::new(FaultKind::BadAnswer, what, AUTHOR);
        let Some(rule) = self.info.rules.iter().find(|rule| rule.id == finding.rule) else {
            let known: Vec<_> = self.info.rules.iter().map(|rule| rule.id.as_str()).collect();
            let rule = clean(&finding.rule, 80);
            return Err(bad(format!("it answered for the unknown rule `{rule}`; its rules are {}", known.join(", "))));
        };
        let header = match finding.document {
            Some(index) => match self.documents.and_then(|documents| documents.header(index)) {
                Some(header) => Some(header),
                None => return Err(bad(format!("it answered for document {index}, which is not there"))),
            },
            None => None,
        };
        if let Some(patch) = &finding.patch {
            self.check_patch(patch, finding.document).map_err(bad)?;
        }
        let message = clean(&finding.message, FIELD);
        Ok(Finding {
            policy: self.info.id.as_str().into(),
            module: self.module,
            rule: rule.id.as_str().into(),
            title: rule.title.clone(),
            severity: rule.severity,
            verdict: match finding.verdict {
                types::Verdict::Pass => Verdict::Pass,
                types::Verdict::Fail => Verdict::Fail,
                types::Verdict::Unknown => Verdict::Unknown,
                types::Verdict::Skip => Verdict::Skip,
            },
            message: if message.is_empty() { rule.title.clone() } else { message },
            subject: finding.subject.map(|text| clean(&text, FIELD)),
            remedy: finding.remedy.map(|text| clean(&text, FIELD)),
            document: finding.document,
            source: header.and_then(|header| header.source).map(str::to_owned),
            pointer: finding.pointer.map(|text| clean(&text, FIELD)),
            patch: finding.patch,
        })
    }

    fn check_patch(&self, patch: &str, document: Option<u32>) -> Result<(), String> {
        if !self.mutate {
            return Err("it answered a patch but was not granted `mutate`".to_owned());
        }
        if document.is_none() {
            return Err("it answered a patch without naming a document".to_owned());
        }
        serde_json::from_str::<json_patch::Patch>(patch)
            .map(drop)
            .map_err(|error| format!("it answered a patch that is no JSON Patch (RFC 6902): {error}"))
    }
}

/// Places that a patch touches.
pub(crate) fn touched(patch: &str) -> Vec<String> {
    let operations: Vec<serde_json::Value> = serde_json::from_str(patch).unwrap_or_default();
    let text = |operation: &serde_json::Value, key: &str| operation.get(key)?.as_str().map(str::to_owned);
    operations.iter().flat_map(|operation| [text(operation, "path"), text(operation, "from")]).flatten().collect()
}

/// Whether one of two places lies in the other, or is it.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let inside = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    inside(a, b) || inside(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_escapes_line_breaks_and_direction_marks() {
        assert_eq!(clean("a\x1b[31mred\x1b[0m\nb\u{202e}c\0", 100), "a[31mred[0m bc");
        assert_eq!(clean("äöü", 4), "äö…");
        assert_eq!(clean("  x  ", 100), "x");
        assert_eq!(clean("  ä  ", 100), "ä");
        assert_eq!(clean("a\x7fb", 100), "ab");
        assert_eq!(clean("abcd", 3), "abc…");
    }

    #[test]
    fn tells_overlapping_places() {
        assert!(overlap("/data", "/data/a"));
        assert!(overlap("/data/a", "/data/a"));
        assert!(overlap("", "/x"));
        assert!(!overlap("/data/a", "/data/ab"));
    }

    #[test]
    fn kebab_case_is_told_from_the_rest() {
        assert!(kebab("node-kernel") && kebab("l7-policy-void"));
        for bad in ["", "Node", "a_b", "-a", "a-", "a--b", "a b"] {
            assert!(!kebab(bad), "{bad}");
        }
    }
}
