//! Make a CiliumNodeConfig: agent settings for the nodes with a label.

use std::collections::BTreeMap;

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::{Cx, Look, StepError, Work};
use crate::world::{ClusterError, Filter};

/// The object wanted.
pub(super) struct SetNodeConfig<'a> {
    pub(super) name: &'a str,
    pub(super) label: &'a str,
    pub(super) defaults: &'a BTreeMap<String, String>,
}

impl SetNodeConfig<'_> {
    fn spec(&self) -> Value {
        json!({ "nodeSelector": { "matchLabels": { self.label: "true" } }, "defaults": self.defaults })
    }
}

impl Work for SetNodeConfig<'_> {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let namespace = &cx.settings().release_namespace;
        match cx.world.cluster.list(&Resource::CILIUM_NODE_CONFIGS, &Filter::in_namespace(namespace)) {
            Err(ClusterError::NotServed { .. }) => Ok(Look::wait("Cilium's operator registers its CRDs")),
            Err(error) => Err(error.into()),
            Ok(objects) => {
                let found =
                    objects.iter().find(|o| o.pointer("/metadata/name").and_then(Value::as_str) == Some(self.name));
                Ok(match found {
                    Some(found) if found.get("spec") == Some(&self.spec()) => Look::met("it is there"),
                    _ => Look::Act(json!({ "object": format!("ciliumnodeconfig {namespace}/{}", self.name) })),
                })
            }
        }
    }

    fn act(&self, cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        let namespace = &cx.settings().release_namespace;
        let mut object = json!({
            "apiVersion": Resource::CILIUM_NODE_CONFIGS.api_version(),
            "kind": "CiliumNodeConfig",
            "metadata": { "name": self.name, "namespace": namespace, "labels": { "app.kubernetes.io/managed-by": "ovncilium" } },
            "spec": self.spec(),
        });
        match cx.world.cluster.get(&Resource::CILIUM_NODE_CONFIGS.named(namespace, self.name))? {
            None => cx.world.cluster.create(&Resource::CILIUM_NODE_CONFIGS, &object)?,
            Some(found) => {
                object["metadata"]["resourceVersion"] =
                    found.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
                cx.world.cluster.replace(&Resource::CILIUM_NODE_CONFIGS, &object)?
            }
        };
        Ok(())
    }
}
