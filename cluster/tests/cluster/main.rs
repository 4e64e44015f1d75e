//! The crate against a small server that plays recorded answers of a real kube-apiserver, and against real helms where there are some.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests; clippy lets only the tests themselves"
)]

mod api;
mod fake_helm;
mod kubeconfigs;
mod real_cluster;
mod real_helm;
mod server;
mod signals;
