//! What the current user may do, asked by SelfSubjectAccessReview.

use serde::{Deserialize, Serialize};

/// What the current user may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// One answer per request a migration makes.
    pub items: Vec<Permission>,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// `get`, `list`, `create`, …
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural resource, with a subresource after a slash: `pods/eviction`.
    pub resource: String,
    /// Namespace; empty for all of them.
    pub namespace: String,
    /// The answer.
    pub allowed: bool,
    /// Why it is needed, for the message.
    pub needed_for: String,
}
