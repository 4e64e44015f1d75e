//! An API server and a clock for the tests of this module: objects in memory, kubelets that answer when told.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ovncilium_core::plan::{ObjectRef, Resource};
use serde_json::{Value, json};

use crate::world::{Clock, Cluster, ClusterError, Eviction, Filter};

/// An API server.
#[derive(Default)]
pub(super) struct Pretend {
    pub(super) objects: RefCell<BTreeMap<String, Value>>,
    /// Kinds that may not be listed or read.
    pub(super) forbidden: BTreeSet<Resource>,
    /// Kinds without CRD.
    pub(super) not_served: BTreeSet<Resource>,
    /// Requests that are not allowed, as `verb resource`.
    pub(super) denied: BTreeSet<&'static str>,
    /// Whether nothing answers.
    pub(super) gone: Cell<bool>,
    /// Status that a pod on a node has once it was created.
    pub(super) kubelets: BTreeMap<String, Value>,
    /// Most pods there were at a time.
    pub(super) most: Cell<usize>,
    uids: Cell<u32>,
}

impl Pretend {
    pub(super) fn put(&self, resource: Resource, mut object: Value) {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let key = resource.named(text("/metadata/namespace"), text("/metadata/name")).to_string();
        if object.pointer("/metadata/uid").is_none() {
            self.uids.set(self.uids.get() + 1);
            object["metadata"]["uid"] = json!(format!("uid-{}", self.uids.get()));
        }
        self.objects.borrow_mut().insert(key, object);
    }

    pub(super) fn pods(&self) -> usize {
        self.objects.borrow().keys().filter(|key| key.starts_with("pod ")).count()
    }

    fn reachable(&self) -> Result<(), ClusterError> {
        if !self.gone.get() {
            return Ok(());
        }
        Err(ClusterError::Unreachable { server: self.server(), message: "connection refused".to_owned() })
    }

    fn may_read(&self, verb: &str, resource: &Resource) -> Result<(), ClusterError> {
        self.reachable()?;
        if self.forbidden.contains(resource) {
            let request = format!("{verb} {}", resource.plural);
            let message = format!("User \"ci\" cannot {verb} resource \"{}\" at the cluster scope", resource.plural);
            return Err(ClusterError::Forbidden { request, message });
        }
        if self.not_served.contains(resource) {
            return Err(ClusterError::NotServed { resource: resource.plural.to_owned() });
        }
        Ok(())
    }
}

impl Cluster for Pretend {
    fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        let resource = Resource::ALL.iter().find(|r| r.kind == object.kind).unwrap();
        self.may_read("get", resource)?;
        Ok(self.objects.borrow().get(&object.to_string()).cloned())
    }

    fn list(&self, resource: &Resource, filter: &Filter) -> Result<Vec<Value>, ClusterError> {
        self.may_read("list", resource)?;
        let kind = format!("{} ", resource.kind.to_lowercase());
        let wanted: Vec<(String, String)> = filter
            .labels
            .iter()
            .flat_map(|labels| labels.split(','))
            .filter_map(|label| label.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let fits =
            |object: &Value| wanted.iter().all(|(name, value)| object["metadata"]["labels"][name] == value.as_str());
        let objects = self.objects.borrow();
        Ok(objects
            .iter()
            .filter(|(key, object)| key.starts_with(&kind) && fits(object))
            .map(|(_, o)| o.clone())
            .collect())
    }

    fn create(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        self.reachable()?;
        let mut object = value.clone();
        if *resource == Resource::ACCESS_REVIEWS {
            let asked = &value["spec"]["resourceAttributes"];
            let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
            let mut resource = text("resource");
            if !text("subresource").is_empty() {
                resource = format!("{resource}/{}", text("subresource"));
            }
            object["status"]["allowed"] = json!(!self.denied.contains(format!("{} {resource}", text("verb")).as_str()));
            return Ok(object);
        }
        let name = resource
            .named(object["metadata"]["namespace"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        if self.denied.contains(format!("create {}", resource.plural).as_str()) {
            let request = format!("create {}", resource.plural);
            return Err(ClusterError::Forbidden { request, message: "no".to_owned() });
        }
        if self.objects.borrow().contains_key(&name.to_string()) {
            return Err(ClusterError::AlreadyExists { object: name.to_string() });
        }
        if let Some(status) = self.kubelets.get(object["spec"]["nodeName"].as_str().unwrap_or_default()) {
            object["status"] = status.clone();
        }
        self.put(*resource, object);
        self.most.set(self.most.get().max(self.pods()));
        self.get(&name).map(Option::unwrap)
    }

    fn replace(&self, _: &Resource, _: &Value) -> Result<Value, ClusterError> {
        panic!("collecting replaces nothing")
    }

    fn json_patch(&self, _: &ObjectRef, _: &Value) -> Result<Value, ClusterError> {
        panic!("collecting patches nothing")
    }

    fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<bool, ClusterError> {
        self.reachable()?;
        let mut objects = self.objects.borrow_mut();
        let fits = objects.get(&object.to_string()).is_some_and(|o| uid.is_none_or(|uid| o["metadata"]["uid"] == uid));
        Ok(fits && objects.remove(&object.to_string()).is_some())
    }

    fn evict(&self, _: &str, _: &str, _: &str) -> Result<Eviction, ClusterError> {
        panic!("collecting evicts nothing")
    }

    fn server(&self) -> String {
        "https://10.0.0.1:6443".to_owned()
    }
}

/// A clock that only moves when somebody sleeps.
#[derive(Default)]
pub(super) struct Still {
    pub(super) since_boot: Cell<Duration>,
    /// Stop at once from then on.
    pub(super) stop_at: Option<Duration>,
}

impl Clock for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn since_boot(&self) -> Duration {
        self.since_boot.get()
    }

    fn sleep(&self, duration: Duration) {
        self.since_boot.set(self.since_boot.get() + duration);
    }

    fn stop_requested(&self) -> u8 {
        if self.stop_at.is_some_and(|at| self.since_boot.get() >= at) { 2 } else { 0 }
    }
}
