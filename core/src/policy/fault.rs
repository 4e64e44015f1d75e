//! A policy module that could not give a verdict.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Why a module gave no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A built-in or configured module is not there.
    Missing,
    /// The file is no WebAssembly at all.
    NotWasm,
    /// The file is a core module, not a component.
    NotComponent,
    /// The component does not export `ovncilium:policy/policy@0.1.x`, or imports what the host does not give.
    WrongContract,
    /// The bytes do not have the pinned digest.
    WrongDigest,
    /// The settings were refused by the module.
    Settings,
    /// The module trapped.
    Trap,
    /// The module used up its fuel or its time.
    Budget,
    /// The module wanted more memory than it may have.
    Memory,
    /// The module answered more than it may.
    Output,
    /// The module answered something that makes no sense: an unknown rule, a patch it may not make.
    BadAnswer,
    /// The module asked for a fact it had not declared.
    UndeclaredFact,
    /// The module itself says that it could not judge.
    Refused,
}

/// A policy module that could not give a verdict. Never a verdict itself: it closes the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("policy `{policy}` could not judge: {message}")]
pub struct Fault {
    /// The policy's id, or the file given for it when it never told its id.
    pub policy: String,
    /// Digest of the bytes, when there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<Digest>,
    /// Why.
    pub kind: FaultKind,
    /// The cause in one sentence.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}
