//! The flags of kube-ovn-controller, whoever changes them: where they stand, what they must become, whether it has settled with
//! them, and who has put them back.
//!
//! The list is found by the container's name. Load balancing off is proven by the default VPC, whose load balancers the controller
//! detaches when it starts with the flag (Kube-OVN `pkg/controller/gc.go`).

use std::collections::BTreeMap;

use ovncilium_core::plan::flags::{apply, words};
use ovncilium_core::plan::{Kind, ObjectRef, Resource, Settings};
use serde_json::Value;

use super::support::text;
use super::{Cx, Look, StepError};
use crate::world::Cluster;

/// The list as it is now.
pub(crate) struct Place {
    /// The Deployment.
    pub(crate) object: ObjectRef,
    pub(super) deployment: Value,
    /// Its container, by index.
    container: usize,
    /// Path of the list in it.
    pub(super) path: String,
    pub(crate) list: Vec<String>,
}

impl Place {
    /// Finds it.
    ///
    /// # Errors
    /// [`StepError::Plan`] when Deployment or container are gone.
    pub(crate) fn find(cluster: &dyn Cluster, settings: &Settings) -> Result<Self, StepError> {
        let object = Resource::DEPLOYMENTS.named(&settings.namespace, &settings.controller);
        let deployment = cluster.get(&object)?.ok_or_else(|| StepError::Plan(format!("{object} is gone")))?;
        let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let index = containers
            .into_iter()
            .flatten()
            .position(|container| text(container, "/name") == settings.controller_container)
            .ok_or_else(|| StepError::Plan(format!("{object} has no container {}", settings.controller_container)))?;
        let path = format!("/spec/template/spec/containers/{index}/{}", settings.controller_flags_in);
        let words = deployment.pointer(&path).and_then(Value::as_array);
        let list = words.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Self { object, deployment, container: index, path, list })
    }

    /// What an environment variable of the controller says; empty when it is not set by a value.
    pub(super) fn variable(&self, name: &str) -> &str {
        let path = format!("/spec/template/spec/containers/{}/env", self.container);
        let variables = self.deployment.pointer(&path).and_then(Value::as_array).into_iter().flatten();
        let mut found = variables.filter(|variable| text(variable, "/name") == name);
        found.next().map(|variable| text(variable, "/value").trim()).unwrap_or_default()
    }

    pub(super) fn generation(&self) -> u64 {
        self.number("/metadata/generation")
    }

    fn number(&self, pointer: &str) -> u64 {
        self.deployment.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The field manager that the API server names for the list; the one that wrote last, where several agree on it.
    pub(crate) fn manager(&self, settings: &Settings) -> Option<String> {
        let container = format!("k:{{\"name\":\"{}\"}}", settings.controller_container);
        let field = format!("f:{}", settings.controller_flags_in);
        let path = ["f:spec", "f:template", "f:spec", "f:containers", &container, &field];
        let managers = self.deployment.pointer("/metadata/managedFields").and_then(Value::as_array);
        let of_list = managers.into_iter().flatten().filter(|entry| {
            let fields = entry.get("fieldsV1");
            fields.and_then(|fields| path.iter().try_fold(fields, |fields, key| fields.get(key))).is_some()
        });
        of_list.max_by_key(|entry| text(entry, "/time").to_owned()).map(|entry| text(entry, "/manager").to_owned())
    }

    /// The sentence about somebody who has changed the list since it was set.
    pub(crate) fn put_back(&self, settings: &Settings, flags: &BTreeMap<String, String>) -> String {
        let by = self.manager(settings).unwrap_or_else(|| "somebody".to_owned());
        format!("{by} put the flags of {} back, which were set to {}", self.object, words(flags))
    }

    /// Whether the list was changed again after the write that this process has announced: a write of ours is one generation,
    /// another one more is somebody else's.
    pub(super) fn was_put_back(&self, cx: &Cx<'_>) -> bool {
        announced(cx).is_some_and(|recorded| self.is_past(recorded))
    }

    fn is_past(&self, recorded: &Value) -> bool {
        recorded["generation"].as_u64().is_some_and(|before| self.generation() >= before + 2)
    }
}

/// What this process has announced to write. Another process begins anew: its operator has looked.
pub(super) fn announced<'c>(cx: &'c Cx<'_>) -> Option<&'c Value> {
    let entry = cx.entry().zip(cx.record).filter(|(entry, record)| entry.epoch == record.epoch);
    entry.map(|(entry, _)| &entry.recorded)
}

