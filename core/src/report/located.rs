//! A finding at its place, and input that could not be judged.

use std::ops::Deref;

use serde::Serialize;

use crate::Place;
use crate::policy::Finding;

/// Where a finding is: file and line of the key it names, else of its object, and that object.
pub type Whereabouts = (Option<Place>, Option<String>);

/// A finding with its place, when it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// File and line of the key it names, else of its object.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// The object of a document: `ConfigMap kube-system/cilium-config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

impl Deref for Located {
    type Target = Finding;

    fn deref(&self) -> &Finding {
        &self.finding
    }
}

impl From<Finding> for Located {
    fn from(finding: Finding) -> Self {
        Self { finding, place: None, object: None }
    }
}

/// Input that could not be judged, which closes the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Where.
    #[serde(flatten)]
    pub place: Option<Place>,
}
