//! Documents as modules see them: selected by their headers, with Secrets masked.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ovncilium_core::render::{Document, Stream};
use serde_json::{Map, Value};

use crate::bindings::ovncilium::policy::types::Selector;

/// What is known of a document without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// `apiVersion`, or empty.
    pub api_version: &'a str,
    /// `kind`, or empty.
    pub kind: &'a str,
    /// `metadata.namespace`.
    pub namespace: Option<&'a str>,
    /// `metadata.name`, or empty.
    pub name: &'a str,
    /// The template it came from.
    pub source: Option<&'a str>,
}

/// A rendered stream.
pub trait DocumentSource {
    /// Number of documents.
    fn count(&self) -> u32;

    /// Header of a document; none beyond the end.
    fn header(&self, index: u32) -> Option<Header<'_>>;

    /// The document as Kubernetes reads it.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn value(&self, index: u32) -> Result<Arc<Value>, String>;

    /// The same, read when it is called: most of the documents that a module selects it never looks into.
    fn later(&self, index: u32) -> Later {
        let value = self.value(index);
        Box::new(move || value.clone())
    }
}

/// Reads a document.
pub type Later = Box<dyn Fn() -> Result<Arc<Value>, String> + Send + Sync>;

/// A document as modules see it, with Secrets masked; read when the first of them asks.
pub(crate) struct Masked {
    read: Later,
    value: OnceLock<Result<Arc<Value>, String>>,
}

impl Masked {
    pub(crate) fn new(read: Later) -> Self {
        Self { read, value: OnceLock::new() }
    }

    pub(crate) fn value(&self) -> Result<&Value, &str> {
        match self.value.get_or_init(|| (self.read)().map(masked)) {
            Ok(value) => Ok(value),
            Err(why) => Err(why),
        }
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl DocumentSource for Stream {
    fn count(&self) -> u32 {
        u32::try_from(self.documents().len()).unwrap_or(u32::MAX)
    }

    fn header(&self, index: u32) -> Option<Header<'_>> {
        self.document(index).map(|document| Header {
            api_version: &document.api_version,
            kind: &document.kind,
            namespace: document.namespace.as_deref(),
            name: &document.name,
            source: document.source.as_deref(),
        })
    }

    fn value(&self, index: u32) -> Result<Arc<Value>, String> {
        self.document(index).map(Document::shared).ok_or_else(|| absent(index))
    }

    fn later(&self, index: u32) -> Later {
        match self.document(index).map(Document::later) {
            Some(read) => Box::new(move || Ok(read())),
            None => Box::new(move || Err(absent(index))),
        }
    }
}

fn absent(index: u32) -> String {
    format!("the stream has no document {index}")
}

/// Whether any of the selectors selects the document, or an item of it when it is a list.
pub(crate) fn selected(selectors: &[Selector], documents: &dyn DocumentSource, index: u32) -> bool {
    let Some(header) = documents.header(index) else { return false };
    let any = |api_version: &str, kind: &str, namespace: Option<&str>| {
        selectors.iter().any(|selector| selects(selector, api_version, kind, namespace))
    };
    if selectors.is_empty() {
        return false;
    }
    if any(header.api_version, header.kind, header.namespace) {
        return true;
    }
    if !header.kind.is_empty() && !header.kind.ends_with("List") {
        return false;
    }
    let Ok(value) = documents.value(index) else { return true };
    let item_kind = header.kind.strip_suffix("List").unwrap_or_default();
    value.get("items").and_then(Value::as_array).into_iter().flatten().any(|item| {
        let text = |pointer| item.pointer(pointer).and_then(Value::as_str);
        let own = if item_kind.is_empty() { "" } else { header.api_version };
        any(text("/apiVersion").unwrap_or(own), text("/kind").unwrap_or(item_kind), text("/metadata/namespace"))
    })
}

/// Whether there may be an object of one of these kinds, as far as headers tell: an item of a list can be anything.
pub(crate) fn may_hold(kinds: &[&str], documents: &dyn DocumentSource) -> bool {
    let mut headers = (0..documents.count()).filter_map(|index| documents.header(index));
    headers.any(|header| header.kind.is_empty() || header.kind.ends_with("List") || kinds.contains(&header.kind))
}

fn selects(selector: &Selector, api_version: &str, kind: &str, namespace: Option<&str>) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    (selector.api_group == "*" || selector.api_group == group)
        && (selector.kinds.is_empty() || selector.kinds.iter().any(|k| k == kind))
        && (selector.namespaces.is_empty() || selector.namespaces.iter().any(|n| Some(n.as_str()) == namespace))
}

/// What stands for a Secret's value.
const MASK: &str = "masked";

/// The document without the values of Secrets: its own, and those of its items. One that holds none is shared, not copied.
fn masked(mut value: Arc<Value>) -> Arc<Value> {
    if value.get("items").is_some() || value.get("kind").is_some_and(|kind| kind == "Secret") {
        mask(Arc::make_mut(&mut value), false);
    }
    value
}

fn mask(value: &mut Value, in_secret_list: bool) {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let secret = kind == "Secret" || (kind.is_empty() && in_secret_list);
    let secrets = kind == "SecretList";
    if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(|item| mask(item, secrets));
    }
    if !secret {
        return;
    }
    for field in ["data", "stringData"] {
        match value.get_mut(field) {
            Some(Value::Object(entries)) => {
                *entries = entries.iter().map(|(key, _)| (key.clone(), Value::from(MASK))).collect::<Map<_, _>>();
            }
            Some(other) => *other = Value::from(MASK),
            None => {}
        }
    }
    // kubectl keeps a copy of the whole object here, values included.
    let last_applied = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
    if let Some(annotation) = value.pointer_mut(last_applied) {
        *annotation = Value::from(MASK);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_when_it_is_asked_for_and_once() {
        let reads = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&reads);
        let document = Masked::new(Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Arc::new(json!({"kind": "Secret", "data": {"a": "eA=="}})))
        }));
        assert_eq!(reads.load(Ordering::Relaxed), 0);
        for _ in 0..2 {
            assert_eq!(document.value(), Ok(&json!({"kind": "Secret", "data": {"a": MASK}})));
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!(Masked::new(Box::new(|| Err("torn".to_owned()))).value(), Err("torn"));
    }

    #[test]
    fn a_stream_gives_its_documents_even_when_it_is_gone() {
        let stream = Stream::parse(b"kind: A\na: b\n").unwrap();
        let (there, absent) = (stream.later(0), stream.later(1));
        drop(stream);
        assert_eq!(*there().unwrap(), json!({"kind": "A", "a": "b"}));
        assert_eq!(absent(), Err("the stream has no document 1".to_owned()));
    }

    #[test]
    fn masks_values_of_secrets_wherever_they_are() {
        let secret = json!({"kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "y"}});
        let list = json!({"kind": "SecretList", "items": [{"data": {"c": "eA=="}}]});
        let mixed = json!({"kind": "List", "items": [secret, {"kind": "ConfigMap", "data": {"d": "kept"}}]});
        for value in [&secret, &list, &mixed] {
            let whole = Arc::new(value.clone());
            let text = masked(Arc::clone(&whole)).to_string();
            assert!(!text.contains("eA==") && !text.contains("\"y\""), "{text}");
            assert_eq!(*whole, *value, "what others read stays whole");
        }
        assert!(masked(mixed.into()).to_string().contains("kept"));
    }
}
