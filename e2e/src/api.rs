//! The API server spoken to as plain JSON: what scenarios need in order to set things up and to look at every kind of object.

use std::{path::Path, sync::Arc, time::Duration};

use http::{Method, Request};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    error::{Error, Result},
    wait::{self, Seen},
};

/// The user agent of every request of this crate, so that the audit log can tell it from others.
pub const USER_AGENT: &str = "ovncilium-e2e";

/// How long a read may be put off by the server.
const READ_LIMIT: Duration = Duration::from_secs(60);

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// One user's blocking connection. Clones share it.
///
/// Blocking: do not call it from inside a tokio runtime.
#[derive(Clone)]
pub struct Api {
    runtime: Arc<Runtime>,
    client: Client,
}

impl Api {
    /// Connects as the user of this kubeconfig; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Client`] when the file does not make a client.
    pub fn from_kubeconfig(path: &Path) -> Result<Self> {
        let client_error = |source| Error::Client { source: Box::new(source) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|source| Error::Spawn { program: "a tokio runtime".into(), source })?;
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|e| client_error(e.into()))?;
            let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(|e| client_error(e.into()))?;
            // A 429 is an answer here (a disruption budget at its limit), not a reason to try again.
            config.default_retry = false;
            Client::try_from(config).map_err(client_error)
        })?;
        Ok(Self { runtime: Arc::new(runtime), client })
    }

    /// The client itself, for callers with a runtime of their own.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Reads are sent again while the server says that it is not ready for this kind: it answers 429 for a moment
    /// after a CRD was made or changed, when its cache of the objects is built anew.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server answers with a failure, [`Error::Client`] when it does not answer.
    pub fn get(&self, path: &str) -> Result<Value> {
        wait::until(format!("the server answers GET {path}"), READ_LIMIT, || {
            match self.send(Method::GET, path, JSON, None) {
                Err(Error::Refused { code: 429, message, .. }) => Ok(Seen::NotYet(message)),
                other => other.map(Seen::Ready),
            }
        })
    }

    /// # Errors
    /// As [`Api::get`].
    pub fn get_text(&self, path: &str) -> Result<String> {
        self.send_text(Method::GET, path, JSON, None)
    }

    /// The object, or `None` when there is none of that name (or no such kind).
    ///
    /// # Errors
    /// As [`Api::get`], but for 404.
    pub fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.get(path) {
            Err(error) if error.refused_with() == Some(404) => Ok(None),
            other => other.map(Some),
        }
    }

    /// The items of a list.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut list = self.get(path)?;
        match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Error::Expectation(format!("GET {path} did not answer with a list"))),
        }
    }

    /// # Errors
    /// As [`Api::get`].
    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.send(Method::POST, path, JSON, Some(object))
    }

    /// # Errors
    /// As [`Api::get`].
    pub fn replace(&self, path: &str, object: &Value) -> Result<Value> {
        self.send(Method::PUT, path, JSON, Some(object))
    }

    /// Sends a JSON merge patch (RFC 7396).
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn merge(&self, path: &str, patch: &Value) -> Result<Value> {
        self.send(Method::PATCH, path, MERGE_PATCH, Some(patch))
    }

    /// Server-side apply, with force, as the field manager of this crate.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        let path = format!("{path}?fieldManager={USER_AGENT}&force=true");
        self.send(Method::PATCH, &path, APPLY_PATCH, Some(object))
    }

    /// Sends a JSON patch (RFC 6902). A `test` that fails is answered with 422.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn json_patch(&self, path: &str, patch: &Value) -> Result<Value> {
        self.send(Method::PATCH, path, JSON_PATCH, Some(patch))
    }

    /// # Errors
    /// As [`Api::get`].
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.send(Method::DELETE, path, JSON, None)
    }

    /// Deletes with these `DeleteOptions`.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub fn delete_with(&self, path: &str, options: &Value) -> Result<Value> {
        self.send(Method::DELETE, path, JSON, Some(options))
    }

    /// Does `work` on this connection's runtime until its handle is aborted.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(work)
    }

    fn send(&self, method: Method, path: &str, content_type: &str, body: Option<&Value>) -> Result<Value> {
        let what = format!("the answer to {method} {path}");
        let text = self.send_text(method, path, content_type, body)?;
        serde_json::from_str(&text).map_err(Error::json(what))
    }

    fn send_text(&self, method: Method, path: &str, content_type: &str, body: Option<&Value>) -> Result<String> {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, content_type)
            .header(http::header::ACCEPT, JSON)
            .header(http::header::USER_AGENT, USER_AGENT)
            .body(body.map(|value| value.to_string().into_bytes()).unwrap_or_default())
            .map_err(|source| Error::Client { source: Box::new(kube::Error::HttpError(source)) })?;
        self.runtime.block_on(self.client.request_text(request)).map_err(|source| match source {
            kube::Error::Api(status) => Error::Refused {
                method: method.to_string(),
                path: path.to_owned(),
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            other => Error::Client { source: Box::new(other) },
        })
    }
}
