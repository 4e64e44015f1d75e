//! Facts as a file (`snapshot`, `--facts`): JSON with a format name, a schema and a digest of the facts.
//!
//! `{"format": "ovncilium-facts", "schema": 1, "digest": "sha256:…", "facts": {…}}`. The digest is over the facts as this program
//! writes them without blanks, so that a file may be re-indented, but not be torn, merged or edited.

use serde::{Deserialize, Serialize};

use super::{Facts, SCHEMA};
use crate::{Digest, NextStep};

const FORMAT: &str = "ovncilium-facts";

/// Why a facts file is not read. Whoever opened the file puts its name before the message.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not JSON to its end.
    #[error("line {line}, column {column}: not JSON to its end: the file is torn or something else")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// JSON, but no facts.
    #[error("this is JSON, but no facts file: `format` is not `{FORMAT}`")]
    NotFacts,
    /// Written by a newer release.
    #[error("written by ovncilium {written_by} with schema {schema}; this is schema {SCHEMA}")]
    Newer {
        /// The writer's version, as far as it can be read.
        written_by: String,
        /// The writer's schema.
        schema: u32,
    },
    /// A schema that no release has written.
    #[error("schema {schema} was never written by any release; this is schema {SCHEMA}")]
    NoSuchSchema {
        /// What the file says.
        schema: u32,
    },
    /// A field is missing, unknown or of the wrong type.
    #[error("line {line}, column {column}: not what a facts file of schema {schema} holds")]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Schema of the file.
        schema: u32,
        /// What is wrong, with the field's name.
        source: serde_json::Error,
    },
    /// The facts are not those that were written.
    #[error("the facts were changed after they were written: their digest is {found}, the file says {expected}")]
    Changed {
        /// What the file says.
        expected: Digest,
        /// What the facts have.
        found: Digest,
    },
}

impl FileError {
    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Newer { .. } => NextStep::Edit("upgrade ovncilium to the release that wrote it, or newer".to_owned()),
            Self::NotFacts => NextStep::Edit("for Kubernetes YAML or JSON use `--manifests`".to_owned()),
            Self::NotJson { .. } | Self::NoSuchSchema { .. } | Self::Shape { .. } | Self::Changed { .. } => {
                NextStep::Command("kubectl ovncilium snapshot -f FILE".to_owned())
            }
        }
    }
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    format: String,
    #[serde(default)]
    schema: u32,
    #[serde(default)]
    facts: Writer,
}

#[derive(Deserialize, Default)]
struct Writer {
    written_by: Option<String>,
}

#[derive(Serialize)]
struct Written<'f> {
    format: &'static str,
    schema: u32,
    digest: Digest,
    facts: &'f Facts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "schema")]
    _schema: u32,
    digest: Digest,
    facts: Facts,
}

/// The file's text, with a line break at its end.
///
/// # Errors
/// Never for facts of this program; when JSON cannot be written.
pub fn write(facts: &Facts) -> Result<String, serde_json::Error> {
    let written = Written { format: FORMAT, schema: SCHEMA, digest: Digest::of_json(facts)?, facts };
    Ok(serde_json::to_string_pretty(&written)? + "\n")
}

/// Facts of a file's text.
///
/// # Errors
/// [`FileError`]; nothing of a file with an error is used.
pub fn read(text: &str) -> Result<Facts, FileError> {
    // In two passes, because a newer schema may hold anything.
    let header: Header = serde_json::from_str(text).map_err(|source| {
        if source.is_data() {
            return FileError::NotFacts;
        }
        FileError::NotJson { line: source.line(), column: source.column(), source }
    })?;
    if header.format != FORMAT {
        return Err(FileError::NotFacts);
    }
    let schema = header.schema;
    match schema {
        SCHEMA => {}
        newer if newer > SCHEMA => {
            let written_by = header.facts.written_by.unwrap_or_else(|| "(unknown)".to_owned());
            return Err(FileError::Newer { written_by, schema });
        }
        // Schema 1 is the first; older ones will be brought up to date here.
        _ => return Err(FileError::NoSuchSchema { schema }),
    }
    let read: Read = serde_json::from_str(text).map_err(|source| FileError::Shape {
        line: source.line(),
        column: source.column(),
        schema,
        source,
    })?;
    let found =
        Digest::of_json(&read.facts).map_err(|source| FileError::Shape { line: 0, column: 0, schema, source })?;
    if found == read.digest && read.facts.schema == schema {
        Ok(read.facts)
    } else {
        Err(FileError::Changed { expected: read.digest, found })
    }
}
