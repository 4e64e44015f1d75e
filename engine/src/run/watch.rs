//! Watches over what a run has set once and relies on since: the flags of kube-ovn-controller. A controller that puts them back
//! stops the run at once, instead of being fought.

use std::time::Duration;

use ovncilium_core::plan::flags::hold;

use super::Run;
use crate::steps::flags::Place;

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// When they were looked at last; a new one looks at once.
#[derive(Debug, Default)]
pub(crate) struct FlagWatch {
    last: Option<Duration>,
}

impl Run<'_> {
    /// Why the run must not go on: flags that a finished step of it has set are not set any more. What cannot be read now is
    /// looked at again soon, or stops a step that needs it.
    pub(super) fn put_back(&mut self) -> Option<String> {
        let now = self.world.clock.since_boot();
        if self.flags.last.is_some_and(|last| now.saturating_sub(last) < LOOK) {
            return None;
        }
        self.flags.last = Some(now);
        let flags = self.plan.steps().find_map(|(_, node, step)| {
            let flags = step.action.controller_flags()?;
            let done = node.is_none() && self.ledger.journal().is_done("cluster", &step.id);
            done.then_some(flags)
        })?;
        let settings = &self.plan.settings;
        let place = Place::find(self.world.cluster, settings).ok()?;
        (!hold(&place.list, flags)).then(|| place.put_back(settings, flags))
    }
}
