//! One document of a stream: its bytes, its origin, and its value as Kubernetes sees it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::compose::{self, DuplicateKey};
use super::{Origin, RenderError, plain, split};

/// The annotation by which Helm 4 finds the template of a document again; removed by Helm afterwards.
pub const HELM4_FILENAME: &str = "postrenderer.helm.sh/postrender-filename";

/// One document with content. Documents that are blank, comments only or `null` are none: kubectl skips them too.
#[derive(Debug, Clone)]
pub struct Document {
    /// Position among the documents of the stream, from 0.
    pub index: u32,
    /// The template: `cilium/templates/cilium-configmap.yaml`.
    pub source: Option<String>,
    /// `apiVersion`, or empty.
    pub api_version: String,
    /// `kind`, or empty.
    pub kind: String,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `metadata.name`, or empty (`List`, `generateName`).
    pub name: String,
    stream: Arc<str>,
    range: Range<usize>,
    first_line: u32,
    annotated: bool,
    is_list: bool,
    value: Arc<OnceLock<Arc<Value>>>,
    duplicates: Arc<[DuplicateKey]>,
}

/// One Kubernetes object: the document itself, or an item of a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object<'d> {
    /// Index of the item for objects of a list.
    pub item: Option<usize>,
    /// `apiVersion`; items without one take their list's.
    pub api_version: &'d str,
    /// `kind`; items of an `XList` without one are an `X`.
    pub kind: &'d str,
    /// `metadata.namespace`.
    pub namespace: Option<&'d str>,
    /// `metadata.name`, or empty.
    pub name: &'d str,
    /// The whole object.
    pub value: &'d Value,
}

/// Where the values of a document stand, by JSON pointer.
#[derive(Debug, Clone, Default)]
pub struct Lines(BTreeMap<String, u32>);

impl Lines {
    /// As [`Document::line_of`].
    pub fn of(&self, pointer: &str) -> Option<u32> {
        let mut at = pointer;
        loop {
            if let Some(line) = self.0.get(at) {
                return Some(*line);
            }
            at = &at[..at.rfind('/')?];
        }
    }
}

impl Object<'_> {
    /// JSON pointer of the object in its document: empty, or `/items/3`.
    pub fn pointer(&self) -> String {
        self.item.map(|item| format!("/items/{item}")).unwrap_or_default()
    }
}

/// Whether a document is one that every judgement of a chart looks into: the settings of Cilium, and its agent.
fn is_looked_into(head: &Map<String, Value>) -> bool {
    let text = |value: Option<&'_ Value>, wanted: &str| value.is_some_and(|value| value == wanted);
    let named = |name| text(head.get("metadata").and_then(|metadata| metadata.get("name")), name);
    let of_kind = |kind| text(head.get("kind"), kind);
    (of_kind("ConfigMap") && named("cilium-config")) || (of_kind("DaemonSet") && named("cilium"))
}

fn whole<'v>(value: &'v OnceLock<Arc<Value>>, text: &str) -> &'v Arc<Value> {
    // Where the plain reader reads the head, it reads the rest: `core/tests/render/plain.rs` holds that.
    value.get_or_init(|| Arc::new(plain::read(text).unwrap_or_default()))
}

fn text_at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    path.iter().try_fold(value, |here, key| here.get(key)).and_then(Value::as_str)
}

impl Document {
    /// The document of a chunk; `None` when it is `null`.
    pub(super) fn read(index: u32, stream: &Arc<str>, chunk: split::Chunk) -> Result<Option<Self>, RenderError> {
        let text = &stream[chunk.range.clone()];
        let source = split::source(text);
        let origin = |line| Origin { document: index, source: source.clone(), line };
        let (head, value, duplicates) = match plain::head(text, is_looked_into) {
            Some((head, whole)) => {
                let head = Arc::new(head);
                let value = if whole { OnceLock::from(Arc::clone(&head)) } else { OnceLock::new() };
                (head, value, Vec::new())
            }
            None => {
                let composed = compose::compose(text, chunk.line, false).map_err(|error| RenderError::Yaml {
                    origin: origin(error.line),
                    column: error.column,
                    message: error.message,
                })?;
                let value = Arc::new(composed.value);
                (Arc::clone(&value), OnceLock::from(value), composed.duplicates)
            }
        };
        let found = match &*head {
            Value::Object(_) => None,
            Value::Null => return Ok(None),
            Value::Array(_) => Some("list"),
            Value::Bool(_) => Some("boolean"),
            Value::Number(_) => Some("number"),
            Value::String(_) => Some("text"),
        };
        if let Some(found) = found {
            let blank = split::leading(text).matches('\n').count();
            let line = chunk.line + u32::try_from(blank).unwrap_or(u32::MAX);
            return Err(RenderError::NotAnObject { origin: origin(line), found });
        }
        let own = |path: &[&str]| text_at(&head, path).map(str::to_owned);
        let annotation = own(&["metadata", "annotations", HELM4_FILENAME]);
        Ok(Some(Self {
            index,
            annotated: annotation.is_some(),
            is_list: head.get("items").is_some_and(Value::is_array),
            source: annotation.or(source),
            api_version: own(&["apiVersion"]).unwrap_or_default(),
            kind: own(&["kind"]).unwrap_or_default(),
            namespace: own(&["metadata", "namespace"]),
            name: own(&["metadata", "name"]).unwrap_or_default(),
            stream: Arc::clone(stream),
            range: chunk.range,
            first_line: chunk.line,
            value: Arc::new(value),
            duplicates: duplicates.into(),
        }))
    }

