//! The world as the engine sees it: three traits, each synchronous, each with one implementation that is real
//! (`cluster/`) and one that pretends (`sim/`).

mod charts;
mod clock;
mod cluster;

pub use charts::{Charts, ChartsError, Heartbeat, Kept, Release};
pub use clock::Clock;
pub use cluster::{Cluster, ClusterError, Eviction, Filter};

/// The three together.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The API server.
    pub cluster: &'a dyn Cluster,
    /// Helm and the chart.
    pub charts: &'a dyn Charts,
    /// Time.
    pub clock: &'a dyn Clock,
}
