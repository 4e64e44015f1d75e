//! Tools beside us on this machine.

use serde::{Deserialize, Serialize};

/// Tools beside us.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tools {
    /// The helm that would be run; absent when there is none.
    pub helm: Option<Helm>,
}

/// A helm executable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Helm {
    /// Absolute path.
    pub path: String,
    /// What `helm version` says, `v3.19.5`; absent when it could not be run.
    pub version: Option<String>,
}
