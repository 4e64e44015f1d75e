//! Reads a cluster into facts, through the trait [`Cluster`] alone.
//!
//! [`collect`] is the api tier: every listing that facts are made of ([`listings`]), and what we may do
//! ([`permissions`]). What is forbidden becomes unknown with the server's words; only a server that does not answer, or does not
//! know us at all, is an error. [`nodes`] is the node tier: short-lived pods, on request. Tools and the intent are put in by
//! whoever knows them.

mod listings;
pub mod nodes;
pub mod permissions;

use jiff::Timestamp;
use ovncilium_core::facts::derive::{config_maps, derive};
use ovncilium_core::facts::kube_ovn::Owner;
use ovncilium_core::facts::{Facts, Source, Subject};
use ovncilium_core::plan::Resource;
use ovncilium_core::{ExitCode, NextStep};

use crate::world::{Cluster, ClusterError};

pub use listings::{READ, inventory};
use permissions::Namespaces;

/// What to collect, and how to call it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kubeconfig context, when one was named.
    pub context: Option<String>,
    /// Namespace that Cilium is, or will be, installed in.
    pub release_namespace: String,
    /// Now.
    pub now: Timestamp,
}

/// Why there are no facts at all.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The API server did not answer.
    #[error(transparent)]
    Unreachable(ClusterError),
    /// The API server does not tell us who it is.
    #[error("{server} does not let us read the namespace kube-system, by which clusters are told apart")]
    Refused {
        /// Its URL.
        server: String,
        /// Its words.
        source: ClusterError,
    },
    /// Something that answers, but is no cluster.
    #[error("{server} has no namespace kube-system: this is no Kubernetes cluster")]
    NoCluster {
        /// Its URL.
        server: String,
    },
}

impl CollectError {
    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Refused
    }

    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Unreachable(_) => NextStep::Command("kubectl get --raw /readyz".to_owned()),
            Self::Refused { .. } => NextStep::Command("kubectl auth whoami".to_owned()),
            Self::NoCluster { .. } => NextStep::Edit(
                "name the cluster you mean with `--context`; `kubectl config get-contexts` lists them".to_owned(),
            ),
        }
    }
}

/// Facts of the api tier. Reads only; permissions are asked by creating SelfSubjectAccessReviews, which are not stored.
///
/// # Errors
/// [`CollectError`]; that single listings are forbidden is none.
pub fn collect(cluster: &dyn Cluster, options: &Options) -> Result<Facts, CollectError> {
    let source =
        Source::Live { server: cluster.server(), context: options.context.clone(), cluster: identity(cluster)? };
    let inventory = listings::inventory(cluster).map_err(CollectError::Unreachable)?;
    let mut facts = derive(&inventory, source, options.now);
    let installation = facts.kube_ovn.value.known().and_then(|kube_ovn| kube_ovn.the_one().ok());
    // Without a namespace the question is whether it is allowed in all of them.
    let namespace = installation.map(|one| one.namespace.clone()).unwrap_or_default();
    let maps = config_maps(&inventory);
    let config_maps = maps.iter().filter_map(|map| map.namespace.as_deref()).collect();
    let release = &options.release_namespace;
    let owner_release = installation.and_then(|one| match &one.owner {
        Owner::Helm { namespace, .. } => Some(namespace.as_str()),
        _ => None,
    });
    let namespaces = Namespaces { kube_ovn: &namespace, release, owner_release, config_maps: &config_maps };
    let permissions = permissions::ask(cluster, namespaces);
    facts.permissions = match permissions {
        Ok(permissions) => Subject::known(permissions, options.now),
        Err(error @ ClusterError::Unreachable { .. }) => return Err(CollectError::Unreachable(error)),
        Err(error) => Subject::unknown(error.to_string()),
    };
    Ok(facts)
}

/// UID of the namespace `kube-system`: tells clusters apart.
///
/// # Errors
/// [`CollectError`].
pub fn identity(cluster: &dyn Cluster) -> Result<String, CollectError> {
    let server = cluster.server();
    match cluster.get(&Resource::NAMESPACES.named("", "kube-system")) {
        Ok(Some(namespace)) => {
            let uid = namespace.pointer("/metadata/uid").and_then(serde_json::Value::as_str);
            uid.map(str::to_owned).ok_or(CollectError::NoCluster { server })
        }
        Ok(None) => Err(CollectError::NoCluster { server }),
        Err(error @ ClusterError::Unreachable { .. }) => Err(CollectError::Unreachable(error)),
        Err(source) => Err(CollectError::Refused { server, source }),
    }
}

#[cfg(test)]
mod pretend;
#[cfg(test)]
mod tests;
