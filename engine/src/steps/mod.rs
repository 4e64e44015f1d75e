//! One file per action of a plan: how its goal is recognised, and how it is reached.
//!
//! A step *looks* (reading only), and when its goal is not met it says what it is about to write (its intent), which the
//! journal makes durable, and *acts*. Looking again is how a step is resumed, retried and proven; so every act must be
//! recognisable on a re-read. A new action: a variant in the plan's vocabulary, a file here, a line in [`work`].

mod await_agent;
mod await_coverage;
mod await_enforcement;
mod await_flags;
mod await_kube_proxy;
mod await_no_agent;
mod await_no_kube_proxy;
mod await_ovn_policy;
mod await_replacement;
mod await_switch;
mod canary;
mod clean_datapath;
mod clean_kube_proxy;
mod clean_rules;
pub(crate) mod flags;
mod label_node;
mod limit_kube_proxy;
mod probe_services;
mod prove_conf;
mod prove_kube_proxy;
mod recycle;
mod remove_crds;
mod remove_node_config;
mod remove_release;
mod remove_taint;
mod restart_agent;
mod retire_conf;
mod retire_found;
mod review_drops;
mod set_controller_flags;
mod set_node_config;
mod set_release;
mod set_release_flags;
mod support;
mod verify;

use ovncilium_core::ids::RunId;
use ovncilium_core::journal::{Entry, Record};
use ovncilium_core::plan::flags::apply;
use ovncilium_core::plan::{Action, Guard, Plan, PlannedNode, Resource, Settings, Step};
use serde_json::Value;

use crate::lock::LockError;
use crate::world::{ChartsError, ClusterError, World};

/// What a step may look at.
pub struct Cx<'a> {
    /// The world.
    pub world: World<'a>,
    /// The plan.
    pub plan: &'a Plan,
    /// The run.
    pub run: &'a RunId,
    /// The step.
    pub step: &'a Step,
    /// The lane's node.
    pub node: Option<&'a PlannedNode>,
    /// What the journal knows of this subject.
    pub record: Option<&'a Record>,
    /// Whether a person has seen what Cilium would drop, and accepts it.
    pub accepts_drops: bool,
    /// Since when every pod has had its endpoint ([`Journal::covered_since`](ovncilium_core::journal::Journal::covered_since)).
    pub covered_since: jiff::Timestamp,
    /// Keeps the lock during an act that takes long.
    pub keep_lock: &'a dyn Fn() -> Result<(), LockError>,
}

impl Cx<'_> {
    /// The plan's settings.
    pub fn settings(&self) -> &Settings {
        &self.plan.settings
    }

    /// What the journal knows of this step.
    pub fn entry(&self) -> Option<&Entry> {
        self.record.and_then(|record| record.entry(&self.step.id))
    }

    /// What this step recorded with its last intent.
    pub fn recorded(&self) -> &Value {
        self.entry().map_or(&Value::Null, |entry| &entry.recorded)
    }

    /// What helm is given to call while it works.
    fn heartbeat(&self) -> impl FnMut() -> Result<(), String> {
        || (self.keep_lock)().map_err(|error| error.to_string())
    }

    /// Name of the lane's node.
    ///
    /// # Errors
    /// [`StepError::Plan`] when the plan put a node step into a lane without node.
    pub fn node_name(&self) -> Result<&str, StepError> {
        self.node
            .map(|node| node.name.as_str())
            .ok_or_else(|| StepError::Plan(format!("step {} has no node", self.step.id)))
    }
}

/// What a look found.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// The goal is met; what was seen, and what is worth recording.
    Met(String, Option<Value>),
    /// Something must be written; what the journal must know before.
    Act(Value),
    /// It is on its way; for what we wait.
    Wait(String),
    /// It cannot go on without a person.
    Blocked(String),
}

impl Look {
    fn met(note: impl Into<String>) -> Self {
        Self::Met(note.into(), None)
    }

    fn wait(reason: impl Into<String>) -> Self {
        Self::Wait(reason.into())
    }
}

/// Why a look or an act failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Helm.
    #[error(transparent)]
    Charts(#[from] ChartsError),
    /// The plan makes no sense.
    #[error("the plan cannot be carried out: {0}")]
    Plan(String),
}

/// One kind of step.
pub trait Work {
    /// Look at the world; reading only.
    ///
    /// # Errors
    /// [`StepError`] when something could not be read.
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError>;

    /// Write; `intent` is what [`Look::Act`] said and the journal holds now. Idempotent.
    ///
    /// # Errors
    /// [`StepError`] when a request failed; the step is looked at again.
    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError>;

    /// Remove what only this step needed, once its goal is met. Idempotent.
    ///
    /// # Errors
    /// [`StepError`] when a request failed.
    fn tidy(&self, _cx: &Cx<'_>) -> Result<(), StepError> {
        Ok(())
    }

    /// How often it may write before the run pauses: a goal that is not met by then needs a person.
    fn attempts(&self) -> u32 {
        40
    }

    /// Seconds it may wait without progress before the run pauses.
    fn patience(&self) -> u64 {
        600
    }
}

