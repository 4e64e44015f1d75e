//! Finds `cilium-config` and the agent in a rendered stream.
//!
//! A policy that uses it declares the [`selectors`].

use std::collections::BTreeMap;

use serde_json::Value;

use crate::version::Version;
use crate::{Context, FactError, Finding, Selector};

/// What of Cilium is in a stream.
#[derive(Debug, Default)]
pub struct Stream {
    /// Its ConfigMaps `cilium-config`, single or in a list.
    pub configs: Vec<CiliumConfig>,
    /// Document of the agent's DaemonSet.
    pub agent: Option<u32>,
}

/// One ConfigMap `cilium-config`.
#[derive(Debug)]
pub struct CiliumConfig {
    /// Index of its document.
    pub document: u32,
    /// Pointer to it in the document: empty, or `/items/3`.
    pub at: String,
    /// `configmap kube-system/cilium-config`.
    pub subject: String,
    /// The version told by the agent's image.
    pub version: Option<Version>,
    /// Whether the agent's start hook is told to be exclusive, as charts before 1.14 do it.
    pub exclusive_hook: bool,
    data: BTreeMap<String, Value>,
}

impl CiliumConfig {
    /// The value of a key as text; a boolean or number that a template forgot to quote counts as its text.
    pub fn get(&self, key: &str) -> Option<String> {
        match self.data.get(key)? {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// Whether a key has this value.
    pub fn is(&self, key: &str, value: &str) -> bool {
        self.get(key).as_deref() == Some(value)
    }

    /// The value of a key in words.
    pub fn told(&self, key: &str) -> String {
        self.get(key).map_or_else(|| format!("{key} is not set"), |value| format!("{key} is \"{value}\""))
    }

    /// A finding with the place of `key` in it.
    #[must_use]
    pub fn place(&self, finding: Finding, key: &str) -> Finding {
        finding.document(self.document).pointer(format!("{}/data/{key}", self.at)).subject(self.subject.clone())
    }
}

/// Selects the documents that [`find`] reads.
pub fn selectors() -> [Selector; 5] {
    [
        Selector::kind("", "ConfigMap"),
        Selector::kind("", "ConfigMapList"),
        Selector::kind("apps", "DaemonSet"),
        Selector::kind("apps", "DaemonSetList"),
        Selector::kind("", "List"),
    ]
}

/// Every `cilium-config` of the stream, and the agent; nothing when there is no stream.
///
/// # Errors
/// When a document that may hold one cannot be read.
pub fn find(context: &Context<'_>) -> Result<Stream, String> {
    let unread = |index: usize, error: FactError| format!("document {index} cannot be read: {error}");
    let mut stream = Stream::default();
    let mut version = None;
    let mut exclusive_hook = false;
    let kinds = context.documents.kinds().map_err(|error| error.to_string())?;
    for (at, kind) in kinds.iter().enumerate() {
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        let objects: Vec<(String, Value)> = match kind.as_str() {
            "ConfigMap" | "DaemonSet" => {
                let name: Option<String> = context.documents.get(index, "/metadata/name").map_err(|e| unread(at, e))?;
                if kind == "ConfigMap" && name.as_deref() != Some("cilium-config") {
                    continue;
                }
                let object = context.documents.get(index, "").map_err(|error| unread(at, error))?;
                object.map(|object| (String::new(), object)).into_iter().collect()
            }
            "List" | "ConfigMapList" | "DaemonSetList" => match context.documents.get::<Vec<Value>>(index, "/items") {
                Ok(items) => {
                    let items = items.unwrap_or_default().into_iter().enumerate();
                    items.map(|(item, object)| (format!("/items/{item}"), object)).collect()
                }
                Err(error) => return Err(unread(at, error)),
            },
            _ => continue,
        };
        let of_list = kind.strip_suffix("List").unwrap_or(kind);
        for (place, object) in objects {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            match (text("/kind").unwrap_or(of_list), text("/metadata/name").unwrap_or_default()) {
                ("ConfigMap", "cilium-config") => {
                    let namespace = text("/metadata/namespace").map(|n| format!("{n}/")).unwrap_or_default();
                    let data = object.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
                    stream.configs.push(CiliumConfig {
                        document: index,
                        at: place,
                        subject: format!("configmap {namespace}cilium-config"),
                        version: None,
                        exclusive_hook: false,
                        data: data.into_iter().collect(),
                    });
                }
                ("DaemonSet", name) if is_agent(name, &object) => {
                    stream.agent = Some(index);
                    version = version.or_else(|| agent_version(&object));
                    exclusive_hook |= hook_words(&object).any(|word| word.contains("--cni-exclusive=true"));
                }
                _ => {}
            }
        }
    }
    for config in &mut stream.configs {
        config.version = version;
        config.exclusive_hook = exclusive_hook;
    }
    Ok(stream)
}

fn is_agent(name: &str, object: &Value) -> bool {
    let labels = ["/metadata/labels/k8s-app", "/spec/template/metadata/labels/k8s-app"];
    name == "cilium" || labels.iter().any(|label| object.pointer(label).and_then(Value::as_str) == Some("cilium"))
}

/// What the agent's containers run once they have started: `/cni-install.sh --cni-exclusive=true` up to 1.13.
fn hook_words(object: &Value) -> impl Iterator<Item = &str> {
    let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let commands = containers.filter_map(|c| c.pointer("/lifecycle/postStart/exec/command")?.as_array());
    commands.flatten().filter_map(Value::as_str)
}

/// `quay.io/cilium/cilium:v1.18.2@sha256:…` is 1.18.2.
fn agent_version(object: &Value) -> Option<Version> {
    let containers = object.pointer("/spec/template/spec/containers")?.as_array()?;
    let images = containers.iter().filter_map(|container| container.get("image")?.as_str());
    images.filter_map(|image| image.split('@').next()?.rsplit_once(':')).find_map(|(_, tag)| Version::parse(tag))
}
