//! What an upgrade of Kube-OVN's release would change: manifests against manifests, and against live objects.
//!
//! Two renders may differ in the controller's flags alone. A live object may have more than its manifest says, as servers and
//! controllers add defaults, but must say the same where both speak: Helm would put the rest back.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ObjectRef, flags};
use crate::render::Stream;

/// Longest value that is told in a difference.
const SHOWN: usize = 60;

/// Objects of a manifest.
pub type Objects = BTreeMap<ObjectRef, Value>;

/// Where the flags stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagList<'s> {
    /// Namespace of the Deployment.
    pub namespace: &'s str,
    /// Its name.
    pub name: &'s str,
    /// The container.
    pub container: &'s str,
    /// `command` or `args`.
    pub field: &'s str,
}

impl FlagList<'_> {
    /// Whether it is in this object.
    fn is_in(&self, object: &ObjectRef) -> bool {
        object.kind == "Deployment" && object.name == self.name && object.namespace.as_deref() == Some(self.namespace)
    }

    /// Takes the list out of its Deployment.
    fn take(&self, deployment: &mut Value) -> Vec<String> {
        let containers = deployment.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
        let mut containers = containers.into_iter().flatten();
        let Some(container) = containers.find(|one| one.get("name").is_some_and(|name| name == self.container)) else {
            return Vec::new();
        };
        let list = container.get_mut(self.field).map(Value::take).unwrap_or_default();
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

/// The objects of a manifest; those without a namespace are in that of the release.
///
/// # Errors
/// What is no manifest.
pub fn objects(manifest: &str, namespace: &str) -> Result<Objects, String> {
    let stream = Stream::parse(manifest.as_bytes()).map_err(|error| error.to_string())?;
    let objects = stream.documents().iter().flat_map(|document| document.objects());
    Ok(objects
        .map(|object| {
            let namespace = object.namespace.unwrap_or(namespace);
            (ObjectRef::guess(object.api_version, object.kind, namespace, object.name), object.value.clone())
        })
        .collect())
}

/// What differs between two renders besides the controller's list, which must be the same with the switches at `to`.
pub fn beyond_flags(old: &Objects, new: &Objects, list: &FlagList<'_>, to: &BTreeMap<String, String>) -> Vec<String> {
    let mut differences = Vec::new();
    for object in old.keys().chain(new.keys().filter(|object| !old.contains_key(*object))) {
        match (old.get(object), new.get(object)) {
            (Some(_), None) => differences.push(format!("{object}, which would go")),
            (None, _) => differences.push(format!("{object}, which would be made")),
            (Some(before), Some(after)) => {
                let (mut before, mut after) = (before.clone(), after.clone());
                if list.is_in(object) {
                    let (words, target) = (list.take(&mut before), list.take(&mut after));
                    if flags::apply(&words, to) != target {
                        differences.push(format!("{object}: flags that are not these two"));
                    }
                }
                differences.extend(first_difference(&before, &after, "").map(|at| format!("{object} {at}")));
            }
        }
    }
    differences
}

/// What a live object says otherwise than its manifest; the controller's list may have its flags either way.
pub fn drift(
    object: &ObjectRef,
    manifest: &Value,
    live: Option<&Value>,
    list: &FlagList<'_>,
    to: &BTreeMap<String, String>,
) -> Option<String> {
    let Some(live) = live else { return Some(format!("{object}, which is gone")) };
    let (mut manifest, mut live) = (manifest.clone(), live.clone());
    if list.is_in(object) {
        let (words, found) = (list.take(&mut manifest), list.take(&mut live));
        if flags::apply(&words, to) != flags::apply(&found, to) {
            return Some(format!("{object}: its flags are not those of the release"));
        }
    }
    // Not what a manifest decides, or not how an object is read back.
    for field in ["status", "stringData"] {
        if let Some(map) = manifest.as_object_mut() {
            map.remove(field);
        }
    }
    let at = difference(&manifest, &live, "")?;
    // What a Secret says stays unsaid.
    let at = if object.kind == "Secret" { at.split(' ').next().unwrap_or_default() } else { &at };
    Some(format!("{object} {at}"))
}

/// The first place where two values differ.
fn first_difference(old: &Value, new: &Value, at: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let null = &Value::Null;
                first_difference(old.get(key).unwrap_or(null), new.get(key).unwrap_or(null), &below(at, key))
            })
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => old
            .iter()
            .zip(new)
            .enumerate()
            .find_map(|(index, (old, new))| first_difference(old, new, &below(at, &index.to_string()))),
        (old, new) => (old != new).then(|| at.to_owned()),
    }
}

/// The first place where `live` does not say what `manifest` says, as the API server would read both.
fn difference(manifest: &Value, live: &Value, at: &str) -> Option<String> {
    match (manifest, live) {
        (manifest, live) if is_zero(manifest) && is_zero(live) => None,
        (Value::Object(manifest), Value::Object(live)) => manifest
            .iter()
            .find_map(|(key, value)| difference(value, live.get(key).unwrap_or(&Value::Null), &below(at, key))),
        (Value::Array(manifest), Value::Array(live)) if manifest.len() == live.len() => manifest
            .iter()
            .zip(live)
            .enumerate()
            .find_map(|(index, (manifest, live))| difference(manifest, live, &below(at, &index.to_string()))),
        (manifest, live) if same_scalar(manifest, live) => None,
        (manifest, live) => Some(format!("{at} ({} in the release, {} in the cluster)", shown(manifest), shown(live))),
    }
}

