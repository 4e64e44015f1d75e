//! Delete the agent pod of a node once and wait for its successor.

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::support::{agents, condition, is_leaving, text};
use super::{Cx, Look, StepError, Work};

/// Records the UID of the pod it deletes: a pod with another UID is the successor.
pub(super) struct RestartAgent;

impl Work for RestartAgent {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let agents = agents(cx)?;
        let recorded = text(cx.recorded(), "/uid");
        let old = agents.iter().find(|pod| recorded.is_empty() || text(pod, "/metadata/uid") == recorded);
        match old {
            Some(pod) if !is_leaving(pod) => {
                Ok(Look::Act(json!({ "pod": text(pod, "/metadata/name"), "uid": text(pod, "/metadata/uid") })))
            }
            Some(_) => Ok(Look::wait("the old agent ends")),
            None if agents.iter().any(|pod| condition(pod, "Ready") && !is_leaving(pod)) => {
                Ok(Look::met("the new agent is ready"))
            }
            None => Ok(Look::wait("the new agent starts")),
        }
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let pod = Resource::PODS.named(&cx.settings().release_namespace, text(intent, "/pod"));
        cx.world.cluster.delete(&pod, Some(text(intent, "/uid")))?;
        Ok(())
    }
}
