//! What the audit log proves: the verdict on a run, without a word of its own report.
//!
//! Each oracle is a function from the log to the list of what is wrong; an empty list is the proof.

pub(in crate::scenarios) mod intents;
pub(in crate::scenarios) mod journal;
pub(in crate::scenarios) mod order;
pub(in crate::scenarios) mod plans;
mod pods;
pub(in crate::scenarios) mod recycled;

use serde_json::Value;

use crate::audit::Event;

/// The user whose writes are judged: the person at the keyboard.
pub(in crate::scenarios) const OPERATOR: &str = "operator";
/// The user who plays kubelets, Kube-OVN and Cilium.
#[cfg(test)]
const ACTORS: &str = "actors";

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The text at `pointer` in the body of a request.
fn asked<'e>(event: &'e Event, pointer: &str) -> &'e str {
    event.request_object.as_ref().map_or("", |body| text(body, pointer))
}

/// The name of the object, also of one that is being created.
fn name(event: &Event) -> &str {
    match event.name.as_str() {
        "" => event.response_object.as_ref().map_or("", |body| text(body, "/metadata/name")),
        name => name,
    }
}

/// `resource.group`.
fn resource(event: &Event) -> String {
    if event.group.is_empty() { event.resource.clone() } else { format!("{}.{}", event.resource, event.group) }
}

/// The event in one line, for messages.
fn told(event: &Event) -> String {
    format!("{} {} {} ({})", event.received, event.verb, event.object(), event.user_agent)
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::Value;

    use crate::audit::Event;

    /// A successful request at second `at`; `path` is `resource.group/namespace/name[/subresource]`.
    pub(crate) fn event(at: u32, user: &str, verb: &str, path: &str, body: Value) -> Event {
        let mut parts = path.split('/');
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (kind, namespace, name, subresource) = (part(), part(), part(), part());
        let (resource, group) = kind.split_once('.').unwrap_or((&kind, ""));
        let time = format!("2026-01-01T00:{:02}:{:02}Z", at / 60, at % 60).parse().unwrap();
        Event {
            received: time,
            time,
            user: user.into(),
            user_agent: if user == super::OPERATOR { "ovncilium/0.1".into() } else { String::new() },
            verb: verb.into(),
            uri: String::new(),
            group: group.into(),
            resource: resource.into(),
            subresource,
            namespace,
            name,
            code: 200,
            request_object: Some(body.clone()),
            response_object: Some(body),
            dry_run: false,
        }
    }
}
