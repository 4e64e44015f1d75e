//! Before enforcement: what the node's agent would have dropped while it only audited.
//!
//! A pod on the node asks the agent's Hubble for what happened since every pod had its endpoint: before that, a pod without one had no
//! identity, and any policy that names pods would have dropped it. What comes from the node itself is asked for as far back as Hubble
//! remembers: it has no endpoint before or after. What comes from a node (kubelet's probes do) stops the run; anything else stops it until
//! a person has seen it and says so. An answer that an earlier process got is asked for again.

use std::net::IpAddr;

use jiff::SignedDuration;
use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, last_reason, stop_asking};
use super::support::{agent_image, key, some, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Drop, Drops, Task};
use crate::world::Filter;

/// Annotation of nodes with their addresses in Kube-OVN's join network, from which they reach pods.
const JOIN_ADDRESS: &str = "ovn.kubernetes.io/ip_address";
/// Longer than any Hubble remembers, in seconds.
const A_YEAR: i64 = 365 * 24 * 3600;
/// Kinds of drops that are recorded with their acceptance.
const RECORDED: usize = 20;

/// Runs in Cilium's own image, which is on the node since its agent runs there.
pub(super) struct ReviewDrops;

impl Work for ReviewDrops {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let again = |why: &str| Ok(Look::Act(ask_again(cx, Task::Observe, node, why)));
        match asked(cx, Task::Observe, node)? {
            Asked::Answered(answer) => match Drops::of(&answer) {
                Some(drops) => judge(cx, &drops),
                None => again("the pod did not answer what was asked"),
            },
            Asked::InVain(why) => again(&why),
            Asked::Waits => Ok(Look::wait(format!("watching what Cilium on {node} would drop"))),
            Asked::Not => {
                let Some(image) = agent_image(cx)? else {
                    return Ok(Look::Blocked("the DaemonSet cilium is gone, so its agents cannot be asked".to_owned()));
                };
                let pod = node_task::pod_name(Task::Observe, node, cx.run.as_str());
                Ok(Look::Act(json!({ "pod": pod, "node": node, "image": image, "after": last_reason(cx) })))
            }
        }
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = cx.node_name()?;
        if intent.get("again").is_some() {
            return stop_asking(cx, Task::Observe, node);
        }
        let since = since(cx.world.clock.now().duration_since(cx.covered_since)).to_string();
        let own =
            cx.world.cluster.get(&Resource::NODES.named("", node))?.map_or_else(Vec::new, |node| addresses(&node));
        let env = [("IMAGE", text(intent, "/image")), ("SINCE", &since), ("NODE", &own.join(" "))];
        node_task::start(cx.world.cluster, Task::Observe, node, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        stop_asking(cx, Task::Observe, cx.node_name()?)
    }

    fn attempts(&self) -> u32 {
        6
    }
}

/// Seconds that Hubble is asked for. A length of time, since the node's clock need not be ours; the pod starts later and looks back less
/// far, which leaves agents time to hear of the last endpoints. All of it when coverage was proven by a machine whose clock is ahead.
fn since(covered: SignedDuration) -> i64 {
    match covered.as_secs() {
        seconds if covered.is_negative() || seconds > A_YEAR => A_YEAR,
        seconds => seconds,
    }
}

