//! The repository holds what it says of itself: arrows between crates, purity, lists that name every file, documents
//! whose references resolve.
//!
//! Everything here reads files only (and `cargo metadata` once), so it runs in a second and without network.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are outside of #[test] functions")]

mod arrows;
mod documents;
mod purity;
mod registered;
mod sizes;
mod support;
