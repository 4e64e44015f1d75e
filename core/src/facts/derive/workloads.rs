//! Pods in a slim form, budgets and network policies, each sorted by namespace and name.

use std::collections::HashSet;

use serde_json::Value;

use super::object::{condition, controller, is_true, list, meta, name, namespace, number, qualified, text};
use crate::facts::cilium::{Cilium, Endpoint};
use crate::facts::inventory::Inventory;
use crate::facts::workloads::{Budget, OtherInterface, Pod, Unmanaged, Workloads};
use crate::plan::Resource;
use crate::plan::action::RECYCLE_ANNOTATION;

/// How pods of the cluster's DNS are called.
const DNS: [&str; 2] = ["coredns", "kube-dns"];

/// All of them; `cilium` tells which have an endpoint.
///
/// # Errors
/// When one of the kinds could not be read completely.
pub(super) fn workloads(inventory: &Inventory, cilium: Option<&Cilium>) -> Result<Workloads, String> {
    let (on_delete, strategies_unknown) = match on_delete(inventory) {
        Ok(owners) => (owners, None),
        Err(reason) => (HashSet::new(), Some(reason)),
    };
    let mut pods: Vec<Pod> = inventory.all(Resource::PODS)?.iter().map(|object| pod(object, &on_delete)).collect();
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let mut budgets: Vec<Budget> = inventory.all(Resource::DISRUPTION_BUDGETS)?.iter().map(budget).collect();
    budgets.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let mut network_policies: Vec<String> = inventory.all(Resource::NETWORK_POLICIES)?.iter().map(qualified).collect();
    network_policies.sort();
    let mut other_interfaces: Vec<OtherInterface> =
        inventory.all(Resource::PODS)?.iter().filter_map(other_interface).collect();
    other_interfaces.sort_by(|a, b| a.pod.cmp(&b.pod));
    let is_ipv6 = |pod: &&Pod| !pod.host_network && pod.ips.iter().any(|ip| ip.contains(':'));
    let ipv6_pods = pods.iter().filter(is_ipv6).map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
    let unmanaged = cilium.map(|cilium| unmanaged(&pods, &cilium.endpoints));
    Ok(Workloads { pods, budgets, network_policies, ipv6_pods, other_interfaces, strategies_unknown, unmanaged })
}

/// The sum once more, without pods whose operator has accepted that they stay so.
pub(in crate::facts) fn unmanaged_but(workloads: &Workloads, cilium: &Cilium, accepted: &[String]) -> Unmanaged {
    let others: Vec<Pod> = workloads
        .pods
        .iter()
        .filter(|pod| !accepted.contains(&format!("{}/{}", pod.namespace, pod.name)))
        .cloned()
        .collect();
    unmanaged(&others, &cilium.endpoints)
}

/// A join of pods and endpoints, not a difference of counts.
fn unmanaged(pods: &[Pod], endpoints: &[Endpoint]) -> Unmanaged {
    let managed: HashSet<(&str, &str)> =
        endpoints.iter().map(|endpoint| (endpoint.namespace.as_str(), endpoint.name.as_str())).collect();
    let mut found = Unmanaged::default();
    // A pod that has not told its phase is not known to have ended.
    let wanting = pods.iter().filter(|pod| !pod.host_network && !matches!(pod.phase.as_str(), "Succeeded" | "Failed"));
    for pod in wanting.filter(|pod| !managed.contains(&(pod.namespace.as_str(), pod.name.as_str()))) {
        found.pods = found.pods.saturating_add(1);
        if DNS.iter().any(|name| pod.name.starts_with(name)) {
            found.dns.push(pod.name.clone());
        }
    }
    found
}

/// Kind, namespace and name of every owner of pods with the update strategy `OnDelete`.
fn on_delete(inventory: &Inventory) -> Result<HashSet<(&'static str, &str, &str)>, String> {
    let mut owners = HashSet::new();
    for kind in [Resource::DAEMON_SETS, Resource::STATEFUL_SETS] {
        let waiting = inventory.all(kind)?.iter().filter(|set| text(set, "/spec/updateStrategy/type") == "OnDelete");
        owners.extend(waiting.map(|set| (kind.kind, namespace(set), name(set))));
    }
    Ok(owners)
}

fn pod(object: &Value, on_delete: &HashSet<(&str, &str, &str)>) -> Pod {
    let (owner_kind, owner_name) = controller(object).unwrap_or_default();
    let mut ips: Vec<String> = list(object, "/status/podIPs").iter().map(|ip| text(ip, "/ip").to_owned()).collect();
    if ips.is_empty() {
        ips.extend(super::object::some_text(object, "/status/podIP"));
    }
    let containers = ["/spec/containers", "/spec/initContainers"].iter().flat_map(|kind| list(object, kind));
    let mut ports = containers.flat_map(|container| list(container, "/ports"));
    Pod {
        namespace: namespace(object).to_owned(),
        name: name(object).to_owned(),
        uid: text(object, "/metadata/uid").to_owned(),
        node: text(object, "/spec/nodeName").to_owned(),
        host_network: is_true(object, "/spec/hostNetwork"),
        phase: text(object, "/status/phase").to_owned(),
        ips,
        ready: condition(object, "Ready"),
        owner_kind: owner_kind.to_owned(),
        owner_name: owner_name.to_owned(),
        recycle: meta(object, "annotations", RECYCLE_ANNOTATION).map(str::to_owned),
        host_port: ports.any(|port| number(port, "/hostPort") != 0),
        on_delete: on_delete.contains(&(owner_kind, namespace(object), owner_name)),
        leaving: object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()),
    }
}

/// Annotation of Multus that gives a pod another network than Kube-OVN's for its first interface.
const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";

/// What `<provider>.kubernetes.io/pod_nic_type` says of the pod's first interface, where that is no veth pair. Provider `ovn` is the
/// first interface, unless Multus gives it to another network: then it may be any of them. A pod that has ended has no interface, and
/// one on the host's network never had one.
fn other_interface(object: &Value) -> Option<OtherInterface> {
    if is_true(object, "/spec/hostNetwork") || matches!(text(object, "/status/phase"), "Succeeded" | "Failed") {
        return None;
    }
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object)?;
    let any = annotations.contains_key(DEFAULT_NETWORK);
    let kinds = annotations.iter().filter(|(key, _)| {
        let provider = key.strip_suffix(".kubernetes.io/pod_nic_type");
        provider.is_some_and(|provider| any || provider == "ovn")
    });
    let kind = kinds.filter_map(|(_, kind)| kind.as_str()).filter(|kind| !matches!(*kind, "" | "veth-pair")).min()?;
    Some(OtherInterface { pod: qualified(object), kind: kind.to_owned() })
}

fn budget(object: &Value) -> Budget {
    let number = |pointer| {
        object.pointer(pointer).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok()).unwrap_or_default()
    };
    Budget {
        namespace: namespace(object).to_owned(),
        name: name(object).to_owned(),
        disruptions_allowed: number("/status/disruptionsAllowed"),
        expected_pods: number("/status/expectedPods"),
    }
}
