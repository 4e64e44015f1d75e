//! From raw API objects to facts: pure, and total. What cannot be told becomes unknown, with the reason.
//!
//! One file per subject. [`command_line`], [`image`], [`owner`] and [`object`] are what they share. Node facts, permissions,
//! tools and the intent do not come from listings; whoever has them puts them into their subjects.

mod addresses;
mod cilium;
mod command_line;
mod image;
mod kube_ovn;
mod kube_proxy;
mod multus;
mod networks;
mod nodes;
mod object;
mod owner;
mod services;
mod workloads;

pub use kube_proxy::{kube_proxy, kube_proxy_config, runs_kube_proxy};
pub use services::kube_proxy_disabled;
pub(in crate::facts) use workloads::unmanaged_but;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::Value;

use super::inventory::{Inventory, Listing};
use super::kube_ovn::KubeOvn;
use super::{Facts, Known, Source, Subject};
use crate::plan::{ObjectRef, Resource};

/// Facts from listings; every subject that listings do not tell is unknown.
///
/// From [`Listing::Partial`] (manifests) only the subject `kube-ovn` can become known: whoever installs Kube-OVN writes down
/// all of it. Pods, nodes, networks and what follows from them exist in a cluster alone.
pub fn derive(inventory: &Inventory, source: Source, at: Timestamp) -> Facts {
    derive_around(inventory, kube_ovn(inventory), source, at)
}

/// The installations of Kube-OVN in listings.
///
/// # Errors
/// Why they cannot be told.
pub(super) fn kube_ovn(inventory: &Inventory) -> Result<KubeOvn, String> {
    kube_ovn::kube_ovn(inventory)
}

/// As [`derive`], with what somebody else says of Kube-OVN.
pub(super) fn derive_around(
    inventory: &Inventory,
    kube_ovn: Result<KubeOvn, String>,
    source: Source,
    at: Timestamp,
) -> Facts {
    let mut facts = Facts::unknown(source, at, "");
    facts.kube_ovn = subject(kube_ovn, at);
    facts.networks = subject(networks::networks(inventory, facts.kube_ovn.value.known()), at);
    facts.nodes = subject(nodes::nodes(inventory), at);
    facts.cilium = subject(cilium::cilium(inventory), at);
    let addresses = addresses::addresses(
        facts.kube_ovn.value.as_result(),
        facts.networks.value.as_result(),
        facts.nodes.value.as_result(),
    );
    facts.addresses = subject(addresses, at);
    let services = services::services(inventory, facts.kube_ovn.value.as_result(), facts.cilium.value.as_result());
    facts.services = subject(services, at);
    facts.multus = subject(multus::multus(inventory), at);
    facts.workloads = subject(workloads::workloads(inventory, facts.cilium.value.known()), at);
    facts.permissions = Subject::unknown("nobody was asked what we may do");
    facts.tools = Subject::unknown("nobody looked for tools");
    facts.conflists = Subject::unknown(NODES_NOT_READ);
    facts.node_os = Subject::unknown(NODES_NOT_READ);
    facts.intent = Subject::unknown("nobody said what is asked for");
    facts
}

/// Why the node tier is unknown unless somebody probes.
pub const NODES_NOT_READ: &str = "node facts were not read (--nodes)";

/// ConfigMaps that [`derive`] wants to see, told by the workloads: Cilium's, kube-proxy's and Multus's. They are asked for by name, so that
/// nobody needs permission to list all ConfigMaps.
pub fn config_maps(inventory: &Inventory) -> Vec<ObjectRef> {
    let sets = inventory.some(Resource::DAEMON_SETS);
    let named = |set: &Value, name: &str| Resource::CONFIG_MAPS.named(object::namespace(set), name);
    let mut wanted = Vec::new();
    for (set, _) in sets.iter().filter_map(cilium::agent_container) {
        wanted.push(named(set, cilium::CONFIG));
        wanted.extend(cilium::conf_map(set).map(|map| named(set, map)));
    }
    for (set, proxy) in sets.iter().filter_map(services::kube_proxy) {
        wanted.extend(services::configuration(set, proxy).map(|(map, _)| named(set, map)));
    }
    for set in sets.iter().filter(|set| multus::is_multus(set)) {
        wanted.extend(multus::config_maps(set).map(|map| named(set, map)));
    }
    wanted
}

fn subject<T>(value: Result<T, String>, at: Timestamp) -> Subject<T> {
    match value {
        Ok(value) => Subject::known(value, at),
        Err(reason) => Subject { observed_at: None, value: Known::Unknown(reason) },
    }
}

/// Objects of a kind that are known, and whether these are all.
fn known(inventory: &Inventory, resource: Resource) -> Result<(&[Value], bool), String> {
    match inventory.listings.get(&resource) {
        Some(Listing::Partial(objects)) => Ok((objects, false)),
        _ => inventory.all(resource).map(|objects| (objects, true)),
    }
}

/// A ConfigMap, if it is there.
///
/// # Errors
/// When it could not be read.
fn config_map<'i>(inventory: &'i Inventory, namespace: &str, name: &str) -> Result<Option<&'i Value>, String> {
    if let Some(Listing::Unreadable(reason)) = inventory.listings.get(&Resource::CONFIG_MAPS) {
        return Err(format!("configmap {namespace}/{name} could not be read: {reason}"));
    }
    let maps = inventory.some(Resource::CONFIG_MAPS).iter();
    Ok(maps.into_iter().find(|map| object::namespace(map) == namespace && object::name(map) == name))
}
