//! Taking any single fact away never turns a denial or an open question into agreement: every subject, every field, one by one.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use ovncilium_core::facts::file::{self, FileError};
use ovncilium_core::facts::{Facts, NAMES};
use ovncilium_core::policy::Gate;
use serde_json::{Value, json};

use crate::judge::{ask, gains, said};
use crate::start::{Start, cases, clusters, example, full};

/// What may open when this is taken away, and why that is right. `*` stands for one word of a path.
struct Exception {
    taken: &'static str,
    gains: &'static [&'static str],
    because: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        taken: "conflists",
        gains: &["gate", "cni-conf-order: gate"],
        because: "the node tier is read on request only; that it was not is told by the warning nodes-read, and `migrate` reads it",
    },
    Exception {
        taken: "intent/conf_name",
        gains: &["gate", "cni-conf-order: gate", "cni-conf-order: passes", "cni-conf-order/node-order"],
        because: "it is the question, not a fact: with no name nobody asks whether that name sorts first",
    },
    Exception {
        taken: "conflists/nodes/*/files/*/name",
        gains: &[
            "cni-conf-order: gate",
            "cni-conf-order: passes",
            "cni-conf-order/node-order",
            "cni-conf-order/no-leftovers",
        ],
        because: "a directory has no file without a name",
    },
    Exception {
        taken: "networks/subnets/*/not_ready",
        gains: &["kube-ovn-health: passes", "kube-ovn-health/subnets-ready"],
        because: "it is the complaint of a subnet; one that has none is ready, and the rule is a warning",
    },
    Exception {
        taken: "kube-ovn/installations/*/controller/flags/pod-nic-type",
        gains: &["veth-only: gate", "veth-only: passes", "veth-only/default-veth"],
        because: "a flag that is not given has its default, a veth pair",
    },
    Exception {
        taken: "kube-ovn/installations/*/controller/flags/default-ls",
        gains: &["kube-ovn-health: passes", "kube-ovn-health/default-network"],
        because: "a flag that is not given has its default, ovn-default, and the rule is a warning",
    },
];

/// One thing less to know.
struct Less {
    /// Where: `nodes/items/0/kernel`.
    path: String,
    /// What was done: `unknown`, `removed`, `null`, `empty`.
    how: &'static str,
    json: Value,
}

/// Every way to know one thing less: a subject that is unknown; in it each field removed, null, and, where it is text, empty. Of
/// long lists the first and the last element are enough: they are of one type.
fn less(facts: &Facts) -> Vec<Less> {
    let whole = serde_json::to_value(facts).unwrap();
    let mut all = Vec::new();
    for name in NAMES {
        let field = name.replace('-', "_");
        let Some(known) = whole[&field]["value"].get("known") else { continue };
        let mut json = whole.clone();
        json[&field] = json!({ "value": { "unknown": "it was taken away" } });
        all.push(Less { path: (*name).to_owned(), how: "unknown", json });
        let mut paths = Vec::new();
        walk(known, String::new(), &mut paths);
        for path in paths {
            let at = format!("/{field}/value/known{path}");
            let (parent, last) = at.rsplit_once('/').unwrap();
            let mut with = |how, change: &dyn Fn(&mut Value, &str)| {
                let mut json = whole.clone();
                change(json.pointer_mut(parent).unwrap(), &last.replace("~1", "/").replace("~0", "~"));
                all.push(Less { path: format!("{name}{path}"), how, json });
            };
            if whole.pointer(parent).unwrap().is_object() {
                with("removed", &|parent, last| drop(parent.as_object_mut().unwrap().remove(last)));
                with("null", &|parent, last| parent[last] = Value::Null);
                if whole.pointer(&at).unwrap().as_str().is_some_and(|text| !text.is_empty()) {
                    with("empty", &|parent, last| parent[last] = json!(""));
                }
            }
        }
    }
    all
}

fn walk(value: &Value, path: String, paths: &mut Vec<String>) {
    if !path.is_empty() {
        paths.push(path.clone());
    }
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                walk(value, format!("{path}/{}", field.replace('~', "~0").replace('/', "~1")), paths);
            }
        }
        Value::Array(items) => {
            let some: BTreeSet<usize> =
                [0, items.len().saturating_sub(1)].into_iter().filter(|i| *i < items.len()).collect();
            some.into_iter().for_each(|index| walk(&items[index], format!("{path}/{index}"), paths));
        }
        _ => {}
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(path).all(|(a, b)| *a == "*" || *a == b)
}

/// Judges every way to know less, and gives what went the wrong way; exceptions that were needed are put into `used`.
fn wrong(start: &Start, used: &mut BTreeSet<usize>) -> (usize, Vec<String>) {
    let before = ask(&start.facts, Some(&start.stream));
    let (mut judged, mut wrong) = (0, Vec::new());
    for less in less(&start.facts) {
        let Ok(facts) = serde_json::from_value::<Facts>(less.json) else { continue };
        judged += 1;
        let after = ask(&facts, Some(&start.stream));
        for gain in gains(&before, &after) {
            if documents_alone(&facts) && gain.starts_with("chart-chaining: ") {
                assert_ne!(after.gate(), Gate::Open, "{}: {} {}", start.name, less.path, less.how);
                continue;
            }
            let known = EXCEPTIONS.iter().position(|e| fits(e.taken, &less.path) && e.gains.contains(&gain.as_str()));
            match known {
                Some(exception) => drop(used.insert(exception)),
                None => wrong.push(format!("{}: {} {}: gained {gain}", start.name, less.path, less.how)),
            }
        }
    }
    (judged, wrong)
}

