//! Services, and what turns their addresses into pods.

use serde::{Deserialize, Serialize};

/// Services and their providers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Number of Services with a cluster IP.
    pub cluster_ip: u32,
    /// Number of Services of type NodePort or LoadBalancer.
    pub node_port: u32,
    /// Address of the Service `default/kubernetes`.
    pub api_server: Option<String>,
    /// Providers found.
    pub providers: Vec<Provider>,
}

impl Services {
    /// A kube-proxy that runs somewhere, or is to; a DaemonSet that fits no node serves nothing.
    pub fn kube_proxy(&self) -> Option<&Provider> {
        self.providers.iter().find(|one| one.kind == "kube-proxy" && (one.desired > 0 || one.ready > 0))
    }
}

/// Something that serves Services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `kube-proxy`, `cilium` (kube-proxy replacement) or `kube-ovn` (OVN load balancers).
    pub kind: String,
    /// The object: `daemonset kube-system/kube-proxy`.
    pub object: String,
    /// Nodes where it is wanted.
    pub desired: u32,
    /// Nodes where it is ready.
    pub ready: u32,
    /// `iptables`, `ipvs`, `nftables`, or empty when not known.
    pub mode: String,
}
