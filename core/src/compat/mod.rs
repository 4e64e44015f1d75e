//! Version tables: what each version of Cilium's chart, of Kube-OVN and of Helm does, one row each, with its source.
//!
//! What depends on a version is asked here and nowhere else. What can be told by structure (which container writes a file,
//! which keys a render has) is told by structure; the tables say what structure cannot: what a chart would do with a value.
//!
//! A version newer than a table is judged by the newest row, and whoever asks gets [`Newer`] with it and must tell it. An older
//! one, or a text that is no version, is [`UnknownVersion`]. Policy modules may use nothing of ours, so some carry
//! versions of their own (`node-kernel`, `helm-version`, `cni-conf-order`, `chart-chaining`, `nat-gateway`); `policies/host/tests` hold
//! that they say the same as these.
//! `cargo xtask gen` makes [docs/reference/versions.md](../../../docs/reference/versions.md) of them.

pub mod cilium;
pub mod helm;
pub mod kube_ovn;

use std::fmt;

pub use cilium::{CILIUM_MINORS, CiliumMinor, cilium_minor};

/// A row, and whether the version that was asked for is newer than every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<R> {
    /// The version's own row, or the newest.
    pub row: R,
    /// The version is newer than the table; to be told with every judgement that comes of the row.
    pub newer: Option<Newer>,
}

/// A version that is newer than a table, in words: `Cilium 1.21.0 is newer than this release knows (1.10 to 1.20); it is
/// judged as 1.20`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// `Cilium`.
    pub what: &'static str,
    /// What was asked for.
    pub version: String,
    /// Oldest row.
    pub oldest: String,
    /// Newest row, by which it is judged.
    pub newest: String,
}

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, version, oldest, newest } = self;
        write!(f, "{what} {version} is newer than this release knows ({oldest} to {newest}); it is judged as {newest}")
    }
}

/// A version without a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownVersion {
    /// The text is no version.
    #[error("`{version}` is not a version of {what}")]
    NoVersion {
        /// `Cilium's chart`.
        what: &'static str,
        /// The text.
        version: String,
    },
    /// It is not in the table.
    #[error("{what} {version} is not known to this release: it knows {oldest} to {newest}")]
    NotInTable {
        /// `Cilium`.
        what: &'static str,
        /// What was asked for.
        version: String,
        /// Oldest row.
        oldest: String,
        /// Newest row.
        newest: String,
    },
}
