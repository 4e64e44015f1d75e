//! Answers like the real host, from values in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::context::{Context, FactError, Source};
use crate::policy::{Policy, Scope, read_settings};
use crate::{Finding, ScopeKind, Selector};

/// Facts by name. One that is not here is unknown.
#[derive(Debug, Clone, Default)]
pub struct FactSet {
    known: BTreeMap<String, Value>,
    unknown: BTreeMap<String, String>,
}

impl FactSet {
    /// No facts at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this fact known.
    #[must_use]
    pub fn known(mut self, name: impl Into<String>, value: Value) -> Self {
        self.known.insert(name.into(), value);
        self
    }

    /// With this fact unknown for a reason.
    #[must_use]
    pub fn unknown(mut self, name: impl Into<String>, why: impl Into<String>) -> Self {
        self.unknown.insert(name.into(), why.into());
        self
    }

    fn node_names(&self) -> Vec<String> {
        let items = self.known.get("nodes").and_then(|nodes| nodes.get("items")).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(|node| node.get("name")?.as_str().map(str::to_owned)).collect()
    }
}

/// Documents of a rendered stream, in order.
#[derive(Debug, Clone, Default)]
pub struct Docs(pub Vec<Value>);

/// What may be asked of every document, and is empty when absent.
const HEADER: [&str; 3] = ["/apiVersion", "/kind", "/metadata/name"];

/// A host made of values.
pub struct PretendHost {
    facts: FactSet,
    documents: Option<Docs>,
    declared: BTreeSet<String>,
    selectors: Vec<Selector>,
    undeclared: RefCell<Option<String>>,
}

impl Source for PretendHost {
    fn fact(&self, name: &str, pointer: &str) -> Result<Option<String>, FactError> {
        if !self.declared.contains(name) {
            self.undeclared.replace(Some(format!("the fact `{name}`")));
            return Err(FactError::Undeclared);
        }
        match self.facts.known.get(name) {
            Some(value) => Ok(value.pointer(pointer).map(Value::to_string)),
            None => Err(FactError::Unknown(
                self.facts.unknown.get(name).cloned().unwrap_or_else(|| "it was not read".to_owned()),
            )),
        }
    }

    fn document(&self, index: u32, pointer: &str) -> Result<Option<String>, FactError> {
        let documents = self.documents.iter().flat_map(|docs| &docs.0);
        let Some(document) = documents.into_iter().nth(index as usize) else { return Ok(None) };
        let value = document.pointer(pointer);
        if HEADER.contains(&pointer) {
            return Ok(Some(value.map_or_else(|| "\"\"".to_owned(), Value::to_string)));
        }
        if pointer != "/metadata/namespace" && !selected(&self.selectors, document) {
            self.undeclared.replace(Some(format!("document {index}")));
            return Err(FactError::Undeclared);
        }
        Ok(value.map(Value::to_string))
    }

    fn log(&self, _level: &str, _message: &str) {}
}

/// Runs a policy over its scopes as the host does: cluster, nodes, selected documents, stream.
///
/// # Errors
/// What would be a fault: refused settings, an undeclared fact, a policy's own error, a finding of no known rule.
pub fn run<P: Policy>(facts: FactSet, settings: &Value, documents: Option<Docs>) -> Result<Vec<Finding>, String> {
    let info = P::info();
    let settings = read_settings::<P>(&settings.to_string()).map_err(|errors| {
        errors.iter().map(|e| format!("{}: {}", e.pointer, e.message)).collect::<Vec<_>>().join("; ")
    })?;
    let mut scopes = Vec::new();
    if info.scopes.contains(&ScopeKind::Cluster) {
        scopes.push(Scope::Cluster);
    }
    if info.scopes.contains(&ScopeKind::Node) {
        scopes.extend(facts.node_names().into_iter().map(Scope::Node));
    }
    if let Some(docs) = &documents {
        if info.scopes.contains(&ScopeKind::Document) {
            let wanted = docs.0.iter().enumerate().filter(|(_, document)| selected(&info.selectors, document));
            scopes.extend(wanted.filter_map(|(index, _)| u32::try_from(index).ok()).map(Scope::Document));
        }
        if info.scopes.contains(&ScopeKind::Stream) {
            scopes.push(Scope::Stream);
        }
    }
    let declared = info.facts.iter().cloned().collect();
    let host = PretendHost { facts, documents, declared, selectors: info.selectors, undeclared: RefCell::new(None) };
    let mut findings = Vec::new();
    for scope in &scopes {
        findings.extend(P::check(&settings, scope, &Context::new(&host))?);
    }
    if let Some(name) = host.undeclared.take() {
        return Err(format!("asked for {name} without declaring it"));
    }
    match findings.iter().find(|finding| info.rules.iter().all(|rule| rule.id != finding.rule)) {
        Some(stray) => Err(format!("the finding `{}` belongs to no rule", stray.rule)),
        None => Ok(findings),
    }
}

/// Whether a document, or an item of it when it is a list, is selected.
fn selected(selectors: &[Selector], document: &Value) -> bool {
    let items = document.get("items").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(document).chain(items).any(|object| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (api_version, kind) = (text("/apiVersion").unwrap_or_default(), text("/kind").unwrap_or_default());
        selectors.iter().any(|selector| selector.selects(api_version, kind, text("/metadata/namespace")))
    })
}
