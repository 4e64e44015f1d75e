//! Every change of ours is preceded by a durable intent that names it.
//!
//! The journal is read back from the requests that wrote it, in time order: what was acknowledged before a change arrived
//! is what the journal held then. An intent that was written later, or that names another object, does not count.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_core::{
    ids::StepId,
    journal::{Entry, Mark, Record},
    plan::writes::{LOCK, OUR_PREFIX},
};
use serde_json::Value;

use super::{OPERATOR, asked, name, text, told};
use crate::audit::{Audit, Event};

/// The live records by subject.
type Open = BTreeMap<String, Record>;

/// Changes of the operator without an intent before them.
pub(in crate::scenarios) fn unannounced(audit: &Audit) -> Vec<String> {
    let mut written = written(audit);
    written.sort_by_key(|(time, ..)| *time);
    let mut changes: Vec<&Event> = audit.changes_by(OPERATOR).filter(|event| !is_journal(event)).collect();
    changes.sort_by_key(|event| event.received);
    let homes = homes(audit);
    let mut next = written.into_iter().peekable();
    let mut open = Open::new();
    let mut wrong = Vec::new();
    for change in changes {
        while let Some((_, record)) = next.next_if(|(time, _)| *time <= change.received) {
            match record {
                Ok(record) => drop(open.insert(record.subject.clone(), record)),
                Err(message) => wrong.push(message),
            }
        }
        if let Err(why) = announced(change, &open, &homes) {
            wrong.push(format!("{}: {why}", told(change)));
        }
    }
    wrong
}

/// As [`unannounced`], but for the pods that looked at nodes before there was a run: a plan that takes over is made of what they tell.
pub(in crate::scenarios) fn unannounced_by_the_run(audit: &Audit) -> Vec<String> {
    let begun = audit.changes_by(OPERATOR).find(|event| is_journal(event)).map(|event| event.received);
    let before = |event: &&Event| begun.is_none_or(|begun| event.received < begun);
    let looks: Vec<&str> = audit
        .changes_by(OPERATOR)
        .filter(|event| event.resource == "pods" && event.verb == "create" && event.subresource.is_empty())
        .filter(before)
        .map(name)
        .filter(|pod| pod.starts_with("ovncilium-probe-"))
        .collect();
    let wrong = unannounced(audit).into_iter();
    wrong.filter(|line| !looks.iter().any(|pod| line.contains(pod))).collect()
}

/// How many changes there are to be announced; an oracle over nothing proves nothing.
pub(in crate::scenarios) fn announced_changes(audit: &Audit) -> usize {
    audit.changes_by(OPERATOR).filter(|event| !is_journal(event)).count()
}

/// Whether a step whose id begins so was begun here, and has not ended in the same breath.
pub(in crate::scenarios) fn begins(audit: &Audit, step: &str) -> bool {
    let records = written(audit).into_iter().filter_map(|(_, record)| record.ok());
    let newest: Open = records.map(|record| (record.subject.clone(), record)).collect();
    let mut entries = newest.values().flat_map(|record| &record.entries);
    entries.any(|entry| entry.mark == Mark::Intent && entry.step.as_str().starts_with(step))
}

/// When every step of these runs was in work; without an end when none was written.
pub(in crate::scenarios) fn in_work(audit: &Audit) -> Vec<(StepId, Timestamp, Option<Timestamp>)> {
    let mut steps: BTreeMap<(Timestamp, StepId), Option<Timestamp>> = BTreeMap::new();
    for entry in written(audit).into_iter().filter_map(|(_, record)| record.ok()).flat_map(|record| record.entries) {
        let end = steps.entry((entry.begun_at, entry.step)).or_default();
        *end = end.or(entry.done_at);
    }
    steps.into_iter().map(|((begun, step), end)| (step, begun, end)).collect()
}

/// The journal itself and the lock.
fn is_journal(event: &Event) -> bool {
    (event.resource == "configmaps" && name(event).starts_with(OUR_PREFIX))
        || (event.resource == "leases" && name(event) == LOCK)
}

/// Every record that was written, and when it was acknowledged.
fn written(audit: &Audit) -> Vec<(Timestamp, Result<Record, String>)> {
    audit
        .changes_by(OPERATOR)
        .filter(|event| {
            event.resource == "configmaps"
                && event.namespace == "kube-system"
                && name(event).starts_with("ovncilium-record-")
                && matches!(event.verb.as_str(), "create" | "update")
        })
        .map(|event| {
            let record = serde_json::from_str(asked(event, "/data/record"));
            (event.time, record.map_err(|error| format!("{}: no record in it: {error}", told(event))))
        })
        .collect()
}

