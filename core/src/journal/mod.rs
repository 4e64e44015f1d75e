//! What was done: the format of the journal, and how it is read back.
//!
//! A [`Header`] per run and one [`Record`] per subject (the cluster, or a node), each a list of [`Entry`]s. An intent is durable
//! before its act; replay needs no more than these. A newer format may be read, never written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Digest;
use crate::ids::{RunId, StepId};
use crate::plan::{Action, Kind, Plan, Step};

/// Version of the journal format.
pub const SCHEMA: u32 = 1;

/// Subject of the steps on the cluster as a whole.
pub const CLUSTER: &str = "cluster";

/// Largest header, in bytes of JSON.
pub const HEADER_LIMIT: usize = 32 * 1024;
/// Largest record of one subject, in bytes of JSON.
pub const RECORD_LIMIT: usize = 8 * 1024;
/// Largest shard of sealed records, in bytes of JSON.
pub const SHARD_LIMIT: usize = 256 * 1024;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In work, or left by a process that died.
    Running,
    /// Stopped on purpose or by a gate; can be resumed.
    Paused,
    /// Finished.
    Done,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Version of the writer.
    pub written_by: String,
    /// The run.
    pub run: RunId,
    /// Bumped by every process that takes over.
    pub epoch: u64,
    /// Which way.
    pub kind: Kind,
    /// Digest of its plan.
    pub plan: Digest,
    /// Where it stands.
    pub state: State,
    /// Number of the phase in work.
    pub phase: u8,
    /// Title of the stage in work.
    pub stage: String,
    /// Steps of the plan.
    pub steps_total: u32,
    /// Steps done, as of the last header write.
    pub steps_done: u32,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// Last write.
    pub updated_at: jiff::Timestamp,
    /// Why it is paused, or how it ended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What is known of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// It is about to write, or has written and waits.
    Intent,
    /// Its goal was met after it wrote.
    Done,
    /// Its goal was met before it wrote anything.
    AlreadyMet,
}

/// One step of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The step.
    pub step: StepId,
    /// What is known of it.
    pub mark: Mark,
    /// Epoch of the writer.
    pub epoch: u64,
    /// When the intent was written.
    pub begun_at: jiff::Timestamp,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<jiff::Timestamp>,
    /// What it writes, or wrote: names and UIDs, and what was there before.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub recorded: Value,
}

/// All steps of one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Node name, or [`CLUSTER`].
    pub subject: String,
    /// Highest epoch that has stamped it.
    pub epoch: u64,
    /// Entries in order of their intents.
    pub entries: Vec<Entry>,
}

impl Record {
    /// The last entry of a step.
    pub fn entry(&self, step: &StepId) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| &entry.step == step)
    }
}

/// A whole journal, read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The run.
    pub header: Header,
    /// Records by subject, sealed ones included.
    pub records: BTreeMap<String, Record>,
}

impl Journal {
    /// Whether the step is done or was met already.
    pub fn is_done(&self, subject: &str, step: &StepId) -> bool {
        self.records
            .get(subject)
            .and_then(|record| record.entry(step))
            .is_some_and(|entry| matches!(entry.mark, Mark::Done | Mark::AlreadyMet))
    }

    /// Whether a step of `plan` that leaves something behind was begun.
    pub fn has_changed(&self, plan: &Plan) -> bool {
        plan.steps().filter(|(_, _, step)| !step.action.only_looks()).any(|(_, node, step)| {
            let subject = node.map_or(CLUSTER, |node| node.as_str());
            self.records.get(subject).is_some_and(|record| record.entry(&step.id).is_some())
        })
    }

    /// Since when every pod of the cluster has had its endpoint: when the plan's wait for it was over. Since when the run is at work, if
    /// that is not recorded.
    pub fn covered_since(&self, plan: &Plan) -> jiff::Timestamp {
        let stages = plan.phases.iter().flat_map(|phase| &phase.stages);
        let of_cluster = stages.filter_map(|stage| stage.lanes.first()).filter(|lane| lane.node.is_none());
        let mut waits = of_cluster.flat_map(|lane| &lane.steps).filter(|step| step.action == Action::AwaitCoverage);
        let entry = |step: &Step| self.records.get(CLUSTER)?.entry(&step.id)?.done_at;
        waits.find_map(entry).unwrap_or(self.header.started_at)
    }

    /// Number of steps that are done or were met already.
    pub fn done(&self) -> usize {
        let entries = self.records.values().flat_map(|record| &record.entries);
        let done: std::collections::BTreeSet<_> =
            entries.filter(|entry| entry.mark != Mark::Intent).map(|entry| &entry.step).collect();
        done.len()
    }

    /// Merge a sealed or live record: of two entries of one step, the one that is further.
    pub fn merge(&mut self, record: Record) {
        let known = self
            .records
            .entry(record.subject.clone())
            .or_insert_with(|| Record { subject: record.subject.clone(), ..Record::default() });
        known.epoch = known.epoch.max(record.epoch);
        for entry in record.entries {
            match known.entries.iter_mut().find(|e| e.step == entry.step) {
                Some(old) if old.mark == Mark::Intent => *old = entry,
                Some(_) => {}
                None => known.entries.push(entry),
            }
        }
    }
}
