//! Words and decisions of ovncilium, synchronous and pure: no clock, no disk, no network, no WebAssembly.
//!
//! Rooms in reading order: [`facts`] (what is known of a cluster), [`policy`] (what a policy module answers),
//! [`render`] (the YAML stream Helm hands a post-renderer), [`compat`] (version tables), [`values`] (of the
//! Cilium chart, with reasons), [`plan`] (what will be done, in which order), [`journal`] (what was done), [`report`] (what a person or a machine reads).

pub mod compat;
pub mod digest;
pub mod facts;
pub mod ids;
pub mod journal;
pub mod outcome;
mod place;
pub mod plan;
pub mod policy;
pub mod render;
pub mod report;
pub mod selector;
pub mod values;

pub use digest::Digest;
pub use outcome::{ExitCode, NextStep};
pub use place::Place;
