//! [`Cluster`] on a real API server: raw requests of kube's client, each carried out while the caller waits.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use ovncilium_core::plan::{ObjectRef, Resource};
use ovncilium_engine::world::{Cluster, ClusterError, Eviction, Filter};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{self, Asked};
use crate::kubeconfig::{Access, ConnectionError};
use crate::request::{self, Again, Answer, Call};

/// Who wrote, in `managedFields` and the audit log.
pub const FIELD_MANAGER: &str = "ovncilium";
/// How the API server knows our requests.
pub const USER_AGENT: &str = concat!("kubectl-ovncilium/", env!("CARGO_PKG_VERSION"));
/// Objects per page of a list.
const PAGE: u32 = 500;
/// How often a list is begun anew because its pages expired (410) before the last was read.
const RESTARTS: u32 = 3;
/// A server that does not even connect is gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const JSON: &str = "application/json";

/// A connection to an API server. Clones share it; it may be used from several threads.
#[derive(Clone)]
pub struct KubeCluster {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: tokio::runtime::Runtime,
    client: kube::Client,
    server: String,
    limit: Option<Duration>,
}

/// One page of a list.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

impl KubeCluster {
    /// Makes the connection ready; sends nothing, but runs a credential plugin if the kubeconfig names one.
    ///
    /// # Errors
    /// [`ConnectionError::Credentials`], [`ConnectionError::ExecPlugin`], [`ConnectionError::Machine`].
    pub fn connect(access: &Access) -> Result<Self, ConnectionError> {
        let machine = |error: std::io::Error| ConnectionError::Machine { message: error.to_string() };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("kube")
            .enable_all()
            .build()
            .map_err(machine)?;
        let mut config = access.config.clone();
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.write_timeout = None;
        // Ours distinguishes reads, writes and evictions; kube's would send an eviction again that a budget refused.
        config.default_retry = false;
        config.headers.push((header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
        let command = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        let client = {
            let _runtime = runtime.enter();
            kube::Client::try_from(config).map_err(|error| no_client(&error, command))?
        };
        Ok(Self { inner: Arc::new(Inner { runtime, client, server: access.server(), limit: access.request_timeout }) })
    }

    /// Version of the API server, `v1.34.1`.
    ///
    /// # Errors
    /// [`ClusterError::Forbidden`], [`ClusterError::Unreachable`].
    pub fn version(&self) -> Result<String, ClusterError> {
        let object = object("", "", "version", "Version", None, "");
        let asked = self.asked("get", object);
        let answer = self.send(&asked, Call { path: "/version".to_owned(), ..read(String::new()) })?;
        let value: Value = success(&asked, &answer)?;
        Ok(value["gitVersion"].as_str().unwrap_or_default().to_owned())
    }

    /// Merge patch on the object's `status`, as a kubelet or a controller would.
    ///
    /// # Errors
    /// [`ClusterError::NotFound`] among others.
    pub fn patch_status(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError> {
        let path = format!("{}/status?{}", object_path(object), manager());
        let asked = self.asked("patch", object.clone());
        asked.must_name_one()?;
        let answer = self.send(&asked, write(Method::PATCH, path, "application/merge-patch+json", patch))?;
        success(&asked, &answer)
    }

    /// Deletes the object at once (grace period 0), as a kubelet does when a pod has ended; `false` when it was not there.
    ///
    /// # Errors
    /// [`ClusterError::Forbidden`], [`ClusterError::Unreachable`].
    pub fn force_delete(&self, object: &ObjectRef) -> Result<bool, ClusterError> {
        self.remove(object, &json!({ "gracePeriodSeconds": 0, "propagationPolicy": "Background" }))
    }

    fn remove(&self, object: &ObjectRef, options: &Value) -> Result<bool, ClusterError> {
        let asked = self.asked("delete", object.clone());
        asked.must_name_one()?;
        let answer = self.send(&asked, write(Method::DELETE, object_path(object), JSON, options))?;
        match answer.status {
            status if status.is_success() => Ok(true),
            _ if answer::is_absent(&answer) || answer::is_other_uid(&answer) => Ok(false),
            _ => Err(answer::refusal(&asked, &answer)),
        }
    }

    fn asked(&self, verb: &'static str, object: ObjectRef) -> Asked {
        Asked { verb, object, tests: false, server: self.inner.server.clone() }
    }

    fn send(&self, asked: &Asked, call: Call) -> Result<Answer, ClusterError> {
        let inner = &self.inner;
        let exchange = request::send(&inner.client, inner.limit, &call);
        inner.runtime.block_on(exchange).map_err(|failure| asked.unreachable(failure.message))
    }

    /// All pages of a list; `None` when they expired on the way.
    fn pages(&self, asked: &Asked, path: &str) -> Result<Option<Vec<Value>>, ClusterError> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let path = if next.is_empty() { path.to_owned() } else { format!("{path}&continue={}", encode(&next)) };
            let answer = self.send(asked, read(path))?;
            if answer.status == StatusCode::GONE && !next.is_empty() {
                return Ok(None);
            }
            let page: Page = success(asked, &answer)?;
            items.extend(page.items.unwrap_or_default());
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(token) => next = token,
                None => return Ok(Some(items)),
            }
        }
    }
}

