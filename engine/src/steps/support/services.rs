//! Services as their clients see them: what is asked to know whether they answer, and what a provider must have for each.

use std::collections::BTreeSet;

use ovncilium_core::plan::Resource;
use ovncilium_core::selector;
use serde_json::{Value, json};

use super::super::{Cx, StepError};
use super::{condition, is_leaving, key, text};
use crate::node_task::Task;
use crate::world::{Cluster, ClusterError, Filter};

/// How many Services are asked from a node, at most; every one is proven by the rules and the tables of who serves it.
const ASKED: usize = 200;
/// Label of Services that somebody else than kube-proxy serves.
const OTHER_PROXY: &str = "service.kubernetes.io/service-proxy-name";

/// The Service that everything needs.
const API: &str = "default/kubernetes";

/// What is asked from a node or from a pod on it, `ADDRESS:PORT/tcp` or `/dns`: Services with a pod that is ready. The API server's
/// comes first. Where load balancers ask a node whether it has pods of a Service (`healthCheckNodePort`), and it has, it is asked the same
/// (`/health`). A pod does not ask where a policy decides who is let in: kube-proxy gives its question the address of a node, Cilium leaves
/// it its own, so that another answer says nothing of who serves.
///
/// # Errors
/// [`StepError::Cluster`].
pub(in crate::steps) fn asked(cx: &Cx<'_>, by: Task) -> Result<Vec<String>, StepError> {
    let cluster = cx.world.cluster;
    let pods = cluster.list(&Resource::PODS, &Filter::all())?;
    let isolation = if by == Task::PodServices { Isolation::read(cluster)? } else { Isolation::default() };
    let name = cx.node_name()?;
    let node = cluster.get(&Resource::NODES.named("", name))?.unwrap_or_default();
    let node = address(&node);
    let (mut first, mut all) = (Vec::new(), BTreeSet::new());
    let is_open = |service: &&Value| !behind(service, &pods).any(|pod| isolation.covers(pod));
    for service in served(cx)?.iter().filter(|service| answers(service, &pods)).filter(is_open) {
        let health = number(service, "/spec/healthCheckNodePort");
        if health > 0 && by == Task::Services && behind(service, &pods).any(|pod| is_ready(pod) && is_on(pod, name)) {
            all.insert(format!("{node}:{health}/health"));
        }
        for port in ports(service) {
            let kind = match (text(port, "/protocol"), number(port, "/port")) {
                ("UDP", 53) => "dns",
                ("UDP" | "SCTP", _) => continue,
                _ => "tcp",
            };
            let target = format!("{}:{}/{kind}", text(service, "/spec/clusterIP"), number(port, "/port"));
            let is_first = key(service) == API || kind == "dns";
            if is_first {
                first.push(target);
            } else {
                all.insert(target);
            }
            let node_port = number(port, "/nodePort");
            // One with local traffic alone answers where it has a pod.
            if node_port > 0 && kind == "tcp" && text(service, "/spec/externalTrafficPolicy") != "Local" {
                all.insert(format!("{node}:{node_port}/tcp"));
            }
        }
    }
    first.sort();
    first.splice(0..0, api_server(cx, by));
    first.extend(all);
    first.truncate(ASKED);
    Ok(first)
}

/// The address by which agents are to reach the API server when nobody else serves its Service: a node must reach it before they are told.
fn api_server(cx: &Cx<'_>, by: Task) -> Option<String> {
    let proxy = cx.settings().kube_proxy.as_ref()?;
    let asks = by == Task::Services && !cx.plan.kind.goes_back() && !proxy.api_server.host.contains(':');
    asks.then(|| format!("{}/tcp", proxy.api_server))
}

/// Those of the silent without which nothing works: the API server and its Service, and DNS where it was asked.
///
/// # Errors
/// [`StepError::Cluster`].
pub(in crate::steps) fn needed(cx: &Cx<'_>, by: Task, silent: &BTreeSet<String>) -> Result<Vec<String>, StepError> {
    let served = served(cx)?;
    let address = served.iter().find(|service| key(service) == API).map_or("", |api| text(api, "/spec/clusterIP"));
    let (address, server) = (format!("{address}:"), api_server(cx, by));
    let is_needed = |one: &&String| one.starts_with(&address) || one.ends_with("/dns") || Some(*one) == server.as_ref();
    Ok(silent.iter().filter(is_needed).cloned().collect())
}

/// What a provider must have for every Service: `ADDRESS:PORT/TCP` or `/UDP`.
///
/// # Errors
/// [`StepError::Cluster`].
pub(in crate::steps) fn frontends(cx: &Cx<'_>) -> Result<BTreeSet<String>, StepError> {
    let mut all = BTreeSet::new();
    for service in &served(cx)? {
        for port in ports(service) {
            let protocol = match text(port, "/protocol") {
                "UDP" => "UDP",
                "SCTP" => continue,
                _ => "TCP",
            };
            all.insert(format!("{}:{}/{protocol}", text(service, "/spec/clusterIP"), number(port, "/port")));
        }
    }
    Ok(all)
}

/// Services with an IPv4 address that kube-proxy serves.
fn served(cx: &Cx<'_>) -> Result<Vec<Value>, StepError> {
    let mut services = cx.world.cluster.list(&Resource::SERVICES, &Filter::all())?;
    services.retain(|service| {
        let labels = service.pointer("/metadata/labels");
        text(service, "/spec/type") != "ExternalName"
            && text(service, "/spec/clusterIP").contains('.')
            && labels.is_none_or(|labels| labels.get(OTHER_PROXY).is_none())
    });
    Ok(services)
}

