//! The writing side of the journal: belongs to the one process that holds the epoch.

use std::collections::BTreeSet;

use ovncilium_core::Digest;
use ovncilium_core::ids::StepId;
use ovncilium_core::journal::{CLUSTER, Entry, Header, Journal, Mark, Record, SHARD_LIMIT};
use ovncilium_core::plan::{Plan, Resource};
use serde_json::{Value, json};

use super::JournalError;
use super::store::{Loaded, Store, damaged, version_of};
use crate::world::ClusterError;

/// The journal in the hands of its writer.
pub struct Ledger<'a> {
    store: Store<'a>,
    loaded: Loaded,
    dirty: BTreeSet<String>,
}

impl<'a> Ledger<'a> {
    /// Take a journal over: bump its epoch, then stamp every open record, so that a former writer's next compare and swap
    /// fails.
    ///
    /// # Errors
    /// [`JournalError`] when somebody else was quicker, or nothing can be written.
    pub fn take_over(store: Store<'a>, loaded: Loaded, now: jiff::Timestamp) -> Result<Self, JournalError> {
        let mut ledger = Self { store, loaded, dirty: BTreeSet::new() };
        ledger.header(now, |header| {
            header.epoch += 1;
            header.state = ovncilium_core::journal::State::Running;
            header.message = String::new();
            header.written_by = env!("CARGO_PKG_VERSION").to_owned();
        })?;
        // Records that a former writer created after the first look are found by this second one.
        if let Some(again) = ledger.store.load()? {
            ledger.loaded.live = again.live;
            ledger.loaded.shards = again.shards;
            ledger.loaded.journal.records = again.journal.records;
        }
        let subjects: Vec<String> = ledger.loaded.live.keys().cloned().collect();
        for subject in subjects {
            ledger.dirty.insert(subject.clone());
            ledger.flush(&subject)?;
        }
        Ok(ledger)
    }

    /// The header as last written.
    pub fn head(&self) -> &Header {
        &self.loaded.journal.header
    }

    /// The whole journal.
    pub fn journal(&self) -> &Journal {
        &self.loaded.journal
    }

    /// The plan of this run.
    pub fn plan(&self) -> &Plan {
        &self.loaded.plan
    }

    /// Change the header and write it.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] when another process has the run.
    pub fn header(&mut self, now: jiff::Timestamp, change: impl FnOnce(&mut Header)) -> Result<(), JournalError> {
        let mut header = self.loaded.journal.header.clone();
        change(&mut header);
        header.updated_at = now;
        let mut object = self.store.config_map("ovncilium-journal", None);
        let text = serde_json::to_string(&header).map_err(|error| damaged("ovncilium-journal", &error))?;
        object["data"] = json!({ "header": text });
        object["metadata"]["resourceVersion"] = json!(self.loaded.header_version);
        let stored = match self.store.cluster.replace(&Resource::CONFIG_MAPS, &object) {
            Ok(stored) => stored,
            Err(error) => return Err(self.fenced_or(error)),
        };
        self.loaded.header_version = version_of(&stored);
        self.loaded.journal.header = header;
        Ok(())
    }

    /// Write down that `step` is about to act, and wait until the API server has it. `recorded` tells what it will
    /// write and what was there before; it replaces what the same step recorded earlier.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] when another process has the run: then the act must not happen.
    pub fn intend(
        &mut self,
        subject: &str,
        step: &StepId,
        recorded: Value,
        now: jiff::Timestamp,
    ) -> Result<(), JournalError> {
        let epoch = self.head().epoch;
        let record = self.record(subject);
        match record.entries.iter_mut().find(|entry| &entry.step == step) {
            Some(entry) => {
                entry.mark = Mark::Intent;
                entry.epoch = epoch;
                entry.recorded = recorded;
            }
            None => record.entries.push(Entry {
                step: step.clone(),
                mark: Mark::Intent,
                epoch,
                begun_at: now,
                done_at: None,
                recorded,
            }),
        }
        self.dirty.insert(subject.to_owned());
        self.flush(subject)
    }

    /// Note that `step` is done. Written with the next intent of the subject, or by [`Self::flush_all`]: a look at the
    /// world would tell the same.
    pub fn done(&mut self, subject: &str, step: &StepId, note: Option<Value>, now: jiff::Timestamp) {
        let epoch = self.head().epoch;
        let record = self.record(subject);
        match record.entries.iter_mut().find(|entry| &entry.step == step) {
            Some(entry) => {
                entry.mark = Mark::Done;
                entry.done_at = Some(now);
                if let Some(note) = note {
                    entry.recorded = note;
                }
            }
            None => record.entries.push(Entry {
                step: step.clone(),
                mark: Mark::AlreadyMet,
                epoch,
                begun_at: now,
                done_at: Some(now),
                recorded: note.unwrap_or_default(),
            }),
        }
        self.dirty.insert(subject.to_owned());
    }

