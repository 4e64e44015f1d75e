//! Take the file that chained before a takeover out of the runtime's sight.
//!
//! As [`super::retire_conf`]: one pod reads what is there, one renames the file, only if its digest is the one that was read. What the
//! node loads without it is known before: our file while a run brings Cilium in, Kube-OVN's own on the way back.

use ovncilium_core::plan::{Kind, Settings};
use serde_json::{Value, json};

use super::prove_conf::{describe, is_chained, is_found};
use super::support::{is_leaving, remove_task, task_answer, task_name, task_pod, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// Refuses a file that is not what was taken over.
pub(super) struct RetireFound;

impl Work for RetireFound {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let settings = cx.settings();
        let conf = conf(settings)?;
        if let Some(pod) = task_pod(cx, Task::Retire)? {
            if is_leaving(&pod) {
                return Ok(Look::wait("an older pod ends"));
            }
            return Ok(match task_answer(&pod) {
                None => Look::wait(format!("a pod on {node} retires {conf}")),
                Some(Ok(answer)) => match node_task::retired(&answer) {
                    Some(Answer::Refused(why)) => Look::Blocked(format!("node {node}: {why}")),
                    Some(Answer::Retired(name) | Answer::Absent(name)) if name == conf => {
                        Look::met(format!("{conf} is retired"))
                    }
                    _ => Look::Act(again(cx, Task::Retire, "the pod answered for another file")?),
                },
                Some(Err(why)) => Look::Act(again(cx, Task::Retire, &why)?),
            });
        }
        let Some(pod) = task_pod(cx, Task::Probe)? else {
            return Ok(Look::Act(json!({ "pod": task_name(cx, Task::Probe)?, "node": node })));
        };
        let answer = match task_answer(&pod) {
            _ if is_leaving(&pod) => return Ok(Look::wait("an older pod ends")),
            None => return Ok(Look::wait(format!("a pod on {node} reads {}", settings.conf_dir))),
            Some(Err(why)) => return Ok(Look::Act(again(cx, Task::Probe, &why)?)),
            Some(Ok(answer)) => answer,
        };
        let dir = node_task::conf_dir(node, &settings.conf_dir, &answer);
        let Some(file) = dir.files.iter().find(|file| file.name == conf) else {
            return Ok(Look::met(format!("{conf} is not there")));
        };
        if !is_found(file, settings) {
            return Ok(Look::Blocked(format!("node {node}: {conf} is not what was taken over")));
        }
        let sha256 = file.sha256.clone();
        let without = dir.without(conf);
        let fits = without.effective().is_some_and(|file| match cx.plan.kind {
            Kind::Migrate => is_chained(file, settings),
            _ => file.is_plain(),
        });
        if !fits {
            return Ok(Look::Blocked(format!("node {node} would load {} without {conf}", describe(&without))));
        }
        Ok(Look::Act(json!({ "pod": task_name(cx, Task::Retire)?, "node": node, "file": conf, "sha256": sha256 })))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let (node, run) = (cx.node_name()?, cx.run.as_str());
        let task = if text(intent, "/pod") == task_name(cx, Task::Retire)? { Task::Retire } else { Task::Probe };
        if intent.get("again").is_some() {
            return remove_task(cx, task);
        }
        let digest = text(intent, "/sha256").trim_start_matches("sha256:");
        let env = [("FILE", text(intent, "/file")), ("SHA256", digest)];
        let env = if task == Task::Retire { &env[..] } else { &[] };
        node_task::start(cx.world.cluster, task, node, run, cx.settings(), env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        remove_task(cx, Task::Probe)?;
        remove_task(cx, Task::Retire)
    }
}

fn conf(settings: &Settings) -> Result<&str, StepError> {
    let adopted = settings.adopted.as_ref().map(|adopted| adopted.conf.as_str());
    adopted.ok_or_else(|| StepError::Plan("the plan takes nothing over".to_owned()))
}

fn again(cx: &Cx<'_>, task: Task, why: &str) -> Result<Value, StepError> {
    Ok(json!({ "pod": task_name(cx, task)?, "node": cx.node_name()?, "again": why }))
}
