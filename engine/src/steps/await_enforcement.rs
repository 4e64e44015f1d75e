//! Wait until a node's agent enforces for every endpoint it has.
//!
//! An agent that was restarted is ready before the programs of its older endpoints are made again, and these still do what the agent
//! before it told them: on a busy machine they went on auditing for ten seconds. A CiliumEndpoint does not tell (its state
//! is `ready` all the while: Cilium `pkg/endpoint/endpoint_status.go`), so a pod on the node asks the agent itself. One that a takeover
//! has found and that audits will go on so: that stops the run.

use ovncilium_core::plan::Action;
use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, last_reason, stop_asking};
use super::support::{agent_image, endpoints_on_node, some, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// Runs in Cilium's own image.
pub(super) struct AwaitEnforcement;

/// Whether this run has restarted the node's agent: one that was found goes on as it is.
fn is_restarted(cx: &Cx<'_>) -> bool {
    let restarts = cx.plan.steps().filter(|(_, _, step)| step.action == Action::RestartAgent);
    let mut here = restarts.filter(|(_, node, _)| *node == cx.node.map(|node| &node.name));
    here.any(|(_, _, step)| cx.record.is_some_and(|record| record.entry(&step.id).is_some()))
}

impl Work for AwaitEnforcement {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let again = |why: &str| Ok(Look::Act(ask_again(cx, Task::Endpoints, node, why)));
        let answer = match asked(cx, Task::Endpoints, node)? {
            Asked::Answered(answer) => answer,
            Asked::InVain(why) => return again(&why),
            Asked::Waits => return Ok(Look::wait(format!("the endpoints on {node} take enforcement over"))),
            Asked::Not => {
                let Some(image) = agent_image(cx)? else {
                    return Ok(Look::Blocked("the DaemonSet cilium is gone, so its agents cannot be asked".to_owned()));
                };
                let pod = node_task::pod_name(Task::Endpoints, node, cx.run.as_str());
                return Ok(Look::Act(json!({ "pod": pod, "node": node, "image": image, "after": last_reason(cx) })));
            }
        };
        let mut told = None;
        let mut pending = Vec::new();
        for line in answer {
            match line {
                Answer::Endpoints(count) => told = Some(count),
                Answer::Pending(endpoint) => pending.push(endpoint),
                _ => {}
            }
        }
        let Some(told) = told else { return again("the pod did not answer what was asked") };
        if !pending.is_empty() && !is_restarted(cx) {
            return Ok(Look::Blocked(format!(
                "the agent on {node} does not enforce, although cilium-config says so: {}; nothing was changed yet: `kubectl ovncilium \
                 rollback` forgets this run; then set policyAuditMode=true in the release and plan again, so that what would be dropped \
                 is reviewed first",
                some(&pending)
            )));
        }
        if !pending.is_empty() {
            return again(&format!("not enforcing yet: {}", some(&pending)));
        }
        let known = endpoints_on_node(cx)?;
        if told < known {
            return again(&format!("the agent on {node} tells {told} of its {known} endpoints"));
        }
        Ok(Look::met(format!("{told} endpoints enforce")))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = cx.node_name()?;
        if intent.get("again").is_some() {
            return stop_asking(cx, Task::Endpoints, node);
        }
        let env = [("IMAGE", text(intent, "/image"))];
        node_task::start(cx.world.cluster, Task::Endpoints, node, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        stop_asking(cx, Task::Endpoints, cx.node_name()?)
    }

    /// Two for each question, which waits most of a minute for its answer.
    fn attempts(&self) -> u32 {
        60
    }
}
