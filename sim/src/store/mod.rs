//! An API server in memory: the semantics the engine relies on, behind the trait the engine uses.
//!
//! Objects have UID, resourceVersion and generation; a replace is a compare-and-swap; a JSON patch may `test`; pods
//! die in two steps (deletionTimestamp, then the kubelet's forced delete), other objects at once; dependents of
//! vanished owners follow in the background ([`Store::collect_garbage`]); kinds of Cilium and Kube-OVN exist while
//! their CustomResourceDefinition does. What a real API server does beyond that (validation, admission, paging,
//! watches) is tested on a real one (`e2e/`).

mod client;
mod eviction;
mod fault;
mod garbage;
mod log;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use ovncilium_core::plan::{ObjectRef, Resource};
use ovncilium_engine::ClusterError;
use ovncilium_engine::world::Filter;
use serde_json::{Map, Value, json};

pub use client::{ActorCluster, Client, Snapshot};
pub use fault::{Fault, What, When};
pub use log::{User, WriteRecord};

use crate::{objects, resources};

/// Namespace (empty for cluster-wide kinds) and name.
type Key = (String, String);

/// The API server; [`Store::as_user`] gives clients of it.
#[derive(Debug)]
pub struct Store {
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    objects: BTreeMap<Resource, BTreeMap<Key, Arc<Value>>>,
    /// Pods by the node they are bound to: kubelets and the engine ask by node, in clusters of thousands.
    pods_on: BTreeMap<String, BTreeSet<Key>>,
    /// Revision of the last change of each kind.
    changed: BTreeMap<Resource, u64>,
    revision: u64,
    uids: u64,
    now: Timestamp,
    log: Vec<WriteRecord>,
    /// UIDs removed since garbage was last collected.
    removed: BTreeSet<String>,
    fault: Option<Fault>,
    writes: usize,
    killed: bool,
}

impl Store {
    /// An empty API server.
    pub fn new(now: Timestamp) -> Self {
        Self {
            inner: RefCell::new(Inner {
                objects: BTreeMap::new(),
                pods_on: BTreeMap::new(),
                changed: BTreeMap::new(),
                revision: 1,
                uids: 0,
                now,
                log: Vec::new(),
                removed: BTreeSet::new(),
                fault: None,
                writes: 0,
                killed: false,
            }),
        }
    }

    /// A client that acts as `user`.
    pub fn as_user(&self, user: User) -> Client<'_> {
        Client { store: self, user }
    }

    /// The time the API server stamps objects with.
    pub fn set_now(&self, now: Timestamp) {
        self.inner.borrow_mut().now = now;
    }

    /// Revision of the last change of any object.
    pub fn revision(&self) -> u64 {
        self.inner.borrow().revision
    }

    /// Every write request so far, in order.
    pub fn log(&self) -> Vec<WriteRecord> {
        self.inner.borrow().log.clone()
    }

    /// Number of write requests of the engine and its helm so far: faults count by it.
    pub fn writes(&self) -> usize {
        self.inner.borrow().writes
    }

    /// Set a fault, or none.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.inner.borrow_mut().fault = fault;
    }

    /// Whether the engine's process has died by a fault.
    pub fn killed(&self) -> bool {
        self.inner.borrow().killed
    }

    /// A new process of the engine may speak again; the fault is over.
    pub fn revive(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.killed = false;
        inner.fault = None;
    }

    /// Put an object there as it is, status and all, without a log entry: for building clusters.
    ///
    /// # Errors
    /// When the kind is not served, or the object exists.
    pub fn insert(&self, value: &Value) -> Result<Value, ClusterError> {
        let kind = objects::text(value, "/kind");
        let version = objects::text(value, "/apiVersion");
        let Some(resource) = resources::find_kind(version, kind) else {
            return Err(ClusterError::NotServed { resource: format!("{version} {kind}") });
        };
        self.inner.borrow_mut().add(&resource, value, true)
    }

    /// Every object, for comparisons: kind by kind, by namespace and name.
    pub fn dump(&self) -> Vec<Value> {
        self.inner.borrow().objects.values().flat_map(|kind| kind.values().map(|o| Value::clone(o))).collect()
    }
}

