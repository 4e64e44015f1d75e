//! Kernel and distribution as the node itself tells them (node tier).

use serde::{Deserialize, Serialize};

/// Kernel and distribution, by node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeOs {
    /// One per node that answered.
    pub nodes: Vec<Os>,
}

/// One node's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Os {
    /// The node.
    pub node: String,
    /// `uname -r`.
    pub kernel: String,
    /// Whether `ovn0` and the tunnel device exist, by name.
    pub devices: Vec<String>,
}
