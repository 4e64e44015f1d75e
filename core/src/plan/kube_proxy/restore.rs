//! The plan that has kube-proxy serve Services again, from whatever a replacement has left: it comes back and is proven before its
//! replacement goes.
//!
//! A node that is not ready is no reason to keep the others waiting. Nothing can be proven there, so nothing of it is taken away: the
//! DaemonSet fits it again, and no agent restarts by itself before the last values. The run goes through the other nodes and ends with those
//! that were away, each when it is ready again, or when it was removed from the cluster.

use crate::facts::Facts;
use crate::facts::nodes::Node;
use crate::journal::Journal;
use crate::plan::action::{Chain, KUBE_PROXY_LABEL, Moment};
use crate::plan::build::{bare, cluster_stage, labels, node_stage, phase, step};
use crate::plan::migrate::named;
use crate::plan::waves::{by_wave, waves};
use crate::plan::{
    Action, Kind, ModulePin, ObjectRef, Pace, Phase, Plan, PlannedNode, ReleaseStage, Settings, Stage, writes,
};

use super::found::{Found, ProxySet};
use super::replace::known_nodes;
use super::{Former, KubeProxy, NoReplacement};

/// The plan. `recorded` are the settings of the replacement, `found` is what is there of kube-proxy now; `pace` is of this run alone.
///
/// # Errors
/// [`NoReplacement`] when nothing was replaced, its DaemonSet is gone or in another mode, nodes could not be read, or none is ready.
pub fn restore(
    facts: &Facts,
    recorded: &Settings,
    found: &Found,
    pace: Pace,
    chart_objects: &[ObjectRef],
    modules: Vec<ModulePin>,
    now: jiff::Timestamp,
) -> Result<Plan, NoReplacement> {
    let settings = settings(recorded)?;
    let former = settings.kube_proxy.as_ref().and_then(|proxy| proxy.former.as_ref());
    let former = former.ok_or(NoReplacement::NeverReplaced)?;
    let planned = nodes(known_nodes(facts)?, pace.wave_limit)?;
    let (away, present): (Vec<PlannedNode>, Vec<PlannedNode>) = planned.iter().cloned().partition(|node| node.away);
    let set = found.sets.iter().find(|set| set.namespace == former.namespace && set.name == former.name);
    // A mode that is not known is told by the rules.
    if let Some(set) = set.filter(|set| !matches!(set.mode.as_str(), "iptables" | "")) {
        return Err(NoReplacement::OtherMode { object: set.object(), mode: set.mode.clone() });
    }
    let comes_back = match former.distribution {
        None => {
            let Some(set) = set else { return Err(NoReplacement::Gone { object: former.told() }) };
            by_its_set(pace, &planned, &present, set, found)
        }
        Some(distribution) => {
            let present: Vec<&PlannedNode> = present.iter().collect();
            vec![node_stage(&format!("the switch of {}", distribution.name()), "return", &present, 0, || {
                starts(former)
            })]
        }
    };
    let mut hand_back =
        vec![cluster_stage("release", vec![step("hand-back", Action::SetRelease { stage: ReleaseStage::Held })])];
    hand_back.extend(in_waves(pace, &present, "hand-back", &lets_go));
    hand_back.push(when_back(former, &away));
    let phases = phases(comes_back, hand_back);
    let mut plan = bare(Kind::RestoreKubeProxy, facts, settings.clone(), modules, now);
    plan.consequences = consequences(former, &away);
    plan.nodes = planned;
    plan.phases = phases;
    plan.writes = writes::of(&plan, chart_objects);
    Ok(plan)
}

/// Every node in its wave; those that are not ready in a last one.
fn nodes(all: &[Node], wave_limit: u32) -> Result<Vec<PlannedNode>, NoReplacement> {
    let (ready, away): (Vec<Node>, Vec<Node>) = all.iter().cloned().partition(|node| node.ready);
    let mut planned = waves(&ready, wave_limit);
    let Some(last) = planned.last().map(|node| node.wave) else {
        return Err(NoReplacement::NodesNotReady { nodes: away.into_iter().map(|node| node.name).collect() });
    };
    planned.extend(waves(&away, wave_limit).into_iter().map(|node| PlannedNode { wave: last + 1, away: true, ..node }));
    Ok(planned)
}

fn in_waves(pace: Pace, nodes: &[PlannedNode], part: &str, actions: &dyn Fn() -> Vec<Action>) -> Vec<Stage> {
    let stage = |(index, wave): (usize, &Vec<&PlannedNode>)| {
        node_stage(&format!("wave {index}"), part, wave, pace.soak_seconds, actions)
    };
    by_wave(nodes).iter().enumerate().map(stage).collect()
}

