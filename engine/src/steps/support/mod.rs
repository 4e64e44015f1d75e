//! What several steps look at: agents, endpoints, pods, task pods.

pub(super) mod asking;
pub(super) mod services;

use std::collections::BTreeMap;

use ovncilium_core::facts::derive::runs_kube_proxy;
use ovncilium_core::plan::action::{CHAINED_LABEL, RECYCLE_ANNOTATION, TASK_LABEL};
use ovncilium_core::plan::fate::{self, Fate};
use ovncilium_core::plan::kube_proxy::Former;
use ovncilium_core::plan::{PlannedNode, Resource};
use serde_json::Value;

use super::{Cx, StepError};
use crate::node_task::{self, Answer, Task};
use crate::world::{ClusterError, Filter};

/// Label selector of Cilium's agent pods, in every chart.
pub(super) const AGENT_SELECTOR: &str = "k8s-app=cilium";

pub(super) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether condition `kind` of an object is True.
pub(super) fn condition(object: &Value, kind: &str) -> bool {
    object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .is_some_and(|conditions| conditions.iter().any(|c| text(c, "/type") == kind && text(c, "/status") == "True"))
}

/// What the kubelet says of a container that does not start, init containers first; none while all is well.
pub(super) fn trouble(pod: &Value) -> Option<String> {
    const NORMAL: [&str; 3] = ["", "ContainerCreating", "PodInitializing"];
    let containers = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|list| pod.pointer(list).and_then(Value::as_array))
        .flatten();
    containers.into_iter().find_map(|container| {
        let reason = text(container, "/state/waiting/reason");
        // Why it ended last tells more than that it is started again later.
        let said = [text(container, "/lastState/terminated/message"), text(container, "/state/waiting/message")];
        let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
        let said: String = said.chars().take(300).collect();
        (!NORMAL.contains(&reason))
            .then(|| format!("container {}: {reason}: {}", text(container, "/name"), said.trim()))
    })
}

/// Why nothing starts on the lane's node while it is not ready, and what helps; none where it is.
pub(super) fn not_ready(cx: &Cx<'_>) -> Result<Option<String>, StepError> {
    let name = cx.node_name()?;
    let node = cx.world.cluster.get(&Resource::NODES.named("", name))?;
    let words = || format!("node {name} is not ready: repair it, or remove it (`kubectl delete node {name}`)");
    Ok(node.filter(|node| !condition(node, "Ready")).map(|_| words()))
}

/// Whether the object is being deleted.
pub(super) fn is_leaving(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
}

/// Agent pods on the lane's node.
pub(super) fn agents(cx: &Cx<'_>) -> Result<Vec<Value>, StepError> {
    let filter = Filter {
        namespace: Some(cx.settings().release_namespace.clone()),
        ..Filter::on_node(cx.node_name()?).labelled(AGENT_SELECTOR)
    };
    Ok(cx.world.cluster.list(&Resource::PODS, &filter)?)
}

/// What is said of a node that no agent ran on.
pub(super) const NEVER_HERE: &str = "no agent of Cilium has run here";

