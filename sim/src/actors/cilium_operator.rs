//! Cilium's operator: takes its lock and registers the CRDs when it starts, taints nodes without agent, and hunts unmanaged kube-dns pods.
//!
//! It reads `cilium-config` at start only, so that a change of the ConfigMap alone changes nothing. With
//! `set-cilium-node-taints` it taints every node where an agent is scheduled and not ready; with
//! `remove-cilium-node-taints` it takes the taint away when the agent is. With an `unmanaged-pod-watcher-interval` it
//! deletes one `k8s-app=kube-dns` pod without endpoint, older than 30 s, per interval, which is endless while the
//! replacement is unmanaged too (cilium/cilium#6839, #9145).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use ovncilium_core::plan::Resource;
use ovncilium_core::plan::writes::OPERATOR_LOCK;
use serde_json::{Value, json};

use super::{Actor, Pass, cilium_crds};
use crate::objects;

/// Time from the start of the container to the CRDs.
const REGISTERS_AFTER: Duration = Duration::from_secs(2);
/// Age from which a pod without endpoint counts as unmanaged.
const UNMANAGED_AGE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Process {
    pod: String,
    namespace: String,
    since: Timestamp,
    settings: BTreeMap<String, String>,
    registered: bool,
    last_hunt: Timestamp,
}

/// The operator: its leading process.
#[derive(Debug, Default)]
pub struct CiliumOperator {
    process: Option<Process>,
}

impl Actor for CiliumOperator {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        let is_operator = |pod: &Value| {
            objects::label(pod, "io.cilium/app") == Some("operator")
                && objects::text(pod, "/status/phase") == "Running"
                && !objects::deleting(pod)
        };
        let pods: Vec<_> = view.all(&Resource::PODS).iter().filter(|pod| is_operator(pod)).collect();
        let alive = |process: &Process| pods.iter().any(|pod| objects::uid(pod) == process.pod);
        if self.process.as_ref().is_none_or(|process| !alive(process)) {
            self.process = pods.first().map(|pod| Process {
                pod: objects::uid(pod).to_owned(),
                namespace: objects::namespace(pod).to_owned(),
                since: pass.now,
                settings: config(pass, objects::namespace(pod)),
                registered: false,
                last_hunt: pass.now,
            });
        }
        let Some(process) = &mut self.process else { return };
        if !process.registered {
            if !pass.due(process.since, REGISTERS_AFTER) {
                return;
            }
            lock(pass, &process.namespace);
            register(pass);
            process.registered = true;
        }
        taint(pass, &process.settings);
        hunt(pass, process);
    }
}

/// Data of `cilium-config` in a namespace.
pub(crate) fn config(pass: &Pass<'_>, namespace: &str) -> BTreeMap<String, String> {
    let found = pass.view.find(&Resource::CONFIG_MAPS, namespace, "cilium-config");
    let data = found.and_then(|map| map.get("data")?.as_object());
    let pairs = data.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    pairs.collect()
}

/// Makes the Lease by which operators agree on a leader; nobody removes it.
fn lock(pass: &mut Pass<'_>, namespace: &str) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "namespace": namespace, "name": OPERATOR_LOCK },
        "spec": { "leaseDurationSeconds": 15 },
    });
    let answer = pass.cluster.create(&Resource::LEASES, &lease);
    pass.attempt(answer);
}

fn register(pass: &mut Pass<'_>) {
    let view = pass.view;
    for definition in cilium_crds::definitions() {
        if view.find(&Resource::CUSTOM_RESOURCES, "", objects::name(&definition)).is_none() {
            let answer = pass.cluster.create(&Resource::CUSTOM_RESOURCES, &definition);
            pass.attempt(answer);
        }
    }
}

fn enabled(settings: &BTreeMap<String, String>, key: &str) -> bool {
    settings.get(key).is_some_and(|value| value == "true")
}

fn taint(pass: &mut Pass<'_>, settings: &BTreeMap<String, String>) {
    let (sets, removes) = (enabled(settings, "set-cilium-node-taints"), enabled(settings, "remove-cilium-node-taints"));
    if !sets && !removes {
        return;
    }
    let default = "node.cilium.io/agent-not-ready".to_owned();
    let taint_key = settings.get("agent-not-ready-taint-key").unwrap_or(&default);
    let view = pass.view;
    for node in view.all(&Resource::NODES) {
        let agents: Vec<_> =
            view.pods_on(objects::name(node)).filter(|pod| objects::label(pod, "k8s-app") == Some("cilium")).collect();
        let ready = agents.iter().any(|pod| objects::ready(pod));
        let taints = objects::list(node, "/spec/taints");
        let tainted = taints.iter().any(|taint| objects::text(taint, "/key") == taint_key);
        let mut wanted: Vec<Value> =
            taints.iter().filter(|taint| objects::text(taint, "/key") != taint_key).cloned().collect();
        if sets && !ready && !agents.is_empty() && !tainted {
            wanted.push(json!({ "key": taint_key, "effect": "NoSchedule" }));
        } else if !(removes && ready && tainted) {
            continue;
        }
        let operation = if wanted.is_empty() {
            json!({ "op": "remove", "path": "/spec/taints" })
        } else {
            json!({ "op": "add", "path": "/spec/taints", "value": wanted })
        };
        pass.patch(&Resource::NODES, node, vec![operation]);
    }
}

fn hunt(pass: &mut Pass<'_>, process: &mut Process) {
    let interval = process.settings.get("unmanaged-pod-watcher-interval").map(|text| text.trim_end_matches('s'));
    let seconds: u64 = interval.and_then(|text| text.parse().ok()).unwrap_or(0);
    if seconds == 0 || !pass.due(process.last_hunt, Duration::from_secs(seconds)) {
        return;
    }
    process.last_hunt = pass.now;
    let view = pass.view;
    let managed: BTreeSet<(&str, &str)> =
        view.all(&Resource::CILIUM_ENDPOINTS).iter().map(|e| (objects::namespace(e), objects::name(e))).collect();
    let old = |pod: &Value| {
        let made: Option<Timestamp> = objects::text(pod, "/status/startTime").parse().ok();
        made.is_some_and(|made| made + UNMANAGED_AGE <= pass.now)
    };
    let prey = view.all(&Resource::PODS).iter().find(|pod| {
        objects::label(pod, "k8s-app") == Some("kube-dns")
            && !objects::host_network(pod)
            && !objects::deleting(pod)
            && old(pod)
            && !managed.contains(&(objects::namespace(pod), objects::name(pod)))
    });
    if let Some(pod) = prey {
        let object = Resource::PODS.named(objects::namespace(pod), objects::name(pod));
        let answer = pass.cluster.delete(&object, Some(objects::uid(pod)));
        pass.attempt(answer);
    }
}
