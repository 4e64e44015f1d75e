//! Take from a node the taint by which Cilium's operator says that no agent is ready there.
//!
//! With agents and operator gone nobody takes it away any more, and nothing is scheduled on that node again (cilium/cilium#31943).

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::{Cx, Look, StepError, Work};

/// The key of the taint.
pub(super) struct RemoveTaint<'a>(pub(super) &'a str);

impl RemoveTaint<'_> {
    fn is_it(&self, taint: &Value) -> bool {
        taint["key"].as_str() == Some(self.0)
    }
}

impl Work for RemoveTaint<'_> {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let name = cx.node_name()?;
        let Some(node) = cx.world.cluster.get(&Resource::NODES.named("", name))? else {
            return Ok(Look::met("the node is gone"));
        };
        Ok(match taints(&node).iter().any(|taint| self.is_it(taint)) {
            true => Look::Act(json!({ "node": name, "taint": self.0 })),
            false => Look::met(format!("no taint {}", self.0)),
        })
    }

    fn act(&self, cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        let reference = Resource::NODES.named("", cx.node_name()?);
        let Some(node) = cx.world.cluster.get(&reference)? else { return Ok(()) };
        let before = taints(&node);
        let kept: Vec<&Value> = before.iter().filter(|taint| !self.is_it(taint)).collect();
        if kept.len() == before.len() {
            return Ok(());
        }
        // Taints that others set meanwhile are not lost: the test fails, and the step looks again.
        let patch = json!([
            { "op": "test", "path": "/spec/taints", "value": before },
            { "op": "replace", "path": "/spec/taints", "value": kept },
        ]);
        cx.world.cluster.json_patch(&reference, &patch)?;
        Ok(())
    }
}

fn taints(node: &Value) -> &[Value] {
    node.pointer("/spec/taints").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
