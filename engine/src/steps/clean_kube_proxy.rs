//! Remove kube-proxy's rules from a node by its own cleanup, from its own image, and look at what is left and what of others has changed.

use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, last_reason, stop_asking};
use super::support::{kube_proxy, kube_proxy_pods, some};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// A look in Kube-OVN's image, the cleanup in kube-proxy's, and another look.
pub(super) struct CleanKubeProxy;

impl Work for CleanKubeProxy {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let again = |why: &str| Ok(Look::Act(ask_again(cx, Task::Unproxy, node, why)));
        let answer = match asked(cx, Task::Unproxy, node)? {
            Asked::Answered(answer) => answer,
            Asked::InVain(why) => return again(&why),
            Asked::Waits => return Ok(Look::wait(format!("a pod on {node} removes kube-proxy's rules"))),
            Asked::Not => {
                // One that runs would write them again.
                if !kube_proxy_pods(cx, Some(node))?.is_empty() {
                    return Ok(Look::wait(format!("kube-proxy on {node} ends")));
                }
                let pod = node_task::pod_name(Task::Unproxy, node, cx.run.as_str());
                let image = &kube_proxy(cx)?.image;
                return Ok(Look::Act(json!({ "pod": pod, "node": node, "image": image, "after": last_reason(cx) })));
            }
        };
        let (mut left, mut changed) = (None, Vec::new());
        for line in answer {
            match line {
                Answer::Left(count) => left = Some(count),
                Answer::Changed(what) => changed.push(what),
                _ => {}
            }
        }
        let Some(left) = left else { return again("the pod did not answer what was asked") };
        // The same rules in another order are what kube-ovn-cni makes of them when it looks again.
        changed.retain(|what| what != "order of rules");
        // First: another pod would take what is there now for what was there before.
        if !changed.is_empty() {
            return Ok(Look::Blocked(format!("on {node} rules of others have changed: {}", some(&changed))));
        }
        if left > 0 {
            return again(&format!("{left} chains of kube-proxy are left on {node}"));
        }
        Ok(Look::met("no rule of kube-proxy is left, and those of others are as they were"))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = cx.node_name()?;
        if intent.get("again").is_some() {
            return stop_asking(cx, Task::Unproxy, node);
        }
        let proxy = kube_proxy(cx)?;
        let words: Vec<&str> = proxy.program.iter().map(String::as_str).chain(["--cleanup"]).collect();
        let (command, secrets) = (json!(words).to_string(), json!(proxy.image_pull_secrets).to_string());
        let env = [
            ("CLEANUP_IMAGE", proxy.image.as_str()),
            ("CLEANUP_COMMAND", command.as_str()),
            ("CLEANUP_SECRETS", secrets.as_str()),
        ];
        node_task::start(cx.world.cluster, Task::Unproxy, node, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        stop_asking(cx, Task::Unproxy, cx.node_name()?)
    }

    fn attempts(&self) -> u32 {
        12
    }
}
