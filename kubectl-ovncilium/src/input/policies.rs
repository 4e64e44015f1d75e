//! Policy modules: built in, from `--policy`, from `--config`; and how the organisation's own travel with a plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ovncilium_core::facts::Facts;
use ovncilium_core::plan::ModulePin;
use ovncilium_core::policy::Evaluation;
use ovncilium_core::{Digest, ExitCode, NextStep};
use ovncilium_policy_host::catalog::split_pin;
use ovncilium_policy_host::{Catalog, CompiledCache, EvaluateOptions, PolicyConfig, evaluate};
use serde::{Deserialize, Serialize};

use super::files;
use crate::cli::Policies;
use crate::failure::Failure;

/// Bytes that are base64 in JSON, not a list of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Bytes(Vec<u8>);

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        STANDARD.encode(bytes.0)
    }
}

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

/// The modules that judge, as bytes: what a plan takes along so that any machine can go on with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sources {
    /// Modules of `--policy`.
    modules: Vec<Module>,
    /// The policy file of `--config`.
    config: Option<Config>,
    /// Built-in modules taken from a directory, by file name; absent when they are the binary's own.
    directory: Option<BTreeMap<String, Bytes>>,
}

/// What a run tells the post-renderer that it has helm call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OfRun {
    /// The organisation's policies.
    pub sources: Sources,
    /// Pods that stay without endpoint, as `namespace/name`: their operator has accepted it.
    pub leave: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Module {
    name: String,
    pin: Option<Digest>,
    /// Its bytes, or why they cannot be read.
    bytes: Result<Bytes, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Config {
    file: String,
    text: String,
    modules: BTreeMap<String, Result<Bytes, String>>,
}

impl Sources {
    /// Read everything the flags name. A module that cannot be read is a fault later, not an error now.
    ///
    /// # Errors
    /// A pin that is no digest, a policy file that cannot be read or understood.
    pub fn read(flags: &Policies) -> Result<Self, Failure> {
        let mut sources = Self::default();
        for argument in &flags.modules {
            let (file, pin) = split_pin(argument).map_err(|error| {
                Failure::of(
                    ExitCode::Usage,
                    &error,
                    Some(NextStep::Edit(
                        "pin as --policy FILE@sha256:<64 hexadecimal digits>; `sha256sum FILE` tells them".to_owned(),
                    )),
                )
            })?;
            let bytes = std::fs::read(file).map(Bytes).map_err(|error| error.to_string());
            sources.modules.push(Module { name: file.to_owned(), pin, bytes });
        }
        if let Some(path) = &flags.config {
            sources.config = Some(read_config(path)?);
        }
        if let Some(directory) = &flags.policy_dir {
            sources.directory = Some(read_directory(directory)?);
        }
        Ok(sources)
    }

    /// The catalog of these sources.
    ///
    /// # Errors
    /// A policy file that cannot be understood.
    pub fn catalog(&self) -> Result<Catalog, Failure> {
        let mut catalog = match &self.directory {
            None => Catalog::builtin(),
            Some(files) => Catalog::builtin_from(|name| Ok(files.get(name).map(|bytes| bytes.0.clone()))),
        };
        if let Some(config) = &self.config {
            let parsed = PolicyConfig::parse(&config.file, &config.text, |name| match config.modules.get(name) {
                Some(bytes) => bytes.clone().map(|bytes| bytes.0),
                None => Err("it did not travel with the plan".to_owned()),
            })
            .map_err(|error| {
                Failure::of(
                    ExitCode::Usage,
                    &error,
                    Some(NextStep::Read("docs/writing-policies.md, \"The policy file\"".to_owned())),
                )
            })?;
            catalog = catalog.with_config(parsed);
        }
        for module in &self.modules {
            catalog = match &module.bytes {
                Ok(bytes) => catalog.with_module(bytes.0.clone(), &module.name, module.pin),
                Err(why) => catalog.with_absent(&module.name, why),
            };
        }
        Ok(catalog.with_cache(CompiledCache::from_env()))
    }
}

fn read_config(path: &Path) -> Result<Config, Failure> {
    let text = files::read_text(path)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let file = path.display().to_string();
    let mut modules = BTreeMap::new();
    // Read once to learn which modules it names; what is wrong with it is told when the catalog is made.
    let _parsed = PolicyConfig::parse(&file, &text, |name| {
        let bytes = std::fs::read(folder.join(PathBuf::from(name))).map_err(|error| error.to_string());
        modules.insert(name.to_owned(), bytes.clone().map(Bytes));
        bytes
    });
    Ok(Config { file, text, modules })
}

fn read_directory(directory: &Path) -> Result<BTreeMap<String, Bytes>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(
            ExitCode::Usage,
            format!("--policy-dir {} cannot be read: {error}", directory.display()),
            NextStep::Edit("name a directory like policies/dist of the sources".to_owned()),
        )
    };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wasm") || name == "digests.json" {
            files.insert(name, Bytes(std::fs::read(entry.path()).map_err(unreadable)?));
        }
    }
    Ok(files)
}

/// Have all modules judge.
pub fn judge(catalog: &Catalog, facts: &Arc<Facts>, now: Timestamp) -> Evaluation {
    evaluate(catalog, facts, None, &EvaluateOptions::at(now))
}

/// The modules that ran, as a plan pins them.
pub fn pins(evaluation: &Evaluation) -> Vec<ModulePin> {
    evaluation.modules.iter().map(|module| ModulePin { policy: module.policy.clone(), module: module.module }).collect()
}
