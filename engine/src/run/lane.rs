//! One lane: its steps one after the other, each looked at, announced, written, looked at again.

use std::rc::Rc;
use std::time::Duration;

use ovncilium_core::ids::NodeName;
use ovncilium_core::journal::CLUSTER;
use ovncilium_core::plan::{Lane, Phase, Resource, Step};
use serde_json::Value;

use super::{Run, RunError};
use crate::events::Event;
use crate::steps::{self, Cx, Look, StepError};

/// How long a request may fail for passing reasons before the run gives up.
const PASSING: Duration = Duration::from_secs(90);
/// How long after a write the same step may write again.
const AGAIN: Duration = Duration::from_secs(1);

/// Subject of the journal for a lane.
pub(super) fn subject(lane: &Lane) -> &str {
    lane.node.as_ref().map_or(CLUSTER, NodeName::as_str)
}

/// Where a lane stands in this process.
pub(super) struct LaneState<'p> {
    lane: &'p Lane,
    next: usize,
    begun: bool,
    /// When the current step was first looked at, and when it last showed progress.
    step_began: Option<Duration>,
    progress: Option<Duration>,
    reason: String,
    failing_since: Option<Duration>,
    acted: bool,
    /// When the current step wrote last.
    acted_at: Option<Duration>,
    /// Writes of the current step so far.
    writes: u32,
    lane_began: Option<Duration>,
}

