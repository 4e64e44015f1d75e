//! Where a cluster starts from, told by its facts: clean, chained after Kube-OVN's guide or by hand, ours, or not for us.
//!
//! The guide is Kube-OVN's own page on Cilium: `05-cilium.conflist` is made of a ConfigMap, Kube-OVN's file is renamed to
//! `10-kube-ovn.conflist` so that it sorts later, network policy and load balancer go off by flags. What is on the nodes is told
//! where they were read; the API tier alone tells the kind of start.

use std::fmt;

use crate::facts::cilium::{Cilium, Installation};
use crate::facts::conflists::{ConfDir, ConfFile, Conflists};
use crate::facts::{Facts, kube_ovn};
use crate::outcome::NextStep;
use crate::values::cluster::{CHAINED_CONF, KUBE_OVN_NETWORK};
use crate::values::guide;

use super::action::{AGENT_LABEL, CHAIN_CONFIG, CHAINED_LABEL, ENFORCE_CONFIG, ENFORCE_LABEL};
use super::migrate::NoPlan;

/// Nodes or pods that a sentence names.
const SHOWN: usize = 5;

/// Where a cluster starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// No Cilium, and nothing of one.
    Clean,
    /// The release writes our file: nothing is left to do.
    Settled,
    /// Objects of a run of ours whose journal is not there.
    OwnOlderRun {
        /// Objects, `ciliumnodeconfig kube-system/ovncilium-chain`.
        left: Vec<String>,
    },
    /// All that the guide asks for is there and works.
    Guided(Traces),
    /// The guide was begun, and something of it is missing.
    HalfGuide(Traces),
    /// Cilium chains by other means than the guide's ConfigMap.
    ChainedByHand(Traces),
    /// A Cilium that does not chain, or what is left of one.
    Foreign {
        /// What it is.
        why: String,
    },
}

/// What a chained cluster shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// What is there, with the names of the objects.
    pub found: Vec<String>,
    /// What a chained cluster needs and this one has not.
    pub missing: Vec<String>,
}

impl Start {
    /// What to do about it, where a migration does not begin.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Clean | Self::Settled => NextStep::Command("kubectl ovncilium status".to_owned()),
            Self::OwnOlderRun { .. } => NextStep::Read("docs/runbook.md, \"A damaged journal\"".to_owned()),
            Self::Guided(_) | Self::HalfGuide(_) | Self::ChainedByHand(_) => NextStep::Edit(
                "take it over with `--adopt` (docs/runbook.md, \"A cluster that is chained already\")".to_owned(),
            ),
            Self::Foreign { .. } => NextStep::Edit(
                "uninstall that Cilium first, or run `kubectl ovncilium status` against the right cluster".to_owned(),
            ),
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("no Cilium is here"),
            Self::Settled => f.write_str("every node is chained already"),
            Self::OwnOlderRun { left } => {
                write!(f, "an older run of ours is not recorded any more and left {}", left.join(", "))
            }
            Self::Guided(traces) => write!(f, "Cilium is chained here already, after Kube-OVN's guide; {traces}"),
            Self::HalfGuide(traces) => {
                write!(f, "Cilium is chained here already, half-done after Kube-OVN's guide; {traces}")
            }
            Self::ChainedByHand(traces) => write!(f, "Cilium is chained here already, by hand; {traces}"),
            Self::Foreign { why } => f.write_str(why),
        }
    }
}

impl fmt::Display for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is {}", self.found.join(", "))?;
        if self.missing.is_empty() { Ok(()) } else { write!(f, "; there is not yet: {}", self.missing.join(", ")) }
    }
}

