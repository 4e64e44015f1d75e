//! kube-proxy replaced on the pretend cluster and brought back: somebody serves Services on every node at every moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod distribution;
mod journey;
mod killed;
mod nodes;
mod services;
mod stops;
mod support;
