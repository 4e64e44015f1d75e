//! Steps that many tests take.

pub(crate) use std::time::Duration;

pub(crate) use ovncilium_core::plan::action::{AGENT_LABEL, CHAINED_LABEL, TASK_LABEL};
pub(crate) use ovncilium_core::plan::{ObjectRef, Resource};
pub(crate) use ovncilium_engine::world::{Charts, Clock, Cluster, ClusterError, Eviction, Filter};
pub(crate) use ovncilium_sim::{Actors, Fault, SimCluster, User, When, example, objects};
pub(crate) use serde_json::{Value, json};

pub(crate) const PLAIN: &str = "01-kube-ovn.conflist";
pub(crate) const CHAINED: &str = "01-cilium.conflist";

pub(crate) fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Values as the migration stages them: no file, audit, agents on labelled nodes, nothing restarted.
pub(crate) fn staged() -> Value {
    json!({
        "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": AGENT_LABEL, "operator": "Exists" }] },
        ]}}},
        "cni": { "chainingMode": "generic-veth", "chainingTarget": "kube-ovn", "customConf": true, "exclusive": false },
        "enableIPv4Masquerade": false,
        "enableIPv6Masquerade": false,
        "envoy": { "enabled": false },
        "ipam": { "mode": "cluster-pool", "operator": { "clusterPoolIPv4PodCIDRList": ["100.65.0.0/16"] } },
        "operator": { "replicas": 1, "setNodeTaints": false, "unmanagedPodWatcher": { "restart": false } },
        "policyAuditMode": true,
        "routingMode": "native",
        "updateStrategy": { "type": "OnDelete" },
    })
}

pub(crate) fn install(sim: &SimCluster) {
    sim.upgrade("cilium", "kube-system", &staged(), &mut || Ok(())).unwrap();
    sim.sleep(seconds(20));
    let config = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNodeConfig",
        "metadata": { "name": "ovncilium-chain", "namespace": "kube-system" },
        "spec": {
            "nodeSelector": { "matchLabels": { CHAINED_LABEL: "true" } },
            "defaults": {
                "write-cni-conf-when-ready": format!("/host/etc/cni/net.d/{CHAINED}"),
                "cni-chaining-mode": "generic-veth",
                "cni-chaining-target": "kube-ovn",
            },
        },
    });
    sim.create(&Resource::CILIUM_NODE_CONFIGS, &config).unwrap();
}

pub(crate) fn label(sim: &SimCluster, node: &str, key: &str, set: bool) {
    let path = format!("/metadata/labels/{}", key.replace('/', "~1"));
    let operation = if set {
        json!({ "op": "add", "path": path, "value": "true" })
    } else {
        json!({ "op": "remove", "path": path })
    };
    sim.json_patch(&Resource::NODES.named("", node), &json!([operation])).unwrap();
}

pub(crate) fn agent(sim: &SimCluster, node: &str) -> Option<Value> {
    let pods = sim.list(&Resource::PODS, &Filter::on_node(node).labelled("k8s-app=cilium")).unwrap();
    pods.into_iter().find(|pod| !objects::deleting(pod))
}

pub(crate) fn restart_agent(sim: &SimCluster, node: &str) {
    let pod = agent(sim, node).unwrap();
    sim.delete(&reference(&pod), Some(objects::uid(&pod))).unwrap();
}

pub(crate) fn await_agent(sim: &SimCluster, node: &str) {
    for _ in 0..60 {
        sim.sleep(Duration::from_millis(500));
        if agent(sim, node).is_some_and(|pod| objects::ready(&pod)) {
            return;
        }
    }
    panic!("no ready agent on {node} after 30 s: {:?}", sim.nodes().get(node).unwrap().agent);
}

pub(crate) fn reference(pod: &Value) -> ObjectRef {
    Resource::PODS.named(objects::namespace(pod), objects::name(pod))
}

/// An agent on the node, restarted with the chained settings.
pub(crate) fn chain(sim: &SimCluster, node: &str) {
    label(sim, node, AGENT_LABEL, true);
    await_agent(sim, node);
    label(sim, node, CHAINED_LABEL, true);
    restart_agent(sim, node);
    await_agent(sim, node);
}

pub(crate) fn pod_on(sim: &SimCluster, node: &str, name: &str, labels: &Value, container: &Value, host_network: bool) {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": "kube-system", "name": name, "labels": labels },
        "spec": {
            "activeDeadlineSeconds": 60, "containers": [container], "hostNetwork": host_network, "nodeName": node,
            "restartPolicy": "Never", "tolerations": [{ "operator": "Exists" }],
        },
    });
    sim.create(&Resource::PODS, &pod).unwrap();
}

pub(crate) fn run_task(sim: &SimCluster, node: &str, task: &str, environment: &[(&str, &str)]) -> String {
    let env: Vec<Value> = environment.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let name = format!("ovncilium-{task}-1");
    let container = json!({ "name": "task", "image": "x", "env": env });
    pod_on(sim, node, &name, &json!({ TASK_LABEL: task }), &container, task != "canary");
    let object = Resource::PODS.named("kube-system", &name);
    for _ in 0..120 {
        sim.sleep(Duration::from_millis(500));
        let pod = sim.get(&object).unwrap().unwrap();
        if objects::ended(&pod) {
            sim.delete(&object, Some(objects::uid(&pod))).unwrap();
            let state = "/status/containerStatuses/0/state/terminated/message";
            return objects::text(&pod, state).to_owned();
        }
    }
    panic!("{name} did not end");
}

pub(crate) fn endpoint(sim: &SimCluster, namespace: &str, name: &str) -> Option<Value> {
    sim.get(&Resource::CILIUM_ENDPOINTS.named(namespace, name)).unwrap()
}
