//! How a command ends: the frozen exit codes, and the next step that goes with a message.

use serde::Serialize;

/// Exit codes of the command line. Frozen: scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[repr(u8)]
pub enum ExitCode {
    /// What was asked for is done.
    Done = 0,
    /// A bug of ours.
    Internal = 1,
    /// The command line, a file or a setting is wrong.
    Usage = 2,
    /// A policy denied.
    Denied = 3,
    /// A policy could not run, or a fact it needs is unknown.
    CouldNotJudge = 4,
    /// Paused or blocked; the same command resumes.
    Paused = 5,
    /// Someone else holds the lock.
    LockHeld = 6,
    /// Rolled back.
    RolledBack = 7,
    /// Changes are pending, or drift was found.
    ChangesPending = 8,
    /// The cluster or a tool refused.
    Refused = 9,
    /// Interrupted (SIGINT); the journal is intact.
    Interrupted = 130,
    /// Terminated (SIGTERM); the journal is intact.
    Terminated = 143,
}

impl ExitCode {
    /// One sentence for help texts and reference pages.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Internal => "internal error (our bug)",
            Self::Usage => "wrong usage: command line, file or setting",
            Self::Denied => "a policy denied",
            Self::CouldNotJudge => "could not judge: a policy failed to run or a fact is unknown",
            Self::Paused => "paused or blocked; run again to resume",
            Self::LockHeld => "someone else holds the lock",
            Self::RolledBack => "rolled back",
            Self::ChangesPending => "changes are pending, or drift was found",
            Self::Refused => "the cluster or a tool refused",
            Self::Interrupted => "interrupted, journal intact",
            Self::Terminated => "terminated, journal intact",
        }
    }

    /// All codes in order.
    pub const ALL: [Self; 12] = [
        Self::Done,
        Self::Internal,
        Self::Usage,
        Self::Denied,
        Self::CouldNotJudge,
        Self::Paused,
        Self::LockHeld,
        Self::RolledBack,
        Self::ChangesPending,
        Self::Refused,
        Self::Interrupted,
        Self::Terminated,
    ];
}

/// What a person can do about a message; printed as a `hint:` line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "text", rename_all = "kebab-case")]
pub enum NextStep {
    /// A command to type.
    Command(String),
    /// Something to change, in a file or in a cluster.
    Edit(String),
    /// Something to read.
    Read(String),
}

impl NextStep {
    /// The hint as one line.
    pub fn line(&self) -> String {
        match self {
            Self::Command(text) => format!("run `{text}`"),
            Self::Edit(text) => text.clone(),
            Self::Read(text) => format!("see {text}"),
        }
    }
}
