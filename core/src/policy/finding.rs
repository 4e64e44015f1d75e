//! One verdict of one rule about one subject.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::ids::{PolicyId, RuleId};

/// What a rule says about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not apply here.
    Skip,
    /// A fact it needs is unknown. Unknown never passes.
    Unknown,
    /// It does not hold.
    Fail,
}

/// How much a verdict weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Told, never closes the gate.
    Info,
    /// Told with emphasis, never closes the gate.
    Warning,
    /// Closes the gate when it fails or is unknown.
    Error,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Skip => "skip",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One verdict of one rule about one subject, with what a person needs to act on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The policy that spoke.
    pub policy: PolicyId,
    /// Digest of the module that spoke.
    pub module: Digest,
    /// The rule of that policy.
    pub rule: RuleId,
    /// The rule's sentence in the positive: `every node's kernel meets Cilium's minimum`.
    pub title: String,
    /// Weight of the rule.
    pub severity: Severity,
    /// The verdict.
    pub verdict: Verdict,
    /// The cause in one sentence, with the values found.
    pub message: String,
    /// The object: `node/worker-1`, `deployment kube-system/kube-ovn-controller`, `--set …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What to set or do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Index of the document in the stream, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<u32>,
    /// Where the document came from: `cilium/templates/cilium-configmap.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// JSON pointer (RFC 6901) into the document or fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// RFC 6902 patch of the document, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

impl Finding {
    /// Whether this finding alone denies.
    pub fn denies(&self) -> bool {
        self.severity == Severity::Error && self.verdict == Verdict::Fail
    }

    /// Whether this finding alone leaves the question open.
    pub fn is_open(&self) -> bool {
        self.severity == Severity::Error && self.verdict == Verdict::Unknown
    }

    /// `policy/rule`, the stable id of the finding.
    pub fn id(&self) -> String {
        format!("{}/{}", self.policy, self.rule)
    }
}
