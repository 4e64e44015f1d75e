//! Every listing that facts are made of.

use ovncilium_core::facts::derive::config_maps;
use ovncilium_core::facts::inventory::{Inventory, Listing};
use ovncilium_core::plan::{ObjectRef, Resource};

use crate::world::{Cluster, ClusterError, Filter};

/// Kinds that are listed, in all namespaces. ConfigMaps are not: the few that matter are asked for by name.
pub const READ: &[Resource] = &[
    Resource::NODES,
    Resource::DEPLOYMENTS,
    Resource::DAEMON_SETS,
    Resource::STATEFUL_SETS,
    Resource::PODS,
    Resource::SERVICES,
    Resource::DISRUPTION_BUDGETS,
    Resource::NETWORK_POLICIES,
    Resource::CUSTOM_RESOURCES,
    Resource::HELM_CHARTS,
    Resource::HELM_CHART_CONFIGS,
    Resource::SUBNETS,
    Resource::VPCS,
    Resource::VPC_DNSES,
    Resource::SWITCH_LB_RULES,
    Resource::VPC_NAT_GATEWAYS,
    Resource::VPC_EGRESS_GATEWAYS,
    Resource::CILIUM_ENDPOINTS,
    Resource::CILIUM_NODE_CONFIGS,
    Resource::CILIUM_NETWORK_POLICIES,
    Resource::CILIUM_CLUSTERWIDE_POLICIES,
];

/// All listings; one that is refused is [`Listing::Unreadable`] with the server's words and the permission that is missing.
///
/// # Errors
/// [`ClusterError::Unreachable`] only: half a cluster is no cluster.
pub fn inventory(cluster: &dyn Cluster) -> Result<Inventory, ClusterError> {
    let mut inventory = Inventory::default();
    for resource in READ {
        let listing = match cluster.list(resource, &Filter::all()) {
            Ok(objects) => Listing::Complete(objects),
            Err(ClusterError::NotServed { .. }) => Listing::NotServed,
            Err(error) => Listing::Unreadable(unreadable(error, &permission("list", resource))?),
        };
        inventory.listings.insert(*resource, listing);
    }
    let maps = some_config_maps(cluster, &config_maps(&inventory))?;
    inventory.listings.insert(Resource::CONFIG_MAPS, maps);
    Ok(inventory)
}

fn some_config_maps(cluster: &dyn Cluster, wanted: &[ObjectRef]) -> Result<Listing, ClusterError> {
    let mut found = Vec::new();
    for map in wanted {
        match cluster.get(map) {
            Ok(map) => found.extend(map),
            Err(error) => {
                return Ok(Listing::Unreadable(unreadable(error, &permission("get", &Resource::CONFIG_MAPS))?));
            }
        }
    }
    Ok(Listing::Partial(found))
}

fn permission(verb: &str, resource: &Resource) -> String {
    let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
    format!("{verb} {}{group} in all namespaces", resource.plural)
}

/// The reason why something is unknown; no answer at all is an error.
fn unreadable(error: ClusterError, permission: &str) -> Result<String, ClusterError> {
    match error {
        ClusterError::Unreachable { .. } => Err(error),
        ClusterError::Forbidden { message, .. } => Ok(format!("{message} (missing permission: {permission})")),
        other => Ok(other.to_string()),
    }
}
