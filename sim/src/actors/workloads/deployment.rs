//! Deployments, by way of their ReplicaSets: rolling updates within maxSurge and maxUnavailable.

use std::sync::Arc;

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::super::{Actor, Pass};
use super::{active, count, create_pod, delete_pod, generated, int_or_percent, owned_by, pod_of, tell, template_hash};
use crate::objects;

/// Label with the template's hash.
const HASH: &str = "pod-template-hash";
/// Annotation with the number of the revision.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The controllers of Deployments and ReplicaSets.
pub(super) struct Deployments;

impl Actor for Deployments {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        for deployment in view.all(&Resource::DEPLOYMENTS) {
            let sets = view.all(&Resource::REPLICA_SETS).iter();
            let sets: Vec<_> = sets.filter(|set| objects::controlled_by(set, objects::uid(deployment))).collect();
            one(pass, deployment, &sets);
        }
    }
}

fn one(pass: &mut Pass<'_>, deployment: &Value, sets: &[&Arc<Value>]) {
    let hash = template_hash(deployment);
    let replicas = objects::number(deployment, "/spec/replicas", 1);
    let newest = sets.iter().map(|set| revision(set)).max().unwrap_or(0);
    let Some(current) = sets.iter().find(|set| objects::label(set, HASH) == Some(hash.as_str())) else {
        create_set(pass, deployment, &hash, newest + 1);
        return;
    };
    if revision(current) < newest {
        pass.annotate(&Resource::REPLICA_SETS, current, &[(REVISION, &(newest + 1).to_string())]);
        return;
    }
    if objects::annotation(deployment, REVISION) != objects::annotation(current, REVISION) {
        pass.annotate(&Resource::DEPLOYMENTS, deployment, &[(REVISION, &newest.to_string())]);
        return;
    }
    let view = pass.view;
    let of = |set: &Value| view.pods_of(objects::uid(set));
    let fresh = &of(current);
    let old: Vec<&Arc<Value>> =
        sets.iter().filter(|set| objects::uid(set) != objects::uid(current)).flat_map(|set| of(set)).collect();

    let strategy = &deployment["spec"]["strategy"];
    let recreate = objects::text(strategy, "/type") == "Recreate";
    let default = (replicas * 25 + 99) / 100;
    let surge = int_or_percent(strategy.pointer("/rollingUpdate/maxSurge"), replicas, default, true);
    let missing =
        int_or_percent(strategy.pointer("/rollingUpdate/maxUnavailable"), replicas, replicas * 25 / 100, false);
    let (surge, missing) = if recreate { (0, replicas) } else { (surge, missing.max(i64::from(surge == 0))) };

    let (live, live_old) = (count(fresh, active), count(&old, active));
    let room = if recreate && !old.is_empty() { 0 } else { replicas + surge - live - live_old };
    for number in 0..(replicas - live).min(room).max(0) {
        let name = generated(pass, current, &number.to_string());
        create_pod(pass, &pod_of(current, &name, &[]));
    }
    for pod in fresh.iter().filter(|pod| active(pod)).rev().take(usize::try_from(live - replicas).unwrap_or(0)) {
        delete_pod(pass, pod);
    }
    let (ready, ready_old) = (count(fresh, objects::ready), count(&old, objects::ready));
    let mut spare = ready + ready_old - (replicas - missing);
    for pod in old.iter().filter(|pod| active(pod)) {
        if !objects::ready(pod) {
            delete_pod(pass, pod);
        } else if spare > 0 {
            spare -= 1;
            delete_pod(pass, pod);
        }
    }
    for set in sets {
        tell_set(pass, set, &of(set), if objects::uid(set) == objects::uid(current) { replicas } else { 0 });
    }
    let enough = ready + ready_old >= replicas - missing;
    let done = ready >= replicas && live_old == 0;
    let status = json!({
        "availableReplicas": ready + ready_old,
        "observedGeneration": deployment["metadata"]["generation"],
        "readyReplicas": ready + ready_old,
        "replicas": live + live_old,
        "unavailableReplicas": (replicas - ready - ready_old).max(0),
        "updatedReplicas": live,
        "conditions": [
            { "type": "Available", "status": if enough { "True" } else { "False" },
              "reason": if enough { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" } },
            { "type": "Progressing", "status": "True",
              "reason": if done { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" } },
        ],
    });
    tell(pass, &Resource::DEPLOYMENTS, deployment, &status);
}

fn revision(set: &Value) -> i64 {
    objects::annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn create_set(pass: &mut Pass<'_>, deployment: &Value, hash: &str, revision: i64) {
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = json!(hash);
    let set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", objects::name(deployment)),
            "namespace": objects::namespace(deployment),
            "labels": template["metadata"]["labels"],
            "annotations": { REVISION: revision.to_string() },
            "ownerReferences": owned_by(deployment),
        },
        "spec": { "replicas": deployment["spec"]["replicas"], "selector": selector, "template": template },
    });
    let answer = pass.cluster.create(&Resource::REPLICA_SETS, &set);
    pass.attempt(answer);
}

fn tell_set(pass: &mut Pass<'_>, set: &Value, pods: &[&Arc<Value>], replicas: i64) {
    if objects::number(set, "/spec/replicas", 1) != replicas {
        let operation = json!({ "op": "add", "path": "/spec/replicas", "value": replicas });
        pass.patch(&Resource::REPLICA_SETS, set, vec![operation]);
        return;
    }
    let ready = count(pods, objects::ready);
    let status = json!({
        "availableReplicas": ready,
        "observedGeneration": set["metadata"]["generation"],
        "readyReplicas": ready,
        "replicas": count(pods, active),
    });
    tell(pass, &Resource::REPLICA_SETS, set, &status);
}
