//! The Helm release that owns Kube-OVN: read into a fact for the planner, and compared before it is upgraded.

use std::collections::BTreeMap;

use ovncilium_core::compat::kube_ovn::switches_of_chart;
use ovncilium_core::facts::kube_ovn::{Installation, Owner};
use ovncilium_core::facts::release::{Release, Switch};
use ovncilium_core::facts::{Facts, Known};
use ovncilium_core::plan::upgrade::{self, FlagList};
use serde_json::Value;

use crate::steps::StepError;
use crate::world::{Charts, ChartsError, Cluster, Kept};

/// Reads the release of a Kube-OVN that Helm owns and that has a switch left to turn off; what cannot be read is unknown, with why.
/// Reads only.
pub fn read_into(facts: &mut Facts, cluster: &dyn Cluster, charts: &dyn Charts) {
    let Known::Known(kube_ovn) = &mut facts.kube_ovn.value else { return };
    for installation in &mut kube_ovn.installations {
        let Owner::Helm { release, namespace } = installation.owner.clone() else { continue };
        installation.release = Some(match read(installation, cluster, charts, &release, &namespace) {
            Ok(found) => Known::Known(found),
            Err(why) => Known::Unknown(why),
        });
    }
}

fn read(
    installation: &Installation,
    cluster: &dyn Cluster,
    charts: &dyn Charts,
    release: &str,
    namespace: &str,
) -> Result<Release, String> {
    if release.is_empty() || namespace.is_empty() {
        return Err("its objects do not tell its name".to_owned());
    }
    let words = |error: ChartsError| error.to_string();
    let kept = charts.kept(release, namespace).map_err(words)?.ok_or("there is none of that name")?;
    let Some(keys) = switches_of_chart(&kept.chart, &kept.chart_version) else {
        return Err(format!(
            "what the values of its chart {} {} are called is not known",
            kept.chart, kept.chart_version
        ));
    };
    let switch = |flag: &str| {
        let key = keys.iter().find(|(of, _)| *of == flag).map_or("", |(_, key)| key);
        Switch::read(key, &kept.values)
    };
    let (network_policy, load_balancer) = (switch("enable-np")?, switch("enable-lb")?);
    let controller = &installation.controller;
    let mut off = BTreeMap::new();
    let mut wanted = kept.values.clone();
    for (flag, on, switch) in
        [("enable-np", controller.enable_np, &network_policy), ("enable-lb", controller.enable_lb, &load_balancer)]
    {
        if on {
            off.insert(flag.to_owned(), "false".to_owned());
            wanted = switch.set(&wanted, Some(&Value::Bool(false)));
        }
    }
    let list = FlagList {
        namespace: &installation.namespace,
        name: &controller.name,
        container: &controller.container_name,
        field: &controller.flags_in,
    };
    let objects = upgrade::objects(&kept.manifest, namespace)?.into_keys().collect();
    let also_changes = match off.is_empty() || kept.status != "deployed" {
        true => Vec::new(),
        false => differences(cluster, charts, (release, namespace), &kept, &wanted, &list, &off)
            .map_err(|error| error.to_string())?,
    };
    let Kept { revision, status, chart, chart_version, .. } = kept;
    Ok(Release { revision, status, chart, chart_version, network_policy, load_balancer, objects, also_changes })
}

/// What an upgrade of the release (name, namespace) to `wanted` would change besides the switches `to`: against what the release
/// made, and against the live objects. Reads only.
///
/// # Errors
/// [`StepError`] when helm does not render, or an object may not be read.
pub(crate) fn differences(
    cluster: &dyn Cluster,
    charts: &dyn Charts,
    (release, namespace): (&str, &str),
    kept: &Kept,
    wanted: &Value,
    list: &FlagList<'_>,
    to: &BTreeMap<String, String>,
) -> Result<Vec<String>, StepError> {
    let unread =
        |message: String| StepError::Charts(ChartsError::Failed { command: "upgrade --dry-run".to_owned(), message });
    let made = upgrade::objects(&kept.manifest, namespace).map_err(unread)?;
    let rendered = charts.render_kept(release, namespace, wanted)?;
    let new = upgrade::objects(&rendered, namespace).map_err(unread)?;
    let mut more = upgrade::beyond_flags(&made, &new, list, to);
    if more.is_empty() {
        for (object, manifest) in &new {
            let live = cluster.get(object)?;
            more.extend(upgrade::drift(object, manifest, live.as_ref(), list, to));
        }
    }
    Ok(more)
}
