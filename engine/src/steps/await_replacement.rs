//! Wait until a node's agent replaces kube-proxy, and serves every Service there is.
//!
//! An agent is ready before it has all Services from the API server; so a pod on the node asks the agent itself for its frontends.

use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, in_parts, last_reason, stop_asking};
use super::support::{agent_image, services, some, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// Runs in Cilium's own image.
pub(super) struct AwaitReplacement;

impl Work for AwaitReplacement {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let again = |why: &str| Ok(Look::Act(ask_again(cx, Task::Replacement, node, why)));
        let answer = match asked(cx, Task::Replacement, node)? {
            Asked::Answered(answer) => answer,
            Asked::InVain(why) => return again(&why),
            Asked::Waits => return Ok(Look::wait(format!("the agent on {node} takes Services over"))),
            Asked::Not => {
                let Some(image) = agent_image(cx)? else {
                    return Ok(Look::Blocked("the DaemonSet cilium is gone, so its agents cannot be asked".to_owned()));
                };
                let pod = node_task::pod_name(Task::Replacement, node, cx.run.as_str());
                return Ok(Look::Act(json!({ "pod": pod, "node": node, "image": image, "after": last_reason(cx) })));
            }
        };
        let (mut mode, mut told, mut lacking) = (None, None, Vec::new());
        for line in answer {
            match line {
                Answer::Mode(word) => mode = Some(word),
                Answer::Frontends(count) => told = Some(count),
                Answer::Lacking(frontend) => lacking.push(frontend),
                _ => {}
            }
        }
        let (Some(mode), Some(told)) = (mode, told) else { return again("the pod did not answer what was asked") };
        if mode != "True" {
            return again(&format!("the agent on {node} says of kube-proxy replacement: {mode}"));
        }
        if !lacking.is_empty() {
            return again(&format!("the agent on {node} does not serve {}", some(&lacking)));
        }
        // What was made meanwhile was not asked for.
        if told < services::frontends(cx)?.len() {
            return again("there are more Services now");
        }
        Ok(Look::met(format!("it serves {told} frontends")))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = cx.node_name()?;
        if intent.get("again").is_some() {
            return stop_asking(cx, Task::Replacement, node);
        }
        let lists = in_parts("WANTED", services::frontends(cx)?.iter());
        let mut env = vec![("IMAGE", text(intent, "/image"))];
        env.extend(lists.iter().map(|(name, list)| (name.as_str(), list.as_str())));
        node_task::start(cx.world.cluster, Task::Replacement, node, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        stop_asking(cx, Task::Replacement, cx.node_name()?)
    }

    /// The pod itself waits most of a minute for the answer.
    fn attempts(&self) -> u32 {
        12
    }
}
