//! What the steps of a plan need to know of the cluster and the target; everything else they look up when they act.

use serde::{Deserialize, Serialize};

use super::adopt::Adopted;
use super::{Driver, KubeProxy};
use crate::Digest;

/// The chart a plan installs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartRef {
    /// Where the operator pointed us: a path or `repo/name`.
    pub location: String,
    /// `name` of Chart.yaml.
    pub name: String,
    /// `version` of Chart.yaml.
    pub version: String,
    /// Digest of the packed chart.
    pub digest: Digest,
}

/// What the steps need to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Namespace of Kube-OVN: journal, lock and node pods live there.
    pub namespace: String,
    /// The chart.
    pub chart: ChartRef,
    /// Helm release of Cilium.
    pub release: String,
    /// Namespace of that release.
    pub release_namespace: String,
    /// Directory of CNI configuration on the hosts.
    pub conf_dir: String,
    /// Kube-OVN's file in it.
    pub plain_conf: String,
    /// Our file in it.
    pub chained_conf: String,
    /// Name of the network that is chained.
    pub network: String,
    /// Image for node pods: one that is already on every node.
    pub node_image: String,
    /// Its pull secrets.
    pub image_pull_secrets: Vec<String>,
    /// `devices` of Cilium.
    pub devices: Vec<String>,
    /// Ranges of Cilium's cluster-pool.
    pub cluster_pool: Vec<String>,
    /// There are NAT or egress gateways of Kube-OVN, whose packets have addresses that are not their own.
    #[serde(default)]
    pub nat_gateways: bool,
    /// Number of nodes, for the operator's replicas.
    pub node_count: u32,
    /// Number of nodes cut over side by side, at most.
    pub wave_limit: u32,
    /// Seconds to watch between waves.
    pub soak_seconds: u32,
    /// Name of kube-ovn-controller's Deployment.
    pub controller: String,
    /// Container of it that holds the flags.
    pub controller_container: String,
    /// `command` or `args`.
    pub controller_flags_in: String,
    /// That list as it was before the migration: what comes back.
    pub controller_flags_before: Vec<String>,
    /// Who changes it.
    #[serde(default, skip_serializing_if = "Driver::is_manifest")]
    pub driver: Driver,
    /// Pods that stay as they are although they will have no endpoint, as `namespace/name`.
    pub leave: Vec<String>,
    /// DaemonSets and StatefulSets with the update strategy `OnDelete`, as `Kind namespace/name`: their pods are not evicted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_delete: Vec<String>,
    /// Digest of the values that the operator gave besides ours ([`crate::values::own`]); they are not in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_values: Option<Digest>,
    /// What the plan takes over; absent in one that installs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    /// kube-proxy and its replacement; absent where kube-proxy serves, before a replacement was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_proxy: Option<KubeProxy>,
}

/// How fast a run goes through nodes: for itself, whatever the recorded settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Nodes in work side by side, at most.
    pub wave_limit: u32,
    /// Seconds to watch between waves.
    pub soak_seconds: u32,
}

impl Settings {
    /// The pace of the migration: that of a later run which is told no other.
    pub fn pace(&self) -> Pace {
        Pace { wave_limit: self.wave_limit, soak_seconds: self.soak_seconds }
    }

    /// Whether the release's values have Cilium serve Services instead of kube-proxy.
    pub fn serves_alone(&self) -> bool {
        self.kube_proxy.as_ref().is_some_and(|proxy| proxy.replaced)
    }
}
