//! Start a pod on a node and prove it: its address, its endpoint, and its pod, service and DNS connections.
//!
//! The pod becomes Ready when its own checks have passed, so a look needs no command in it. Its creation time is recorded: what is
//! older on this node is an old pod.

use ovncilium_core::plan::Resource;
use ovncilium_core::plan::action::Chain;
use serde_json::{Value, json};

use super::prove_conf::found_first;
use super::support::{
    condition, endpoints, is_covered, is_leaving, key, remove_task, task_answer, task_name, task_pod, text,
};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Task};
use crate::world::Filter;

/// What the pod must be.
pub(super) struct Canary(pub(super) Chain);

/// `address:port` of a DNS pod, the peer of the canary's pod connection.
fn peer(cx: &Cx<'_>) -> Result<Option<String>, StepError> {
    let filter = Filter::in_namespace("kube-system").labelled("k8s-app=kube-dns");
    let pods = cx.world.cluster.list(&Resource::PODS, &filter)?;
    Ok(pods
        .iter()
        .filter(|pod| condition(pod, "Ready") && !is_leaving(pod))
        .map(|pod| text(pod, "/status/podIP"))
        .find(|ip| !ip.is_empty())
        .map(|ip| format!("{ip}/53")))
}

impl Canary {
    /// What was found is chained or not, as the file that the node loaded at first was.
    fn expected(&self, cx: &Cx<'_>) -> Chain {
        let chained = |conf: &str| cx.settings().adopted.as_ref().is_some_and(|adopted| adopted.conf == conf);
        match (self.0, found_first(cx)) {
            (Chain::Found, Some((conf, _))) if chained(conf) => Chain::Chained,
            (Chain::Found, _) => Chain::Plain,
            (chain, _) => chain,
        }
    }
}

impl Work for Canary {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let name = task_name(cx, Task::Canary)?;
        let Some(pod) = task_pod(cx, Task::Canary)? else {
            return Ok(Look::Act(json!({ "pod": name, "node": node })));
        };
        if is_leaving(&pod) {
            return Ok(Look::wait("an older canary ends"));
        }
        if let Some(answer) = task_answer(&pod) {
            let why = match answer {
                Ok(checks) => node_task::failed_checks(&checks),
                Err(reason) => reason,
            };
            return Ok(Look::Act(json!({ "pod": name, "node": node, "again": why })));
        }
        if !condition(&pod, "Ready") || text(&pod, "/status/podIP").is_empty() {
            return Ok(Look::wait(format!("canary on {node} checks pod, service and DNS")));
        }
        let endpoints = endpoints(cx)?;
        let covered = is_covered(&pod, &endpoints);
        match self.expected(cx) {
            Chain::Chained if !covered => {
                Ok(Look::wait(format!("canary on {node} has no endpoint of its own address yet")))
            }
            Chain::Plain if endpoints.contains_key(&key(&pod)) => {
                Ok(Look::Act(json!({ "pod": name, "node": node, "again": "it has an endpoint although it must not" })))
            }
            _ => Ok(Look::Met(
                format!("{} works", text(&pod, "/status/podIP")),
                Some(
                    json!({ "created": text(&pod, "/metadata/creationTimestamp"), "address": text(&pod, "/status/podIP") }),
                ),
            )),
        }
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        if intent.get("again").is_some() {
            return remove_task(cx, Task::Canary);
        }
        let peer = peer(cx)?;
        let env: Vec<(&str, &str)> = peer.iter().map(|peer| ("PEER", peer.as_str())).collect();
        node_task::start(cx.world.cluster, Task::Canary, cx.node_name()?, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        remove_task(cx, Task::Canary)
    }
}