impl<'p> LaneState<'p> {
    pub(super) fn new(lane: &'p Lane) -> Self {
        Self {
            lane,
            next: 0,
            begun: false,
            step_began: None,
            progress: None,
            reason: String::new(),
            failing_since: None,
            acted: false,
            acted_at: None,
            writes: 0,
            lane_began: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.lane.steps.len()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    fn go_on(&mut self) {
        self.next += 1;
        self.step_began = None;
        self.progress = None;
        self.reason.clear();
        self.failing_since = None;
        self.acted = false;
        self.writes = 0;
        self.acted_at = None;
    }
}

/// What a look at a lane led to.
pub(super) enum Advance {
    /// A step was done or written: look again at once.
    Moved,
    /// It waits.
    Waits,
    /// It cannot go on.
    Blocked(String),
}

impl Run<'_> {
    pub(super) fn advance(
        &mut self,
        phase: &Phase,
        state: &mut LaneState<'_>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Advance, RunError> {
        let Some(step) = state.lane.steps.get(state.next) else { return Ok(Advance::Waits) };
        state.begun = true;
        let now = self.world.clock.since_boot();
        state.lane_began.get_or_insert(now);
        state.step_began.get_or_insert(now);
        if self.ledger.journal().is_done(subject(state.lane), &step.id) {
            state.go_on();
            return Ok(Advance::Moved);
        }
        match self.look_and_act(state, step, tell) {
            Ok(Seen::Met(note, recorded)) => {
                self.finish(phase, state, step, note, recorded, tell)?;
                Ok(Advance::Moved)
            }
            Ok(Seen::Wrote(intent)) => {
                state.failing_since = None;
                state.writes += 1;
                state.acted_at = Some(now);
                if state.writes > steps::work(&step.action).attempts() {
                    return Ok(Advance::Blocked(format!(
                        "{}: still not met after {} attempts: {}",
                        step.id,
                        state.writes,
                        reason_of(&intent).map_or_else(|| intent.to_string(), str::to_owned)
                    )));
                }
                // Look at once after the first write; later ones wait a poll, they are retries or batches.
                let first = !std::mem::replace(&mut state.acted, true);
                Ok(if first { Advance::Moved } else { self.waits(state, step, progress_of(&intent), tell) })
            }
            Ok(Seen::Waits(reason)) => {
                state.failing_since = None;
                Ok(self.waits(state, step, reason, tell))
            }
            Ok(Seen::Blocked(reason)) => Ok(Advance::Blocked(format!("{}: {reason}", step.id))),
            Err(Failed::Journal(error)) => Err(error),
            Err(Failed::Step(error)) => {
                let since = *state.failing_since.get_or_insert(now);
                let passing = matches!(&error, StepError::Cluster(cluster) if cluster.is_transient())
                    && now.saturating_sub(since) < PASSING;
                if passing {
                    return Ok(self.waits(state, step, error.to_string(), tell));
                }
                Err(RunError::Step { step: step.id.to_string(), source: error })
            }
        }
    }

    /// What is left of a lane whose node is gone has nothing to be done on: its steps count as met.
    pub(super) fn pass_over(
        &mut self,
        phase: &Phase,
        state: &mut LaneState<'_>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<bool, RunError> {
        let Some(name) = &state.lane.node else { return Ok(false) };
        // Of any other answer the step that needs the node says what is wrong.
        if !matches!(self.world.cluster.get(&Resource::NODES.named("", name.as_str())), Ok(None)) {
            return Ok(false);
        }
        let note = "the node does not exist any more";
        while let Some(step) = state.lane.steps.get(state.next) {
            if self.ledger.journal().is_done(subject(state.lane), &step.id) {
                state.go_on();
            } else {
                self.finish(phase, state, step, note.to_owned(), None, tell)?;
            }
        }
        Ok(true)
    }

    fn look_and_act(
        &mut self,
        state: &LaneState<'_>,
        step: &Step,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Seen, Failed> {
        let subject = subject(state.lane);
        let plan = Rc::clone(&self.plan);
        let run = self.ledger.head().run.clone();
        let node = state.lane.node.as_ref().and_then(|name| plan.nodes.iter().find(|node| &node.name == name));
        let record = self.ledger.journal().records.get(subject).cloned();
        let lock = Rc::clone(&self.lock);
        let keep_lock = || lock.borrow_mut().keep();
        let cx = Cx {
            world: self.world,
            plan: &plan,
            run: &run,
            step,
            node,
            record: record.as_ref(),
            accepts_drops: self.accepts_drops,
            covered_since: self.ledger.journal().covered_since(&plan),
            keep_lock: &keep_lock,
        };
        let work = steps::work(&step.action);
        match work.look(&cx)? {
            Look::Met(note, recorded) => {
                work.tidy(&cx)?;
                Ok(Seen::Met(note, recorded))
            }
            Look::Wait(reason) => Ok(Seen::Waits(reason)),
            Look::Blocked(reason) => Ok(Seen::Blocked(reason)),
            // A write is repeated after a while, not in each round.
            Look::Act(intent) if state.acted_at.is_some_and(|at| self.world.clock.since_boot() < at + AGAIN) => {
                Ok(Seen::Waits(progress_of(&intent)))
            }
            Look::Act(intent) => {
                if let Err(reason) = steps::guard(&cx)? {
                    return Ok(Seen::Blocked(reason));
                }
                if !state.acted {
                    tell(Event::Acting {
                        step: step.id.clone(),
                        node: state.lane.node.clone(),
                        what: step.action.to_string(),
                    });
                }
                self.make_durable(subject, step, &intent)?;
                work.act(&cx, &intent)?;
                Ok(Seen::Wrote(intent))
            }
        }
    }

    /// The intent must be in the journal, written by this process, right before each act: its compare and swap is the fence.
    fn make_durable(&mut self, subject: &str, step: &Step, intent: &Value) -> Result<(), Failed> {
        let now = self.world.clock.now();
        self.ledger.intend(subject, &step.id, intent.clone(), now).map_err(|error| Failed::Journal(error.into()))
    }

    fn finish(
        &mut self,
        phase: &Phase,
        state: &mut LaneState<'_>,
        step: &Step,
        note: String,
        recorded: Option<Value>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), RunError> {
        let subject = subject(state.lane);
        let already = self.ledger.journal().records.get(subject).and_then(|r| r.entry(&step.id)).is_none();
        self.ledger.done(subject, &step.id, recorded, self.world.clock.now());
        let now = self.world.clock.since_boot();
        let took = now.saturating_sub(state.step_began.unwrap_or(now));
        let lane_took = now.saturating_sub(state.lane_began.unwrap_or(now));
        state.go_on();
        if state.is_done() {
            self.eta.measured(&phase.id, lane_took);
        }
        self.counter.done += 1;
        let (done, total) = (self.counter.done as usize, self.counter.total as usize);
        let left = self.eta.left(self.ledger.plan(), self.ledger.journal());
        tell(Event::Done {
            step: step.id.clone(),
            node: state.lane.node.clone(),
            what: step.action.to_string(),
            note,
            already,
            took,
            done,
            total,
            left,
        });
        Ok(())
    }

    fn waits(
        &mut self,
        state: &mut LaneState<'_>,
        step: &Step,
        reason: String,
        tell: &mut dyn FnMut(Event),
    ) -> Advance {
        let now = self.world.clock.since_boot();
        if state.reason != reason {
            state.progress = Some(now);
            tell(Event::Waiting { step: step.id.clone(), node: state.lane.node.clone(), reason: reason.clone() });
            state.reason = reason;
        }
        let patience = Duration::from_secs(steps::work(&step.action).patience());
        if now.saturating_sub(state.progress.unwrap_or(now)) > patience {
            return Advance::Blocked(format!(
                "{}: no progress for {} s: {}",
                step.id,
                patience.as_secs(),
                state.reason
            ));
        }
        Advance::Waits
    }
}

/// What a repeated write says of itself: how much is left, or why it is done again.
fn progress_of(intent: &Value) -> String {
    if let Some(left) = intent.get("left") {
        return format!("{left} pods left");
    }
    reason_of(intent).unwrap_or("requested").to_owned()
}

/// Why a step tries again.
fn reason_of(intent: &Value) -> Option<&str> {
    ["again", "why", "after"].iter().find_map(|key| intent.get(key).and_then(Value::as_str))
}

enum Seen {
    Met(String, Option<Value>),
    Wrote(Value),
    Waits(String),
    Blocked(String),
}

enum Failed {
    Journal(RunError),
    Step(StepError),
}

impl From<StepError> for Failed {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}
