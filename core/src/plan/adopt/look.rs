//! What a takeover needs of facts and release: the settings of its plan, or the exact reason why there is none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Adopted, Adopting, FoundRelease, NotAdoptable, services};
use crate::compat::cilium_minor;
use crate::facts::Facts;
use crate::facts::cilium::{Cilium, Installation as Agents};
use crate::facts::conflists::{ConfDir, ConfFile, Conflists};
use crate::facts::kube_ovn::Owner;
use crate::facts::nodes::Nodes;
use crate::facts::workloads::Pod;
use crate::plan::migrate::{NoPlan, chained_already, unknown, wants_endpoint};
use crate::plan::start::{Start, agents_object, enforces, of as start_of, setting, written_conf};
use crate::plan::{ChartRef, Settings};
use crate::values::cluster::KUBE_OVN_NETWORK;
use crate::values::{guide, own, pool};

/// The settings of a plan that takes over, from those of a migration.
///
/// # Errors
/// [`NoPlan`] with the exact reason why it is not taken over.
pub(in crate::plan) fn complete(
    mut settings: Settings,
    facts: &Facts,
    chart: &ChartRef,
    adopting: &Adopting,
    given_pool: &[String],
) -> Result<Settings, NoPlan> {
    let start = start_of(facts)?;
    match start {
        Start::Clean => return Err(NotAdoptable::Nothing.into()),
        Start::Settled => return Err(chained_already(facts)),
        Start::OwnOlderRun { .. } | Start::Foreign { .. } => return Err(NoPlan::NotClean { start }),
        Start::Guided(_) | Start::HalfGuide(_) | Start::ChainedByHand(_) => {}
    }
    let cilium = facts.cilium.value.as_result().map_err(|reason| unknown("cilium", reason))?;
    let Some(agents) = &cilium.installation else { return Err(NotAdoptable::Nothing.into()) };
    let found = release(agents, adopting, chart)?;
    settings.release = agents.release.clone().unwrap_or_default();
    settings.release_namespace.clone_from(&agents.namespace);
    takes_settings(agents, cilium)?;
    let kube_ovn = facts.kube_ovn.value.as_result().map_err(|reason| unknown("kube-ovn", reason))?.the_one()?;
    settings.kube_proxy = services::kept(agents, facts, found, adopting, kube_ovn.controller.enable_lb)?;
    let conflists = facts.conflists.value.as_result().map_err(|reason| unknown("conflists", reason))?;
    every_node_is_read(facts, conflists)?;
    let chained = one_file(conflists)?;
    has_its_plugins(conflists, chained)?;
    let network = match (chained, &agents.conf_source) {
        (Some(file), _) => file.network.as_str(),
        (None, Some(source)) if source.found => source.network.as_str(),
        (None, _) => KUBE_OVN_NETWORK,
    };
    let pods = facts.workloads.value.as_result().map_err(|reason| unknown("workloads", reason))?;
    keeps_host_ports(network, &pods.pods, conflists)?;
    let conf = match (chained, written_conf(agents)) {
        (Some(file), _) => file.name.clone(),
        (None, "") => guide::CHAINED_CONF.to_owned(),
        (None, written) => written.to_owned(),
    };
    let unmanaged = without_endpoint(&pods.pods, cilium).filter(|pod| !settings.leave.contains(&key(pod))).count();
    let enforces = enforces(agents) && unmanaged == 0;
    settings.adopted = Some(Adopted { conf, revision: found.revision, enforces });
    // The way back leads to Kube-OVN alone, which then serves policy and services itself.
    settings.controller_flags_before = turned_on(&settings.controller_flags_before);
    if given_pool.is_empty()
        && let Some(kept) = pool_of(agents)
        && facts.addresses.value.known().is_some_and(|addresses| pool::check(addresses, &kept).is_ok())
    {
        settings.cluster_pool = kept;
    }
    Ok(settings)
}

/// Values of the release that a takeover keeps: all but those that chained it, which are ours from then on.
///
/// # Errors
/// [`NotAdoptable::Values`] for one that a run could not keep.
pub fn own_values(found: &FoundRelease, settings: &Settings) -> Result<Value, NotAdoptable> {
    let release = format!("{}/{}", settings.release_namespace, settings.release);
    let refused = |source| NotAdoptable::Values { release: release.clone(), source };
    let kept = own::kept(&found.values, settings).map_err(|error| refused(error.into()))?;
    own::checked(&kept, settings).map_err(refused)
}

