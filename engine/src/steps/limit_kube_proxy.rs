//! Have kube-proxy run on labelled nodes alone, by one key in the node selector of its DaemonSet, or again where it ran before.
//!
//! So it leaves node by node, with a label, and in the end the DaemonSet is as it was but for a key that no node meets. What else is in the
//! DaemonSet stays, also what somebody changes meanwhile.

use ovncilium_core::plan::action::KUBE_PROXY_LABEL;
use ovncilium_core::plan::kube_proxy::MADE_AGAIN;
use ovncilium_core::plan::{ObjectRef, Resource};
use serde_json::{Value, json};

use super::flags::announced;
use super::support::{kube_proxy, some, text};
use super::{Cx, Look, StepError, Work};
use crate::world::Filter;

const SELECTOR: &str = "/spec/template/spec/nodeSelector";

/// Limited or not.
pub(super) struct LimitKubeProxy(pub(super) bool);

impl Work for LimitKubeProxy {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let object = object(cx)?;
        let Some(set) = cx.world.cluster.get(&object)? else {
            return Ok(Look::Blocked(format!("{object} is gone: {MADE_AGAIN}")));
        };
        let is_limited = set.pointer(SELECTOR).is_some_and(|selector| selector.get(KUBE_PROXY_LABEL).is_some());
        let number = |pointer: &str| set.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        if is_limited != self.0 {
            let generation = number("/metadata/generation");
            // A write of ours is one generation, another one more is somebody else's.
            let before = announced(cx).and_then(|recorded| recorded["generation"].as_u64());
            if before.is_some_and(|before| generation >= before + 2) {
                let by = manager(&set).unwrap_or_else(|| "somebody".to_owned());
                return Ok(Look::Blocked(format!("{by} has put {object} back")));
            }
            if self.0 {
                let unlabelled = unlabelled(cx)?;
                if !unlabelled.is_empty() {
                    return Ok(Look::Blocked(format!(
                        "kube-proxy would leave nodes that this plan does not know: {}; `kubectl ovncilium replace-kube-proxy --back`, and \
                         a new plan",
                        some(&unlabelled)
                    )));
                }
            }
            return Ok(Look::Act(json!({
                "object": object.to_string(),
                "generation": generation,
                "before": set.pointer(SELECTOR),
                "limited": self.0,
            })));
        }
        let (wanted, ready) = (number("/status/desiredNumberScheduled"), number("/status/numberReady"));
        let on_delete = text(&set, "/spec/updateStrategy/type") == "OnDelete";
        // A node that is away holds up the exchange of pods on the others, which serve as they are.
        let away = cx.plan.nodes.iter().filter(|node| node.away).count() as u64;
        let settled = number("/status/observedGeneration") >= number("/metadata/generation")
            && (on_delete || away > 0 || number("/status/updatedNumberScheduled") >= wanted)
            && ready + away >= wanted;
        Ok(if settled {
            Look::met(format!("it is ready on {ready} nodes"))
        } else {
            Look::wait(format!("kube-proxy restarts ({ready} of {wanted} ready)"))
        })
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let object = object(cx)?;
        let key = format!("{SELECTOR}/{}", KUBE_PROXY_LABEL.replace('/', "~1"));
        let before = &intent["before"];
        // The API server keeps no empty map, and shows none that it was not given.
        let only_ours = before.as_object().is_some_and(|map| map.keys().all(|key| key == KUBE_PROXY_LABEL));
        let patch = match (self.0, before.is_object()) {
            (true, true) => json!([
                { "op": "test", "path": SELECTOR, "value": before },
                { "op": "add", "path": key, "value": "true" },
            ]),
            // A selector that somebody has added since is not written over.
            (true, false) => json!([
                { "op": "test", "path": "/metadata/generation", "value": intent["generation"] },
                { "op": "add", "path": SELECTOR, "value": { KUBE_PROXY_LABEL: "true" } },
            ]),
            (false, _) if only_ours => json!([
                { "op": "test", "path": SELECTOR, "value": before },
                { "op": "remove", "path": SELECTOR },
            ]),
            (false, _) => json!([
                { "op": "test", "path": SELECTOR, "value": before },
                { "op": "remove", "path": key },
            ]),
        };
        cx.world.cluster.json_patch(&object, &patch)?;
        Ok(())
    }
}

fn object(cx: &Cx<'_>) -> Result<ObjectRef, StepError> {
    let proxy = kube_proxy(cx)?;
    Ok(Resource::DAEMON_SETS.named(&proxy.namespace, &proxy.name))
}

/// Nodes that do not carry the label.
fn unlabelled(cx: &Cx<'_>) -> Result<Vec<String>, StepError> {
    let nodes = cx.world.cluster.list(&Resource::NODES, &Filter::all())?;
    let without = nodes
        .iter()
        .filter(|node| node.pointer("/metadata/labels").is_none_or(|labels| labels.get(KUBE_PROXY_LABEL).is_none()));
    Ok(without.map(|node| text(node, "/metadata/name").to_owned()).collect())
}

/// Who wrote the template last, as the API server names them.
fn manager(set: &Value) -> Option<String> {
    let managers = set.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    let of_template = managers.iter().filter(|entry| entry.pointer("/fieldsV1/f:spec/f:template").is_some());
    of_template.max_by_key(|entry| text(entry, "/time").to_owned()).map(|entry| text(entry, "/manager").to_owned())
}
