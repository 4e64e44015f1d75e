//! Objects from YAML of a Git repository (`--manifests`): what is not in it is unknown.
//!
//! Files are read elsewhere; here are names and contents. YAML means what it means to kubectl ([`crate::render`]):
//! several documents, lists, JSON. A mapping without `kind` (values, kustomizations' patches) is no object and left out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::inventory::{Inventory, Listing};
use crate::NextStep;
use crate::plan::Resource;
use crate::render::{RenderError, Stream};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'f> {
    /// Its name, for messages; its ending tells what it is.
    pub name: &'f str,
    /// Its bytes.
    pub content: &'f [u8],
}

/// Why manifests are not read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the YAML that Kubernetes reads.
    #[error("{file}: {source}")]
    Yaml {
        /// The file.
        file: String,
        /// What is wrong, with its line.
        source: Box<RenderError>,
    },
    /// Not JSON.
    #[error("{file}, line {line}, column {column}: not JSON")]
    Json {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A template, which is no manifest yet.
    #[error("{file}, line {line}: this is a template of a Helm chart, not a manifest")]
    Template {
        /// The file.
        file: String,
        /// Line of the first action, from 1.
        line: u32,
    },
    /// A shell script, whose manifests exist only after it ran.
    #[error("{file}: an install script makes its manifests when it runs, from variables that are not known here")]
    Script {
        /// The file.
        file: String,
    },
    /// An object that is there twice; which one is applied last is not known.
    #[error("{object} is in {first} and again in {second}")]
    Twice {
        /// The object.
        object: String,
        /// File, line of the document, and pointer in a list of the first.
        first: String,
        /// The same of the second.
        second: String,
    },
    /// Nothing that this program knows.
    #[error("no Kubernetes objects that matter here in {}", if files.is_empty() { "(no files)".to_owned() } else { files.join(", ") })]
    Nothing {
        /// The files.
        files: Vec<String>,
    },
}

impl ManifestError {
    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Yaml { .. } | Self::Json { .. } => NextStep::Edit("correct the file, or name only the files that are applied".to_owned()),
            Self::Template { .. } => NextStep::Command("helm template CHART -f VALUES | kubectl ovncilium check --manifests -".to_owned()),
            Self::Script { .. } => NextStep::Edit(
                "give the YAML files that it writes beside itself (kube-ovn.yaml, ovn.yaml), or `kubectl get deployments,daemonsets -A -o yaml`"
                    .to_owned(),
            ),
            Self::Twice { .. } => NextStep::Edit("name only the one that is applied".to_owned()),
            Self::Nothing { .. } => NextStep::Edit(
                "give the manifests of Kube-OVN: those with the Deployment kube-ovn-controller and the DaemonSet kube-ovn-cni".to_owned(),
            ),
        }
    }
}

/// Listings of what is in `files`; each is [`Listing::Partial`], also those that are empty.
///
/// # Errors
/// The first file that cannot be read, an object that is there twice, or files without any object that matters.
pub fn read(files: &[File<'_>]) -> Result<Inventory, ManifestError> {
    let mut found = Found::default();
    for file in files {
        read_file(file, &mut found)?;
    }
    if found.objects.is_empty() {
        return Err(ManifestError::Nothing { files: files.iter().map(|file| file.name.to_owned()).collect() });
    }
    let mut inventory = Inventory::default();
    for resource in Resource::ALL {
        inventory.listings.insert(*resource, Listing::Partial(found.objects.remove(resource).unwrap_or_default()));
    }
    Ok(inventory)
}

#[derive(Default)]
struct Found {
    objects: BTreeMap<Resource, Vec<Value>>,
    places: BTreeMap<(Resource, String), String>,
}

impl Found {
    fn take(&mut self, place: String, api_version: &str, kind: &str, value: &Value) -> Result<(), ManifestError> {
        let Some(resource) = Resource::find(api_version, kind) else { return Ok(()) };
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = resource.named(text("/metadata/namespace"), text("/metadata/name")).to_string();
        if let Some(first) = self.places.insert((resource, name.clone()), place.clone()) {
            return Err(ManifestError::Twice { object: name, first, second: place });
        }
        self.objects.entry(resource).or_default().push(value.clone());
        Ok(())
    }
}

fn read_file(file: &File<'_>, found: &mut Found) -> Result<(), ManifestError> {
    let name = file.name.to_owned();
    if file.name.ends_with(".sh") || file.content.starts_with(b"#!") {
        return Err(ManifestError::Script { file: name });
    }
    if file.name.ends_with(".json") {
        return read_json(file, found);
    }
    let stream = match Stream::parse(file.content) {
        Ok(stream) => stream,
        Err(source) => {
            return Err(template(file).unwrap_or(ManifestError::Yaml { file: name, source: Box::new(source) }));
        }
    };
    for document in stream.documents() {
        for object in document.objects() {
            let place = format!("{}:{}{}", file.name, document.first_line(), object.pointer());
            found.take(place, object.api_version, object.kind, object.value)?;
        }
    }
    Ok(())
}

/// Line of the first action of a file that is not YAML because it is a template, from 1.
pub fn template_line(content: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(content).ok()?;
    let action = text.lines().position(|line| line.contains("{{-") || line.contains("{{ ") || line.contains("{{."))?;
    u32::try_from(action + 1).ok()
}

fn template(file: &File<'_>) -> Option<ManifestError> {
    Some(ManifestError::Template { file: file.name.to_owned(), line: template_line(file.content)? })
}

fn read_json(file: &File<'_>, found: &mut Found) -> Result<(), ManifestError> {
    let objects = serde_json::Deserializer::from_slice(file.content).into_iter::<Value>();
    for object in objects {
        let object = object.map_err(|source| ManifestError::Json {
            file: file.name.to_owned(),
            line: source.line(),
            column: source.column(),
            source,
        })?;
        let items = object.get("items").and_then(Value::as_array);
        for item in items.map_or_else(|| std::slice::from_ref(&object), Vec::as_slice) {
            let text = |key| item.get(key).and_then(Value::as_str).unwrap_or_default();
            found.take(file.name.to_owned(), text("apiVersion"), text("kind"), item)?;
        }
    }
    Ok(())
}