fn by_its_set(pace: Pace, all: &[PlannedNode], present: &[PlannedNode], set: &ProxySet, found: &Found) -> Vec<Stage> {
    let mut stages = in_waves(pace, present, "return", &|| {
        let mut actions = Vec::new();
        if set.limited {
            actions.push(labels(&[(KUBE_PROXY_LABEL, Some("true"))]));
        }
        actions.extend([Action::AwaitKubeProxy, Action::ProveKubeProxy]);
        actions
    });
    if set.limited {
        stages.push(cluster_stage("kube-proxy", vec![step("return", Action::LimitKubeProxy { limited: false })]));
    }
    // A run that died between the labels and the limit has left labels alone.
    if set.limited || !found.labelled.is_empty() {
        let all: Vec<&PlannedNode> = all.iter().collect();
        stages.push(node_stage("labels", "return-labels", &all, 0, || vec![labels(&[(KUBE_PROXY_LABEL, None)])]));
    }
    let present: Vec<&PlannedNode> = present.iter().collect();
    stages.push(node_stage("look at every node", "return-proof", &present, 0, || {
        vec![Action::AwaitKubeProxy, Action::ProveKubeProxy, Action::ProbeServices { moment: Moment::Before }]
    }));
    stages
}

/// kube-proxy on a node, and what it is held against later.
fn starts(former: &Former) -> Vec<Action> {
    let comes = match former.distribution {
        None => Action::AwaitKubeProxy,
        Some(_) => Action::AwaitSwitch { on: true },
    };
    vec![comes, Action::ProveKubeProxy, Action::ProbeServices { moment: Moment::Before }]
}

/// Cilium on a node.
fn lets_go() -> Vec<Action> {
    vec![Action::ProveKubeProxy, Action::RestartAgent, Action::ProbeServices { moment: Moment::After }]
}

/// Both ways on each node that was away, one after the other.
fn when_back(former: &Former, away: &[PlannedNode]) -> Stage {
    let away: Vec<&PlannedNode> = away.iter().collect();
    let mut stage = node_stage("nodes that were not ready", "away", &away, 0, || starts(former));
    let after = node_stage("", "away-hand-back", &away, 0, lets_go);
    for (lane, more) in stage.lanes.iter_mut().zip(after.lanes) {
        lane.steps.extend(more.steps);
    }
    stage
}

fn phases(comes_back: Vec<Stage>, hand_back: Vec<Stage>) -> Vec<Phase> {
    vec![
        phase(0, "claim", "take the lock, open the journal", "nothing", Vec::new()),
        phase(
            1,
            "return",
            "kube-proxy comes back, and has a rule for every Service on every node",
            "nothing; both serve",
            comes_back,
        ),
        phase(
            2,
            "hand-back",
            "Cilium stops serving Services of nodes, node by node",
            "connections through Services may end once",
            hand_back,
        ),
        phase(
            3,
            "settle",
            "the values of the migration; look at everything once more",
            "nothing",
            vec![
                cluster_stage("release", vec![step("settle", Action::SetRelease { stage: ReleaseStage::Settled })]),
                cluster_stage("verify", vec![step("settle", Action::Verify { chain: Chain::Chained })]),
            ],
        ),
    ]
}

fn consequences(former: &Former, away: &[PlannedNode]) -> Vec<String> {
    let its_return = match former.distribution {
        None => {
            "the DaemonSet of kube-proxy becomes what it was; its pods are started, and once more when its limit goes"
                .to_owned()
        }
        Some(distribution) => {
            format!("kube-proxy is started by you, when the run asks for it: {}", distribution.switch(true))
        }
    };
    let mut lines = vec![
        "connections through Services, also their node ports and external addresses, may end once on each node when kube-proxy serves them again"
            .to_owned(),
        "while an agent lets go, questions to Services of its node may wait for some seconds".to_owned(),
        super::DIFFERING.to_owned(),
        its_return,
    ];
    if !away.is_empty() {
        let names: Vec<String> = away.iter().map(|node| node.name.to_string()).collect();
        lines.push(format!(
            "not ready, so nothing is proven there and no agent is restarted: {}; the run ends with them, each when it is ready again or was \
             removed (`kubectl delete node NAME`), and neither `verify` nor `rollback` goes before that; the DaemonSet of kube-proxy may \
             exchange its other pods only then",
            named(&names)
        ));
    }
    lines
}

/// Nodes of an unfinished `plan` that wait for nobody but are not ready any more: it is made again, so that they come last.
pub fn away_since(plan: &Plan, journal: &Journal, facts: &Facts) -> Vec<String> {
    let nodes = facts.nodes.value.known().map(|nodes| nodes.items.as_slice()).unwrap_or_default();
    let gone = |name: &str| nodes.iter().any(|node| node.name == name && !node.ready);
    let undone = |name: &str| {
        let mut steps = plan.steps().filter(|(_, node, _)| node.is_some_and(|node| node.as_str() == name));
        steps.any(|(_, _, step)| !journal.is_done(name, &step.id))
    };
    let waited_for = plan.nodes.iter().filter(|node| !node.away).map(|node| node.name.as_str());
    waited_for.filter(|name| gone(name) && undone(name)).map(str::to_owned).collect()
}

/// The settings of the way back, from those of the replacement.
///
/// # Errors
/// [`NoReplacement::NeverReplaced`], [`NoReplacement::FoundReplaced`].
pub fn settings(recorded: &Settings) -> Result<Settings, NoReplacement> {
    let mut settings = recorded.clone();
    match &mut settings.kube_proxy {
        Some(KubeProxy { former: Some(_), replaced, .. }) => *replaced = false,
        Some(_) => return Err(NoReplacement::FoundReplaced),
        None => return Err(NoReplacement::NeverReplaced),
    }
    Ok(settings)
}
