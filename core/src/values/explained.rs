//! Values with their reasons: a list that becomes one JSON object for helm, or YAML with a comment above each key.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

/// Columns of a comment.
const WIDTH: usize = 110;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Path with dots, `cni.chainingMode`.
    pub key: String,
    /// The value; never an object.
    pub value: Value,
    /// Why it is set, one sentence.
    pub why: String,
    /// It is the chart's default as well: a plan says it all the same, people need not.
    #[serde(skip)]
    pub is_default: bool,
}

/// Values, each with its reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explained {
    entries: Vec<Entry>,
}

impl Explained {
    /// Sets a value.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>, why: impl Into<String>) {
        self.add(key, value.into(), why.into(), false);
    }

    /// Sets a value that is the chart's default as well.
    pub(super) fn pin(&mut self, key: &str, value: impl Into<Value>, why: impl Into<String>) {
        self.add(key, value.into(), why.into(), true);
    }

    fn add(&mut self, key: &str, value: Value, why: String, is_default: bool) {
        self.entries.push(Entry { key: key.to_owned(), value, why, is_default });
    }

    /// Orders by key, so that YAML has each parent once.
    pub(super) fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.key.split('.').cmp(b.key.split('.')));
    }

    /// Everything, for a plan: nothing is left to a default.
    pub fn whole(&self) -> Value {
        object(&self.entries)
    }

    /// Only what differs from the chart's defaults.
    pub fn minimal(&self) -> Self {
        Self { entries: self.entries.iter().filter(|entry| !entry.is_default).cloned().collect() }
    }

    /// The values in order of their keys.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// YAML with a comment above each key.
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        let mut open: Vec<&str> = Vec::new();
        for entry in &self.entries {
            let path: Vec<&str> = entry.key.split('.').collect();
            let (parents, name) = path.split_at(path.len().saturating_sub(1));
            let shared = open.iter().zip(parents).take_while(|(a, b)| a == b).count();
            for (depth, parent) in parents.iter().enumerate().skip(shared) {
                let _ = writeln!(out, "{}{parent}:", "  ".repeat(depth));
            }
            open = parents.to_vec();
            let indent = "  ".repeat(parents.len());
            comment(&mut out, &indent, &entry.why);
            let _ = writeln!(out, "{indent}{}: {}", name.first().unwrap_or(&""), scalar(&entry.value));
        }
        out
    }
}

/// Lines of a comment, broken at blanks.
pub(crate) fn comment(out: &mut String, indent: &str, text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && indent.len() + line.chars().count() + word.chars().count() + 3 > WIDTH {
            let _ = writeln!(out, "{indent}# {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{indent}# {line}");
}

/// JSON is YAML; words that need no quotes get none.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(scalar).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Whether every reader of YAML takes a text without quotes for itself: it begins with a letter or a slash, or is a range of
/// addresses, and is none of the words that YAML 1.1 takes for booleans and null.
fn is_plain(text: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let begins =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') || text.parse::<ipnet::IpNet>().is_ok();
    begins
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+".contains(c))
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

fn object(entries: &[Entry]) -> Value {
    let mut root = Value::Object(Map::new());
    for entry in entries {
        let mut at = &mut root;
        for part in entry.key.split('.') {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = &mut at[part];
        }
        at.clone_from(&entry.value);
    }
    root
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Explained {
        let mut values = Explained::default();
        values.set("b.two", "false", "a word, not a boolean");
        values.set("a", json!(["eth+", "10.0.0.0/8", "0x1"]), "a list");
        values.pin("b.one.deep", 1, "a default");
        values.set("b.three", "x: y", "needs quotes");
        values.sort();
        values
    }

    #[test]
    fn yaml_says_what_the_object_says() {
        let yaml = values().yaml();
        let read: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read, values().whole(), "{yaml}");
        assert_eq!(
            yaml,
            "# a list\na: [eth+, 10.0.0.0/8, \"0x1\"]\nb:\n  one:\n    # a default\n    deep: 1\n  # needs quotes\n  three: \"x: y\"\n  # a word, not a boolean\n  two: \"false\"\n"
        );
    }

    #[test]
    fn defaults_are_left_out_for_people() {
        let minimal = values().minimal();
        assert_eq!(
            minimal.whole(),
            json!({"a": ["eth+", "10.0.0.0/8", "0x1"], "b": {"two": "false", "three": "x: y"}})
        );
    }

    #[test]
    fn long_reasons_are_broken_at_blanks() {
        let mut out = String::new();
        comment(&mut out, "  ", "word ".repeat(50).trim_end());
        assert!(out.lines().count() > 1);
        assert!(out.lines().all(|line| line.starts_with("  # word") && line.len() <= WIDTH), "{out}");
    }
}
