//! The real world behind the engine's traits. The only crate that touches a cluster, a process or the clock.
//!
//! [`kubeconfig`] turns kubectl's flags into a connection, [`kube_cluster`] speaks to the API server through it,
//! [`helm`] drives the user's helm against the same cluster, [`clock`] is real time and the signals that ask us to stop.

mod answer;
mod causes;
pub mod clock;
pub mod helm;
pub mod kube_cluster;
pub mod kubeconfig;
mod proxy;
mod request;

pub use clock::SystemClock;
pub use helm::{ChartSource, HelmCli, HelmOptions, PostRenderer};
pub use kube_cluster::KubeCluster;
pub use kubeconfig::{Access, Connection, ConnectionError};
