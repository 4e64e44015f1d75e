//! Finds `cilium-config` and the agent in a rendered stream.
//!
//! A policy that uses it declares the [`selectors`].

mod entries;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::version::Version;
use crate::{Context, Finding, Selector};
use entries::Entries;

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
    data: Entries,
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
    let mut stream = Stream::default();
    let mut version = None;
    let mut exclusive_hook = false;
    let kinds = context.documents.kinds().map_err(|error| error.to_string())?;
    for (at, kind) in kinds.iter().enumerate() {
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        for object in objects(context, index, kind)? {
            let name = object.text("/metadata/name")?.unwrap_or_default();
            match object.kind()?.as_str() {
                "ConfigMap" if name == "cilium-config" => {
                    let namespace = object.text("/metadata/namespace")?.map(|n| format!("{n}/")).unwrap_or_default();
                    stream.configs.push(CiliumConfig {
                        document: index,
                        subject: format!("configmap {namespace}cilium-config"),
                        version: None,
                        exclusive_hook: false,
                        data: object.read("/data")?.unwrap_or_default(),
                        at: object.at,
                    });
                }
                "DaemonSet" if is_agent(&name, &object)? => {
                    stream.agent = Some(index);
                    for container in object.containers()? {
                        version = version.or_else(|| agent_version(&container.image?));
                        exclusive_hook |= container.hook.iter().any(|word| word.contains("--cni-exclusive=true"));
                    }
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

/// An object of the stream. Only what is asked for crosses from the host: a DaemonSet is long, and most of it does not matter here.
struct Object<'c> {
    context: &'c Context<'c>,
    document: u32,
    /// Pointer to it in the document: empty, or `/items/3`.
    at: String,
    /// What it is when it does not say.
    of_list: &'c str,
}

/// What of a container tells the agent's version and what runs when it has started: `/cni-install.sh --cni-exclusive=true` up to 1.13.
struct Container {
    image: Option<String>,
    hook: Vec<String>,
}

/// The objects of a document that may matter.
fn objects<'c>(context: &'c Context<'c>, document: u32, kind: &'c str) -> Result<Vec<Object<'c>>, String> {
    let object = |at: String| Object { context, document, at, of_list: kind.strip_suffix("List").unwrap_or(kind) };
    match kind {
        "ConfigMap" | "DaemonSet" => Ok(vec![object(String::new())]),
        "List" | "ConfigMapList" | "DaemonSetList" => {
            let items: Option<Vec<IgnoredAny>> = object(String::new()).read("/items")?;
            Ok((0..items.map_or(0, |items| items.len())).map(|item| object(format!("/items/{item}"))).collect())
        }
        _ => Ok(Vec::new()),
    }
}

impl Object<'_> {
    fn read<T: DeserializeOwned>(&self, pointer: &str) -> Result<Option<T>, String> {
        let found = self.context.documents.get(self.document, &format!("{}{pointer}", self.at));
        found.map_err(|error| format!("document {} cannot be read: {error}", self.document))
    }

    fn get(&self, pointer: &str) -> Result<Option<Value>, String> {
        self.read(pointer)
    }

    /// A text; what is of another shape is none.
    fn text(&self, pointer: &str) -> Result<Option<String>, String> {
        Ok(match self.get(pointer)? {
            Some(Value::String(text)) => Some(text),
            _ => None,
        })
    }

    fn kind(&self) -> Result<String, String> {
        if self.at.is_empty() {
            return Ok(self.of_list.to_owned());
        }
        Ok(self.text("/kind")?.unwrap_or_else(|| self.of_list.to_owned()))
    }

    fn containers(&self) -> Result<Vec<Container>, String> {
        let mut containers = Vec::new();
        loop {
            let at = format!("/spec/template/spec/containers/{}", containers.len());
            let image = self.text(&format!("{at}/image"))?;
            if image.is_none() && self.get(&format!("{at}/name"))?.is_none() {
                return Ok(containers);
            }
            let hook = match self.get(&format!("{at}/lifecycle/postStart/exec/command"))? {
                Some(Value::Array(words)) => {
                    words.into_iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
                }
                _ => Vec::new(),
            };
            containers.push(Container { image, hook });
        }
    }
}

fn is_agent(name: &str, object: &Object<'_>) -> Result<bool, String> {
    let labelled = |at: &str| Ok::<_, String>(object.text(at)?.as_deref() == Some("cilium"));
    Ok(name == "cilium" || labelled("/metadata/labels/k8s-app")? || labelled("/spec/template/metadata/labels/k8s-app")?)
}

/// `quay.io/cilium/cilium:v1.18.2@sha256:…` is 1.18.2.
fn agent_version(image: &str) -> Option<Version> {
    Version::parse(image.split('@').next()?.rsplit_once(':')?.1)
}
