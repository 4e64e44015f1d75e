//! `policies/verdicts/kube-ovn.tsv`: manifests of every era of Kube-OVN through `check --manifests`.

use std::path::Path;

use ovncilium_core::facts::kube_ovn::Owner;
use ovncilium_core::facts::manifests::{self, File};
use ovncilium_core::facts::{Facts, Source};
use ovncilium_core::policy::Evaluation;
use ovncilium_policy_host::BUILTINS;
use serde_json::Value;

use crate::judge::now;
use crate::program::{root, run, shared};
use crate::table::{Table, cell};

const PATH: &str = "policies/verdicts/kube-ovn.tsv";
const FACTS: [&str; 14] = [
    "namespace",
    "version",
    "owned_by",
    "enable_lb",
    "enable_np",
    "enable_lb_svc",
    "flags_in",
    "writer",
    "conf_name",
    "conf_dir",
    "network_type",
    "iface",
    "mtu",
    "non_primary",
];

fn table() -> Table {
    let columns: Vec<&str> = FACTS.into_iter().chain(["exit"]).collect();
    Table::new(&["manifests"], &columns).with_policies()
}

fn folder(path: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn our_own_manifests_are_judged_as_the_table_says() {
    let mut found = table();
    for file in folder(&root().join("kubectl-ovncilium/tests/verdicts/kube-ovn")) {
        found.push(judged(&file));
    }
    found.must_be(PATH, "our own manifests", true);
}

#[test]
fn recorded_releases_are_judged_as_the_table_says() {
    let Some(recorded) = shared("fixtures/kube-ovn") else { return };
    let mut found = table();
    for file in folder(&recorded) {
        found.push(judged(&file));
    }
    found.must_be(PATH, "recorded releases", false);
}

/// The facts as the program derives them, the verdicts as the binary tells them.
fn judged(file: &Path) -> Vec<String> {
    let output = run(&["check", "--manifests", &file.display().to_string(), "-o", "json"], b"", &[]);
    let mut row = vec![stem(file)];
    row.extend(facts(file));
    row.push(output.code.to_string());
    let evaluation = told(&output.stdout);
    row.extend(
        BUILTINS.iter().map(|policy| evaluation.as_ref().map_or_else(|| "-".to_owned(), |told| cell(told, policy))),
    );
    if evaluation.is_none() {
        assert!(!output.stderr.is_empty(), "{}: the binary says neither verdict nor reason", file.display());
    }
    row
}

/// What `-o json` holds of an evaluation; nothing when there was none.
fn told(stdout: &[u8]) -> Option<Evaluation> {
    let report: Value = serde_json::from_slice(stdout).ok()?;
    serde_json::from_value(report).ok()
}

fn facts(file: &Path) -> Vec<String> {
    let content = std::fs::read(file).unwrap();
    let name = file.display().to_string();
    let none = |why: &str| {
        FACTS.iter().map(|column| if *column == "namespace" { why.to_owned() } else { "-".to_owned() }).collect()
    };
    let Ok(manifests) = manifests::read(&[File { name: &name, content: &content }]) else {
        return none("(unreadable)");
    };
    let facts: Facts = manifests.facts(Source::Manifests { paths: vec![name] }, now());
    let Ok(kube_ovn) = facts.kube_ovn.value.as_result() else { return none("(unknown)") };
    let Ok(one) = kube_ovn.the_one() else { return none("(not one)") };
    let json = serde_json::to_value(one).unwrap();
    let cell = |pointer: &str| match json.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let owner = match &one.owner {
        Owner::Manifest => "manifest".to_owned(),
        Owner::Helm { release, namespace } => format!("helm {namespace}/{release}"),
        Owner::External { by, object } => format!("{by} {object}"),
    };
    FACTS
        .iter()
        .map(|column| match *column {
            "owned_by" => owner.clone(),
            "namespace" | "version" => cell(&format!("/{column}")),
            "enable_lb" | "enable_np" | "enable_lb_svc" | "flags_in" => cell(&format!("/controller/{column}")),
            column => cell(&format!("/cni/{column}")),
        })
        .collect()
}
