//! The phases of a takeover, numbered as those of a migration.

use std::collections::BTreeMap;

use super::{Adopted, NotAdoptable};
use crate::facts::kube_ovn::{Installation, Owner};
use crate::plan::action::{CHAIN_CONFIG, Chain, ENFORCE_CONFIG, ENFORCE_LABEL, Moment};
use crate::plan::build::{
    ask, asked_around, back_to, chain_config, chain_labels, cluster_stage, enforce_config, labels, no_labels,
    node_stage, phase, step,
};
use crate::plan::migrate::NoPlan;
use crate::plan::waves::by_wave;
use crate::plan::{Action, Guard, Phase, PlannedNode, ReleaseStage, Settings, Stage};

/// Whether Kube-OVN has to enforce again first: not every pod is known to Cilium, and nobody else would.
pub(super) fn hands_back(adopted: &Adopted, kube_ovn: &Installation) -> bool {
    !adopted.enforces && !kube_ovn.controller.enable_np
}

/// Flags that must go on first and off at the end are changed only where nobody else's tool owns them: two changes of one release, or
/// of a repository, within a run would be too much to ask.
pub(in crate::plan) fn refuse_foreign_owner(settings: &Settings, kube_ovn: &Installation) -> Result<(), NoPlan> {
    let changes = settings.adopted.as_ref().is_some_and(|adopted| hands_back(adopted, kube_ovn));
    let owner = match &kube_ovn.owner {
        Owner::Helm { release, namespace } if changes => format!("Helm release {namespace}/{release}"),
        Owner::External { by, object } if changes => format!("{by} ({object})"),
        _ => return Ok(()),
    };
    Err(NotAdoptable::Owned { object: kube_ovn.controller_object(), owner }.into())
}

/// The phases, numbered as those of a migration.
pub(in crate::plan) fn phases(
    settings: &Settings,
    adopted: &Adopted,
    kube_ovn: &Installation,
    nodes: &[PlannedNode],
) -> Vec<Phase> {
    let all: Vec<&PlannedNode> = nodes.iter().collect();
    let waves = by_wave(nodes);
    let first: Vec<&PlannedNode> = waves.first().cloned().unwrap_or_default();
    let rest = waves.get(1..).unwrap_or_default();
    let on_waves = |part: &str, soak: u32, actions: &dyn Fn() -> Vec<Action>| -> Vec<Stage> {
        let stage = |(index, wave): (usize, &Vec<&PlannedNode>)| {
            node_stage(&format!("wave {index}"), part, wave, soak, actions)
        };
        waves.iter().enumerate().map(stage).collect()
    };
    let cut_over = rest.iter().enumerate().map(|(index, wave)| {
        node_stage(&format!("wave {}", index + 1), "cut-over", wave, settings.soak_seconds, || {
            forward(settings, adopted)
        })
    });
    let mut recycle = on_waves("recycle", 0, &|| vec![Action::Recycle { chain: Chain::Chained }]);
    recycle.push(cluster_stage("coverage", vec![step("recycle", Action::AwaitCoverage)]));
    let mut enforce = Vec::new();
    if !adopted.enforces {
        enforce.push(node_stage("review", "enforce", &all, 0, || vec![Action::ReviewDrops]));
        enforce.push(cluster_stage("release", vec![step("enforce", enforce_config())]));
        enforce.extend(on_waves("enforce", 0, &|| {
            let mut actions =
                vec![labels(&[(ENFORCE_LABEL, Some("true"))]), Action::RestartAgent, Action::AwaitEnforcement];
            actions.extend(serves(settings, Moment::After));
            actions
        }));
    }
    let mut settle =
        vec![cluster_stage("release", vec![step("settle", Action::SetRelease { stage: ReleaseStage::Settled })])];
    if adopted.conf != settings.chained_conf {
        settle.extend(on_waves("settle", 0, &|| vec![Action::RetireFound]));
    }
    let objects = vec![
        step("settle/enforce", Action::RemoveNodeConfig { name: ENFORCE_CONFIG.to_owned() }),
        step("settle/chain", Action::RemoveNodeConfig { name: CHAIN_CONFIG.to_owned() }),
    ];
    settle.push(cluster_stage("temporary objects", objects));
    settle.push(node_stage("labels", "settle", &all, 0, || vec![no_labels()]));
    settle.push(cluster_stage("verify", vec![step("settle", Action::Verify { chain: Chain::Chained })]));
    let look = node_stage("look at every node", "claim", &all, 0, || {
        let mut actions = vec![Action::ProveConf { chain: Chain::Found }];
        actions.extend(adopted.enforces.then_some(Action::AwaitEnforcement));
        actions.extend(serves(settings, Moment::Before));
        actions
    });
    let canary = vec![
        node_stage("forward", "canary", &first, 0, || forward(settings, adopted)),
        node_stage("back", "canary-back", &first, 0, || back_to(Chain::Found)),
        node_stage("forward again", "canary-again", &first, settings.soak_seconds, || forward(settings, adopted)),
    ];
    vec![
        phase(0, "claim", "look at every node, take the lock, open the journal", "nothing", vec![look]),
        phase(
            1,
            "take-over",
            match adopted.enforces {
                true => "give the release our values, enforcing as before; no agent restarts yet",
                false => {
                    "give the release our values, auditing until every pod has its endpoint; no agent restarts yet"
                }
            },
            "nothing",
            take_over(settings, adopted, kube_ovn),
        ),
        phase(2, "canary", "cut one node over, go back, and forward again", "only the canary pod", canary),
        phase(3, "cut-over", "cut the other nodes over in waves", "nothing; new pods are chained", cut_over.collect()),
        phase(
            4,
            "recycle",
            "have every pod without endpoint made again, under its budgets",
            "each of these pods restarts once",
            recycle,
        ),
        phase(
            5,
            "enforce",
            "review what would be dropped; then switch from audit to enforcement, node by node",
            "policy as before, by Cilium",
            enforce,
        ),
        phase(
            6,
            "hand-over",
            "turn Kube-OVN's network policy and load balancer off",
            "pod creation pauses for seconds",
            hand_over(settings, adopted, kube_ovn, &all),
        ),
        phase(
            7,
            "settle",
            "the values that stay; the old file, labels and temporary objects away; verify",
            "nothing",
            settle,
        ),
    ]
}