/// Whether nothing is left of the cluster that a chart could hurt. Then the chart is judged by itself, as with `--offline`, and the
/// policies about the cluster have no answer.
fn documents_alone(facts: &Facts) -> bool {
    let unknown: BTreeSet<&str> = facts.unknowns().into_iter().map(|(name, _)| name).collect();
    ["kube-ovn", "addresses", "workloads", "cilium"].iter().all(|name| unknown.contains(name))
}

#[test]
fn knowing_less_of_a_cluster_never_passes_more() {
    let mut used = BTreeSet::new();
    never_more(&clusters(), &mut used);
    for (index, exception) in EXCEPTIONS.iter().enumerate() {
        assert!(used.contains(&index), "{} ({}) is no exception any more", exception.taken, exception.because);
    }
}

#[test]
fn knowing_less_of_a_case_never_passes_more() {
    never_more(&cases(), &mut BTreeSet::new());
}

fn never_more(starts: &[Start], used: &mut BTreeSet<usize>) {
    let (mut judged, mut all) = (0, Vec::new());
    for start in starts {
        let (count, wrong) = wrong(start, used);
        judged += count;
        all.extend(wrong);
    }
    assert!(judged > 1000, "{judged}");
    assert!(all.is_empty(), "{} of {judged}:\n{}", all.len(), all.join("\n"));
}

/// The walk is worth something only while there is something to take away, and while each kind of breakage closes a gate.
#[test]
fn the_starts_hold_every_field_and_every_verdict() {
    let whole = serde_json::to_value(full()).unwrap();
    let mut hollow = Vec::new();
    for name in NAMES {
        let known = &whole[&name.replace('-', "_")]["value"]["known"];
        let mut paths = Vec::new();
        walk(known, String::new(), &mut paths);
        assert!(!paths.is_empty(), "full() does not know {name}");
        let anything = |path: &&String| match known.pointer(path).unwrap() {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        // One element of a list that has it is enough.
        let shape = |path: &String| {
            let parts = path.split('/').map(|part| if part.parse::<usize>().is_ok() { "*" } else { part });
            parts.collect::<Vec<_>>().join("/")
        };
        let filled: BTreeSet<String> = paths.iter().filter(anything).map(shape).collect();
        let all: BTreeSet<String> = paths.iter().map(shape).collect();
        hollow.extend(all.difference(&filled).map(|path| format!("{name}{path}")));
    }
    assert!(hollow.is_empty(), "full() has nothing in {}: fill it, so that it can be taken away", hollow.join(", "));
    for start in clusters() {
        let gate = ask(&start.facts, Some(&start.stream)).gate();
        let open = matches!(start.name.as_str(), "example" | "old helm" | "future Cilium" | "no default subnet");
        assert_eq!(gate == Gate::Open, open, "{}", start.name);
    }
}

/// What has no meaning without one of its fields is not read at all, from whatever file it comes.
#[test]
fn facts_of_another_shape_are_refused() {
    let mut refused = 0;
    for less in less(&full()) {
        let mut shapes = vec![less.json.clone()];
        let at =
            less.path.split_once('/').map(|(name, rest)| format!("/{}/value/known/{rest}", name.replace('-', "_")));
        if let Some(place) = at.filter(|_| less.how == "null").and_then(|at| shapes[0].pointer_mut(&at)) {
            *place = json!({ "unreadable": ["\u{fffd}"] });
        } else if serde_json::from_value::<Facts>(less.json.clone()).is_ok() {
            continue;
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let facts = shapes.remove(0);
        let text = json!({ "format": "ovncilium-facts", "schema": 1, "digest": digest, "facts": facts }).to_string();
        let error = file::read(&text).err();
        let shape = matches!(error, Some(FileError::Shape { .. }));
        // A map of texts takes texts only; a fact that is free JSON would be an exception to this test.
        assert!(shape, "{} {}: {error:?}", less.path, less.how);
        refused += 1;
    }
    println!("{refused} facts of another shape were refused");
    assert!(refused > 200, "{refused}");
}

/// Age alone changes no verdict of `check`; whoever acts on facts asks how old they are (`post-render --max-age`).
#[test]
fn older_facts_are_judged_as_they_were() {
    for start in clusters() {
        let before = said(&ask(&start.facts, Some(&start.stream)));
        let mut older = serde_json::to_value(&start.facts).unwrap();
        let long_ago = example().collected_at - SignedDuration::from_hours(24 * 400);
        for name in NAMES {
            let subject = &mut older[&name.replace('-', "_")];
            if subject.get("observed_at").is_some() {
                subject["observed_at"] = json!(long_ago);
            }
        }
        older["collected_at"] = json!(long_ago);
        let facts: Facts = serde_json::from_value(older).unwrap();
        assert_eq!(said(&ask(&facts, Some(&start.stream))), before, "{}", start.name);
    }
}
