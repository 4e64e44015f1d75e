//! Set and remove labels of ours on a node.

use std::collections::BTreeMap;

use ovncilium_core::plan::{Kind, Resource};
use serde_json::{Value, json};

use super::{Cx, Look, StepError, Work};

/// Labels to set (`Some`) and to remove (`None`).
pub(super) struct LabelNode<'a>(pub(super) &'a BTreeMap<String, Option<String>>);

impl LabelNode<'_> {
    fn differences(&self, node: &Value) -> Vec<(&String, &Option<String>, bool)> {
        let labels = node.pointer("/metadata/labels");
        self.0
            .iter()
            .filter_map(|(name, wanted)| {
                let found = labels.and_then(|labels| labels.get(name)).and_then(Value::as_str);
                (found != wanted.as_deref()).then_some((name, wanted, found.is_some()))
            })
            .collect()
    }
}

impl Work for LabelNode<'_> {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let name = cx.node_name()?;
        let Some(node) = cx.world.cluster.get(&Resource::NODES.named("", name))? else {
            // A node that has gone has no labels; only removing them is then done.
            return Ok(if self.0.values().all(Option::is_none) {
                Look::met("the node is gone")
            } else {
                Look::Blocked(format!("node {name} does not exist"))
            });
        };
        let differences = self.differences(&node);
        if differences.is_empty() {
            return Ok(Look::met("labels are set"));
        }
        let names: Vec<_> =
            differences.iter().map(|(name, wanted, _)| json!({ "label": name, "value": wanted })).collect();
        Ok(Look::Act(json!({ "node": name, "labels": names })))
    }

    fn act(&self, cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        let reference = Resource::NODES.named("", cx.node_name()?);
        let Some(node) = cx.world.cluster.get(&reference)? else { return Ok(()) };
        let uid = match cx.plan.kind {
            Kind::Migrate | Kind::ReplaceKubeProxy => cx.node.map(|node| node.uid.clone()),
            Kind::Rollback | Kind::RestoreKubeProxy => {
                node.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
            }
        };
        let mut patch = vec![json!({ "op": "test", "path": "/metadata/uid", "value": uid })];
        if node.pointer("/metadata/labels").is_none() {
            patch.push(json!({ "op": "add", "path": "/metadata/labels", "value": {} }));
        }
        for (name, wanted, present) in self.differences(&node) {
            let path = format!("/metadata/labels/{}", name.replace('~', "~0").replace('/', "~1"));
            match wanted {
                Some(value) => patch.push(json!({ "op": "add", "path": path, "value": value })),
                None if present => patch.push(json!({ "op": "remove", "path": path })),
                None => {}
            }
        }
        cx.world.cluster.json_patch(&reference, &Value::Array(patch))?;
        Ok(())
    }
}
