//! Writes a stream back: untouched documents byte for byte, patched ones with only their patched scalars changed where that is
//! possible.

use serde_json::Value;

use super::document::HELM4_FILENAME;
use super::{Document, RenderError, Stream, compose, edit, split};

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
    /// The stream with patches applied in order. Documents without one keep every byte. Where patches only replace scalars
    /// that are written on one line, nothing but these scalars changes; else the document is written anew behind its
    /// leading comments. Helm 4's annotation is kept. A blank stream becomes one comment line.
    ///
    /// # Errors
    /// A patch that does not apply, names a document that is not there, or touches a value that a patch of
    /// somebody else touches.
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
            out.extend_from_slice(patched(document, &mine)?.as_bytes());
            copied = range.end;
        }
        out.extend_from_slice(&self.text.as_bytes()[copied..]);
        Ok(out)
    }
}

fn patched(document: &Document, patches: &[&DocumentPatch]) -> Result<String, RenderError> {
    let origin = || document.origin();
    overlap(document, patches)?;
    let unpatchable = |message| RenderError::Patch { origin: origin(), by: patches[0].by.clone(), message };
    let before = document.value().map_err(unpatchable)?;
    let mut value = before.clone();
    for patch in patches {
        json_patch::patch(&mut value, &patch.patch.0).map_err(|error| RenderError::Patch {
            origin: origin(),
            by: patch.by.clone(),
            message: error.to_string(),
        })?;
    }
    if !value.is_object() {
        return Err(unpatchable("the result is no object".to_owned()));
    }
    keep_filename(before, &mut value);
    let operations: Vec<_> = patches.iter().flat_map(|patch| &patch.patch.0).collect();
    if let Some(text) = edit::edit(document.text(), &operations, &value) {
        return Ok(text);
    }
    let yaml = serde_saphyr::to_string(&value).map_err(|error| unpatchable(error.to_string()))?;
    let mut text = split::leading(document.text()).to_owned();
    text.push_str(&yaml);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let whole = split::split(&text).is_ok_and(|chunks| chunks.len() == 1);
    let same = whole && compose::compose(&text, 1, false).is_ok_and(|read| read.value == value);
    if same { Ok(text) } else { Err(unpatchable("written anew, the document would mean something else".to_owned())) }
}

/// Helm 4 names a document without the annotation `generated-by-postrender-N.yaml`.
fn keep_filename(before: &Value, after: &mut Value) {
    let filename = before.pointer("/metadata/annotations").and_then(|a| a.get(HELM4_FILENAME));
    let (Some(filename), Some(root)) = (filename, after.as_object_mut()) else { return };
    let mut at = root;
    for key in ["metadata", "annotations"] {
        let child = at.entry(key).or_insert_with(|| Value::Object(serde_json::Map::new()));
        if !child.is_object() {
            *child = Value::Object(serde_json::Map::new());
        }
        let Some(map) = child.as_object_mut() else { return };
        at = map;
    }
    at.insert(HELM4_FILENAME.to_owned(), filename.clone());
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
