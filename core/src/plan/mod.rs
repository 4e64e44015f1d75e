//! What will be done, in which order, and what it will write: pure functions from facts to a [`Plan`].
//!
//! A plan fixes rules and order, not the world: each [`Step`] says what must hold ([`Guard`]) before it writes and
//! what holds when it is done; the engine looks again before every write. [`migrate`] and [`rollback`] are two planners over the
//! same vocabulary; [`lint`] refuses a plan that breaks the promises, whoever made it. [`writes`] lists every write a plan may make.

pub mod action;
pub mod adopt;
mod build;
mod consequences;
pub mod drift;
pub mod driver;
pub mod fate;
pub mod flags;
pub mod kube_proxy;
pub mod lint;
pub mod migrate;
pub mod object;
pub mod rollback;
pub mod settings;
pub mod start;
pub mod upgrade;
pub mod values;
pub mod waves;
pub mod writes;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::ids::{NodeName, PolicyId, StepId};

pub use action::{Action, Guard, ReleaseStage};
pub use adopt::Adopted;
pub use driver::Driver;
pub use kube_proxy::KubeProxy;
pub use object::{ObjectRef, Resource};
pub use settings::{ChartRef, Pace, Settings};
pub use writes::Write;

/// Version of the plan format. A newer one may be read, never run.
pub const SCHEMA: u32 = 1;

/// Which way a plan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Bring Cilium in.
    Migrate,
    /// Back to Kube-OVN alone.
    Rollback,
    /// Have Cilium serve Services instead of kube-proxy.
    ReplaceKubeProxy,
    /// Have kube-proxy serve them again.
    RestoreKubeProxy,
}

impl Kind {
    /// Whether it leads back to what was before.
    pub fn goes_back(self) -> bool {
        matches!(self, Self::Rollback | Self::RestoreKubeProxy)
    }

    /// What a run of it is called.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Migrate => "migration",
            Self::Rollback => "rollback",
            Self::ReplaceKubeProxy => "replacement of kube-proxy",
            Self::RestoreKubeProxy => "return of kube-proxy",
        }
    }

    /// The command that begins it and goes on with it.
    pub fn command(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Rollback => "rollback",
            Self::ReplaceKubeProxy => "replace-kube-proxy",
            Self::RestoreKubeProxy => "replace-kube-proxy --back",
        }
    }
}

/// A module that judged the facts of this plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModulePin {
    /// Its policy.
    pub policy: PolicyId,
    /// Digest of its bytes.
    pub module: Digest,
}

/// Everything that will be done, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Version of the writer.
    pub written_by: String,
    /// Which way.
    pub kind: Kind,
    /// When it was made.
    pub created_at: jiff::Timestamp,
    /// When it may no longer be started.
    pub expires_at: jiff::Timestamp,
    /// UID of the namespace `kube-system` of the cluster it was made for.
    pub cluster: String,
    /// Digest of the facts it was made from.
    pub facts: Digest,
    /// Modules that judged those facts.
    pub modules: Vec<ModulePin>,
    /// What the steps need to know.
    pub settings: Settings,
    /// Nodes in the order they are cut over.
    pub nodes: Vec<PlannedNode>,
    /// The phases.
    pub phases: Vec<Phase>,
    /// What cannot come back or is noticed by users; said before anyone says yes.
    pub consequences: Vec<String>,
    /// Every write these steps may make.
    pub writes: Vec<Write>,
}

/// A node of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedNode {
    /// Its name.
    pub name: NodeName,
    /// Its UID when the plan was made.
    pub uid: String,
    /// Whether it carries a control-plane role.
    pub control_plane: bool,
    /// Wave in which it is cut over, from 0 (the canary).
    pub wave: u32,
    /// It was not ready when the plan was made, and comes last, when it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
}

/// One phase of the migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its number, as documented.
    pub number: u8,
    /// Its id: `cut-over`.
    pub id: String,
    /// One sentence: what happens.
    pub title: String,
    /// What a pod notices of it.
    pub notices: String,
    /// Stages, one after the other.
    pub stages: Vec<Stage>,
}

/// Lanes that run side by side, and a pause after them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// What it is: `wave 2`.
    pub title: String,
    /// Lanes, side by side.
    pub lanes: Vec<Lane>,
    /// Seconds to watch after the last lane before the next stage.
    pub soak_seconds: u32,
}

/// Steps on one subject, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The node; absent for steps on the cluster as a whole.
    pub node: Option<NodeName>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in the plan: `cut-over/label/worker-1`.
    pub id: StepId,
    /// What it does.
    pub action: Action,
    /// What must still hold before it writes.
    #[serde(default)]
    pub guard: Guard,
}

impl Plan {
    /// Digest of the plan's JSON.
    ///
    /// # Errors
    /// Never for a plan made by a planner; when JSON cannot be written.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Digest::of_json(self)
    }

    /// All steps in order, with their phase and node.
    pub fn steps(&self) -> impl Iterator<Item = (&Phase, Option<&NodeName>, &Step)> {
        self.phases.iter().flat_map(|phase| {
            phase
                .stages
                .iter()
                .flat_map(|stage| &stage.lanes)
                .flat_map(move |lane| lane.steps.iter().map(move |step| (phase, lane.node.as_ref(), step)))
        })
    }
}
