//! What kube-controller-manager and kube-scheduler do, for the pretend cluster only: beside a real API server the
//! real ones run.
//!
//! As far as a migration can notice: which pods exist where, which are replaced in what order, what the status fields
//! of workloads and budgets say. No quotas, priorities, preemption, volumes or topology beyond the host name.

mod budget;
mod daemon_set;
mod deployment;
mod job;
mod scheduler;
mod stateful_set;

use std::sync::Arc;

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::{Actor, Pass};
use crate::jitter::Jitter;
use crate::objects;

/// Controllers and scheduler.
pub fn all() -> Vec<Box<dyn Actor>> {
    vec![
        Box::new(deployment::Deployments),
        Box::new(stateful_set::StatefulSets),
        Box::new(daemon_set::DaemonSets),
        Box::new(job::Jobs),
        Box::new(scheduler::Scheduler),
        Box::new(budget::Budgets),
    ]
}

/// Letters that stand for a pod template: the same template has the same letters.
fn template_hash(workload: &Value) -> String {
    Jitter(0).suffix(&workload["spec"]["template"].to_string(), 10)
}

/// An owner reference of a controller.
fn owned_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": objects::name(owner), "uid": objects::uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    }])
}

/// A pod of a workload's template, with labels of its controller.
fn pod_of(owner: &Value, name: &str, labels: &[(&str, &str)]) -> Value {
    let template = &owner["spec"]["template"];
    let mut metadata = json!({
        "name": name,
        "namespace": objects::namespace(owner),
        "labels": template["metadata"].get("labels").cloned().unwrap_or_else(|| json!({})),
        "ownerReferences": owned_by(owner),
    });
    if let Some(annotations) = template["metadata"].get("annotations") {
        metadata["annotations"] = annotations.clone();
    }
    for (key, value) in labels {
        metadata["labels"][*key] = json!(value);
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// A name as the API server generates it; another one in the next round.
fn generated(pass: &Pass<'_>, owner: &Value, what: &str) -> String {
    let letters = pass.jitter.suffix(&format!("{}/{what}/{}", objects::uid(owner), pass.now), 5);
    format!("{}-{letters}", objects::name(owner))
}

fn create_pod(pass: &mut Pass<'_>, pod: &Value) {
    let answer = pass.cluster.create(&Resource::PODS, pod);
    pass.attempt(answer);
}

fn delete_pod(pass: &mut Pass<'_>, pod: &Value) {
    let object = Resource::PODS.named(objects::namespace(pod), objects::name(pod));
    let answer = pass.cluster.delete(&object, Some(objects::uid(pod)));
    pass.attempt(answer);
}

/// Writes the status of a workload if it says something new.
fn tell(pass: &mut Pass<'_>, resource: &Resource, workload: &Value, status: &Value) {
    let same = status.as_object().is_some_and(|fields| {
        fields.iter().all(|(field, value)| workload["status"].get(field).unwrap_or(&Value::Null) == value)
    });
    if !same {
        pass.status(resource, workload, status);
    }
}

/// An integer or a percentage of `total`, as Kubernetes rounds it.
fn int_or_percent(value: Option<&Value>, total: i64, default: i64, up: bool) -> i64 {
    match value {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(default),
        Some(Value::String(text)) => match text.trim_end_matches('%').parse::<i64>() {
            Ok(percent) if text.ends_with('%') => (total * percent + if up { 99 } else { 0 }) / 100,
            Ok(number) => number,
            Err(_) => default,
        },
        _ => default,
    }
}

/// How many; counts of pods fit.
fn count<'a>(pods: impl IntoIterator<Item = &'a &'a Arc<Value>>, wanted: impl Fn(&Value) -> bool) -> i64 {
    i64::try_from(pods.into_iter().filter(|pod| wanted(pod)).count()).unwrap_or(i64::MAX)
}

/// Whether a pod counts for its workload: neither ended nor on its way out.
fn active(pod: &Value) -> bool {
    !objects::deleting(pod) && !objects::ended(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_kubernetes_does() {
        assert_eq!(int_or_percent(Some(&json!("25%")), 6, 0, true), 2);
        assert_eq!(int_or_percent(Some(&json!("25%")), 6, 0, false), 1);
        assert_eq!(int_or_percent(Some(&json!("100%")), 1, 0, false), 1);
        assert_eq!(int_or_percent(Some(&json!(3)), 6, 0, false), 3);
        assert_eq!(int_or_percent(None, 6, 1, false), 1);
    }
}
