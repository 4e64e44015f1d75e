//! Wait until Cilium's agent on a node is ready.

use serde_json::Value;

use super::support::{agents, condition, is_leaving, trouble};
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
        Ok(Look::wait(match agents.first() {
            None => format!("no agent pod on {node} yet"),
            Some(agent) => match trouble(agent) {
                None => format!("the agent on {node} starts"),
                Some(why) => format!("the agent on {node} does not start: {why}"),
            },
        }))
    }

    fn act(&self, _cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        Ok(())
    }
}
