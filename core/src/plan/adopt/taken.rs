//! What `--adopt` looks up besides the facts, and what a plan keeps of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::kube_proxy::{ApiServer, Found};

/// What `--adopt` has looked up besides the facts, and what it was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopting {
    /// The newest revision of the release that the agents' DaemonSet names; `None` when helm knows none.
    pub release: Option<FoundRelease>,
    /// What there is of kube-proxy, and of Services.
    pub kube_proxy: Found,
    /// The API server's address as the operator has named it, where Cilium serves Services and its release does not tell it.
    pub api_server: Option<ApiServer>,
}

/// A Helm release as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRelease {
    /// Its revision.
    pub revision: u32,
    /// `deployed`, or what else helm says.
    pub status: String,
    /// Version of its chart.
    pub chart_version: String,
    /// Values it was given.
    pub values: Value,
}

/// What was taken over; a plan carries it in its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// The file that chained before, `05-cilium.conflist`.
    pub conf: String,
    /// Revision of the release when the plan was made: what `helm rollback` would lead back to.
    pub revision: u32,
    /// Cilium enforced with every pod known to it, and goes on doing so.
    pub enforces: bool,
}
