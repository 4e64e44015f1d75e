//! The same connection for helm, without a secret on its command line.
//!
//! helm gets a small kubeconfig of ours before the operator's own files in `KUBECONFIG`, where the first to set a thing wins: it
//! holds one context that points into those files. Only flags about the server or the user put an entry of their own into it, so
//! credentials are copied only when they came from the command line.

use std::path::{Path, PathBuf};

use kube::config::{Context, NamedContext};

use super::{ConnectionError, OURS, Resolved};

/// What helm needs: a kubeconfig to write to a private file, and the files that follow it.
#[derive(Clone)]
pub struct HelmAccess {
    ours: String,
    theirs: Vec<PathBuf>,
}

impl HelmAccess {
    pub(super) fn new(resolved: &Resolved, theirs: Vec<PathBuf>) -> Result<Self, ConnectionError> {
        let mut config = resolved.kubeconfig();
        if resolved.cluster_name.is_some() {
            config.clusters.clear();
        }
        if resolved.user_name.is_some() {
            config.auth_infos.clear();
        }
        let context = Context {
            cluster: resolved.cluster_name.clone().unwrap_or_else(|| OURS.to_owned()),
            user: Some(resolved.user_name.clone().unwrap_or_else(|| OURS.to_owned())),
            namespace: resolved.namespace.clone(),
            ..Context::default()
        };
        config.contexts =
            vec![NamedContext { name: OURS.to_owned(), context: Some(context), ..NamedContext::default() }];
        let ours =
            serde_json::to_string(&config).map_err(|error| ConnectionError::Machine { message: error.to_string() })?;
        Ok(Self { ours, theirs })
    }

    /// The kubeconfig of ours, as JSON; may hold credentials.
    pub(crate) fn kubeconfig(&self) -> &str {
        &self.ours
    }

    /// Value of `KUBECONFIG` once ours is written to `path`.
    ///
    /// # Errors
    /// The path that cannot be part of a list because it contains the separator.
    pub(crate) fn variable(&self, path: &Path) -> Result<std::ffi::OsString, std::env::JoinPathsError> {
        std::env::join_paths(std::iter::once(path).chain(self.theirs.iter().map(PathBuf::as_path)))
    }

    /// Name of the context of ours.
    pub(crate) fn context(&self) -> &'static str {
        OURS
    }
}
