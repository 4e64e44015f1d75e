//! Goes through a plan: phases, stages, lanes side by side, one request at a time.
//!
//! One thread polls all lanes of a stage in turn, so that a run is a function of what the world answers. The first thing that
//! cannot go on pauses the run; nothing is skipped.

mod claim;
mod eta;
mod lane;
mod watch;

pub use claim::{Claim, ClaimError, claim};
pub use eta::Eta;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ovncilium_core::journal::State;
use ovncilium_core::plan::{Kind, Phase, Plan, Stage};

use crate::events::Event;
use crate::journal::{JournalError, Ledger, Store};
use crate::lock::{Lock, LockError};
use crate::steps::StepError;
use crate::world::World;
use lane::{Advance, LaneState};
use watch::FlagWatch;

/// How often the world is looked at again.
const POLL: Duration = Duration::from_millis(500);
/// Lanes in work at once, where a stage has more (stages made of waves have fewer anyway).
const LANES: usize = 16;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every step is done.
    Done,
    /// Something must be looked at by a person; running again goes on.
    Paused(String),
    /// A person asked to stop.
    Stopped,
}

/// Why a run broke off. The journal holds what was done; running again goes on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A step.
    #[error("step {step} failed")]
    Step {
        /// Its id.
        step: String,
        /// Why.
        #[source]
        source: StepError,
    },
}

/// Asked before each stage of a migration after the installation: `Err` is why the run must not go on.
pub type Gate<'g> = dyn FnMut() -> Result<(), String> + 'g;

/// Steps done and steps of the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    pub(crate) done: u32,
    pub(crate) total: u32,
}

/// A claimed run.
pub struct Run<'a> {
    pub(crate) world: World<'a>,
    pub(crate) store: Store<'a>,
    /// Shared with the step in work, which keeps it while helm runs.
    pub(crate) lock: Rc<RefCell<Lock<'a>>>,
    pub(crate) ledger: Ledger<'a>,
    /// The ledger's plan, shared so that a look need not copy it.
    pub(crate) plan: Rc<Plan>,
    pub(crate) counter: Counter,
    pub(crate) eta: Eta,
    pub(crate) accepts_drops: bool,
    pub(crate) flags: FlagWatch,
}

