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

/// Tasks that prove that Cilium serves Services on a node, as the names of their pods begin.
const PROOFS: [&str; 3] = ["ovncilium-replacement-", "ovncilium-services-", "ovncilium-pod-services-"];

/// What is wrong about when Kube-OVN's load balancer was turned off: on each of `nodes` every proof must have begun after the last restart
/// of an agent, and have been ended before.
pub(in crate::scenarios) fn load_balancer(audit: &Audit, nodes: &[&str]) -> Vec<String> {
    let ours = || audit.changes_by(OPERATOR);
    let off = ours()
        .filter(|event| event.resource == "deployments" && name(event) == "kube-ovn-controller")
        .find(|event| written(event).contains("--enable-lb=false"));
    let Some(off) = off else { return vec!["the load balancer of Kube-OVN was never turned off".to_owned()] };
    let is_pod = |event: &&Event, verb: &str| {
        event.resource == "pods" && event.subresource.is_empty() && event.verb == verb && event.time < off.received
    };
    let restart = ours().rfind(|event| is_pod(event, "delete") && name(event).starts_with("cilium-"));
    let Some(restart) = restart else { return vec!["no agent was restarted, which proves nothing".to_owned()] };
    let mut wrong = Vec::new();
    for node in nodes {
        for proof in PROOFS {
            let begun = ours()
                .filter(|event| is_pod(event, "create") && name(event).starts_with(proof))
                .rfind(|event| asked(event, "/spec/nodeName") == *node && event.received > restart.time);
            let ended = begun.and_then(|begun| {
                ours()
                    .find(|event| is_pod(event, "delete") && name(event) == name(begun) && event.received > begun.time)
            });
            if ended.is_none() {
                wrong.push(format!("{}: no pod {proof}… was asked on {node} since {}", told(off), told(restart)));
            }
        }
    }
    wrong
}

/// Settings of Cilium's agents that were written and do not have it serve Services.
pub(in crate::scenarios) fn replacement(audit: &Audit) -> Vec<String> {
    let configs: Vec<&Event> = audit
        .changes_by(OPERATOR)
        .filter(|event| event.resource == "configmaps" && name(event) == "cilium-config")
        .collect();
    if configs.is_empty() {
        return vec!["cilium-config was never written, which proves nothing".to_owned()];
    }
    let told_so = |event: &&&Event| {
        event.response_object.as_ref().is_some_and(|body| text(body, "/data/kube-proxy-replacement") == "true")
    };
    configs.iter().filter(|event| !told_so(event)).map(|event| told(event)).collect()
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
    fn the_load_balancer_goes_off_when_every_node_is_proven_to_be_served() {
        let task = |at: u32, verb: &str, proof: &str, node: &str| {
            let path = format!("pods/kube-system/{proof}{node}");
            event(at, OPERATOR, verb, &path, json!({ "spec": { "nodeName": node } }))
        };
        let proven = |at: u32| {
            let nodes = ["n1", "n2"].into_iter();
            let all = nodes.flat_map(move |node| PROOFS.map(|proof| (proof, node)));
            all.flat_map(move |(proof, node)| [task(at, "create", proof, node), task(at + 1, "delete", proof, node)])
        };
        let restart = |at: u32| event(at, OPERATOR, "delete", "pods/kube-system/cilium-abcde", json!({}));
        let off = |at: u32| {
            let patch = json!([{"op": "replace", "path": "/x", "value": ["--enable-lb=false"]}]);
            event(at, OPERATOR, "patch", "deployments.apps/kube-system/kube-ovn-controller", patch)
        };
        let wrong = |parts: Vec<Event>| load_balancer(&log(parts), &["n1", "n2"]).len();
        let all = |from: u32| proven(from).collect::<Vec<_>>();
        assert_eq!(wrong([vec![restart(1)], all(2), vec![off(5)]].concat()), 0);
        assert_eq!(wrong([all(1), vec![restart(4), off(5)]].concat()), 6, "before a restart they prove nothing");
        assert_eq!(wrong([vec![restart(1), off(2)], all(3)].concat()), 6, "and after it too late");
        let but_one =
            |from: u32| proven(from).filter(|event| event.name != "ovncilium-services-n2").collect::<Vec<_>>();
        assert_eq!(wrong([vec![restart(1)], but_one(2), vec![off(5)]].concat()), 1);
        assert_eq!((wrong(vec![off(2)]), wrong(all(2))), (1, 1), "over nothing it proves nothing");
    }

    #[test]
    fn no_settings_of_agents_turn_the_replacement_off() {
        let config =
            |at: u32, on: &str| event(at, OPERATOR, "patch", CONFIG, json!({"data": {"kube-proxy-replacement": on}}));
        assert_eq!(replacement(&log([config(1, "true"), config(2, "true")])), [""; 0]);
        assert_eq!(replacement(&log([config(1, "true"), config(2, "false"), mode(3, "true")])).len(), 2);
        assert_eq!(replacement(&log([])).len(), 1, "over nothing it proves nothing");
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
