//! Reading a journal from a cluster, and beginning a new run.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ovncilium_core::Digest;
use ovncilium_core::ids::RunId;
use ovncilium_core::journal::{Header, Journal, Record, SCHEMA};
use ovncilium_core::plan::action::RUN_LABEL;
use ovncilium_core::plan::{Plan, Resource};
use serde_json::{Value, json};

use super::JournalError;
use crate::world::{Cluster, ClusterError, Filter};

/// Name of the header.
const HEADER: &str = "ovncilium-journal";
/// Largest piece of an attachment, in bytes: base64 makes it a third larger, and a ConfigMap holds 1 MiB.
const CHUNK: usize = 640 * 1024;
/// Label of every ConfigMap of ours.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// A journal as found, with what is needed to write on.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The journal.
    pub journal: Journal,
    /// Its plan.
    pub plan: Plan,
    /// `metadata.resourceVersion` of the header.
    pub(super) header_version: String,
    /// Live records: ConfigMap name and resourceVersion by subject.
    pub(super) live: BTreeMap<String, (String, String)>,
    /// Shards: resourceVersion and records by name.
    pub(super) shards: Vec<String>,
}

/// The journal's place in a cluster.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    pub(super) cluster: &'a dyn Cluster,
    pub(super) namespace: &'a str,
}

impl<'a> Store<'a> {
    /// The journal of `namespace`.
    pub fn new(cluster: &'a dyn Cluster, namespace: &'a str) -> Self {
        Self { cluster, namespace }
    }

    /// The run recorded here, if any; reading only.
    ///
    /// # Errors
    /// [`JournalError`]: unreadable, damaged, or newer than this program.
    pub fn load(&self) -> Result<Option<Loaded>, JournalError> {
        let Some(object) = self.get(HEADER)? else { return Ok(None) };
        let header: Header = self.parse(&object, "header")?;
        let plan = self.plan(&header)?;
        let mut loaded = Loaded {
            header_version: version_of(&object),
            journal: Journal { header, records: BTreeMap::new() },
            plan,
            live: BTreeMap::new(),
            shards: Vec::new(),
        };
        let selector = format!("{RUN_LABEL}={}", loaded.journal.header.run);
        let filter = Filter::in_namespace(self.namespace).labelled(&selector);
        let mut objects = self.cluster.list(&Resource::CONFIG_MAPS, &filter).map_err(JournalError::reading)?;
        objects.sort_by_key(name_of);
        for object in objects {
            let name = name_of(&object);
            if name.starts_with("ovncilium-shard-") {
                for record in self.parse::<Vec<Record>>(&object, "records")? {
                    loaded.journal.merge(record);
                }
                loaded.shards.push(name);
            } else if name.starts_with("ovncilium-record-") {
                let record: Record = self.parse(&object, "record")?;
                loaded.live.insert(record.subject.clone(), (name, version_of(&object)));
                loaded.journal.merge(record);
            }
        }
        Ok(Some(loaded))
    }

