//! Install or upgrade the Cilium release with the values of a stage.

use ovncilium_core::Digest;
use ovncilium_core::plan::values::values;
use ovncilium_core::plan::{Kind, ReleaseStage, Resource};
use ovncilium_core::values::own;
use serde_json::{Value, json};

use super::support::text;
use super::{Cx, Look, StepError, Work};
use crate::own_values::own_values;

/// The stage.
pub(super) struct SetRelease(pub(super) ReleaseStage);

impl SetRelease {
    /// Ours for this stage, and the operator's beside them.
    fn values(&self, cx: &Cx<'_>) -> Result<Value, StepError> {
        let ours = values(cx.settings(), self.0).map_err(|error| StepError::Plan(error.to_string()))?;
        let theirs = own_values(cx.world.charts, cx.settings(), cx.plan.kind)
            .map_err(|error| StepError::Plan(error.to_string()))?;
        Ok(own::merged(&theirs, &ours))
    }
}

impl Work for SetRelease {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let settings = cx.settings();
        let wanted = self.values(cx)?;
        let release = cx.world.charts.release(&settings.release, &settings.release_namespace)?;
        let is_there = release.as_ref().is_some_and(|release| {
            release.status == "deployed" && release.chart_version == settings.chart.version && release.values == wanted
        });
        if !is_there {
            let is_first = self.0 == ReleaseStage::Staged && cx.plan.kind == Kind::Migrate && cx.entry().is_none();
            if is_first && let Some(release) = &release {
                return Ok(Look::Blocked(format!(
                    "a release {}/{} exists (revision {}, {}) that this run did not make",
                    settings.release_namespace, settings.release, release.revision, release.status
                )));
            }
            let digest = Digest::of(wanted.to_string());
            return Ok(Look::Act(json!({
                "release": format!("{}/{}", settings.release_namespace, settings.release),
                "stage": self.0,
                "values": digest,
                "was": release.map(|release| format!("revision {} {}", release.revision, release.status)),
            })));
        }
        let operator = Resource::DEPLOYMENTS.named(&settings.release_namespace, "cilium-operator");
        let Some(operator) = cx.world.cluster.get(&operator)? else {
            return Ok(Look::wait("the operator's Deployment appears"));
        };
        let number = |pointer| operator.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        // One of before leads until it ends, by the settings that it was started with.
        let settled = number("/status/observedGeneration") >= number("/metadata/generation")
            && number("/status/updatedReplicas") >= 1
            && number("/status/replicas") == number("/status/updatedReplicas")
            && number("/status/availableReplicas") >= 1;
        Ok(if settled {
            Look::met(format!("{} {} is deployed", settings.chart.name, settings.chart.version))
        } else {
            Look::wait(format!("the operator starts ({} available)", number("/status/availableReplicas")))
        })
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let settings = cx.settings();
        let wanted = self.values(cx)?;
        if text(intent, "/values") != Digest::of(wanted.to_string()).to_string() {
            return Err(StepError::Plan("the values are not those of the intent".to_owned()));
        }
        cx.world.charts.upgrade(&settings.release, &settings.release_namespace, &wanted, &mut cx.heartbeat())?;
        Ok(())
    }
}