impl Inner {
    fn served(&self, resource: &Resource) -> Result<(), ClusterError> {
        if !resources::is_custom(resource) {
            return Ok(());
        }
        let name = resources::qualified(resource);
        let crds = self.objects.get(&Resource::CUSTOM_RESOURCES);
        if crds.is_some_and(|crds| crds.contains_key(&(String::new(), name.clone()))) {
            Ok(())
        } else {
            Err(ClusterError::NotServed { resource: format!("{name}/{}", resource.version) })
        }
    }

    fn get(&self, object: &ObjectRef) -> Option<&Arc<Value>> {
        let resource = resources::of(object)?;
        self.objects.get(&resource)?.get(&key(object))
    }

    /// Objects of a kind that may match: those of one node, when the filter names one.
    fn candidates<'a>(&'a self, resource: &Resource, filter: &Filter) -> Box<dyn Iterator<Item = &'a Arc<Value>> + 'a> {
        let Some(kind) = self.objects.get(resource) else { return Box::new(std::iter::empty()) };
        let node = filter.fields.as_deref().and_then(|fields| fields.strip_prefix("spec.nodeName="));
        match node.filter(|node| *resource == Resource::PODS && !node.is_empty() && !node.contains([',', '='])) {
            Some(node) => Box::new(self.pods_on.get(node).into_iter().flatten().filter_map(|key| kind.get(key))),
            None => Box::new(kind.values()),
        }
    }

    fn add(&mut self, resource: &Resource, value: &Value, keep_status: bool) -> Result<Value, ClusterError> {
        self.served(resource)?;
        let mut value = value.clone();
        let namespace = if resource.namespaced { objects::namespace(&value).to_owned() } else { String::new() };
        let mut name = objects::name(&value).to_owned();
        if name.is_empty() {
            let prefix = objects::text(&value, "/metadata/generateName");
            name = format!("{prefix}{}", crate::Jitter(self.uids).suffix(prefix, 5));
        }
        let object = resource.named(&namespace, &name);
        if name.is_empty() || (resource.namespaced && namespace.is_empty()) {
            let request = format!("create {}", resource.plural);
            return Err(ClusterError::Invalid {
                request,
                message: "metadata.name or metadata.namespace is missing".into(),
            });
        }
        if self.objects.get(resource).is_some_and(|kind| kind.contains_key(&(namespace.clone(), name.clone()))) {
            return Err(ClusterError::AlreadyExists { object: object.to_string() });
        }
        self.uids += 1;
        value["metadata"]["name"] = json!(name);
        value["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{:012x}", self.uids));
        value["metadata"]["creationTimestamp"] = json!(objects::stamp(self.now));
        value["metadata"]["generation"] = json!(1);
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.remove("deletionTimestamp");
            metadata.remove("deletionGracePeriodSeconds");
        }
        if let Some(top) = value.as_object_mut()
            && !keep_status
            && resources::has_status(resource)
        {
            top.remove("status");
        }
        if *resource == Resource::PODS && !keep_status {
            value["status"] = json!({ "phase": "Pending" });
        }
        Ok(self.put(resource, &object, value))
    }

    /// Stores a new state of an object that may or may not be there.
    fn put(&mut self, resource: &Resource, object: &ObjectRef, mut value: Value) -> Value {
        self.revision += 1;
        value["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        value["apiVersion"] = json!(resource.api_version());
        value["kind"] = json!(resource.kind);
        self.changed.insert(*resource, self.revision);
        if *resource == Resource::PODS {
            // A pod is bound once and never moves.
            self.pods_on.entry(objects::node_of(&value).to_owned()).or_default().insert(key(object));
        }
        self.objects.entry(*resource).or_default().insert(key(object), Arc::new(value.clone()));
        value
    }

    /// A new state of an existing object through its main endpoint; `value` is what the requester wants.
    fn change(&mut self, resource: &Resource, object: &ObjectRef, old: &Value, mut value: Value) -> Value {
        for field in ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"] {
            match old["metadata"].get(field) {
                Some(kept) => value["metadata"][field] = kept.clone(),
                None => {
                    if let Some(metadata) = value["metadata"].as_object_mut() {
                        metadata.remove(field);
                    }
                }
            }
        }
        if let (true, Some(top)) = (resources::has_status(resource), value.as_object_mut()) {
            match old.get("status") {
                Some(status) => top.insert("status".into(), status.clone()),
                None => top.remove("status"),
            };
        }
        if desired(old) != desired(&value) {
            let generation = objects::number(old, "/metadata/generation", 0);
            value["metadata"]["generation"] = json!(generation + 1);
        }
        value["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if *old == value {
            // As on a real API server, a write that changes nothing makes no new resourceVersion.
            return value;
        }
        self.put(resource, object, value)
    }

    /// Removes an object, and with a definition or a namespace what lives in it.
    fn remove(&mut self, resource: &Resource, object: &ObjectRef) {
        let Some(gone) = self.objects.get_mut(resource).and_then(|kind| kind.remove(&key(object))) else { return };
        self.removed.insert(objects::uid(&gone).to_owned());
        for node in [objects::node_of(&gone), ""] {
            if let Some(pods) = self.pods_on.get_mut(node).filter(|_| *resource == Resource::PODS) {
                pods.remove(&key(object));
            }
        }
        self.revision += 1;
        self.changed.insert(*resource, self.revision);
        let inside: Vec<(Resource, Key)> = match resource.kind {
            "CustomResourceDefinition" => self.keys(|kind, _| resources::qualified(kind) == object.name),
            "Namespace" => self.keys(|kind, key| kind.namespaced && key.0 == object.name),
            _ => Vec::new(),
        };
        for (kind, key) in inside {
            self.remove(&kind, &kind.named(&key.0, &key.1));
        }
    }

    fn keys(&self, wanted: impl Fn(&Resource, &Key) -> bool) -> Vec<(Resource, Key)> {
        let all = self.objects.iter().flat_map(|(kind, objects)| objects.keys().map(move |key| (*kind, key.clone())));
        all.filter(|(kind, key)| wanted(kind, key)).collect()
    }

    /// Deletes as a client asked: a bound pod is only marked, its kubelet finishes it.
    fn delete(&mut self, object: &ObjectRef, uid: Option<&str>, force: bool) -> bool {
        let Some(resource) = resources::of(object) else { return false };
        let Some(old) = self.get(object).cloned() else { return false };
        if uid.is_some_and(|uid| uid != objects::uid(&old)) {
            return false;
        }
        let seconds = objects::number(&old, "/spec/terminationGracePeriodSeconds", 30);
        let bound = resource == Resource::PODS && !objects::node_of(&old).is_empty();
        let graceful = bound && !objects::ended(&old) && seconds > 0;
        if !graceful || force {
            self.remove(&resource, object);
        } else if !objects::deleting(&old) {
            let mut marked = Value::clone(&old);
            let at = self.now + std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            marked["metadata"]["deletionTimestamp"] = json!(objects::stamp(at));
            marked["metadata"]["deletionGracePeriodSeconds"] = json!(seconds);
            self.put(&resource, object, marked);
        }
        true
    }
}

/// What generation counts: everything but metadata and status.
fn desired(value: &Value) -> Map<String, Value> {
    let mut fields = value.as_object().cloned().unwrap_or_default();
    fields.retain(|field, _| field != "metadata" && field != "status");
    fields
}

fn key(object: &ObjectRef) -> Key {
    (object.namespace.clone().unwrap_or_default(), object.name.clone())
}
