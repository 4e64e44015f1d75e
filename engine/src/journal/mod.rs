//! The journal in the cluster: ConfigMaps in Kube-OVN's namespace.
//!
//! | ConfigMap | holds |
//! |---|---|
//! | `ovncilium-journal` | the header of the run: epoch, digest of the plan, phase |
//! | `ovncilium-plan-<digest>` | the plan, gzip |
//! | `ovncilium-attachment-<name>-<digest>-<n>` | the chart and policy modules, so that any machine can resume |
//! | `ovncilium-record-<run>-<hash>` | steps of one node, or of the cluster, in work |
//! | `ovncilium-shard-<run>-<n>` | closed records, sealed |
//!
//! [`Store`] reads and begins; [`Ledger`] belongs to the one process that holds the epoch. Every write is a compare and swap.

mod ledger;
mod store;

pub use ledger::Ledger;
pub use store::{Loaded, Store};

use crate::ClusterError;

/// Why the journal could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The API server refused or did not answer.
    #[error("the journal could not be {doing}")]
    Cluster {
        /// `read` or `written`.
        doing: &'static str,
        /// Why.
        #[source]
        source: ClusterError,
    },
    /// Its text makes no sense.
    #[error("{object} is damaged: {message}")]
    Damaged {
        /// The ConfigMap.
        object: String,
        /// What is wrong.
        message: String,
    },
    /// Written by a newer version.
    #[error("the journal was written by ovncilium {writer} with format {schema}; this program knows format {known}")]
    Newer {
        /// Version of the writer.
        writer: String,
        /// Its format.
        schema: u32,
        /// Ours.
        known: u32,
    },
    /// Another process has taken over.
    #[error("another process took over this run: epoch {found}, ours was {ours}")]
    Fenced {
        /// Epoch in the cluster.
        found: u64,
        /// Epoch of this process.
        ours: u64,
    },
}

impl JournalError {
    pub(crate) fn reading(source: ClusterError) -> Self {
        Self::Cluster { doing: "read", source }
    }

    pub(crate) fn writing(source: ClusterError) -> Self {
        Self::Cluster { doing: "written", source }
    }
}
