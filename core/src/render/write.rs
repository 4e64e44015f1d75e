//! Writes a stream back byte for byte, but for the lines that a patch changes.

use super::{Document, RenderError, Stream, edit, patchable};

/// What Helm 4 gets for a stream without a byte of content: it takes empty output for an error.
const EMPTY: &[u8] = b"# ovncilium: empty stream\n";

/// A change of one document, asked for by one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentPatch {
    /// Who asks, for messages: the policy's id.
    pub by: String,
    /// Index of the document.
    pub document: u32,
    /// The operations (RFC 6902).
    pub patch: json_patch::Patch,
}

impl Stream {
    /// The stream with patches applied in order. A patch changes the value on its line, in the quotes that are there, or adds a
    /// line where the key is absent; every other byte stays. A blank stream becomes one comment line.
    ///
    /// # Errors
    /// A patch that names a document that is not there, a place that is not of [`PATCHABLE`](super::PATCHABLE) or a value that a
    /// patch of somebody else touches, does not apply, or touches a value that does not stand alone on one line.
    pub fn write(&self, patches: &[DocumentPatch]) -> Result<Vec<u8>, RenderError> {
        if let Some(lost) = patches.iter().find(|patch| self.document(patch.document).is_none()) {
            let documents = self.documents().len();
            return Err(RenderError::NoSuchDocument { by: lost.by.clone(), document: lost.document, documents });
        }
        if self.is_blank() {
            return Ok(EMPTY.to_vec());
        }
        let mut out = Vec::with_capacity(self.text.len());
        let mut copied = 0;
        for document in self.documents() {
            let mine: Vec<_> =
                patches.iter().filter(|patch| patch.document == document.index && !patch.patch.0.is_empty()).collect();
            if mine.is_empty() {
                continue;
            }
            let range = document.range();
            out.extend_from_slice(&self.text.as_bytes()[copied..range.start]);
            out.extend_from_slice(self.patched(document, &mine)?.as_bytes());
            copied = range.end;
        }
        out.extend_from_slice(&self.text.as_bytes()[copied..]);
        Ok(out)
    }

    fn patched(&self, document: &Document, patches: &[&DocumentPatch]) -> Result<String, RenderError> {
        overlap(document, patches)?;
        let failed = |patch: &DocumentPatch, message| {
            let by = patch.by.clone();
            RenderError::Patch { origin: document.origin(), by, message }
        };
        let mut wanted = document.value().clone();
        for patch in patches {
            if let Some(refusal) = patch.patch.0.iter().find_map(|one| patchable::refusal(self, document, one)) {
                return Err(RenderError::NotPatchable { origin: document.origin(), by: patch.by.clone(), refusal });
            }
            json_patch::patch(&mut wanted, &patch.patch.0).map_err(|error| failed(patch, error.to_string()))?;
        }
        let operations: Vec<_> = patches.iter().flat_map(|patch| &patch.patch.0).collect();
        edit::edit(document.text(), &operations, &wanted).map_err(|message| failed(patches[0], message))
    }
}

/// JSON pointers that an operation changes; tests change nothing.
fn touched(operation: &json_patch::PatchOperation) -> Vec<&str> {
    use json_patch::PatchOperation as Op;
    match operation {
        Op::Add(op) => vec![op.path.as_str()],
        Op::Remove(op) => vec![op.path.as_str()],
        Op::Replace(op) => vec![op.path.as_str()],
        Op::Move(op) => vec![op.from.as_str(), op.path.as_str()],
        Op::Copy(op) => vec![op.path.as_str()],
        Op::Test(_) => vec![],
    }
}

fn overlap(document: &Document, patches: &[&DocumentPatch]) -> Result<(), RenderError> {
    for (at, later) in patches.iter().enumerate() {
        for earlier in patches[..at].iter().filter(|earlier| earlier.by != later.by) {
            for one in earlier.patch.0.iter().flat_map(touched) {
                for other in later.patch.0.iter().flat_map(touched) {
                    let within = |a: &str, b: &str| a == b || (b.starts_with(a) && b[a.len()..].starts_with('/'));
                    if within(one, other) || within(other, one) {
                        return Err(RenderError::Overlap {
                            origin: document.origin(),
                            first: earlier.by.clone(),
                            second: later.by.clone(),
                            pointer: other.to_owned(),
                        });
                    }
                }
            }
        }
    }
    Ok(())
}
