//! Chart values that an organisation gives a plan besides ours: its registry, its resources, its Hubble.
//!
//! They may set any key that no stage of a run sets, and say the same as every stage. They are not recorded in a journal: the
//! release that a run makes has them, and a plan has their digest. What a release has besides ours is theirs again
//! ([`without_ours`]).

use serde_json::{Map, Value};

use crate::Digest;
use crate::compat::UnknownVersion;
use crate::plan::action::ReleaseStage;
use crate::plan::{Settings, values};

/// A key that both want, differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotYours {
    /// A stage of a run sets the key.
    #[error("the values set `{key}`, which a migration sets itself ({ours})")]
    Ours {
        /// Dotted.
        key: String,
        /// What it is set to, as JSON.
        ours: String,
    },
    /// It would break a run, or what a run promises.
    #[error("the values set `{key}`: {why}")]
    Refused {
        /// Dotted.
        key: &'static str,
        /// What it would do.
        why: &'static str,
    },
    /// Values of the chart are not known.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
}

/// Keys that no stage sets and that nobody else may: with what they may say all the same, and what they would do.
const REFUSED: [(&str, Value, &str); 9] = [
    ("agent", Value::Bool(true), "without agents there is nothing to chain"),
    ("cleanBpfState", Value::Bool(false), "each start of an agent would drop connections"),
    ("cleanState", Value::Bool(false), "each start of an agent would forget its endpoints"),
    ("cni.configMap", Value::Null, "agents would write what it says, whatever network they are to chain"),
    ("extraArgs", Value::Null, "arguments beat the configuration that policies judge; say it by `extraConfig`"),
    (
        "extraEnv",
        Value::Null,
        "variables (CILIUM_…) beat the configuration that policies judge; say it by `extraConfig`",
    ),
    ("hubble.enabled", Value::Bool(true), "before it enforces, a run asks Hubble what would be dropped"),
    ("nodeSelector", Value::Null, "an agent has to run on every node"),
    ("operator.enabled", Value::Bool(true), "without its operator Cilium has no identities"),
];

/// What `own` says besides ours, if it contradicts none of it.
///
/// # Errors
/// [`NotYours`] with the first key that it sets otherwise than a stage does, or that nobody may set.
pub fn checked(own: &Value, settings: &Settings) -> Result<Value, NotYours> {
    if own.is_null() {
        return Ok(Value::Null);
    }
    for (key, allowed, why) in &REFUSED {
        if let Some(found) = own.pointer(&format!("/{}", key.replace('.', "/")))
            && found != allowed
        {
            return Err(NotYours::Refused { key, why });
        }
    }
    for (path, ours) in leaves_of_every_stage(settings)? {
        if contradicts(own, &path, &ours) {
            return Err(NotYours::Ours { key: path.join("."), ours: ours.to_string() });
        }
    }
    Ok(without_ours(own, settings)?)
}

/// Both in one; where both have a key, ours wins.
pub fn merged(own: &Value, ours: &Value) -> Value {
    match (own, ours) {
        (Value::Object(own), Value::Object(ours)) => {
            let mut all = own.clone();
            for (key, value) in ours {
                let together = own.get(key).map_or_else(|| value.clone(), |own| merged(own, value));
                all.insert(key.clone(), together);
            }
            Value::Object(all)
        }
        (_, ours) => ours.clone(),
    }
}

/// What a release has besides the keys that a run sets.
///
/// # Errors
/// [`UnknownVersion`] of the chart.
pub fn without_ours(whole: &Value, settings: &Settings) -> Result<Value, UnknownVersion> {
    let mut own = whole.clone();
    for (path, _) in leaves_of_every_stage(settings)? {
        remove(&mut own, &path);
    }
    Ok(pruned(own))
}

/// Values that chained a release before a run took it over, which no stage of a run sets.
const CHAINED_BEFORE: [&[&str]; 6] = [
    &["cni", "configMap"],
    &["cni", "configMapKey"],
    &["cni", "confFileMountPath"],
    &["cni", "hostConfDirMountPath"],
    &["tunnel"],
    &["tunnelProtocol"],
];

/// What a release has besides ours and, where a run takes it over, besides what chained it before.
///
/// # Errors
/// [`UnknownVersion`] of the chart.
pub fn kept(whole: &Value, settings: &Settings) -> Result<Value, UnknownVersion> {
    let mut own = without_ours(whole, settings)?;
    if settings.adopted.is_some() {
        for path in CHAINED_BEFORE {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            remove(&mut own, &path);
        }
    }
    Ok(pruned(own))
}

/// A key of a release that a run sets to something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Dotted.
    pub key: String,
    /// What the release says.
    pub was: String,
    /// What it says in the end.
    pub becomes: String,
}

/// What a run changes for good in the values of a release.
///
/// # Errors
/// [`UnknownVersion`] of the chart.
pub fn changed(whole: &Value, settings: &Settings) -> Result<Vec<Changed>, UnknownVersion> {
    let mut leaves = Vec::new();
    collect(&values::values(settings, ReleaseStage::Settled)?, &mut Vec::new(), &mut leaves);
    let differs = |(path, ours): (Vec<String>, Value)| {
        let was = path.iter().try_fold(whole, |value, key| value.get(key))?;
        let (was, becomes) = (plain(was), plain(&ours));
        (was != becomes).then(|| Changed { key: path.join("."), was, becomes })
    };
    Ok(leaves.into_iter().filter_map(differs).collect())
}

