//! Set flags of kube-ovn-controller by an upgrade of the Helm release that owns it: the chart that is stored in it, its own values,
//! and the two switches.
//!
//! Nothing else may change. What helm would make is compared with what the release made and with the live objects before each
//! upgrade. The journal knows the switches and a digest of the values, which may hold secrets.

use std::collections::BTreeMap;

use ovncilium_core::Digest;
use ovncilium_core::plan::{Driver, Kind, upgrade};
use serde_json::{Value, json};

use super::flags::{self, Place};
use super::support::{some, text};
use super::{Cx, Look, StepError, Work};
use crate::kube_ovn_release::differences;
use crate::world::Kept;

/// Flags without dashes, and their values.
pub(super) struct SetReleaseFlags<'a>(pub(super) &'a BTreeMap<String, String>);

/// The release of the plan.
struct Owner<'a> {
    release: &'a str,
    namespace: &'a str,
}

impl Owner<'_> {
    fn of<'c>(cx: &'c Cx<'_>) -> Result<Owner<'c>, StepError> {
        match &cx.settings().driver {
            Driver::Helm { release, namespace, .. } => Ok(Owner { release, namespace }),
            _ => Err(StepError::Plan("it names no Helm release of Kube-OVN".to_owned())),
        }
    }

    fn kept(&self, cx: &Cx<'_>) -> Result<Kept, StepError> {
        let Owner { release, namespace } = self;
        let kept = cx.world.charts.kept(release, namespace)?;
        kept.ok_or_else(|| StepError::Plan(format!("Helm release {namespace}/{release} is gone")))
    }
}

impl SetReleaseFlags<'_> {
    fn values(&self, cx: &Cx<'_>, kept: &Kept) -> Value {
        cx.settings().driver.values(&kept.values, &kept.defaults, self.0, cx.plan.kind == Kind::Rollback)
    }

    /// Why the release may not be upgraded now.
    fn hindrance(&self, cx: &Cx<'_>, owner: &Owner<'_>, kept: &Kept) -> Result<Option<Look>, StepError> {
        let name = format!("Helm release {}/{}", owner.namespace, owner.release);
        let recorded = cx.recorded()["revision"].as_u64();
        // The revision after the one that was seen when the intent was written is what our helm left behind.
        let ours = recorded.is_some_and(|before| u64::from(kept.revision) == before + 1);
        if kept.status.starts_with("pending-") && !ours {
            return Ok(Some(Look::wait(format!("another helm is at work on {name} (revision {})", kept.revision))));
        }
        if kept.status != "deployed" && !ours {
            return Ok(Some(Look::Blocked(format!("revision {} of {name} is {}", kept.revision, kept.status))));
        }
        let announced = flags::announced(cx).and_then(|recorded| recorded["revision"].as_u64());
        if announced.is_some_and(|before| u64::from(kept.revision) > before + 1) {
            return Ok(Some(Look::Blocked(format!(
                "{name} was upgraded by somebody else meanwhile, to revision {}; {}",
                kept.revision,
                cx.settings().driver.lasting(self.0)
            ))));
        }
        Ok(None)
    }
}

impl Work for SetReleaseFlags<'_> {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let settings = cx.settings();
        let place = Place::find(cx.world.cluster, settings)?;
        let owner = Owner::of(cx)?;
        let kept = owner.kept(cx)?;
        let wanted = self.values(cx, &kept);
        let target = flags::target(cx, self.0, &place.list);
        if place.list == target && kept.values == wanted && kept.status == "deployed" {
            return flags::settled(cx, &place, self.0);
        }
        if let Some(hindrance) = self.hindrance(cx, &owner, &kept)? {
            return Ok(hindrance);
        }
        if place.list != target && place.was_put_back(cx) {
            return Ok(Look::Blocked(place.put_back(settings, self.0)));
        }
        let intent = json!({
            "object": place.object.to_string(),
            "generation": place.generation(),
            "release": format!("{}/{}", owner.namespace, owner.release),
            "revision": kept.revision,
            "values": Digest::of(wanted.to_string()),
            "before": place.list,
            "after": target,
        });
        // What our own helm was killed at was compared before, and helm renders nothing while it is pending.
        if kept.status.starts_with("pending-") {
            return Ok(Look::Act(intent));
        }
        let list = upgrade::FlagList {
            namespace: &settings.namespace,
            name: &settings.controller,
            container: &settings.controller_container,
            field: &settings.controller_flags_in,
        };
        let release = (owner.release, owner.namespace);
        let more = differences(cx.world.cluster, cx.world.charts, release, &kept, &wanted, &list, self.0)?;
        if !more.is_empty() {
            return Ok(Look::Blocked(format!(
                "an upgrade of Helm release {}/{} would also change {}",
                owner.namespace,
                owner.release,
                some(&more)
            )));
        }
        Ok(Look::Act(intent))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let owner = Owner::of(cx)?;
        let kept = owner.kept(cx)?;
        let wanted = self.values(cx, &kept);
        if text(intent, "/values") != Digest::of(wanted.to_string()).to_string() {
            return Err(StepError::Plan("the values of the release are not those of the intent".to_owned()));
        }
        cx.world.charts.upgrade_kept(owner.release, owner.namespace, &wanted, &mut cx.heartbeat())?;
        Ok(())
    }
}
