//! Remove a CiliumNodeConfig of ours.

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::support::text;
use super::{Cx, Look, StepError, Work};

/// The object's name.
pub(super) struct RemoveNodeConfig<'a>(pub(super) &'a str);

impl Work for RemoveNodeConfig<'_> {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let object = Resource::CILIUM_NODE_CONFIGS.named(&cx.settings().release_namespace, self.0);
        Ok(match cx.world.cluster.get(&object)? {
            None => Look::met("it is gone"),
            Some(found) => Look::Act(json!({ "object": object.to_string(), "uid": text(&found, "/metadata/uid") })),
        })
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let object = Resource::CILIUM_NODE_CONFIGS.named(&cx.settings().release_namespace, self.0);
        cx.world.cluster.delete(&object, Some(text(intent, "/uid")))?;
        Ok(())
    }
}
