//! The record of one revision as helm stores it: a Secret (or ConfigMap) whose `release` is JSON, packed and in base64.
//!
//! The same in Helm 3 and 4 (`pkg/storage/driver/util.go`): base64(gzip(json)), and a Secret's own base64 around it. The status
//! stands in it and in a label.

use std::io::{Read, Write};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ovncilium_core::plan::Resource;
use ovncilium_engine::world::{Cluster, ClusterError, Filter};
use serde_json::Value;

/// Where Helm keeps releases by default.
const SECRETS: Resource = Resource { group: "", version: "v1", plural: "secrets", kind: "Secret", namespaced: true };
/// Largest record, unpacked; an object of the API holds 1 MiB packed.
const LIMIT: u64 = 64 << 20;

/// Why a record cannot be corrected.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// `HELM_DRIVER` names a storage outside the cluster.
    #[error("HELM_DRIVER is `{driver}`")]
    Elsewhere {
        /// Its value.
        driver: String,
    },
    /// The API server refused.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It is not what helm writes.
    #[error("it is not what helm writes: {message}")]
    Torn {
        /// What is wrong.
        message: String,
    },
}

impl RecordError {
    fn torn(error: impl std::fmt::Display) -> Self {
        Self::Torn { message: error.to_string() }
    }
}

/// A stored revision.
pub(super) struct Record {
    resource: Resource,
    object: Value,
}

impl Record {
    /// Reads it; `None` when it is not there.
    pub(super) fn read(
        cluster: &dyn Cluster,
        release: &str,
        namespace: &str,
        revision: u32,
    ) -> Result<Option<Self>, RecordError> {
        Ok(Self::list(cluster, release, namespace, &format!(",version={revision}"))?.into_iter().next())
    }

    /// The newest revision with its number; `None` when there is none.
    pub(super) fn newest(
        cluster: &dyn Cluster,
        release: &str,
        namespace: &str,
    ) -> Result<Option<(u32, Self)>, RecordError> {
        let revision = |object: &Value| object["metadata"]["labels"]["version"].as_str()?.parse::<u32>().ok();
        // The newest is never superseded, and the history of a release may be long.
        let found = Self::list(cluster, release, namespace, ",status!=superseded")?;
        let numbered = found.into_iter().filter_map(|record| Some((revision(&record.object)?, record)));
        Ok(numbered.max_by_key(|(revision, _)| *revision))
    }

    /// What helm has packed into it.
    pub(super) fn unpacked(&self) -> Result<Value, RecordError> {
        unpack(self.object["data"]["release"].as_str().unwrap_or_default(), self.in_secret())
    }

    fn in_secret(&self) -> bool {
        self.resource.plural == SECRETS.plural
    }

    /// Revisions of a release whose labels fit `more` as well.
    fn list(cluster: &dyn Cluster, release: &str, namespace: &str, more: &str) -> Result<Vec<Self>, RecordError> {
        let driver = std::env::var("HELM_DRIVER").unwrap_or_default();
        let resource = match driver.as_str() {
            "" | "secret" | "secrets" => SECRETS,
            "configmap" | "configmaps" => Resource::CONFIG_MAPS,
            _ => return Err(RecordError::Elsewhere { driver }),
        };
        let labels = format!("owner=helm,name={release}{more}");
        let found = cluster.list(&resource, &Filter::in_namespace(namespace).labelled(&labels))?;
        Ok(found.into_iter().map(|object| Self { resource, object }).collect())
    }

    /// How long ago it was made, by the clocks of the API server and of this machine.
    pub(super) fn age(&self) -> Option<Duration> {
        let made: jiff::Timestamp = self.object["metadata"]["creationTimestamp"].as_str()?.parse().ok()?;
        Duration::try_from(jiff::Timestamp::now().duration_since(made)).ok()
    }

    /// Writes `failed` where it says `pending-…`, unless somebody has changed it since it was read.
    pub(super) fn mark_failed(mut self, cluster: &dyn Cluster) -> Result<(), RecordError> {
        let mut release = self.unpacked()?;
        if !release["info"]["status"].is_string() {
            return Err(RecordError::torn("it has no status"));
        }
        release["info"]["status"] = "failed".into();
        release["info"]["description"] = "the helm that worked on it was killed; marked by ovncilium".into();
        self.object["data"]["release"] = pack(&release, self.in_secret())?.into();
        self.object["metadata"]["labels"]["status"] = "failed".into();
        cluster.replace(&self.resource, &self.object)?;
        Ok(())
    }
}

fn unpack(stored: &str, in_secret: bool) -> Result<Value, RecordError> {
    let mut packed = STANDARD.decode(stored).map_err(RecordError::torn)?;
    if in_secret {
        packed = STANDARD.decode(packed).map_err(RecordError::torn)?;
    }
    let mut json = Vec::new();
    GzDecoder::new(packed.as_slice()).take(LIMIT).read_to_end(&mut json).map_err(RecordError::torn)?;
    serde_json::from_slice(&json).map_err(RecordError::torn)
}

fn pack(release: &Value, in_secret: bool) -> Result<String, RecordError> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(release.to_string().as_bytes()).map_err(RecordError::torn)?;
    let text = STANDARD.encode(packer.finish().map_err(RecordError::torn)?);
    Ok(if in_secret { STANDARD.encode(text) } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unpacks_what_it_packs() {
        let release = json!({ "name": "cilium", "info": { "status": "pending-install" }, "config": { "a": 1.5 } });
        for in_secret in [true, false] {
            let packed = pack(&release, in_secret).expect("packed");
            assert_eq!(unpack(&packed, in_secret).expect("unpacked"), release);
        }
        assert!(unpack("!", true).is_err());
    }
}