impl Cluster for KubeCluster {
    fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        let asked = self.asked("get", object.clone());
        asked.must_name_one()?;
        let answer = self.send(&asked, read(object_path(object)))?;
        if answer::is_absent(&answer) { Ok(None) } else { success(&asked, &answer).map(Some) }
    }

    fn list(&self, resource: &Resource, filter: &Filter) -> Result<Vec<Value>, ClusterError> {
        let namespace = filter.namespace.as_deref().filter(|_| resource.namespaced);
        let collection = object_of(resource, namespace, "");
        let mut path = format!("{}?limit={PAGE}", collection_path(&collection));
        for (name, selector) in [("labelSelector", &filter.labels), ("fieldSelector", &filter.fields)] {
            if let Some(selector) = selector {
                path.push_str(&format!("&{name}={}", encode(selector)));
            }
        }
        let asked = self.asked("list", collection);
        let api_version = resource.api_version();
        for _ in 0..RESTARTS {
            if let Some(mut items) = self.pages(&asked, &path)? {
                for item in &mut items {
                    // The API leaves both out in lists.
                    if let Some(fields) = item.as_object_mut() {
                        fields.insert("apiVersion".to_owned(), Value::String(api_version.clone()));
                        fields.insert("kind".to_owned(), Value::String(resource.kind.to_owned()));
                    }
                }
                return Ok(items);
            }
        }
        Err(asked.unreachable(format!(
            "the pages of `{}` expired {RESTARTS} times before the last was read",
            asked.request()
        )))
    }

    fn create(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        let object = object_in(resource, value);
        let path = format!("{}?{}", collection_path(&object), manager());
        let asked = self.asked("create", object);
        if value["metadata"]["resourceVersion"].is_string() {
            // The API server calls this an internal error, which looks as if it would pass.
            let message = "metadata.resourceVersion is set on an object that is to be created".to_owned();
            return Err(ClusterError::Invalid { request: asked.request(), message });
        }
        let answer = self.send(&asked, write(Method::POST, path, JSON, value))?;
        success(&asked, &answer)
    }

    fn replace(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        let object = object_in(resource, value);
        let path = format!("{}?{}", object_path(&object), manager());
        let asked = self.asked("update", object);
        asked.must_name_one()?;
        if value["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty) {
            let message = "metadata.resourceVersion is missing, so it would not be compared".to_owned();
            return Err(ClusterError::Invalid { request: asked.request(), message });
        }
        let answer = self.send(&asked, write(Method::PUT, path, JSON, value))?;
        success(&asked, &answer)
    }

    fn json_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError> {
        let path = format!("{}?{}", object_path(object), manager());
        let tests =
            patch.as_array().is_some_and(|operations| operations.iter().any(|operation| operation["op"] == "test"));
        let asked = Asked { tests, ..self.asked("patch", object.clone()) };
        asked.must_name_one()?;
        let answer = self.send(&asked, write(Method::PATCH, path, "application/json-patch+json", patch))?;
        success(&asked, &answer)
    }

    fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<bool, ClusterError> {
        let mut options = json!({ "propagationPolicy": "Background" });
        if let Some(uid) = uid {
            options["preconditions"] = json!({ "uid": uid });
        }
        self.remove(object, &options)
    }

    fn evict(&self, namespace: &str, pod: &str, uid: &str) -> Result<Eviction, ClusterError> {
        let object = Resource::PODS.named(namespace, pod);
        let path = format!("{}/eviction?{}", object_path(&object), manager());
        let asked = self.asked("evict", object.clone());
        asked.must_name_one()?;
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod, "namespace": namespace },
            "deleteOptions": { "preconditions": { "uid": uid } },
        });
        let call = Call { again: Again::Never, ..write(Method::POST, path, JSON, &body) };
        let answer = self.send(&asked, call)?;
        let outcome = answer::eviction(&asked, &answer)?;
        if matches!(outcome, Eviction::Refused(_)) {
            // A budget is asked before the UID is compared: the refusal may be about another pod of that name.
            let now = self.get(&object)?;
            if now.is_none_or(|pod| pod["metadata"]["uid"] != uid) {
                return Ok(Eviction::Gone);
            }
        }
        Ok(outcome)
    }

    fn server(&self) -> String {
        self.inner.server.clone()
    }
}