/// Whether an agent of Cilium has run on the lane's node, whatever its labels say now: it made a CiliumNode, which goes with its CRD.
pub(super) fn has_run_here(cx: &Cx<'_>) -> Result<bool, StepError> {
    match cx.world.cluster.get(&Resource::CILIUM_NODES.named("", cx.node_name()?)) {
        Ok(found) => Ok(found.is_some()),
        Err(ClusterError::NotServed { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Image of Cilium's agent; `None` when its DaemonSet is gone.
pub(super) fn agent_image(cx: &Cx<'_>) -> Result<Option<String>, StepError> {
    let agents = Resource::DAEMON_SETS.named(&cx.settings().release_namespace, "cilium");
    let set = cx.world.cluster.get(&agents)?;
    Ok(set.map(|set| text(&set, "/spec/template/spec/containers/0/image").to_owned()))
}

/// kube-proxy as the plan has it.
///
/// # Errors
/// [`StepError::Plan`] when the plan has none.
pub(super) fn kube_proxy<'c>(cx: &'c Cx<'_>) -> Result<&'c Former, StepError> {
    let former = cx.settings().kube_proxy.as_ref().and_then(|proxy| proxy.former.as_ref());
    former.ok_or_else(|| StepError::Plan("it does not tell what kube-proxy is".to_owned()))
}

/// Pods of kube-proxy's DaemonSet, of one node or of all; where a distribution starts it, every pod that runs it.
pub(super) fn kube_proxy_pods(cx: &Cx<'_>, node: Option<&str>) -> Result<Vec<Value>, StepError> {
    let proxy = kube_proxy(cx)?;
    if proxy.distribution.is_some() {
        let mut pods = cx.world.cluster.list(&Resource::PODS, &node.map_or_else(Filter::all, Filter::on_node))?;
        pods.retain(runs_kube_proxy);
        return Ok(pods);
    }
    let filter = Filter { namespace: Some(proxy.namespace.clone()), ..node.map_or_else(Filter::all, Filter::on_node) };
    let mut pods = cx.world.cluster.list(&Resource::PODS, &filter)?;
    pods.retain(|pod| {
        let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
        owners.into_iter().any(|owner| text(owner, "/kind") == "DaemonSet" && text(owner, "/name") == proxy.name)
    });
    Ok(pods)
}

/// Addresses of all CiliumEndpoints by `namespace/name`; none when the kind is not served.
pub(super) fn endpoints(cx: &Cx<'_>) -> Result<BTreeMap<String, Vec<String>>, StepError> {
    let objects = match cx.world.cluster.list(&Resource::CILIUM_ENDPOINTS, &Filter::all()) {
        Ok(objects) => objects,
        Err(ClusterError::NotServed { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(objects
        .iter()
        .map(|endpoint| {
            let addressing = endpoint.pointer("/status/networking/addressing").and_then(Value::as_array);
            let ips = addressing
                .into_iter()
                .flatten()
                .flat_map(|pair| [text(pair, "/ipv4"), text(pair, "/ipv6")])
                .filter(|ip| !ip.is_empty())
                .map(str::to_owned)
                .collect();
            (key(endpoint), ips)
        })
        .collect())
}

/// `namespace/name`.
pub(super) fn key(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// Whether the pod is one that Cilium must know: its own address, running or on its way, not leaving, not a task of ours.
pub(super) fn wants_endpoint(pod: &Value) -> bool {
    let host_network = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool).unwrap_or(false);
    let ours = pod.pointer("/metadata/labels").is_some_and(|labels| labels.get(TASK_LABEL).is_some());
    !host_network && !ours && !is_leaving(pod) && matches!(text(pod, "/status/phase"), "Running" | "Pending")
}

/// What becomes of the pod.
pub(super) fn fate(cx: &Cx<'_>, pod: &Value) -> Fate {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let owner = owners.into_iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true));
    let (kind, name) = owner.map_or(("", ""), |owner| (text(owner, "/kind"), text(owner, "/name")));
    let recycle = pod.pointer("/metadata/annotations").and_then(|a| a.get(RECYCLE_ANNOTATION)).and_then(Value::as_str);
    let on_delete = &cx.settings().on_delete;
    let waits = !on_delete.is_empty() && {
        let owner = format!("{kind} {}/{name}", text(pod, "/metadata/namespace"));
        on_delete.contains(&owner)
    };
    fate::of(kind, waits, recycle)
}

/// Whether Cilium knows the pod: an endpoint of its name with its address.
pub(super) fn is_covered(pod: &Value, endpoints: &BTreeMap<String, Vec<String>>) -> bool {
    let ip = text(pod, "/status/podIP");
    !ip.is_empty() && endpoints.get(&key(pod)).is_some_and(|ips| ips.iter().any(|known| known == ip))
}

/// How many pods of the lane's node have an endpoint with their address.
pub(super) fn endpoints_on_node(cx: &Cx<'_>) -> Result<usize, StepError> {
    let endpoints = endpoints(cx)?;
    let pods = cx.world.cluster.list(&Resource::PODS, &Filter::on_node(cx.node_name()?))?;
    Ok(pods.iter().filter(|pod| wants_endpoint(pod) && is_covered(pod, &endpoints)).count())
}

/// Pods that should have an endpoint with their address and have none, as `namespace/name`.
pub(super) fn uncovered(cx: &Cx<'_>) -> Result<Vec<String>, StepError> {
    let endpoints = endpoints(cx)?;
    let pods = cx.world.cluster.list(&Resource::PODS, &Filter::all())?;
    Ok(pods
        .iter()
        .filter(|pod| wants_endpoint(pod) && !text(pod, "/status/podIP").is_empty() && !is_covered(pod, &endpoints))
        .map(key)
        // What nobody makes again may stay without, but only if its operator has said so.
        .filter(|pod| !cx.settings().leave.contains(pod))
        .collect())
}

/// The first few of a list, for a message.
pub(super) fn some(list: &[String]) -> String {
    match list {
        few if few.len() <= 3 => few.join(", "),
        many => format!("{}, … ({} in all)", many[..3].join(", "), many.len()),
    }
}

/// The node's task pod, if there is one.
pub(super) fn task_pod(cx: &Cx<'_>, task: Task) -> Result<Option<Value>, StepError> {
    let name = task_name(cx, task)?;
    Ok(cx.world.cluster.get(&Resource::PODS.named(&cx.settings().namespace, &name))?)
}

/// Name of the node's task pod.
pub(super) fn task_name(cx: &Cx<'_>, task: Task) -> Result<String, StepError> {
    Ok(node_task::pod_name(task, cx.node_name()?, cx.run.as_str()))
}

/// What the task pod answered; `None` while it works.
pub(super) fn task_answer(pod: &Value) -> Option<Result<Vec<Answer>, String>> {
    node_task::read_answer(pod)
}

/// Remove a task pod.
pub(super) fn remove_task(cx: &Cx<'_>, task: Task) -> Result<(), StepError> {
    let name = task_name(cx, task)?;
    cx.world.cluster.delete(&Resource::PODS.named(&cx.settings().namespace, &name), None)?;
    Ok(())
}

/// Whether the node carries the chained label now.
pub(super) fn is_labelled_chained(cx: &Cx<'_>, node: &PlannedNode) -> Result<bool, StepError> {
    let found = cx.world.cluster.get(&Resource::NODES.named("", node.name.as_str()))?;
    Ok(found.is_some_and(|node| node.pointer("/metadata/labels").is_some_and(|l| l.get(CHAINED_LABEL).is_some())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_that_does_not_start_is_named_with_its_last_words() {
        let starting =
            json!({ "status": { "containerStatuses": [{ "state": { "waiting": { "reason": "PodInitializing" } } }] } });
        assert_eq!(trouble(&starting), None);
        let failing = json!({ "status": { "initContainerStatuses": [
            { "name": "config", "state": { "terminated": { "exitCode": 0 } } },
            {
                "name": "clean-cilium-state",
                "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } },
                "lastState": { "terminated": { "message": "unable to apply caps: operation not permitted" } },
            },
        ] } });
        assert_eq!(
            trouble(&failing).unwrap(),
            "container clean-cilium-state: CrashLoopBackOff: unable to apply caps: operation not permitted"
        );
    }
}
