//! Remove the Cilium release, and the lock that its operator made for itself.

use ovncilium_core::plan::Resource;
use ovncilium_core::plan::writes::OPERATOR_LOCK;
use serde_json::{Value, json};

use super::support::AGENT_SELECTOR;
use super::{Cx, Look, StepError, Work};
use crate::world::Filter;

/// Waits until agents and operator are gone, so that nothing comes back afterwards.
pub(super) struct RemoveRelease;

impl Work for RemoveRelease {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let settings = cx.settings();
        if let Some(release) = cx.world.charts.release(&settings.release, &settings.release_namespace)? {
            return Ok(Look::Act(json!({
                "release": format!("{}/{}", settings.release_namespace, settings.release),
                "was": format!("revision {} {}", release.revision, release.status),
            })));
        }
        for selector in [AGENT_SELECTOR, "io.cilium/app=operator"] {
            let filter = Filter::in_namespace(&settings.release_namespace).labelled(selector);
            if !cx.world.cluster.list(&Resource::PODS, &filter)?.is_empty() {
                return Ok(Look::wait("its last pods end"));
            }
        }
        let lock = Resource::LEASES.named(&settings.release_namespace, OPERATOR_LOCK);
        if cx.world.cluster.get(&lock)?.is_some() {
            return Ok(Look::Act(json!({ "lock": lock.to_string() })));
        }
        Ok(Look::met("it is gone"))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let settings = cx.settings();
        if intent.get("lock").is_some() {
            cx.world.cluster.delete(&Resource::LEASES.named(&settings.release_namespace, OPERATOR_LOCK), None)?;
            return Ok(());
        }
        cx.world.charts.uninstall(&settings.release, &settings.release_namespace, &mut cx.heartbeat())?;
        Ok(())
    }
}
