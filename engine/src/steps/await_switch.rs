//! Wait until whoever starts kube-proxy has stopped it on a node, or started it again: the switch is the reason that is told.
//!
//! What the API server tells is looked at first, since a person takes their time: pods that run kube-proxy, and what servers of k3s note of
//! their command line. Then a pod on the node looks whether kube-proxy listens: within k3s no object tells of it.

use ovncilium_core::facts::derive::{kube_proxy_disabled, runs_kube_proxy};
use ovncilium_core::plan::Resource;
use ovncilium_core::plan::kube_proxy::Distribution;
use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, last_reason, stop_asking};
use super::support::{condition, key, kube_proxy, not_ready, some, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};
use crate::world::Filter;

const SERVERS: &str = "node-role.kubernetes.io/control-plane";

/// Started, or stopped.
pub(super) struct AwaitSwitch(pub(super) bool);

impl Work for AwaitSwitch {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let distribution = distribution(cx)?;
        let again = |why: &str| Ok(Look::Act(ask_again(cx, Task::Proxy, node, why)));
        let answer = match asked(cx, Task::Proxy, node)? {
            Asked::Answered(answer) => answer,
            Asked::InVain(why) => return again(&why),
            Asked::Waits => return Ok(Look::wait(format!("a pod on {node} looks whether kube-proxy runs"))),
            Asked::Not => {
                if let Some(why) = not_ready(cx)? {
                    return Ok(Look::wait(why));
                }
                if let Some(why) = self.is_not_turned(cx, distribution, node)? {
                    return Ok(Look::wait(format!("{why}: {}", distribution.switch(self.0))));
                }
                let pod = node_task::pod_name(Task::Proxy, node, cx.run.as_str());
                return Ok(Look::Act(json!({ "pod": pod, "node": node, "after": last_reason(cx) })));
            }
        };
        if !answer.iter().any(|line| matches!(line, Answer::Rules(_))) {
            return again("the pod did not answer what was asked");
        }
        let name = distribution.name();
        match (answer.contains(&Answer::Listens), self.0) {
            (true, false) => again(&format!("kube-proxy still runs on {node}: restart {name} there")),
            (false, true) => again(&format!("kube-proxy does not run on {node} yet: restart {name} there")),
            (true, true) => Ok(Look::met("kube-proxy runs")),
            (false, false) => Ok(Look::met("kube-proxy runs no more")),
        }
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = cx.node_name()?;
        if intent.get("again").is_some() {
            return stop_asking(cx, Task::Proxy, node);
        }
        let expected = if self.0 { "listens" } else { "silent" };
        node_task::start(cx.world.cluster, Task::Proxy, node, cx.run.as_str(), cx.settings(), &[("EXPECT", expected)])?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        stop_asking(cx, Task::Proxy, cx.node_name()?)
    }

    /// The pod itself waits most of a minute for the answer, and two writes are one look.
    fn attempts(&self) -> u32 {
        80
    }

    /// Machine configurations are reviewed first, and every node is restarted.
    fn patience(&self) -> u64 {
        1800
    }
}

impl AwaitSwitch {
    /// What the API server tells of a switch that was not turned yet, or whose turn has not reached this node.
    fn is_not_turned(&self, cx: &Cx<'_>, distribution: Distribution, node: &str) -> Result<Option<String>, StepError> {
        let cluster = cx.world.cluster;
        if matches!(distribution, Distribution::K3s | Distribution::Rke2) {
            let mut servers = cluster.list(&Resource::NODES, &Filter::all().labelled(SERVERS))?;
            // One that is not ready notes nothing, and keeps nobody from coming back.
            servers.retain(|server| !self.0 || condition(server, "Ready"));
            let turned = |server: &&Value| kube_proxy_disabled(server).is_none_or(|disabled| disabled != self.0);
            if let Some(server) = servers.iter().find(|server| !turned(server)) {
                let word = if self.0 { "disabled" } else { "not disabled" };
                return Ok(Some(format!("kube-proxy is {word} on {}", text(server, "/metadata/name"))));
            }
        }
        if distribution == Distribution::K3s {
            return Ok(None);
        }
        let mut pods = cluster.list(&Resource::PODS, &Filter::on_node(node))?;
        pods.retain(runs_kube_proxy);
        let names = || some(&pods.iter().map(key).collect::<Vec<_>>());
        Ok(match self.0 {
            false if !pods.is_empty() => Some(format!("kube-proxy runs on {node}: {}", names())),
            true if !pods.iter().any(|pod| condition(pod, "Ready")) => {
                Some(format!("no kube-proxy is ready on {node}"))
            }
            _ => None,
        })
    }
}

fn distribution(cx: &Cx<'_>) -> Result<Distribution, StepError> {
    kube_proxy(cx)?.distribution.ok_or_else(|| StepError::Plan("it does not tell who starts kube-proxy".to_owned()))
}
