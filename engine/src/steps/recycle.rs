//! Have every old pod of a node made again, by eviction under its budgets.
//!
//! Old is what was created before the canary pod of that node, which was the proof that new pods are what they must be: both
//! times are the API server's own. So a new pod whose endpoint is not there yet is never evicted, and no pod twice.

use ovncilium_core::journal::Record;
use ovncilium_core::plan::Resource;
use ovncilium_core::plan::action::Chain;
use ovncilium_core::plan::fate::Fate;
use serde_json::{Value, json};

use super::support::{endpoints, fate, is_covered, is_leaving, key, some, text, wants_endpoint};
use super::{Cx, Look, StepError, Work};
use crate::world::{Eviction, Filter};

/// Evictions per intent: the record of a node stays small.
const BATCH: usize = 20;

/// What the new pods are.
pub(super) struct Recycle(pub(super) Chain);

/// When new pods of this node began to be what they must be: creation of its last canary.
fn since(record: Option<&Record>, chain: Chain) -> Option<&str> {
    let wanted: &[&str] = match chain {
        Chain::Chained => &["canary-again/canary/", "cut-over/canary/"],
        Chain::Plain => &["go-back/canary/"],
        Chain::Found => &[],
    };
    record?
        .entries
        .iter()
        .rev()
        .find(|entry| wanted.iter().any(|prefix| entry.step.as_str().starts_with(prefix)))
        .map(|entry| text(&entry.recorded, "/created"))
        .filter(|created| !created.is_empty())
}

impl Work for Recycle {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let Some(since) = since(cx.record, self.0) else {
            return Err(StepError::Plan(format!("no canary is recorded for node {node}")));
        };
        let pods = cx.world.cluster.list(&Resource::PODS, &Filter::on_node(node))?;
        let endpoints = endpoints(cx)?;
        let old: Vec<&Value> = pods
            .iter()
            .filter(|pod| text(pod, "/metadata/creationTimestamp") <= since)
            .filter(|pod| wants_endpoint(pod) && fate(cx, pod) == Fate::MadeAgain)
            .filter(|pod| is_covered(pod, &endpoints) == (self.0 == Chain::Plain))
            .collect();
        if old.is_empty() {
            let leaving: Vec<String> = pods
                .iter()
                .filter(|pod| is_leaving(pod) && text(pod, "/metadata/creationTimestamp") <= since)
                .map(key)
                .collect();
            return Ok(if leaving.is_empty() {
                Look::met("no old pod is left")
            } else {
                Look::wait(format!("old pods end: {}", some(&leaving)))
            });
        }
        // Budgets may hold some for long: each round begins where the last one ended.
        let round = cx.recorded().get("round").and_then(Value::as_u64).map_or(0, |round| round + 1);
        let start = usize::try_from(round).unwrap_or(0).wrapping_mul(BATCH) % old.len();
        let batch: Vec<Value> = old
            .iter()
            .cycle()
            .skip(start)
            .take(BATCH.min(old.len()))
            .map(|pod| json!([key(pod), text(pod, "/metadata/uid")]))
            .collect();
        Ok(Look::Act(json!({ "evict": batch, "left": old.len(), "round": round })))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        for pod in intent.pointer("/evict").and_then(Value::as_array).into_iter().flatten() {
            let (name, uid) = (text(pod, "/0"), text(pod, "/1"));
            let Some((namespace, name)) = name.split_once('/') else { continue };
            match cx.world.cluster.evict(namespace, name, uid)? {
                // A refusal is a budget at its limit: the pod stays in the next look and is tried again.
                Eviction::Accepted | Eviction::Gone | Eviction::Refused(_) => {}
            }
        }
        Ok(())
    }

    /// A budget at its limit is asked again as long as it takes; patience ends it.
    fn attempts(&self) -> u32 {
        u32::MAX
    }

    fn patience(&self) -> u64 {
        3600
    }
}
