//! All objects of a cluster as one value that can be compared: what was there before, and what is there after.
//!
//! What moves by itself is taken out, each with the reason why it is not part of "what was there before".

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    api::Api,
    error::Result,
    resources::{Resource, Resources},
};

/// Kinds (as `plural.group`) that are not compared. Whoever makes them makes them again from objects that are.
const NOT_COMPARED: &[(&str, &str)] = &[
    ("events", "the story of what happened, and it expires"),
    ("events.events.k8s.io", "the same objects under another group"),
    ("componentstatuses", "a live probe, not stored"),
    ("pods", "made by workloads; a migration restarts them, and says so before"),
    ("replicasets.apps", "one per revision of a Deployment, which is compared"),
    ("controllerrevisions.apps", "one per revision of a DaemonSet or StatefulSet, which is compared"),
    ("endpoints", "follow pods and Services"),
    ("endpointslices.discovery.k8s.io", "follow pods and Services"),
    ("ipaddresses.networking.k8s.io", "the record of a Service's address, which is in the Service"),
    ("apiservices.apiregistration.k8s.io", "made by the API server for each group and version of a CRD"),
    ("ips.kubeovn.io", "made by kube-ovn-controller for each pod"),
];

/// The namespace whose Leases are the heartbeats of nodes.
const HEARTBEATS: &str = "kube-node-lease";

/// Fields that are not compared, as JSON pointers from the object.
const DROPPED: &[(&str, &str)] = &[
    ("/metadata/resourceVersion", "counts writes, also of what was written back"),
    ("/metadata/generation", "counts changes of the spec, also of what was changed back"),
    ("/metadata/creationTimestamp", "a time"),
    ("/metadata/deletionTimestamp", "a time"),
    ("/metadata/managedFields", "who wrote a field last, not what it says"),
    ("/metadata/uid", "an object that was deleted and made again is the same to its user"),
    ("/metadata/selfLink", "the path of the object"),
    ("/metadata/annotations/deployment.kubernetes.io~1revision", "counts rollouts"),
    ("/metadata/annotations/deprecated.daemonset.template.generation", "counts changes of the template"),
    ("/spec/template/metadata/creationTimestamp", "always null; written by some clients only"),
    ("/spec/acquireTime", "a time of a Lease"),
    ("/spec/renewTime", "a time of a Lease"),
    ("/spec/leaseTransitions", "counts holders of a Lease"),
    ("/spec/holderIdentity", "the pod that leads, which restarts with its workload"),
    ("/status", "what controllers report about the spec"),
];

/// The objects of one moment, by `plural.group/namespace/name` (`plural/name` where there is no group or namespace).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    objects: BTreeMap<String, Value>,
}

impl Snapshot {
    /// Lists every kind that the server can list and normalises what it finds.
    ///
    /// # Errors
    /// Any error of [`Resources::discover`] or [`Api::list`].
    pub fn take(api: &Api) -> Result<Self> {
        let mut objects = BTreeMap::new();
        for resource in Resources::discover(api)?.iter().filter(|resource| is_compared(resource)) {
            // A CRD that went away between discovery and list has no objects.
            let Some(list) = api.find(&resource.list_path())? else { continue };
            for object in list["items"].as_array().into_iter().flatten() {
                if resource.plural == "leases" && object["metadata"]["namespace"] == HEARTBEATS {
                    continue;
                }
                objects.insert(key(resource, object), normalise(object.clone()));
            }
        }
        Ok(Self { objects })
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.objects.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.objects.iter().map(|(key, object)| (key.as_str(), object))
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Takes out what a scenario has a reason not to compare.
    #[must_use]
    pub fn without(mut self, mut excluded: impl FnMut(&str, &Value) -> bool) -> Self {
        self.objects.retain(|key, object| !excluded(key, object));
        self
    }
}

fn is_compared(resource: &Resource) -> bool {
    let id = resource.id();
    resource.verbs.iter().any(|verb| verb == "list") && !NOT_COMPARED.iter().any(|(kind, _)| *kind == id)
}

fn key(resource: &Resource, object: &Value) -> String {
    let part = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    match part("namespace") {
        "" => format!("{}/{}", resource.id(), part("name")),
        namespace => format!("{}/{namespace}/{}", resource.id(), part("name")),
    }
}

fn normalise(mut object: Value) -> Value {
    for (pointer, _) in DROPPED {
        remove(&mut object, pointer);
    }
    // Taints have the time at which they were added, and owners a uid that changes when they are made again.
    for (list, field) in [("/spec/taints", "timeAdded"), ("/metadata/ownerReferences", "uid")] {
        for entry in object.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            remove(entry, &format!("/{field}"));
        }
    }
    // An empty map says the same as none.
    for map in ["/metadata/annotations", "/metadata/labels"] {
        if object.pointer(map).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
            remove(&mut object, map);
        }
    }
    object
}

