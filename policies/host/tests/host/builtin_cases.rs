//! Every built-in policy, and the example, judges its cases through WebAssembly as it does natively.

use std::collections::BTreeSet;

use ovncilium_core::facts::{Facts, Source, Subject};
use ovncilium_core::policy::Verdict;
use ovncilium_policy_host::{BUILTINS, Catalog, DocumentSource, EvaluateOptions, PolicyConfig, evaluate};
use ovncilium_policy_sdk::testing::{Case, load_cases, mismatch};

use crate::support::{Values, builtin, facts, file, now, policies};

#[test]
fn built_in_modules_judge_their_cases_as_natively() {
    let mut wrong = Vec::new();
    let mut ran = 0;
    for id in BUILTINS {
        let only = BUILTINS.iter().filter(|other| *other != id).fold(builtin(), |all, other| all.without(other));
        for (path, case) in load_cases(policies().join("builtin").join(id).join("cases")) {
            ran += 1;
            wrong.extend(
                judge(&only, id, &case).map(|difference| format!("{}: {}: {difference}", path.display(), case.name)),
            );
        }
    }
    assert!(wrong.is_empty(), "{} of {ran} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a policy says where all is well, where it is not, and where it cannot know: each is shown by a case, which the test above
/// holds to what the module really says.
#[test]
fn every_policy_shows_a_pass_a_failure_and_an_open_question() {
    let mut missing = Vec::new();
    for id in BUILTINS {
        let cases = load_cases(policies().join("builtin").join(id).join("cases"));
        let shown: BTreeSet<&str> =
            cases.iter().flat_map(|(_, case)| &case.expect).map(|expected| expected.verdict.as_str()).collect();
        let lacks = ["pass", "fail", "unknown"].into_iter().filter(|verdict| !shown.contains(verdict));
        missing.extend(lacks.map(|verdict| format!("{id} has no case that expects `{verdict}`")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_example_judges_its_cases_as_natively() {
    let mut wrong = Vec::new();
    for (path, case) in load_cases(policies().join("examples/org-labels/cases")) {
        let text = format!(
            "apiVersion: ovncilium.io/v1alpha1\nkind: PolicyConfig\npolicies: [{{file: x.wasm, settings: {}}}]",
            case.settings
        );
        let config = PolicyConfig::parse("p.yaml", &text, |_| Ok(file("dist/examples/org-labels.wasm"))).unwrap();
        let catalog = Catalog::empty().with_config(config);
        wrong.extend(judge(&catalog, "org-labels", &case).map(|d| format!("{}: {}: {d}", path.display(), case.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the module makes of a case that differs from what the case expects.
fn judge(catalog: &Catalog, id: &str, case: &Case) -> Option<String> {
    let mut facts = facts(&case.facts);
    for (name, why) in &case.unknown {
        set_unknown(&mut facts, name, why);
    }
    let documents = case.documents.clone().map(Values);
    if documents.is_some() && case.facts.is_empty() {
        facts.source = Source::Offline;
    }
    let stream = documents.as_ref().map(|documents| documents as &dyn DocumentSource);
    let evaluation = evaluate(catalog, &facts.into(), stream, &EvaluateOptions::at(now()));
    if let Some(fault) = evaluation.faults.iter().find(|fault| fault.policy == id) {
        return Some(fault.to_string());
    }
    let findings: Vec<_> = evaluation.findings.iter().filter(|f| f.policy.as_str() == id).map(as_sdk).collect();
    mismatch(&case.expect, &findings)
}

fn set_unknown(facts: &mut Facts, name: &str, why: &str) {
    macro_rules! set {
        ($($subject:literal => $field:ident),* $(,)?) => {
            match name {
                $($subject => facts.$field = Subject::unknown(why),)*
                other => panic!("there is no fact {other}"),
            }
        };
    }
    set!(
        "nodes" => nodes, "kube-ovn" => kube_ovn, "networks" => networks, "cilium" => cilium, "addresses" => addresses,
        "services" => services, "multus" => multus, "workloads" => workloads, "permissions" => permissions, "tools" => tools,
        "conflists" => conflists, "node-os" => node_os, "intent" => intent,
    );
}

fn as_sdk(finding: &ovncilium_core::policy::Finding) -> ovncilium_policy_sdk::Finding {
    use ovncilium_policy_sdk::Finding;
    let (rule, message) = (finding.rule.as_str(), finding.message.as_str());
    let new = match finding.verdict {
        Verdict::Pass => Finding::pass(rule).message(message),
        Verdict::Fail => Finding::fail(rule, message),
        Verdict::Unknown => Finding::unknown(rule, message),
        Verdict::Skip => Finding::skip(rule, message),
    };
    Finding {
        subject: finding.subject.clone(),
        remedy: finding.remedy.clone(),
        document: finding.document,
        pointer: finding.pointer.clone(),
        ..new
    }
}
