//! A pretend cluster behind the engine's traits: deterministic, on a virtual clock, with faults at chosen writes.
//!
//! [`SimCluster`] is a [`store`] (an API server in memory), a [`clock`], a [`charts`] (helm with a small chart of
//! Cilium) and the [`actors`] that move things: kubelets, controllers, Kube-OVN and Cilium, with the behaviour that
//! was measured on the real ones. It serves `migrate --rehearse` (on [`example`], or on objects of a user's own
//! cluster) and the engine's tests, which kill it at every write. The same actors play the nodes of a real
//! kube-apiserver in `e2e/`, through [`ActorCluster`]. [`resources`] are the kinds it stores, [`objects`] and
//! [`selector`] read them, [`jitter`] makes pods differ.

pub mod actors;
pub mod charts;
pub mod clock;
mod cluster;
pub mod example;
pub mod jitter;
pub mod objects;
pub mod resources;
pub mod selector;
pub mod store;

pub use actors::Actors;
pub use cluster::SimCluster;
pub use jitter::Jitter;
pub use store::{ActorCluster, Fault, Store, User, What, When, WriteRecord};
