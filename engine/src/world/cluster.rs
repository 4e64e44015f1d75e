//! The API server: objects as JSON, one request per call.

use ovncilium_core::plan::{ObjectRef, Resource};
use serde_json::Value;

/// Which objects of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Label selector, `a=b,c`.
    pub labels: Option<String>,
    /// Field selector, `spec.nodeName=worker-1`.
    pub fields: Option<String>,
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Objects of one namespace.
    pub fn in_namespace(namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..Self::default() }
    }

    /// With this label selector as well.
    #[must_use]
    pub fn labelled(mut self, selector: &str) -> Self {
        self.labels = Some(selector.to_owned());
        self
    }

    /// Pods bound to this node.
    pub fn on_node(node: &str) -> Self {
        Self { fields: Some(format!("spec.nodeName={node}")), ..Self::default() }
    }
}

/// What became of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// The pod is being deleted.
    Accepted,
    /// A budget or a webhook refuses for now (429), and why.
    Refused(String),
    /// There is no pod of that name and UID.
    Gone,
}

/// Why a request failed. Messages are the server's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// 404 for an object that was to be changed.
    #[error("{object} does not exist")]
    NotFound {
        /// The object.
        object: String,
    },
    /// 409: it exists already.
    #[error("{object} exists already")]
    AlreadyExists {
        /// The object.
        object: String,
    },
    /// 409 or a failed `test` of a JSON patch: somebody changed it meanwhile.
    #[error("{object} was changed by somebody else: {message}")]
    Conflict {
        /// The object.
        object: String,
        /// The server's words.
        message: String,
    },
    /// 401 or 403.
    #[error("{request} is forbidden: {message}")]
    Forbidden {
        /// The request: `create configmaps in kube-system`.
        request: String,
        /// The server's words.
        message: String,
    },
    /// 400 or 422.
    #[error("{request} was refused: {message}")]
    Invalid {
        /// The request.
        request: String,
        /// The server's words.
        message: String,
    },
    /// The API server does not serve this kind (no such CRD).
    #[error("the API server does not serve {resource}")]
    NotServed {
        /// `ciliumendpoints.cilium.io/v2`.
        resource: String,
    },
    /// No answer: connection refused, TLS, timeout, 5xx after retries.
    #[error("no answer from the API server at {server}: {message}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// The cause.
        message: String,
    },
}

impl ClusterError {
    /// Whether the same request may succeed a moment later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Conflict { .. })
    }
}

/// The API server. Each method is one request (retries of reads and of 429 and 5xx apart); none keeps state.
pub trait Cluster {
    /// The object, or `None` when it, or its whole kind, does not exist.
    ///
    /// # Errors
    /// [`ClusterError::Forbidden`], [`ClusterError::Unreachable`].
    fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError>;

    /// All matching objects, each with `apiVersion` and `kind`; read in pages.
    ///
    /// # Errors
    /// [`ClusterError::NotServed`] for a kind without CRD; [`ClusterError::Forbidden`], [`ClusterError::Unreachable`].
    fn list(&self, resource: &Resource, filter: &Filter) -> Result<Vec<Value>, ClusterError>;

    /// Create `value` (with `apiVersion`, `kind`, `metadata`); returns the object as stored.
    ///
    /// # Errors
    /// [`ClusterError::AlreadyExists`] among others.
    fn create(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError>;

    /// Replace the whole object; its `metadata.resourceVersion` must still be current (compare and swap).
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] when it is not; [`ClusterError::NotFound`].
    fn replace(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError>;

    /// Apply a JSON patch (RFC 6902); a failed `test` operation is a [`ClusterError::Conflict`].
    ///
    /// # Errors
    /// [`ClusterError::NotFound`], [`ClusterError::Invalid`] and the like.
    fn json_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError>;

    /// Delete the object if it still has this UID; `false` when it was not there (any more).
    ///
    /// # Errors
    /// [`ClusterError::Forbidden`], [`ClusterError::Unreachable`].
    fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<bool, ClusterError>;

    /// Evict a pod through the eviction API, budgets respected.
    ///
    /// # Errors
    /// [`ClusterError::Forbidden`], [`ClusterError::Unreachable`].
    fn evict(&self, namespace: &str, pod: &str, uid: &str) -> Result<Eviction, ClusterError>;

    /// URL of the API server, for messages.
    fn server(&self) -> String;
}
