//! What was written by whom: the oracle of tests, independent of what the engine says of itself.

use std::fmt;

use jiff::Timestamp;
use ovncilium_core::plan::ObjectRef;
use serde_json::Value;

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// The engine under test; faults hit it.
    Engine,
    /// The helm the engine started; faults hit it too.
    Helm,
    /// Kubelets, controllers, Kube-OVN and Cilium.
    Actors,
    /// A person, or the test itself.
    Person,
}

/// One write request.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteRecord {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub user: User,
    /// `create`, `update`, `patch`, `patch-status`, `delete` or `evict`.
    pub verb: &'static str,
    /// The object.
    pub object: ObjectRef,
    /// Body of the request; null for requests of actors, of which there are many.
    pub request: Value,
    /// Why the server refused it; absent when it took effect.
    pub refused: Option<String>,
}

impl fmt::Display for WriteRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {} {}", self.time, self.user, self.verb, self.object)?;
        if let Some(reason) = &self.refused {
            write!(f, " refused: {reason}")?;
        }
        Ok(())
    }
}
