//! What real helm makes of the real chart: chained where it chains, denied exactly where it does not.

use std::path::{Path, PathBuf};

use ovncilium_core::facts::{Facts, Source};
use ovncilium_core::policy::{Gate, Severity, Verdict};
use ovncilium_core::render::Stream;
use ovncilium_policy_host::{Catalog, DocumentSource, EvaluateOptions, evaluate};

use crate::support::{builtin, now};

/// Recorded streams, when they are there: `$OVNCILIUM_SHARED`, or `shared` beside the repository.
fn recorded() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("OVNCILIUM_SHARED").map_or(beside, PathBuf::from);
    Some(shared.join("fixtures/cilium")).filter(|folder| folder.is_dir())
}

/// The error-level rules that a stream fails.
fn failed(catalog: &Catalog, file: &Path) -> (Gate, Vec<String>) {
    let stream = Stream::parse(&std::fs::read(file).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let facts = Facts::unknown(Source::Offline, now(), "documents are judged by themselves");
    let evaluation =
        evaluate(catalog, &facts.into(), Some(&stream as &dyn DocumentSource), &EvaluateOptions::at(now()));
    assert_eq!(evaluation.faults, [], "{}", file.display());
    let asked: Vec<&str> = evaluation.modules.iter().map(|module| module.policy.as_str()).collect();
    assert_eq!(asked, ["chart-chaining"], "offline only those that have something to read are asked");
    let failed = evaluation.findings.iter().filter(|f| f.severity == Severity::Error && f.verdict == Verdict::Fail);
    let rules = failed.map(|finding| {
        assert!(finding.document.is_some() && finding.pointer.is_some() && finding.remedy.is_some(), "{finding:?}");
        assert!(finding.source.as_deref().is_some_and(|s| s.ends_with("cilium-configmap.yaml")), "{finding:?}");
        finding.rule.to_string()
    });
    (evaluation.gate(), rules.collect())
}

#[test]
fn recorded_streams_are_denied_exactly_where_they_do_not_chain() {
    let Some(folder) = recorded() else {
        eprintln!("skipped: no recorded streams (set OVNCILIUM_SHARED)");
        return;
    };
    let catalog = builtin();
    let mut judged = 0;
    for version in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = version.file_name().unwrap().to_string_lossy().into_owned();
        for case in ["chaining", "kube-proxy-free", "seed", "reset-values"] {
            for dialect in ["helm3", "helm4"] {
                let file = version.join(format!("{case}.{dialect}.yaml"));
                if !file.is_file() {
                    continue;
                }
                judged += 1;
                let expected: &[&str] = match case {
                    "chaining" | "kube-proxy-free" => &[],
                    // The old guide's `tunnel=disabled` is ignored by the charts 1.15.0 to 1.15.7.
                    "seed" if name == "1.15.5" => &["native-routing"],
                    "seed" => &[],
                    _ => &["chaining-mode", "native-routing", "ipv4-masquerade-off", "not-exclusive"],
                };
                let (gate, rules) = failed(&catalog, &file);
                assert_eq!(rules, expected, "{}", file.display());
                let open = if expected.is_empty() { Gate::Open } else { Gate::Denied };
                assert_eq!(gate, open, "{}", file.display());
            }
        }
    }
    assert!(judged >= 20, "{judged}");
    eprintln!("{judged} recorded streams judged");
}
