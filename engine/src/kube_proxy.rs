//! What there is of kube-proxy in a cluster, and what may not be done to it: for a plan that replaces it.

use ovncilium_core::facts::derive;
use ovncilium_core::facts::permissions::Permission;
use ovncilium_core::plan::Resource;
use ovncilium_core::plan::kube_proxy::Found;

use crate::collect::permissions::{self, Namespaces};
use crate::world::{Cluster, ClusterError, Filter};

/// Reads it. Writes nothing.
///
/// # Errors
/// [`ClusterError`]: what decides about kube-proxy may not be guessed.
pub fn look(cluster: &dyn Cluster) -> Result<Found, ClusterError> {
    let all = |resource: &Resource| cluster.list(resource, &Filter::all());
    let sets = all(&Resource::DAEMON_SETS)?;
    let mut maps = Vec::new();
    for map in derive::kube_proxy_config(&sets) {
        maps.extend(cluster.get(&map)?);
    }
    let (pods, services, nodes) = (all(&Resource::PODS)?, all(&Resource::SERVICES)?, all(&Resource::NODES)?);
    Ok(derive::kube_proxy(&sets, &maps, &pods, &services, &nodes))
}

/// Requests that a replacement makes beyond those of a migration, and that are not allowed.
///
/// # Errors
/// When the API server does not answer such questions.
pub fn not_allowed(cluster: &dyn Cluster, found: &Found) -> Result<Vec<Permission>, ClusterError> {
    let mut missing = Vec::new();
    for set in &found.sets {
        let config_maps = std::collections::BTreeSet::new();
        let namespaces = Namespaces {
            kube_ovn: &set.namespace,
            release: &set.namespace,
            owner_release: None,
            config_maps: &config_maps,
        };
        let asked = permissions::ask_for(cluster, permissions::NEEDED_FOR_KUBE_PROXY, namespaces)?;
        missing.extend(asked.items.into_iter().filter(|item| !item.allowed));
    }
    Ok(missing)
}