fn judge(cx: &Cx<'_>, drops: &Drops) -> Result<Look, StepError> {
    if drops.told.is_empty() && drops.untold == 0 {
        return Ok(Look::met("nothing would be dropped"));
    }
    let nodes = node_addresses(cx)?;
    let from_nodes: Vec<&Drop> = drops.told.iter().filter(|drop| drop.is_from_a_node(&nodes)).collect();
    if !from_nodes.is_empty() || drops.may_hide_nodes() {
        let seen = if from_nodes.is_empty() { drops.told.iter().collect() } else { from_nodes };
        return Ok(Look::Blocked(format!(
            "with enforcement on, Cilium would drop what comes from nodes, kubelet's probes among it: {}; \
             allow it first: docs/runbook.md, \"Would-be drops\"",
            some(&words(cx, &seen)?)
        )));
    }
    let all: Vec<&Drop> = drops.told.iter().collect();
    let lines = words(cx, &all)?;
    let untold = if drops.untold == 0 { String::new() } else { format!(" and {} kinds more", drops.untold) };
    if !cx.accepts_drops {
        return Ok(Look::Blocked(format!(
            "with enforcement on, Cilium would drop: {}{untold}; allow it by policy, or accept it with --accept-drops: \
             docs/runbook.md, \"Would-be drops\"",
            lines.join(", ")
        )));
    }
    let recorded: Vec<&String> = lines.iter().take(RECORDED).collect();
    Ok(Look::Met(format!("accepted: {}{untold}", some(&lines)), Some(json!({ "accepted-drops": recorded }))))
}

/// Every address that nodes reach pods from.
fn node_addresses(cx: &Cx<'_>) -> Result<Vec<String>, StepError> {
    let mut found = Vec::new();
    for node in cx.world.cluster.list(&Resource::NODES, &Filter::all())? {
        found.extend(addresses(&node));
    }
    Ok(found)
}

/// The addresses of a node, that in Kube-OVN's join network among them. No names: `status.addresses` has the host's name, too.
fn addresses(node: &Value) -> Vec<String> {
    let own = node.pointer("/status/addresses").and_then(Value::as_array).into_iter().flatten();
    let own = own.map(|address| text(address, "/address"));
    let annotations = node.pointer("/metadata/annotations");
    let join = annotations.and_then(|a| a.get(JOIN_ADDRESS)).and_then(Value::as_str).unwrap_or_default();
    let all = own.chain(join.split(',').map(str::trim));
    all.filter(|address| address.parse::<IpAddr>().is_ok()).map(str::to_owned).collect()
}

/// `default/web (10.16.0.9) → default/db (10.16.0.5:5432), 4 times`.
fn words(cx: &Cx<'_>, drops: &[&Drop]) -> Result<Vec<String>, StepError> {
    let pods = cx.world.cluster.list(&Resource::PODS, &Filter::all())?;
    let named = |address: &str, shown: &str| {
        let on_host = |pod: &&Value| pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
        let pod = pods.iter().find(|pod| !on_host(pod) && text(pod, "/status/podIP") == address);
        pod.map_or_else(|| shown.to_owned(), |pod| format!("{} ({shown})", key(pod)))
    };
    Ok(drops
        .iter()
        .map(|drop| {
            let source = match drop.identity.strip_prefix("ID:") {
                Some(_) => drop.source.clone(),
                None => format!("{} as {}", drop.source, drop.identity),
            };
            let times = if drop.count == 1 { "once".to_owned() } else { format!("{} times", drop.count) };
            format!(
                "{} → {}, {times}",
                named(&drop.source, &source),
                named(drop.destination_address(), &drop.destination)
            )
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_has_all_of_it_asked() {
        let asked = |seconds| since(SignedDuration::from_secs(seconds));
        assert_eq!([0, 90, -1, i64::MAX].map(asked), [0, 90, A_YEAR, A_YEAR]);
        assert_eq!(since(SignedDuration::from_millis(-1)), A_YEAR);
    }

    #[test]
    fn a_node_has_addresses_of_both_kinds_and_no_name() {
        let node = json!({
            "metadata": { "annotations": { JOIN_ADDRESS: "100.64.0.3, fd00:100:64::3" } },
            "status": { "addresses": [{ "address": "172.30.0.2" }, { "address": "n1" }, { "address": "" }] },
        });
        assert_eq!(addresses(&node), ["172.30.0.2", "100.64.0.3", "fd00:100:64::3"]);
        assert!(addresses(&json!({})).is_empty());
    }
}
