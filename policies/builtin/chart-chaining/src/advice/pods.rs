//! Which pods Cilium does not manage: told by a sum, since all pods of a large cluster are more than may cross at once.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

/// Unmanaged pods and the policies that would drop them.
pub(crate) struct Pods {
    /// Number of pods without an endpoint.
    pub(crate) unmanaged: u32,
    /// Those of the cluster's DNS.
    pub(crate) unmanaged_dns: Vec<String>,
    /// Number of policy objects.
    pub(crate) policies: usize,
}

#[derive(Deserialize)]
struct Unmanaged {
    pods: u32,
    dns: Vec<String>,
}

impl Pods {
    /// None when documents are judged by themselves.
    ///
    /// # Errors
    /// Why pods or endpoints are not known although the cluster was read.
    pub(crate) fn read(context: &Context<'_>) -> Result<Option<Self>, String> {
        let unmanaged: Option<Option<Unmanaged>> = super::fact(context, "workloads", "/unmanaged")?;
        let network_policies: Option<Vec<String>> = super::fact(context, "workloads", "/network_policies")?;
        let policies: Option<Vec<String>> = super::fact(context, "cilium", "/policies")?;
        let (Some(unmanaged), Some(network_policies), Some(policies)) = (unmanaged, network_policies, policies) else {
            return Ok(None);
        };
        let unmanaged = unmanaged.ok_or("which pods have a CiliumEndpoint was not told")?;
        Ok(Some(Self {
            unmanaged: unmanaged.pods,
            unmanaged_dns: unmanaged.dns,
            policies: network_policies.len() + policies.len(),
        }))
    }
}
