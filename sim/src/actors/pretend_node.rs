//! What is on the nodes and in OVN: state that no API object holds, shared by the actors of one cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::node_fs::NodeFs;

/// OVN's own state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ovn {
    /// Load balancers exist: Services work for every pod without anybody's help.
    pub load_balancer: bool,
    /// Access lists of NetworkPolicies exist.
    pub network_policy: bool,
    /// Nodes whose OVN controller has not taken them over yet.
    pub behind: BTreeSet<String>,
}

impl Ovn {
    /// Whether access lists hold on a node.
    pub fn enforces_on(&self, node: &str) -> bool {
        self.network_policy && !self.behind.contains(node)
    }
}

/// A running agent of Cilium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProcess {
    /// UID of its pod.
    pub pod: String,
    /// When it started.
    pub since: Timestamp,
    /// Its settings: `cilium-config` and the CiliumNodeConfigs that selected the node when it started.
    pub settings: Arc<BTreeMap<String, String>>,
    /// It answers cilium-cni.
    pub serving: bool,
    /// Its readiness probe succeeds.
    pub ready: bool,
    /// Why it cannot write its CNI configuration, if so.
    pub failure: Option<String>,
}

impl AgentProcess {
    /// Whether the programs it makes enforce policy, and do not only audit.
    pub fn enforces(&self) -> bool {
        self.settings.get("policy-audit-mode").is_none_or(|mode| mode != "true")
    }
}

/// The network of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// Made through cilium-cni.
    pub chained: bool,
    /// When it was made.
    pub made_at: Timestamp,
    /// Cilium's programs on it enforce policy; they do what the agent that made them was told.
    pub enforced: bool,
}

/// What comes of a cleanup of kube-proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cleanup {
    /// Its rules are gone, those of others as they were.
    #[default]
    Works,
    /// The program fails with these words, and its rules stay.
    Fails(String),
    /// Its rules are gone, and this of others has changed, as `unproxy.sh` tells it.
    Changes(String),
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PretendNode {
    /// Its kubelet does not answer: what runs on it goes on, and nothing starts or ends.
    pub silent: bool,
    /// `uname -r`.
    pub kernel: String,
    /// Network devices.
    pub devices: BTreeSet<String>,
    /// CNI configuration directory.
    pub fs: NodeFs,
    /// Cilium's firewall and routing rules are on it.
    pub cilium_rules: bool,
    /// kube-proxy runs on it.
    pub kube_proxy: bool,
    /// Its distribution runs kube-proxy in a process of its own.
    pub embedded_proxy: bool,
    /// The kube-proxy that runs on it does not reach the API server: it writes no rules.
    pub stuck_proxy: bool,
    /// kube-proxy's rules are on it.
    pub proxy_rules: bool,
    /// Cilium's programs serve Services on it, whoever runs: they do what the agent that made them was told.
    pub replaces: bool,
    /// Somebody has served Services on it at some time.
    pub was_served: bool,
    /// What comes of kube-proxy's cleanup on it.
    pub cleanup: Cleanup,
    /// Services of IPVS that are not kube-proxy's.
    pub ipvs: usize,
    /// What Cilium would drop here if it enforced, as `observe.sh` tells it, reserved identities first.
    pub would_drop: Vec<String>,
    /// The same of what happened once, and when: the agent's Hubble remembers it.
    pub would_have_dropped: Vec<(Timestamp, String)>,
    /// kube-ovn-cni answers its plugin.
    pub cni_server: bool,
    /// Cilium's agent, if one runs.
    pub agent: Option<AgentProcess>,
    /// Networks of pods, by the pod's UID.
    pub sandboxes: BTreeMap<String, Sandbox>,
}

impl PretendNode {
    /// What a restart of the machine takes away: processes, and what they have told the kernel.
    pub fn lose_its_kernel(&mut self) {
        self.agent = None;
        (self.kube_proxy, self.proxy_rules, self.replaces) = (false, false, false);
        (self.cilium_rules, self.was_served) = (false, false);
        self.devices.retain(|device| !device.starts_with("cilium_"));
    }
}

/// All nodes, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PretendNodes {
    nodes: BTreeMap<String, PretendNode>,
    /// OVN.
    pub ovn: Ovn,
    /// Addresses of Services, `ADDRESS:PORT`, behind which nothing answers, whoever serves.
    pub dead: BTreeSet<String>,
    /// Every moment at which neither OVN nor Cilium enforced policy on a pod, as `time namespace/name`.
    pub unprotected: Vec<String>,
    /// Every moment at which neither kube-proxy nor Cilium served Services on a node that had been served, as `time node`.
    pub unserved: Vec<String>,
}

impl PretendNodes {
    /// A node.
    pub fn get(&self, name: &str) -> Option<&PretendNode> {
        self.nodes.get(name)
    }

    /// A node to be changed; made when it is new.
    pub fn node(&mut self, name: &str) -> &mut PretendNode {
        self.nodes.entry(name.to_owned()).or_default()
    }

    /// All nodes.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &PretendNode)> {
        self.nodes.iter()
    }

    /// All nodes, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut PretendNode)> {
        self.nodes.iter_mut()
    }

    /// The network of a pod.
    pub fn sandbox(&self, pod_uid: &str) -> Option<&Sandbox> {
        self.nodes.values().find_map(|node| node.sandboxes.get(pod_uid))
    }
}
