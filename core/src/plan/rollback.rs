//! The plan that goes back to Kube-OVN alone: a second plan from what is there now, not undo in reverse.

use crate::facts::Facts;
use crate::facts::nodes::Node;

use super::action::{AGENT_LABEL, AGENT_TAINT, CHAIN_CONFIG, CHAINED_LABEL, Chain, ENFORCE_CONFIG, ENFORCE_LABEL};
use super::build::{back, bare, chain_config, chain_labels, cluster_stage, labels, no_labels, node_stage, phase, step};
use super::migrate::NoPlan;
use super::object::ObjectRef;
use super::waves::{by_wave, waves};
use super::{Action, Driver, Kind, ModulePin, Plan, PlannedNode, ReleaseStage, Settings, flags, start, writes};

/// The plan back. `settings` are those of the migration, recorded in its journal; `facts` are what is there now.
///
/// # Errors
/// [`NoPlan::Unknown`] when nodes, Cilium or Kube-OVN could not be read.
pub fn rollback(
    facts: &Facts,
    mut settings: Settings,
    chart_objects: &[ObjectRef],
    modules: Vec<ModulePin>,
    now: jiff::Timestamp,
) -> Result<Plan, NoPlan> {
    let unknown = |subject, reason: &str| NoPlan::Unknown { subject, reason: reason.to_owned() };
    let nodes = facts.nodes.value.as_result().map_err(|reason| unknown("nodes", reason))?;
    let cilium = facts.cilium.value.as_result().map_err(|reason| unknown("cilium", reason))?;
    let installation = facts.kube_ovn.value.as_result().map_err(|reason| unknown("kube-ovn", reason))?.the_one()?;
    // What was taken over has an agent and a file on every node from the first.
    let taken_over = settings.adopted.is_some() && cilium.installation.is_some();
    let settled = taken_over
        || cilium.installation.as_ref().is_some_and(|found| {
            found.config.get("write-cni-conf-when-ready").is_some_and(|path| path.ends_with(&settings.chained_conf))
        });
    let planned = waves(&nodes.items, settings.wave_limit);
    let with = |wanted: &dyn Fn(&Node) -> bool| -> Vec<PlannedNode> {
        let names: Vec<&str> = nodes.items.iter().filter(|node| wanted(node)).map(|node| node.name.as_str()).collect();
        planned.iter().filter(|node| names.contains(&node.name.as_str())).cloned().collect()
    };
    let labelled = |label: &'static str| move |node: &Node| node.labels.contains_key(label);
    let chained = with(&|node| settled || labelled(CHAINED_LABEL)(node) || labelled(AGENT_LABEL)(node));
    let enforcing = with(&|node| settled || labelled(ENFORCE_LABEL)(node));
    let all: Vec<&PlannedNode> = planned.iter().collect();
    // Somebody may have taken the replacement away since it was recorded.
    let replaces = cilium
        .installation
        .as_ref()
        .is_some_and(|found| matches!(start::setting(found, "kube-proxy-replacement"), "true" | "strict"));
    if let Some(proxy) = &mut settings.kube_proxy {
        proxy.replaced &= replaces;
    }
    let mut claim = Vec::new();
    if settings.serves_alone() {
        claim.push(node_stage("kube-proxy", "claim", &all, 0, || vec![Action::ProveKubeProxy]));
    }
    let mut phases = vec![phase(0, "claim", "take the lock, open the journal", "nothing", claim)];
    let mut hand_back = Vec::new();
    let mut steps = Vec::new();
    let mut notice = None;
    // A release may hold the switches although somebody has put the flags back.
    if installation.controller.flags_list != settings.controller_flags_before
        || matches!(settings.driver, Driver::Helm { .. })
    {
        let before = flags::switches(&settings.controller_flags_before);
        settings.driver = settings.driver.of_now(installation)?;
        notice = settings.driver.notice(&before);
        steps.push(step("hand-back", settings.driver.action(before)));
    }
    // Cilium must not stop before OVN has begun, whoever has put the flags back (ADR 0007).
    let enforces = flags::switches(&settings.controller_flags_before).get("enable-np").is_some_and(|on| on != "false");
    if enforces && (!steps.is_empty() || !enforcing.is_empty()) {
        steps.push(step("hand-back", Action::AwaitOvnPolicy));
    }
    if !steps.is_empty() {
        hand_back.push(cluster_stage("kube-ovn-controller", steps));
    }
    phases.push(phase(
        1,
        "hand-back",
        "Kube-OVN's network policy and load balancer as they were",
        "pod creation pauses for seconds; for a while both enforce policy",
        hand_back,
    ));
    let mut hold = Vec::new();
    if cilium.installation.is_some() {
        if settled {
            hold.push(cluster_stage("node configuration", vec![step("hold", chain_config(&settings))]));
            hold.push(node_stage("labels", "hold", &chained.iter().collect::<Vec<_>>(), 0, || vec![chain_labels()]));
        }
        hold.push(cluster_stage("release", vec![step("hold", Action::SetRelease { stage: ReleaseStage::Staged })]));
        for (index, wave) in by_wave(&enforcing).iter().enumerate() {
            hold.push(node_stage(&format!("audit, wave {index}"), "hold-audit", wave, 0, || {
                vec![labels(&[(ENFORCE_LABEL, None)]), Action::RestartAgent]
            }));
        }
    }
    phases.push(phase(2, "hold", "Cilium audits again; nothing restarts by itself", "policy is OVN's alone", hold));
    let chained_waves = by_wave(&chained);
    phases.push(phase(
        3,
        "go-back",
        "take the chained configuration away, node by node",
        "nothing; new pods are not chained",
        chained_waves
            .iter()
            .enumerate()
            .map(|(index, wave)| {
                node_stage(&format!("wave {index}"), "go-back", wave, settings.soak_seconds, || back_from(&settings))
            })
            .collect(),
    ));
    phases.push(phase(
        4,
        "recycle",
        "have every chained pod made again while the agents still run",
        "each chained pod restarts once",
        chained_waves
            .iter()
            .enumerate()
            .map(|(index, wave)| {
                node_stage(&format!("wave {index}"), "recycle", wave, 0, || {
                    vec![Action::Recycle { chain: Chain::Plain }]
                })
            })
            .collect(),
    ));
    // A canary node that stands between back and forward again has no label left, and Cilium's rules all the same; the steps tell
    // themselves where an agent has run.
    let touched = if cilium.installation.is_some() { planned.clone() } else { chained.clone() };
    let mut remove: Vec<_> = by_wave(&touched)
        .iter()
        .enumerate()
        .map(|(index, wave)| {
            node_stage(&format!("wave {index}"), "remove", wave, 0, || {
                vec![labels(&[(AGENT_LABEL, None)]), Action::AwaitNoAgent, Action::CleanDatapath, Action::CleanRules]
            })
        })
        .collect();
    remove.push(cluster_stage(
        "release",
        vec![
            step("remove/enforce", Action::RemoveNodeConfig { name: ENFORCE_CONFIG.to_owned() }),
            step("remove/chain", Action::RemoveNodeConfig { name: CHAIN_CONFIG.to_owned() }),
            step("remove", Action::RemoveRelease),
            step("remove", Action::RemoveCrds),
        ],
    ));
    phases.push(phase(5, "remove", "remove the agents, their programs and the release", "nothing", remove));
    // An operator that started after the end of the migration taints nodes whose agent goes, and goes itself.
    let key = cilium.installation.as_ref().and_then(|found| found.config.get("agent-not-ready-taint-key"));
    let key = key.map_or(AGENT_TAINT, String::as_str);
    phases.push(phase(
        6,
        "verify",
        "labels and taints away; look at everything once more",
        "nothing",
        vec![
            node_stage("labels", "verify", &all, 0, || vec![no_labels(), Action::RemoveTaint { key: key.to_owned() }]),
            cluster_stage("verify", vec![step("verify", Action::Verify { chain: Chain::Plain })]),
        ],
    ));
    let mut plan = bare(Kind::Rollback, facts, settings, modules, now);
    plan.nodes = planned;
    plan.phases = phases;
    plan.consequences = vec![
        "pods that were chained are made again once; their addresses may change and their open connections end".to_owned(),
        "pods of Jobs, and those that nobody makes again, go on without Cilium until they end".to_owned(),
        "CiliumEndpoints, CiliumIdentities and CiliumNodes go with their CRDs; the CRDs stay while a policy object exists".to_owned(),
    ];
    if let Some(adopted) = &plan.settings.adopted {
        plan.consequences.insert(
            0,
            format!(
                "the Cilium that was taken over goes as well, its Helm release and the history with the values of before too; where \
                 revision {} is still wanted, stop here (docs/runbook.md, \"A cluster that is chained already\")",
                adopted.revision
            ),
        );
    }
    plan.consequences.extend(notice);
    if !plan.settings.on_delete.is_empty() {
        plan.consequences.push(format!(
            "pods of workloads with the update strategy OnDelete go on without Cilium until you delete them: {}",
            plan.settings.on_delete.join(", ")
        ));
    }
    plan.writes = writes::of(&plan, chart_objects);
    Ok(plan)
}

/// The way back of a takeover that has changed nothing yet: the run is forgotten, and what was found stays.
pub fn forget(facts: &Facts, settings: Settings, modules: Vec<ModulePin>, now: jiff::Timestamp) -> Plan {
    let mut plan = bare(Kind::Rollback, facts, settings, modules, now);
    plan.consequences =
        vec!["the run is forgotten; it had changed nothing, and the Cilium that is here stays as it is".to_owned()];
    plan.writes = writes::of(&plan, &[]);
    plan
}

/// Our file away, and before it is proven what is loaded then, the one that chained before a takeover.
fn back_from(settings: &Settings) -> Vec<Action> {
    let mut actions = back();
    let found = settings.adopted.as_ref().filter(|adopted| adopted.conf != settings.chained_conf);
    if let (Some(_), Some(at)) = (found, actions.iter().position(|action| *action == Action::RetireConf)) {
        actions.insert(at + 1, Action::RetireFound);
    }
    actions
}
