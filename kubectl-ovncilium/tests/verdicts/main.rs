//! That verdicts are right and stable: the reviewed tables of `policies/verdicts`, facts that are taken away, and things that must
//! not matter.
//!
//! [`cilium`] and [`kube_ovn`] hold the binary to the tables; [`renders`] are the project's own reduced streams. [`fields`] takes
//! facts away one by one, [`listings`] does the same with what the API server lists and adds what has nothing to do with us;
//! [`environment`] runs the binary in other places of the world.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers outside of test functions may stop a test, and say what they left out"
)]

mod cilium;
mod environment;
mod explain;
mod fields;
mod judge;
mod kube_ovn;
mod listings;
mod program;
mod renders;
mod start;
mod table;