/// Pods that must get an endpoint and have none of their address.
pub(in crate::plan) fn uncovered<'f>(pods: &'f [Pod], cilium: &'f Cilium) -> impl Iterator<Item = &'f Pod> {
    let known: BTreeMap<(&str, &str), &[String]> = cilium
        .endpoints
        .iter()
        .map(|endpoint| ((endpoint.namespace.as_str(), endpoint.name.as_str()), endpoint.ips.as_slice()))
        .collect();
    pods.iter().filter(move |pod| {
        let ips = known.get(&(pod.namespace.as_str(), pod.name.as_str()));
        wants_endpoint(pod) && !ips.is_some_and(|ips| pod.ips.iter().any(|ip| ips.contains(ip)))
    })
}

/// Those of them that have an address and stay: the rest gets its endpoint with it, or never.
pub(in crate::plan) fn without_endpoint<'f>(pods: &'f [Pod], cilium: &'f Cilium) -> impl Iterator<Item = &'f Pod> {
    uncovered(pods, cilium).filter(|pod| !pod.ips.is_empty() && !pod.leaving)
}

/// Nodes of the cluster whose directory is not told, and why.
pub(in crate::plan) fn untold(nodes: &Nodes, conflists: &Conflists) -> Option<(Vec<String>, String)> {
    let told = |name: &str| conflists.nodes.iter().any(|dir| dir.node == name);
    let silent: Vec<String> = nodes.items.iter().map(|node| &node.name).filter(|name| !told(name)).cloned().collect();
    let reason = || conflists.silent.first().map_or("they were not asked".to_owned(), |one| one.reason.clone());
    (!silent.is_empty()).then(|| (silent, reason()))
}

fn release<'a>(agents: &Agents, adopting: &'a Adopting, chart: &ChartRef) -> Result<&'a FoundRelease, NotAdoptable> {
    let object = agents_object(agents);
    let (Some(name), Some(found)) = (&agents.release, &adopting.release) else {
        return Err(NotAdoptable::NoRelease { object });
    };
    let release = format!("{}/{name}", agents.namespace);
    match &agents.owner {
        Owner::External { by, object: owner } => {
            let (by, owner) = (by.clone(), owner.clone());
            return Err(NotAdoptable::Managed { release, by, owner });
        }
        Owner::Helm { namespace, .. } if !namespace.is_empty() && *namespace != agents.namespace => {
            return Err(NotAdoptable::Elsewhere { object, release: format!("{namespace}/{name}") });
        }
        Owner::Helm { .. } | Owner::Manifest => {}
    }
    if found.status != "deployed" {
        let (revision, status) = (found.revision, found.status.clone());
        return Err(NotAdoptable::Release { release, revision, status });
    }
    if !cilium_minor(&found.chart_version).is_ok_and(|row| row.can_be_planned()) {
        return Err(NotAdoptable::Version { release, version: found.chart_version.clone() });
    }
    if found.chart_version != chart.version {
        let (installed, given) = (found.chart_version.clone(), chart.version.clone());
        return Err(NotAdoptable::OtherChart { release, installed, given });
    }
    Ok(found)
}

/// Settings of the agents that a run would have to keep, and cannot.
fn takes_settings(agents: &Agents, cilium: &Cilium) -> Result<(), NotAdoptable> {
    let object = agents_object(agents);
    let or_default = |key: &str, default: &str| match setting(agents, key) {
        "" => default.to_owned(),
        told => told.to_owned(),
    };
    let mode = or_default("routing-mode", "tunnel");
    if mode != "native" {
        return Err(NotAdoptable::Tunnels { object, mode });
    }
    let mode = or_default("ipam", "cluster-pool");
    if mode != "cluster-pool" {
        return Err(NotAdoptable::OtherIpam { object, mode });
    }
    // Agents read those of their own namespace.
    let beside = |config: &&String| config.split('/').next() == Some(agents.namespace.as_str());
    let configs: Vec<String> = cilium.node_configs.iter().filter(beside).cloned().collect();
    if !configs.is_empty() {
        return Err(NotAdoptable::NodeConfigs { object, configs });
    }
    if setting(agents, "cni-exclusive") == "true" {
        return Err(NotAdoptable::Exclusive { object });
    }
    if setting(agents, "enable-policy") == "never" {
        return Err(NotAdoptable::NeverEnforces { object });
    }
    Ok(())
}

