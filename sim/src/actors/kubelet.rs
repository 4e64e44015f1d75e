//! The kubelets of all nodes: start pods, tell their readiness, run task pods, finish deleted ones.
//!
//! A pod in the pod network starts when its CNI ADD succeeds, which the node's *loaded* configuration decides:
//! Kube-OVN's plugin needs kube-ovn-cni on the node and an address from kube-ovn-controller; cilium-cni behind it
//! waits up to 30 s for the agent and then fails, to be tried again. Measured with kubelet and containerd: pods are
//! ready 6.6 to 8.6 s after they were made. A node without loaded network is not Ready. A pod that has ended loses
//! its network about a second later, as on a real node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ovncilium_core::plan::{Resource, action::TASK_LABEL};
use serde_json::{Value, json};

use super::pretend_node::{AgentProcess, Sandbox};
use super::{Actor, Pass, task};
use crate::objects;

/// How long cilium-cni waits for the agent's socket.
const AGENT_WAIT: Duration = Duration::from_secs(30);
/// Pause before a failed ADD is tried again.
const ADD_PAUSE: Duration = Duration::from_secs(12);
/// From the end or the deletion of a pod to its network's end.
const TEARDOWN: Duration = Duration::from_millis(1_000);
/// How long a pod of a Job runs.
const JOB_RUN: Duration = Duration::from_secs(20);
/// Period of a node's Lease.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a kubelet remembers of a pod.
#[derive(Debug, Clone, Default)]
struct Memory {
    seen: Timestamp,
    /// When the ADD that is under way began.
    adding: Option<Timestamp>,
    /// When the last ADD failed.
    failed: Option<Timestamp>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    deleting: Option<Timestamp>,
    /// What its task came to.
    outcome: Option<task::Outcome>,
    /// The state of the pod in which nothing is left to do; the same one needs no second look.
    rest: Option<Arc<Value>>,
}

/// The kubelets of all nodes.
#[derive(Debug)]
pub struct Kubelets {
    heartbeats: bool,
    last_heartbeat: Option<Timestamp>,
    pods: BTreeMap<String, Memory>,
}

impl Kubelets {
    /// With or without Leases of the nodes, which only a real controller manager looks at.
    pub fn new(heartbeats: bool) -> Self {
        Self { heartbeats, last_heartbeat: None, pods: BTreeMap::new() }
    }

    fn pod(&mut self, pass: &mut Pass<'_>, node: &Value, pod: &Arc<Value>) {
        let uid = objects::uid(pod);
        if self.pods.get(uid).and_then(|memory| memory.rest.as_ref()).is_some_and(|rest| Arc::ptr_eq(rest, pod)) {
            return;
        }
        let now = pass.now;
        let mut memory = self.pods.remove(uid).unwrap_or_else(|| Memory { seen: now, ..Memory::default() });
        let gone = if objects::deleting(pod) {
            finish(pass, node, pod, &mut memory)
        } else if objects::ended(pod) {
            let ended = *memory.ended.get_or_insert(now);
            if pass.due(ended, TEARDOWN) {
                pass.nodes.node(objects::name(node)).sandboxes.remove(uid);
                memory.rest = Some(Arc::clone(pod));
            }
            false
        } else {
            if run(pass, node, pod, &mut memory) {
                memory.rest = Some(Arc::clone(pod));
            }
            false
        };
        if !gone {
            self.pods.insert(uid.to_owned(), memory);
        }
    }

    fn heartbeat(&mut self, pass: &mut Pass<'_>) {
        let due = self.last_heartbeat.is_none_or(|last| pass.due(last, HEARTBEAT));
        if !self.heartbeats || !due {
            return;
        }
        self.last_heartbeat = Some(pass.now);
        let view = pass.view;
        for node in view.all(&Resource::NODES) {
            let name = objects::name(node);
            let reference = Resource::LEASES.named("kube-node-lease", name);
            let time = objects::micro_stamp(pass.now);
            let answer = pass.cluster.get(&reference);
            match pass.attempt(answer) {
                Some(Some(mut lease)) => {
                    lease["spec"]["renewTime"] = json!(time);
                    let answer = pass.cluster.replace(&Resource::LEASES, &lease);
                    pass.attempt(answer);
                }
                Some(None) => {
                    let owner = json!({ "apiVersion": "v1", "kind": "Node", "name": name, "uid": objects::uid(node) });
                    let lease = json!({
                        "apiVersion": "coordination.k8s.io/v1",
                        "kind": "Lease",
                        "metadata": { "name": name, "namespace": "kube-node-lease", "ownerReferences": [owner] },
                        "spec": { "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": time },
                    });
                    let answer = pass.cluster.create(&Resource::LEASES, &lease);
                    pass.attempt(answer);
                }
                None => {}
            }
        }
    }
}