/// A value in the words of `cilium-config`, where text and lists of words stand bare.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(plain).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// Without maps that hold nothing, which say nothing: so the same values always have the same digest.
pub fn pruned(value: Value) -> Value {
    fn prune(value: Value) -> Option<Value> {
        let Value::Object(map) = value else { return Some(value) };
        let kept: Map<_, _> = map.into_iter().filter_map(|(key, value)| Some((key, prune(value)?))).collect();
        (!kept.is_empty()).then_some(Value::Object(kept))
    }
    prune(value).unwrap_or(Value::Null)
}

/// The digest by which a plan knows them; `None` when there are none.
pub fn digest(own: &Value) -> Option<Digest> {
    (!own.is_null()).then(|| Digest::of(own.to_string()))
}

/// Path and value of everything that some stage of a run sets.
fn leaves_of_every_stage(settings: &Settings) -> Result<Vec<(Vec<String>, Value)>, UnknownVersion> {
    let mut leaves = Vec::new();
    for stage in [ReleaseStage::Staged, ReleaseStage::Everywhere, ReleaseStage::Settled] {
        collect(&values::values(settings, stage)?, &mut Vec::new(), &mut leaves);
    }
    Ok(leaves)
}

fn collect(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                path.push(key.clone());
                collect(value, path, leaves);
                path.pop();
            }
        }
        leaf => leaves.push((path.clone(), leaf.clone())),
    }
}

/// Whether `value` says anything but `ours` at `path`, or has no map on the way to it.
fn contradicts(value: &Value, path: &[String], ours: &Value) -> bool {
    match (path, value) {
        ([], value) => value != ours,
        ([key, rest @ ..], Value::Object(map)) => map.get(key).is_some_and(|value| contradicts(value, rest, ours)),
        // Also null, which for Helm takes the chart's own values away.
        _ => true,
    }
}

fn remove(value: &mut Value, path: &[String]) {
    let (Some((key, rest)), Value::Object(map)) = (path.split_first(), value) else { return };
    if rest.is_empty() {
        map.remove(key);
    } else if let Some(value) = map.get_mut(key) {
        remove(value, rest);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::ChartRef;

    fn settings() -> Settings {
        let chart = ChartRef {
            location: "cilium.tgz".to_owned(),
            name: "cilium".to_owned(),
            version: "1.18.2".to_owned(),
            digest: Digest::of("chart"),
        };
        Settings {
            namespace: "kube-system".to_owned(),
            chart,
            release: "cilium".to_owned(),
            release_namespace: "kube-system".to_owned(),
            conf_dir: "/etc/cni/net.d".to_owned(),
            plain_conf: "01-kube-ovn.conflist".to_owned(),
            chained_conf: "01-cilium.conflist".to_owned(),
            network: "kube-ovn".to_owned(),
            node_image: "kubeovn/kube-ovn:v1.16.2".to_owned(),
            image_pull_secrets: Vec::new(),
            devices: vec!["ovn0".to_owned()],
            cluster_pool: vec!["100.65.0.0/16".to_owned()],
            nat_gateways: false,
            node_count: 2,
            wave_limit: 4,
            soak_seconds: 10,
            controller: "kube-ovn-controller".to_owned(),
            controller_container: "kube-ovn-controller".to_owned(),
            controller_flags_in: "args".to_owned(),
            controller_flags_before: Vec::new(),
            driver: crate::plan::Driver::Manifest,
            on_delete: Vec::new(),
            leave: Vec::new(),
            own_values: None,
            adopted: None,
            kube_proxy: None,
        }
    }

    #[test]
    fn every_stage_gives_back_what_was_put_in() {
        let own = json!({
            "image": { "repository": "registry.example/cilium", "useDigest": false },
            "operator": { "resources": { "requests": { "cpu": "100m" } } },
            "hubble": { "relay": { "enabled": true } },
        });
        assert_eq!(checked(&own, &settings()).unwrap(), own);
        for stage in [ReleaseStage::Staged, ReleaseStage::Everywhere, ReleaseStage::Settled] {
            let ours = values::values(&settings(), stage).unwrap();
            let whole = merged(&own, &ours);
            assert_eq!(whole["image"]["useDigest"], false);
            assert_eq!(whole["operator"]["replicas"], ours["operator"]["replicas"]);
            assert_eq!(without_ours(&whole, &settings()).unwrap(), own, "{stage:?}");
        }
    }

    #[test]
    fn no_key_of_any_stage_may_be_set_otherwise() {
        for (own, key) in [
            (json!({ "cni": { "exclusive": true } }), "cni.exclusive"),
            (json!({ "policyAuditMode": false }), "policyAuditMode"),
            (json!({ "operator": { "replicas": 3 } }), "operator.replicas"),
            (json!({ "cni": "mine" }), "cni."),
            (json!({ "cni": null }), "cni."),
            (json!({ "extraArgs": ["--policy-audit-mode=false"] }), "extraArgs"),
            (json!({ "hubble": { "enabled": false } }), "hubble.enabled"),
        ] {
            let error = checked(&own, &settings()).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}")), "{error}");
        }
        let same = json!({ "cni": { "exclusive": false }, "debug": { "enabled": true } });
        assert_eq!(checked(&same, &settings()).unwrap(), json!({ "debug": { "enabled": true } }));
    }

    #[test]
    fn maps_that_hold_nothing_say_nothing() {
        assert_eq!(pruned(json!({ "image": { "pull": {} }, "a": 1 })), json!({ "a": 1 }));
        assert_eq!(digest(&pruned(json!({ "image": {} }))), None);
    }
}