/// The work behind an action.
pub fn work(action: &Action) -> Box<dyn Work + '_> {
    match action {
        Action::SetRelease { stage } => Box::new(set_release::SetRelease(*stage)),
        Action::RemoveRelease => Box::new(remove_release::RemoveRelease),
        Action::SetNodeConfig { name, label, defaults } => {
            Box::new(set_node_config::SetNodeConfig { name, label, defaults })
        }
        Action::RemoveNodeConfig { name } => Box::new(remove_node_config::RemoveNodeConfig(name)),
        Action::LabelNode { labels } => Box::new(label_node::LabelNode(labels)),
        Action::RemoveTaint { key } => Box::new(remove_taint::RemoveTaint(key)),
        Action::AwaitAgent => Box::new(await_agent::AwaitAgent),
        Action::AwaitNoAgent => Box::new(await_no_agent::AwaitNoAgent),
        Action::RestartAgent => Box::new(restart_agent::RestartAgent),
        Action::ProveConf { chain } => Box::new(prove_conf::ProveConf(*chain)),
        Action::Canary { chain } => Box::new(canary::Canary(*chain)),
        Action::RetireConf => Box::new(retire_conf::RetireConf),
        Action::RetireFound => Box::new(retire_found::RetireFound),
        Action::Recycle { chain } => Box::new(recycle::Recycle(*chain)),
        Action::AwaitCoverage => Box::new(await_coverage::AwaitCoverage),
        Action::ReviewDrops => Box::new(review_drops::ReviewDrops),
        Action::AwaitEnforcement => Box::new(await_enforcement::AwaitEnforcement),
        Action::AwaitOvnPolicy => Box::new(await_ovn_policy::AwaitOvnPolicy),
        Action::SetControllerFlags { flags } => Box::new(set_controller_flags::SetControllerFlags(flags)),
        Action::SetReleaseFlags { flags } => Box::new(set_release_flags::SetReleaseFlags(flags)),
        Action::AwaitFlags { flags } => Box::new(await_flags::AwaitFlags(flags)),
        Action::CleanDatapath => Box::new(clean_datapath::CleanDatapath),
        Action::CleanRules => Box::new(clean_rules::CleanRules),
        Action::RemoveCrds => Box::new(remove_crds::RemoveCrds),
        Action::ProbeServices { moment } => Box::new(probe_services::ProbeServices(*moment)),
        Action::ProveKubeProxy => Box::new(prove_kube_proxy::ProveKubeProxy),
        Action::AwaitReplacement => Box::new(await_replacement::AwaitReplacement),
        Action::LimitKubeProxy { limited } => Box::new(limit_kube_proxy::LimitKubeProxy(*limited)),
        Action::AwaitKubeProxy => Box::new(await_kube_proxy::AwaitKubeProxy),
        Action::AwaitNoKubeProxy => Box::new(await_no_kube_proxy::AwaitNoKubeProxy),
        Action::AwaitSwitch { on } => Box::new(await_switch::AwaitSwitch(*on)),
        Action::CleanKubeProxy => Box::new(clean_kube_proxy::CleanKubeProxy),
        Action::Verify { chain } => Box::new(verify::Verify(*chain)),
    }
}

/// Whether what the step relies on still holds; why not otherwise.
///
/// # Errors
/// [`StepError`] when it could not be read.
pub fn guard(cx: &Cx<'_>) -> Result<Result<(), String>, StepError> {
    match &cx.step.guard {
        Guard::Nothing => Ok(Ok(())),
        Guard::NodeUid { uid } => {
            let name = cx.node_name()?;
            let node = cx.world.cluster.get(&Resource::NODES.named("", name))?;
            let found = node.as_ref().and_then(|node| node.pointer("/metadata/uid")).and_then(Value::as_str);
            Ok(match found {
                Some(found) if found == uid => Ok(()),
                // The way back is for whatever bears the name: the disk may be the same, with our file on it.
                Some(_) if cx.plan.kind.goes_back() => Ok(()),
                Some(_) => Err(format!("node {name} was made again since the plan was made")),
                None => Err(format!("node {name} does not exist any more")),
            })
        }
        Guard::Release { revision } => at_revision(cx, *revision),
        Guard::ControllerFlags { flags } => with_flags(cx, flags),
        Guard::Untouched { flags, revision } => match at_revision(cx, *revision)? {
            Ok(()) => with_flags(cx, flags),
            changed => Ok(changed),
        },
    }
}

fn at_revision(cx: &Cx<'_>, revision: u32) -> Result<Result<(), String>, StepError> {
    let (name, namespace) = (&cx.settings().release, &cx.settings().release_namespace);
    Ok(match cx.world.charts.release(name, namespace)? {
        // Once the step has begun, a newer revision is its own.
        Some(found) if found.revision == revision || cx.entry().is_some() => Ok(()),
        Some(found) => {
            let way_out = match begun(cx) {
                true => "",
                false => "; nothing was changed yet: `kubectl ovncilium rollback` forgets this run, then plan again",
            };
            let planned = format!("is at revision {}, not {revision}, for which the plan was made", found.revision);
            Err(format!("release {namespace}/{name} {planned}{way_out}"))
        }
        None => Err(format!("release {namespace}/{name} is gone")),
    })
}

/// Whether a step on the cluster has changed something, or was about to.
fn begun(cx: &Cx<'_>) -> bool {
    let changes = cx.plan.steps().filter(|(_, node, step)| node.is_none() && !step.action.only_looks());
    let mut steps = changes.map(|(_, _, step)| step);
    steps.any(|step| cx.record.is_some_and(|record| record.entry(&step.id).is_some()))
}

fn with_flags(cx: &Cx<'_>, flags: &[String]) -> Result<Result<(), String>, StepError> {
    // Of a change that waits for its owner only the flags themselves matter.
    if matches!(cx.step.action, Action::AwaitFlags { .. }) {
        return Ok(Ok(()));
    }
    let current = flags::Place::find(cx.world.cluster, cx.settings())?.list;
    let target = match cx.step.action.controller_flags() {
        Some(target) => apply(flags, target),
        None => flags.to_vec(),
    };
    Ok(if current == flags || current == target {
        Ok(())
    } else {
        Err(format!("the flags of {} were changed since the plan was made", cx.settings().controller))
    })
}
