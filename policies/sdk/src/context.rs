//! What a policy may ask: facts, documents, and a line for the log.

use std::fmt;

use serde::de::DeserializeOwned;

/// Why a fact or document cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactError {
    /// The fact is not declared in [`Info`](crate::Info).
    Undeclared,
    /// It is not known, and why.
    Unknown(String),
    /// The answer has this many bytes, more than may cross at once.
    TooLarge(u64),
    /// It does not have the shape the policy expects; the text says where.
    Shape(String),
}

impl fmt::Display for FactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undeclared => f.write_str("the policy did not declare it"),
            Self::Unknown(why) => f.write_str(why),
            Self::TooLarge(bytes) => write!(f, "its {bytes} bytes are too many to be judged at once"),
            Self::Shape(error) => write!(f, "it is not what this policy expects: {error}"),
        }
    }
}

impl std::error::Error for FactError {}

/// Where answers come from: the host, or the pretend host of the module `testing`. Answers are JSON text.
pub trait Source {
    /// The value at `pointer` of the fact `name`.
    ///
    /// # Errors
    /// When it cannot be had.
    fn fact(&self, name: &str, pointer: &str) -> Result<Option<String>, FactError>;

    /// The value at `pointer` of the document `index`.
    ///
    /// # Errors
    /// When it cannot be had.
    fn document(&self, index: u32, pointer: &str) -> Result<Option<String>, FactError>;

    /// A line for whoever debugs the policy.
    fn log(&self, level: &str, message: &str);
}

/// What a policy may ask.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    source: &'a dyn Source,
    /// Facts about the cluster and what is asked for.
    pub facts: Facts<'a>,
    /// The rendered stream.
    pub documents: Documents<'a>,
}

impl<'a> Context<'a> {
    /// A context that answers from `source`.
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, facts: Facts { source }, documents: Documents { source } }
    }

    /// A line for whoever debugs the policy; level `debug`, `info` or `warn`. Never part of a verdict.
    pub fn log(&self, level: &str, message: &str) {
        self.source.log(level, message);
    }
}

/// Facts.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    source: &'a dyn Source,
}

impl Facts<'_> {
    /// The value at `pointer` (RFC 6901; empty for the whole) of the fact `name`; none when nothing is there.
    ///
    /// # Errors
    /// When it is unknown, undeclared, too large, or of another shape than `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str, pointer: &str) -> Result<Option<T>, FactError> {
        read(self.source.fact(name, pointer)?)
    }

    /// The value at `pointer` of the fact `name`, which must be there.
    ///
    /// # Errors
    /// The reason in words that fit a [`Finding::unknown`](crate::Finding::unknown).
    pub fn require<T: DeserializeOwned>(&self, name: &str, pointer: &str) -> Result<T, String> {
        match self.get(name, pointer) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(format!("the fact `{name}` has nothing at `{pointer}`")),
            Err(error) => Err(format!("the fact `{name}` is not known: {error}")),
        }
    }
}

/// Documents of the rendered stream.
#[derive(Clone, Copy)]
pub struct Documents<'a> {
    source: &'a dyn Source,
}

impl Documents<'_> {
    /// The value at `pointer` of the document `index`; none when nothing is there.
    ///
    /// `/apiVersion`, `/kind`, `/metadata/name` and `/metadata/namespace` may be asked of every document; the rest only
    /// of documents that a selector of [`Info`](crate::Info) selects.
    ///
    /// # Errors
    /// When the document cannot be parsed, or is of another shape than `T`.
    pub fn get<T: DeserializeOwned>(&self, index: u32, pointer: &str) -> Result<Option<T>, FactError> {
        read(self.source.document(index, pointer)?)
    }

    /// Kinds of all documents, in order; empty for a document without one.
    ///
    /// # Errors
    /// When a header cannot be read.
    pub fn kinds(&self) -> Result<Vec<String>, FactError> {
        let mut kinds = Vec::new();
        while let Some(kind) = self.get::<String>(kinds.len() as u32, "/kind")? {
            kinds.push(kind);
        }
        Ok(kinds)
    }
}

fn read<T: DeserializeOwned>(json: Option<String>) -> Result<Option<T>, FactError> {
    json.map(|text| serde_json::from_str(&text).map_err(|error| FactError::Shape(error.to_string()))).transpose()
}
