//! Phase 0: take the lock, then begin a run or take over the one that is recorded.

use std::collections::BTreeMap;

use ovncilium_core::journal::State;
use ovncilium_core::plan::{Kind, Plan};

use super::{Eta, Run};
use crate::events::Event;
use crate::journal::{JournalError, Ledger, Loaded, Store};
use crate::lock::{Lock, LockError};
use crate::world::World;

/// What is to be run.
pub enum Claim<'c> {
    /// A new run of this plan, with what must travel with it.
    Begin {
        /// The plan.
        plan: &'c Plan,
        /// Chart, policy modules and their settings, by name.
        attachments: &'c BTreeMap<String, Vec<u8>>,
    },
    /// The recorded run.
    Resume,
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
        Ok(ledger) => {
            tell(Event::Claimed {
                run: ledger.head().run.to_string(),
                epoch: ledger.head().epoch,
                resumed: ledger.journal().done(),
            });
            Ok(Run { world, store, lock, ledger, eta: Eta::default() })
        }
        Err(error) => {
            // The cause is what counts; a lock that cannot be given back expires by itself.
            let _released = lock.release();
            Err(error)
        }
    }
}

fn open<'a>(world: World<'a>, store: Store<'a>, claim: &Claim<'_>) -> Result<Ledger<'a>, ClaimError> {
    let found = store.load()?;
    let now = world.clock.now();
    let loaded: Loaded = match (claim, found) {
        (Claim::Resume, Some(loaded)) if loaded.journal.header.state != State::Done => loaded,
        (Claim::Resume, _) => return Err(ClaimError::NothingRecorded),
        (Claim::Begin { plan, .. }, Some(loaded))
            if plan.kind == Kind::Migrate && loaded.journal.header.state != State::Done =>
        {
            return Err(ClaimError::Unfinished { run: loaded.journal.header.run.to_string() });
        }
        (Claim::Begin { plan, attachments }, found) => store.begin(plan, attachments, now, found.as_ref())?,
    };
    Ok(Ledger::take_over(store, loaded, now)?)
}
