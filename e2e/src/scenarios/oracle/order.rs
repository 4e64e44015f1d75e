//! The order of the moments that matter to traffic: audit mode, chaining, endpoints, enforcement, hand-over.

use jiff::Timestamp;
use ovncilium_core::plan::action::CHAINED_LABEL;
use serde_json::Value;

use super::{OPERATOR, asked, name, pods::Moment, text, told};
use crate::audit::{Audit, Event};

/// What is wrong about when Kube-OVN's network policy was turned off. `left` are pods that may stay without an endpoint.
pub(in crate::scenarios) fn hand_over(audit: &Audit, left: &[&str]) -> Vec<String> {
    let off: Vec<&Event> = audit
        .changes_by(OPERATOR)
        .filter(|event| event.resource == "deployments" && name(event) == "kube-ovn-controller")
        .filter(|event| written(event).contains("--enable-np=false"))
        .collect();
    if off.is_empty() {
        return vec!["network policy of Kube-OVN was never turned off".to_owned()];
    }
    off.iter().flat_map(|event| uncovered(audit, event.received, left, &told(event))).collect()
}

/// What is wrong about when audit mode began and ended. `left` are pods that may stay without an endpoint.
pub(in crate::scenarios) fn audit_mode(audit: &Audit, left: &[&str]) -> Vec<String> {
    let modes: Vec<(&Event, &str)> = audit
        .changes_by(OPERATOR)
        .filter(|event| event.resource == "configmaps" && name(event) == "cilium-config" && event.verb != "delete")
        .map(|event| (event, event.response_object.as_ref().map_or("", |body| text(body, "/data/policy-audit-mode"))))
        .collect();
    let mut wrong = Vec::new();
    let Some((begun, "true")) = modes.first().copied() else {
        return vec![format!("cilium-config did not begin in audit mode: {:?}", modes.first().map(|(_, mode)| mode))];
    };
    for (what, first) in [("node was chained", first_chained(audit)), ("endpoint was made", first_endpoint(audit))] {
        match first {
            None => wrong.push(format!("no {what}")),
            Some(first) if first.received < begun.time => {
                wrong.push(format!("a {what} before audit mode was set at {}: {}", begun.time, told(first)));
            }
            Some(_) => {}
        }
    }
    let last_eviction = audit.changes_by(OPERATOR).rfind(|event| event.subresource == "eviction");
    let enforcing = modes.iter().filter(|(_, mode)| *mode != "true").map(|(event, _)| *event);
    let enforcing: Vec<&Event> = enforcing.chain(enforcing_nodes(audit)).collect();
    if enforcing.is_empty() {
        wrong.push("audit mode was never left".to_owned());
    }
    for event in enforcing {
        if last_eviction.is_some_and(|eviction| event.received < eviction.time) {
            wrong.push(format!("enforcement before the last eviction: {}", told(event)));
        }
        wrong.extend(uncovered(audit, event.received, left, &told(event)));
    }
    wrong
}

fn uncovered(audit: &Audit, at: Timestamp, left: &[&str], what: &str) -> Vec<String> {
    let moment = Moment::at(audit, at);
    if moment.covered() == 0 {
        return vec![format!("{what}: there was no pod to be covered, which proves nothing")];
    }
    let uncovered = moment.uncovered().into_iter().filter(|pod| !left.contains(pod));
    uncovered.map(|pod| format!("{what}: pod {pod} had no endpoint")).collect()
}

/// What a request wants to be; what a patch only compares with was there before.
fn written(event: &Event) -> String {
    match event.request_object.as_ref() {
        Some(Value::Array(operations)) => {
            operations.iter().filter(|one| text(one, "/op") != "test").map(Value::to_string).collect()
        }
        body => body.map(Value::to_string).unwrap_or_default(),
    }
}

/// The first patch that gives a node the label of chained nodes.
fn first_chained(audit: &Audit) -> Option<&Event> {
    let path = format!("/metadata/labels/{}", CHAINED_LABEL.replace('/', "~1"));
    audit.changes_by(OPERATOR).find(|event| {
        let operations = event.request_object.as_ref().and_then(Value::as_array);
        event.resource == "nodes"
            && operations.into_iter().flatten().any(|one| text(one, "/path") == path && text(one, "/op") != "remove")
    })
}

