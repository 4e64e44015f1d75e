//! What the policies say of facts and a stream, and what must never come of knowing less.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use ovncilium_core::facts::Facts;
use ovncilium_core::policy::{Evaluation, Gate, Verdict};
use ovncilium_core::render::Stream;
use ovncilium_policy_host::{Catalog, CompiledCache, DocumentSource, EvaluateOptions, evaluate};

/// The moment all tests happen at.
pub(crate) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// The built-in modules, compiled once.
pub(crate) fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
        Catalog::builtin().with_cache(CompiledCache::at(concat!(env!("CARGO_TARGET_TMPDIR"), "/verdicts/compiled")))
    });
    &CATALOG
}

/// Asks every built-in policy; no fault is expected.
pub(crate) fn ask(facts: &Facts, stream: Option<&Stream>) -> Evaluation {
    let documents = stream.map(|stream| stream as &dyn DocumentSource);
    let evaluation = evaluate(catalog(), &facts.clone().into(), documents, &EvaluateOptions::at(now()));
    assert_eq!(evaluation.faults, [], "no module is at fault");
    evaluation
}

/// What knowing less has turned the wrong way, in words: a closed gate that opens (of all, or of one policy), a rule that did not
/// hold or had no answer and now passes, more passes than before.
pub(crate) fn gains(before: &Evaluation, after: &Evaluation) -> Vec<String> {
    let mut gains = Vec::new();
    let opened = |before: Gate, after: Gate| before != Gate::Open && after == Gate::Open;
    if opened(before.gate(), after.gate()) {
        gains.push("gate".to_owned());
    }
    for module in &before.modules {
        let policy = module.policy.as_str();
        let (before, after) = (only(before, policy), only(after, policy));
        if opened(before.gate(), after.gate()) {
            gains.push(format!("{policy}: gate"));
        }
        let passed =
            |evaluation: &Evaluation| evaluation.findings.iter().filter(|f| f.verdict == Verdict::Pass).count();
        if passed(&after) > passed(&before) {
            gains.push(format!("{policy}: passes"));
        }
        let (was, is) = (worst(&before), worst(&after));
        for (rule, _) in was.iter().filter(|(_, verdict)| **verdict >= Verdict::Unknown) {
            if is.get(rule) == Some(&Verdict::Pass) {
                gains.push(format!("{policy}/{rule}"));
            }
        }
    }
    gains
}

fn only(evaluation: &Evaluation, policy: &str) -> Evaluation {
    let mut one = evaluation.clone();
    one.modules.retain(|module| module.policy.as_str() == policy);
    one.findings.retain(|finding| finding.policy.as_str() == policy);
    one
}

/// The worst that was said about each rule; a rule that does not apply to one subject may hold for another.
fn worst(evaluation: &Evaluation) -> BTreeMap<String, Verdict> {
    let mut worst: BTreeMap<String, Verdict> = BTreeMap::new();
    for finding in &evaluation.findings {
        let rank = |verdict: Verdict| match verdict {
            Verdict::Skip => 0,
            Verdict::Pass => 1,
            Verdict::Unknown => 2,
            Verdict::Fail => 3,
        };
        let said = worst.entry(finding.rule.to_string()).or_insert(finding.verdict);
        if rank(finding.verdict) > rank(*said) {
            *said = finding.verdict;
        }
    }
    worst
}

/// Every rule with every verdict, subject and message: what must be the same where nothing that matters has changed.
pub(crate) fn said(evaluation: &Evaluation) -> BTreeSet<String> {
    let all = evaluation.findings.iter();
    all.map(|f| format!("{} {} {:?} {}", f.id(), f.verdict, f.subject, f.message)).collect()
}
