//! Phase 0: take the lock, then begin a run or take over the one that is recorded.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ovncilium_core::ids::{RunId, StepId};
use ovncilium_core::journal::State;
use ovncilium_core::plan::action::{RUN_LABEL, TASK_LABEL};
use ovncilium_core::plan::{Kind, Plan, Resource};
use serde_json::{Value, json};

use super::{Counter, Eta, Run};
use crate::events::Event;
use crate::journal::{JournalError, Ledger, Loaded, Store};
use crate::lock::{Lock, LockError};
use crate::world::{Filter, World};

/// What is to be run.
pub enum Claim<'c> {
    /// A new run of this plan, with what must travel with it.
    Begin {
        /// The plan.
        plan: &'c Plan,
        /// Chart, policy modules and their settings, by name.
        attachments: &'c BTreeMap<String, Vec<u8>>,
    },
    /// The recorded run, if it is still the one that was read and shown.
    Resume {
        /// Its id.
        run: &'c RunId,
    },
}

/// Why nothing was claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is nothing to resume.
    #[error("no unfinished run is recorded")]
    NothingRecorded,
    /// Somebody else has recorded another run since the plan was made, or since it was read.
    #[error("somebody has begun run {run} meanwhile, a {noun}, and it is not what was shown")]
    Overtaken {
        /// Its id.
        run: String,
        /// What it is.
        noun: &'static str,
    },
    /// A migration is in work and another one was to begin.
    #[error("run {run} is recorded and not finished")]
    Unfinished {
        /// Its id.
        run: String,
    },
    /// The plan is too old to be started.
    #[error("the plan expired at {at}")]
    Expired {
        /// When.
        at: jiff::Timestamp,
    },
    /// The plan was made for another cluster.
    #[error("the plan was made for cluster {planned}, this is {found}")]
    OtherCluster {
        /// UID in the plan.
        planned: String,
        /// UID of this cluster.
        found: String,
    },
}

/// Take the lock and the journal. Nothing else is written.
///
/// # Errors
/// [`ClaimError`]; the lock is given back.
pub fn claim<'a>(
    world: World<'a>,
    namespace: &'a str,
    holder: &str,
    claim: &Claim<'_>,
    tell: &mut dyn FnMut(Event),
) -> Result<Run<'a>, ClaimError> {
    let store = Store::new(world.cluster, namespace);
    if let Claim::Begin { plan, .. } = claim
        && world.clock.now() > plan.expires_at
    {
        return Err(ClaimError::Expired { at: plan.expires_at });
    }
    let lock = Lock::take(world, namespace, holder, &mut |holder| {
        tell(Event::WaitingForLock { holder: holder.to_owned() });
    })?;
    match open(world, store, claim) {
        Ok(mut ledger) => {
            if let Err(error) = remove_old_tasks(world, namespace, &mut ledger) {
                let _released = lock.release();
                return Err(error);
            }
            tell(Event::Claimed {
                run: ledger.head().run.to_string(),
                epoch: ledger.head().epoch,
                resumed: ledger.journal().done(),
            });
            let plan = Rc::new(ledger.plan().clone());
            let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
            let counter = Counter { done: count(ledger.journal().done()), total: count(plan.steps().count()) };
            Ok(Run {
                world,
                store,
                lock: Rc::new(RefCell::new(lock)),
                ledger,
                plan,
                counter,
                eta: Eta::default(),
                accepts_drops: false,
                flags: super::FlagWatch::default(),
            })
        }
        Err(error) => {
            // The cause is what counts; a lock that cannot be given back expires by itself.
            let _released = lock.release();
            Err(error)
        }
    }
}

/// Task pods of other runs go: their process is gone, and a rollback must leave nothing.
fn remove_old_tasks(world: World<'_>, namespace: &str, ledger: &mut Ledger<'_>) -> Result<(), ClaimError> {
    let reading = |error| ClaimError::Journal(JournalError::reading(error));
    let filter = Filter::in_namespace(namespace).labelled(TASK_LABEL);
    let pods = world.cluster.list(&Resource::PODS, &filter).map_err(reading)?;
    let text = |pod: &Value, pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let old: Vec<(String, String)> = pods
        .iter()
        .filter(|pod| {
            let run = pod.pointer("/metadata/labels").and_then(|labels| labels.get(RUN_LABEL)).and_then(Value::as_str);
            run != Some(ledger.head().run.as_str())
        })
        .map(|pod| (text(pod, "/metadata/name"), text(pod, "/metadata/uid")))
        .collect();
    if old.is_empty() {
        return Ok(());
    }
    let step = StepId("claim/remove-old-tasks".to_owned());
    ledger.intend("cluster", &step, json!({ "pods": old }), world.clock.now())?;
    for (name, uid) in &old {
        let writing = |error| ClaimError::Journal(JournalError::writing(error));
        world.cluster.delete(&Resource::PODS.named(namespace, name), Some(uid)).map_err(writing)?;
    }
    ledger.done("cluster", &step, None, world.clock.now());
    Ok(())
}

/// Whether a run may begin while another one is in the middle: a way back, from what that one was at.
fn may_follow(kind: Kind, unfinished: Kind) -> bool {
    match kind {
        Kind::Migrate | Kind::ReplaceKubeProxy => false,
        // Before kube-proxy is back there is no way back further.
        Kind::Rollback => matches!(unfinished, Kind::Migrate | Kind::Rollback),
        Kind::RestoreKubeProxy => matches!(unfinished, Kind::ReplaceKubeProxy | Kind::RestoreKubeProxy),
    }
}

/// Whether a run may begin after another one, whatever has come of that.
fn may_follow_at_all(kind: Kind, recorded: Kind) -> bool {
    match kind {
        Kind::Migrate => true,
        // Nobody would serve Services without Cilium.
        Kind::Rollback => recorded != Kind::ReplaceKubeProxy,
        // A rollback has taken away what serves.
        Kind::ReplaceKubeProxy | Kind::RestoreKubeProxy => recorded != Kind::Rollback,
    }
}

fn overtaken(loaded: &Loaded) -> ClaimError {
    let header = &loaded.journal.header;
    ClaimError::Overtaken { run: header.run.to_string(), noun: header.kind.noun() }
}

fn open<'a>(world: World<'a>, store: Store<'a>, claim: &Claim<'_>) -> Result<Ledger<'a>, ClaimError> {
    let found = store.load()?;
    let now = world.clock.now();
    let loaded: Loaded = match (claim, found) {
        (Claim::Resume { run }, Some(loaded)) if loaded.journal.header.run != **run => {
            return Err(overtaken(&loaded));
        }
        (Claim::Resume { .. }, Some(loaded)) if loaded.journal.header.state != State::Done => loaded,
        (Claim::Resume { .. }, _) => return Err(ClaimError::NothingRecorded),
        (Claim::Begin { plan, .. }, Some(loaded))
            if loaded.journal.header.state != State::Done && !may_follow(plan.kind, loaded.journal.header.kind) =>
        {
            return Err(ClaimError::Unfinished { run: loaded.journal.header.run.to_string() });
        }
        (Claim::Begin { plan, .. }, Some(loaded)) if !may_follow_at_all(plan.kind, loaded.journal.header.kind) => {
            return Err(overtaken(&loaded));
        }
        (Claim::Begin { plan, .. }, None) if !matches!(plan.kind, Kind::Migrate | Kind::Rollback) => {
            return Err(ClaimError::NothingRecorded);
        }
        (Claim::Begin { plan, attachments }, found) => store.begin(plan, attachments, now, found.as_ref())?,
    };
    Ok(Ledger::take_over(store, loaded, now)?)
}