    /// Line of the first byte after the separator, in the stream, from 1.
    pub fn first_line(&self) -> u32 {
        self.first_line
    }

    /// Bytes of the document in the stream: everything between two separators, comments included.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The text of the document as it was handed in.
    pub fn text(&self) -> &str {
        &self.stream[self.range.clone()]
    }

    /// The document as Kubernetes sees it, made when it is first asked for: most documents are told by their heads alone.
    pub fn value(&self) -> &Value {
        self.whole()
    }

    /// The value of [`Document::value`], shared.
    pub fn shared(&self) -> Arc<Value> {
        Arc::clone(self.whole())
    }

    /// Gives [`Document::shared`] when it is called, and makes it no earlier.
    pub fn later(&self) -> impl Fn() -> Arc<Value> + Send + Sync + use<> {
        let (value, stream, range) = (Arc::clone(&self.value), Arc::clone(&self.stream), self.range());
        move || Arc::clone(whole(&value, &stream[range.clone()]))
    }

    fn whole(&self) -> &Arc<Value> {
        whole(&self.value, self.text())
    }

    /// Whether its template is told by Helm 4's annotation.
    pub(super) fn is_annotated(&self) -> bool {
        self.annotated
    }

    /// Whether it may hold objects of this kind and name: it is one, or a list.
    pub(super) fn may_hold(&self, kind: &str, name: &str) -> bool {
        self.is_list || (self.kind == kind && self.name == name)
    }

    /// Keys written twice in one mapping. Helm takes the last one without a word.
    pub fn duplicate_keys(&self) -> &[DuplicateKey] {
        &self.duplicates
    }

    /// The objects in the document: itself, or the items of a list. Like kubectl, a list is whatever has an
    /// array `items` at its top, whatever its kind.
    pub fn objects(&self) -> Vec<Object<'_>> {
        let value = self.value();
        let Some(items) = value.get("items").and_then(Value::as_array) else {
            return vec![Object {
                item: None,
                api_version: &self.api_version,
                kind: &self.kind,
                namespace: self.namespace.as_deref(),
                name: &self.name,
                value,
            }];
        };
        let item_kind = self.kind.strip_suffix("List").unwrap_or_default();
        let object = |(index, value)| Object {
            item: Some(index),
            api_version: text_at(value, &["apiVersion"]).unwrap_or(if item_kind.is_empty() {
                ""
            } else {
                &self.api_version
            }),
            kind: text_at(value, &["kind"]).unwrap_or(item_kind),
            namespace: text_at(value, &["metadata", "namespace"]),
            name: text_at(value, &["metadata", "name"]).unwrap_or_default(),
            value,
        };
        items.iter().enumerate().map(object).collect()
    }

    /// Whether Helm runs it as a hook (annotation `helm.sh/hook`). Only Helm 4 shows hooks to a post-renderer.
    pub fn is_hook(&self) -> bool {
        self.value().pointer("/metadata/annotations/helm.sh~1hook").is_some()
    }

    /// Line of the value at a JSON pointer, in the stream, from 1; of the nearest value above it when it is
    /// not there or came from an alias.
    pub fn line_of(&self, pointer: &str) -> Option<u32> {
        match plain::lines_before(self.text(), pointer) {
            Some(before) => Some(self.first_line.saturating_add(u32::try_from(before).unwrap_or(u32::MAX))),
            None => self.lines().of(pointer),
        }
    }

    /// Lines of all values. The parser reads the document anew: for many pointers ask once.
    pub fn lines(&self) -> Lines {
        let composed = compose::compose(self.text(), self.first_line, true);
        Lines(composed.ok().and_then(|composed| composed.lines).unwrap_or_default())
    }

    /// Line of the first content, after leading comments and blank lines, in the stream, from 1.
    pub fn content_line(&self) -> u32 {
        let leading = split::leading(self.text()).matches('\n').count();
        self.first_line.saturating_add(u32::try_from(leading).unwrap_or(u32::MAX))
    }

    /// `kind namespace/name`, for messages.
    pub fn describe(&self) -> String {
        let kind = if self.kind.is_empty() { "object without kind" } else { &self.kind };
        match (&self.namespace, self.name.as_str()) {
            (_, "") => kind.to_owned(),
            (Some(namespace), name) => format!("{kind} {namespace}/{name}"),
            (None, name) => format!("{kind} {name}"),
        }
    }

    pub(super) fn origin(&self) -> Origin {
        Origin { document: self.index, source: self.source.clone(), line: self.first_line }
    }
}
