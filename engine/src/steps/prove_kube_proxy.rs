//! Read kube-proxy's rules on a node and prove that every Service has its own.
//!
//! While Cilium serves as well, a question that is answered proves nothing of kube-proxy: its agents take the questions of a node at their
//! sockets. Its rules do, once it says that it has written them since it was started: rules stay when their kube-proxy goes, and on k3s nobody
//! takes them away.

use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, in_parts, last_reason, stop_asking};
use super::support::{services, some};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// Runs in Kube-OVN's own image, which has the tools.
pub(super) struct ProveKubeProxy;

impl Work for ProveKubeProxy {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let again = |why: &str| Ok(Look::Act(ask_again(cx, Task::Proxy, node, why)));
        let answer = match asked(cx, Task::Proxy, node)? {
            Asked::Answered(answer) => answer,
            Asked::InVain(why) => return again(&why),
            Asked::Waits => return Ok(Look::wait(format!("a pod on {node} reads kube-proxy's rules"))),
            Asked::Not => {
                let pod = node_task::pod_name(Task::Proxy, node, cx.run.as_str());
                return Ok(Look::Act(json!({ "pod": pod, "node": node, "after": last_reason(cx) })));
            }
        };
        let listens = answer.contains(&Answer::Listens);
        let (mut told, mut foreign, mut synced, mut lacking) = (None, 0, None, Vec::new());
        for line in answer {
            match line {
                Answer::Rules(count) => told = Some(count),
                Answer::Foreign(count) => foreign = count,
                Answer::Synced(yes) => synced = Some(yes),
                Answer::Lacking(frontend) => lacking.push(frontend),
                _ => {}
            }
        }
        let Some(told) = told else { return again("the pod did not answer what was asked") };
        if foreign > 0 && !cx.plan.kind.goes_back() {
            return Ok(Look::Blocked(format!(
                "{foreign} services of IPVS are on {node} and not kube-proxy's; its cleanup may flush them"
            )));
        }
        // A rollback of what was taken over knows none: somebody has started one since.
        let former = cx.settings().kube_proxy.as_ref().and_then(|proxy| proxy.former.as_ref());
        let is_switched = former.is_some_and(|former| former.distribution.is_some());
        // Going back the switch was looked at by a step of its own.
        if !listens && is_switched && !cx.plan.kind.goes_back() {
            return Ok(Look::Blocked(format!(
                "kube-proxy on {node} does not listen on its port 10249, so it could not be told later whether it is gone: give it its usual \
                 metrics address, or replace it by hand (docs/runbook.md)"
            )));
        }
        match synced {
            Some(true) => {}
            Some(false) => {
                return again(&format!("kube-proxy on {node} has not written its rules since it was started"));
            }
            // A DaemonSet may have its metrics elsewhere, and its pods are told by the API server.
            None if !is_switched => {}
            None if cx.plan.kind.goes_back() => {
                return again(&format!(
                    "kube-proxy on {node} does not tell on its port 10249 whether it has written its rules"
                ));
            }
            None => {
                return Ok(Look::Blocked(format!(
                    "kube-proxy on {node} does not tell on its port 10249 when it has written its rules \
                     (kubeproxy_sync_proxy_rules_last_timestamp_seconds), so it could not be told later whether it is back: replace it by hand \
                     (docs/runbook.md)"
                )));
            }
        }
        if !lacking.is_empty() {
            return again(&format!("kube-proxy has no rule on {node} for {}", some(&lacking)));
        }
        if told < services::frontends(cx)?.len() {
            return again("there are more Services now");
        }
        Ok(Look::met(format!("it has rules for {told} frontends")))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = cx.node_name()?;
        if intent.get("again").is_some() {
            return stop_asking(cx, Task::Proxy, node);
        }
        let lists = in_parts("WANTED", services::frontends(cx)?.iter());
        let mut env: Vec<(&str, &str)> = lists.iter().map(|(name, list)| (name.as_str(), list.as_str())).collect();
        if cx.plan.kind.goes_back() {
            env.push(("EXPECT", "synced"));
        }
        node_task::start(cx.world.cluster, Task::Proxy, node, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        stop_asking(cx, Task::Proxy, cx.node_name()?)
    }

    /// The pod itself waits most of a minute for the answer.
    fn attempts(&self) -> u32 {
        12
    }
}
