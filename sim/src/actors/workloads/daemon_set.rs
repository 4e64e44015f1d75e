//! DaemonSets: one pod on every node that fits, none elsewhere; old pods replaced unless the strategy is OnDelete.

use std::collections::BTreeMap;

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::super::{Actor, Pass};
use super::{create_pod, delete_pod, generated, int_or_percent, pod_of, tell, template_hash};
use crate::{objects, selector};

/// Label with the template's hash.
const REVISION: &str = "controller-revision-hash";

/// Taints every pod of a DaemonSet tolerates, added by its controller.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// The controller of DaemonSets.
pub(super) struct DaemonSets;

impl Actor for DaemonSets {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        for set in view.all(&Resource::DAEMON_SETS) {
            let mut pods: BTreeMap<&str, &Value> = BTreeMap::new();
            for pod in view.pods_of(objects::uid(set)) {
                pods.insert(objects::node_of(pod), pod);
            }
            one(pass, set, &pods);
        }
    }
}

fn one(pass: &mut Pass<'_>, set: &Value, pods: &BTreeMap<&str, &Value>) {
    let hash = template_hash(set);
    let mut spec = set["spec"]["template"]["spec"].clone();
    let mut tolerations = objects::list(&spec, "/tolerations").to_vec();
    let mut added: Vec<(&str, &str)> = TOLERATED.to_vec();
    if objects::flag(&spec, "/hostNetwork") {
        added.push(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    }
    tolerations.extend(added.iter().map(|(key, effect)| json!({ "key": key, "operator": "Exists", "effect": effect })));
    // The scheduler sees unreadiness as NoSchedule; DaemonSet pods come all the same.
    tolerations.push(json!({ "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoSchedule" }));
    spec["tolerations"] = json!(tolerations);

    let view = pass.view;
    let (mut desired, mut current, mut ready, mut updated, mut misplaced) = (0, 0, 0, 0, 0);
    let mut old: Vec<&Value> = Vec::new();
    for node in view.all(&Resource::NODES) {
        let name = objects::name(node);
        let fits = selector::selects_node(&spec, node) && !selector::repels(&spec, node);
        desired += i64::from(fits);
        match pods.get(name) {
            Some(pod) if !fits => {
                misplaced += 1;
                if !objects::deleting(pod) {
                    delete_pod(pass, pod);
                }
            }
            Some(pod) if objects::ended(pod) && !objects::deleting(pod) => delete_pod(pass, pod),
            Some(pod) => {
                current += 1;
                ready += i64::from(objects::ready(pod));
                if objects::label(pod, REVISION) == Some(hash.as_str()) {
                    updated += 1;
                } else if !objects::deleting(pod) {
                    old.push(pod);
                }
            }
            None if fits => {
                let pod_name = generated(pass, set, name);
                let mut pod = pod_of(set, &pod_name, &[(REVISION, &hash)]);
                pod["spec"] = spec.clone();
                pod["spec"]["nodeName"] = json!(name);
                create_pod(pass, &pod);
            }
            None => {}
        }
    }
    if objects::text(set, "/spec/updateStrategy/type") != "OnDelete" {
        let allowed =
            int_or_percent(set.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable"), desired, 1, true);
        let mut unavailable = desired - ready;
        old.sort_by_key(|pod| objects::ready(pod));
        for pod in old {
            let costs = i64::from(objects::ready(pod));
            if costs == 0 || unavailable < allowed.max(1) {
                unavailable += costs;
                delete_pod(pass, pod);
            }
        }
    }
    let status = json!({
        "currentNumberScheduled": current,
        "desiredNumberScheduled": desired,
        "numberAvailable": ready,
        "numberMisscheduled": misplaced,
        "numberReady": ready,
        "numberUnavailable": desired - ready,
        "observedGeneration": set["metadata"]["generation"],
        "updatedNumberScheduled": updated,
    });
    tell(pass, &Resource::DAEMON_SETS, set, &status);
}