fn no_client(error: &kube::Error, command: Option<String>) -> ConnectionError {
    if let kube::Error::Auth(auth) = error
        && let Some((ran, message)) = request::exec_plugin(auth)
    {
        let command = command.filter(|command| !command.is_empty()).unwrap_or(ran);
        return ConnectionError::ExecPlugin { command, message };
    }
    ConnectionError::Credentials { message: request::describe(error) }
}

fn success<T: serde::de::DeserializeOwned>(asked: &Asked, answer: &Answer) -> Result<T, ClusterError> {
    if !answer.status.is_success() {
        return Err(answer::refusal(asked, answer));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        asked.unreachable(format!("the answer to `{}` is not what it should be: {error}", asked.request()))
    })
}

fn read(path: String) -> Call {
    Call { method: Method::GET, path, content_type: JSON, body: Vec::new(), again: Again::Read }
}

fn write(method: Method, path: String, content_type: &'static str, body: &Value) -> Call {
    Call { method, path, content_type, body: body.to_string().into_bytes(), again: Again::Write }
}

fn manager() -> String {
    format!("fieldManager={FIELD_MANAGER}")
}

fn object(group: &str, version: &str, plural: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectRef {
    ObjectRef {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

fn object_of(resource: &Resource, namespace: Option<&str>, name: &str) -> ObjectRef {
    object(resource.group, resource.version, resource.plural, resource.kind, namespace, name)
}

/// The object that `value` describes.
fn object_in(resource: &Resource, value: &Value) -> ObjectRef {
    let text = |field: &str| value["metadata"][field].as_str();
    let namespace = if resource.namespaced { Some(text("namespace").unwrap_or("default")) } else { None };
    object_of(resource, namespace, text("name").unwrap_or_default())
}

fn collection_path(object: &ObjectRef) -> String {
    let mut path = if object.group.is_empty() {
        format!("/api/{}", object.version)
    } else {
        format!("/apis/{}/{}", object.group, object.version)
    };
    if let Some(namespace) = &object.namespace {
        path.push_str(&format!("/namespaces/{}", encode(namespace)));
    }
    path.push('/');
    path.push_str(&object.plural);
    path
}

fn object_path(object: &ObjectRef) -> String {
    format!("{}/{}", collection_path(object), encode(&object.name))
}

/// Percent-encodes what may not stand in a path segment or a query value.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