/// Where the cluster of these facts starts from.
///
/// # Errors
/// [`NoPlan::Unknown`] when Cilium or Kube-OVN could not be read, [`NoPlan::KubeOvn`] when there is not one Kube-OVN.
pub fn of(facts: &Facts) -> Result<Start, NoPlan> {
    let unknown = |subject, reason: &str| NoPlan::Unknown { subject, reason: reason.to_owned() };
    let cilium = facts.cilium.value.as_result().map_err(|reason| unknown("cilium", reason))?;
    let kube_ovn = facts.kube_ovn.value.as_result().map_err(|reason| unknown("kube-ovn", reason))?.the_one()?;
    let left = ours(facts, cilium);
    if !left.is_empty() {
        return Ok(Start::OwnOlderRun { left });
    }
    let Some(found) = &cilium.installation else {
        let orphans = on_nodes(facts, |dir| dir.files.iter().any(|file| file.is_loaded() && file.chains_cilium()));
        return Ok(match orphans {
            nodes if nodes.is_empty() => Start::Clean,
            nodes => Start::Foreign {
                why: format!(
                    "no Cilium is installed, but CNI files on {} name its plugin: pods do not start there",
                    some(&nodes)
                ),
            },
        });
    };
    if is_settled(found) {
        return Ok(Start::Settled);
    }
    let mode = setting(found, "cni-chaining-mode");
    if mode != "generic-veth" {
        let mode = if mode.is_empty() { "none" } else { mode };
        return Ok(Start::Foreign {
            why: format!("{} runs Cilium with cni-chaining-mode {mode}, not behind Kube-OVN", agents_object(found)),
        });
    }
    let traces = Traces { found: there(facts, cilium, found, kube_ovn), missing: missing(facts, found, kube_ovn) };
    Ok(match (&found.conf_source, traces.missing.is_empty()) {
        (None, _) => Start::ChainedByHand(traces),
        (Some(_), true) => Start::Guided(traces),
        (Some(_), false) => Start::HalfGuide(traces),
    })
}

/// Whether agents make our file of Kube-OVN's, as a run leaves it: others may write one of that name, or copy it.
fn is_settled(found: &Installation) -> bool {
    written_conf(found) == CHAINED_CONF
        && setting(found, "read-cni-conf").is_empty()
        && setting(found, "cni-chaining-target") == KUBE_OVN_NETWORK
}

/// A setting of `cilium-config`, empty when it is not there.
pub(super) fn setting<'f>(found: &'f Installation, key: &str) -> &'f str {
    found.config.get(key).map(String::as_str).unwrap_or_default()
}

/// Whether Cilium drops what policies forbid, as `cilium-config` says.
pub(super) fn enforces(found: &Installation) -> bool {
    setting(found, "policy-audit-mode") != "true" && setting(found, "enable-policy") != "never"
}

/// Name of the file that agents write, `05-cilium.conflist`.
pub(super) fn written_conf(found: &Installation) -> &str {
    setting(found, "write-cni-conf-when-ready").rsplit('/').next().unwrap_or_default()
}

/// The agents' DaemonSet as messages name it.
pub(super) fn agents_object(found: &Installation) -> String {
    format!("daemonset {}/{}", found.namespace, found.daemonset)
}

/// Objects of a run of ours.
fn ours(facts: &Facts, cilium: &Cilium) -> Vec<String> {
    let is_ours = |config: &&String| {
        let name = config.rsplit('/').next().unwrap_or_default();
        name == CHAIN_CONFIG || name == ENFORCE_CONFIG
    };
    let configs = cilium.node_configs.iter().filter(is_ours).map(|config| format!("ciliumnodeconfig {config}"));
    let nodes = facts.nodes.value.known().map(|nodes| nodes.items.as_slice()).unwrap_or_default();
    let labelled = nodes.iter().flat_map(|node| {
        let labels = [AGENT_LABEL, CHAINED_LABEL, ENFORCE_LABEL].into_iter();
        labels.filter(|label| node.labels.contains_key(*label)).map(|label| format!("label {label} on {}", node.name))
    });
    configs.chain(labelled).collect()
}

