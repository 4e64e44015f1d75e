//! Watches over what a run has set once and relies on since: the flags of kube-ovn-controller. A controller that puts them back
//! stops the run at once, instead of being fought.

use std::collections::BTreeMap;
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
        let flags = self.set_flags();
        if flags.is_empty() {
            return None;
        }
        let settings = &self.plan.settings;
        let place = Place::find(self.world.cluster, settings).ok()?;
        (!hold(&place.list, &flags)).then(|| place.put_back(settings, &flags))
    }

    /// Flags as the finished steps have left them. A takeover sets one twice; while a step is at work on it, that step watches it.
    fn set_flags(&self) -> BTreeMap<String, String> {
        let journal = self.ledger.journal();
        let record = journal.records.get("cluster");
        let mut set = BTreeMap::new();
        for (_, _, step) in self.plan.steps().filter(|(_, node, _)| node.is_none()) {
            let Some(flags) = step.action.controller_flags() else { continue };
            if journal.is_done("cluster", &step.id) {
                set.extend(flags.clone());
            } else if record.is_some_and(|record| record.entry(&step.id).is_some()) {
                set.retain(|flag, _| !flags.contains_key(flag));
            }
        }
        set
    }
}
