//! Refuses a plan that breaks the promises, whoever made it: a saved file may have been edited.

use std::collections::BTreeSet;

use super::action::{AGENT_LABEL, CHAINED_LABEL, Chain, ENFORCE_LABEL};
use super::{Action, Guard, Kind, KubeProxy, Plan, ReleaseStage, SCHEMA, Step, flags, kube_proxy, values::values};
use crate::facts::Facts;

/// A promise that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plan refused at step `{step}`: {rule}")]
pub struct Broken {
    /// The step; empty for the plan as a whole.
    pub step: String,
    /// What does not hold.
    pub rule: String,
}

/// What has happened so far, going through the steps in order.
#[derive(Default)]
struct Past {
    ids: BTreeSet<String>,
    staged: bool,
    covered: bool,
    recycled: BTreeSet<String>,
    reviewed: BTreeSet<String>,
    enforcing: BTreeSet<String>,
    enforced: BTreeSet<String>,
    restarted: BTreeSet<String>,
    ovn_policy: bool,
    retired: BTreeSet<String>,
    found_retired: BTreeSet<String>,
    chained: BTreeSet<String>,
    unchained: BTreeSet<String>,
}

/// Steps whose guard does not hold for what is known now: the plan is stale. A fact that is unknown holds nothing up here; the
/// engine looks again before each write.
pub fn stale(plan: &Plan, facts: &Facts) -> Vec<Broken> {
    let uid = |name: &str| {
        facts.nodes.value.known().map(|nodes| nodes.items.iter().find(|node| node.name == name).map(|node| &node.uid))
    };
    let mut broken = Vec::new();
    for (_, node, step) in plan.steps() {
        let rule = match &step.guard {
            // Only helm knows revisions; the engine asks it before the step.
            Guard::Nothing | Guard::Release { .. } => None,
            Guard::NodeUid { uid: planned } => node.and_then(|node| match uid(node.as_str()) {
                Some(Some(found)) if found == planned => None,
                Some(Some(_)) => Some(format!("node {node} was made again since")),
                Some(None) => Some(format!("node {node} does not exist any more")),
                None => None,
            }),
            Guard::ControllerFlags { flags } | Guard::Untouched { flags, .. } => {
                let one = facts.kube_ovn.value.known().and_then(|kube_ovn| kube_ovn.the_one().ok());
                one.filter(|one| &one.controller.flags_list != flags)
                    .map(|one| format!("the flags of {} were changed since", one.controller_object()))
            }
        };
        broken.extend(rule.map(|rule| Broken { step: step.id.to_string(), rule }));
    }
    broken
}

/// Why a `saved` plan that takes over is not what one made now (`fresh`) would be.
pub fn superseded(saved: &Plan, fresh: &Plan) -> Option<Broken> {
    let (planned, found) = (saved.settings.adopted.as_ref()?, fresh.settings.adopted.as_ref()?);
    let rule = if planned.revision != found.revision {
        format!(
            "release {}/{} is at revision {}, not {}, for which the plan was made",
            fresh.settings.release_namespace, fresh.settings.release, found.revision, planned.revision
        )
    } else if planned.conf != found.conf {
        format!("{} chains now, not {}", found.conf, planned.conf)
    } else if planned.enforces != found.enforces {
        match found.enforces {
            true => "Cilium enforces for every pod now, and the plan would have it audit".to_owned(),
            false => "Cilium does not enforce for every pod any more, as it did when the plan was made".to_owned(),
        }
    } else {
        let servers = |plan: &Plan| plan.settings.kube_proxy.as_ref().and_then(KubeProxy::replaced_by);
        let (planned, found) = (servers(saved), servers(fresh));
        if planned == found {
            return None;
        }
        match (planned, found) {
            (None, _) => "Cilium serves Services now, and the plan would have it stop".to_owned(),
            (_, None) => "Cilium does not serve Services any more, as it did when the plan was made".to_owned(),
            (_, Some((host, port))) => format!("agents ask the API server at {host}:{port} now"),
        }
    };
    Some(Broken { step: String::new(), rule })
}

/// Every promise that `plan` breaks; none for what our planners make.
pub fn lint(plan: &Plan) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut past = Past::default();
    if plan.schema > SCHEMA {
        broken.push(Broken {
            step: String::new(),
            rule: format!("it has schema {}, this program knows {SCHEMA}", plan.schema),
        });
    }
    if let Err(error) = values(&plan.settings, ReleaseStage::Settled) {
        broken.push(Broken { step: String::new(), rule: error.to_string() });
    }
    if matches!(plan.kind, Kind::ReplaceKubeProxy | Kind::RestoreKubeProxy) {
        broken.extend(kube_proxy::rules::broken(plan));
        return broken;
    }
    for (_, node, step) in plan.steps() {
        let node = node.map(|node| node.as_str()).unwrap_or_default();
        for rule in rules(plan, &mut past, node, step) {
            broken.push(Broken { step: step.id.to_string(), rule: rule.to_owned() });
        }
    }
    broken.extend(kube_proxy::served::broken(plan));
    broken
}

/// Whether policy is Cilium's when the plan begins and becomes Kube-OVN's: it turns that on, or has agents audit that enforce.
fn takes_policy_back(plan: &Plan) -> bool {
    let was_on =
        flags::switches(&plan.settings.controller_flags_before).get("enable-np").is_some_and(|on| on != "false");
    let audits = plan.steps().any(|(_, _, step)| step.action == Action::RestartAgent);
    was_on && audits || turns_policy_on(plan)
}

/// Whether the plan turns Kube-OVN's network policy on.
fn turns_policy_on(plan: &Plan) -> bool {
    plan.steps().any(|(_, _, step)| {
        let flags = step.action.controller_flags();
        flags.and_then(|flags| flags.get("enable-np")).is_some_and(|value| value != "false")
    })
}

