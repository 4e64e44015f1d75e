//! Who changes the flags of kube-ovn-controller: whoever owns them, and never two ways at once.
//!
//! `manifest` is patched by us; a Helm release (`helm`) is upgraded with the chart that is stored in it; what another controller
//! keeps (`external`) is changed by its operator, to whom the change is printed, and waited for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::migrate::NoPlan;
use super::{Action, ObjectRef, flags};
use crate::compat::kube_ovn::switches_of_chart;
use crate::facts::kube_ovn::{Installation, Owner};
use crate::facts::release::{Release, Switch};

/// Who changes the flags, and what that needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Driver {
    /// The Deployment is patched.
    #[default]
    Manifest,
    /// The release is upgraded.
    Helm {
        /// Its name.
        release: String,
        /// Its namespace.
        namespace: String,
        /// The switches as values of its chart, by flag.
        switches: BTreeMap<String, Switch>,
        /// Its objects. An upgrade may patch each although it changes nothing in it: all, where the server applies them, and those
        /// that are read back in other words (`1000m`, `1`).
        patched: Vec<ObjectRef>,
    },
    /// Its owner changes it.
    External {
        /// Argo CD, Flux, …
        owner: String,
        /// The object that manages it, `HelmRelease net/ovn`.
        object: String,
    },
}

impl Driver {
    /// The driver for an installation.
    ///
    /// # Errors
    /// [`NoPlan::Unknown`] when its release was not read, [`NoPlan::Release`] when that cannot be upgraded without changing more.
    pub fn of(installation: &Installation) -> Result<Self, NoPlan> {
        match &installation.owner {
            Owner::Manifest => Ok(Self::Manifest),
            Owner::External { by, object } => Ok(Self::External { owner: by.clone(), object: object.clone() }),
            Owner::Helm { release, namespace } => {
                let name = format!("{namespace}/{release}");
                let found = match &installation.release {
                    Some(found) => found.as_result(),
                    None => Err("it was not read"),
                };
                let found = found.map_err(|why| NoPlan::Unknown {
                    subject: "kube-ovn",
                    reason: format!("Helm release {name}, which owns it: {why}"),
                })?;
                usable(&name, found)?;
                let switches = BTreeMap::from([
                    ("enable-np".to_owned(), found.network_policy.clone()),
                    ("enable-lb".to_owned(), found.load_balancer.clone()),
                ]);
                let (release, namespace) = (release.clone(), namespace.clone());
                Ok(Self::Helm { release, namespace, switches, patched: found.objects.clone() })
            }
        }
    }

    /// The driver of the way back, from the recorded one and the owner of now: who has taken it over since has the last word.
    ///
    /// # Errors
    /// As [`Driver::of`], for a release that has taken it over.
    pub fn of_now(&self, installation: &Installation) -> Result<Self, NoPlan> {
        match (self, &installation.owner) {
            (Self::Helm { release, namespace, .. }, Owner::Helm { release: of, namespace: within })
                if release == of && namespace == within =>
            {
                Ok(self.clone())
            }
            _ => Self::of(installation),
        }
    }

    /// The action that sets `flags`.
    pub fn action(&self, flags: BTreeMap<String, String>) -> Action {
        match self {
            Self::Manifest => Action::SetControllerFlags { flags },
            Self::Helm { .. } => Action::SetReleaseFlags { flags },
            Self::External { .. } => Action::AwaitFlags { flags },
        }
    }

    /// Whether it is the one and only; a plan file need not say so.
    pub fn is_manifest(&self) -> bool {
        *self == Self::Manifest
    }

    /// Values of the release with `flags` set. Going back, a switch is what its owner had said, or left to the chart's own values
    /// (`defaults`) again, wherever that turns it to what is wanted.
    pub fn values(
        &self,
        values: &Value,
        defaults: &Value,
        flags: &BTreeMap<String, String>,
        going_back: bool,
    ) -> Value {
        let Self::Helm { switches, .. } = self else { return values.clone() };
        switches.iter().fold(values.clone(), |values, (flag, switch)| {
            let Some(wanted) = flags.get(flag) else { return values };
            let on = wanted == "true";
            let given = switch.given.as_ref();
            // An upgrade by `--reuse-values` has made what it found the stored chart's own values.
            let said = given
                .or_else(|| switch.find(defaults))
                .is_some_and(|said| *said == Value::Bool(on) || said == wanted.as_str());
            let wanted = Value::Bool(on);
            switch.set(&values, if going_back && said { given } else { Some(&wanted) })
        })
    }