impl Run<'_> {
    /// The journal's writer, for reports.
    pub fn ledger(&self) -> &Ledger<'_> {
        &self.ledger
    }

    /// Whether a person has seen what Cilium would drop, and accepts it. Nothing is accepted unless this is said.
    pub fn accepting_drops(mut self, accepts: bool) -> Self {
        self.accepts_drops = accepts;
        self
    }

    /// Carry the plan out from where the journal says it is. The lock is given back whatever happens, unless it was lost.
    ///
    /// # Errors
    /// [`RunError`]; the journal is intact.
    pub fn carry_out(mut self, gate: &mut Gate<'_>, tell: &mut dyn FnMut(Event)) -> Result<Ended, RunError> {
        let ended = self.phases(gate, tell);
        match &ended {
            Ok(Ended::Done) => self.close()?,
            Ok(Ended::Paused(reason)) => self.note(State::Paused, reason)?,
            Ok(Ended::Stopped) => self.note(State::Paused, "stopped on request")?,
            Err(RunError::Step { source, .. }) => {
                // The cause is reported either way; a journal that cannot be written now says less, not something wrong.
                let _noted = self.note(State::Paused, &source.to_string());
            }
            Err(_) => {}
        }
        match ended {
            Err(RunError::Lock(LockError::Held { .. }) | RunError::Journal(JournalError::Fenced { .. })) => {}
            Err(_) => {
                // The first error is the one to tell; a lock that cannot be given back expires.
                let _released = self.lock.borrow().release();
            }
            Ok(_) => self.lock.borrow().release()?,
        }
        ended
    }

    fn phases(&mut self, gate: &mut Gate<'_>, tell: &mut dyn FnMut(Event)) -> Result<Ended, RunError> {
        let plan = Rc::clone(&self.plan);
        for phase in &plan.phases {
            let mut announced = false;
            for (index, stage) in phase.stages.iter().enumerate() {
                if self.is_done(stage) {
                    continue;
                }
                if !announced {
                    announced = true;
                    tell(Event::Phase { number: phase.number, id: phase.id.clone(), title: phase.title.clone() });
                }
                let on_nodes = stage.lanes.iter().any(|lane| lane.node.is_some());
                if plan.kind == Kind::Migrate
                    && phase.number >= 2
                    && let Err(reason) = gate()
                {
                    return Ok(Ended::Paused(reason));
                }
                self.enter(phase, stage)?;
                tell(Event::Stage {
                    title: stage.title.clone(),
                    nodes: stage.lanes.iter().filter_map(|lane| lane.node.clone()).collect(),
                });
                match self.stage(phase, stage, tell)? {
                    Ended::Done => {}
                    other => return Ok(other),
                }
                if on_nodes && index + 1 == phase.stages.len() {
                    self.ledger.seal()?;
                } else {
                    self.ledger.flush_all()?;
                }
                if let Some(ended) = self.soak(stage.soak_seconds, tell)? {
                    return Ok(ended);
                }
            }
        }
        self.flags = FlagWatch::default();
        Ok(self.put_back().map_or(Ended::Done, Ended::Paused))
    }

    fn is_done(&self, stage: &Stage) -> bool {
        stage.lanes.iter().all(|lane| {
            let subject = lane::subject(lane);
            lane.steps.iter().all(|step| self.ledger.journal().is_done(subject, &step.id))
        })
    }

    fn enter(&mut self, phase: &Phase, stage: &Stage) -> Result<(), RunError> {
        let done = self.counter.done;
        let (number, title) = (phase.number, stage.title.clone());
        self.ledger.header(self.world.clock.now(), |header| {
            header.phase = number;
            header.stage = title;
            header.steps_done = done;
        })?;
        Ok(())
    }

    fn stage(&mut self, phase: &Phase, stage: &Stage, tell: &mut dyn FnMut(Event)) -> Result<Ended, RunError> {
        let mut lanes: Vec<LaneState<'_>> = stage.lanes.iter().map(LaneState::new).collect();
        let mut stopping = 0;
        self.flags = FlagWatch::default();
        loop {
            self.lock.borrow_mut().keep()?;
            if let Some(reason) = self.put_back() {
                return Ok(Ended::Paused(reason));
            }
            let asked = self.world.clock.stop_requested();
            if asked > stopping {
                stopping = asked;
                tell(Event::Stopping { finishing: asked == 1 });
            }
            if stopping >= 2 {
                return Ok(Ended::Stopped);
            }
            let mut open = 0;
            let mut moved = false;
            for lane in &mut lanes {
                if lane.is_done() || open >= LANES || (stopping > 0 && !lane.has_begun()) {
                    continue;
                }
                open += 1;
                if !lane.has_begun() && self.pass_over(phase, lane, tell)? {
                    moved = true;
                    continue;
                }
                match self.advance(phase, lane, tell) {
                    Ok(Advance::Moved) => moved = true,
                    Ok(Advance::Waits) => {}
                    Ok(Advance::Blocked(_)) | Err(RunError::Step { .. }) if self.pass_over(phase, lane, tell)? => {
                        moved = true;
                    }
                    Ok(Advance::Blocked(reason)) => return Ok(Ended::Paused(reason)),
                    Err(error) => return Err(error),
                }
            }
            if open == 0 {
                let done = lanes.iter().all(LaneState::is_done);
                return Ok(if done { Ended::Done } else { Ended::Stopped });
            }
            if !moved {
                self.world.clock.sleep(POLL);
            }
        }
    }

    fn soak(&mut self, seconds: u32, tell: &mut dyn FnMut(Event)) -> Result<Option<Ended>, RunError> {
        if seconds > 0 {
            tell(Event::Soaking { seconds });
        }
        for _ in 0..seconds {
            if self.world.clock.stop_requested() > 0 {
                return Ok(Some(Ended::Stopped));
            }
            self.lock.borrow_mut().keep()?;
            if let Some(reason) = self.put_back() {
                return Ok(Some(Ended::Paused(reason)));
            }
            self.world.clock.sleep(Duration::from_secs(1));
        }
        Ok(if self.world.clock.stop_requested() > 0 { Some(Ended::Stopped) } else { None })
    }

    fn note(&mut self, state: State, message: &str) -> Result<(), RunError> {
        self.ledger.flush_all()?;
        let done = self.counter.done;
        self.ledger.header(self.world.clock.now(), |header| {
            header.state = state;
            header.steps_done = done;
            header.message = message.chars().take(1000).collect();
        })?;
        Ok(())
    }

    /// The end: a migration keeps its journal, which a rollback needs; a rollback leaves nothing.
    fn close(&mut self) -> Result<(), RunError> {
        self.note(State::Done, "")?;
        let keep = (self.ledger.plan().kind != Kind::Rollback).then(|| self.ledger.head().clone());
        self.store.clean(keep.as_ref())?;
        Ok(())
    }
}
