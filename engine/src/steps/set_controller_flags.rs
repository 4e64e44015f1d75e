//! Set flags of kube-ovn-controller in one restart, by a patch of its Deployment, and wait until it has settled.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::flags::{self, Place};
use super::support::text;
use super::{Cx, Look, StepError, Work};

/// Flags without dashes, and their values.
pub(super) struct SetControllerFlags<'a>(pub(super) &'a BTreeMap<String, String>);

impl Work for SetControllerFlags<'_> {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let place = Place::find(cx.world.cluster, cx.settings())?;
        let target = flags::target(cx, self.0, &place.list);
        if place.list == target {
            return flags::settled(cx, &place, self.0);
        }
        if place.was_put_back(cx) {
            return Ok(Look::Blocked(place.put_back(cx.settings(), self.0)));
        }
        Ok(Look::Act(json!({
            "object": place.object.to_string(),
            "generation": place.generation(),
            "path": place.path,
            "before": place.list,
            "after": target,
        })))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let place = Place::find(cx.world.cluster, cx.settings())?;
        let path = text(intent, "/path");
        let patch = json!([
            { "op": "test", "path": path, "value": intent["before"] },
            { "op": "replace", "path": path, "value": intent["after"] },
        ]);
        cx.world.cluster.json_patch(&place.object, &patch)?;
        Ok(())
    }
}
