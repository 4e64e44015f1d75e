//! Ask Services from a node and from a pod on it: note who answers before a change, and hold that against who answers after it.
//!
//! What is recorded before is who is silent: of a cluster at work these are few. Where Services are brought back they are noted whatever
//! they are, since what does not answer may be the reason to go back.

use std::collections::BTreeSet;

use ovncilium_core::plan::action::Moment;
use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, in_parts, last_reason, stop_asking};
use super::support::{services, some};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// Silent ones that a record may hold.
const SILENT: usize = 40;

/// Who asks, and how that is told.
const ASKERS: [(Task, &str); 2] = [(Task::Services, "the node"), (Task::PodServices, "a pod")];

/// Before or after a change.
pub(super) struct ProbeServices(pub(super) Moment);

/// What one asker was told: how many were asked, who is silent.
type Told = (usize, BTreeSet<String>);

impl Work for ProbeServices {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let mut told = Vec::new();
        for (task, who) in ASKERS {
            match asked(cx, task, node)? {
                Asked::Answered(answer) => match read(&answer) {
                    Some(one) => told.push(Some(one)),
                    None => return Ok(Look::Act(again(cx, task, node, "the pod did not answer what was asked"))),
                },
                // Where kube-proxy comes back, a node that starts no pod is no reason to stop.
                Asked::InVain(why) if self.notes_anything(cx) && !is_old(&why) => told.push(None),
                Asked::InVain(why) => return Ok(Look::Act(again(cx, task, node, &why))),
                Asked::Waits => return Ok(Look::wait(format!("{who} on {node} asks Services"))),
                Asked::Not => {
                    let pod = node_task::pod_name(task, node, cx.run.as_str());
                    return Ok(Look::Act(
                        json!({ "pod": pod, "node": node, "by": task.name(), "after": last_reason(cx) }),
                    ));
                }
            }
        }
        match self.0 {
            Moment::Before => self.note(cx, node, &told),
            Moment::After => compare(cx, node, &told),
        }
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = cx.node_name()?;
        let Some((task, _)) = ASKERS.into_iter().find(|(task, _)| intent["by"] == task.name()) else {
            return Err(StepError::Plan("the intent does not tell who asks".to_owned()));
        };
        if intent.get("again").is_some() {
            return stop_asking(cx, task, node);
        }
        let lists = in_parts("TARGETS", services::asked(cx, task)?.iter());
        let env: Vec<(&str, &str)> = lists.iter().map(|(name, list)| (name.as_str(), list.as_str())).collect();
        node_task::start(cx.world.cluster, task, node, cx.run.as_str(), cx.settings(), &env)?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        ASKERS.iter().try_for_each(|(task, _)| stop_asking(cx, *task, cx.node_name()?))
    }

    /// Both ask, and five times again: each time three times, with patience.
    fn attempts(&self) -> u32 {
        12
    }
}

impl ProbeServices {
    /// Whether what is noted is taken as it is.
    fn notes_anything(&self, cx: &Cx<'_>) -> bool {
        self.0 == Moment::Before && cx.plan.kind.goes_back()
    }

    fn note(&self, cx: &Cx<'_>, node: &str, told: &[Option<Told>]) -> Result<Look, StepError> {
        if !self.notes_anything(cx) {
            for ((task, who), one) in ASKERS.into_iter().zip(told) {
                let Some((asked, silent)) = one else { continue };
                let missing = services::needed(cx, task, silent)?;
                if !missing.is_empty() {
                    let why = format!("{who} on {node} gets no answer of {}", some(&missing));
                    return Ok(Look::Act(again(cx, task, node, &why)));
                }
                if silent.len() > SILENT {
                    return Ok(Look::Blocked(format!(
                        "{} of {asked} Services do not answer {who} on {node}, before anything was changed: {}",
                        silent.len(),
                        some(&silent.iter().cloned().collect::<Vec<_>>())
                    )));
                }
            }
        }
        let silent = told.iter().map(|one| match one {
            Some((_, silent)) if silent.len() <= SILENT => json!(silent),
            _ => Value::Null,
        });
        let silent: Vec<Value> = silent.collect();
        Ok(Look::Met(sum(told), Some(json!({ "silent-before": silent }))))
    }
}

fn compare(cx: &Cx<'_>, node: &str, told: &[Option<Told>]) -> Result<Look, StepError> {
    let before = before(cx);
    for (index, ((task, who), one)) in ASKERS.into_iter().zip(told).enumerate() {
        let Some((_, silent)) = one else { continue };
        let missing = match before.get(index).and_then(Value::as_array) {
            Some(noted) => {
                silent.iter().filter(|target| !noted.iter().any(|one| one == target.as_str())).cloned().collect()
            }
            // Nobody noted who answered: what everything needs must.
            None => services::needed(cx, task, silent)?,
        };
        if !missing.is_empty() {
            let why = format!("{who} on {node} gets no answer any more of {}", some(&missing));
            return Ok(Look::Act(again(cx, task, node, &why)));
        }
    }
    Ok(Look::met(sum(told)))
}

/// Who was silent before, by asker, as the newest record of this node has it.
fn before(cx: &Cx<'_>) -> Vec<Value> {
    let entries = cx.record.map(|record| record.entries.as_slice()).unwrap_or_default();
    let noted = entries.iter().rev().find_map(|entry| entry.recorded.get("silent-before")?.as_array());
    noted.cloned().unwrap_or_default()
}

fn again(cx: &Cx<'_>, task: Task, node: &str, why: &str) -> Value {
    let mut intent = ask_again(cx, task, node, why);
    intent["by"] = json!(task.name());
    intent
}

/// What [`asked`] says of the answer to an earlier process.
fn is_old(why: &str) -> bool {
    why == super::support::asking::EARLIER
}

fn read(answer: &[Answer]) -> Option<Told> {
    let count = answer.iter().find_map(|line| match line {
        Answer::Asked(count) => Some(*count),
        _ => None,
    })?;
    let silent = answer.iter().filter_map(|line| match line {
        Answer::Silent(target) => Some(target.clone()),
        _ => None,
    });
    Some((count, silent.collect()))
}

fn sum(told: &[Option<Told>]) -> String {
    let words: Vec<String> = ASKERS
        .into_iter()
        .zip(told)
        .map(|((_, who), one)| match one {
            Some((asked, silent)) => format!("{} of {asked} answer {who}", asked - silent.len()),
            None => format!("{who} could not ask"),
        })
        .collect();
    words.join(", ")
}
