//! The actors' view of an API server, on a real one.

use std::{cell::RefCell, collections::BTreeMap, thread, time::Duration};

use ovncilium_core::plan::{ObjectRef, Resource};
use ovncilium_engine::world::{Cluster, ClusterError, Eviction, Filter};
use ovncilium_sim::store::{ActorCluster, Snapshot};
use serde_json::{Value, json};

use super::mirror::Mirror;
use crate::{api::Api, error::Error};

/// How long a kind may take to be listed for the first time.
const FIRST_LIST: Duration = Duration::from_secs(30);
/// The server's whole answer to a JSON patch whose `test` failed; what it refuses for other reasons it explains.
const TEST_FAILED: &str = "the server rejected our request due to an error in our request";

/// One connection. Kinds that are asked for as a whole are mirrored.
pub(super) struct Bridge {
    api: Api,
    mirrors: RefCell<BTreeMap<Resource, Mirror>>,
}

impl Bridge {
    pub(super) fn new(api: Api) -> Self {
        Self { api, mirrors: RefCell::default() }
    }

    fn deleted(result: Result<Value, Error>, object: &ObjectRef) -> Result<bool, ClusterError> {
        match result {
            Ok(_) => Ok(true),
            // 404: not there; 409: there, with another UID.
            Err(error) if matches!(error.refused_with(), Some(404 | 409)) => Ok(false),
            Err(error) => Err(failed(&object.to_string(), "delete", error)),
        }
    }
}

impl Cluster for Bridge {
    fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        self.api.find(&path(object)).map_err(|error| failed(&object.to_string(), "get", error))
    }

    fn list(&self, resource: &Resource, filter: &Filter) -> Result<Vec<Value>, ClusterError> {
        let object = resource.named(filter.namespace.as_deref().unwrap_or_default(), "");
        let mut uri = match filter.namespace {
            Some(_) => collection(&object),
            None => collection(&ObjectRef { namespace: None, ..object }),
        };
        for (separator, key, value) in [('?', "labelSelector", &filter.labels), ('&', "fieldSelector", &filter.fields)]
        {
            let value = value.as_deref().unwrap_or_default().replace('=', "%3D").replace(',', "%2C");
            uri.push_str(&format!("{separator}{key}={value}"));
        }
        self.api.list(&uri).map_err(|error| match error.refused_with() {
            Some(404) => ClusterError::NotServed { resource: format!("{}.{}", resource.plural, resource.group) },
            _ => failed(resource.plural, "list", error),
        })
    }

    fn create(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        let object = named(resource, value);
        self.api.create(&collection(&object), value).map_err(|error| match error.refused_with() {
            Some(409) => ClusterError::AlreadyExists { object: object.to_string() },
            _ => failed(&object.to_string(), "create", error),
        })
    }

    fn replace(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        let object = named(resource, value);
        self.api.replace(&path(&object), value).map_err(|error| failed(&object.to_string(), "update", error))
    }

    fn json_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError> {
        self.api.json_patch(&path(object), patch).map_err(|error| failed(&object.to_string(), "patch", error))
    }

    fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<bool, ClusterError> {
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
        if let Some(uid) = uid {
            options["preconditions"] = json!({ "uid": uid });
        }
        Self::deleted(self.api.delete_with(&path(object), &options), object)
    }

    fn evict(&self, namespace: &str, pod: &str, uid: &str) -> Result<Eviction, ClusterError> {
        let object = Resource::PODS.named(namespace, pod);
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": namespace },
            "deleteOptions": { "preconditions": { "uid": uid } },
        });
        match self.api.create(&format!("{}/eviction", path(&object)), &eviction) {
            Ok(_) => Ok(Eviction::Accepted),
            Err(Error::Refused { code: 429, message, .. }) => Ok(Eviction::Refused(message)),
            Err(error) if matches!(error.refused_with(), Some(404 | 409)) => Ok(Eviction::Gone),
            Err(error) => Err(failed(&object.to_string(), "evict", error)),
        }
    }

    fn server(&self) -> String {
        "the API server of the scenario".to_owned()
    }
}

impl ActorCluster for Bridge {
    fn patch_status(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError> {
        let uri = format!("{}/status", path(object));
        self.api.merge(&uri, patch).map_err(|error| failed(&object.to_string(), "patch the status of", error))
    }

    fn force_delete(&self, object: &ObjectRef, uid: &str) -> Result<bool, ClusterError> {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": { "uid": uid },
        });
        Self::deleted(self.api.delete_with(&path(object), &options), object)
    }

    fn snapshot(&self, resource: &Resource, known: u64) -> Result<Option<Snapshot>, ClusterError> {
        let mut mirrors = self.mirrors.borrow_mut();
        let mirror = mirrors.entry(*resource).or_insert_with(|| Mirror::start(&self.api, *resource));
        let pause = Duration::from_millis(10);
        let mut left = FIRST_LIST;
        while mirror.revision() == 0 && !left.is_zero() {
            thread::sleep(pause);
            left = left.saturating_sub(pause);
        }
        if mirror.revision() == known {
            return Ok(None);
        }
        mirror.now().map(Some).ok_or_else(|| ClusterError::Unreachable {
            server: self.server(),
            message: format!("{} were not listed in time", resource.plural),
        })
    }
}

fn named(resource: &Resource, value: &Value) -> ObjectRef {
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default();
    resource.named(text("namespace"), text("name"))
}

fn collection(object: &ObjectRef) -> String {
    let root = if object.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", object.group) };
    let namespace = object.namespace.as_deref().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
    format!("{root}/{}{namespace}/{}", object.version, object.plural)
}

fn path(object: &ObjectRef) -> String {
    format!("{}/{}", collection(object), object.name)
}

fn failed(object: &str, doing: &str, error: Error) -> ClusterError {
    let object = object.to_owned();
    let request = format!("{doing} {object}");
    match error {
        Error::Refused { code: 404, .. } => ClusterError::NotFound { object },
        Error::Refused { code: 409, message, .. } => ClusterError::Conflict { object, message },
        Error::Refused { code: 422, message, .. } if message == TEST_FAILED => {
            ClusterError::Conflict { object, message }
        }
        Error::Refused { code: 401 | 403, message, .. } => ClusterError::Forbidden { request, message },
        Error::Refused { code: 400 | 422, message, .. } => ClusterError::Invalid { request, message },
        error => ClusterError::Unreachable { server: String::new(), message: crate::error::explain(&error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_real_api() {
        assert_eq!(path(&Resource::PODS.named("shop", "web")), "/api/v1/namespaces/shop/pods/web");
        assert_eq!(path(&Resource::NODES.named("", "n1")), "/api/v1/nodes/n1");
        assert_eq!(path(&Resource::VPCS.named("", "v")), "/apis/kubeovn.io/v1/vpcs/v");
    }

    #[test]
    fn a_failed_test_of_a_patch_is_a_conflict_and_a_refused_object_is_not() {
        let refused = |message: &str| Error::Refused {
            method: "PATCH".into(),
            path: "/".into(),
            code: 422,
            reason: "Invalid".into(),
            message: message.into(),
        };
        assert!(matches!(failed("pod a/b", "patch", refused(TEST_FAILED)), ClusterError::Conflict { .. }));
        assert!(matches!(failed("pod a/b", "patch", refused("Pod \"b\" is invalid")), ClusterError::Invalid { .. }));
    }
}
