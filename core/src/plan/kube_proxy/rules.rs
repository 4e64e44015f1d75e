//! The promise that a plan about kube-proxy keeps: each node has somebody who serves Services, proven before the other goes.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::action::KUBE_PROXY_LABEL;
use crate::plan::lint::Broken;
use crate::plan::{Action, Kind, Plan, ReleaseStage, Step};

/// What has happened so far, going through the steps in order; nodes by name.
#[derive(Default)]
struct Past {
    ids: BTreeSet<String>,
    held: bool,
    limited: bool,
    unlimited: bool,
    restarted: BTreeSet<String>,
    replaced: BTreeSet<String>,
    /// Nodes whose Services have answered since the last change on them.
    probed: BTreeSet<String>,
    labelled: BTreeSet<String>,
    unlabelled: BTreeSet<String>,
    gone: BTreeSet<String>,
    ready: BTreeSet<String>,
    proven: BTreeSet<String>,
}

/// Every promise that `plan` breaks.
pub(in crate::plan) fn broken(plan: &Plan) -> Vec<Broken> {
    let mut broken = Vec::new();
    let whole = |rule: &str| Broken { step: String::new(), rule: rule.to_owned() };
    let replaces = plan.kind == Kind::ReplaceKubeProxy;
    match &plan.settings.kube_proxy {
        None => broken.push(whole("it does not tell what kube-proxy is")),
        Some(proxy) if proxy.replaced != replaces => broken.push(whole("its values lead the other way")),
        Some(proxy) if proxy.former.is_none() => broken.push(whole("it does not tell what kube-proxy was")),
        Some(_) => {}
    }
    if replaces && plan.nodes.iter().any(|node| node.away) {
        broken.push(whole("kube-proxy leaves nodes that are not ready"));
    }
    let mut past = Past::default();
    for (_, node, step) in plan.steps() {
        let node = node.map(|node| node.as_str()).unwrap_or_default();
        for rule in rules(plan, &mut past, node, step) {
            broken.push(Broken { step: step.id.to_string(), rule: rule.to_owned() });
        }
    }
    let unproven = plan.nodes.iter().filter(|node| !past.probed.contains(node.name.as_str()));
    broken.extend(unproven.map(|node| whole(&format!("Services are not asked on {} at last", node.name))));
    broken
}

fn rules(plan: &Plan, past: &mut Past, node: &str, step: &Step) -> Vec<&'static str> {
    let mut broken = Vec::new();
    let mut must = |holds: bool, rule: &'static str| {
        if !holds {
            broken.push(rule);
        }
    };
    must(past.ids.insert(step.id.0.clone()), "its id is not unique");
    let replaces = plan.kind == Kind::ReplaceKubeProxy;
    let every = |nodes: &BTreeSet<String>| plan.nodes.iter().all(|node| nodes.contains(node.name.as_str()));
    // Of a node that is away nothing is asked before it is back, and nothing is taken.
    let present =
        |nodes: &BTreeSet<String>| plan.nodes.iter().all(|node| node.away || nodes.contains(node.name.as_str()));
    match &step.action {
        Action::SetRelease { stage: ReleaseStage::Held } => {
            must(replaces || present(&past.ready), "Cilium stops serving before kube-proxy is ready on every node");
            must(
                replaces || present(&past.proven),
                "Cilium stops serving before kube-proxy has its rules on every node",
            );
            must(
                replaces || every(&past.ready) || past.unlimited || past.labelled.is_empty(),
                "kube-proxy would not come back to a node that is away",
            );
            must(!replaces || every(&past.proven), "Cilium takes over what kube-proxy was not proven to serve");
            past.held = true;
        }
        Action::SetRelease { stage: ReleaseStage::Settled } => {
            must(past.held && every(&past.restarted), "agents would restart by themselves");
        }
        Action::SetRelease { .. } => must(false, "it is not between a migration and its rollback"),
        Action::RestartAgent => {
            must(past.held, "an agent restarts with the values that it has");
            must(
                replaces || past.ready.contains(node) && past.proven.contains(node),
                "Cilium stops serving on a node before kube-proxy was proven there",
            );
            past.restarted.insert(node.to_owned());
            past.probed.remove(node);
        }
        Action::AwaitReplacement => {
            must(past.restarted.contains(node), "an agent is asked before it was restarted");
            past.replaced.insert(node.to_owned());
        }
        Action::ProbeServices { .. } => {
            past.probed.insert(node.to_owned());
        }
        Action::ProveKubeProxy => {
            past.proven.insert(node.to_owned());
        }
        Action::AwaitKubeProxy => {
            past.ready.insert(node.to_owned());
        }
        Action::LabelNode { labels } => label(past, plan.kind, node, labels, &mut must),
        Action::LimitKubeProxy { .. } if is_switched(plan) => {
            must(false, "what a distribution starts is changed by us");
        }
        Action::AwaitSwitch { on } => {
            must(is_switched(plan), "nobody has a switch of kube-proxy");
            must(*on != replaces, "the switch is turned the other way");
            if *on {
                past.ready.insert(node.to_owned());
            } else {
                must(
                    every(&past.replaced) && every(&past.probed),
                    "kube-proxy is switched off before Cilium serves everywhere",
                );
                past.gone.insert(node.to_owned());
                past.unlabelled.insert(node.to_owned());
            }
        }
        Action::LimitKubeProxy { limited: true } => {
            must(replaces, "kube-proxy is limited on the way back");
            must(every(&past.labelled), "kube-proxy leaves nodes that nobody has labelled");
            must(every(&past.replaced) && every(&past.probed), "kube-proxy is limited before Cilium serves everywhere");
            past.limited = true;
        }
        Action::LimitKubeProxy { limited: false } => {
            must(!replaces, "kube-proxy comes back although it is being replaced");
            must(present(&past.labelled), "kube-proxy is not back on every node");
            past.unlimited = true;
        }
        Action::AwaitNoKubeProxy => {
            past.gone.insert(node.to_owned());
        }
        Action::CleanKubeProxy => {
            must(replaces, "rules are removed on the way back");
            must(past.unlabelled.contains(node), "rules are removed where kube-proxy may write them again");
            must(past.gone.contains(node), "rules are removed before kube-proxy is gone");
            past.probed.remove(node);
        }
        Action::Verify { .. } => {}
        _ => must(false, "it has nothing to do with kube-proxy"),
    }
    broken
}

fn is_switched(plan: &Plan) -> bool {
    let former = plan.settings.kube_proxy.as_ref().and_then(|proxy| proxy.former.as_ref());
    former.is_some_and(|former| former.distribution.is_some())
}

fn label(
    past: &mut Past,
    kind: Kind,
    node: &str,
    labels: &BTreeMap<String, Option<String>>,
    must: &mut dyn FnMut(bool, &'static str),
) {
    must(labels.keys().all(|label| label == KUBE_PROXY_LABEL), "it sets another label");
    if labels.values().any(Option::is_some) {
        past.labelled.insert(node.to_owned());
        return;
    }
    past.unlabelled.insert(node.to_owned());
    match kind {
        Kind::ReplaceKubeProxy => {
            must(past.limited, "kube-proxy is not limited yet");
            must(
                past.replaced.contains(node) && past.probed.contains(node),
                "kube-proxy leaves a node where Cilium was not proven to serve",
            );
        }
        // Where it is not limited, labels mean nothing.
        _ => must(past.unlimited || past.labelled.is_empty(), "kube-proxy would leave the node again"),
    }
}
