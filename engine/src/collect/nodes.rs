//! The node tier: what lies in each node's CNI directory, told by short-lived read-only pods.
//!
//! Every pod that was made is deleted again, whatever happens. A node that gives no whole answer is *silent*, with the reason.

use std::collections::BTreeMap;
use std::time::Duration;

use ovncilium_core::facts::conflists::{Conflists, SilentNode};
use ovncilium_core::facts::node_os::NodeOs;
use ovncilium_core::ids::{NodeName, RunId};
use ovncilium_core::plan::Resource;
use ovncilium_core::plan::action::{RUN_LABEL, TASK_LABEL};
use serde_json::Value;

use crate::node_task::{Answer, Task, TaskSettings, conf_dir, node_os, pod_manifest, pod_name, read_answer};
use crate::world::{Clock, Cluster, ClusterError, Filter};

/// Pods side by side.
const SIDE_BY_SIDE: usize = 16;
/// Between two looks at them.
const TICK: Duration = Duration::from_millis(500);
/// How long one node may take, from the first attempt to make its pod: its own deadline and some more for the kubelet.
const PATIENCE: Duration = Duration::from_secs(75);

/// A node in work.
struct Probe<'n> {
    node: &'n NodeName,
    pod: String,
    since: Duration,
    /// UID of our pod, once it is made.
    uid: Option<String>,
    /// What is in the way, for the message if the time runs out.
    trouble: String,
}

/// Looks at each of `nodes` with a pod of ours; returns when the last one has answered or run out of time.
///
/// Total: a node that cannot be asked is in [`Conflists::silent`]. A person who asks to stop at once gets the rest as silent.
pub fn probe(
    cluster: &dyn Cluster,
    clock: &dyn Clock,
    settings: &TaskSettings,
    nodes: &[NodeName],
    run: &RunId,
) -> (Conflists, NodeOs) {
    let mut told: BTreeMap<&NodeName, Result<Vec<Answer>, String>> = BTreeMap::new();
    let mut waiting = nodes.iter();
    let mut working: Vec<Probe<'_>> = Vec::new();
    loop {
        let stopping = clock.stop_requested() > 1;
        while !stopping && working.len() < SIDE_BY_SIDE {
            let Some(node) = waiting.next() else { break };
            let pod = pod_name(Task::Probe, node.as_str(), run.as_str());
            working.push(Probe { node, pod, since: clock.since_boot(), uid: None, trouble: String::new() });
        }
        let pods = list(cluster, &settings.namespace, run);
        let mut still = Vec::new();
        for mut probe in working {
            let answer = step(cluster, settings, run, &mut probe, &pods).or_else(|| {
                let late = clock.since_boot().saturating_sub(probe.since) >= PATIENCE;
                (stopping || late).then(|| Err(if late { too_late(&probe) } else { "stopped on request".to_owned() }))
            });
            match answer {
                None => still.push(probe),
                Some(answer) => {
                    remove(cluster, settings, &probe);
                    told.insert(probe.node, answer);
                }
            }
        }
        working = still;
        if working.is_empty() && (stopping || waiting.len() == 0) {
            break;
        }
        clock.sleep(TICK);
    }
    for node in waiting {
        told.insert(node, Err("stopped on request".to_owned()));
    }
    facts(settings, told)
}

/// Our pods as they are now, by name; or why they cannot be seen.
fn list(cluster: &dyn Cluster, namespace: &str, run: &RunId) -> Result<BTreeMap<String, Value>, ClusterError> {
    let ours = format!("{RUN_LABEL}={run},{TASK_LABEL}={}", Task::Probe.name());
    let pods = cluster.list(&Resource::PODS, &Filter::in_namespace(namespace).labelled(&ours))?;
    Ok(pods.into_iter().map(|pod| (text(&pod, "/metadata/name").to_owned(), pod)).collect())
}

