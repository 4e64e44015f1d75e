//! Clients of the pretend API server: the engine's trait, and what actors need beyond it.

use std::sync::Arc;

use json_patch::{PatchErrorKind, PatchOperation};
use ovncilium_core::plan::{ObjectRef, Resource};
use ovncilium_engine::world::{Cluster, ClusterError, Eviction, Filter};
use serde_json::{Value, json};

use super::{Inner, Store, User, WriteRecord, fault};
use crate::{objects, resources, selector};

/// The state of one kind: its revision (0 when the server tells none) and its objects.
pub type Snapshot = (u64, Vec<Arc<Value>>);

/// What actors ask of an API server beyond the engine's [`Cluster`]: what kubelets and controllers may do and we may
/// not.
pub trait ActorCluster: Cluster {
    /// Apply a merge patch (RFC 7396) `{"status": …}` to the status subresource of the object.
    ///
    /// # Errors
    /// As [`Cluster::json_patch`].
    fn patch_status(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError>;

    /// Delete without grace, as a kubelet does when the containers of a pod are gone; `false` when there is no such
    /// object.
    ///
    /// # Errors
    /// As [`Cluster::delete`].
    fn force_delete(&self, object: &ObjectRef, uid: &str) -> Result<bool, ClusterError>;

    /// All objects of a kind, unless nothing of it changed since revision `known`; no objects when the kind is not
    /// served. The default lists each time.
    ///
    /// # Errors
    /// As [`Cluster::list`], but for a kind that is not served.
    fn snapshot(&self, resource: &Resource, known: u64) -> Result<Option<Snapshot>, ClusterError> {
        let _ = known;
        match self.list(resource, &Filter::all()) {
            Ok(objects) => Ok(Some((0, objects.into_iter().map(Arc::new).collect()))),
            Err(ClusterError::NotServed { .. }) => Ok(Some((0, Vec::new()))),
            Err(error) => Err(error),
        }
    }
}

/// A client of a [`Store`] that acts as one user.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    pub(super) store: &'a Store,
    pub(super) user: User,
}

impl Client<'_> {
    /// Whether faults hit this client.
    fn mortal(&self) -> bool {
        matches!(self.user, User::Engine | User::Helm)
    }

    fn unreachable(&self) -> ClusterError {
        ClusterError::Unreachable { server: self.server(), message: "connection refused".to_owned() }
    }

    fn alive(&self) -> Result<(), ClusterError> {
        if self.mortal() && self.store.killed() { Err(self.unreachable()) } else { Ok(()) }
    }

    /// One write request: the fault that is due, the act, the log.
    fn write<T>(
        &self,
        verb: &'static str,
        object: &ObjectRef,
        request: &Value,
        act: impl FnOnce(&mut Inner) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        self.alive()?;
        let mut inner = self.store.inner.borrow_mut();
        let mut due = None;
        if self.mortal() {
            due = inner.fault.filter(|fault| fault.write == inner.writes);
            inner.writes += 1;
        }
        if let Some(fault) = due {
            inner.killed = fault.what == fault::What::Kill;
            if fault.when == fault::When::Before {
                return Err(self.unreachable());
            }
        }
        let result = act(&mut inner);
        let record = WriteRecord {
            time: inner.now,
            user: self.user,
            verb,
            object: object.clone(),
            request: if self.user == User::Actors { Value::Null } else { request.clone() },
            refused: result.as_ref().err().map(ToString::to_string),
        };
        inner.log.push(record);
        if due.is_some() { Err(self.unreachable()) } else { result }
    }

    /// The stored object a write is about.
    fn existing(inner: &Inner, object: &ObjectRef) -> Result<(Resource, Value), ClusterError> {
        let resource = known(object)?;
        inner.served(&resource)?;
        match inner.get(object) {
            Some(value) => Ok((resource, Value::clone(value))),
            None => Err(ClusterError::NotFound { object: object.to_string() }),
        }
    }
}