    /// Write every record that was changed.
    ///
    /// # Errors
    /// As [`Self::intend`].
    pub fn flush_all(&mut self) -> Result<(), JournalError> {
        for subject in self.dirty.clone() {
            self.flush(&subject)?;
        }
        Ok(())
    }

    /// Move the records of nodes whose steps of the phase are all done into a shard, so that the number of objects stays small.
    ///
    /// # Errors
    /// As [`Self::intend`].
    pub fn seal(&mut self) -> Result<(), JournalError> {
        self.flush_all()?;
        let closed: Vec<Record> = self
            .loaded
            .live
            .keys()
            .filter(|subject| *subject != CLUSTER)
            .filter_map(|subject| self.loaded.journal.records.get(subject))
            .filter(|record| record.entries.iter().all(|entry| entry.mark != Mark::Intent))
            .cloned()
            .collect();
        let mut rest = closed.as_slice();
        while !rest.is_empty() {
            let mut count = rest.len();
            let text = loop {
                let text = serde_json::to_string(&rest[..count]).map_err(|error| damaged("shard", &error))?;
                if text.len() <= SHARD_LIMIT || count == 1 {
                    break text;
                }
                count /= 2;
            };
            let name = format!("ovncilium-shard-{}-{:04}", self.head().run, self.loaded.shards.len());
            let mut object = self.store.config_map(&name, Some(&self.head().run));
            object["data"] = json!({ "records": text });
            self.store.cluster.create(&Resource::CONFIG_MAPS, &object).map_err(JournalError::writing)?;
            self.loaded.shards.push(name);
            for record in &rest[..count] {
                if let Some((name, _)) = self.loaded.live.remove(&record.subject) {
                    let object = Resource::CONFIG_MAPS.named(self.store.namespace, &name);
                    self.store.cluster.delete(&object, None).map_err(JournalError::writing)?;
                }
            }
            rest = &rest[count..];
        }
        Ok(())
    }

    fn record(&mut self, subject: &str) -> &mut Record {
        let epoch = self.loaded.journal.header.epoch;
        let record = self
            .loaded
            .journal
            .records
            .entry(subject.to_owned())
            .or_insert_with(|| Record { subject: subject.to_owned(), ..Record::default() });
        record.epoch = epoch;
        record
    }

    fn flush(&mut self, subject: &str) -> Result<(), JournalError> {
        if !self.dirty.remove(subject) {
            return Ok(());
        }
        let run = self.head().run.clone();
        let epoch = self.head().epoch;
        let name = format!("ovncilium-record-{run}-{}", Digest::of(subject).short());
        let record = self.record(subject).clone();
        let mut object = self.store.config_map(&name, Some(&run));
        let text = serde_json::to_string(&record).map_err(|error| damaged(&name, &error))?;
        object["data"] = json!({ "record": text });
        let stored = match self.loaded.live.get(subject) {
            Some((_, version)) => {
                object["metadata"]["resourceVersion"] = json!(version);
                self.store.cluster.replace(&Resource::CONFIG_MAPS, &object)
            }
            None => self.store.cluster.create(&Resource::CONFIG_MAPS, &object),
        };
        let created = !self.loaded.live.contains_key(subject);
        match stored {
            Ok(stored) => {
                self.loaded.live.insert(subject.to_owned(), (name, version_of(&stored)));
            }
            Err(error) => {
                self.dirty.insert(subject.to_owned());
                return Err(self.fenced_or(error));
            }
        }
        if created {
            // A new record has no version to compare: look at the epoch after the write instead.
            let found = self.found_epoch()?;
            if found != epoch {
                return Err(JournalError::Fenced { found, ours: epoch });
            }
        }
        Ok(())
    }

    fn found_epoch(&self) -> Result<u64, JournalError> {
        let object = self.store.get("ovncilium-journal")?;
        let text = object.as_ref().and_then(|object| object.pointer("/data/header")).and_then(Value::as_str);
        let header: Option<Header> = text.and_then(|text| serde_json::from_str(text).ok());
        Ok(header.filter(|header| header.run == self.head().run).map_or(u64::MAX, |header| header.epoch))
    }

    fn fenced_or(&self, error: ClusterError) -> JournalError {
        let lost = matches!(
            error,
            ClusterError::Conflict { .. } | ClusterError::NotFound { .. } | ClusterError::AlreadyExists { .. }
        );
        let ours = self.head().epoch;
        match self.found_epoch() {
            Ok(found) if lost && found != ours => JournalError::Fenced { found, ours },
            _ => JournalError::writing(error),
        }
    }
}