/// One look at a node: makes its pod if there is none; the answer once there is one.
fn step(
    cluster: &dyn Cluster,
    settings: &TaskSettings,
    run: &RunId,
    probe: &mut Probe<'_>,
    pods: &Result<BTreeMap<String, Value>, ClusterError>,
) -> Option<Result<Vec<Answer>, String>> {
    let pods = match pods {
        Ok(pods) => pods,
        Err(error) if error.is_transient() => {
            probe.trouble = error.to_string();
            return None;
        }
        Err(error) => return Some(Err(error.to_string())),
    };
    let found = pods.get(&probe.pod);
    match (&probe.uid, found) {
        (Some(uid), Some(pod)) if text(pod, "/metadata/uid") == uid => {
            let answer = read_answer(pod);
            if answer.is_none() {
                probe.trouble = waits_for(pod);
            }
            // A pod that its deadline ended says nothing of what it waited for.
            answer.map(|answer| {
                answer.map_err(|why| if probe.trouble.is_empty() { why } else { format!("{why} ({})", probe.trouble) })
            })
        }
        (Some(_), _) => Some(Err("somebody deleted the pod that was to look".to_owned())),
        (None, Some(old)) => {
            // Of an earlier attempt of this run: what it saw is old.
            let object = Resource::PODS.named(&settings.namespace, &probe.pod);
            if let Err(error) = cluster.delete(&object, Some(text(old, "/metadata/uid"))) {
                probe.trouble = error.to_string();
            }
            None
        }
        (None, None) => make(cluster, settings, run, probe),
    }
}

fn make(
    cluster: &dyn Cluster,
    settings: &TaskSettings,
    run: &RunId,
    probe: &mut Probe<'_>,
) -> Option<Result<Vec<Answer>, String>> {
    let pod = pod_manifest(Task::Probe, probe.node.as_str(), run.as_str(), settings, &[]);
    match cluster.create(&Resource::PODS, &pod) {
        Ok(made) => {
            probe.uid = Some(text(&made, "/metadata/uid").to_owned());
            None
        }
        Err(error) if error.is_transient() || matches!(error, ClusterError::AlreadyExists { .. }) => {
            probe.trouble = error.to_string();
            None
        }
        Err(error) => Some(Err(error.to_string())),
    }
}

/// Deletes what we made. A request to create that got no answer may have made a pod as well.
fn remove(cluster: &dyn Cluster, settings: &TaskSettings, probe: &Probe<'_>) {
    let object = Resource::PODS.named(&settings.namespace, &probe.pod);
    if cluster.delete(&object, probe.uid.as_deref()).is_err() {
        // Once more, and then it is the pod's own deadline that ends it.
        let _ = cluster.delete(&object, probe.uid.as_deref());
    }
}

fn too_late(probe: &Probe<'_>) -> String {
    let seconds = PATIENCE.as_secs();
    match probe.trouble.as_str() {
        "" => format!("no answer within {seconds} seconds"),
        trouble => format!("no answer within {seconds} seconds: {trouble}"),
    }
}

/// What a pod that has not ended waits for: its container's reason, or its phase.
fn waits_for(pod: &Value) -> String {
    let waiting = pod.pointer("/status/containerStatuses/0/state/waiting");
    let reason = waiting.map(|waiting| [text(waiting, "/reason"), text(waiting, "/message")]);
    let words: Vec<&str> = reason.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    match (words.is_empty(), text(pod, "/status/phase")) {
        (false, _) => words.join(": "),
        (true, "" | "Pending") => "its kubelet has not started the pod".to_owned(),
        (true, phase) => format!("the pod is {phase}"),
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn facts(settings: &TaskSettings, told: BTreeMap<&NodeName, Result<Vec<Answer>, String>>) -> (Conflists, NodeOs) {
    let (mut conflists, mut os) = (Conflists::default(), NodeOs::default());
    for (node, answer) in told {
        match answer {
            Ok(answer) => {
                conflists.nodes.push(conf_dir(node.as_str(), &settings.conf_dir, &answer));
                os.nodes.push(node_os(node.as_str(), &answer));
            }
            Err(reason) => conflists.silent.push(SilentNode { node: node.to_string(), reason }),
        }
    }
    (conflists, os)
}
