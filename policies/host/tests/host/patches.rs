//! Patches come only from modules that were granted `mutate`, and never touch each other.

use ovncilium_core::facts::{Facts, Source};
use ovncilium_core::policy::{Evaluation, FaultKind};
use ovncilium_policy_host::{Catalog, DocumentSource, EvaluateOptions, PolicyConfig, evaluate};
use serde_json::json;

use crate::support::{Values, hostile, now};

fn judge(modules: &[(&str, Vec<u8>, bool)]) -> Evaluation {
    let list: Vec<_> = modules.iter().map(|(name, _, mutate)| json!({"file": name, "mutate": mutate})).collect();
    let text = json!({"apiVersion": "ovncilium.io/v1alpha1", "kind": "PolicyConfig", "policies": list}).to_string();
    let load = |path: &str| Ok(modules.iter().find(|(name, ..)| *name == path).unwrap().1.clone());
    let catalog = Catalog::empty().with_config(PolicyConfig::parse("org.yaml", &text, load).unwrap());
    let documents = Values(vec![json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})]);
    let facts = Facts::unknown(Source::Offline, now(), "offline");
    evaluate(&catalog, &facts.into(), Some(&documents as &dyn DocumentSource), &EvaluateOptions::at(now()))
}

#[test]
fn a_patch_needs_the_grant() {
    let evaluation = judge(&[("patch.wat", hostile("patch"), false)]);
    assert_eq!(evaluation.faults[0].kind, FaultKind::BadAnswer);
    assert!(evaluation.faults[0].message.contains("`mutate`"), "{}", evaluation.faults[0].message);

    let evaluation = judge(&[("patch.wat", hostile("patch"), true)]);
    assert_eq!(evaluation.faults, []);
    let finding = &evaluation.findings[0];
    assert!(finding.patch.as_ref().unwrap().contains("/metadata/labels"));
    assert_eq!((finding.document, finding.source.as_deref()), (Some(0), Some("chart/templates/test.yaml")));
}

#[test]
fn the_later_of_two_patches_of_one_place_is_at_fault() {
    let text = String::from_utf8(hostile("patch")).unwrap();
    let renamed = text.replace("\"wat-patch\"", "\"wat-other\"").into_bytes();
    let evaluation = judge(&[("patch.wat", hostile("patch"), true), ("other.wat", renamed, true)]);
    assert_eq!(evaluation.findings.len(), 1);
    assert_eq!((evaluation.faults[0].policy.as_str(), evaluation.faults[0].kind), ("wat-other", FaultKind::BadAnswer));
    assert!(evaluation.faults[0].message.contains("wat-patch/labels"), "{}", evaluation.faults[0].message);
}

#[test]
fn without_a_stream_documents_are_not_asked() {
    let catalog = Catalog::empty().with_module(hostile("patch"), "patch.wat", None);
    let evaluation = crate::support::run(&catalog);
    assert_eq!((evaluation.modules.len(), evaluation.findings.len(), evaluation.faults.len()), (0, 0, 0));
}
