//! Carries a plan out. The only crate that decides to write, and it writes through traits alone.
//!
//! [`world`] are those traits: a cluster (the API server), charts (helm), a clock. `cluster/` implements them on the
//! real thing, `sim/` on a pretend one. [`collect`] reads a cluster into facts, [`kube_ovn_release`] the Helm release that may own Kube-OVN,
//! [`kube_proxy`] what there is of kube-proxy, [`journal`] makes intents durable
//! before acts, [`lock`] keeps a second operator out, [`steps`] has one file per action of the plan, [`run`] goes
//! through the phases, [`events`] is what it tells the screen.

pub mod collect;
pub mod events;
pub mod journal;
pub mod kube_ovn_release;
pub mod kube_proxy;
pub mod lock;
pub mod node_task;
pub mod own_values;
pub mod run;
pub mod steps;
pub mod world;

pub use world::{Charts, Clock, Cluster, ClusterError};
