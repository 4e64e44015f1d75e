//! What can be wrong with a stream, with the document, its template and the line.

use std::fmt;

use super::Refusal;

/// Where in a stream: the document, the template it came from, the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Index of the document, from 0.
    pub document: u32,
    /// The template: `cilium/templates/cilium-configmap.yaml`.
    pub source: Option<String>,
    /// Line in the stream, from 1.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}", self.document)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, ", line {}", self.line)
    }
}

/// A stream that cannot be read, or a patch that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Bytes that are not UTF-8.
    #[error("line {line}: byte {offset} of the stream is not UTF-8")]
    NotUtf8 {
        /// Offset of the first bad byte, from 0.
        offset: usize,
        /// Its line, from 1.
        line: u32,
    },
    /// A line that starts with `---` and goes on: Helm cuts there, YAML and kubectl may not.
    #[error("line {line}: `{text}` is no plain separator: Helm, kubectl and YAML read it differently")]
    Separator {
        /// Its line, from 1.
        line: u32,
        /// Its beginning.
        text: String,
    },
    /// A document that is not YAML.
    #[error("{origin}, column {column}: {message}")]
    Yaml {
        /// Where.
        origin: Origin,
        /// Column in characters, from 1.
        column: u32,
        /// What is wrong.
        message: String,
    },
    /// A document that is a list or a scalar.
    #[error("{origin}: a Kubernetes object is a mapping, this is a {found}")]
    NotAnObject {
        /// Where.
        origin: Origin,
        /// What it is.
        found: &'static str,
    },
    /// A patch for a document that is not there.
    #[error("`{by}` patches document {document}, but there are only {documents}")]
    NoSuchDocument {
        /// Who patches.
        by: String,
        /// The index it gave.
        document: u32,
        /// How many there are.
        documents: usize,
    },
    /// A patch of something that no policy may patch.
    #[error("{origin}: `{by}` {refusal}")]
    NotPatchable {
        /// Where.
        origin: Origin,
        /// Who patches.
        by: String,
        /// What it wants, why not, and what to do instead.
        refusal: Box<Refusal>,
    },
    /// A patch that does not apply.
    #[error("{origin}: the patch of `{by}` does not apply: {message}")]
    Patch {
        /// Where.
        origin: Origin,
        /// Who patches.
        by: String,
        /// Why not.
        message: String,
    },
    /// Two patches of the same value.
    #[error("{origin}: `{first}` and `{second}` both patch `{pointer}`")]
    Overlap {
        /// Where.
        origin: Origin,
        /// The earlier patch's author.
        first: String,
        /// The later patch's author.
        second: String,
        /// JSON pointer of the value.
        pointer: String,
    },
}

impl RenderError {
    /// With lines of the file that the stream was taken from.
    #[must_use]
    pub fn at_lines(mut self, file_line: &dyn Fn(u32) -> u32) -> Self {
        match &mut self {
            Self::NotUtf8 { line, .. } | Self::Separator { line, .. } => *line = file_line(*line),
            Self::Yaml { origin, .. }
            | Self::NotAnObject { origin, .. }
            | Self::NotPatchable { origin, .. }
            | Self::Patch { origin, .. }
            | Self::Overlap { origin, .. } => origin.line = file_line(origin.line),
            Self::NoSuchDocument { .. } => {}
        }
        self
    }
}
