//! The list of built-in policies: complete, fixed, and not to be shortened in silence.

use std::collections::BTreeSet;

use ovncilium_core::Digest;
use ovncilium_core::facts::{Facts, Source};
use ovncilium_core::policy::{Evaluation, FaultKind, Gate, Verdict};
use ovncilium_policy_host::catalog::split_pin;
use ovncilium_policy_host::{BUILTINS, Catalog, DocumentSource, EvaluateOptions, evaluate};
use serde_json::json;

use crate::support::{Values, builtin, file, hostile, now, policies, run};

fn folders(of: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(policies().join(of)).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().join("Cargo.toml").is_file());
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_policy_folder_is_registered_documented_and_says_its_id() {
    let registered: BTreeSet<String> = BUILTINS.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(folders("builtin"), registered, "policies/builtin and `builtins!` in policies/host/src/catalog.rs");
    for (id, described) in BUILTINS.iter().zip(builtin().describe()) {
        let described = described.unwrap();
        assert_eq!(*id, described.id);
        let page = policies().parent().unwrap().join("docs/checks").join(format!("{id}.md"));
        let page = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for rule in &described.rules {
            assert!(page.contains(&format!("`{}`", rule.id)), "docs/checks/{id}.md does not name the rule {}", rule.id);
            assert!(!rule.title.is_empty() && !rule.help.is_empty(), "{id}/{}", rule.id);
        }
    }
}

#[test]
fn the_digests_written_beside_the_modules_are_theirs() {
    for ((name, digest), id) in builtin().digests().into_iter().zip(BUILTINS) {
        assert_eq!(name, *id);
        assert_eq!(digest, Digest::of(file(&format!("dist/{id}.wasm"))), "{id}: run `cargo xtask policies`");
    }
}

#[test]
fn a_built_in_module_that_is_not_asked_wants_none_of_the_scopes_asked() {
    // Offline with no stream nothing is asked, so nothing may be loaded; each module's own words must agree.
    for described in builtin().describe() {
        let described = described.unwrap();
        let expected: &[&str] = match described.id.as_str() {
            "chart-chaining" => &["stream"],
            "l7-policy-void" => &["cluster", "stream"],
            _ => &["cluster"],
        };
        assert_eq!(described.scopes, expected, "{}", described.id);
    }
}

#[test]
fn a_built_in_module_that_is_left_out_for_lack_of_documents_would_have_skipped() {
    let dist = |name: &str| Ok(std::fs::read(policies().join("dist").join(name)).ok());
    // From a directory every module is asked.
    let (some, all) = (builtin(), Catalog::builtin_from(dist));
    let policy = |kind: &str| json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": {"name": "a"}});
    let list = |kind: &str, item| json!({"apiVersion": "cilium.io/v2", "kind": kind, "items": [item]});
    let streams = [
        (vec![], false),
        (vec![json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cilium-config"}})], false),
        (vec![policy("CiliumNetworkPolicy")], true),
        (vec![policy("CiliumClusterwideNetworkPolicy")], true),
        (vec![list("CiliumNetworkPolicyList", json!({"metadata": {"name": "a"}}))], true),
        (vec![list("List", policy("CiliumNetworkPolicy"))], true),
        (vec![list("", policy("CiliumNetworkPolicy"))], true),
    ];
    for (documents, asked) in streams {
        let stream = Values(documents);
        let judge = |catalog: &Catalog| {
            let facts = Facts::unknown(Source::Offline, now(), "documents only").into();
            evaluate(catalog, &facts, Some(&stream as &dyn DocumentSource), &EvaluateOptions::at(now()))
        };
        let said = |evaluation: Evaluation| {
            let all = evaluation.findings.into_iter().filter(|finding| finding.policy.as_str() == "l7-policy-void");
            all.collect::<Vec<_>>()
        };
        let (some, all) = (judge(&some), judge(&all));
        assert_eq!(some.gate(), all.gate());
        assert_eq!(some.modules.iter().any(|module| module.policy.as_str() == "l7-policy-void"), asked);
        let (some, all) = (said(some), said(all));
        if asked { assert_eq!(some, all) } else { assert!(all.iter().all(|finding| finding.verdict == Verdict::Skip)) }
    }
}

#[test]
fn a_built_in_module_taken_away_is_missing_and_shuts_the_gate() {
    let evaluation = run(&builtin().without("node-kernel"));
    let [fault] = evaluation.faults.as_slice() else { panic!("{:?}", evaluation.faults) };
    assert_eq!((fault.policy.as_str(), fault.kind), ("node-kernel", FaultKind::Missing));
    assert_eq!(evaluation.gate(), Gate::CouldNotJudge);
}

#[test]
fn a_policy_directory_serves_the_same_modules_and_lacks_none_in_silence() {
    let dist = |name: &str| Ok(std::fs::read(policies().join("dist").join(name)).ok());
    let whole = run(&Catalog::builtin_from(dist));
    assert_eq!(whole.faults, []);
    assert_eq!(whole.findings, run(&builtin()).findings);

    let lacking = Catalog::builtin_from(|name| if name == "address-plan.wasm" { Ok(None) } else { dist(name) });
    let [fault] = &run(&lacking).faults[..] else { panic!() };
    assert_eq!((fault.policy.as_str(), fault.kind), ("address-plan", FaultKind::Missing));

    let swapped =
        Catalog::builtin_from(|name| dist(if name == "address-plan.wasm" { "node-kernel.wasm" } else { name }));
    let [fault] = &run(&swapped).faults[..] else { panic!() };
    assert_eq!((fault.policy.as_str(), fault.kind), ("address-plan", FaultKind::WrongDigest));

    let empty = run(&Catalog::builtin_from(|_| Ok(None)));
    assert_eq!(empty.faults.len(), BUILTINS.iter().filter(|id| **id != "chart-chaining").count() + 1);
}

#[test]
fn nobody_can_pose_as_a_built_in_policy_or_come_twice() {
    let posing = builtin().without("node-kernel").with_module(file("dist/node-kernel.wasm"), "mine.wasm", None);
    let faults = run(&posing).faults;
    assert!(faults.iter().any(|fault| fault.policy == "mine.wasm" && fault.kind == FaultKind::BadAnswer), "{faults:?}");
    let twice =
        Catalog::empty().with_module(hostile("deny"), "a.wat", None).with_module(hostile("deny"), "b.wat", None);
    let evaluation = run(&twice);
    assert_eq!((evaluation.findings.len(), evaluation.faults.len()), (1, 1));
    assert_eq!(evaluation.faults[0].policy, "b.wat");
}

#[test]
fn a_pin_is_split_from_its_file() {
    let pin = Digest::of("x");
    assert_eq!(split_pin(&format!("a@b.wasm@{pin}")), Ok(("a@b.wasm", Some(pin))));
    assert_eq!(split_pin("dir/a@b.wasm"), Ok(("dir/a@b.wasm", None)));
    assert!(split_pin("a.wasm@sha256:short").is_err());
}

#[test]
fn the_catalog_digest_covers_modules_settings_and_waivers() {
    let plain = builtin().digest();
    assert_eq!(plain, builtin().digest());
    assert_ne!(plain, builtin().without("node-kernel").digest());
    assert_ne!(plain, builtin().with_module(hostile("deny"), "x", None).digest());
}
