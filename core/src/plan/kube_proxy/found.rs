//! What there is of kube-proxy, and what speaks of it: its DaemonSet, static pods, a distribution that brings its own.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::facts::kube_ovn::Owner;

use super::ApiServer;

/// What there is of kube-proxy in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its DaemonSets; one is usual.
    pub sets: Vec<ProxySet>,
    /// Its static pods, where there are any.
    pub static_pods: Option<StaticPods>,
    /// A distribution with a switch of its own.
    pub distribution: Option<Distribution>,
    /// Addresses at which Services are reached.
    pub service_addresses: BTreeSet<String>,
    /// Services that keep the client's address (`externalTrafficPolicy: Local`).
    pub local_traffic: u32,
    /// Services that tell load balancers the health of a node (`healthCheckNodePort`).
    pub health_checks: u32,
    /// Services with a port of SCTP.
    pub sctp: u32,
    /// Services that send a client to the same pod again (`sessionAffinity`).
    pub affinity: u32,
    /// Nodes that carry the label by which kube-proxy is limited.
    pub labelled: BTreeSet<String>,
}

/// A DaemonSet of kube-proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxySet {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Image of its container.
    pub image: String,
    /// Pull secrets of its pods.
    pub image_pull_secrets: Vec<String>,
    /// The words that start it, without flags.
    pub program: Vec<String>,
    /// `iptables`, `ipvs`, `nftables`, or empty when not known.
    pub mode: String,
    /// Whoever puts it back.
    pub owner: Option<Owner>,
    /// Nodes where it is wanted.
    pub desired: u32,
    /// Nodes where it is ready.
    pub ready: u32,
    /// Whether it runs on labelled nodes alone.
    pub limited: bool,
    /// The API server as its own kubeconfig names it.
    pub api_server: Option<ApiServer>,
}

impl ProxySet {
    /// `daemonset kube-system/kube-proxy`.
    pub fn object(&self) -> String {
        format!("daemonset {}/{}", self.namespace, self.name)
    }
}

/// Static pods of kube-proxy, which are alike on every node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaticPods {
    /// Their namespace.
    pub namespace: String,
    /// Image of their container.
    pub image: String,
    /// The words that start it, without flags.
    pub program: Vec<String>,
}

/// A distribution that starts kube-proxy by itself, and stops it by a switch of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// kube-proxy is part of the `k3s` process.
    K3s,
    /// kube-proxy is a static pod.
    Rke2,
    /// kube-proxy is a DaemonSet that Talos applies.
    Talos,
}

impl Distribution {
    /// Told by what a node says of itself: version of its kubelet, image of its system.
    pub fn of(kubelet: &str, os_image: &str) -> Option<Self> {
        if kubelet.contains("+k3s") {
            return Some(Self::K3s);
        }
        if kubelet.contains("+rke2") {
            return Some(Self::Rke2);
        }
        os_image.starts_with("Talos").then_some(Self::Talos)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::K3s => "k3s",
            Self::Rke2 => "RKE2",
            Self::Talos => "Talos",
        }
    }

    /// What starts kube-proxy, or stops it, and where that is set.
    pub fn switch(self, on: bool) -> String {
        match self {
            Self::K3s | Self::Rke2 => {
                let folder = self.name().to_lowercase();
                format!(
                    "set `disable-kube-proxy: {}` in /etc/rancher/{folder}/config.yaml of every server, then restart {} on servers and agents",
                    !on,
                    self.name()
                )
            }
            Self::Talos => {
                let then = if on { "" } else { ", then delete the DaemonSet" };
                format!(
                    "set `cluster.proxy.disabled: {}` in the machine configuration of every control plane (`talosctl patch \
                     machineconfig`){then}",
                    !on
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_told_by_its_nodes() {
        for (kubelet, os, wanted) in [
            ("v1.34.4", "Debian GNU/Linux 13 (trixie)", None),
            ("v1.34.4+k3s1", "Ubuntu 24.04", Some(Distribution::K3s)),
            ("v1.34.4+rke2r1", "SLE Micro", Some(Distribution::Rke2)),
            ("v1.34.4", "Talos (v1.11.2)", Some(Distribution::Talos)),
        ] {
            assert_eq!(Distribution::of(kubelet, os), wanted, "{kubelet} {os}");
        }
    }
}
