//! StatefulSets: pods with fixed names, one after the other.

use std::sync::Arc;

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::super::{Actor, Pass};
use super::{count, create_pod, delete_pod, pod_of, tell, template_hash};
use crate::objects;

/// Label with the template's hash.
const REVISION: &str = "controller-revision-hash";

/// The controller of StatefulSets.
pub(super) struct StatefulSets;

impl Actor for StatefulSets {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        for set in view.all(&Resource::STATEFUL_SETS) {
            one(pass, set, &view.pods_of(objects::uid(set)));
        }
    }
}

fn one(pass: &mut Pass<'_>, set: &Value, pods: &[&Arc<Value>]) {
    let replicas = objects::number(set, "/spec/replicas", 1);
    let hash = format!("{}-{}", objects::name(set), template_hash(set));
    let parallel = objects::text(set, "/spec/podManagementPolicy") == "Parallel";
    for ordinal in 0..replicas {
        let name = format!("{}-{ordinal}", objects::name(set));
        match pods.iter().find(|pod| objects::name(pod) == name) {
            None => {
                let labels = [
                    (REVISION, hash.as_str()),
                    ("statefulset.kubernetes.io/pod-name", name.as_str()),
                    ("apps.kubernetes.io/pod-index", &ordinal.to_string()),
                ];
                create_pod(pass, &pod_of(set, &name, &labels));
                if !parallel {
                    break;
                }
            }
            Some(pod) if objects::ended(pod) && !objects::deleting(pod) => delete_pod(pass, pod),
            Some(pod) if !objects::ready(pod) && !parallel => break,
            Some(_) => {}
        }
    }
    let ready = count(pods, objects::ready);
    let current = |pod: &Value| objects::label(pod, REVISION) == Some(hash.as_str());
    let updated = count(pods, current);
    let rolling = objects::text(set, "/spec/updateStrategy/type") != "OnDelete";
    if rolling
        && ready == replicas
        && let Some(pod) = pods.iter().rev().find(|pod| !current(pod))
    {
        delete_pod(pass, pod);
    }
    let status = json!({
        "availableReplicas": ready,
        "currentReplicas": updated,
        "observedGeneration": set["metadata"]["generation"],
        "readyReplicas": ready,
        "replicas": pods.len(),
        "updatedReplicas": updated,
        "updateRevision": hash,
    });
    tell(pass, &Resource::STATEFUL_SETS, set, &status);
}