/// What the list must become: going back, exactly what was recorded, unless somebody changed other flags since.
pub(super) fn target(cx: &Cx<'_>, flags: &BTreeMap<String, String>, current: &[String]) -> Vec<String> {
    let before = &cx.settings().controller_flags_before;
    if cx.plan.kind == Kind::Rollback {
        let off: BTreeMap<String, String> = flags.keys().map(|flag| (flag.clone(), "false".to_owned())).collect();
        let only_ours = (0..=flags.len()).any(|count| {
            let some: BTreeMap<_, _> = off.clone().into_iter().take(count).collect();
            apply(before, &some) == current
        });
        if only_ours || apply(before, &off) == current || current == before.as_slice() {
            return before.clone();
        }
    }
    apply(current, flags)
}

/// Whether the controller runs with them, and OVN is as they say.
pub(super) fn settled(cx: &Cx<'_>, place: &Place, flags: &BTreeMap<String, String>) -> Result<Look, StepError> {
    let wanted = place.deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let available = place.number("/status/availableReplicas");
    let rolled_out = place.number("/status/observedGeneration") >= place.generation()
        && place.number("/status/updatedReplicas") == wanted
        && place.number("/status/replicas") == wanted
        && available == wanted;
    if !rolled_out {
        let controller = &cx.settings().controller;
        return Ok(Look::wait(format!("{controller} restarts ({available} of {wanted} available)")));
    }
    if let Some(value) = flags.get("enable-lb") {
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
    // Going back there is nothing to keep: that is what its owner has written down.
    Ok(Look::met(match cx.plan.kind {
        Kind::Migrate => {
            format!("kube-ovn-controller runs with them; {}", cx.settings().driver.lasting(flags))
        }
        _ => "kube-ovn-controller runs with them".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings() -> Settings {
        serde_json::from_value(json!({
            "namespace": "kube-system",
            "chart": {
                "location": "c", "name": "cilium", "version": "1.18.2", "digest": ovncilium_core::Digest::of("chart"),
            },
            "release": "cilium", "release_namespace": "kube-system", "conf_dir": "/etc/cni/net.d",
            "plain_conf": "01-kube-ovn.conflist", "chained_conf": "01-cilium.conflist", "network": "kube-ovn",
            "node_image": "image", "image_pull_secrets": [], "devices": ["ovn0"], "cluster_pool": ["100.65.0.0/16"],
            "node_count": 2, "wave_limit": 4, "soak_seconds": 0, "controller": "kube-ovn-controller",
            "controller_container": "kube-ovn-controller", "controller_flags_in": "args", "controller_flags_before": [],
            "leave": [],
        }))
        .unwrap()
    }

    fn place(managers: &Value) -> Place {
        Place {
            object: Resource::DEPLOYMENTS.named("kube-system", "kube-ovn-controller"),
            deployment: json!({ "metadata": { "managedFields": managers, "generation": 7 } }),
            container: 0,
            path: String::new(),
            list: Vec::new(),
        }
    }

    #[test]
    fn who_put_the_flags_back_is_named_by_the_api_server() {
        let owns = |manager: &str, time: &str, field: &str| {
            let containers = json!({ "k:{\"name\":\"kube-ovn-controller\"}": { field: {} } });
            let fields = json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": containers } } } });
            json!({ "manager": manager, "time": time, "fieldsV1": fields })
        };
        let managers = json!([
            owns("install.sh", "2026-01-01T00:00:00Z", "f:image"),
            owns("ovncilium", "2026-01-01T00:00:01Z", "f:args"),
            owns("net-operator", "2026-01-01T00:00:05Z", "f:args"),
            { "manager": "kube-controller-manager", "time": "2026-01-01T00:00:09Z", "fieldsV1": { "f:status": {} } },
        ]);
        let place = place(&managers);
        assert_eq!(place.manager(&settings()).as_deref(), Some("net-operator"));
        let flags = BTreeMap::from([("enable-np".to_owned(), "false".to_owned())]);
        let text = place.put_back(&settings(), &flags);
        assert!(
            text.starts_with("net-operator put the flags of deployment kube-system/kube-ovn-controller back"),
            "{text}"
        );
    }

    #[test]
    fn one_generation_is_our_own_write_and_a_second_is_not() {
        let place = place(&Value::Null);
        assert!(place.is_past(&json!({ "generation": 5 })));
        assert!(!place.is_past(&json!({ "generation": 6 })) && !place.is_past(&Value::Null));
    }
}