    /// Make `plan` the run of this cluster. The plan and its attachments are stored first, the header last: the run
    /// exists from that write on. Replaces the header of a former run that is `replaces` it by compare and swap.
    ///
    /// # Errors
    /// [`JournalError`] when something could not be written.
    pub fn begin(
        &self,
        plan: &Plan,
        attachments: &BTreeMap<String, Vec<u8>>,
        now: jiff::Timestamp,
        replaces: Option<&Loaded>,
    ) -> Result<Loaded, JournalError> {
        let digest = plan.digest().map_err(|error| damaged("plan", &error))?;
        let text = serde_json::to_vec(plan).map_err(|error| damaged("plan", &error))?;
        let run = RunId(Digest::of(format!("{digest} {now}")).short());
        self.put_binary(&plan_name(&digest), "plan", &compress(&text)?, None)?;
        for (name, bytes) in attachments {
            let chunks: Vec<&[u8]> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(CHUNK).collect() };
            for (index, chunk) in chunks.iter().enumerate() {
                let total = (chunks.len(), Digest::of(bytes));
                self.put_binary(&attachment_name(name, &digest, index), "content", chunk, Some(total))?;
            }
        }
        let header = Header {
            schema: SCHEMA,
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
            run,
            epoch: replaces.map_or(0, |loaded| loaded.journal.header.epoch),
            kind: plan.kind,
            plan: digest,
            state: ovncilium_core::journal::State::Running,
            phase: 0,
            stage: String::new(),
            steps_total: u32::try_from(plan.steps().count()).unwrap_or(u32::MAX),
            steps_done: 0,
            started_at: now,
            updated_at: now,
            message: String::new(),
        };
        let mut object = self.config_map(HEADER, None);
        object["data"] = json!({ "header": serde_json::to_string(&header).map_err(|error| damaged(HEADER, &error))? });
        let stored = match replaces {
            None => self.cluster.create(&Resource::CONFIG_MAPS, &object),
            Some(loaded) => {
                object["metadata"]["resourceVersion"] = json!(loaded.header_version);
                self.cluster.replace(&Resource::CONFIG_MAPS, &object)
            }
        }
        .map_err(JournalError::writing)?;
        Ok(Loaded {
            journal: Journal { header, records: BTreeMap::new() },
            plan: plan.clone(),
            header_version: version_of(&stored),
            live: BTreeMap::new(),
            shards: Vec::new(),
        })
    }

    /// An attachment stored with the run's plan.
    ///
    /// # Errors
    /// [`JournalError`] when it is not there or damaged.
    pub fn attachment(&self, header: &Header, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let first = attachment_name(name, &header.plan, 0);
        let Some(object) = self.get(&first)? else { return Ok(None) };
        let text = |key: &str| object.pointer("/data").and_then(|data| data.get(key)).and_then(Value::as_str);
        let chunks: usize = text("chunks").and_then(|chunks| chunks.parse().ok()).unwrap_or(1);
        let mut bytes = binary(&object, "content", &first)?;
        for index in 1..chunks {
            let name = attachment_name(name, &header.plan, index);
            let object = self.get(&name)?.ok_or_else(|| damaged(&name, &"it is not there"))?;
            bytes.extend(binary(&object, "content", &name)?);
        }
        if text("sha256") != Some(Digest::of(&bytes).to_string().as_str()) {
            return Err(damaged(&first, &"its digest is not the one it tells"));
        }
        Ok(Some(bytes))
    }

    /// Remove every ConfigMap of ours, the header last; `keep` names run whose objects and plan stay.
    ///
    /// # Errors
    /// [`JournalError`] when something could not be removed.
    pub fn clean(&self, keep: Option<&Header>) -> Result<(), JournalError> {
        let filter = Filter::in_namespace(self.namespace).labelled(&format!("{MANAGED_BY}=ovncilium"));
        let mut objects = self.cluster.list(&Resource::CONFIG_MAPS, &filter).map_err(JournalError::reading)?;
        objects.sort_by_key(|object| name_of(object) == HEADER);
        for object in objects {
            let name = name_of(&object);
            let kept = keep.is_some_and(|header| {
                name == HEADER
                    || name.contains(&header.plan.short())
                    || object.pointer("/metadata/labels").and_then(|l| l.get(RUN_LABEL)).and_then(Value::as_str)
                        == Some(header.run.as_str())
            });
            if !kept {
                let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
                self.cluster
                    .delete(&Resource::CONFIG_MAPS.named(self.namespace, &name), uid)
                    .map_err(JournalError::writing)?;
            }
        }
        Ok(())
    }

    fn plan(&self, header: &Header) -> Result<Plan, JournalError> {
        let name = plan_name(&header.plan);
        let object = self.get(&name)?.ok_or_else(|| damaged(&name, &"it is not there"))?;
        let mut text = Vec::new();
        GzDecoder::new(binary(&object, "plan", &name)?.as_slice())
            .read_to_end(&mut text)
            .map_err(|error| damaged(&name, &error))?;
        let plan: Plan = serde_json::from_slice(&text).map_err(|error| damaged(&name, &error))?;
        if Digest::of(&text) != header.plan {
            return Err(damaged(&name, &"its digest is not the one in the header"));
        }
        Ok(plan)
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Value>, JournalError> {
        self.cluster.get(&Resource::CONFIG_MAPS.named(self.namespace, name)).map_err(JournalError::reading)
    }

    pub(super) fn config_map(&self, name: &str, run: Option<&RunId>) -> Value {
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": self.namespace, "labels": { MANAGED_BY: "ovncilium" } },
        });
        if let Some(run) = run {
            object["metadata"]["labels"][RUN_LABEL] = json!(run);
        }
        object
    }

    /// Store bytes, replacing what a process that died before its header may have left under the same name.
    fn put_binary(
        &self,
        name: &str,
        key: &str,
        bytes: &[u8],
        total: Option<(usize, Digest)>,
    ) -> Result<(), JournalError> {
        let mut object = self.config_map(name, None);
        object["binaryData"] = json!({ key: STANDARD.encode(bytes) });
        if let Some((chunks, digest)) = total {
            object["data"] = json!({ "chunks": chunks.to_string(), "sha256": digest });
        }
        match self.cluster.create(&Resource::CONFIG_MAPS, &object) {
            Ok(_) => return Ok(()),
            Err(ClusterError::AlreadyExists { .. }) => {}
            Err(error) => return Err(JournalError::writing(error)),
        }
        let Some(found) = self.get(name)? else { return Ok(()) };
        if found.get("binaryData") == object.get("binaryData") && found.get("data") == object.get("data") {
            return Ok(());
        }
        object["metadata"]["resourceVersion"] = json!(version_of(&found));
        self.cluster.replace(&Resource::CONFIG_MAPS, &object).map(|_| ()).map_err(JournalError::writing)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, object: &Value, key: &str) -> Result<T, JournalError> {
        let name = name_of(object);
        let text = object.pointer("/data").and_then(|data| data.get(key)).and_then(Value::as_str).unwrap_or_default();
        let value: Value = serde_json::from_str(text).map_err(|error| damaged(&name, &error))?;
        if let Some(schema) = value.get("schema").and_then(Value::as_u64).filter(|schema| *schema > u64::from(SCHEMA)) {
            return Err(JournalError::Newer {
                writer: value.get("written_by").and_then(Value::as_str).unwrap_or("of unknown version").to_owned(),
                schema: u32::try_from(schema).unwrap_or(u32::MAX),
                known: SCHEMA,
            });
        }
        serde_json::from_value(value).map_err(|error| damaged(&name, &error))
    }
}

/// `metadata.name`.
pub(super) fn name_of(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// `metadata.resourceVersion`.
pub(super) fn version_of(object: &Value) -> String {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn damaged(object: &str, message: &dyn std::fmt::Display) -> JournalError {
    JournalError::Damaged { object: format!("configmap {object}"), message: message.to_string() }
}

fn plan_name(digest: &Digest) -> String {
    format!("ovncilium-plan-{}", digest.short())
}

fn attachment_name(name: &str, plan: &Digest, index: usize) -> String {
    format!("ovncilium-attachment-{name}-{}-{index}", plan.short())
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, JournalError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|error| damaged("plan", &error))
}

fn binary(object: &Value, key: &str, name: &str) -> Result<Vec<u8>, JournalError> {
    let text = object.pointer("/binaryData").and_then(|data| data.get(key)).and_then(Value::as_str);
    let text = text.ok_or_else(|| damaged(name, &format!("it has no binaryData.{key}")))?;
    STANDARD.decode(text).map_err(|error| damaged(name, &error))
}
