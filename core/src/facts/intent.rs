//! What is asked for: the target, and what a plan will change itself at its safe moment.

use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Why the policies are asked.
    pub action: Action,
    /// Target Cilium version, `1.18.12`; absent when no chart was named.
    pub cilium_version: Option<String>,
    /// Ranges that Cilium's cluster-pool would use.
    pub cluster_pool: Vec<String>,
    /// A plan turns Kube-OVN's network policy off itself, at its safe moment.
    pub turns_network_policy_off: bool,
    /// A plan turns Kube-OVN's load balancer off itself, at its safe moment.
    pub turns_load_balancer_off: bool,
    /// File name of the chained configuration, `01-cilium.conflist`.
    pub conf_name: String,
}

/// Why the policies are asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Somebody wants to know (`check`).
    #[default]
    Check,
    /// A migration by us.
    Migrate,
    /// A person or pipeline installs the chart without us (`post-render` in gate mode).
    Install,
}
