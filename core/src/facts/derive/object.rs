//! Reading raw API objects without ceremony: what is not there is empty.

use std::collections::BTreeSet;

use serde_json::Value;

/// The text at a JSON pointer, or empty.
pub(super) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The text at a JSON pointer, unless it is missing or empty.
pub(super) fn some_text(object: &Value, pointer: &str) -> Option<String> {
    Some(text(object, pointer)).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The list at a JSON pointer, or empty.
pub(super) fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts in the list at a JSON pointer.
pub(super) fn texts(object: &Value, pointer: &str) -> Vec<String> {
    list(object, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The number at a JSON pointer, or 0.
pub(super) fn number(object: &Value, pointer: &str) -> u32 {
    object.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or_default()
}

/// Whether the value at a JSON pointer is `true`.
pub(super) fn is_true(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// `metadata.name`.
pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.namespace`.
pub(super) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `namespace/name`, or the name alone.
pub(super) fn qualified(object: &Value) -> String {
    match namespace(object) {
        "" => name(object).to_owned(),
        namespace => format!("{namespace}/{}", name(object)),
    }
}

/// Objects by namespace and name: in which order they were listed tells nothing.
pub(super) fn by_name<'v>(objects: impl IntoIterator<Item = &'v Value>) -> Vec<&'v Value> {
    let mut objects: Vec<&Value> = objects.into_iter().collect();
    objects.sort_by_key(|object| (namespace(object), name(object)));
    objects
}

/// A label or annotation; `of` is `labels` or `annotations`.
pub(super) fn meta<'v>(object: &'v Value, of: &str, key: &str) -> Option<&'v str> {
    object.get("metadata")?.get(of)?.get(key)?.as_str()
}

/// Whether the condition of that type is True.
pub(super) fn condition(object: &Value, kind: &str) -> bool {
    list(object, "/status/conditions").iter().any(|c| text(c, "/type") == kind && text(c, "/status") == "True")
}

/// Kind and name of the owner that controls an object.
pub(super) fn controller(object: &Value) -> Option<(&str, &str)> {
    let owners = list(object, "/metadata/ownerReferences");
    let owner = owners.iter().find(|owner| is_true(owner, "/controller"))?;
    Some((text(owner, "/kind"), text(owner, "/name")))
}

/// Names of the pull secrets of a pod's specification, sorted: their order has no meaning.
pub(super) fn pull_secrets(spec: &Value) -> Vec<String> {
    let names: BTreeSet<String> =
        list(spec, "/imagePullSecrets").iter().filter_map(|secret| some_text(secret, "/name")).collect();
    names.into_iter().collect()
}
