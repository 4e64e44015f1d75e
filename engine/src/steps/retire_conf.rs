//! Take the chained file of a node out of the runtime's sight.
//!
//! Two pods: one reads what is there, one renames the file in its directory, only if its digest is the one that was
//! read and another configuration remains. The node is never without a configuration, and what it loads without ours is known before:
//! Kube-OVN's own, or the file of a takeover.

use serde_json::{Value, json};

use super::prove_conf::{describe, is_chained, is_found};
use super::support::asking::last_reason;
use super::support::{is_labelled_chained, remove_task, task_answer, task_name, task_pod, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// Refuses a file that is not ours.
pub(super) struct RetireConf;

impl Work for RetireConf {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let settings = cx.settings();
        if let Some(node) = cx.node
            && is_labelled_chained(cx, node)?
        {
            return Ok(Look::Blocked(format!(
                "node {} still carries the label that would write the file again",
                node.name
            )));
        }
        if let Some(pod) = task_pod(cx, Task::Retire)? {
            return Ok(match task_answer(&pod) {
                None => Look::wait(format!("a pod on {node} retires {}", settings.chained_conf)),
                Some(Ok(answer)) => match node_task::retired(&answer) {
                    Some(Answer::Refused(why)) => Look::Blocked(format!("node {node}: {why}")),
                    Some(_) => Look::met(format!("{} is retired", settings.chained_conf)),
                    None => Look::Blocked(format!("node {node}: the pod gave no answer")),
                },
                Some(Err(why)) => Look::Act(json!({ "pod": task_name(cx, Task::Retire)?, "node": node, "again": why })),
            });
        }
        let probe = task_name(cx, Task::Probe)?;
        let Some(pod) = task_pod(cx, Task::Probe)? else {
            return Ok(Look::Act(json!({ "pod": probe, "node": node, "after": last_reason(cx) })));
        };
        let answer = match task_answer(&pod) {
            None => return Ok(Look::wait(format!("a pod on {node} reads {}", settings.conf_dir))),
            Some(Err(why)) => return Ok(Look::Act(json!({ "pod": probe, "node": node, "again": why }))),
            Some(Ok(answer)) => answer,
        };
        let dir = node_task::conf_dir(node, &settings.conf_dir, &answer);
        let Some(file) = dir.files.iter().find(|file| file.name == settings.chained_conf) else {
            return Ok(Look::met("no chained file is there"));
        };
        if !is_chained(file, settings) {
            return Ok(Look::Blocked(format!("node {node}: {} is not what we wrote", file.name)));
        }
        let intent = json!({
            "pod": task_name(cx, Task::Retire)?,
            "node": node,
            "file": file.name,
            "sha256": file.sha256,
        });
        let without = dir.without(&settings.chained_conf);
        if without.effective().is_some_and(|file| file.is_plain() || is_found(file, settings)) {
            return Ok(Look::Act(intent));
        }
        let why = format!(
            "node {node} would load {} without {}; the pod of kube-ovn-cni on it writes Kube-OVN's own file when it is started anew",
            describe(&without),
            settings.chained_conf
        );
        Ok(Look::Act(json!({ "pod": probe, "node": node, "again": why })))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let (node, run) = (cx.node_name()?, cx.run.as_str());
        let file = text(intent, "/file");
        let task = if text(intent, "/pod") == task_name(cx, Task::Retire)? { Task::Retire } else { Task::Probe };
        if intent.get("again").is_some() {
            return remove_task(cx, task);
        }
        if file.is_empty() {
            node_task::start(cx.world.cluster, Task::Probe, node, run, cx.settings(), &[])?;
        } else {
            let digest = text(intent, "/sha256").trim_start_matches("sha256:");
            let env = [("FILE", file), ("SHA256", digest)];
            node_task::start(cx.world.cluster, Task::Retire, node, run, cx.settings(), &env)?;
        }
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        remove_task(cx, Task::Probe)?;
        remove_task(cx, Task::Retire)
    }
}
