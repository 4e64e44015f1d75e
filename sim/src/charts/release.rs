//! Releases in the cluster: stored as Secrets, applied object by object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ovncilium_core::plan::Resource;
use ovncilium_engine::world::{ChartsError, Cluster, ClusterError, Filter};
use serde_json::{Value, json};

use super::{failed, merge};
use crate::objects;
use crate::resources::{self, SECRETS};
use crate::store::Client;

/// One revision as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) revision: u32,
    pub(super) status: String,
    pub(super) chart: Value,
    pub(super) values: Value,
    pub(super) manifest: Vec<Value>,
    secret: Value,
}

/// The revisions of one release.
pub(super) struct Releases<'a> {
    pub(super) client: Client<'a>,
    pub(super) release: &'a str,
    pub(super) namespace: &'a str,
}

impl Releases<'_> {
    /// All revisions, oldest first.
    pub(super) fn all(&self, command: &str) -> Result<Vec<Stored>, ChartsError> {
        let filter = Filter::in_namespace(self.namespace).labelled(&format!("owner=helm,name={}", self.release));
        let secrets = self.client.list(&SECRETS, &filter).map_err(|error| refused(command, &error))?;
        let mut stored: Vec<Stored> = secrets.into_iter().filter_map(read).collect();
        stored.sort_by_key(|one| one.revision);
        Ok(stored)
    }

    /// Install or upgrade to `desired`.
    pub(super) fn upgrade(&self, chart: &Value, values: &Value, desired: &[Value]) -> Result<(), ChartsError> {
        let command = "upgrade";
        let earlier = self.all(command)?;
        let pending = if earlier.is_empty() { "pending-install" } else { "pending-upgrade" };
        let revision = earlier.last().map_or(1, |last| last.revision + 1);
        let body = json!({ "chart": chart, "values": values, "manifest": desired });
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "helm.sh/release.v1",
            "metadata": {
                "name": format!("sh.helm.release.v1.{}.v{revision}", self.release),
                "namespace": self.namespace,
                "labels": { "name": self.release, "owner": "helm", "status": pending, "version": revision.to_string() },
            },
            "data": { "release": STANDARD.encode(body.to_string()) },
        });
        let secret = self.client.create(&SECRETS, &secret).map_err(|error| refused(command, &error))?;
        // A revision a dead helm left pending may have made objects, so every manifest counts, not only the deployed one.
        let previous: Vec<&Value> = earlier.iter().rev().flat_map(|stored| &stored.manifest).collect();
        for object in desired {
            // As helm does: what is compared with is the manifest that was deployed last, not that of a revision that failed.
            let deployed =
                earlier.iter().rev().filter(|stored| stored.status == "deployed").flat_map(|stored| &stored.manifest);
            let before = deployed.chain(previous.iter().copied()).find(|old| same(old, object));
            self.apply(object, before).map_err(|error| refused(command, &error))?;
        }
        for object in previous {
            if !desired.iter().any(|kept| same(kept, object)) {
                self.remove(object).map_err(|error| refused(command, &error))?;
            }
        }
        for stored in earlier.iter().filter(|stored| stored.status != "superseded") {
            self.mark(&stored.secret, "superseded").map_err(|error| refused(command, &error))?;
        }
        self.mark(&secret, "deployed").map_err(|error| refused(command, &error))
    }

    /// Remove everything any revision made, then the revisions.
    pub(super) fn uninstall(&self) -> Result<(), ChartsError> {
        let command = "uninstall";
        let stored = self.all(command)?;
        if let Some(last) = stored.last()
            && last.status != "uninstalling"
        {
            self.mark(&last.secret, "uninstalling").map_err(|error| refused(command, &error))?;
        }
        // Workloads before what they need.
        for object in stored.iter().rev().flat_map(|one| one.manifest.iter().rev()) {
            self.remove(object).map_err(|error| refused(command, &error))?;
        }
        for one in &stored {
            let object = SECRETS.named(self.namespace, objects::name(&one.secret));
            self.client.delete(&object, None).map_err(|error| refused(command, &error))?;
        }
        Ok(())
    }

    fn apply(&self, desired: &Value, before: Option<&Value>) -> Result<(), ClusterError> {
        let resource = kind_of(desired)?;
        let object = resource.named(objects::namespace(desired), objects::name(desired));
        match self.client.get(&object)? {
            None => self.client.create(&resource, desired).map(drop),
            Some(live) => {
                let merged = merge::three_way(before.unwrap_or(&Value::Null), desired, &live);
                if merged == live { Ok(()) } else { self.client.replace(&resource, &merged).map(drop) }
            }
        }
    }

    fn remove(&self, object: &Value) -> Result<(), ClusterError> {
        let resource = kind_of(object)?;
        let object = resource.named(objects::namespace(object), objects::name(object));
        if self.client.get(&object)?.is_some() {
            self.client.delete(&object, None)?;
        }
        Ok(())
    }

    fn mark(&self, secret: &Value, status: &str) -> Result<(), ClusterError> {
        let object = SECRETS.named(self.namespace, objects::name(secret));
        let patch = json!([{ "op": "add", "path": "/metadata/labels/status", "value": status }]);
        self.client.json_patch(&object, &patch).map(drop)
    }
}

fn read(secret: Value) -> Option<Stored> {
    let bytes = STANDARD.decode(objects::text(&secret, "/data/release")).ok()?;
    let mut body: Value = serde_json::from_slice(&bytes).ok()?;
    Some(Stored {
        revision: objects::label(&secret, "version")?.parse().ok()?,
        status: objects::label(&secret, "status")?.to_owned(),
        chart: body["chart"].take(),
        manifest: body["manifest"].as_array().cloned().unwrap_or_default(),
        values: body["values"].take(),
        secret,
    })
}

fn kind_of(object: &Value) -> Result<Resource, ClusterError> {
    let (version, kind) = (objects::text(object, "/apiVersion"), objects::text(object, "/kind"));
    resources::find_kind(version, kind).ok_or_else(|| ClusterError::NotServed { resource: format!("{version} {kind}") })
}

fn same(a: &Value, b: &Value) -> bool {
    ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"]
        .iter()
        .all(|at| objects::text(a, at) == objects::text(b, at))
}

fn refused(command: &str, error: &ClusterError) -> ChartsError {
    failed(command, &error.to_string())
}
