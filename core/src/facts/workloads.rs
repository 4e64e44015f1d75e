//! Pods in a slim form, disruption budgets and network policies.

use serde::{Deserialize, Serialize};

/// Pods, budgets and policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workloads {
    /// All pods.
    pub pods: Vec<Pod>,
    /// PodDisruptionBudgets.
    pub budgets: Vec<Budget>,
    /// NetworkPolicies as `namespace/name`.
    pub network_policies: Vec<String>,
    /// Pods with a network of their own and an IPv6 address in it, as `namespace/name`.
    pub ipv6_pods: Vec<String>,
    /// Pods that were given another interface than a veth pair.
    pub other_interfaces: Vec<OtherInterface>,
    /// Why it is not known which pods only their operator restarts ([`Pod::on_delete`]); absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategies_unknown: Option<String>,
    /// Pods that Cilium does not manage; absent where its endpoints could not be read.
    pub unmanaged: Option<Unmanaged>,
}

/// Pods with a network of their own and without a CiliumEndpoint: a sum, since policies cannot be given all pods of a large cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmanaged {
    /// How many.
    pub pods: u32,
    /// Those of the cluster's DNS, by name.
    pub dns: Vec<String>,
}

/// A pod with another interface than a veth pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherInterface {
    /// `namespace/name`.
    pub pod: String,
    /// `internal-port`, `offload-port`, `dpdk-port`.
    pub kind: String,
}

/// One pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Node it is bound to; empty when it is not.
    pub node: String,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `status.phase`.
    pub phase: String,
    /// `status.podIPs`.
    pub ips: Vec<String>,
    /// Condition Ready is True.
    pub ready: bool,
    /// Kind of the controlling owner: `ReplicaSet`, `StatefulSet`, `DaemonSet`, `Job`; empty for a bare pod.
    pub owner_kind: String,
    /// Name of the controlling owner.
    pub owner_name: String,
    /// Value of the annotation `ovncilium.io/recycle`, when there is one: `never`.
    pub recycle: Option<String>,
    /// Whether a container asks for a hostPort.
    pub host_port: bool,
    /// Whether its owner, a DaemonSet or StatefulSet, has the update strategy `OnDelete`: who runs it deletes its pods.
    #[serde(default)]
    pub on_delete: bool,
    /// It is being deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
}

/// One PodDisruptionBudget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `status.disruptionsAllowed`.
    pub disruptions_allowed: i32,
    /// `status.expectedPods`.
    pub expected_pods: i32,
}
