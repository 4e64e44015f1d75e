//! Look at everything once more.

use ovncilium_core::plan::Resource;
use ovncilium_core::plan::action::Chain;
use serde_json::Value;

use super::support::{some, uncovered};
use super::{Cx, Look, StepError, Work};
use crate::world::Filter;

/// What the cluster must be.
pub(super) struct Verify(pub(super) Chain);

impl Work for Verify {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let settings = cx.settings();
        let agents = cx.world.cluster.get(&Resource::DAEMON_SETS.named(&settings.release_namespace, "cilium"))?;
        match (self.0, agents) {
            (Chain::Found, _) => Err(StepError::Plan("what was found is not where a run ends".to_owned())),
            (Chain::Chained, None) => Ok(Look::Blocked("the DaemonSet cilium is gone".to_owned())),
            (Chain::Chained, Some(agents)) => {
                let number = |pointer| agents.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
                let (ready, wanted) = (number("/status/numberReady"), number("/status/desiredNumberScheduled"));
                if ready < wanted || wanted == 0 {
                    return Ok(Look::wait(format!("{ready} of {wanted} agents are ready")));
                }
                let uncovered = uncovered(cx)?;
                Ok(if uncovered.is_empty() {
                    Look::met(format!("{ready} agents are ready, every pod has its endpoint"))
                } else {
                    Look::wait(format!("no endpoint: {}", some(&uncovered)))
                })
            }
            (Chain::Plain, Some(_)) => Ok(Look::wait("the DaemonSet cilium goes")),
            (Chain::Plain, None) => {
                let nodes = cx.world.cluster.list(&Resource::NODES, &Filter::all())?;
                let labelled = nodes.iter().any(|node| {
                    node.pointer("/metadata/labels")
                        .and_then(Value::as_object)
                        .is_some_and(|labels| labels.keys().any(|label| label.starts_with("ovncilium.io/")))
                });
                Ok(if labelled {
                    Look::wait("labels of ours go")
                } else {
                    Look::met("Kube-OVN alone, nothing of ours left")
                })
            }
        }
    }

    fn act(&self, _cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        Ok(())
    }
}
