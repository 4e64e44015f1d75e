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
    /// None when documents are judged by themselves.
    ///
    /// # Errors
    /// Why pods or endpoints are not known although the cluster was read.
    pub(crate) fn read(context: &Context<'_>) -> Result<Option<Self>, String> {
        let workloads: Option<Workloads> = super::fact(context, "workloads", "")?;
        let cilium: Option<Cilium> = super::fact(context, "cilium", "")?;
        let (Some(workloads), Some(cilium)) = (workloads, cilium) else { return Ok(None) };
        let managed: BTreeSet<(&str, &str)> =
            cilium.endpoints.iter().map(|endpoint| (endpoint.namespace.as_str(), endpoint.name.as_str())).collect();
        let unmanaged: Vec<&Pod> = workloads
            .pods
            .iter()
            // A pod that has not told its phase is not known to have ended.
            .filter(|pod| !pod.host_network && !matches!(pod.phase.as_str(), "Succeeded" | "Failed"))
            .filter(|pod| !managed.contains(&(pod.namespace.as_str(), pod.name.as_str())))
            .collect();
        let dns = |pod: &&&Pod| ["coredns", "kube-dns"].iter().any(|name| pod.name.starts_with(name));
        Ok(Some(Self {
            unmanaged: unmanaged.len(),
            unmanaged_dns: unmanaged.iter().filter(dns).map(|pod| pod.name.clone()).collect(),
            policies: workloads.network_policies.len() + cilium.policies.len(),
        }))
    }
}