/// The node of every task pod, by the pod's name.
fn homes(audit: &Audit) -> BTreeMap<String, String> {
    audit
        .changes_by(OPERATOR)
        .filter(|event| event.resource == "pods" && event.verb == "create" && event.subresource.is_empty())
        .map(|event| (name(event).to_owned(), asked(event, "/spec/nodeName").to_owned()))
        .collect()
}

/// Whether an intent that was open when `change` arrived names what it changed.
fn announced(change: &Event, open: &Open, homes: &BTreeMap<String, String>) -> Result<(), String> {
    let object = name(change);
    if change.user_agent.contains("Helm/") {
        let steps = ["set-release", "remove-release", "set-release-flags"];
        return any(open, "cluster", &|entry| steps.iter().any(|step| is(entry, step)));
    }
    match (change.resource.as_str(), change.subresource.as_str(), change.verb.as_str()) {
        ("pods", "eviction", "create") => {
            let uid = asked(change, "/deleteOptions/preconditions/uid");
            some(open, &|entry| is(entry, "recycle") && !uid.is_empty() && says(&entry.recorded, uid))
        }
        ("pods", "", "create" | "delete") if object.starts_with(OUR_PREFIX) => match homes.get(object) {
            // A step that is tidied up removes every pod it had, whichever it named last. What is asked of the whole cluster is
            // asked on some node.
            Some(node) => {
                any(open, node, &|entry| change.verb == "delete" || says(&entry.recorded, object)).or_else(|_| {
                    any(open, "cluster", &|entry| is(entry, "await-ovn-policy") && says(&entry.recorded, object))
                })
            }
            None => Err("nobody made this pod".to_owned()),
        },
        ("pods", "", "delete") => {
            let uid = asked(change, "/preconditions/uid");
            some(open, &|entry| is(entry, "restart-agent") && !uid.is_empty() && says(&entry.recorded, uid))
        }
        ("leases", "", "delete") => {
            any(open, "cluster", &|entry| is(entry, "remove-release") && says(&entry.recorded, object))
        }
        ("nodes", "", "patch") => any(open, object, &|entry| {
            is(entry, "label-node") && writes_labels(change)
                || is(entry, "remove-taint") && removes_taint(change, text(&entry.recorded, "/taint"))
        }),
        ("daemonsets", "", "patch") => any(open, "cluster", &|entry| {
            is(entry, "limit-kube-proxy") && text(&entry.recorded, "/object").ends_with(&format!("/{object}"))
        }),
        ("deployments", "", "patch") => any(open, "cluster", &|entry| is(entry, "set-controller-flags")),
        ("ciliumnodeconfigs", "", _) => any(open, "cluster", &|entry| {
            is(entry, "node-config") && text(&entry.recorded, "/object").ends_with(&format!("/{object}"))
        }),
        ("customresourcedefinitions", "", "delete") => {
            any(open, "cluster", &|entry| is(entry, "remove-crds") && says(&entry.recorded, object))
        }
        _ => Err("no step makes such a change".to_owned()),
    }
}

/// Whether the entry's step is of this action; `node-config` is both of its two.
fn is(entry: &Entry, action: &str) -> bool {
    entry.step.as_str().split('/').any(|part| {
        part == action || part.strip_prefix("set-") == Some(action) || part.strip_prefix("remove-") == Some(action)
    })
}

/// The operations of a patch, but those that only compare.
fn operations(change: &Event) -> impl Iterator<Item = &Value> {
    let all = change.request_object.as_ref().and_then(Value::as_array).into_iter().flatten();
    all.filter(|operation| text(operation, "/op") != "test")
}

fn writes_labels(change: &Event) -> bool {
    operations(change).all(|operation| text(operation, "/path").starts_with("/metadata/labels"))
}

/// Whether a patch takes the taints of this key away, and leaves all others that it compared with.
fn removes_taint(change: &Event, key: &str) -> bool {
    let body = change.request_object.as_ref().and_then(Value::as_array);
    let tested = body.into_iter().flatten().find(|operation| text(operation, "/op") == "test");
    let before = tested.filter(|test| text(test, "/path") == "/spec/taints").and_then(|test| test["value"].as_array());
    let Some(before) = before else { return false };
    let kept: Vec<&Value> = before.iter().filter(|taint| text(taint, "/key") != key).collect();
    let mut written = operations(change);
    let (Some(one), None) = (written.next(), written.next()) else { return false };
    let after = one["value"].as_array().into_iter().flatten();
    kept.len() < before.len() && text(one, "/path") == "/spec/taints" && after.eq(kept)
}

