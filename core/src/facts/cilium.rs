//! What is there of Cilium: nothing, a release, or leftovers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kube_ovn::Owner;

/// What is there of Cilium.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cilium {
    /// The installation, when an agent DaemonSet exists.
    pub installation: Option<Installation>,
    /// Names of CRDs of `cilium.io`, sorted.
    pub crds: Vec<String>,
    /// CiliumEndpoints.
    pub endpoints: Vec<Endpoint>,
    /// CiliumNodeConfigs as `namespace/name`.
    pub node_configs: Vec<String>,
    /// Policy objects (`CiliumNetworkPolicy`, `CiliumClusterwideNetworkPolicy`) as `kind namespace/name`.
    pub policies: Vec<String>,
    /// Those of them with rules above layer 4.
    pub l7_policies: Vec<L7Policy>,
}

/// A policy object with rules above layer 4.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L7Policy {
    /// `kind namespace/name`.
    pub object: String,
    /// Fields that need Cilium's proxy, `toFQDNs` and `toPorts.rules.http`, each once.
    pub uses: Vec<String>,
}

/// An installed Cilium.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installation {
    /// Namespace of the agent DaemonSet.
    pub namespace: String,
    /// Name of the agent DaemonSet.
    pub daemonset: String,
    /// Helm release that owns it, when it says so.
    pub release: Option<String>,
    /// Who owns the agent DaemonSet.
    pub owner: Owner,
    /// Version told by the agent's image tag, `1.18.2`.
    pub version: Option<String>,
    /// Data of the ConfigMap `cilium-config`.
    pub config: BTreeMap<String, String>,
    /// Agents, by node.
    pub agents: Vec<Agent>,
    /// The ConfigMap that its agents copy their CNI file from, when their pods mount one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conf_source: Option<ConfSource>,
}

/// A ConfigMap with a whole CNI configuration in it (`cni.configMap` of the chart).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfSource {
    /// `namespace/name`.
    pub config_map: String,
    /// It is there, with the key that agents read; without it their pods do not start.
    pub found: bool,
    /// `name` of the network it describes; empty when it was not found or is no CNI configuration.
    pub network: String,
    /// `type` of its plugins in order; empty as well.
    pub plugins: Vec<String>,
}

/// One agent pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The node it runs on.
    pub node: String,
    /// Condition Ready is True.
    pub ready: bool,
}

/// One CiliumEndpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// Addresses.
    pub ips: Vec<String>,
    /// `status.state`, `ready` when it works.
    pub state: String,
}