fn take_over(settings: &Settings, adopted: &Adopted, kube_ovn: &Installation) -> Vec<Stage> {
    let mut ovn = Vec::new();
    if hands_back(adopted, kube_ovn) {
        let flags = BTreeMap::from([("enable-np".to_owned(), "true".to_owned())]);
        let mut set = step("take-over", Action::SetControllerFlags { flags });
        set.guard = Guard::Untouched { flags: kube_ovn.controller.flags_list.clone(), revision: adopted.revision };
        ovn.push(set);
    }
    // Cilium must not stop before OVN has begun (ADR 0007), whoever has turned it on.
    if !adopted.enforces {
        ovn.push(step("take-over", Action::AwaitOvnPolicy));
    }
    let mut stages = Vec::new();
    if !ovn.is_empty() {
        stages.push(cluster_stage("kube-ovn-controller", ovn));
    }
    let mut set = step("take-over", Action::SetRelease { stage: ReleaseStage::Everywhere });
    set.guard = Guard::Release { revision: adopted.revision };
    stages.push(cluster_stage("release", vec![set, step("take-over", chain_config(settings))]));
    stages
}

fn hand_over(settings: &Settings, adopted: &Adopted, kube_ovn: &Installation, all: &[&PlannedNode]) -> Vec<Stage> {
    let handed_back = hands_back(adopted, kube_ovn);
    let mut flags = BTreeMap::new();
    if kube_ovn.controller.enable_np || handed_back {
        flags.insert("enable-np".to_owned(), "false".to_owned());
    }
    let serves_too = kube_ovn.controller.enable_lb;
    if serves_too {
        flags.insert("enable-lb".to_owned(), "false".to_owned());
    }
    let mut steps = vec![step("hand-over", Action::AwaitCoverage)];
    if !flags.is_empty() {
        let mut set = step("hand-over", settings.driver.action(flags));
        // Flags that the plan itself has changed meanwhile are not those of today.
        if !handed_back {
            set.guard = Guard::ControllerFlags { flags: kube_ovn.controller.flags_list.clone() };
        }
        steps.push(set);
    }
    let controller = cluster_stage("kube-ovn-controller", steps);
    if !serves_too {
        return vec![controller];
    }
    match settings.serves_alone() {
        // What answers is noted already.
        true => asked_around(controller, all, Moment::After, |moment| serves(settings, moment)),
        false => asked_around(controller, all, Moment::Before, ask),
    }
}

/// Cut a node over whose agent runs already.
fn forward(settings: &Settings, adopted: &Adopted) -> Vec<Action> {
    let mut actions = vec![chain_labels(), Action::RestartAgent];
    actions.extend(adopted.enforces.then_some(Action::AwaitEnforcement));
    actions.extend(serves(settings, Moment::After));
    actions.extend([Action::ProveConf { chain: Chain::Chained }, Action::Canary { chain: Chain::Chained }]);
    actions
}

/// The proof that Cilium serves Services on a node, where nobody else is to.
fn serves(settings: &Settings, moment: Moment) -> Vec<Action> {
    match settings.serves_alone() {
        true => vec![Action::AwaitReplacement, Action::ProbeServices { moment }],
        false => Vec::new(),
    }
}
