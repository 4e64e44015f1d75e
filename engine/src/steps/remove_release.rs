//! Remove the Cilium release.

use ovncilium_core::plan::Resource;
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
        Ok(Look::met("it is gone"))
    }

    fn act(&self, cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        let settings = cx.settings();
        cx.world.charts.uninstall(&settings.release, &settings.release_namespace, &mut cx.heartbeat())?;
        Ok(())
    }
}
