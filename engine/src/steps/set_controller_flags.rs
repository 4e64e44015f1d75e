//! Set flags of kube-ovn-controller in one restart and wait until it has settled.
//!
//! The list that holds the flags is found by the container's name; a flag is matched by its name, in both forms
//! (`--flag=value`, `--flag value`), and appended when absent. Load balancing off is proven by the default VPC, whose load
//! balancers the controller detaches when it starts with the flag (Kube-OVN `pkg/controller/gc.go`).

use std::collections::BTreeMap;

use ovncilium_core::plan::{Kind, Resource};
use serde_json::{Value, json};

use super::support::text;
use super::{Cx, Look, StepError, Work};

/// Flags without dashes, and their values.
pub(super) struct SetControllerFlags<'a>(pub(super) &'a BTreeMap<String, String>);

/// Path of the list in the Deployment, and the list as it is now.
pub(super) fn current(cx: &Cx<'_>) -> Result<(String, Vec<String>), StepError> {
    let settings = cx.settings();
    let reference = Resource::DEPLOYMENTS.named(&settings.namespace, &settings.controller);
    let deployment =
        cx.world.cluster.get(&reference)?.ok_or_else(|| StepError::Plan(format!("{reference} is gone")))?;
    let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let index = containers
        .into_iter()
        .flatten()
        .position(|container| text(container, "/name") == settings.controller_container)
        .ok_or_else(|| StepError::Plan(format!("{reference} has no container {}", settings.controller_container)))?;
    let path = format!("/spec/template/spec/containers/{index}/{}", settings.controller_flags_in);
    let words = deployment.pointer(&path).and_then(Value::as_array).cloned().unwrap_or_default();
    Ok((path, words.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
}

/// `list` with `flags` set, everything else and the order as they were.
pub(super) fn apply(list: &[String], flags: &BTreeMap<String, String>) -> Vec<String> {
    let mut words = list.to_vec();
    for (flag, value) in flags {
        let (joined, split) = (format!("--{flag}="), format!("--{flag}"));
        let wanted = format!("--{flag}={value}");
        if let Some(word) = words.iter_mut().find(|word| word.starts_with(&joined)) {
            *word = wanted;
        } else if let Some(at) = words.iter().position(|word| *word == split) {
            let has_value = words.get(at + 1).is_some_and(|next| matches!(next.as_str(), "true" | "false"));
            words[at] = wanted;
            if has_value {
                words.remove(at + 1);
            }
        } else {
            words.push(wanted);
        }
    }
    words
}

impl SetControllerFlags<'_> {
    /// What the list must become: going back, exactly what was recorded, unless somebody changed other flags since.
    fn target(&self, cx: &Cx<'_>, current: &[String]) -> Vec<String> {
        let before = &cx.settings().controller_flags_before;
        if cx.plan.kind == Kind::Rollback {
            let off: BTreeMap<String, String> = self.0.keys().map(|flag| (flag.clone(), "false".to_owned())).collect();
            let only_ours = (0..=self.0.len()).any(|count| {
                let some: BTreeMap<_, _> = off.clone().into_iter().take(count).collect();
                apply(before, &some) == current
            });
            if only_ours || apply(before, &off) == current || current == before.as_slice() {
                return before.clone();
            }
        }
        apply(current, self.0)
    }
}

impl Work for SetControllerFlags<'_> {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let settings = cx.settings();
        let (path, list) = current(cx)?;
        let target = self.target(cx, &list);
        let reference = Resource::DEPLOYMENTS.named(&settings.namespace, &settings.controller);
        if list != target {
            return Ok(Look::Act(
                json!({ "object": reference.to_string(), "path": path, "before": list, "after": target }),
            ));
        }
        let Some(deployment) = cx.world.cluster.get(&reference)? else {
            return Ok(Look::Blocked(format!("{reference} is gone")));
        };
        let number = |pointer| deployment.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let wanted = deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
        let rolled_out = number("/status/observedGeneration") >= number("/metadata/generation")
            && number("/status/updatedReplicas") == wanted
            && number("/status/replicas") == wanted
            && number("/status/availableReplicas") == wanted;
        if !rolled_out {
            return Ok(Look::wait(format!(
                "{} restarts ({} of {wanted} available)",
                settings.controller,
                number("/status/availableReplicas")
            )));
        }
        if let Some(value) = self.0.get("enable-lb") {
            let vpc = cx.world.cluster.get(&Resource::VPCS.named("", "ovn-cluster"))?;
            let balancer = vpc.as_ref().map(|vpc| text(vpc, "/status/tcpLoadBalancer")).unwrap_or_default();
            if (value == "true") == balancer.is_empty() {
                return Ok(Look::wait(if value == "true" {
                    "OVN's load balancers are rebuilt"
                } else {
                    "OVN's load balancers are detached"
                }));
            }
        }
        Ok(Look::met("kube-ovn-controller runs with them"))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let settings = cx.settings();
        let reference = Resource::DEPLOYMENTS.named(&settings.namespace, &settings.controller);
        let path = text(intent, "/path");
        let patch = json!([
            { "op": "test", "path": path, "value": intent["before"] },
            { "op": "replace", "path": path, "value": intent["after"] },
        ]);
        cx.world.cluster.json_patch(&reference, &patch)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_set_in_both_forms_and_appended_when_absent() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let off = BTreeMap::from([
            ("enable-lb".to_owned(), "false".to_owned()),
            ("enable-np".to_owned(), "false".to_owned()),
        ]);
        assert_eq!(
            apply(&list(&["start.sh", "--enable-np=true", "--x=1", "--enable-lb", "true", "--y"]), &off),
            list(&["start.sh", "--enable-np=false", "--x=1", "--enable-lb=false", "--y"])
        );
        assert_eq!(
            apply(&list(&["--enable-lb", "--z"]), &off),
            list(&["--enable-lb=false", "--z", "--enable-np=false"])
        );
        let once = apply(&list(&["a"]), &off);
        assert_eq!(apply(&once, &off), once, "setting twice changes nothing");
    }
}
