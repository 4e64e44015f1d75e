//! Users of the cluster and what they may do.

use serde_json::{Value, json};

use crate::{api::Api, error::Result};

/// What a user may do in the whole cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// Bound to `cluster-admin`. Not in `system:masters`, which would skip authorisation.
    ClusterAdmin,
    /// Nothing but what every authenticated user may do.
    Nothing,
    /// A ClusterRole with these rules: objects with `apiGroups`, `resources`, `verbs`, ...
    Rules(Vec<Value>),
}

impl Access {
    /// A person who may look at everything and change nothing.
    pub fn read_only() -> Self {
        Self::Rules(vec![json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]})])
    }

    pub(crate) fn grant(&self, api: &Api, user: &str) -> Result<()> {
        const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
        const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        let name = format!("e2e:{user}");
        let role = match self {
            Self::Nothing => return Ok(()),
            Self::ClusterAdmin => "cluster-admin",
            Self::Rules(rules) => {
                let role = json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                    "metadata": {"name": name}, "rules": rules,
                });
                api.create(ROLES, &role)?;
                name.as_str()
            }
        };
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        api.create(BINDINGS, &binding).map(drop)
    }
}
