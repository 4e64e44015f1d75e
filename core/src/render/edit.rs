//! Changes scalars of a document on their lines, so that comments, order, quotes and line ends stay as they are.

use std::collections::BTreeMap;
use std::ops::Range;

use json_patch::PatchOperation;
use serde_json::Value;

use super::compose::{self, Composed};
use super::scalar::{self, Scalar};

/// `text` after operations that set the text of a key. `wanted` is what they make of its value, and what the result is read as.
///
/// # Errors
/// Why it cannot be done on one line.
pub(super) fn edit(text: &str, operations: &[&PatchOperation], wanted: &Value) -> Result<String, String> {
    let composed = compose::compose(text, 1, true).map_err(|error| error.to_string())?;
    let mut edits: BTreeMap<&str, (Range<usize>, String)> = BTreeMap::new();
    for operation in operations {
        let (path, value) = match operation {
            PatchOperation::Replace(replace) => (replace.path.as_str(), &replace.value),
            PatchOperation::Add(add) => (add.path.as_str(), &add.value),
            _ => continue,
        };
        if composed.value.pointer(path) == Some(value) {
            edits.remove(path);
            continue;
        }
        let edit = match composed.scalars.get(path) {
            Some(written) => Some((written.range.clone(), scalar_text(value, written.quote))),
            None if composed.value.pointer(path).is_none() => new_line(text, &composed, path, value),
            None => None,
        };
        edits.insert(path, edit.ok_or_else(|| format!("`{path}` does not stand alone on one line"))?);
    }
    let mut edits: Vec<_> = edits.into_values().collect();
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut edited = text.to_owned();
    for (range, new) in edits {
        edited.replace_range(range, &new);
    }
    let same = compose::compose(&edited, 1, false).is_ok_and(|read| read.value == *wanted);
    // An alias, a merge key or a second key of the same name.
    if same { Ok(edited) } else { Err("changed on its line, the document would mean something else".to_owned()) }
}

/// A line for a key that is absent, right below the line that opens its mapping, indented as the key that follows.
fn new_line(text: &str, composed: &Composed, path: &str, value: &Value) -> Option<(Range<usize>, String)> {
    let (parent, key) = path.rsplit_once('/')?;
    let opener = usize::try_from(*composed.lines.as_ref()?.get(parent)?).ok()?;
    let (above, below): (Vec<_>, Vec<_>) =
        text.split_inclusive('\n').enumerate().partition(|(index, _)| *index < opener);
    let at = above.iter().map(|(_, line)| line.len()).sum();
    let end = if above.last()?.1.ends_with("\r\n") { "\r\n" } else { "\n" };
    let next =
        below.iter().map(|(_, line)| line).find(|line| !matches!(line.trim().chars().next(), None | Some('#')))?;
    let indent = &next[..next.len() - next.trim_start_matches(' ').len()];
    Some((at..at, format!("{indent}{key}: {}{end}", scalar_text(value, Some('"')))))
}

/// A scalar as YAML, quoted as the one it replaces where that can be.
fn scalar_text(value: &Value, quote: Option<char>) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let is_simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    match quote {
        Some('\'') if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', "''")),
        None if !text.is_empty()
            && text.chars().all(is_simple)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && matches!(scalar::resolve(text), Scalar::Text) =>
        {
            text.clone()
        }
        _ => value.to_string(),
    }
}
