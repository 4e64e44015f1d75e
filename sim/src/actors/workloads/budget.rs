//! PodDisruptionBudgets: how many pods may be evicted now.

use std::collections::BTreeMap;

use ovncilium_core::plan::Resource;
use serde_json::{Map, Value, json};

use super::super::{Actor, Pass, View};
use super::{int_or_percent, tell};
use crate::{objects, selector};

/// The disruption controller.
pub(super) struct Budgets;

impl Actor for Budgets {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        for budget in view.all(&Resource::DISRUPTION_BUDGETS) {
            let Some(wanted) = budget["spec"].get("selector") else { continue };
            let pods: Vec<&Value> = view
                .all(&Resource::PODS)
                .iter()
                .filter(|pod| objects::namespace(pod) == objects::namespace(budget) && !objects::ended(pod))
                .filter(|pod| selector::matches(pod, wanted))
                .map(|pod| &**pod)
                .collect();
            let expected = expected(view, &pods);
            let healthy = i64::try_from(pods.iter().filter(|pod| objects::ready(pod)).count()).unwrap_or(0);
            let spec = &budget["spec"];
            let desired = match spec.get("maxUnavailable") {
                Some(most) => (expected - int_or_percent(Some(most), expected, 0, true)).max(0),
                None => int_or_percent(spec.get("minAvailable"), expected, 1, true),
            };
            let mut status = json!({
                "currentHealthy": healthy,
                "desiredHealthy": desired,
                "disruptionsAllowed": if expected == 0 { 0 } else { (healthy - desired).max(0) },
                "expectedPods": expected,
                "observedGeneration": budget["metadata"]["generation"],
            });
            // Evicted pods carry their deletionTimestamp by now and need not be remembered any more.
            let disrupted = budget["status"].get("disruptedPods").and_then(Value::as_object);
            let forgotten: Map<String, Value> =
                disrupted.into_iter().flatten().map(|(pod, _)| (pod.clone(), Value::Null)).collect();
            if !forgotten.is_empty() {
                status["disruptedPods"] = Value::Object(forgotten);
            }
            tell(pass, &Resource::DISRUPTION_BUDGETS, budget, &status);
        }
    }
}

/// Pods the workloads of these pods want.
fn expected(view: &View, pods: &[&Value]) -> i64 {
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    let mut alone = 0;
    for pod in pods {
        let Some(owner) = objects::controller(pod) else {
            alone += 1;
            continue;
        };
        let named =
            |kind: &Resource, owner: &Value| view.find(kind, objects::namespace(pod), objects::text(owner, "/name"));
        let workload = match objects::text(owner, "/kind") {
            "ReplicaSet" => named(&Resource::REPLICA_SETS, owner)
                .and_then(|set| named(&Resource::DEPLOYMENTS, objects::controller(set)?)),
            "StatefulSet" => named(&Resource::STATEFUL_SETS, owner),
            _ => None,
        };
        match workload {
            Some(workload) => {
                wanted.insert(objects::uid(workload), objects::number(workload, "/spec/replicas", 1));
            }
            None => alone += 1,
        }
    }
    alone + wanted.values().sum::<i64>()
}
