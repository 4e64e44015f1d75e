//! Small parts that all planners put together: a bare plan, steps with ids, lanes, stages, phases.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::ids::{NodeName, StepId};

use super::action::{AGENT_LABEL, CHAIN_CONFIG, CHAINED_LABEL, ENFORCE_LABEL};
use super::action::{Chain, ENFORCE_CONFIG, Moment};
use super::migrate::cluster_uid;
use super::values::{chain_defaults, enforce_defaults};
use super::{Action, Guard, Kind, Lane, ModulePin, Phase, Plan, PlannedNode, SCHEMA, Settings, Stage, Step};

/// How long a plan can be started after it was made.
const PLAN_HOURS: i64 = 24;

/// A plan without steps, made now.
pub(super) fn bare(
    kind: Kind,
    facts: &Facts,
    settings: Settings,
    modules: Vec<ModulePin>,
    now: jiff::Timestamp,
) -> Plan {
    Plan {
        schema: SCHEMA,
        written_by: env!("CARGO_PKG_VERSION").to_owned(),
        kind,
        created_at: now,
        expires_at: now + jiff::SignedDuration::from_hours(PLAN_HOURS),
        cluster: cluster_uid(facts),
        facts: facts.digest(),
        modules,
        settings,
        nodes: Vec::new(),
        phases: Vec::new(),
        consequences: Vec::new(),
        writes: Vec::new(),
    }
}

/// A step on the cluster as a whole; `part` makes its id unique.
pub(super) fn step(part: &str, action: Action) -> Step {
    Step { id: StepId(format!("{part}/{}", action.name())), action, guard: Guard::Nothing }
}

/// A step on a node; relies on the node being the same node.
pub(super) fn node_step(part: &str, node: &PlannedNode, action: Action) -> Step {
    Step {
        id: StepId(format!("{part}/{}/{}", action.name(), node.name)),
        action,
        guard: Guard::NodeUid { uid: node.uid.clone() },
    }
}

/// Steps on the cluster, one after the other.
pub(super) fn cluster_stage(title: &str, steps: Vec<Step>) -> Stage {
    Stage { title: title.to_owned(), lanes: vec![Lane { node: None, steps }], soak_seconds: 0 }
}

/// The same actions on several nodes, side by side.
pub(super) fn node_stage(
    title: &str,
    part: &str,
    nodes: &[&PlannedNode],
    soak_seconds: u32,
    actions: impl Fn() -> Vec<Action>,
) -> Stage {
    let lanes = nodes
        .iter()
        .map(|node| Lane {
            node: Some(NodeName(node.name.0.clone())),
            steps: actions().into_iter().map(|action| node_step(part, node, action)).collect(),
        })
        .collect();
    Stage { title: title.to_owned(), lanes, soak_seconds }
}

/// Kube-OVN serves Services no more: who is left to is asked on every node, right before as `first` says, and right after.
pub(super) fn asked_around(
    controller: Stage,
    nodes: &[&PlannedNode],
    first: Moment,
    ask: impl Fn(Moment) -> Vec<Action>,
) -> Vec<Stage> {
    let stage = |part, moment| node_stage("Services", part, nodes, 0, || ask(moment));
    vec![stage("hand-over", first), controller, stage("handed-over", Moment::After)]
}

/// Services are asked, and nothing else is looked at.
pub(super) fn ask(moment: Moment) -> Vec<Action> {
    vec![Action::ProbeServices { moment }]
}

/// A phase; stages without steps are left out.
pub(super) fn phase(number: u8, id: &str, title: &str, notices: &str, stages: Vec<Stage>) -> Phase {
    Phase {
        number,
        id: id.to_owned(),
        title: title.to_owned(),
        notices: notices.to_owned(),
        stages: stages.into_iter().filter(|stage| stage.lanes.iter().any(|lane| !lane.steps.is_empty())).collect(),
    }
}

/// Sets and removes labels of ours.
pub(super) fn labels(words: &[(&str, Option<&str>)]) -> Action {
    let labels: BTreeMap<_, _> =
        words.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
    Action::LabelNode { labels }
}

/// Agent and chain: the cutover of a node.
pub(super) fn chain_labels() -> Action {
    labels(&[(AGENT_LABEL, Some("true")), (CHAINED_LABEL, Some("true"))])
}

/// None of our labels.
pub(super) fn no_labels() -> Action {
    labels(&[(AGENT_LABEL, None), (CHAINED_LABEL, None), (ENFORCE_LABEL, None)])
}

/// The CiliumNodeConfig that chains.
pub(super) fn chain_config(settings: &Settings) -> Action {
    Action::SetNodeConfig {
        name: CHAIN_CONFIG.to_owned(),
        label: CHAINED_LABEL.to_owned(),
        defaults: chain_defaults(settings),
    }
}

/// The CiliumNodeConfig that enforces.
pub(super) fn enforce_config() -> Action {
    Action::SetNodeConfig {
        name: ENFORCE_CONFIG.to_owned(),
        label: ENFORCE_LABEL.to_owned(),
        defaults: enforce_defaults(),
    }
}

/// Cut a node over and prove it.
pub(super) fn forward() -> Vec<Action> {
    vec![
        chain_labels(),
        Action::AwaitAgent,
        Action::ProveConf { chain: Chain::Chained },
        Action::Canary { chain: Chain::Chained },
    ]
}

/// Take a node's chain away and prove it; the agent stays.
pub(super) fn back() -> Vec<Action> {
    back_to(Chain::Plain)
}

/// Take our file away from a node and prove what it loads then; the agent stays.
pub(super) fn back_to(chain: Chain) -> Vec<Action> {
    vec![labels(&[(CHAINED_LABEL, None)]), Action::RetireConf, Action::ProveConf { chain }, Action::Canary { chain }]
}
