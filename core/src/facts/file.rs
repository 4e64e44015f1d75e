//! Facts as a file (`snapshot`, `--facts`): JSON with a format name, a schema and a digest of the facts.
//!
//! `{"format": "ovncilium-facts", "schema": 1, "digest": "sha256:…", "facts": {…}}`. The digest is over the facts as this program
//! writes them without blanks, so that a file may be re-indented, but not be torn, merged or edited.

use std::fmt;
use std::io;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

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
    /// It stopped coming.
    #[error("it cannot be read to its end")]
    Unreadable {
        /// What the system says.
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
            Self::Unreadable { .. } => NextStep::Edit("check the file".to_owned()),
            Self::NotFacts => NextStep::Edit("for Kubernetes YAML or JSON use `--manifests`".to_owned()),
            Self::NotJson { .. } | Self::NoSuchSchema { .. } | Self::Shape { .. } | Self::Changed { .. } => {
                NextStep::Command("kubectl ovncilium snapshot -f FILE".to_owned())
            }
        }
    }
}

#[derive(Serialize)]
struct Written<'f> {
    format: &'static str,
    schema: u32,
    digest: Digest,
    facts: &'f Facts,
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
    whole(serde_json::Deserializer::from_str(text))
}

/// Facts of a file as it comes, without ever holding its text: that of a large cluster is a hundred megabytes.
///
/// # Errors
/// [`FileError`]; nothing of a file with an error is used.
pub fn read_from(file: impl io::Read) -> Result<Facts, FileError> {
    whole(serde_json::Deserializer::from_reader(io::BufReader::with_capacity(BUFFER, file)))
}

const BUFFER: usize = 64 << 10;

/// The fields of a file, as far as they have come.
#[derive(Default)]
struct Fields {
    format: String,
    schema: u32,
    digest: Option<String>,
    written_by: Option<String>,
    facts: Option<Facts>,
    /// Facts that came before the schema was known, by which they are read.
    early: Option<Value>,
    stranger: Option<String>,
}

impl Fields {
    /// Whether facts can be read as this program writes them.
    fn is_ours(&self) -> bool {
        self.format == FORMAT && self.schema == SCHEMA
    }
}

fn whole<'de, R: serde_json::de::Read<'de>>(mut text: serde_json::Deserializer<R>) -> Result<Facts, FileError> {
    let mut fields = Fields::default();
    let read = fields.fill(&mut text).and_then(|()| text.end());
    let schema = fields.schema;
    let shape =
        |source: serde_json::Error| FileError::Shape { line: source.line(), column: source.column(), schema, source };
    read.map_err(|source| match source.classify() {
        serde_json::error::Category::Data if fields.is_ours() => shape(source),
        serde_json::error::Category::Data => FileError::NotFacts,
        serde_json::error::Category::Io => FileError::Unreadable { source },
        _ => FileError::NotJson { line: source.line(), column: source.column(), source },
    })?;
    if fields.format != FORMAT {
        return Err(FileError::NotFacts);
    }
    match schema {
        SCHEMA => {}
        newer if newer > SCHEMA => {
            let written_by = fields.written_by.unwrap_or_else(|| "(unknown)".to_owned());
            return Err(FileError::Newer { written_by, schema });
        }
        // Schema 1 is the first; older ones will be brought up to date here.
        _ => return Err(FileError::NoSuchSchema { schema }),
    }
    if let Some(name) = fields.stranger {
        return Err(shape(serde_json::Error::custom(format!("unknown field `{name}`"))));
    }
    let facts = match (fields.facts, fields.early) {
        (Some(facts), _) => facts,
        (None, Some(early)) => serde_json::from_value(early).map_err(shape)?,
        (None, None) => return Err(shape(serde_json::Error::missing_field("facts"))),
    };
    let digest = fields.digest.ok_or_else(|| shape(serde_json::Error::missing_field("digest")))?;
    let expected: Digest = digest.parse().map_err(|error| shape(serde_json::Error::custom(error)))?;
    let found = Digest::of_json(&facts).map_err(shape)?;
    if found == expected && facts.schema == schema { Ok(facts) } else { Err(FileError::Changed { expected, found }) }
}

impl Fields {
    fn fill<'de, D: Deserializer<'de>>(&mut self, file: D) -> Result<(), D::Error> {
        file.deserialize_map(Filling(self))
    }
}

/// Puts each field where it belongs. What is there when an error comes tells whose file it is.
struct Filling<'f>(&'f mut Fields);

impl<'de> Visitor<'de> for Filling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a facts file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "format" => fields.format = map.next_value()?,
                "schema" => fields.schema = map.next_value()?,
                "digest" => fields.digest = Some(map.next_value()?),
                "facts" if fields.is_ours() => fields.facts = Some(map.next_value()?),
                "facts" if fields.schema > SCHEMA => map.next_value_seed(WrittenBy(&mut fields.written_by))?,
                "facts" => fields.early = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    fields.stranger.get_or_insert(name);
                }
            }
        }
        if let Some(early) = &fields.early {
            fields.written_by = early.get("written_by").and_then(Value::as_str).map(str::to_owned);
        }
        Ok(())
    }
}

/// Takes the writer's version out of facts that may hold anything else.
struct WrittenBy<'w>(&'w mut Option<String>);

impl<'de> DeserializeSeed<'de> for WrittenBy<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, facts: D) -> Result<(), D::Error> {
        #[derive(Deserialize)]
        struct Writer {
            written_by: Option<String>,
        }
        *self.0 = Writer::deserialize(facts)?.written_by;
        Ok(())
    }
}
