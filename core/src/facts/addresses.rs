//! Every address range in use, whoever uses it.

use serde::{Deserialize, Serialize};

/// Every address range in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// The ranges; the same CIDR may appear for several users.
    pub ranges: Vec<Range>,
}

/// One range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// `pod`, `join`, `service` or `node`.
    pub kind: String,
    /// Who uses it: `subnet ovn-default`, `node worker-1`, `flag --service-cluster-ip-range`.
    pub user: String,
    /// The range in CIDR notation; a single address is a /32 or /128.
    pub cidr: String,
}