/// Whether a text somewhere in what was recorded is `word`, or ends with it after a slash.
fn says(recorded: &Value, word: &str) -> bool {
    match recorded {
        Value::String(text) => text == word || text.rsplit('/').next() == Some(word),
        Value::Array(list) => list.iter().any(|value| says(value, word)),
        Value::Object(map) => map.values().any(|value| says(value, word)),
        _ => false,
    }
}

/// An open intent of one subject.
fn any(open: &Open, subject: &str, fits: &dyn Fn(&Entry) -> bool) -> Result<(), String> {
    let Some(record) = open.get(subject) else { return Err(format!("the journal has no record of {subject}")) };
    let found = record.entries.iter().any(|entry| entry.mark == Mark::Intent && fits(entry));
    if found { Ok(()) } else { Err(format!("no open intent of {subject} names it: {}", intents(record))) }
}

/// An open intent of whatever subject.
fn some(open: &Open, fits: &dyn Fn(&Entry) -> bool) -> Result<(), String> {
    let mut entries = open.values().flat_map(|record| &record.entries);
    if entries.any(|entry| entry.mark == Mark::Intent && fits(entry)) {
        return Ok(());
    }
    Err(format!("no open intent names it: {}", open.values().map(intents).collect::<Vec<_>>().join("; ")))
}

