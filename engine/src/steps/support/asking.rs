//! Asking by a task pod: where the question stands, the same for every step that asks.

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::super::{Cx, StepError};
use super::{is_leaving, text};
use crate::node_task::{self, Answer, Task};

/// Why the answer to an earlier process is in vain.
pub(in crate::steps) const EARLIER: &str = "an earlier process asked";
/// Bytes of one environment variable; Linux allows 128 KiB.
const VARIABLE: usize = 100_000;

/// Where a question stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::steps) enum Asked {
    /// Nobody asks: a pod must be started.
    Not,
    /// The pod works, or an older one leaves.
    Waits,
    /// There is an answer that cannot be used, and why: the pod must be removed before another can ask.
    InVain(String),
    /// The whole answer.
    Answered(Vec<Answer>),
}

/// Where the question of `task` on `node` stands. The answer that an earlier process got is old: it is asked for again.
///
/// # Errors
/// [`StepError::Cluster`] when the pod could not be read.
pub(in crate::steps) fn asked(cx: &Cx<'_>, task: Task, node: &str) -> Result<Asked, StepError> {
    let name = node_task::pod_name(task, node, cx.run.as_str());
    let Some(pod) = cx.world.cluster.get(&Resource::PODS.named(&cx.settings().namespace, &name))? else {
        return Ok(Asked::Not);
    };
    if is_leaving(&pod) {
        return Ok(Asked::Waits);
    }
    if is_of_an_earlier_process(cx) {
        return Ok(Asked::InVain(EARLIER.to_owned()));
    }
    Ok(match node_task::read_answer(&pod) {
        None => Asked::Waits,
        Some(Err(why)) => Asked::InVain(why),
        Some(Ok(answer)) => Asked::Answered(answer),
    })
}

/// The intent of removing an answer so that it is asked for again.
pub(in crate::steps) fn ask_again(cx: &Cx<'_>, task: Task, node: &str, why: &str) -> Value {
    json!({ "pod": node_task::pod_name(task, node, cx.run.as_str()), "node": node, "again": why })
}

/// Why it was asked again the last time; null when it was not. What a person must know when the goal is not met in the end.
pub(in crate::steps) fn last_reason<'a>(cx: &'a Cx<'_>) -> &'a Value {
    let recorded = cx.recorded();
    recorded.get("again").or_else(|| recorded.get("after")).unwrap_or(&Value::Null)
}

/// Remove the pod that asked on `node`.
///
/// # Errors
/// [`StepError::Cluster`].
pub(in crate::steps) fn stop_asking(cx: &Cx<'_>, task: Task, node: &str) -> Result<(), StepError> {
    let name = node_task::pod_name(task, node, cx.run.as_str());
    cx.world.cluster.delete(&Resource::PODS.named(&cx.settings().namespace, &name), None)?;
    Ok(())
}

/// Variables `NAME_0`, `NAME_1`, … with the list in parts that fit.
pub(in crate::steps) fn in_parts<'a>(name: &str, words: impl Iterator<Item = &'a String>) -> Vec<(String, String)> {
    let mut parts = vec![String::new()];
    for word in words {
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
    parts.into_iter().enumerate().map(|(index, part)| (format!("{name}_{index}"), part)).collect()
}

/// What was put into a pod by [`in_parts`].
pub(in crate::steps) fn listed(pod: &Value, name: &str) -> Vec<String> {
    let variables = pod.pointer("/spec/containers/0/env").and_then(Value::as_array).into_iter().flatten();
    let named = variables.filter(|one| text(one, "/name").rsplit_once('_').is_some_and(|(of, _)| of == name));
    named.flat_map(|one| text(one, "/value").split(',')).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_of_an_earlier_process(cx: &Cx<'_>) -> bool {
    match (cx.record, cx.entry()) {
        (Some(record), Some(entry)) => entry.epoch < record.epoch,
        _ => true,
    }
}
