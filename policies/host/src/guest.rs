//! What a module may ask, and the limits that hold it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use wasmtime::ResourceLimiter;

use crate::bindings::ovncilium::policy::{host, types};
use crate::documents::Masked;
use crate::facts::SharedFacts;
use crate::limits::Limits;
use crate::trouble::Stopped;

/// Most lines of log kept of one run, and most bytes of one.
const LOG_LINES: usize = 256;
const LOG_BYTES: usize = 1024;

/// A document as a module gets it.
#[derive(Debug, Clone)]
pub(crate) struct DocumentValue {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// The whole, when the module selected it.
    pub(crate) whole: Option<Arc<Masked>>,
}

/// State of one store: what the module may ask, what it has used, what it did wrong.
pub(crate) struct Guest {
    pub(crate) limits: Limits,
    /// The facts, none before the module is configured.
    pub(crate) facts: Option<SharedFacts>,
    /// Those that the module declared.
    pub(crate) declared: BTreeSet<String>,
    /// The stream.
    pub(crate) documents: Arc<Vec<DocumentValue>>,
    /// Whether the host may be asked at all; not while the module describes itself.
    pub(crate) open: bool,
    /// The first thing it asked for without having declared it.
    pub(crate) undeclared: Option<String>,
    /// Lines it logged.
    pub(crate) log: Vec<(String, String)>,
    answered: usize,
    memory: usize,
}

impl Guest {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            facts: None,
            declared: BTreeSet::new(),
            documents: Arc::default(),
            open: false,
            undeclared: None,
            log: Vec::new(),
            answered: 0,
            memory: 0,
        }
    }

    fn refuse(&mut self, what: String) -> types::FactError {
        self.undeclared.get_or_insert(what);
        types::FactError::Undeclared
    }

    fn answer(&mut self, value: Option<&Value>) -> wasmtime::Result<Result<Option<String>, types::FactError>> {
        self.answer_text(value.map(Value::to_string).map(Cow::Owned))
    }

    fn answer_text(
        &mut self,
        text: Option<Cow<'_, str>>,
    ) -> wasmtime::Result<Result<Option<String>, types::FactError>> {
        let bytes = text.as_ref().map_or(0, |text| text.len());
        if bytes > self.limits.answer {
            return Ok(Err(types::FactError::TooLarge(bytes as u64)));
        }
        self.answered += bytes;
        if self.answered > self.limits.answers {
            return Err(Stopped::Answers(self.limits.answers).into());
        }
        Ok(Ok(text.map(Cow::into_owned)))
    }
}

fn is_pointer(pointer: &str) -> bool {
    pointer.is_empty() || pointer.starts_with('/')
}

fn no_pointer(pointer: &str) -> types::FactError {
    types::FactError::Unknown(format!("`{pointer}` is no JSON pointer: it must be empty or begin with `/`"))
}

impl types::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, level: String, message: String) -> wasmtime::Result<()> {
        if self.log.len() < LOG_LINES {
            self.log.push((crate::answer::clean(&level, 16), crate::answer::clean(&message, LOG_BYTES)));
        }
        Ok(())
    }

    fn fact(&mut self, name: String, pointer: String) -> wasmtime::Result<Result<Option<String>, types::FactError>> {
        if !self.open {
            return Ok(Err(self.refuse(format!("fact `{name}` while describing itself"))));
        }
        let Some(facts) = self.facts.as_ref().filter(|_| self.declared.contains(&name)) else {
            return Ok(Err(self.refuse(format!("fact `{name}`"))));
        };
        // Whether it is known is told before whether the question makes sense.
        let asked = if is_pointer(&pointer) { pointer.as_str() } else { "/" };
        match facts.at(&name, asked) {
            Err(why) => Ok(Err(types::FactError::Unknown(why))),
            Ok(_) if !is_pointer(&pointer) => Ok(Err(no_pointer(&pointer))),
            Ok(text) => self.answer_text(text.as_deref().map(Cow::Borrowed)),
        }
    }

    fn document(&mut self, index: u32, pointer: String) -> wasmtime::Result<Result<Option<String>, types::FactError>> {
        if !self.open {
            return Ok(Err(self.refuse(format!("document {index} while describing itself"))));
        }
        let documents = Arc::clone(&self.documents);
        let Some(document) = documents.get(index as usize) else { return Ok(Ok(None)) };
        let header = match pointer.as_str() {
            "/apiVersion" => Some(Value::from(document.api_version.as_str())),
            "/kind" => Some(Value::from(document.kind.as_str())),
            "/metadata/name" => Some(Value::from(document.name.as_str())),
            "/metadata/namespace" => return self.answer(document.namespace.as_deref().map(Value::from).as_ref()),
            _ => None,
        };
        if header.is_some() {
            return self.answer(header.as_ref());
        }
        match document.whole.as_deref().map(Masked::value) {
            None => Ok(Err(self.refuse(format!("document {index} ({})", document.kind)))),
            Some(Err(why)) => Ok(Err(types::FactError::Unknown(why.to_owned()))),
            Some(Ok(_)) if !is_pointer(&pointer) => Ok(Err(no_pointer(&pointer))),
            Some(Ok(value)) => self.answer(value.pointer(&pointer)),
        }
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory += desired.saturating_sub(current);
        if self.memory > self.limits.memory { Err(Stopped::Memory(self.limits.memory).into()) } else { Ok(true) }
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let slots = desired.saturating_sub(current).saturating_mul(size_of::<usize>());
        self.memory = self.memory.saturating_add(slots);
        if self.memory > self.limits.memory { Err(Stopped::Memory(self.limits.memory).into()) } else { Ok(true) }
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}
