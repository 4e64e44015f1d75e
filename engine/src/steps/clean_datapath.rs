//! Remove Cilium's programs, maps and interfaces from a node, and the files that a run has retired.

use serde_json::{Value, json};

use super::support::{NEVER_HERE, agent_image, has_run_here, remove_task, task_answer, task_name, task_pod, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Task};

/// Runs in Cilium's own image, which is on the node since its agent ran there.
pub(super) struct CleanDatapath;

impl Work for CleanDatapath {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        if !has_run_here(cx)? {
            return Ok(Look::met(NEVER_HERE));
        }
        let name = task_name(cx, Task::Cleanup)?;
        let Some(pod) = task_pod(cx, Task::Cleanup)? else {
            let Some(image) = agent_image(cx)? else {
                return Ok(Look::Blocked("the DaemonSet cilium is gone, so its image is not known".to_owned()));
            };
            return Ok(Look::Act(json!({ "pod": name, "node": node, "image": image })));
        };
        Ok(match task_answer(&pod) {
            None => Look::wait(format!("a pod on {node} removes Cilium's programs")),
            Some(Ok(_)) => Look::met("programs, maps and interfaces are gone"),
            Some(Err(why)) => Look::Act(json!({ "pod": name, "node": node, "again": why })),
        })
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        if intent.get("again").is_some() {
            return remove_task(cx, Task::Cleanup);
        }
        let found = cx.settings().adopted.as_ref().map(|adopted| adopted.conf.as_str()).unwrap_or_default();
        let env = [("IMAGE", text(intent, "/image")), ("FILE", cx.settings().chained_conf.as_str()), ("FOUND", found)];
        node_task::start(cx.world.cluster, Task::Cleanup, cx.node_name()?, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        remove_task(cx, Task::Cleanup)
    }
}