fn rules(plan: &Plan, past: &mut Past, node: &str, step: &Step) -> Vec<&'static str> {
    let mut broken = Vec::new();
    let mut must = |holds: bool, rule: &'static str| {
        if !holds {
            broken.push(rule);
        }
    };
    must(past.ids.insert(step.id.0.clone()), "its id is not unique");
    let migrating = plan.kind == Kind::Migrate;
    let takes_over = migrating && plan.settings.adopted.is_some();
    let enforces = plan.settings.adopted.as_ref().is_some_and(|adopted| adopted.enforces);
    // In a takeover Kube-OVN enforces for a while where Cilium does not for every pod.
    let gives_back = if takes_over { !enforces } else { !migrating && takes_policy_back(plan) };
    let handed_back = past.ovn_policy || !gives_back;
    let all_enforce = plan.nodes.iter().all(|node| past.enforced.contains(node.name.as_str()));
    match &step.action {
        Action::SetRelease { stage } => {
            // Agents run on every node of a cluster that is taken over: the affinity of the stage would chase them away.
            must(!takes_over || *stage != ReleaseStage::Staged, "agents would leave nodes that they chain");
            let first = if takes_over { ReleaseStage::Everywhere } else { ReleaseStage::Staged };
            past.staged |= *stage == first;
            must(past.staged, "the release is not in audit mode first");
            must(handed_back, "Cilium audits again before OVN enforces");
            must(!takes_over || !enforces || all_enforce, "agents that were not asked are taken to enforce");
            must(!migrating || *stage == first || past.covered, "enforcement before every pod has its endpoint");
        }
        Action::LabelNode { labels } => {
            let on = |label: &str| matches!(labels.get(label), Some(Some(_)));
            let off = |label: &str| matches!(labels.get(label), Some(None));
            must(!migrating || !on(CHAINED_LABEL) || past.staged, "a node is chained before audit mode is set");
            must(!on(ENFORCE_LABEL) || past.covered, "a node enforces before every pod has its endpoint");
            must(
                !on(ENFORCE_LABEL) || past.reviewed.contains(node),
                "a node enforces before what it would drop was reviewed",
            );
            must(handed_back || !off(ENFORCE_LABEL), "Cilium audits again before OVN enforces");
            if on(ENFORCE_LABEL) {
                past.enforcing.insert(node.to_owned());
                past.enforced.remove(node);
                past.restarted.remove(node);
            }
            if on(CHAINED_LABEL) {
                past.chained.insert(node.to_owned());
                past.unchained.remove(node);
                past.retired.remove(node);
            }
            if off(CHAINED_LABEL) {
                past.chained.remove(node);
                past.unchained.insert(node.to_owned());
            }
            let only_agent = off(AGENT_LABEL) && labels.len() == 1;
            must(!only_agent || past.retired.contains(node), "an agent goes before its file is retired");
            must(
                migrating || !only_agent || past.recycled.contains(node),
                "an agent goes before its pods are recycled",
            );
            must(
                migrating || !only_agent || found_file(plan).is_none() || past.found_retired.contains(node),
                "an agent goes before the file that chained before is retired",
            );
        }
        Action::RetireConf => {
            must(past.unchained.contains(node), "a file is retired while the label would write it again");
            past.retired.insert(node.to_owned());
        }
        Action::RetireFound => {
            must(found_file(plan).is_some(), "nothing was found that chained before");
            let ours = if migrating { &past.chained } else { &past.retired };
            must(ours.contains(node), "the file that chained before is retired before it is known what is loaded then");
            past.found_retired.insert(node.to_owned());
        }
        Action::Recycle { chain } => {
            must(*chain != Chain::Found, "pods are recycled into what was found");
            must(
                *chain == Chain::Chained || past.retired.contains(node),
                "pods are recycled before the file is retired",
            );
            past.recycled.insert(node.to_owned());
        }
        Action::AwaitCoverage => past.covered = true,
        Action::ReviewDrops => {
            must(past.covered, "drops are reviewed before every pod has its endpoint");
            past.reviewed.insert(node.to_owned());
        }
        Action::RestartAgent => {
            past.restarted.insert(node.to_owned());
            past.enforced.remove(node);
        }
        Action::AwaitEnforcement => {
            must(
                takes_over && enforces || past.restarted.contains(node),
                "endpoints are asked before their agent was restarted",
            );
            past.enforced.insert(node.to_owned());
        }
        Action::AwaitOvnPolicy => past.ovn_policy = true,
        Action::SetControllerFlags { flags } | Action::SetReleaseFlags { flags } | Action::AwaitFlags { flags } => {
            must(
                plan.settings.driver.action(flags.clone()) == step.action,
                "flags are changed in another way than their owner's",
            );
            let off = flags.get("enable-np").is_some_and(|value| value == "false");
            must(!migrating || !off || past.covered, "network policy goes off before every pod has its endpoint");
            must(
                !migrating || !off || past.enforcing.is_subset(&past.enforced),
                "network policy goes off before every endpoint enforces",
            );
            must(!takes_over || !off || all_enforce, "network policy goes off before every node enforces");
        }
        Action::RemoveRelease => {
            must(
                past.retired.iter().all(|node| past.recycled.contains(node)),
                "the release goes before pods are recycled",
            );
        }
        _ => {}
    }
    broken
}

/// The file that chained before a takeover, if it is not the one that ours replaces.
fn found_file(plan: &Plan) -> Option<&str> {
    let adopted = plan.settings.adopted.as_ref()?;
    Some(adopted.conf.as_str()).filter(|conf| *conf != plan.settings.chained_conf)
}