/// Whether somebody is behind it: the API server, or a pod that is ready.
fn answers(service: &Value, pods: &[Value]) -> bool {
    key(service) == API || behind(service, pods).any(is_ready)
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready") && !is_leaving(pod)
}

fn is_on(pod: &Value, node: &str) -> bool {
    text(pod, "/spec/nodeName") == node
}

/// Pods that it selects, ready or not; none where somebody else writes its endpoints.
fn behind<'p>(service: &'p Value, pods: &'p [Value]) -> impl Iterator<Item = &'p Value> {
    let wanted = service.pointer("/spec/selector").filter(|map| map.as_object().is_some_and(|map| !map.is_empty()));
    let wanted = wanted.map(|labels| json!({ "matchLabels": labels }));
    pods.iter().filter(move |pod| {
        text(pod, "/metadata/namespace") == text(service, "/metadata/namespace")
            && wanted.as_ref().is_some_and(|wanted| selector::matches(labels(pod), wanted))
    })
}

fn labels(pod: &Value) -> &Value {
    pod.pointer("/metadata/labels").unwrap_or(&Value::Null)
}

/// Where a policy decides who is let in.
#[derive(Debug, Default)]
struct Isolation {
    /// NetworkPolicies that isolate for what comes in.
    policies: Vec<Value>,
    /// Namespaces with policies of Cilium, whatever these select.
    namespaces: BTreeSet<String>,
    /// There is a policy of Cilium for the whole cluster.
    everywhere: bool,
}

impl Isolation {
    fn read(cluster: &dyn Cluster) -> Result<Self, StepError> {
        let list = |resource| match cluster.list(resource, &Filter::all()) {
            Err(ClusterError::NotServed { .. }) => Ok(Vec::new()),
            listed => listed,
        };
        let of_cilium = list(&Resource::CILIUM_NETWORK_POLICIES)?;
        let mut policies = list(&Resource::NETWORK_POLICIES)?;
        policies.retain(|policy| {
            let types = policy.pointer("/spec/policyTypes").and_then(Value::as_array);
            types.is_none_or(|types| types.is_empty() || types.iter().any(|one| one == "Ingress"))
        });
        Ok(Self {
            policies,
            namespaces: of_cilium.iter().map(|policy| text(policy, "/metadata/namespace").to_owned()).collect(),
            everywhere: !list(&Resource::CILIUM_CLUSTERWIDE_POLICIES)?.is_empty(),
        })
    }

    /// A pod on its node's network is under no policy.
    fn covers(&self, pod: &Value) -> bool {
        let namespace = text(pod, "/metadata/namespace");
        let selects = |policy: &Value| {
            text(policy, "/metadata/namespace") == namespace
                && selector::matches(labels(pod), policy.pointer("/spec/podSelector").unwrap_or(&Value::Null))
        };
        pod.pointer("/spec/hostNetwork") != Some(&Value::Bool(true))
            && (self.everywhere || self.namespaces.contains(namespace) || self.policies.iter().any(selects))
    }
}

fn ports(service: &Value) -> impl Iterator<Item = &Value> {
    service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn address(node: &Value) -> &str {
    let addresses = node.pointer("/status/addresses").and_then(Value::as_array).into_iter().flatten();
    addresses.into_iter().find(|one| text(one, "/type") == "InternalIP").map_or("", |one| text(one, "/address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_answers_when_a_pod_of_its_namespace_is_ready() {
        let service = |selector: Value| json!({ "metadata": { "namespace": "shop", "name": "web" }, "spec": { "selector": selector } });
        let pod = |namespace: &str, ready: &str| {
            json!({
                "metadata": { "namespace": namespace, "labels": { "app": "web", "tier": "x" } },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            })
        };
        let web = || service(json!({ "app": "web" }));
        assert!(answers(&web(), &[pod("shop", "True")]));
        for pods in [vec![], vec![pod("shop", "False")], vec![pod("other", "True")]] {
            assert!(!answers(&web(), &pods), "{pods:?}");
        }
        // Whose endpoints somebody else writes is not asked, but for the API server.
        assert!(!answers(&service(json!({})), &[pod("shop", "True")]));
        assert!(answers(&json!({ "metadata": { "namespace": "default", "name": "kubernetes" } }), &[]));
    }

    #[test]
    fn a_pod_is_isolated_by_a_policy_that_selects_it_and_by_any_of_cilium_in_its_namespace() {
        let pod = |namespace: &str, on_host: bool| {
            json!({
                "metadata": { "namespace": namespace, "labels": { "app": "db" } }, "spec": { "hostNetwork": on_host },
            })
        };
        let policy =
            |selector: Value| json!({ "metadata": { "namespace": "shop" }, "spec": { "podSelector": selector } });
        let by = |selector: Value| Isolation { policies: vec![policy(selector)], ..Isolation::default() };
        assert!(!Isolation::default().covers(&pod("shop", false)));
        assert!(by(json!({})).covers(&pod("shop", false)));
        assert!(by(json!({ "matchLabels": { "app": "db" } })).covers(&pod("shop", false)));
        assert!(!by(json!({ "matchLabels": { "app": "web" } })).covers(&pod("shop", false)));
        assert!(!by(json!({})).covers(&pod("other", false)), "another namespace");
        assert!(!by(json!({})).covers(&pod("shop", true)), "the host's network");
        let of_cilium = Isolation { namespaces: BTreeSet::from(["shop".to_owned()]), ..Isolation::default() };
        assert!(of_cilium.covers(&pod("shop", false)) && !of_cilium.covers(&pod("other", false)));
        assert!(Isolation { everywhere: true, ..Isolation::default() }.covers(&pod("other", false)));
    }
}
