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
    /// The agent's DaemonSet; the last, where there are several.
    pub agent: Option<Agent>,
    /// Settings that stand above `cilium-config`: arguments and variables of the agent, and every CiliumNodeConfig.
    pub overrides: Vec<Override>,
}

/// The agent's DaemonSet.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Index of its document.
    pub document: u32,
    /// Pointer to the directory of the node into which it writes its CNI file, and the directory.
    pub conf_dir: Option<(String, String)>,
}

/// A setting that an agent takes from elsewhere than `cilium-config`, and rather.
#[derive(Debug, Clone)]
pub struct Override {
    /// Index of its document.
    pub document: u32,
    /// Pointer to it in the document.
    pub pointer: String,
    /// The key, as in `cilium-config`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What sets it: `the agent's argument --routing-mode=tunnel`.
    pub told: String,
    /// Whether a CiliumNodeConfig sets it, for the nodes that it selects.
    pub of_a_node: bool,
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
pub fn selectors() -> [Selector; 7] {
    [
        Selector::kind("", "ConfigMap"),
        Selector::kind("", "ConfigMapList"),
        Selector::kind("apps", "DaemonSet"),
        Selector::kind("apps", "DaemonSetList"),
        Selector::kind("cilium.io", "CiliumNodeConfig"),
        Selector::kind("cilium.io", "CiliumNodeConfigList"),
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
                    stream.agent = Some(Agent { document: index, conf_dir: object.conf_dir()? });
                    for container in object.containers()? {
                        exclusive_hook |= container.hook.iter().any(|word| word.contains("--cni-exclusive=true"));
                        stream.overrides.extend(container.overrides);
                        version = version.or_else(|| agent_version(&container.image?));
                    }
                }
                "CiliumNodeConfig" => stream.overrides.extend(object.defaults(&name)?),
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
    overrides: Vec<Override>,
}

/// The objects of a document that may matter.
fn objects<'c>(context: &'c Context<'c>, document: u32, kind: &'c str) -> Result<Vec<Object<'c>>, String> {
    let object = |at: String| Object { context, document, at, of_list: kind.strip_suffix("List").unwrap_or(kind) };
    match kind {
        "ConfigMap" | "DaemonSet" | "CiliumNodeConfig" => Ok(vec![object(String::new())]),
        "List" | "ConfigMapList" | "DaemonSetList" | "CiliumNodeConfigList" => {
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
            let hook = self.words(&format!("{at}/lifecycle/postStart/exec/command"))?;
            // Only the agent reads them; a sidecar's words are its own.
            let is_agent = self.text(&format!("{at}/name"))?.is_none_or(|name| name == "cilium-agent");
            let overrides = if is_agent { self.overrides(&at)? } else { Vec::new() };
            containers.push(Container { image, hook, overrides });
        }
    }

    /// A list of texts; what is of another shape is none.
    fn words(&self, pointer: &str) -> Result<Vec<String>, String> {
        let Some(Value::Array(words)) = self.get(pointer)? else { return Ok(Vec::new()) };
        Ok(words.into_iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect())
    }

    /// Arguments and variables of the container at `at`. A variable that is filled from elsewhere has no value to be judged: charts
    /// before 1.12 fill some from `cilium-config` itself.
    fn overrides(&self, at: &str) -> Result<Vec<Override>, String> {
        let mut found = Vec::new();
        for list in ["command", "args"] {
            let words = self.words(&format!("{at}/{list}"))?;
            // A shell's line is many words at one place.
            let places = words.iter().enumerate().flat_map(|(index, word)| {
                let whole = word.starts_with("--");
                let parts = if whole { vec![word.as_str()] } else { word.split_whitespace().collect() };
                parts.into_iter().map(move |part| (index, part))
            });
            let words: Vec<(usize, &str)> = places.collect();
            for (at_word, (index, word)) in words.iter().enumerate() {
                let Some(flag) = word.strip_prefix("--") else { continue };
                // `--key value` is two words; a switch alone is on.
                let next = words.get(at_word + 1).map(|(_, next)| *next).filter(|next| !next.starts_with("--"));
                let (key, value) = flag.split_once('=').unwrap_or((flag, next.unwrap_or("true")));
                found.push(Override {
                    document: self.document,
                    pointer: format!("{}{at}/{list}/{index}", self.at),
                    key: key.to_owned(),
                    value: value.trim().to_owned(),
                    told: format!("the agent's argument --{key}={value}"),
                    of_a_node: false,
                });
            }
        }
        let Some(Value::Array(variables)) = self.get(&format!("{at}/env"))? else { return Ok(found) };
        for (index, variable) in variables.iter().enumerate() {
            let text = |key: &str| variable.get(key).and_then(Value::as_str);
            let Some((name, value)) = text("name").zip(text("value")) else { continue };
            let Some(key) = name.strip_prefix("CILIUM_") else { continue };
            found.push(Override {
                document: self.document,
                pointer: format!("{}{at}/env/{index}/value", self.at),
                key: key.to_ascii_lowercase().replace('_', "-"),
                value: value.trim().to_owned(),
                told: format!("the agent's variable {name}={value}"),
                of_a_node: false,
            });
        }
        Ok(found)
    }

    /// What a CiliumNodeConfig gives the agents of its nodes.
    fn defaults(&self, name: &str) -> Result<Vec<Override>, String> {
        let Some(Value::Object(defaults)) = self.get("/spec/defaults")? else { return Ok(Vec::new()) };
        let one = |(key, value): (String, Value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
            Override {
                document: self.document,
                pointer: format!("{}/spec/defaults/{key}", self.at),
                told: format!("{key} of CiliumNodeConfig {name} is \"{value}\""),
                key,
                value,
                of_a_node: true,
            }
        };
        Ok(defaults.into_iter().map(one).collect())
    }

    /// The node's directory behind the volume in which the agent writes its CNI file, with its place.
    fn conf_dir(&self) -> Result<Option<(String, String)>, String> {
        let at = "/spec/template/spec/volumes";
        let Some(Value::Array(volumes)) = self.get(at)? else { return Ok(None) };
        let found = volumes.iter().enumerate().find(|(_, volume)| volume["name"] == "etc-cni-netd");
        Ok(found.and_then(|(index, volume)| {
            let path = volume.pointer("/hostPath/path")?.as_str()?.to_owned();
            Some((format!("{}{at}/{index}/hostPath/path", self.at), path))
        }))
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
