//! Half of Kube-OVN's guide, done to the example by somebody who stopped there.
//!
//! The name of Kube-OVN's file, network policy and load balancer, the ConfigMap and Cilium's release are as the guide says. On one
//! node the old file was forgotten, and of the workloads only the shop's were restarted, so that the other pods are not chained.

use std::time::Duration;

use ovncilium_core::plan::Resource;
use ovncilium_engine::world::{Charts, Cluster, ClusterError, Filter};
use serde_json::{Value, json};

use crate::charts::SimCharts;
use crate::{SimCluster, objects};

/// The node on which `01-kube-ovn.conflist` was forgotten.
pub const FORGOTTEN: &str = "worker-4";

const LIMIT: Duration = Duration::from_secs(600);

/// The file of the guide's ConfigMap, under a `network` name: `generic-veth` in the guide of old, `kube-ovn` where it was kept.
fn conflist(network: &str) -> String {
    let plugins = json!([
        { "type": "kube-ovn", "server_socket": "/run/openvswitch/kube-ovn-daemon.sock" },
        { "type": "portmap", "snat": true, "capabilities": { "portMappings": true } },
        { "type": "cilium-cni", "chaining-mode": "generic-veth" },
    ]);
    json!({ "name": network, "cniVersion": "0.3.1", "plugins": plugins }).to_string()
}

/// Values that the guide gives helm, in the words of chart 1.18.
pub fn values() -> Value {
    json!({
        "cni": { "chainingMode": "generic-veth", "customConf": true, "configMap": "cni-configuration" },
        "routingMode": "native",
        "enableIPv4Masquerade": false,
        "enableIdentityMark": false,
        "devices": "eth+ ovn0 genev_sys_6081 vxlan_sys_4789",
    })
}

/// Follows the guide half way, and waits until everything is ready again.
///
/// # Errors
/// Never, unless the example is wrong: an object is refused or does not get ready.
pub(crate) fn follow(sim: &SimCluster, network: &str) -> Result<(), ClusterError> {
    let person = sim.person();
    let set = |object, pointer: &str, value: Value| {
        person.json_patch(&object, &json!([{ "op": "replace", "path": pointer, "value": value }])).map(drop)
    };
    let cni = Resource::DAEMON_SETS.named("kube-system", "kube-ovn-cni");
    let name = json!("--cni-conf-name=10-kube-ovn.conflist");
    set(cni, "/spec/template/spec/initContainers/0/command/3", name)?;
    let controller = Resource::DEPLOYMENTS.named("kube-system", "kube-ovn-controller");
    let pointer = "/spec/template/spec/containers/0/args";
    let found = person.get(&controller)?.unwrap_or_default();
    let off = |word: &Value| match word.as_str() {
        Some("--enable-lb=true") => json!("--enable-lb=false"),
        Some("--enable-np=true") => json!("--enable-np=false"),
        _ => word.clone(),
    };
    let words: Vec<Value> = objects::list(&found, pointer).iter().map(off).collect();
    set(controller, pointer, json!(words))?;
    settled(sim)?;
    for (name, node) in sim.nodes_mut().iter_mut() {
        if name != FORGOTTEN {
            node.fs.remove("01-kube-ovn.conflist");
        }
    }
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "cni-configuration", "namespace": "kube-system" },
        "data": { "cni-config": conflist(network) },
    });
    person.create(&Resource::CONFIG_MAPS, &map)?;
    let installed = SimCharts::new(sim.store()).upgrade("cilium", "kube-system", &values(), &mut || Ok(()));
    installed.map_err(|error| wrong(&error.to_string()))?;
    settled(sim)?;
    for pod in person.list(&Resource::PODS, &Filter::in_namespace("shop"))? {
        person.delete(&Resource::PODS.named("shop", objects::name(&pod)), None)?;
    }
    settled(sim)
}

fn settled(sim: &SimCluster) -> Result<(), ClusterError> {
    if sim.settle(LIMIT) { Ok(()) } else { Err(wrong(&format!("not ready: {}", sim.unready().join(", ")))) }
}

fn wrong(message: &str) -> ClusterError {
    ClusterError::Invalid { request: "follow the guide".to_owned(), message: message.to_owned() }
}
