//! Multus, which calls another CNI configuration for a pod's first interface: which one it was told.

use serde::{Deserialize, Serialize};

/// Every Multus that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multus {
    /// Its DaemonSets.
    pub installations: Vec<Installation>,
}

/// One Multus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installation {
    /// `daemonset kube-system/kube-multus-ds`.
    pub object: String,
    /// What it was told of the first interface, as `setting=value`: `clusterNetwork=/host/etc/cni/net.d/01-kube-ovn.conflist`. A
    /// configuration that it holds itself is told by its plugins: `delegates=kube-ovn+portmap`.
    pub told: Vec<String>,
}
