//! Nodes, as `status.nodeInfo`, labels and addresses tell them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All nodes of the cluster, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    /// The nodes.
    pub items: Vec<Node>,
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: nodes are keyed by it, a node made again is another node.
    pub uid: String,
    /// `status.nodeInfo.kernelVersion`, such as `5.14.0-503.el9.x86_64`; absent when the kubelet has not told it.
    pub kernel: Option<String>,
    /// `status.nodeInfo.osImage`: `Rocky Linux 8.10 (Green Obsidian)`.
    pub os_image: Option<String>,
    /// `status.nodeInfo.architecture`: `amd64`.
    pub architecture: Option<String>,
    /// `status.nodeInfo.containerRuntimeVersion`: `containerd://1.7.24`.
    pub container_runtime: Option<String>,
    /// Addresses of type InternalIP.
    pub internal_ips: Vec<String>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<String>,
    /// Whether it carries a control-plane role label.
    pub control_plane: bool,
    /// Condition Ready is True.
    pub ready: bool,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// All labels.
    pub labels: BTreeMap<String, String>,
}
