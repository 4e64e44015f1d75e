//! Modules that mean harm are stopped, are faults, and never a verdict.

use std::time::Duration;

use ovncilium_core::policy::{FaultKind, Gate, Severity, Verdict};
use ovncilium_policy_host::{Catalog, EvaluateOptions, Limits, evaluate};

use crate::support::{hostile, no_facts, now, run};

fn catalog(name: &str) -> Catalog {
    Catalog::empty().with_module(hostile(name), format!("{name}.wat"), None)
}

#[test]
fn a_denial_in_hand_written_text_is_a_verdict() {
    let evaluation = run(&catalog("deny"));
    assert_eq!(evaluation.faults, []);
    assert_eq!(evaluation.gate(), Gate::Denied);
    let [finding] = evaluation.findings.as_slice() else { panic!("{:?}", evaluation.findings) };
    assert_eq!(finding.id(), "wat-deny/change-window");
    assert_eq!((finding.severity, finding.verdict), (Severity::Error, Verdict::Fail));
    assert_eq!(finding.title, "the organisation's change window is open");
    assert_eq!(finding.message, "the change window is closed");
    assert_eq!(finding.remedy.as_deref(), Some("ask the change board to open the window"));
}

#[test]
fn each_way_to_misbehave_is_its_own_fault() {
    for (name, kind, word) in [
        ("loop", FaultKind::Budget, "loops without end"),
        ("trap", FaultKind::Trap, "unreachable"),
        ("allocate", FaultKind::Memory, "67108864 bytes of memory"),
        ("deep-recursion", FaultKind::Trap, "nest too deeply"),
        ("huge-output", FaultKind::Output, "answered more than it may"),
        ("undeclared-fact", FaultKind::UndeclaredFact, "fact `nodes`"),
    ] {
        // Little fuel and much time: on a busy machine too it is the fuel that ends.
        let limits = Limits { fuel: 100_000_000, time: Duration::from_secs(120), ..Limits::default() };
        let options = EvaluateOptions { limits, ..EvaluateOptions::at(now()) };
        let evaluation = evaluate(&catalog(name), &no_facts().into(), None, &options);
        assert_eq!(evaluation.findings, [], "{name}");
        assert_eq!(evaluation.gate(), Gate::CouldNotJudge, "{name}");
        let fault = &evaluation.faults[0];
        assert_eq!(fault.kind, kind, "{name}: {fault:?}");
        assert!(fault.message.contains(word), "{name}: {}", fault.message);
        assert_eq!(fault.policy, format!("wat-{name}"));
        assert!(fault.module.is_some() && !fault.remedy.is_empty(), "{name}: {fault:?}");
    }
}

#[test]
fn time_stops_what_fuel_does_not() {
    let limits = Limits { fuel: u64::MAX / 2, time: Duration::from_millis(200), ..Limits::default() };
    let options = EvaluateOptions { limits, ..EvaluateOptions::at(now()) };
    let evaluation = evaluate(&catalog("loop"), &no_facts().into(), None, &options);
    assert_eq!(evaluation.faults[0].kind, FaultKind::Budget);
    assert!(evaluation.faults[0].message.contains("its time"), "{}", evaluation.faults[0].message);
}

#[test]
fn a_fault_beside_a_denial_does_not_hide_it() {
    let both = catalog("trap").with_module(hostile("deny"), "deny.wat", None);
    let evaluation = run(&both);
    assert_eq!(evaluation.faults.len(), 1);
    assert_eq!(evaluation.gate(), Gate::Denied);
}

#[test]
fn fuel_is_the_same_on_every_run() {
    let fuel = || run(&catalog("deny")).modules[0].fuel;
    let first = fuel();
    assert!(first > 0);
    assert_eq!(first, fuel());
}

#[test]
fn nothing_of_one_run_reaches_the_next() {
    let catalog = catalog("deny");
    assert_eq!(run(&catalog).findings, run(&catalog).findings);
}
