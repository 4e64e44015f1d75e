//! The policy file given by `--config`: the organisation's own modules, settings, and waivers.
//!
//! It is read from a place that somebody named on the command line or by environment, never from the working directory
//! or a chart. Reading files is the caller's business: [`PolicyConfig::parse`] takes text and a closure.

use std::collections::BTreeMap;

use jiff::civil::Date;
use ovncilium_core::Digest;
use serde::Deserialize;
use serde_json::Value;

use crate::catalog::BUILTINS;

/// What a policy file says it is.
pub const API_VERSION: &str = "ovncilium.io/v1alpha1";
/// Its kind.
pub const KIND: &str = "PolicyConfig";

/// A policy file, read and checked.
#[derive(Debug, Clone, Default)]
pub struct PolicyConfig {
    /// The organisation's own modules.
    pub modules: Vec<ConfiguredModule>,
    /// Settings of built-in policies, by id.
    pub settings: BTreeMap<String, Value>,
    /// Waivers.
    pub waivers: Vec<Waiver>,
    /// Digest of the text.
    pub digest: Option<Digest>,
}

/// One module of a policy file.
#[derive(Debug, Clone)]
pub struct ConfiguredModule {
    /// The id it must tell, when the file names one.
    pub id: Option<String>,
    /// The file, as written.
    pub file: String,
    /// Its bytes, or why they could not be read.
    pub bytes: Result<Vec<u8>, String>,
    /// The digest it must have.
    pub sha256: Option<Digest>,
    /// Its settings.
    pub settings: Value,
    /// Whether it may patch documents.
    pub mutate: bool,
}

/// A finding that somebody accepts for a while.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Id of the policy.
    pub policy: String,
    /// Id of the rule.
    pub rule: String,
    /// The one subject it is for; every subject when absent.
    pub subject: Option<String>,
    /// Why.
    #[serde(deserialize_with = "some_text")]
    pub reason: String,
    /// Last day on which it holds, in UTC.
    #[serde(deserialize_with = "day")]
    pub expires: Date,
}

/// A policy file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {message}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// The line, from 1, when it is known.
    pub line: Option<usize>,
    /// The cause, with the known keys where one is unknown.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    #[serde(default)]
    policies: Vec<FileModule>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    #[serde(default)]
    waivers: Vec<Waiver>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileModule {
    id: Option<String>,
    file: String,
    sha256: Option<Digest>,
    #[serde(default = "no_settings")]
    settings: Value,
    #[serde(default)]
    mutate: bool,
}

pub(crate) fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}

impl PolicyConfig {
    /// Reads the text of a policy file. `load` gives the bytes of a module by its path as written (relative to the
    /// policy file), or why they cannot be read: that is a fault of the module, not of the policy file.
    ///
    /// # Errors
    /// Text that is no YAML, an unknown or missing key, another kind of file, settings for a policy that is not built
    /// in, a waiver without a reason.
    pub fn parse(
        file: &str,
        text: &str,
        mut load: impl FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Self, ConfigError> {
        let read: File = serde_yaml::from_str(text).map_err(|error| {
            let line = error.location().map(|location| location.line());
            ConfigError { file: file.to_owned(), line, message: without_place(&error.to_string()) }
        })?;
        let wrong = |key: &str, message: String| {
            let at = text.lines().position(|line| line.contains(&format!("{key}:")));
            ConfigError { file: file.to_owned(), line: at.map(|at| at + 1), message }
        };
        if read.api_version != API_VERSION || read.kind != KIND {
            let message =
                format!("it is a `{}` of `{}`; expected a `{KIND}` of `{API_VERSION}`", read.kind, read.api_version);
            return Err(wrong("apiVersion", message));
        }
        if let Some(id) = read.settings.keys().find(|id| !BUILTINS.contains(&id.as_str())) {
            let message = format!("settings for `{id}`, which is not built in; built in are {}", BUILTINS.join(", "));
            return Err(wrong(id, message));
        }
        let modules = read.policies.into_iter().map(|module| ConfiguredModule {
            bytes: load(&module.file),
            id: module.id,
            file: module.file,
            sha256: module.sha256,
            settings: module.settings,
            mutate: module.mutate,
        });
        Ok(Self {
            modules: modules.collect(),
            settings: read.settings,
            waivers: read.waivers,
            digest: Some(Digest::of(text)),
        })
    }
}

/// A text that says something.
fn some_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Err(serde::de::Error::custom("a waiver needs a reason")) } else { Ok(text) }
}

fn day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is no day; write it like 2026-12-31")))
}

/// The parser's message without its place, which is told by itself.
fn without_place(message: &str) -> String {
    message.rfind(" at line ").map_or(message, |at| &message[..at]).to_owned()
}
