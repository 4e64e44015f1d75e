//! Reading API objects that are plain JSON: metadata, pods, nodes, and times.

use jiff::Timestamp;
use serde_json::Value;

/// The value at `pointer`: JSON pointers without escapes, which the standard one pays for at every step of the
/// actors' many looks.
pub fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(value, |value, token| match value {
        Value::Object(fields) => fields.get(token),
        Value::Array(items) => items.get(token.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The text at `pointer`, or the empty text.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at `pointer`, or an empty one.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The number at `pointer`, or `default`.
pub fn number(value: &Value, pointer: &str, default: i64) -> i64 {
    at(value, pointer).and_then(Value::as_i64).unwrap_or(default)
}

/// Whether there is `true` at `pointer`.
pub fn flag(value: &Value, pointer: &str) -> bool {
    at(value, pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// `metadata.name`.
pub fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}

/// `metadata.namespace`, empty for cluster-wide objects.
pub fn namespace(value: &Value) -> &str {
    text(value, "/metadata/namespace")
}

/// `metadata.uid`.
pub fn uid(value: &Value) -> &str {
    text(value, "/metadata/uid")
}

/// The value of a label.
pub fn label<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    at(value, "/metadata/labels")?.get(key)?.as_str()
}

/// The value of an annotation.
pub fn annotation<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    at(value, "/metadata/annotations")?.get(key)?.as_str()
}

/// The owner reference with `controller: true`.
pub fn controller(value: &Value) -> Option<&Value> {
    list(value, "/metadata/ownerReferences").iter().find(|owner| flag(owner, "/controller"))
}

/// Whether the object is controlled by the owner with this UID.
pub fn controlled_by(value: &Value, owner_uid: &str) -> bool {
    controller(value).is_some_and(|owner| text(owner, "/uid") == owner_uid)
}

/// Whether the object is being deleted.
pub fn deleting(value: &Value) -> bool {
    at(value, "/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// Whether condition `kind` is True.
pub fn condition(value: &Value, kind: &str) -> bool {
    list(value, "/status/conditions").iter().any(|c| text(c, "/type") == kind && text(c, "/status") == "True")
}

/// Node the pod is bound to, empty when it is not.
pub fn node_of(pod: &Value) -> &str {
    text(pod, "/spec/nodeName")
}

/// Whether the pod has ended for good.
pub fn ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Whether the pod runs, is ready and is not being deleted.
pub fn ready(pod: &Value) -> bool {
    !deleting(pod) && text(pod, "/status/phase") == "Running" && condition(pod, "Ready")
}

/// Whether the pod uses its node's network.
pub fn host_network(pod: &Value) -> bool {
    flag(pod, "/spec/hostNetwork")
}

/// First address of a node of type InternalIP.
pub fn internal_ip(node: &Value) -> &str {
    list(node, "/status/addresses")
        .iter()
        .find(|address| text(address, "/type") == "InternalIP")
        .map_or("", |address| text(address, "/address"))
}

/// `name` of a container.
pub fn name_of_container(container: &Value) -> &str {
    text(container, "/name")
}

/// The words of `command` and `args` of a container, in order.
pub fn words(container: &Value) -> impl Iterator<Item = &str> {
    list(container, "/command").iter().chain(list(container, "/args")).filter_map(Value::as_str)
}

/// The value of `--<name>=<value>` among the words of a container.
pub fn argument<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    words(container).find_map(|word| word.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='))
}

/// A time as the API writes it: RFC 3339 in whole seconds.
pub fn stamp(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// A time as Leases write it: six digits of fraction.
pub fn micro_stamp(time: Timestamp) -> String {
    format!("{}.000000Z", stamp(time).trim_end_matches('Z'))
}
