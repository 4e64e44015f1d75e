//! Pods and endpoints as they were at a moment, put together from what was asked of the API server until then.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_core::plan::action::TASK_LABEL;
use serde_json::Value;

use super::{name, text};
use crate::audit::{Audit, Event};

/// One pod as far as the log tells.
#[derive(Debug, Default, Clone)]
struct Pod {
    host_network: bool,
    task: bool,
    running: bool,
    leaving: bool,
    address: String,
}

/// What there was at one moment.
#[derive(Debug, Default)]
pub(super) struct Moment {
    pods: BTreeMap<String, Pod>,
    /// Addresses of endpoints.
    endpoints: BTreeMap<String, Vec<String>>,
}

impl Moment {
    /// The state after everything that was answered until `at`.
    pub(super) fn at(audit: &Audit, at: Timestamp) -> Self {
        let mut events: Vec<&Event> =
            audit.iter().filter(|event| event.time <= at && event.changed_something()).collect();
        events.sort_by_key(|event| event.time);
        let mut moment = Self::default();
        for event in events {
            match event.resource.as_str() {
                "pods" => moment.pod(event),
                "ciliumendpoints" => moment.endpoint(event),
                _ => {}
            }
        }
        moment
    }

    fn pod(&mut self, event: &Event) {
        let key = key(event);
        let body = event.response_object.as_ref();
        match (event.verb.as_str(), event.subresource.as_str()) {
            ("create", "eviction") => {
                if let Some(pod) = self.pods.get_mut(&key) {
                    pod.leaving = true;
                }
            }
            ("delete", _) => {
                let forced = event.request_object.as_ref().is_some_and(|body| body["gracePeriodSeconds"] == 0);
                // A pod that runs gets its time to end first; then its kubelet deletes it for good.
                match self.pods.get_mut(&key) {
                    Some(pod) if !forced && pod.running => pod.leaving = true,
                    _ => drop(self.pods.remove(&key)),
                }
            }
            ("create", "") => {
                let Some(body) = body else { return };
                let task = body["metadata"]["labels"].get(TASK_LABEL).is_some();
                let host_network = body["spec"]["hostNetwork"] == Value::Bool(true);
                self.pods.insert(key, Pod { host_network, task, ..Pod::default() });
            }
            (_, "status") => {
                let (Some(body), Some(pod)) = (body, self.pods.get_mut(&key)) else { return };
                pod.running = text(body, "/status/phase") == "Running";
                pod.address = text(body, "/status/podIP").to_owned();
            }
            _ => {}
        }
    }

    fn endpoint(&mut self, event: &Event) {
        if event.verb == "delete" {
            self.endpoints.remove(&key(event));
            return;
        }
        let Some(body) = &event.response_object else { return };
        let pairs = body.pointer("/status/networking/addressing").and_then(Value::as_array);
        let addresses = pairs.into_iter().flatten().map(|pair| text(pair, "/ipv4").to_owned()).collect();
        self.endpoints.insert(key(event), addresses);
    }

    /// Pods that run in the pod network and have no endpoint with their address.
    pub(super) fn uncovered(&self) -> Vec<&str> {
        let known = |(key, pod): &(&String, &Pod)| {
            self.endpoints.get(*key).is_some_and(|addresses| addresses.contains(&pod.address))
        };
        self.subjects().filter(|pod| !known(pod)).map(|(key, _)| key.as_str()).collect()
    }

    /// How many pods are to have an endpoint.
    pub(super) fn covered(&self) -> usize {
        self.subjects().count()
    }

    fn subjects(&self) -> impl Iterator<Item = (&String, &Pod)> {
        self.pods.iter().filter(|(_, pod)| pod.running && !pod.leaving && !pod.host_network && !pod.task)
    }
}

fn key(event: &Event) -> String {
    format!("{}/{}", event.namespace, name(event))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{ACTORS, testing::event};
    use super::*;

    fn story() -> Vec<Event> {
        let status = json!({"status": {"phase": "Running", "podIP": "10.16.0.5"}});
        let endpoint = |ip: &str| json!({"status": {"networking": {"addressing": [{"ipv4": ip}]}}});
        vec![
            event(1, "system:kcm", "create", "pods/shop/web", json!({"spec": {}})),
            event(2, "system:kcm", "create", "pods/kube-system/proxy", json!({"spec": {"hostNetwork": true}})),
            event(3, ACTORS, "patch", "pods/kube-system/proxy/status", status.clone()),
            event(4, ACTORS, "patch", "pods/shop/web/status", status),
            event(5, ACTORS, "create", "ciliumendpoints.cilium.io/shop/web", endpoint("10.16.0.9")),
            event(6, ACTORS, "update", "ciliumendpoints.cilium.io/shop/web", endpoint("10.16.0.5")),
            event(7, "operator", "create", "pods/shop/web/eviction", json!({})),
            event(8, ACTORS, "delete", "pods/shop/web", json!({"gracePeriodSeconds": 0})),
        ]
    }

    fn uncovered_at(second: u32) -> Vec<String> {
        let at = event(second, "", "", "", json!(null)).time;
        Moment::at(&Audit::of(story()), at).uncovered().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_running_pod_is_covered_by_an_endpoint_of_its_name_and_address() {
        assert!(uncovered_at(3).is_empty(), "it does not run yet");
        assert_eq!(uncovered_at(4), ["shop/web"]);
        assert_eq!(uncovered_at(5), ["shop/web"], "another address");
        assert!(uncovered_at(6).is_empty());
    }

    #[test]
    fn a_pod_that_leaves_needs_no_endpoint() {
        let audit = Audit::of(story());
        let moment = |second| Moment::at(&audit, event(second, "", "", "", json!(null)).time);
        assert_eq!((moment(6).covered(), moment(7).covered(), moment(8).covered()), (1, 0, 0));
    }
}
