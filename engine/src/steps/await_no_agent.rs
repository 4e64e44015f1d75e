//! Wait until no agent is left on a node.

use serde_json::Value;

use super::support::agents;
use super::{Cx, Look, StepError, Work};

/// Reads only; the DaemonSet controller removes the pod when the label is gone.
pub(super) struct AwaitNoAgent;

impl Work for AwaitNoAgent {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        Ok(if agents(cx)?.is_empty() { Look::met("no agent left") } else { Look::wait("the agent ends") })
    }

    fn act(&self, _cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        Ok(())
    }
}
