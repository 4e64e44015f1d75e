//! Remove the CRDs of Cilium with what is in them, unless somebody's policy object exists.

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::support::text;
use super::{Cx, Look, StepError, Work};
use crate::world::{ClusterError, Filter};

/// Policy objects are users' property: while one exists, all CRDs stay.
pub(super) struct RemoveCrds;

impl Work for RemoveCrds {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let mut policies = 0;
        for resource in [Resource::CILIUM_NETWORK_POLICIES, Resource::CILIUM_CLUSTERWIDE_POLICIES] {
            match cx.world.cluster.list(&resource, &Filter::all()) {
                Ok(objects) => policies += objects.len(),
                Err(ClusterError::NotServed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if policies > 0 {
            return Ok(Look::met(format!("kept: {policies} policy objects exist")));
        }
        let crds: Vec<Value> = cx
            .world
            .cluster
            .list(&Resource::CUSTOM_RESOURCES, &Filter::all())?
            .iter()
            .filter(|crd| text(crd, "/spec/group") == "cilium.io")
            .map(|crd| json!({ "name": text(crd, "/metadata/name"), "uid": text(crd, "/metadata/uid") }))
            .collect();
        Ok(if crds.is_empty() { Look::met("none is left") } else { Look::Act(json!({ "crds": crds })) })
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        for crd in intent.pointer("/crds").and_then(Value::as_array).into_iter().flatten() {
            let object = Resource::CUSTOM_RESOURCES.named("", text(crd, "/name"));
            cx.world.cluster.delete(&object, Some(text(crd, "/uid")))?;
        }
        Ok(())
    }
}
