//! Inputs that are made up: a rendered chart and a snapshot, of the sizes that matter.

mod snapshot;
mod stream;

pub(crate) use snapshot::{PODS_PER_NODE, snapshot};
pub(crate) use stream::stream;
