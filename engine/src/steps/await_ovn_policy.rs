//! Wait until OVN enforces every NetworkPolicy that selects a pod, on every node.
//!
//! kube-ovn-controller is available before it has worked off its policies, and tells nobody when it has; so a pod asks OVN's northbound
//! database for the rules of each (port groups carry the policy's name: Kube-OVN `pkg/controller/network_policy.go`; the rules of
//! a direction come in one transaction), and then has every node's controller confirm that it took them over.

use std::collections::BTreeSet;

use ovncilium_core::plan::Resource;
use ovncilium_core::selector;
use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, last_reason, stop_asking};
use super::support::{condition, is_leaving, some, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};
use crate::world::Filter;

/// Annotation of nodes with the name of their OVN controller.
const CHASSIS: &str = "ovn.kubernetes.io/chassis";
/// Bytes of one environment variable; Linux allows 128 KiB.
const VARIABLE: usize = 100_000;

/// Runs in Kube-OVN's own image, on a node where its controller runs.
pub(super) struct AwaitOvnPolicy;

impl Work for AwaitOvnPolicy {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let wanted = wanted(cx)?;
        if wanted.is_empty() {
            return Ok(Look::met("no network policy selects a pod"));
        }
        let node = text(cx.recorded(), "/node").to_owned();
        let state = if node.is_empty() { Asked::Not } else { asked(cx, Task::Policies, &node)? };
        let again = |why: &str| Ok(Look::Act(ask_again(cx, Task::Policies, &node, why)));
        let answer = match state {
            Asked::Answered(answer) => answer,
            Asked::InVain(why) => return again(&why),
            Asked::Waits => return Ok(Look::wait("OVN takes its network policies up again")),
            Asked::Not => {
                let Some(node) = controllers_node(cx)? else {
                    return Ok(Look::wait(format!("no pod of {} is ready", cx.settings().controller)));
                };
                let (north, south) = match databases(cx)? {
                    Ok(found) => found,
                    Err(why) => return Ok(Look::Blocked(why)),
                };
                let pod = node_task::pod_name(Task::Policies, &node, cx.run.as_str());
                return Ok(Look::Act(
                    json!({ "pod": pod, "node": node, "north": north, "south": south, "after": last_reason(cx) }),
                ));
            }
        };
        let mut told = None;
        let (mut lacking, mut behind) = (Vec::new(), BTreeSet::new());
        for line in answer {
            match line {
                Answer::Policies(count) => told = Some(count),
                Answer::Lacking(policy) => lacking.push(policy),
                Answer::Behind(chassis) => {
                    behind.insert(chassis);
                }
                _ => {}
            }
        }
        let Some(told) = told else { return again("the pod did not answer what was asked") };
        if !lacking.is_empty() {
            return again(&format!("OVN has no rules yet for {}", some(&lacking)));
        }
        let late = nodes_of(cx, &behind)?;
        if !late.is_empty() {
            return again(&format!("OVN's controller has not taken the rules over on {}", some(&late)));
        }
        // What was made meanwhile was not asked for.
        if told < wanted.len() {
            return again("there are more network policies now");
        }
        Ok(Look::met(format!("OVN enforces {told} directions of network policies")))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = text(intent, "/node");
        if intent.get("again").is_some() {
            return stop_asking(cx, Task::Policies, node);
        }
        let lists = in_parts(&wanted(cx)?);
        let mut env = vec![("NB", text(intent, "/north")), ("SB", text(intent, "/south"))];
        env.extend(lists.iter().map(|(name, list)| (name.as_str(), list.as_str())));
        node_task::start(cx.world.cluster, Task::Policies, node, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        match text(cx.recorded(), "/node") {
            "" => Ok(()),
            node => stop_asking(cx, Task::Policies, node),
        }
    }

    /// Two for each question, which waits most of a minute for its answer.
    fn attempts(&self) -> u32 {
        60
    }
}

/// `namespace/name direction` of every NetworkPolicy that selects a running pod of the pod network, by OVN's names.
fn wanted(cx: &Cx<'_>) -> Result<Vec<String>, StepError> {
    let cluster = cx.world.cluster;
    let pods = cluster.list(&Resource::PODS, &Filter::all())?;
    let mut wanted = Vec::new();
    for policy in cluster.list(&Resource::NETWORK_POLICIES, &Filter::all())? {
        let namespace = text(&policy, "/metadata/namespace");
        let selected = |pod: &&Value| {
            let on_host = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
            let labels = pod.pointer("/metadata/labels").unwrap_or(&Value::Null);
            !on_host
                && !is_leaving(pod)
                && text(pod, "/status/phase") == "Running"
                && text(pod, "/metadata/namespace") == namespace
                && selector::matches(labels, policy.pointer("/spec/podSelector").unwrap_or(&Value::Null))
        };
        if pods.iter().any(|pod| selected(&pod)) {
            wanted.extend(directions(&policy).map(|direction| format!("{} {direction}", ovn_name(&policy))));
        }
    }
    wanted.sort();
    Ok(wanted)
}

/// OVN's words for the directions a policy restricts.
fn directions(policy: &Value) -> impl Iterator<Item = &'static str> {
    let types = policy.pointer("/spec/policyTypes").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |kind: &str, rules: &str| types.iter().any(|t| t == kind) || policy.pointer(rules).is_some();
    let ingress = of("Ingress", "/spec/ingress") || types.is_empty();
    let egress = of("Egress", "/spec/egress");
    [(ingress, "to-lport"), (egress, "from-lport")].into_iter().filter_map(|(on, word)| on.then_some(word))
}