fn first_endpoint(audit: &Audit) -> Option<&Event> {
    audit
        .iter()
        .find(|event| event.changed_something() && event.resource == "ciliumendpoints" && event.verb == "create")
}

/// Node configurations that end audit mode on some nodes.
fn enforcing_nodes(audit: &Audit) -> impl Iterator<Item = &Event> {
    audit.changes_by(OPERATOR).filter(|event| {
        event.resource == "ciliumnodeconfigs" && asked(event, "/spec/defaults/policy-audit-mode") == "false"
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{ACTORS, testing::event};
    use super::*;

    const CONFIG: &str = "configmaps/kube-system/cilium-config";

    fn mode(at: u32, mode: &str) -> Event {
        event(at, OPERATOR, "patch", CONFIG, json!({"data": {"policy-audit-mode": mode}}))
    }

    fn label(at: u32) -> Event {
        let patch = json!([{"op": "add", "path": "/metadata/labels/ovncilium.io~1chained", "value": "true"}]);
        event(at, OPERATOR, "patch", "nodes//n1", patch)
    }

    fn pod(at: u32) -> [Event; 2] {
        let status = json!({"status": {"phase": "Running", "podIP": "10.16.0.5"}});
        [
            event(at, "system:kcm", "create", "pods/shop/web", json!({"spec": {}})),
            event(at, ACTORS, "patch", "pods/shop/web/status", status),
        ]
    }

    fn endpoint(at: u32) -> Event {
        let body = json!({"status": {"networking": {"addressing": [{"ipv4": "10.16.0.5"}]}}});
        event(at, ACTORS, "create", "ciliumendpoints.cilium.io/shop/web", body)
    }

    fn np_off(at: u32) -> Event {
        let patch = json!([{"op": "replace", "path": "/x", "value": ["--enable-np=false"]}]);
        event(at, OPERATOR, "patch", "deployments.apps/kube-system/kube-ovn-controller", patch)
    }

    fn log(parts: impl IntoIterator<Item = Event>) -> Audit {
        Audit::of(pod(0).into_iter().chain(parts).collect())
    }

    #[test]
    fn network_policy_goes_off_when_every_pod_has_its_endpoint() {
        assert!(hand_over(&log([endpoint(5), np_off(6)]), &[]).is_empty());
        assert_eq!(hand_over(&log([np_off(4), endpoint(5)]), &[]).len(), 1);
        assert!(hand_over(&log([np_off(4), endpoint(5)]), &["shop/web"]).is_empty(), "it was left");
        assert_eq!(hand_over(&log([endpoint(5)]), &[]).len(), 1, "never");
        let on = json!([
            {"op": "test", "path": "/x", "value": ["--enable-np=false"]},
            {"op": "replace", "path": "/x", "value": ["--enable-np=true"]},
        ]);
        let on = event(1, OPERATOR, "patch", "deployments.apps/kube-system/kube-ovn-controller", on);
        assert!(hand_over(&log([on, endpoint(5), np_off(6)]), &[]).is_empty(), "on again is not off");
    }

    #[test]
    fn audit_mode_is_there_before_the_first_chain_and_until_the_last_endpoint() {
        assert_eq!(audit_mode(&log([mode(1, "true"), label(2), endpoint(3), mode(4, "false")]), &[]), [""; 0]);
        for (parts, what) in [
            (vec![label(1), mode(2, "true"), endpoint(3), mode(4, "false")], "chained first"),
            (vec![mode(1, "true"), label(2), mode(3, "false"), endpoint(4)], "left too early"),
            (vec![mode(1, "false"), label(2), endpoint(4)], "not audited at all"),
            (vec![mode(1, "true"), label(2), endpoint(4)], "never left"),
        ] {
            assert!(!audit_mode(&log(parts), &[]).is_empty(), "{what}");
        }
    }
}
