//! Wait until OVN enforces every NetworkPolicy that selects a pod, on every node.
//!
//! kube-ovn-controller is available before it has worked off its policies, and tells nobody when it has; so a pod asks OVN's northbound
//! database for the rules of each (port groups carry the policy's name: Kube-OVN `pkg/controller/network_policy.go`; the rules of
//! a direction come in one transaction), and then has every node's controller confirm that it took them over.

use std::collections::{BTreeMap, BTreeSet};

use ovncilium_core::plan::Resource;
use ovncilium_core::selector;
use serde_json::{Value, json};

use super::flags::{Place, settled};
use super::support::asking::{Asked, ask_again, asked, in_parts, last_reason, stop_asking};
use super::support::{condition, is_leaving, key, some, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};
use crate::world::Filter;

/// Annotation of nodes with the name of their OVN controller.
const CHASSIS: &str = "ovn.kubernetes.io/chassis";
/// Annotation of policies with the networks they are for (Kube-OVN 1.16).
const NETWORKS: &str = "ovn.kubernetes.io/network_policy_for";

/// Runs in Kube-OVN's own image, on a node where its controller runs.
pub(super) struct AwaitOvnPolicy;

impl Work for AwaitOvnPolicy {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        // Its rules are of the process that runs with the flags as they are now.
        let place = Place::find(cx.world.cluster, cx.settings())?;
        if let waits @ Look::Wait(_) = settled(cx, &place, &BTreeMap::new())? {
            return Ok(waits);
        }
        let node = text(cx.recorded(), "/node").to_owned();
        let state = if node.is_empty() { Asked::Not } else { asked(cx, Task::Policies, &node)? };
        let again = |why: &str| Ok(Look::Act(ask_again(cx, Task::Policies, &node, why)));
        let answer = match state {
            Asked::Answered(answer) => answer,
            Asked::InVain(why) => return again(&why),
            Asked::Waits => return Ok(Look::wait("OVN takes its network policies up again")),
            Asked::Not if wanted(cx)?.is_empty() => return Ok(Look::met("no network policy selects a pod")),
            Asked::Not => {
                let Some(node) = controllers_node(cx)? else {
                    return Ok(Look::wait(format!("no pod of {} is ready", cx.settings().controller)));
                };
                let (north, south) = match databases(cx, &place)? {
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
        let (mut lacking, mut behind) = (BTreeSet::new(), BTreeSet::new());
        for line in answer {
            match line {
                Answer::Policies(count) => told = Some(count),
                Answer::Lacking(policy) => drop(lacking.insert(policy)),
                Answer::Behind(chassis) => drop(behind.insert(chassis)),
                _ => {}
            }
        }
        let Some(told) = told else { return again("the pod did not answer what was asked") };
        let wanted = wanted(cx)?;
        if !lacking.is_empty() {
            // By the names that people gave them; a policy that was removed meanwhile is not missed.
            let lacking: Vec<String> = wanted
                .iter()
                .filter(|(ovn, _)| lacking.contains(*ovn))
                .map(|(ovn, policy)| format!("{policy} {}", ovn.rsplit(' ').next().unwrap_or_default()))
                .collect();
            return match lacking.is_empty() {
                true => again("the network policies that had no rules yet are gone"),
                false => again(&format!("OVN has no rules yet for {}", some(&lacking))),
            };
        }
        if !behind.is_empty() {
            let late: Vec<String> =
                chassis(cx)?.into_iter().filter(|(id, _)| behind.contains(id)).map(|(_, node)| node).collect();
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
        let mut lists = in_parts("WANTED", wanted(cx)?.keys());
        lists.extend(in_parts("CHASSIS", chassis(cx)?.keys()));
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

/// Every NetworkPolicy that selects a running pod of the pod network, once for each direction: by OVN's name and direction, its own.
fn wanted(cx: &Cx<'_>) -> Result<BTreeMap<String, String>, StepError> {
    let cluster = cx.world.cluster;
    let pods = cluster.list(&Resource::PODS, &Filter::all())?;
    let mut wanted = BTreeMap::new();
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
        if is_for_the_pod_network(&policy) && pods.iter().any(|pod| selected(&pod)) {
            for direction in directions(&policy) {
                wanted.insert(format!("{} {direction}", ovn_name(&policy)), key(&policy));
            }
        }
    }
    Ok(wanted)
}

/// Whether Kube-OVN applies the policy to pods' first interfaces: its annotation may name other networks alone.
fn is_for_the_pod_network(policy: &Value) -> bool {
    let named = policy.pointer("/metadata/annotations").and_then(|all| all.get(NETWORKS)).and_then(Value::as_str);
    let named = named.unwrap_or_default().trim();
    named.is_empty() || named.split(',').any(|one| one.trim().eq_ignore_ascii_case("ovn"))
}

/// OVN's words for the directions a policy restricts.
fn directions(policy: &Value) -> impl Iterator<Item = &'static str> {
    let types = policy.pointer("/spec/policyTypes").and_then(Value::as_array).cloned().unwrap_or_default();
    let of = |kind: &str, rules: &str| types.iter().any(|t| t == kind) || policy.pointer(rules).is_some();
    let ingress = of("Ingress", "/spec/ingress") || types.is_empty();
    let egress = of("Egress", "/spec/egress");
    [(ingress, "to-lport"), (egress, "from-lport")].into_iter().filter_map(|(on, word)| on.then_some(word))
}

/// What Kube-OVN calls the policy's port group: a name that begins with no letter gets two, and a dash is a dot.
fn ovn_name(policy: &Value) -> String {
    let name = text(policy, "/metadata/name");
    let prefix = if name.starts_with(char::is_alphabetic) { "" } else { "np" };
    format!("{prefix}{name}.{}", text(policy, "/metadata/namespace")).replace('-', ".")
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
fn databases(cx: &Cx<'_>, controller: &Place) -> Result<Result<(String, String), String>, StepError> {
    let protocol = if controller.variable("ENABLE_SSL") == "true" { "ssl" } else { "tcp" };
    let addresses: Vec<&str> =
        controller.variable("OVN_DB_IPS").split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    if !addresses.is_empty() {
        let at = |port: u16| {
            let each: Vec<String> = addresses.iter().map(|ip| format!("{protocol}:[{ip}]:{port}")).collect();
            each.join(",")
        };
        return Ok(Ok((at(6641), at(6642))));
    }
    let filter = Filter::in_namespace(&cx.settings().namespace);
    let services = cx.world.cluster.list(&Resource::SERVICES, &filter)?;
    let service = |name: &str, port: u16| {
        let found = services.iter().find(|service| text(service, "/metadata/name") == name);
        let address = found.map(|service| text(service, "/spec/clusterIP")).filter(|ip| !ip.is_empty());
        address
            .map(|ip| format!("{protocol}:[{ip}]:{port}"))
            .ok_or_else(|| format!("{} names no OVN_DB_IPS and there is no Service {name}", controller.object))
    };
    Ok(service("ovn-nb", 6641).and_then(|north| Ok((north, service("ovn-sb", 6642)?))))
}

/// The chassis of every node that its kubelet has not fallen silent on, and the node's name. OVN keeps the entry of a node that is gone,
/// and one that cannot be reached would never confirm.
fn chassis(cx: &Cx<'_>) -> Result<BTreeMap<String, String>, StepError> {
    let nodes = cx.world.cluster.list(&Resource::NODES, &Filter::all())?;
    let silent = |node: &Value| {
        let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().any(|one| text(one, "/type") == "Ready" && text(one, "/status") == "Unknown")
    };
    let named = nodes.iter().filter(|node| !silent(node)).filter_map(|node| {
        let id = node.pointer("/metadata/annotations")?.get(CHASSIS)?.as_str().filter(|id| !id.is_empty())?;
        Some((id.to_owned(), text(node, "/metadata/name").to_owned()))
    });
    Ok(named.collect())
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
        assert_eq!(ovn_name(&policy("db-1")), "db.1.shop");
        assert_eq!(ovn_name(&policy("1db")), "np1db.shop");
    }

    #[test]
    fn a_policy_for_other_networks_alone_is_not_waited_for() {
        let policy = |networks: &str| json!({ "metadata": { "annotations": { NETWORKS: networks } } });
        for (networks, applies) in [("", true), ("OVN", true), ("net/a, ovn", true), ("net/a", false), ("typo", false)]
        {
            assert_eq!(is_for_the_pod_network(&policy(networks)), applies, "{networks}");
        }
    }

    #[test]
    fn a_long_list_goes_in_several_variables_and_is_whole() {
        let wanted: Vec<String> = (0..9_000).map(|n| format!("namespace-{n}/policy-{n} to-lport")).collect();
        let parts = in_parts("WANTED", wanted.iter());
        assert!(parts.len() > 2 && parts.iter().all(|(_, part)| part.len() < 100_000), "{}", parts.len());
        assert_eq!(parts[1].0, "WANTED_1");
        let again: Vec<&str> = parts.iter().flat_map(|(_, part)| part.split(',')).collect();
        assert_eq!(again, wanted);
    }
}
