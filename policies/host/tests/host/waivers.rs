//! Waivers skip what they name, until they expire; faults they never touch.

use ovncilium_core::facts::{Facts, Source};
use ovncilium_core::policy::{Gate, Severity, Verdict};
use ovncilium_policy_host::{Catalog, EvaluateOptions, PolicyConfig, evaluate};

use crate::support::{builtin, hostile, now, run};

fn config(waiver: &str) -> PolicyConfig {
    let text = format!("apiVersion: ovncilium.io/v1alpha1\nkind: PolicyConfig\nwaivers:\n- {waiver}\n");
    PolicyConfig::parse("org.yaml", &text, |_| Ok(vec![])).unwrap()
}

fn catalog(module: &str, waiver: &str) -> Catalog {
    Catalog::empty().with_module(hostile(module), module, None).with_config(config(waiver))
}

#[test]
fn a_waiver_skips_its_finding_until_the_end_of_its_last_day() {
    let catalog =
        catalog("deny", "{policy: wat-deny, rule: change-window, reason: agreed in CHG-7, expires: 2026-06-01}");
    let evaluation = run(&catalog);
    assert_eq!(evaluation.gate(), Gate::Open);
    let [finding] = evaluation.findings.as_slice() else { panic!("{:?}", evaluation.findings) };
    assert_eq!((finding.severity, finding.verdict), (Severity::Error, Verdict::Skip));
    assert_eq!(finding.message, "waived until 2026-06-01: agreed in CHG-7 (it was fail: the change window is closed)");
}

#[test]
fn an_expired_waiver_is_told_and_not_applied() {
    let catalog = catalog("deny", "{policy: wat-deny, rule: change-window, reason: old, expires: 2026-05-31}");
    let evaluation = run(&catalog);
    assert_eq!(evaluation.gate(), Gate::Denied);
    assert_eq!(evaluation.findings[1].id(), "waivers/expired");
    assert_eq!(evaluation.findings[1].severity, Severity::Info);
}

#[test]
fn a_waiver_for_another_subject_or_rule_waives_nothing() {
    let other =
        catalog("deny", "{policy: wat-deny, rule: change-window, subject: node/x, reason: r, expires: 2026-12-31}");
    assert_eq!(run(&other).gate(), Gate::Denied);
    let evaluation = run(&catalog("deny", "{policy: wat-deny, rule: change-windw, reason: r, expires: 2026-12-31}"));
    assert_eq!(evaluation.gate(), Gate::Denied);
    assert_eq!(evaluation.findings[1].id(), "waivers/names-a-rule");
}

#[test]
fn a_waiver_for_a_policy_that_was_not_asked_is_no_slip() {
    let told = |policy: &str| {
        let waiver = format!("{{policy: {policy}, rule: no-l7-rules, reason: r, expires: 2026-12-31}}");
        let facts = Facts::unknown(Source::Offline, now(), "documents only").into();
        let catalog = builtin().with_config(config(&waiver));
        let evaluation = evaluate(&catalog, &facts, None, &EvaluateOptions::at(now()));
        evaluation.findings.iter().map(|finding| finding.id()).collect::<Vec<_>>()
    };
    assert_eq!(told("l7-policy-void"), [""; 0]);
    assert_eq!(told("l7-policy-viod"), ["waivers/names-a-rule"]);
}

#[test]
fn a_fault_cannot_be_waived() {
    let evaluation = run(&catalog("trap", "{policy: wat-trap, rule: never, reason: r, expires: 2026-12-31}"));
    assert_eq!(evaluation.gate(), Gate::CouldNotJudge);
}