impl Cluster for Client<'_> {
    fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        self.alive()?;
        Ok(self.store.inner.borrow().get(object).map(|value| Value::clone(value)))
    }

    fn list(&self, resource: &Resource, filter: &Filter) -> Result<Vec<Value>, ClusterError> {
        self.alive()?;
        let inner = self.store.inner.borrow();
        inner.served(resource)?;
        let matching = inner.candidates(resource, filter).filter(|value| {
            filter.namespace.as_deref().is_none_or(|namespace| namespace == objects::namespace(value))
                && filter.labels.as_deref().is_none_or(|labels| selector::matches_labels(value, labels))
                && filter.fields.as_deref().is_none_or(|fields| selector::matches_fields(value, fields))
        });
        Ok(matching.map(|value| Value::clone(value)).collect())
    }

    fn create(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        if *resource == Resource::ACCESS_REVIEWS {
            self.alive()?;
            let mut answer = value.clone();
            answer["status"] = json!({ "allowed": true });
            return Ok(answer);
        }
        let object = resource.named(objects::namespace(value), objects::name(value));
        self.write("create", &object, value, |inner| inner.add(resource, value, false))
    }

    fn replace(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        let object = resource.named(objects::namespace(value), objects::name(value));
        self.write("update", &object, value, |inner| {
            let (_, old) = Self::existing(inner, &object)?;
            let version = objects::text(value, "/metadata/resourceVersion");
            if version != objects::text(&old, "/metadata/resourceVersion") {
                let message =
                    "the object has been modified; please apply your changes to the latest version and try again";
                return Err(ClusterError::Conflict { object: object.to_string(), message: message.to_owned() });
            }
            Ok(inner.change(resource, &object, &old, value.clone()))
        })
    }

    fn json_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError> {
        self.write("patch", object, patch, |inner| {
            let (resource, old) = Self::existing(inner, object)?;
            let mut value = old.clone();
            apply(&mut value, object, patch)?;
            Ok(inner.change(&resource, object, &old, value))
        })
    }

    fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<bool, ClusterError> {
        let request = uid.map_or(Value::Null, |uid| json!({ "preconditions": { "uid": uid } }));
        self.write("delete", object, &request, |inner| Ok(inner.delete(object, uid, false)))
    }

    fn evict(&self, namespace: &str, pod: &str, uid: &str) -> Result<Eviction, ClusterError> {
        let object = Resource::PODS.named(namespace, pod);
        let request = json!({ "deleteOptions": { "preconditions": { "uid": uid } } });
        self.write("evict", &object, &request, |inner| Ok(inner.evict(namespace, pod, uid)))
    }

    fn server(&self) -> String {
        "https://pretend.invalid:6443".to_owned()
    }
}

impl ActorCluster for Client<'_> {
    fn patch_status(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError> {
        self.write("patch-status", object, patch, |inner| {
            let (resource, old) = Self::existing(inner, object)?;
            let mut value = old.clone();
            json_patch::merge(&mut value["status"], patch.get("status").unwrap_or(&Value::Null));
            if value == old { Ok(value) } else { Ok(inner.put(&resource, object, value)) }
        })
    }

    fn force_delete(&self, object: &ObjectRef, uid: &str) -> Result<bool, ClusterError> {
        self.write("delete", object, &Value::Null, |inner| Ok(inner.delete(object, Some(uid), true)))
    }

    fn snapshot(&self, resource: &Resource, known: u64) -> Result<Option<Snapshot>, ClusterError> {
        self.alive()?;
        let inner = self.store.inner.borrow();
        let revision = inner.changed.get(resource).copied().unwrap_or(1);
        if revision == known {
            return Ok(None);
        }
        let all = inner.objects.get(resource).map(|kind| kind.values().cloned().collect()).unwrap_or_default();
        Ok(Some((revision, all)))
    }
}

fn known(object: &ObjectRef) -> Result<Resource, ClusterError> {
    resources::of(object)
        .ok_or_else(|| ClusterError::NotServed { resource: format!("{}.{}", object.plural, object.group) })
}

/// Applies a JSON patch; a failed `test`, also of a path that is not there, is a conflict as on the real API server.
fn apply(value: &mut Value, object: &ObjectRef, patch: &Value) -> Result<(), ClusterError> {
    let invalid = |message: String| ClusterError::Invalid { request: format!("patch {object}"), message };
    let conflict = |message: String| ClusterError::Conflict { object: object.to_string(), message };
    let operations: Vec<PatchOperation> =
        serde_json::from_value(patch.clone()).map_err(|error| invalid(error.to_string()))?;
    for operation in operations {
        if let PatchOperation::Test(test) = &operation {
            let found = value.pointer(test.path.as_str()).unwrap_or(&Value::Null);
            if *found != test.value {
                return Err(conflict(format!("test of {} failed", test.path)));
            }
            continue;
        }
        json_patch::patch(value, &[operation]).map_err(|error| match error.kind {
            PatchErrorKind::TestFailed => conflict(error.to_string()),
            _ => invalid(error.to_string()),
        })?;
    }
    Ok(())
}
