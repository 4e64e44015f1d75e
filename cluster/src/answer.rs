//! From the API server's refusals to [`ClusterError`].
//!
//! Checked against a real kube-apiserver 1.34: a group that is not served answers `404 page not found` as text, a kind that is
//! not in a served group a `Status` with empty details; a JSON patch whose `test` fails and one whose path is missing get the
//! same words (422, empty details).

use http::StatusCode;
use ovncilium_core::plan::ObjectRef;
use ovncilium_engine::ClusterError;
use ovncilium_engine::world::Eviction;
use serde::Deserialize;

use crate::causes;
use crate::request::Answer;

/// A `Status` of the API server, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    kind: String,
    message: String,
    reason: String,
    details: Details,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Details {
    name: String,
    kind: String,
}

/// What was asked, for messages.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `get`, `list`, `create`, `update`, `patch`, `delete`, `evict`.
    pub(crate) verb: &'static str,
    /// The object; its name is empty for lists.
    pub(crate) object: ObjectRef,
    /// The request was a JSON patch with a `test` operation.
    pub(crate) tests: bool,
    /// URL of the server.
    pub(crate) server: String,
}

impl Asked {
    /// `patch daemonsets.apps kube-ovn-cni in kube-system`.
    pub(crate) fn request(&self) -> String {
        let object = &self.object;
        let mut text = format!("{} {}", self.verb, object.plural);
        if !object.group.is_empty() {
            text.push('.');
            text.push_str(&object.group);
        }
        if !object.name.is_empty() {
            text.push(' ');
            text.push_str(&object.name);
        }
        if let Some(namespace) = &object.namespace {
            text.push_str(" in ");
            text.push_str(namespace);
        }
        text
    }

    /// `ciliumendpoints.cilium.io/v2`.
    fn resource(&self) -> String {
        let object = &self.object;
        if object.group.is_empty() {
            format!("{}/{}", object.plural, object.version)
        } else {
            format!("{}.{}/{}", object.plural, object.group, object.version)
        }
    }

    /// Refuses an object without a name: its path would be the whole collection's, and deleting that deletes all of it.
    pub(crate) fn must_name_one(&self) -> Result<(), ClusterError> {
        if !self.object.name.is_empty() {
            return Ok(());
        }
        Err(ClusterError::Invalid { request: self.request(), message: "the object has no name".to_owned() })
    }

    /// No answer at all.
    pub(crate) fn unreachable(&self, message: String) -> ClusterError {
        ClusterError::Unreachable { server: self.server.clone(), message }
    }
}

/// What an answer says that is no success.
pub(crate) fn refusal(asked: &Asked, answer: &Answer) -> ClusterError {
    let status = Status::of(answer);
    let message = status.words(answer);
    let object = asked.object.to_string();
    match answer.status {
        StatusCode::NOT_FOUND if status.is_not_served() => ClusterError::NotServed { resource: asked.resource() },
        StatusCode::NOT_FOUND => {
            let other = !status.details.name.is_empty() && status.details.name != asked.object.name;
            // An object cannot be made in a namespace that is not there.
            let kind = if status.details.kind == "namespaces" { "namespace" } else { &status.details.kind };
            let missing = if other { format!("{kind} {}", status.details.name) } else { object };
            ClusterError::NotFound { object: missing }
        }
        StatusCode::CONFLICT if status.reason == "AlreadyExists" => ClusterError::AlreadyExists { object },
        StatusCode::CONFLICT => ClusterError::Conflict { object, message },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ClusterError::Forbidden { request: asked.request(), message }
        }
        StatusCode::UNPROCESSABLE_ENTITY if asked.tests && status.is_failed_test() => {
            let message = "a value that the change relies on is no longer there".to_owned();
            ClusterError::Conflict { object, message }
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => asked.unreachable(message),
        _ => ClusterError::Invalid { request: asked.request(), message },
    }
}

/// What an answer to an eviction says.
pub(crate) fn eviction(asked: &Asked, answer: &Answer) -> Result<Eviction, ClusterError> {
    let status = Status::of(answer);
    match answer.status {
        code if code.is_success() => Ok(Eviction::Accepted),
        StatusCode::TOO_MANY_REQUESTS => Ok(Eviction::Refused(status.words(answer))),
        // Several budgets over one pod: an internal error in the API's words, a refusal in ours.
        StatusCode::INTERNAL_SERVER_ERROR if status.message.contains("PodDisruptionBudget") => {
            Ok(Eviction::Refused(status.words(answer)))
        }
        StatusCode::NOT_FOUND if !status.is_not_served() && status.details.kind == "pods" => Ok(Eviction::Gone),
        StatusCode::CONFLICT if status.is_other_uid() => Ok(Eviction::Gone),
        _ => Err(refusal(asked, answer)),
    }
}

/// Whether a deletion was refused because the object of that name has another UID.
pub(crate) fn is_other_uid(answer: &Answer) -> bool {
    answer.status == StatusCode::CONFLICT && Status::of(answer).is_other_uid()
}

/// Whether the answer means that the object, or its whole kind, is not there.
pub(crate) fn is_absent(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND
}

impl Status {
    fn of(answer: &Answer) -> Self {
        serde_json::from_slice::<Self>(&answer.body).ok().filter(|status| status.kind == "Status").unwrap_or_default()
    }

    /// The server's words, or what can be said without any.
    fn words(&self, answer: &Answer) -> String {
        if !self.message.is_empty() {
            return causes::clean(&self.message);
        }
        let text = causes::clean(&String::from_utf8_lossy(&answer.body));
        let start: String = text.chars().take(200).collect();
        if start.is_empty() { answer.status.to_string() } else { format!("{}: {start}", answer.status) }
    }

    fn is_not_served(&self) -> bool {
        self.kind.is_empty() || (self.details.name.is_empty() && self.details.kind.is_empty())
    }

    fn is_failed_test(&self) -> bool {
        self.message.contains("testing value")
            || (self.details.name.is_empty() && self.details.kind.is_empty() && self.reason == "Invalid")
    }

    fn is_other_uid(&self) -> bool {
        self.message.contains("UID in precondition") || self.message.contains("UID in the precondition")
    }
}
