//! Each value counts: without it the real chart renders something else. And what the version table says of values is what charts do.

use std::path::Path;

use ovncilium_core::compat::cilium::{Effect, VALUES};
use serde_json::Value;

use super::{Chart, Helm, Stage, values, write};
use crate::{
    error::{Error, Result},
    verdict::expect,
};

/// Said although they repeat a default, or follow from another value: what they keep from happening is worse than a line too many.
const SAID_ALL_THE_SAME: [&str; 5] =
    ["cni.chainingMode", "cni.exclusive", "kubeProxyReplacement", "operator.setNodeTaints", "policyAuditMode"];

/// Takes each value away in turn.
pub(super) fn each_value_counts(stage: &Stage<'_>, chart: &Chart, layout: &str) -> Result<()> {
    let printed = values(stage, chart, layout, &["-o", "json"])?;
    let printed: Value = serde_json::from_str(&printed).map_err(Error::json("values -o json"))?;
    let all = &printed["values"];
    let keys: Vec<String> = printed["why"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry["key"].as_str()?.to_owned()))
        .collect();
    expect(keys.len() > 12, || format!("only {} values", keys.len()))?;
    let whole = rendered(stage, chart, all)?.unwrap_or_default();
    expect(!whole.is_empty(), || "the values do not render".to_owned())?;
    for key in keys.iter().filter(|key| !SAID_ALL_THE_SAME.contains(&key.as_str())) {
        let mut without = all.clone();
        take(&mut without, key);
        expect(rendered(stage, chart, &without)?.as_deref() != Some(&whole), || {
            format!("without {key} the chart renders the same: it is ignored, or a default")
        })?;
    }
    Ok(())
}

/// Sets each value of the table beside the ones that are printed.
pub(super) fn table_is_true(stage: &Stage<'_>, chart: &Chart) -> Result<()> {
    let layout = chart.layouts()[0];
    let printed = values(stage, chart, layout, &["-o", "json"])?;
    let printed: Value = serde_json::from_str(&printed).map_err(Error::json("values -o json"))?;
    let known = ovncilium_core::compat::cilium::Chart::of(&chart.version)
        .map_err(|error| Error::Expectation(error.to_string()))?;
    let mut keys: Vec<&str> = VALUES.iter().map(|row| row.key).collect();
    keys.dedup();
    for key in keys {
        let (path, word) = key.split_once('=').unwrap_or((key, ""));
        let mut base = printed["values"].clone();
        // One tunnel key at a time, and one way to name the range.
        for other in ["tunnel", "routingMode"].iter().filter(|_| path == "tunnel" || path == "routingMode") {
            take(&mut base, other);
        }
        take(&mut base, path);
        if path.starts_with("kubeProxyReplacement") {
            base["k8sServiceHost"] = "192.0.2.1".into();
            base["k8sServicePort"] = "6443".into();
        }
        // Charts before 1.14 ask for single features only of a partial replacement.
        if matches!(path, "externalIPs.enabled" | "hostPort.enabled" | "nodePort.enabled") && chart.minor < 14 {
            base["kubeProxyReplacement"] = "partial".into();
        }
        let before = rendered(stage, chart, &base)?;
        set(&mut base, path, probe(path, word, chart.minor));
        let after = rendered(stage, chart, &base)?;
        let seen = match (&before, &after) {
            (Some(_), None) => Effect::Fails,
            (before, after) if before == after => Effect::Ignored,
            _ => Effect::Read,
        };
        // A word that is the default is read without a trace; what matters of words is whether they are refused.
        let told = known.effect(key);
        let same = if word.is_empty() { seen == told } else { (seen == Effect::Fails) == (told == Effect::Fails) };
        // Some charts hand a word of a later time to the agent unread; that is told as ignored.
        expect(same, || format!("{key}: the table says {told:?}, the chart does {seen:?}"))?;
    }
    Ok(())
}

/// A value that shows.
fn probe(path: &str, word: &str, minor: u64) -> Value {
    match path {
        _ if !word.is_empty() => word.into(),
        "cni.chainingTarget" => "probe".into(),
        "cni.uninstall" | "operator.unmanagedPodWatcher.restart" => (path == "cni.uninstall").into(),
        "daemon.enableSourceIPVerification" | "operator.setNodeNetworkStatus" | "operator.setNodeTaints" => {
            false.into()
        }
        // Any word is taken over; `true` is the default of old charts.
        "sessionAffinity" => "probe".into(),
        "ipam.operator.clusterPoolIPv4PodCIDR" => "10.9.0.0/16".into(),
        "ipam.operator.clusterPoolIPv4PodCIDRList" => serde_json::json!(["10.9.0.0/16"]),
        "routingMode" => "native".into(),
        "tunnel" => "geneve".into(),
        "envoy.enabled" => (minor < 16).into(),
        _ => true.into(),
    }
}

/// What helm 4 renders, without generated certificates; none when it refuses.
fn rendered(stage: &Stage<'_>, chart: &Chart, values: &Value) -> Result<Option<String>> {
    let file = stage.dir.path().join("tried.json");
    write(&file, values.to_string())?;
    let (chart, values): (_, &Path) = (chart.file.to_string_lossy(), &file);
    let values = values.to_string_lossy();
    let args = ["template", "cilium", &chart, "-n", "kube-system", "-f", &values];
    let output = stage.program.plain_helm(Helm::Four, &args).run()?;
    if output.code != Some(0) {
        return Ok(None);
    }
    let text = format!("\n{}", output.stdout());
    let documents = text.split("\n---").filter(|document| !document.contains("\nkind: Secret"));
    Ok(Some(documents.collect::<Vec<_>>().join("\n---")))
}

fn take(values: &mut Value, path: &str) {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut parents = parents.split('.').filter(|part| !part.is_empty());
    let parent = parents.try_fold(values, |at, part| at.get_mut(part));
    if let Some(Value::Object(parent)) = parent {
        parent.remove(last);
    }
}

fn set(values: &mut Value, path: &str, value: Value) {
    let mut at = values;
    for part in path.split('.') {
        if !at.is_object() {
            *at = serde_json::json!({});
        }
        at = &mut at[part];
    }
    *at = value;
}
