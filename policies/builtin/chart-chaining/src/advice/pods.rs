//! Which pods Cilium does not manage: a join of pods and CiliumEndpoints, not a difference of counts.

use std::collections::BTreeSet;

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

/// Unmanaged pods and the policies that would drop them.
pub(crate) struct Pods {
    /// Number of pods without an endpoint.
    pub(crate) unmanaged: usize,
    /// Those of the cluster's DNS.
    pub(crate) unmanaged_dns: Vec<String>,
    /// Number of policy objects.
    pub(crate) policies: usize,
}

#[derive(Deserialize)]
struct Workloads {
    pods: Vec<Pod>,
    network_policies: Vec<String>,
}

#[derive(Deserialize)]
struct Pod {
    namespace: String,
    name: String,
    host_network: bool,
    phase: String,
}

#[derive(Deserialize)]
struct Cilium {
    endpoints: Vec<Endpoint>,
    policies: Vec<String>,
}

#[derive(Deserialize)]
struct Endpoint {
    namespace: String,
    name: String,
}

impl Pods {
    /// None when pods or endpoints are not known.
    pub(crate) fn read(context: &Context<'_>) -> Option<Self> {
        let workloads: Workloads = context.facts.get("workloads", "").ok()??;
        let cilium: Cilium = context.facts.get("cilium", "").ok()??;
        let managed: BTreeSet<(&str, &str)> =
            cilium.endpoints.iter().map(|endpoint| (endpoint.namespace.as_str(), endpoint.name.as_str())).collect();
        let unmanaged: Vec<&Pod> = workloads
            .pods
            .iter()
            .filter(|pod| !pod.host_network && matches!(pod.phase.as_str(), "Running" | "Pending"))
            .filter(|pod| !managed.contains(&(pod.namespace.as_str(), pod.name.as_str())))
            .collect();
        let dns = |pod: &&&Pod| ["coredns", "kube-dns"].iter().any(|name| pod.name.starts_with(name));
        Some(Self {
            unmanaged: unmanaged.len(),
            unmanaged_dns: unmanaged.iter().filter(dns).map(|pod| pod.name.clone()).collect(),
            policies: workloads.network_policies.len() + cilium.policies.len(),
        })
    }
}
