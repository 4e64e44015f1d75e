//! Scenarios against a real Kubernetes control plane, built from Go modules.
//!
//! Reading order: [`tools`] builds the binaries, [`control_plane`] starts them, [`fixture`] fills the cluster, a scenario
//! plays its story, [`audit`] and [`objects`] tell what really happened. Nothing here is part of the shipped program.
//!
//! Environment: `OVNCILIUM_E2E_CACHE` (where the built tools are kept), `OVNCILIUM_E2E_KEEP=1` (keep state and logs),
//! `OVNCILIUM_SHARED` (recorded manifests and charts), `OVNCILIUM_SPINE=kills3,helm3` (only these stories of `spine`),
//! `OVNCILIUM_HELMS=ends` (of the list of Helms for `plugin` the oldest and the newest), `OVNCILIUM_MIGRATE=once` (`migrate` without what
//! comes after the way back), `OVNCILIUM_WAY_BACK=canary` (only this phase of `way-back`).

pub mod api;
pub mod audit;
pub mod cli;
pub mod control_plane;
pub mod error;
pub mod fixture;
mod guide;
pub mod helms;
pub mod kubectl;
pub mod lab;
pub mod nodes;
pub mod objects;
mod pki;
pub mod players;
pub mod pods;
mod process;
mod program;
mod published;
mod rendered;
pub mod resources;
pub mod scenarios;
pub mod tools;
pub mod users;
pub mod verdict;
pub mod wait;

pub use api::Api;
pub use audit::{Audit, Event};
pub use control_plane::{ControlPlane, Options};
pub use error::{Error, Result};
pub use fixture::Fixture;
pub use kubectl::Kubectl;
pub use nodes::NodeSpec;
pub use objects::{Snapshot, diff};
pub use players::Players;
pub use tools::Tools;
pub use users::Access;