    /// What the owner has to know before `flags` are set; nothing, when none are.
    pub fn notice(&self, flags: &BTreeMap<String, String>) -> Option<String> {
        if flags.is_empty() {
            return None;
        }
        let lasting = self.lasting(flags);
        match self {
            Self::Manifest => None,
            Self::Helm { release, namespace, .. } => Some(format!(
                "Helm release {namespace}/{release} gets a new revision, without hooks, that changes {} and nothing else; {lasting}",
                flags::words(flags)
            )),
            Self::External { .. } => Some(format!("its flags wait for you: {lasting}")),
        }
    }

    /// What has to be written down, and where, so that `flags` stay; one line.
    pub fn lasting(&self, flags: &BTreeMap<String, String>) -> String {
        match self {
            Self::Manifest => format!("keep {} in the manifest of kube-ovn-controller", flags::words(flags)),
            Self::Helm { release, namespace, switches, .. } => {
                let keys =
                    switches.iter().filter_map(|(flag, switch)| Some(format!("{}={}", switch.key, flags.get(flag)?)));
                let keys = keys.collect::<Vec<_>>().join(" and ");
                format!("keep {keys} in the values of release {namespace}/{release}")
            }
            Self::External { owner, object } => external(owner, object, flags),
        }
    }
}

fn usable(name: &str, found: &Release) -> Result<(), NoPlan> {
    let refused = |why: String| NoPlan::Release { release: name.to_owned(), why };
    if found.status != "deployed" {
        return Err(refused(format!("its revision {} is {}", found.revision, found.status)));
    }
    match found.also_changes.as_slice() {
        [] => Ok(()),
        more => Err(refused(format!(
            "an upgrade that turns off nothing but network policy and load balancer would also change {}",
            super::migrate::named(more)
        ))),
    }
}

/// The change where another controller has the last word, by the kind of the object it goes by.
fn external(owner: &str, object: &str, flags: &BTreeMap<String, String>) -> String {
    let values = |chart: &str| {
        let keys = switches_of_chart(chart, "").into_iter().flatten();
        let set = keys.filter_map(|(flag, key)| Some(format!("{key}={}", flags.get(flag)?)));
        format!("{} (chart {chart})", set.collect::<Vec<_>>().join(" "))
    };
    let values = format!("{} or {}", values("kube-ovn"), values("kube-ovn-v2"));
    let args = format!("args of kube-ovn-controller {}", flags::words(flags));
    match object.split_once(' ') {
        Some(("HelmRelease", name)) => format!("set in `spec.values` of HelmRelease {name}, in Git: {values}"),
        Some((kind @ ("HelmChartConfig" | "HelmChart"), name)) => {
            format!("set in `spec.valuesContent` of {kind} {name}: {values}")
        }
        Some(("Addon", name)) => {
            format!("set in the manifest of addon {name}, in the servers' directory `manifests` of k3s or RKE2: {args}")
        }
        _ => format!("set in the source of {object}, which {owner} applies: {values}, or {args}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off() -> BTreeMap<String, String> {
        flags::SWITCHES.into_iter().map(|flag| (flag.to_owned(), "false".to_owned())).collect()
    }

    #[test]
    fn each_owner_is_told_where_to_write_it_down() {
        let external =
            |object: &str| Driver::External { owner: "Flux".to_owned(), object: object.to_owned() }.lasting(&off());
        let text = external("HelmRelease net/ovn");
        assert!(
            text.contains("spec.values` of HelmRelease net/ovn") && text.contains("func.ENABLE_NP=false"),
            "{text}"
        );
        assert!(text.contains("features.enableNetworkPolicies=false (chart kube-ovn-v2)"), "{text}");
        assert!(external("HelmChartConfig kube-system/kube-ovn").contains("spec.valuesContent` of HelmChartConfig"));
        assert!(external("Addon kube-system/kube-ovn").contains("--enable-lb=false --enable-np=false"));
        assert!(external("Application net").contains("source of Application net, which Flux applies"));
        assert!(Driver::Manifest.lasting(&off()).contains("--enable-np=false"));
    }
}
