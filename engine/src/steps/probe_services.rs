//! Ask Services from a node and from a pod on it: note who answers before a change, and hold that against who answers after it.
//!
//! What is recorded is who has answered, each by a few digits: only that can be lost. A Service that is new since, or one that has its first pod, is noted
//! when it answers and held to it from then on; without an answer it is told, and stops nothing. Where Services are brought back they are noted
//! whatever they are, since what does not answer may be the reason to go back.

use std::collections::BTreeSet;

use ovncilium_core::Digest;
use ovncilium_core::plan::Resource;
use ovncilium_core::plan::action::Moment;
use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, in_parts, last_reason, listed, stop_asking};
use super::support::{services, some};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// Silent ones that an answer may tell: of a cluster at work these are few.
const SILENT: usize = 40;
/// Digits by which a record tells one target from another: two share them once in ten thousand cases.
const MARK: usize = 6;
/// Variables of a pod that say what it asks.
const TARGETS: &str = "TARGETS";
/// Key of a record: who has answered so far, by asker.
const ANSWERED: &str = "answered";

/// Who asks, and how that is told.
const ASKERS: [(Task, &str); 2] = [(Task::Services, "the node"), (Task::PodServices, "a pod")];

/// Before or after a change.
pub(super) struct ProbeServices(pub(super) Moment);

/// What one asker was told.
struct Told {
    answered: BTreeSet<String>,
    silent: BTreeSet<String>,
}

/// Marks of targets that have answered.
type Marks = BTreeSet<String>;

impl Work for ProbeServices {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let mut told = Vec::new();
        for (task, who) in ASKERS {
            match asked(cx, task, node)? {
                Asked::Answered(answer) => match read(&answer, &was_asked(cx, task, node)?) {
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
        let lists = in_parts(TARGETS, services::asked(cx, task)?.iter());
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
                let Some(Told { answered, silent }) = one else { continue };
                let missing = services::needed(cx, task, silent)?;
                if !missing.is_empty() {
                    let why = format!("{who} on {node} gets no answer of {}", some(&missing));
                    return Ok(Look::Act(again(cx, task, node, &why)));
                }
                if silent.len() > SILENT {
                    return Ok(Look::Blocked(format!(
                        "{} of {} Services do not answer {who} on {node}, before anything was changed: {}",
                        silent.len(),
                        silent.len() + answered.len(),
                        some(&silent.iter().cloned().collect::<Vec<_>>())
                    )));
                }
            }
        }
        Ok(Look::Met(sum(told), Some(record(&[], told))))
    }
}

fn compare(cx: &Cx<'_>, node: &str, told: &[Option<Told>]) -> Result<Look, StepError> {
    let before = before(cx);
    let mut new = BTreeSet::new();
    for (index, ((task, who), one)) in ASKERS.into_iter().zip(told).enumerate() {
        let Some(Told { silent, .. }) = one else { continue };
        let (missing, lost): (Vec<String>, _) = match before.get(index) {
            Some(Some(marks)) => {
                let (lost, others): (Vec<String>, Vec<String>) =
                    silent.iter().cloned().partition(|target| marks.contains(&mark(target)));
                new.extend(others);
                (lost, "any more ")
            }
            // Nobody noted who answered: what everything needs must.
            _ => (services::needed(cx, task, silent)?, ""),
        };
        if !missing.is_empty() {
            let why = format!("{who} on {node} gets no answer {lost}of {}", some(&missing));
            return Ok(Look::Act(again(cx, task, node, &why)));
        }
    }
    let mut words = sum(told);
    if !new.is_empty() {
        let new: Vec<String> = new.into_iter().collect();
        words = format!("{words}; never answered: {}", some(&new));
    }
    Ok(Look::Met(words, Some(record(&before, told))))
}

/// Who has answered before, by asker, as the newest record of this node has it; none of an asker that could not ask.
fn before(cx: &Cx<'_>) -> Vec<Option<Marks>> {
    let entries = cx.record.map(|record| record.entries.as_slice()).unwrap_or_default();
    let noted = entries.iter().rev().find_map(|entry| entry.recorded.get(ANSWERED)?.as_array());
    noted.into_iter().flatten().map(marks).collect()
}

fn marks(noted: &Value) -> Option<Marks> {
    let digits = noted.as_str()?.as_bytes().chunks(MARK);
    Some(digits.map(|mark| String::from_utf8_lossy(mark).into_owned()).collect())
}

fn mark(target: &str) -> String {
    Digest::of(target).hex().chars().take(MARK).collect()
}

/// What is recorded: those of before, and who answers now.
fn record(before: &[Option<Marks>], told: &[Option<Told>]) -> Value {
    let noted = told.iter().enumerate().map(|(index, one)| {
        let known = before.get(index).cloned().flatten();
        // A long list of the silent is cut, and who is cut from it has not answered.
        let whole = one.as_ref().filter(|one| one.silent.len() <= SILENT);
        let now: Option<Marks> = whole.map(|one| one.answered.iter().map(|target| mark(target)).collect());
        let all: Marks = match (known, now) {
            (None, None) => return Value::Null,
            (known, now) => known.into_iter().chain(now).flatten().collect(),
        };
        json!(String::from_iter(all))
    });
    json!({ ANSWERED: noted.collect::<Vec<_>>() })
}

/// What the pod of `task` was told to ask.
fn was_asked(cx: &Cx<'_>, task: Task, node: &str) -> Result<Vec<String>, StepError> {
    let name = node_task::pod_name(task, node, cx.run.as_str());
    let pod = cx.world.cluster.get(&Resource::PODS.named(&cx.settings().namespace, &name))?;
    Ok(pod.as_ref().map(|pod| listed(pod, TARGETS)).unwrap_or_default())
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

fn read(answer: &[Answer], asked: &[String]) -> Option<Told> {
    let count = answer.iter().find_map(|line| match line {
        Answer::Asked(count) => Some(*count),
        _ => None,
    })?;
    let silent: BTreeSet<String> = answer
        .iter()
        .filter_map(|line| match line {
            Answer::Silent(target) => Some(target.clone()),
            _ => None,
        })
        .collect();
    if count != asked.len() {
        return None;
    }
    let answered = asked.iter().filter(|target| !silent.contains(*target)).cloned().collect();
    Some(Told { answered, silent })
}

fn sum(told: &[Option<Told>]) -> String {
    let words: Vec<String> = ASKERS
        .into_iter()
        .zip(told)
        .map(|((_, who), one)| match one {
            Some(Told { answered, silent }) => {
                format!("{} of {} answer {who}", answered.len(), answered.len() + silent.len())
            }
            None => format!("{who} could not ask"),
        })
        .collect();
    words.join(", ")
}