fn below(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// What Go leaves out of JSON: no value and an empty one are the same to the API server.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_zero),
    }
}

/// Scalars that the API server stores alike: a number and its text, and quantities of one size (`1000m`, `1`).
fn same_scalar(one: &Value, other: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if one == other {
        return true;
    }
    let (Some(one), Some(other)) = (text(one), text(other)) else { return false };
    one == other || quantity(&one).is_some_and(|one| quantity(&other) == Some(one))
}

/// A quantity in thousandths.
fn quantity(text: &str) -> Option<i128> {
    const SUFFIXES: [(&str, i128); 13] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
        ("", 1),
    ];
    if let Some(thousandths) = text.strip_suffix('m') {
        return thousandths.parse().ok();
    }
    let (number, factor) = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = format!("{fraction:0<3}");
    let thousandths: i128 = fraction.get(..3).filter(|_| fraction.len() == 3)?.parse().ok()?;
    whole.parse::<i128>().ok()?.checked_mul(1000)?.checked_add(thousandths)?.checked_mul(factor)
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIST: FlagList<'_> = FlagList {
        namespace: "kube-system",
        name: "kube-ovn-controller",
        container: "kube-ovn-controller",
        field: "args",
    };

    fn off() -> BTreeMap<String, String> {
        flags::SWITCHES.into_iter().map(|flag| (flag.to_owned(), "false".to_owned())).collect()
    }

    fn manifest(np: &str, image: &str) -> Objects {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: kube-ovn-controller, namespace: kube-system}}\nspec:\n  \
             template:\n    spec:\n      containers:\n      - name: kube-ovn-controller\n        image: {image}\n        \
             resources: {{limits: {{cpu: 1000m}}}}\n        args: [start.sh, --enable-lb=false, --enable-np={np}]\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: ovn-nb}}\n"
        );
        objects(&text, "kube-system").unwrap()
    }

    #[test]
    fn the_two_flags_are_the_only_difference_that_counts_as_none() {
        let old = manifest("true", "a");
        assert_eq!(beyond_flags(&old, &manifest("false", "a"), &LIST, &off()), Vec::<String>::new());
        let image = beyond_flags(&old, &manifest("false", "b"), &LIST, &off());
        assert_eq!(image, ["deployment kube-system/kube-ovn-controller /spec/template/spec/containers/0/image"]);
        let mut less = manifest("false", "a");
        less.retain(|object, _| object.kind != "Service");
        assert_eq!(beyond_flags(&old, &less, &LIST, &off()), ["service kube-system/ovn-nb, which would go"]);
        let none = beyond_flags(&old, &manifest("maybe", "a"), &LIST, &off());
        assert_eq!(none, ["deployment kube-system/kube-ovn-controller: flags that are not these two"]);
    }

    fn drifted(change: &dyn Fn(&mut Value)) -> Option<String> {
        let (object, manifest) =
            manifest("true", "a").into_iter().find(|(object, _)| object.kind == "Deployment").unwrap();
        let mut live = manifest.clone();
        live["status"] = json!({ "replicas": 1 });
        live["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("1");
        live["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
        change(&mut live);
        drift(&object, &manifest, Some(&live), &LIST, &off())
    }

    #[test]
    fn a_live_object_may_have_more_but_may_not_say_otherwise() {
        assert_eq!(drifted(&|_| ()), None);
        let args = "/spec/template/spec/containers/0/args";
        let set = |live: &mut Value, list: Value| *live.pointer_mut(args).unwrap() = list;
        assert_eq!(drifted(&|live| set(live, json!(["start.sh", "--enable-lb=true", "--enable-np=false"]))), None);
        let flags = drifted(&|live| set(live, json!(["start.sh", "--enable-lb=true", "--enable-np=true", "--v=5"])));
        assert!(flags.unwrap().contains("flags are not those of the release"));
        let image = drifted(&|live| live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mine"));
        assert!(image.unwrap().ends_with(r#"/containers/0/image ("a" in the release, "mine" in the cluster)"#));
    }

    #[test]
    fn what_the_server_stores_alike_is_alike() {
        for (one, other) in [
            (json!("1000m"), json!("1")),
            (json!(3), json!("3")),
            (json!("1024Mi"), json!("1Gi")),
            (json!("0.5"), json!("500m")),
            (json!({}), Value::Null),
            (json!(false), Value::Null),
        ] {
            assert_eq!(difference(&one, &other, ""), None, "{one} {other}");
        }
        for (one, other) in [(json!("200Mi"), json!("200M")), (json!(true), Value::Null), (json!("a"), json!("b"))] {
            assert!(difference(&one, &other, "").is_some(), "{one} {other}");
        }
    }
}
