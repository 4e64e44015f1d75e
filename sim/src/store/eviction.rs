//! The eviction API: a delete that a PodDisruptionBudget may refuse.
//!
//! As the real one (kubernetes `pkg/registry/core/pod/storage/eviction.go`): it believes the budget's *status*, which
//! its controller keeps, and takes one from `disruptionsAllowed` for each eviction it grants; a pod that has not
//! started needs no budget; a pod that runs but is not ready needs only that the healthy ones suffice.

use ovncilium_core::plan::Resource;
use ovncilium_engine::world::Eviction;
use serde_json::{Value, json};

use super::Inner;
use crate::{objects, selector};

impl Inner {
    pub(super) fn evict(&mut self, namespace: &str, name: &str, uid: &str) -> Eviction {
        let object = Resource::PODS.named(namespace, name);
        let Some(pod) = self.get(&object).cloned() else { return Eviction::Gone };
        if objects::uid(&pod) != uid {
            return Eviction::Gone;
        }
        let needs_budget = !objects::deleting(&pod) && objects::text(&pod, "/status/phase") == "Running";
        let budgets = if needs_budget { self.budgets_of(&pod) } else { Vec::new() };
        if budgets.len() > 1 {
            let message =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Eviction::Refused(message.to_owned());
        }
        if let Some(mut budget) = budgets.into_iter().next() {
            let status = |field: &str| objects::number(&budget, &format!("/status/{field}"), 0);
            let (allowed, healthy, desired) =
                (status("disruptionsAllowed"), status("currentHealthy"), status("desiredHealthy"));
            let settled = status("observedGeneration") >= objects::number(&budget, "/metadata/generation", 1);
            let spare = !objects::ready(&pod) && healthy >= desired && desired > 0;
            if settled && allowed > 0 && !spare {
                budget["status"]["disruptionsAllowed"] = json!(allowed - 1);
                budget["status"]["disruptedPods"][name] = json!(objects::stamp(self.now));
                let object = Resource::DISRUPTION_BUDGETS.named(namespace, objects::name(&budget));
                self.put(&Resource::DISRUPTION_BUDGETS, &object, budget);
            } else if !spare {
                return Eviction::Refused(format!(
                    "Cannot evict pod as it would violate the pod's disruption budget. \
                     The disruption budget {} needs {desired} \
                     healthy pods and has {healthy} currently",
                    objects::name(&budget)
                ));
            }
        }
        self.delete(&object, Some(uid), false);
        Eviction::Accepted
    }

    fn budgets_of(&self, pod: &Value) -> Vec<Value> {
        let all = self.objects.get(&Resource::DISRUPTION_BUDGETS).into_iter().flat_map(|kind| kind.values());
        all.filter(|budget| objects::namespace(budget) == objects::namespace(pod))
            .filter(|budget| budget["spec"].get("selector").is_some_and(|selector| selector::matches(pod, selector)))
            .map(|budget| Value::clone(budget))
            .collect()
    }
}
