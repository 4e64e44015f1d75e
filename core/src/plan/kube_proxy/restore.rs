//! The plan that has kube-proxy serve Services again, from whatever a replacement has left: it comes back and is proven before its
//! replacement goes.

use crate::facts::Facts;
use crate::plan::action::{Chain, KUBE_PROXY_LABEL, Moment};
use crate::plan::build::{bare, cluster_stage, labels, node_stage, phase, step};
use crate::plan::waves::by_wave;
use crate::plan::{Action, Kind, ModulePin, ObjectRef, Plan, PlannedNode, ReleaseStage, Settings, writes};

use super::NoReplacement;
use super::found::Found;
use super::replace::ready_nodes;

/// The plan. `recorded` are the settings of the replacement, `found` is what is there of kube-proxy now.
///
/// # Errors
/// [`NoReplacement`] when nothing was replaced, its DaemonSet is gone, or nodes could not be read.
pub fn restore(
    facts: &Facts,
    recorded: &Settings,
    found: &Found,
    chart_objects: &[ObjectRef],
    modules: Vec<ModulePin>,
    now: jiff::Timestamp,
) -> Result<Plan, NoReplacement> {
    let settings = settings(recorded)?;
    let proxy = settings.kube_proxy.as_ref().ok_or(NoReplacement::NeverReplaced)?;
    let planned = ready_nodes(facts, settings.wave_limit)?;
    let waves = by_wave(&planned);
    let in_waves = |part: &str, actions: &dyn Fn() -> Vec<Action>| {
        let stage = |(index, wave): (usize, &Vec<&PlannedNode>)| {
            node_stage(&format!("wave {index}"), part, wave, settings.soak_seconds, actions)
        };
        waves.iter().enumerate().map(stage).collect::<Vec<_>>()
    };
    let all: Vec<&PlannedNode> = planned.iter().collect();
    let comes_back = match proxy.distribution {
        None => {
            let set = found.sets.iter().find(|set| set.namespace == proxy.namespace && set.name == proxy.name);
            let Some(set) = set else { return Err(NoReplacement::Nowhere) };
            let mut stages = in_waves("return", &|| {
                let mut actions = Vec::new();
                if set.limited {
                    actions.push(labels(&[(KUBE_PROXY_LABEL, Some("true"))]));
                }
                actions.extend([Action::AwaitKubeProxy, Action::ProveKubeProxy]);
                actions
            });
            if set.limited {
                let limit = Action::LimitKubeProxy { limited: false };
                stages.push(cluster_stage("kube-proxy", vec![step("return", limit)]));
            }
            // A run that died between the labels and the limit has left labels alone.
            if set.limited || !found.labelled.is_empty() {
                let unlabelled = || vec![labels(&[(KUBE_PROXY_LABEL, None)])];
                stages.push(node_stage("labels", "return-labels", &all, 0, unlabelled));
            }
            stages.push(node_stage("look at every node", "return-proof", &all, 0, || {
                vec![Action::AwaitKubeProxy, Action::ProveKubeProxy, Action::ProbeServices { moment: Moment::Before }]
            }));
            stages
        }
        Some(distribution) => {
            vec![node_stage(&format!("the switch of {}", distribution.name()), "return", &all, 0, || {
                vec![
                    Action::AwaitSwitch { on: true },
                    Action::ProveKubeProxy,
                    Action::ProbeServices { moment: Moment::Before },
                ]
            })]
        }
    };
    let mut hand_back =
        vec![cluster_stage("release", vec![step("hand-back", Action::SetRelease { stage: ReleaseStage::Held })])];
    hand_back.extend(in_waves("hand-back", &|| {
        vec![Action::ProveKubeProxy, Action::RestartAgent, Action::ProbeServices { moment: Moment::After }]
    }));
    let phases = vec![
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
    ];
    let its_return = match proxy.distribution {
        None => {
            "the DaemonSet of kube-proxy becomes what it was; its pods are started, and once more when its limit goes"
                .to_owned()
        }
        Some(distribution) => {
            format!("kube-proxy is started by you, when the run asks for it: {}", distribution.switch(true))
        }
    };
    let mut plan = bare(Kind::RestoreKubeProxy, facts, settings, modules, now);
    plan.nodes = planned;
    plan.phases = phases;
    plan.consequences = vec![
        "connections through Services, also their node ports and external addresses, may end once on each node when kube-proxy serves them again"
            .to_owned(),
        "while an agent lets go, questions to Services of its node may wait for some seconds".to_owned(),
        its_return,
    ];
    plan.writes = writes::of(&plan, chart_objects);
    Ok(plan)
}

/// The settings of the way back, from those of the replacement.
///
/// # Errors
/// [`NoReplacement::NeverReplaced`].
pub fn settings(recorded: &Settings) -> Result<Settings, NoReplacement> {
    let mut settings = recorded.clone();
    match &mut settings.kube_proxy {
        Some(proxy) => proxy.replaced = false,
        None => return Err(NoReplacement::NeverReplaced),
    }
    Ok(settings)
}