fn intents(record: &Record) -> String {
    let open = record.entries.iter().filter(|entry| entry.mark == Mark::Intent);
    let open: Vec<_> = open.map(|entry| format!("{} {}", entry.step, entry.recorded)).collect();
    format!("{} [{}]", record.subject, open.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::event;
    use super::*;

    fn record(at: u32, subject: &str, step: &str, mark: &str, recorded: Value) -> Event {
        let record = json!({"subject": subject, "epoch": 1, "entries": [
            {"step": step, "mark": mark, "epoch": 1, "begun_at": "2026-01-01T00:00:00Z", "recorded": recorded}]});
        let body = json!({"data": {"record": record.to_string()}});
        event(at, OPERATOR, "update", &format!("configmaps/kube-system/ovncilium-record-r-{subject}"), body)
    }

    fn eviction(at: u32, uid: &str) -> Event {
        let body = json!({"deleteOptions": {"preconditions": {"uid": uid}}});
        event(at, OPERATOR, "create", "pods/shop/web/eviction", body)
    }

    #[test]
    fn an_eviction_needs_an_intent_with_its_uid_before_it() {
        let intent = |at| record(at, "n1", "recycle/recycle/n1", "intent", json!({"evict": [["shop/web", "u1"]]}));
        assert!(unannounced(&Audit::of(vec![intent(1), eviction(2, "u1")])).is_empty());
        for (log, why) in [
            (vec![intent(3), eviction(2, "u1")], "written later"),
            (vec![intent(1), eviction(2, "u2")], "another pod"),
            (vec![record(1, "n1", "recycle/recycle/n1", "done", json!({"evict": ["u1"]})), eviction(2, "u1")], "done"),
            (vec![eviction(2, "u1")], "no journal"),
        ] {
            assert_eq!(unannounced(&Audit::of(log)).len(), 1, "{why}");
        }
    }

    #[test]
    fn only_the_newest_state_of_a_record_counts() {
        let open = record(1, "n1", "cut-over/label-node/n1", "intent", json!({"node": "n1"}));
        let done = record(2, "n1", "cut-over/label-node/n1", "done", json!({"node": "n1"}));
        let patch = |at| event(at, OPERATOR, "patch", "nodes//n1", json!([]));
        assert!(unannounced(&Audit::of(vec![open.clone(), patch(1), done.clone()])).is_empty());
        assert_eq!(unannounced(&Audit::of(vec![open, done, patch(3)])).len(), 1);
    }

    #[test]
    fn a_taint_that_goes_is_the_one_of_the_intent_and_alone() {
        let wrong = |step: &str, after: Value| {
            let intent = record(1, "n1", step, "intent", json!({"node": "n1", "taint": "ours"}));
            let body = json!([
                {"op": "test", "path": "/spec/taints", "value": [{"key": "ours"}, {"key": "theirs"}]},
                {"op": "replace", "path": "/spec/taints", "value": after},
            ]);
            unannounced(&Audit::of(vec![intent, event(2, OPERATOR, "patch", "nodes//n1", body)])).len()
        };
        assert_eq!(wrong("verify/remove-taint/n1", json!([{"key": "theirs"}])), 0);
        assert_eq!(wrong("verify/label-node/n1", json!([{"key": "theirs"}])), 1, "labels are no taints");
        for after in [json!([]), json!([{"key": "ours"}]), json!([{"key": "ours"}, {"key": "theirs"}])] {
            assert_eq!(wrong("verify/remove-taint/n1", after.clone()), 1, "{after}");
        }
        let intent = record(1, "n1", "verify/remove-taint/n1", "intent", json!({"node": "n1", "taint": "ours"}));
        let labels = json!([{"op": "remove", "path": "/metadata/labels/x"}]);
        assert_eq!(unannounced(&Audit::of(vec![intent, event(2, OPERATOR, "patch", "nodes//n1", labels)])).len(), 1);
    }

    #[test]
    fn helm_and_objects_of_the_cluster_belong_to_cluster_steps() {
        let mut helm = event(2, OPERATOR, "patch", "daemonsets.apps/kube-system/cilium", json!({}));
        helm.user_agent = "Helm/3.19.5".into();
        let set = |step| record(1, "cluster", step, "intent", json!({"release": "kube-system/cilium"}));
        assert!(unannounced(&Audit::of(vec![set("install/set-release"), helm.clone()])).is_empty());
        assert_eq!(unannounced(&Audit::of(vec![set("install/set-node-config"), helm])).len(), 1);
        let object = json!({"object": "ciliumnodeconfig kube-system/ovncilium-chain"});
        let write = event(2, OPERATOR, "create", "ciliumnodeconfigs.cilium.io/kube-system/ovncilium-chain", json!({}));
        let intent = record(1, "cluster", "install/set-node-config", "intent", object);
        assert!(unannounced(&Audit::of(vec![intent, write.clone()])).is_empty());
        assert_eq!(unannounced(&Audit::of(vec![set("install/set-node-config"), write])).len(), 1);
    }

    #[test]
    fn a_task_pod_belongs_to_the_lane_of_its_node() {
        let pod =
            event(2, OPERATOR, "create", "pods/kube-system/ovncilium-probe-1", json!({"spec": {"nodeName": "n1"}}));
        let intent = |node| record(1, node, "claim/prove-conf/n1", "intent", json!({"pod": "ovncilium-probe-1"}));
        assert!(unannounced(&Audit::of(vec![intent("n1"), pod.clone()])).is_empty());
        assert_eq!(unannounced(&Audit::of(vec![intent("n2"), pod])).len(), 1);
    }

    #[test]
    fn a_step_is_begun_by_its_intent_and_in_work_until_it_is_done() {
        let intent = record(1, "n1", "recycle/recycle/n1", "intent", json!({}));
        let mut done = intent.clone();
        let text = asked(&intent, "/data/record").replace("\"intent\"", "\"done\"");
        let text = text.replace("\"mark\"", "\"done_at\":\"2026-01-01T00:00:09Z\",\"mark\"");
        done.request_object = Some(json!({"data": {"record": text}}));
        let log = |events: &[&Event]| Audit::of(events.iter().map(|event| (*event).clone()).collect());
        assert!(begins(&log(&[&intent]), "recycle/recycle/"));
        assert!(!begins(&log(&[&intent]), "recycle/recycle/n2") && !begins(&log(&[&intent, &done]), "recycle/"));
        let steps = in_work(&log(&[&intent, &done]));
        assert_eq!((steps.len(), steps[0].0.as_str()), (1, "recycle/recycle/n1"));
        assert_eq!(steps[0].2, Some("2026-01-01T00:00:09Z".parse().unwrap()));
        assert_eq!(in_work(&log(&[&intent]))[0].2, None);
    }

    #[test]
    fn a_change_that_no_step_makes_is_wrong_and_the_journal_needs_no_intent() {
        let secret = event(1, OPERATOR, "create", "secrets/kube-system/s", json!({}));
        let lease = event(1, OPERATOR, "create", "leases.coordination.k8s.io/kube-system/ovncilium-lock", json!({}));
        assert_eq!(unannounced(&Audit::of(vec![secret])).len(), 1);
        assert!(unannounced(&Audit::of(vec![lease])).is_empty());
    }
}
