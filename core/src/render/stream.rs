//! All documents of a stream.

use std::sync::Arc;

use super::{Document, Object, RenderError, split};

/// Who wrote a stream; tells what cannot be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Helm 3: `# Source:` comments, install order. Hooks and `crds/` are never in it.
    Helm3,
    /// Helm 4: the template is an annotation. Hooks are in it, `crds/` are not.
    Helm4,
    /// Neither: plain YAML.
    Plain,
}

/// A YAML stream, split into documents without changing a byte.
#[derive(Debug, Clone)]
pub struct Stream {
    pub(super) text: Arc<str>,
    documents: Vec<Document>,
}

impl Stream {
    /// Splits and reads a stream.
    ///
    /// # Errors
    /// The first thing that is wrong: bytes that are not UTF-8, an ambiguous separator, text that is not YAML,
    /// a document that is no mapping.
    pub fn parse(bytes: &[u8]) -> Result<Self, RenderError> {
        let text: Arc<str> = match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => {
                let offset = error.valid_up_to();
                let line = 1 + bytes[..offset].iter().filter(|b| **b == b'\n').count();
                return Err(RenderError::NotUtf8 { offset, line: u32::try_from(line).unwrap_or(u32::MAX) });
            }
        };
        let mut documents = Vec::new();
        for chunk in split::split(&text)? {
            if split::is_void(&text[chunk.range.clone()]) {
                continue;
            }
            let index = u32::try_from(documents.len()).unwrap_or(u32::MAX);
            documents.extend(Document::read(index, &text, chunk)?);
        }
        Ok(Self { text, documents })
    }

    /// Documents with content, in the order of the stream.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// The document at an index.
    pub fn document(&self, index: u32) -> Option<&Document> {
        usize::try_from(index).ok().and_then(|index| self.documents.get(index))
    }

    /// Whether there is nothing but whitespace.
    pub fn is_blank(&self) -> bool {
        self.text.trim_start_matches('\u{feff}').trim().is_empty()
    }

    /// The objects of a kind and a name. Only the documents that may hold one are looked at as a whole.
    pub fn objects<'s>(&'s self, kind: &'s str, name: &'s str) -> impl Iterator<Item = Object<'s>> {
        let documents = self.documents.iter().filter(move |document| document.may_hold(kind, name));
        documents.flat_map(Document::objects).filter(move |object| object.kind == kind && object.name == name)
    }

    /// The tag of the agent's image without a `v`, `1.18.12`; a digest or a registry's port do not count.
    pub fn cilium_version(&self) -> Option<&str> {
        let agent = self.objects("DaemonSet", "cilium");
        let containers = agent.filter_map(|object| object.value.pointer("/spec/template/spec/containers")?.as_array());
        let mut named = containers.flatten().filter(|c| c.get("name").is_some_and(|name| name == "cilium-agent"));
        let image = named.next()?.get("image")?.as_str()?.split('@').next()?;
        let tag = image.rsplit('/').next()?.split_once(':')?.1;
        let version = tag.strip_prefix('v').unwrap_or(tag);
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
    }

    /// The minor of Cilium 1 that [`Stream::cilium_version`] tells.
    pub(super) fn cilium_minor(&self) -> Option<u64> {
        self.cilium_version()?.strip_prefix("1.")?.split('.').next()?.parse().ok()
    }

    /// Who wrote it, as far as it shows.
    pub fn dialect(&self) -> Dialect {
        if self.documents.iter().any(Document::is_annotated) {
            Dialect::Helm4
        } else if self.documents.iter().any(|document| document.source.is_some()) {
            Dialect::Helm3
        } else {
            Dialect::Plain
        }
    }
}