fn remove(object: &mut Value, pointer: &str) {
    if let Some((parent, name)) = pointer.rsplit_once('/')
        && let Some(Value::Object(map)) = object.pointer_mut(parent)
    {
        map.remove(&name.replace("~1", "/").replace("~0", "~"));
    }
}

/// What differs, one line each, as a JSON pointer behind the object's key; empty when nothing does.
pub fn diff(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    let keys: std::collections::BTreeSet<_> = before.objects.keys().chain(after.objects.keys()).collect();
    for key in keys {
        match (before.objects.get(key), after.objects.get(key)) {
            (Some(_), None) => lines.push(format!("{key}: is gone")),
            (None, Some(_)) => lines.push(format!("{key}: was not there before")),
            (Some(old), Some(new)) => compare(key, &mut String::new(), old, new, &mut lines),
            (None, None) => {}
        }
    }
    lines
}

fn compare(key: &str, pointer: &mut String, old: &Value, new: &Value, lines: &mut Vec<String>) {
    let mut at = |pointer: &mut String, part: &str, old: Option<&Value>, new: Option<&Value>| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
        match (old, new) {
            (Some(old), Some(new)) => compare(key, pointer, old, new, lines),
            (old, new) => lines.push(format!("{key} {pointer}: {} -> {}", short(old), short(new))),
        }
        pointer.truncate(length);
    };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for name in names {
                at(pointer, name, old.get(name), new.get(name));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                at(pointer, &index.to_string(), old.get(index), new.get(index));
            }
        }
        (old, new) if old != new => {
            lines.push(format!("{key} {pointer}: {} -> {}", short(Some(old)), short(Some(new))));
        }
        _ => {}
    }
}

fn short(value: Option<&Value>) -> String {
    const LIMIT: usize = 120;
    let Some(value) = value else { return "(none)".into() };
    let text = value.to_string();
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(objects: &[(&str, Value)]) -> Snapshot {
        Snapshot { objects: objects.iter().map(|(key, value)| ((*key).to_owned(), normalise(value.clone()))).collect() }
    }

    #[test]
    fn what_moves_by_itself_is_not_a_difference() {
        let old = json!({"metadata": {"name": "a", "resourceVersion": "1", "uid": "x", "generation": 1,
            "annotations": {"deployment.kubernetes.io/revision": "1"}}, "spec": {"taints": [{"key": "k", "timeAdded": "t"}]}, "status": {"ready": 1}});
        let new = json!({"metadata": {"name": "a", "resourceVersion": "9", "uid": "y", "generation": 4,
            "annotations": {"deployment.kubernetes.io/revision": "3"}}, "spec": {"taints": [{"key": "k"}]}});
        assert_eq!(diff(&snapshot(&[("n", old)]), &snapshot(&[("n", new)])), Vec::<String>::new());
    }

    #[test]
    fn names_the_object_the_field_and_both_values() {
        let old =
            json!({"metadata": {"annotations": {"a/b": "mine"}}, "spec": {"args": ["x", "y"], "unschedulable": true}});
        let new = json!({"metadata": {}, "spec": {"args": ["x", "z", "w"]}});
        assert_eq!(
            diff(&snapshot(&[("nodes/n1", old)]), &snapshot(&[("nodes/n1", new)])),
            [
                r#"nodes/n1 /metadata/annotations: {"a/b":"mine"} -> (none)"#,
                r#"nodes/n1 /spec/args/1: "y" -> "z""#,
                r#"nodes/n1 /spec/args/2: (none) -> "w""#,
                "nodes/n1 /spec/unschedulable: true -> (none)",
            ]
        );
    }

    #[test]
    fn names_objects_that_came_and_went() {
        let one = || json!({"metadata": {}});
        assert_eq!(
            diff(&snapshot(&[("a", one()), ("b", one())]), &snapshot(&[("b", one()), ("c", one())])),
            ["a: is gone", "c: was not there before"]
        );
    }

    #[test]
    fn a_changed_annotation_is_named_with_an_escaped_pointer() {
        let with = |value: &str| json!({"metadata": {"annotations": {"a/b": value}}});
        let lines = diff(&snapshot(&[("n", with("1"))]), &snapshot(&[("n", with("2"))]));
        assert_eq!(lines, [r#"n /metadata/annotations/a~1b: "1" -> "2""#]);
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        assert!(short(Some(&json!("é".repeat(500)))).ends_with("... (1002 bytes)"));
    }
}