fn every_node_is_read(facts: &Facts, conflists: &Conflists) -> Result<(), NoPlan> {
    let nodes = facts.nodes.value.as_result().map_err(|reason| unknown("nodes", reason))?;
    if let Some((nodes, reason)) = untold(nodes, conflists) {
        return Err(NotAdoptable::Silent { nodes, reason }.into());
    }
    // A long answer of a node is cut off; a file without plugins is none that a runtime could load.
    for dir in &conflists.nodes {
        if let Some(file) = dir.files.iter().find(|file| file.is_loaded() && file.plugins.is_empty()) {
            let reason = format!("the plugins of {} were not told", file.name);
            return Err(NotAdoptable::Silent { nodes: vec![dir.node.clone()], reason }.into());
        }
    }
    let multus = conflists.under_multus();
    if !multus.is_empty() {
        return Err(NotAdoptable::Multus { nodes: multus }.into());
    }
    let has_plain = |dir: &ConfDir| dir.files.iter().any(|file| file.is_loaded() && file.is_plain());
    let without: Vec<String> =
        conflists.nodes.iter().filter(|dir| !has_plain(dir)).map(|dir| dir.node.clone()).collect();
    if without.is_empty() { Ok(()) } else { Err(NotAdoptable::NoPlainFile { nodes: without }.into()) }
}

/// The file that chains, the same on every node that has one.
fn one_file(conflists: &Conflists) -> Result<Option<&ConfFile>, NotAdoptable> {
    let mut chained = conflists.nodes.iter().flat_map(|dir| {
        let files = dir.files.iter().filter(|file| file.is_loaded() && file.chains_cilium());
        files.map(move |file| (dir.node.as_str(), file))
    });
    let Some(one) = chained.next() else { return Ok(None) };
    let said = |(node, file): (&str, &ConfFile)| {
        let plugins = file.plugins.join(", ");
        format!("{node} has {} (network {}, plugins {plugins}, {})", file.name, file.network, file.sha256)
    };
    match chained.find(|other| other.1 != one.1) {
        None => Ok(Some(one.1)),
        Some(other) => Err(NotAdoptable::NodesDiffer { one: said(one), other: said(other) }),
    }
}

/// What chains must have been made of Kube-OVN's own files, from which it is made again.
fn has_its_plugins(conflists: &Conflists, chained: Option<&ConfFile>) -> Result<(), NotAdoptable> {
    let Some(chained) = chained else { return Ok(()) };
    let before: Vec<String> = chained.plugins.iter().filter(|plugin| *plugin != "cilium-cni").cloned().collect();
    for dir in &conflists.nodes {
        let mut plain = dir.files.iter().filter(|file| file.is_loaded() && file.is_plain());
        if let Some(other) = plain.find(|file| file.plugins != before) {
            let (node, conf) = (dir.node.clone(), chained.name.clone());
            let (plain, alone) = (other.name.clone(), other.plugins.clone());
            return Err(NotAdoptable::OtherPlugins { node, conf, before, plain, alone });
        }
    }
    Ok(())
}

/// Pods that were chained under another network name have hostPort rules under that name. Which pods were is not told by their
/// endpoints, only by where they are.
fn keeps_host_ports(network: &str, pods: &[Pod], conflists: &Conflists) -> Result<(), NotAdoptable> {
    if network == KUBE_OVN_NETWORK {
        return Ok(());
    }
    let chains = |dir: &&ConfDir| dir.files.iter().any(|file| file.is_loaded() && file.chains_cilium());
    let nodes: Vec<&str> = conflists.nodes.iter().filter(chains).map(|dir| dir.node.as_str()).collect();
    let chained = |pod: &&Pod| pod.host_port && wants_endpoint(pod) && nodes.contains(&pod.node.as_str());
    let pods: Vec<String> = pods.iter().filter(chained).map(key).collect();
    if pods.is_empty() { Ok(()) } else { Err(NotAdoptable::HostPorts { network: network.to_owned(), pods }) }
}

fn key(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// Cilium's ranges as `cilium-config` has them.
pub(super) fn pool_of(agents: &Agents) -> Option<Vec<String>> {
    let ranges: Vec<String> = setting(agents, "cluster-pool-ipv4-cidr")
        .split([' ', ','])
        .filter(|cidr| !cidr.is_empty())
        .map(str::to_owned)
        .collect();
    (!ranges.is_empty()).then_some(ranges)
}

/// The controller's words with network policy and load balancer on.
fn turned_on(list: &[String]) -> Vec<String> {
    let mut words = list.to_vec();
    for flag in ["--enable-np", "--enable-lb"] {
        let joined = format!("{flag}=");
        for at in 0..words.len() {
            if words[at].starts_with(&joined) {
                words[at] = format!("{joined}true");
            } else if words[at] == flag && words.get(at + 1).is_some_and(|next| next == "false") {
                words[at + 1] = "true".to_owned();
            }
        }
    }
    words
}
