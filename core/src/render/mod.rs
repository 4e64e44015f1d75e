//! The YAML stream Helm hands a post-renderer: split, read the way Kubernetes reads it, and written back.
//!
//! In reading order: [`split`] cuts bytes at `---` lines and nowhere else, [`scalar`] and [`compose`] give a document the
//! meaning it has for Helm, kubectl and the API server (YAML 1.1 as `sigs.k8s.io/yaml` decodes it, *not* YAML 1.2),
//! [`Document`] is one document with its origin and value, [`Stream`] is all of them, and
//! [`Stream::write`] gives the same bytes back, but for the lines that a patch changes ([`PATCHABLE`] lists which it may).
//!
//! Both dialects are understood: Helm 3 (`# Source:` comments, install order, no hooks) and Helm 4 (an annotation
//! with the template's name, hooks included). Why the resolver is our own: `docs/adr/0001-yaml.md`.

mod compose;
mod document;
mod edit;
mod error;
mod patchable;
mod plain;
mod scalar;
mod split;
mod stream;
mod write;

pub use compose::{DuplicateKey, YamlError};
pub use document::{Document, HELM4_FILENAME, Lines, Object};
pub use error::{Origin, RenderError};
pub use patchable::{PATCHABLE, PATCHABLE_OBJECT, PatchableKey, Refusal};
pub use stream::{Dialect, Stream};
pub use write::DocumentPatch;
