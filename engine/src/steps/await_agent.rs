//! Wait until Cilium's agent on a node is ready.

use serde_json::Value;

use super::support::{agents, condition, is_leaving};
use super::{Cx, Look, StepError, Work};

/// Reads only.
pub(super) struct AwaitAgent;

impl Work for AwaitAgent {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let agents = agents(cx)?;
        if agents.iter().any(|pod| condition(pod, "Ready") && !is_leaving(pod)) {
            return Ok(Look::met("agent is ready"));
        }
        let node = cx.node_name()?;
        Ok(Look::wait(if agents.is_empty() {
            format!("no agent pod on {node} yet")
        } else {
            format!("the agent on {node} starts")
        }))
    }

    fn act(&self, _cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        Ok(())
    }
}
