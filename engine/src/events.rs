//! What the engine tells whoever watches: facts about progress, never text for a terminal.

use std::time::Duration;

use ovncilium_core::ids::{NodeName, StepId};

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The lock is taken and the journal open.
    Claimed {
        /// The run.
        run: String,
        /// Epoch of this process.
        epoch: u64,
        /// Steps done by former processes.
        resumed: usize,
    },
    /// Another holder's lock is watched until it is dead.
    WaitingForLock {
        /// Its holder.
        holder: String,
    },
    /// A phase begins.
    Phase {
        /// Its number.
        number: u8,
        /// Its id.
        id: String,
        /// Its sentence.
        title: String,
    },
    /// A stage begins.
    Stage {
        /// Its title.
        title: String,
        /// Its nodes; empty for a stage on the cluster.
        nodes: Vec<NodeName>,
    },
    /// A step writes.
    Acting {
        /// The step.
        step: StepId,
        /// Its node.
        node: Option<NodeName>,
        /// What it does.
        what: String,
    },
    /// A step waits, and for what; told when the reason changes.
    Waiting {
        /// The step.
        step: StepId,
        /// Its node.
        node: Option<NodeName>,
        /// For what.
        reason: String,
    },
    /// A step is done.
    Done {
        /// The step.
        step: StepId,
        /// Its node.
        node: Option<NodeName>,
        /// What it does.
        what: String,
        /// What was seen at its end.
        note: String,
        /// Whether there was nothing to do.
        already: bool,
        /// How long it took.
        took: Duration,
        /// Steps done so far.
        done: usize,
        /// Steps of the plan.
        total: usize,
        /// What is left, as a range; absent until something was measured.
        left: Option<(Duration, Duration)>,
    },
    /// Time between stages in which nothing is changed.
    Soaking {
        /// How long.
        seconds: u32,
    },
    /// A person asked to stop.
    Stopping {
        /// Whether the nodes in work are finished first.
        finishing: bool,
    },
}