impl Actor for Kubelets {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        for node in view.all(&Resource::NODES) {
            let known = pass.nodes.node(objects::name(node));
            if known.kernel.is_empty() {
                let told = objects::text(node, "/status/nodeInfo/kernelVersion");
                known.kernel = if told.is_empty() { "6.1.0-28-amd64" } else { told }.to_owned();
            }
            if known.silent {
                unknown(pass, node);
                continue;
            }
            node_ready(pass, node);
            for pod in view.pods_on(objects::name(node)) {
                self.pod(pass, node, pod);
            }
        }
        let living: std::collections::BTreeSet<&str> =
            view.all(&Resource::PODS).iter().map(|pod| objects::uid(pod)).collect();
        self.pods.retain(|uid, _| living.contains(uid.as_str()));
        for (_, node) in pass.nodes.iter_mut() {
            node.sandboxes.retain(|uid, _| living.contains(uid.as_str()));
        }
        self.heartbeat(pass);
    }
}

/// What the controller manager tells of a node whose kubelet does not answer, and of the pods on it.
fn unknown(pass: &mut Pass<'_>, node: &Value) {
    let ready = objects::list(node, "/status/conditions").iter().find(|one| objects::text(one, "/type") == "Ready");
    if ready.is_some_and(|ready| objects::text(ready, "/status") != "Unknown") {
        tell_node(pass, node, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
    }
    let view = pass.view;
    for pod in view.pods_on(objects::name(node)).filter(|pod| objects::condition(pod, "Ready")) {
        let status = json!({ "conditions": conditions(pod, &[("Ready", "False")], pass.now) });
        pass.status(&Resource::PODS, pod, &status);
    }
}

/// Keeps the node's condition Ready true to whether its runtime has a network.
fn node_ready(pass: &mut Pass<'_>, node: &Value) {
    let loaded = pass.nodes.node(objects::name(node)).fs.loaded().is_some();
    let conditions = objects::list(node, "/status/conditions");
    let told = conditions.iter().find(|condition| objects::text(condition, "/type") == "Ready");
    let status = if loaded { "True" } else { "False" };
    if told.is_some_and(|condition| objects::text(condition, "/status") == status) {
        return;
    }
    let (reason, message) = if loaded {
        ("KubeletReady", "kubelet is posting ready status")
    } else {
        ("KubeletNotReady", "container runtime network not ready: NetworkReady=false cni plugin not initialized")
    };
    tell_node(pass, node, status, reason, message);
}

fn tell_node(pass: &mut Pass<'_>, node: &Value, status: &str, reason: &str, message: &str) {
    let time = objects::stamp(pass.now);
    let conditions = objects::list(node, "/status/conditions").iter();
    let mut wanted: Vec<Value> = conditions.filter(|one| objects::text(one, "/type") != "Ready").cloned().collect();
    wanted.push(json!({
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": time, "lastTransitionTime": time,
    }));
    pass.status(&Resource::NODES, node, &json!({ "conditions": wanted }));
}

/// A pod that is being deleted; `true` when it is gone.
fn finish(pass: &mut Pass<'_>, node: &Value, pod: &Value, memory: &mut Memory) -> bool {
    let since = *memory.deleting.get_or_insert(pass.now);
    if !pass.due(since, TEARDOWN) {
        return false;
    }
    let uid = objects::uid(pod);
    pass.nodes.node(objects::name(node)).sandboxes.remove(uid);
    let object = Resource::PODS.named(objects::namespace(pod), objects::name(pod));
    let answer = pass.cluster.force_delete(&object, uid);
    pass.attempt(answer).is_some()
}

/// A pod that is to run; `true` when it is as it will stay.
fn run(pass: &mut Pass<'_>, node: &Value, pod: &Value, memory: &mut Memory) -> bool {
    if let Ok(seconds) = u64::try_from(objects::number(pod, "/spec/activeDeadlineSeconds", -1))
        && pass.due(memory.seen, Duration::from_secs(seconds))
    {
        let message = "Pod was active on the node longer than the specified deadline";
        let ready = [("Ready", "False")];
        let status = json!({
            "phase": "Failed", "reason": "DeadlineExceeded", "message": message,
            "conditions": conditions(pod, &ready, pass.now),
        });
        pass.status(&Resource::PODS, pod, &status);
        return false;
    }
    let running = objects::text(pod, "/status/phase") == "Running";
    let Some(started) = memory.started.or_else(|| running.then_some(pass.now)) else {
        if let Some(ip) = network(pass, node, pod, memory)
            && tell_running(pass, node, pod, &ip, memory.seen)
        {
            memory.started = Some(pass.now);
            // Its readiness is due soon; have a round then.
            pass.due(pass.now, Duration::from_millis(500));
        }
        return false;
    };
    memory.started = Some(started);
    if objects::label(pod, TASK_LABEL).is_some() {
        if pass.due(started, task::WORK) {
            work(pass, node, pod, memory, started);
        }
        return false;
    }
    let of_job = objects::controller(pod).is_some_and(|owner| objects::text(owner, "/kind") == "Job");
    if of_job && pass.due(started, JOB_RUN) {
        tell_ended(pass, pod, &task::Outcome::succeeded(String::new()), started);
        return false;
    }
    let ready = is_ready(pass, node, pod, started);
    if running && ready != objects::condition(pod, "Ready") {
        tell_ready(pass, pod, ready, started);
    }
    let restless = objects::label(pod, "k8s-app") == Some("cilium")
        || of_job
        || objects::at(pod, "/spec/activeDeadlineSeconds").is_some();
    running && ready && objects::condition(pod, "Ready") && !restless
}

/// The task of a pod, once; then its end, at once or when it has stayed long enough.
fn work(pass: &mut Pass<'_>, node: &Value, pod: &Value, memory: &mut Memory, started: Timestamp) {
    let outcome = match memory.outcome.clone() {
        Some(outcome) => outcome,
        None => memory.outcome.insert(task::run(pass, objects::name(node), pod)).clone(),
    };
    match task::stays(pod, &outcome) {
        Some(stay) if !pass.due(started, task::WORK + stay) => {
            if !objects::condition(pod, "Ready") {
                tell_ready(pass, pod, true, started);
            }
        }
        _ => tell_ended(pass, pod, &outcome, started),
    }
}

/// Whether the pod's readiness probes succeed.
fn is_ready(pass: &mut Pass<'_>, node: &Value, pod: &Value, started: Timestamp) -> bool {
    if objects::label(pod, "k8s-app") == Some("cilium") {
        let agent = pass.nodes.node(objects::name(node)).agent.as_ref();
        return agent.is_some_and(|agent| agent.pod == objects::uid(pod) && agent.ready);
    }
    let (low, high) = if objects::host_network(pod) { (2_000, 5_000) } else { (4_500, 6_500) };
    pass.due(started, pass.jitter.millis(&format!("ready/{}", objects::uid(pod)), low, high))
}

/// The pod's address once its network is there.
fn network(pass: &mut Pass<'_>, node: &Value, pod: &Value, memory: &mut Memory) -> Option<String> {
    let uid = objects::uid(pod);
    if !pass.due(memory.seen, pass.jitter.millis(&format!("sandbox/{uid}"), 400, 1_200)) {
        return None;
    }
    if objects::host_network(pod) {
        return Some(objects::internal_ip(node).to_owned());
    }
    if memory.failed.is_some_and(|failed| !pass.due(failed, ADD_PAUSE)) {
        return None;
    }
    let now = pass.now;
    let here = pass.nodes.node(objects::name(node));
    if let Some(sandbox) = here.sandboxes.get(uid) {
        return Some(sandbox.ip.clone());
    }
    let chained = here.fs.chained();
    let serving = here.agent.as_ref().is_some_and(|agent| agent.serving);
    let by_kube_ovn = here.fs.loaded()?.plugins.iter().any(|plugin| plugin == "kube-ovn");
    let ip = if by_kube_ovn {
        let given = objects::annotation(pod, "ovn.kubernetes.io/ip_address").filter(|_| here.cni_server)?;
        given.to_owned()
    } else {
        // cilium-cni alone: an address of Cilium's own pool, outside the main network.
        format!("100.65.0.{}", here.sandboxes.len() % 250 + 2)
    };
    if chained && !serving {
        let began = *memory.adding.get_or_insert(now);
        if pass.due(began, AGENT_WAIT) {
            memory.adding = None;
            memory.failed = Some(now);
            pass.due(now, ADD_PAUSE);
        }
        return None;
    }
    let sandbox = Sandbox {
        namespace: objects::namespace(pod).to_owned(),
        name: objects::name(pod).to_owned(),
        ip: ip.clone(),
        chained,
        made_at: now,
        // A new endpoint gets the programs that the agent of this moment makes.
        enforced: chained && here.agent.as_ref().is_some_and(AgentProcess::enforces),
    };
    here.sandboxes.insert(uid.to_owned(), sandbox);
    Some(ip)
}

fn tell_running(pass: &mut Pass<'_>, node: &Value, pod: &Value, ip: &str, seen: Timestamp) -> bool {
    let host = objects::internal_ip(node);
    let set = [("Initialized", "True"), ("PodScheduled", "True"), ("ContainersReady", "False"), ("Ready", "False")];
    let running = json!({ "running": { "startedAt": objects::stamp(pass.now) } });
    let status = json!({
        "phase": "Running",
        "hostIP": host, "hostIPs": [{ "ip": host }],
        "podIP": ip, "podIPs": [{ "ip": ip }],
        "startTime": objects::stamp(seen),
        "conditions": conditions(pod, &set, pass.now),
        "containerStatuses": containers(pod, false, &running),
    });
    pass.status(&Resource::PODS, pod, &status).is_some()
}

fn tell_ready(pass: &mut Pass<'_>, pod: &Value, ready: bool, started: Timestamp) {
    let word = if ready { "True" } else { "False" };
    let running = json!({ "running": { "startedAt": objects::stamp(started) } });
    let status = json!({
        "conditions": conditions(pod, &[("ContainersReady", word), ("Ready", word)], pass.now),
        "containerStatuses": containers(pod, ready, &running),
    });
    pass.status(&Resource::PODS, pod, &status);
}

fn tell_ended(pass: &mut Pass<'_>, pod: &Value, outcome: &task::Outcome, started: Timestamp) {
    let terminated = json!({ "terminated": {
        "exitCode": outcome.exit_code,
        "reason": if outcome.exit_code == 0 { "Completed" } else { "Error" },
        "message": outcome.message,
        "startedAt": objects::stamp(started),
        "finishedAt": objects::stamp(pass.now),
    }});
    let status = json!({
        "phase": if outcome.exit_code == 0 { "Succeeded" } else { "Failed" },
        "conditions": conditions(pod, &[("ContainersReady", "False"), ("Ready", "False")], pass.now),
        "containerStatuses": containers(pod, false, &terminated),
    });
    pass.status(&Resource::PODS, pod, &status);
}

/// The pod's conditions with some of them set.
fn conditions(pod: &Value, set: &[(&str, &str)], now: Timestamp) -> Vec<Value> {
    let mut all = objects::list(pod, "/status/conditions").to_vec();
    for (kind, status) in set {
        let condition = json!({ "type": kind, "status": status, "lastTransitionTime": objects::stamp(now) });
        match all.iter_mut().find(|one| objects::text(one, "/type") == *kind) {
            Some(one) if objects::text(one, "/status") == *status => {}
            Some(one) => *one = condition,
            None => all.push(condition),
        }
    }
    all
}

fn containers(pod: &Value, ready: bool, state: &Value) -> Vec<Value> {
    let uid = objects::uid(pod);
    let status = |container: &Value| {
        let (name, image) = (objects::name_of_container(container), objects::text(container, "/image"));
        json!({
            "name": name, "image": image, "imageID": image, "containerID": format!("pretend://{uid}/{name}"),
            "ready": ready, "started": state.get("running").is_some(), "restartCount": 0, "state": state,
        })
    };
    objects::list(pod, "/spec/containers").iter().map(status).collect()
}
