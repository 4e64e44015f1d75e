//! Wait until whoever owns kube-ovn-controller has set its flags: what to change, and where, is the reason that is told.

use std::collections::BTreeMap;

use ovncilium_core::plan::flags::hold;
use serde_json::Value;

use super::flags::{self, Place};
use super::{Cx, Look, StepError, Work};

/// Flags without dashes, and their values.
pub(super) struct AwaitFlags<'a>(pub(super) &'a BTreeMap<String, String>);

impl Work for AwaitFlags<'_> {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let place = Place::find(cx.world.cluster, cx.settings())?;
        // Its owner may have changed more, in its own order.
        if hold(&place.list, self.0) {
            return flags::settled(cx, &place, self.0);
        }
        Ok(Look::wait(cx.settings().driver.lasting(self.0)))
    }

    /// Nothing is ours to write.
    fn act(&self, _cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        Ok(())
    }

    /// A change in Git is reviewed and synchronised first.
    fn patience(&self) -> u64 {
        1800
    }
}
