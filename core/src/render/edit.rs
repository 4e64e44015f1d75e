//! Replaces scalars of a document in place, so that comments, order, quotes and line ends stay as they are.

use json_patch::PatchOperation;
use serde_json::Value;

use super::compose::{self, Written};
use super::scalar::{self, Scalar};

/// `text` after `operations`, or `None` when they do more than replace scalars that are written on one line. `wanted` is what they
/// make of its value: the edited text must read as that, or it is not used.
pub(super) fn edit(text: &str, operations: &[&PatchOperation], wanted: &Value) -> Option<String> {
    let composed = compose::compose(text, 1, true).ok()?;
    let mut edits: Vec<(&Written, String)> = Vec::new();
    for operation in operations {
        let (path, value) = match operation {
            PatchOperation::Replace(replace) => (replace.path.as_str(), &replace.value),
            // Adding a key that is there replaces it; into a list it inserts, which has another value and is not used.
            PatchOperation::Add(add) => (add.path.as_str(), &add.value),
            PatchOperation::Test(_) => continue,
            _ => return None,
        };
        let written = composed.scalars.get(path)?;
        if composed.value.pointer(path) == Some(value) {
            continue;
        }
        let new = scalar_text(value, written.quote)?;
        edits.retain(|(known, _)| known.range != written.range);
        edits.push((written, new));
    }
    edits.sort_by_key(|(written, _)| std::cmp::Reverse(written.range.start));
    let mut edited = text.to_owned();
    for (written, new) in edits {
        text.get(written.range.clone())?;
        edited.replace_range(written.range.clone(), &new);
    }
    let read = compose::compose(&edited, 1, false).ok()?;
    (read.value == *wanted).then_some(edited)
}

/// A scalar as YAML, quoted as the one it replaces where that can be.
fn scalar_text(value: &Value, quote: Option<char>) -> Option<String> {
    let Value::String(text) = value else {
        return (!value.is_object() && !value.is_array()).then(|| value.to_string());
    };
    let is_simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    Some(match quote {
        Some('\'') if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', "''")),
        None if !text.is_empty()
            && text.chars().all(is_simple)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && matches!(scalar::resolve(text), Scalar::Text) =>
        {
            text.clone()
        }
        _ => value.to_string(),
    })
}