fn there(facts: &Facts, cilium: &Cilium, found: &Installation, kube_ovn: &kube_ovn::Installation) -> Vec<String> {
    let version = found.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let owner = found.release.as_ref().map_or("no Helm release".to_owned(), |name| format!("Helm release {name}"));
    let mut words = vec![format!("{} (Cilium{version}, {owner})", agents_object(found))];
    if let Some(source) = found.conf_source.as_ref().filter(|source| source.found) {
        words.push(format!("configmap {} (network {})", source.config_map, source.network));
    }
    let file = written_conf(found);
    if !file.is_empty() {
        words.push(format!("{file}, written by the agents"));
    }
    let loading = on_nodes(facts, loads_chained).len();
    if let Some(conflists) = facts.conflists.value.known() {
        words.push(format!("a chained configuration loaded on {loading} of {} nodes", conflists.nodes.len()));
    }
    if kube_ovn.cni.conf_name != crate::compat::kube_ovn::CONF_NAME {
        words.push(format!("{} writing {}", kube_ovn.cni_object(), kube_ovn.cni.conf_name));
    }
    for (flag, on) in [("enable-np", kube_ovn.controller.enable_np), ("enable-lb", kube_ovn.controller.enable_lb)] {
        if !on {
            words.push(format!("{} with --{flag}=false", kube_ovn.controller_object()));
        }
    }
    words.push(format!("{} pods with a CiliumEndpoint", cilium.endpoints.len()));
    words
}

fn missing(facts: &Facts, found: &Installation, kube_ovn: &kube_ovn::Installation) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(source) = found.conf_source.as_ref().filter(|source| !source.found) {
        words.push(format!("configmap {}, without which agents do not start", source.config_map));
    }
    let conf = match written_conf(found) {
        "" => guide::CHAINED_CONF,
        conf => conf,
    };
    if kube_ovn.cni.conf_name.as_str() < conf {
        words.push(format!(
            "a later name for Kube-OVN's file ({} writes {}, which sorts before {conf})",
            kube_ovn.cni_object(),
            kube_ovn.cni.conf_name
        ));
    }
    let plain = on_nodes(facts, |dir| !loads_chained(dir));
    if !plain.is_empty() {
        words.push(format!("a chained configuration that is loaded on {}", some(&plain)));
    }
    let nodes = facts.nodes.value.known().map_or(0, |nodes| nodes.items.len());
    let ready = found.agents.iter().filter(|agent| agent.ready).count();
    if ready < nodes {
        words.push(format!("an agent that is ready on {} of {nodes} nodes", nodes - ready));
    }
    let unmanaged = facts.workloads.value.known().and_then(|workloads| workloads.unmanaged.as_ref());
    if let Some(pods) = unmanaged.map(|unmanaged| unmanaged.pods).filter(|pods| *pods > 0) {
        words.push(format!("an endpoint for {pods} pods"));
    }
    if !enforces(found) {
        words.push("enforcement (Cilium only audits)".to_owned());
    }
    for (flag, on) in [("enable-np", kube_ovn.controller.enable_np), ("enable-lb", kube_ovn.controller.enable_lb)] {
        if on {
            words.push(format!("--{flag}=false on {}", kube_ovn.controller_object()));
        }
    }
    words
}

fn loads_chained(dir: &ConfDir) -> bool {
    dir.behind_multus().is_some_and(ConfFile::chains_cilium)
}

/// Nodes whose directory is so; none where the nodes were not read.
fn on_nodes(facts: &Facts, wanted: impl Fn(&ConfDir) -> bool) -> Vec<String> {
    let dirs = facts.conflists.value.known().map_or(&[][..], |Conflists { nodes, .. }| nodes);
    dirs.iter().filter(|dir| wanted(dir)).map(|dir| dir.node.clone()).collect()
}

/// The first of a list, and how many more there are.
pub(super) fn some(list: &[String]) -> String {
    match list.len().saturating_sub(SHOWN) {
        0 => list.join(", "),
        more => format!("{} and {more} more", list[..SHOWN].join(", ")),
    }
}