/// What Kube-OVN calls the policy: a name that begins with no letter gets two.
fn ovn_name(policy: &Value) -> String {
    let name = text(policy, "/metadata/name");
    let prefix = if name.starts_with(char::is_alphabetic) { "" } else { "np" };
    format!("{}/{prefix}{name}", text(policy, "/metadata/namespace"))
}

/// Variables `WANTED_0`, `WANTED_1`, … with the list in parts that fit.
fn in_parts(wanted: &[String]) -> Vec<(String, String)> {
    let mut parts = vec![String::new()];
    for word in wanted {
        let full = parts.last().is_none_or(|part| part.len() + word.len() >= VARIABLE);
        if full {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            if !part.is_empty() {
                part.push(',');
            }
            part.push_str(word);
        }
    }
    parts.into_iter().enumerate().map(|(index, part)| (format!("WANTED_{index}"), part)).collect()
}

/// A node with a ready pod of kube-ovn-controller: it reaches the databases.
fn controllers_node(cx: &Cx<'_>) -> Result<Option<String>, StepError> {
    let settings = cx.settings();
    let filter = Filter { namespace: Some(settings.namespace.clone()), ..Filter::all() }
        .labelled(&format!("app={}", settings.controller));
    let pods = cx.world.cluster.list(&Resource::PODS, &filter)?;
    let ready = pods.iter().find(|pod| condition(pod, "Ready") && !is_leaving(pod));
    Ok(ready.map(|pod| text(pod, "/spec/nodeName").to_owned()))
}

/// Where the northbound and the southbound database listen, as kube-ovn-controller's own start script finds out; why that is not
/// known otherwise.
fn databases(cx: &Cx<'_>) -> Result<Result<(String, String), String>, StepError> {
    let settings = cx.settings();
    let reference = Resource::DEPLOYMENTS.named(&settings.namespace, &settings.controller);
    let Some(deployment) = cx.world.cluster.get(&reference)? else { return Ok(Err(format!("{reference} is gone"))) };
    let containers = deployment.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let container = containers.into_iter().flatten().find(|one| text(one, "/name") == settings.controller_container);
    let variables = container.and_then(|one| one.get("env")).and_then(Value::as_array);
    let value = |name: &str| {
        let found = variables.into_iter().flatten().find(|variable| text(variable, "/name") == name);
        found.map(|variable| text(variable, "/value").trim()).unwrap_or_default()
    };
    let protocol = if value("ENABLE_SSL") == "true" { "ssl" } else { "tcp" };
    let addresses: Vec<&str> = value("OVN_DB_IPS").split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    if !addresses.is_empty() {
        let at = |port: u16| {
            let each: Vec<String> = addresses.iter().map(|ip| format!("{protocol}:[{ip}]:{port}")).collect();
            each.join(",")
        };
        return Ok(Ok((at(6641), at(6642))));
    }
    let filter = Filter { namespace: Some(settings.namespace.clone()), ..Filter::all() };
    let services = cx.world.cluster.list(&Resource::SERVICES, &filter)?;
    let service = |name: &str, port: u16| {
        let found = services.iter().find(|service| text(service, "/metadata/name") == name);
        let address = found.map(|service| text(service, "/spec/clusterIP")).filter(|ip| !ip.is_empty());
        address
            .map(|ip| format!("{protocol}:[{ip}]:{port}"))
            .ok_or_else(|| format!("{reference} names no OVN_DB_IPS and there is no Service {name}"))
    };
    Ok(service("ovn-nb", 6641).and_then(|north| Ok((north, service("ovn-sb", 6642)?))))
}

/// Those of the chassis that are nodes which live: OVN keeps the entry of a node that is gone.
fn nodes_of(cx: &Cx<'_>, chassis: &BTreeSet<String>) -> Result<Vec<String>, StepError> {
    if chassis.is_empty() {
        return Ok(Vec::new());
    }
    let nodes = cx.world.cluster.list(&Resource::NODES, &Filter::all())?;
    let named = |node: &&Value| {
        let annotations = node.pointer("/metadata/annotations");
        let own = annotations.and_then(|all| all.get(CHASSIS)).and_then(Value::as_str).unwrap_or_default();
        condition(node, "Ready") && chassis.contains(own)
    };
    Ok(nodes.iter().filter(named).map(|node| text(node, "/metadata/name").to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_those_that_kube_ovn_makes_rules_for() {
        let of = |spec: Value| directions(&json!({ "spec": spec })).collect::<Vec<_>>().join(" ");
        assert_eq!(of(json!({ "policyTypes": ["Ingress"] })), "to-lport");
        assert_eq!(of(json!({ "policyTypes": ["Egress"] })), "from-lport");
        assert_eq!(of(json!({ "policyTypes": ["Ingress", "Egress"] })), "to-lport from-lport");
        assert_eq!(of(json!({})), "to-lport");
        assert_eq!(of(json!({ "policyTypes": ["Ingress"], "egress": [] })), "to-lport from-lport");
    }

    #[test]
    fn a_name_that_begins_with_a_digit_is_ovns_own() {
        let policy = |name: &str| json!({ "metadata": { "namespace": "shop", "name": name } });
        assert_eq!(ovn_name(&policy("db")), "shop/db");
        assert_eq!(ovn_name(&policy("1db")), "shop/np1db");
    }

    #[test]
    fn a_long_list_goes_in_several_variables_and_is_whole() {
        let wanted: Vec<String> = (0..9_000).map(|n| format!("namespace-{n}/policy-{n} to-lport")).collect();
        let parts = in_parts(&wanted);
        assert!(parts.len() > 2 && parts.iter().all(|(_, part)| part.len() < VARIABLE), "{}", parts.len());
        assert_eq!(parts[1].0, "WANTED_1");
        let again: Vec<&str> = parts.iter().flat_map(|(_, part)| part.split(',')).collect();
        assert_eq!(again, wanted);
    }
}
