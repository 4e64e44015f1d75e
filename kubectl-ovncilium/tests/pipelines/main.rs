//! What pipelines get: `lint` and `check --manifests` as programs, judged by their exit codes and their output.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests; clippy knows only test functions"
)]

mod binary;
mod check;
mod lint;
mod recorded;
mod schemas;
mod stream;
mod support;
