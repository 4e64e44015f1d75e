//! What every plan keeps that is not about kube-proxy: Services are asked before and after Kube-OVN serves them no more. Where Cilium
//! serves them alone it is proven to, after each restart of an agent and before anybody else who serves them leaves.

use std::collections::BTreeSet;

use crate::plan::action::{AGENT_LABEL, Moment};
use crate::plan::lint::Broken;
use crate::plan::{Action, Kind, Plan};

/// What has happened so far, going through the steps in order; nodes by name.
#[derive(Default)]
struct Past {
    /// Nodes of which is noted what answers before anything is changed.
    noted: BTreeSet<String>,
    /// Nodes whose agent has said that it serves, since it was restarted.
    replaced: BTreeSet<String>,
    /// Nodes whose Services have answered since the last change on them.
    probed: BTreeSet<String>,
    /// Nodes on which kube-proxy has its rules.
    proven: BTreeSet<String>,
    /// Kube-OVN serves no more.
    handed_over: bool,
}

/// Every promise that `plan` breaks.
pub(in crate::plan) fn broken(plan: &Plan) -> Vec<Broken> {
    let alone = plan.settings.serves_alone();
    let mut broken = Vec::new();
    let mut past = Past::default();
    for (_, node, step) in plan.steps() {
        let node = node.map(|node| node.as_str()).unwrap_or_default();
        if let Some(rule) = rule(plan, &mut past, node, &step.action) {
            broken.push(Broken { step: step.id.to_string(), rule: rule.to_owned() });
        }
    }
    if plan.kind == Kind::Migrate && (alone || past.handed_over) {
        let proven = |name: &str| (!alone || past.replaced.contains(name)) && past.probed.contains(name);
        let unproven = plan.nodes.iter().filter(|node| !proven(node.name.as_str()));
        let rule = unproven.map(|node| match alone {
            true => format!("Cilium is not proven to serve on {} at last", node.name),
            false => format!("nobody asks Services on {} once Kube-OVN serves them no more", node.name),
        });
        broken.extend(rule.map(|rule| Broken { step: String::new(), rule }));
    }
    broken
}

fn rule(plan: &Plan, past: &mut Past, node: &str, action: &Action) -> Option<&'static str> {
    let every = |nodes: &BTreeSet<String>| plan.nodes.iter().all(|node| nodes.contains(node.name.as_str()));
    let migrates = plan.kind == Kind::Migrate;
    let alone = plan.settings.serves_alone();
    let (holds, rule) = match action {
        Action::ProbeServices { moment: Moment::Before } => {
            past.noted.insert(node.to_owned());
            past.probed.insert(node.to_owned());
            return None;
        }
        Action::ProbeServices { moment: Moment::After } => {
            past.probed.insert(node.to_owned());
            return None;
        }
        Action::AwaitReplacement => {
            past.replaced.insert(node.to_owned());
            return None;
        }
        Action::ProveKubeProxy => {
            past.proven.insert(node.to_owned());
            return None;
        }
        Action::RestartAgent if migrates && alone => {
            past.replaced.remove(node);
            past.probed.remove(node);
            (past.noted.contains(node), "an agent restarts before it is noted which Services answer")
        }
        Action::LabelNode { labels } if alone && !migrates && matches!(labels.get(AGENT_LABEL), Some(None)) => {
            (past.proven.contains(node), "an agent that serves Services goes before kube-proxy has its rules")
        }
        Action::RemoveRelease if alone => {
            (every(&past.proven), "Cilium, which serves Services, goes before kube-proxy has its rules on every node")
        }
        action => {
            // On the way back it goes off only where it was off before: nothing is handed over.
            let off = action.controller_flags()?.get("enable-lb")? == "false" && migrates;
            let served = (!alone || every(&past.replaced)) && every(&past.probed);
            // On every node they are asked once more after it.
            past.probed.clear();
            past.handed_over |= off;
            let rule = match alone {
                true => "Kube-OVN's load balancer goes off before Cilium was proven to serve on every node",
                false => "Kube-OVN's load balancer goes off before every node has asked Services",
            };
            (!off || served, rule)
        }
    };
    (!holds).then_some(rule)
}
