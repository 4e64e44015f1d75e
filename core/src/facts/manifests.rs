//! Objects from YAML of a Git repository (`--manifests`): what is not in it is unknown.
//!
//! Files are read elsewhere; here are names and contents. YAML means what it means to kubectl ([`crate::render`]):
//! several documents, lists, JSON. A mapping without `kind` (values, kustomizations' patches) is no object and left out.
//! Install scripts are read without running them ([`super::install_script`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::install_script::{self, Case, settle, shape};
use super::inventory::{Inventory, Listing};
use super::kube_ovn::KubeOvn;
use super::{Facts, Source, derive};
use crate::plan::Resource;
use crate::render::{Document, Lines, RenderError, Stream};
use crate::{NextStep, Place};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'f> {
    /// Its name, for messages; its ending tells what it is.
    pub name: &'f str,
    /// Its bytes.
    pub content: &'f [u8],
}

impl File<'_> {
    /// An install script, which is read without running it; other files are YAML or JSON.
    pub fn is_script(&self) -> bool {
        self.name.ends_with(".sh") || self.content.starts_with(b"#!")
    }
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
    /// A script that is no shell script, or one whose end is missing.
    #[error("{file}, line {line}: this line of the script {what}")]
    Shell {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// What it does: `opens a quote that is never closed`.
        what: String,
    },
    /// A shell script that gives kubectl no manifests of its own.
    #[error("{file}: this script gives `kubectl apply` no Kubernetes object from a here-document{}", because(.why.as_deref()))]
    Script {
        /// The file.
        file: String,
        /// What it gives instead, as a sentence.
        why: Option<String>,
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

fn because(why: Option<&str>) -> String {
    why.map(|why| format!(": {why}")).unwrap_or_default()
}

impl ManifestError {
    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Yaml { .. } | Self::Json { .. } => NextStep::Edit("correct the file, or name only the files that are applied".to_owned()),
            Self::Template { .. } => NextStep::Command("helm template CHART -f VALUES | kubectl ovncilium check --manifests -".to_owned()),
            Self::Shell { .. } => NextStep::Edit(
                "see with `bash -n` whether the script is whole; if it is, give the YAML files that it writes".to_owned(),
            ),
            Self::Script { .. } => NextStep::Edit(
                "give the YAML files that it applies, or `kubectl get deployments,daemonsets -A -o yaml`".to_owned(),
            ),
            Self::Twice { .. } => NextStep::Edit("name only the one that is applied".to_owned()),
            Self::Nothing { .. } => NextStep::Edit(
                "give the manifests of Kube-OVN: those with the Deployment kube-ovn-controller and the DaemonSet kube-ovn-cni".to_owned(),
            ),
        }
    }
}

/// What is in manifests.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// Listings; each is [`Listing::Partial`], also those that are empty.
    pub inventory: Inventory,
    /// Where each object stands.
    pub places: Places,
    /// What a script may apply besides, or instead.
    branches: Vec<Branch>,
}

/// Where objects stand, by `kind namespace/name` as findings name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// The place of an object, `deployment kube-system/kube-ovn-controller`.
    pub fn of(&self, object: &str) -> Option<&Place> {
        self.0.get(object)
    }
}

/// Objects that a script applies or not, depending on what only a run can tell.
#[derive(Debug, Clone)]
struct Branch {
    why: String,
    /// None when they cannot be read.
    objects: Option<Vec<(Resource, Value)>>,
}

impl Manifests {
    /// The facts that these manifests give; what a script leaves open is unknown, with the reason.
    pub fn facts(&self, source: Source, at: Timestamp) -> Facts {
        let case = |branch: &Branch| Case {
            why: branch.why.clone(),
            kube_ovn: branch.objects.as_ref().map(|objects| derive::kube_ovn(&self.with(objects))),
        };
        let cases = self.branches.iter().map(case).collect();
        let kube_ovn: Result<KubeOvn, String> =
            settle(derive::kube_ovn(&self.inventory), cases, &|open| self.holder(open));
        derive::derive_around(&self.inventory, kube_ovn, source, at)
    }

    /// The listings with other objects, which take the place of those with the same name.
    fn with(&self, objects: &[(Resource, Value)]) -> Inventory {
        let mut inventory = self.inventory.clone();
        for (resource, value) in objects {
            if let Some(Listing::Partial(known)) = inventory.listings.get_mut(resource) {
                known.retain(|known| named(*resource, known) != named(*resource, value));
                known.push(value.clone());
            }
        }
        inventory
    }

    /// The object that holds an open value, with its place.
    fn holder(&self, open: &str) -> Option<String> {
        let holds = |value: &Value| install_script::told(&value.to_string()).is_some_and(|text| text.contains(open));
        let mut all = [Resource::DEPLOYMENTS, Resource::DAEMON_SETS]
            .into_iter()
            .flat_map(|resource| self.inventory.some(resource).iter().map(move |value| (resource, value)));
        let (resource, value) = all.find(|(_, value)| holds(value))?;
        let name = named(resource, value);
        let place = self.places.of(&name).map(|place| format!(" ({place})")).unwrap_or_default();
        Some(format!("{name}{place}"))
    }
}

/// What is in `files`.
///
/// # Errors
/// The first file that cannot be read, an object that is there twice, or files without any object that matters.
pub fn read(files: &[File<'_>]) -> Result<Manifests, ManifestError> {
    let mut found = Found::default();
    for file in files {
        read_file(file, &mut found)?;
    }
    if found.objects.is_empty() && found.branches.is_empty() {
        return Err(ManifestError::Nothing { files: files.iter().map(|file| file.name.to_owned()).collect() });
    }
    let mut inventory = Inventory::default();
    for resource in Resource::ALL {
        inventory.listings.insert(*resource, Listing::Partial(found.objects.remove(resource).unwrap_or_default()));
    }
    Ok(Manifests { inventory, places: Places(found.places), branches: found.branches })
}

#[derive(Default)]
struct Found {
    objects: BTreeMap<Resource, Vec<Value>>,
    /// Of objects that are certain, their places, and pointers in lists.
    seen: BTreeMap<String, (Place, String)>,
    places: BTreeMap<String, Place>,
    branches: Vec<Branch>,
}

/// `kind namespace/name`.
fn named(resource: Resource, value: &Value) -> String {
    let text = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    resource.named(text("/metadata/namespace"), text("/metadata/name")).to_string()
}

impl Found {
    fn take(&mut self, place: Place, pointer: &str, resource: Resource, value: &Value) -> Result<(), ManifestError> {
        let name = named(resource, value);
        if let Some((first, before)) = self.seen.insert(name.clone(), (place.clone(), pointer.to_owned())) {
            let (first, second) = (format!("{first}{before}"), format!("{place}{pointer}"));
            return Err(ManifestError::Twice { object: name, first, second });
        }
        self.places.insert(name, place);
        self.objects.entry(resource).or_default().push(value.clone());
        Ok(())
    }

    /// A script applies an object again: what it applies last counts.
    fn replace(&mut self, file: &str, resource: Resource, value: &Value) {
        let name = named(resource, value);
        if self.seen.get(&name).is_some_and(|(place, _)| place.file == file) {
            self.seen.remove(&name);
            self.objects.entry(resource).or_default().retain(|known| named(resource, known) != name);
        }
    }
}

fn read_file(file: &File<'_>, found: &mut Found) -> Result<(), ManifestError> {
    if file.is_script() {
        return read_script(file, found);
    }
    if file.name.ends_with(".json") {
        return read_json(file, found);
    }
    let stream = match Stream::parse(file.content) {
        Ok(stream) => stream,
        Err(source) => {
            let name = file.name.to_owned();
            return Err(template(file).unwrap_or(ManifestError::Yaml { file: name, source: Box::new(source) }));
        }
    };
    for document in stream.documents() {
        for (line, pointer, resource, value) in objects(document) {
            found.take(Place { file: file.name.to_owned(), line }, &pointer, resource, value)?;
        }
    }
    Ok(())
}

/// Objects of a document that matter here: line, pointer, kind and value.
fn objects(document: &Document) -> Vec<(u32, String, Resource, &Value)> {
    let mut lines: Option<Lines> = None;
    let mut one = |object: crate::render::Object<'_>| {
        let pointer = object.pointer();
        let line = match object.item {
            None => document.content_line(),
            Some(_) => {
                let lines = lines.get_or_insert_with(|| document.lines());
                lines.of(&pointer).unwrap_or_else(|| document.content_line())
            }
        };
        Some((line, pointer, Resource::find(object.api_version, object.kind)?))
    };
    let found = document.objects();
    found
        .into_iter()
        .filter_map(|object| one(object).map(|(line, pointer, kind)| (line, pointer, kind, object.value)))
        .collect()
}

/// What a script gives to kubectl; every text is a stream of its own.
fn read_script(file: &File<'_>, found: &mut Found) -> Result<(), ManifestError> {
    let name = file.name.to_owned();
    let yaml = |source| ManifestError::Yaml { file: name.clone(), source: Box::new(source) };
    let script = std::str::from_utf8(file.content).map_err(|error| {
        let before = &file.content[..error.valid_up_to()];
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        yaml(RenderError::NotUtf8 { offset: before.len(), line: u32::try_from(lines + 1).unwrap_or(u32::MAX) })
    })?;
    let applied = install_script::read(file.name, script).map_err(|error| ManifestError::Shell {
        file: name.clone(),
        line: error.line,
        what: error.what,
    })?;
    let mut objects_found = false;
    for piece in applied.pieces {
        let place = |line: u32| Place { file: name.clone(), line: piece.line(line) };
        let depends = |on: &str| {
            format!(
                "whether the manifests at {} are applied depends on {on}, which is known only when the script runs",
                place(1)
            )
        };
        let unsure = |open: &str| {
            format!("the manifests at {} hang on {open}, which is known only when the script runs", place(1))
        };
        let stream = match (piece.hole(), Stream::parse(piece.text.as_bytes())) {
            (None, Ok(stream)) => stream,
            (Some(open), _) => {
                objects_found = true;
                found.branches.push(Branch { why: unsure(&open), objects: None });
                continue;
            }
            (None, Err(error)) => return Err(yaml(error.at_lines(&|line| piece.line(line)))),
        };
        if let Some(open) = stream.documents().iter().find_map(shapes) {
            found.branches.push(Branch { why: unsure(&open), objects: None });
        }
        objects_found |= stream.documents().iter().any(|document| !document.objects().is_empty());
        let all: Vec<_> = stream.documents().iter().flat_map(objects).collect();
        match &piece.unless {
            None => {
                for (line, pointer, resource, value) in all {
                    found.replace(file.name, resource, value);
                    found.take(place(line), &pointer, resource, value)?;
                }
            }
            Some(open) => {
                for (line, _, resource, value) in &all {
                    found.places.entry(named(*resource, value)).or_insert_with(|| place(*line));
                }
                let objects = all.into_iter().map(|(_, _, resource, value)| (resource, value.clone())).collect();
                found.branches.push(Branch { why: depends(open), objects: Some(objects) });
            }
        }
    }
    if !objects_found {
        return Err(ManifestError::Script { file: name, why: applied.doubts.into_iter().next() });
    }
    found.branches.extend(applied.doubts.into_iter().map(|why| Branch { why, objects: None }));
    Ok(())
}

/// What leaves open which object a document holds.
fn shapes(document: &Document) -> Option<String> {
    let find = |object: &crate::render::Object<'_>| Resource::find(object.api_version, object.kind);
    document.objects().iter().find_map(|object| shape(find(object), object.value))
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

/// JSON values one after another, as kubectl takes them. One alone is YAML too, which tells the lines of its items.
fn read_json(file: &File<'_>, found: &mut Found) -> Result<(), ManifestError> {
    let lines = Stream::parse(file.content).ok().and_then(|stream| stream.documents().first().map(Document::lines));
    let mut objects = serde_json::Deserializer::from_slice(file.content).into_iter::<Value>();
    let mut start = 0;
    while let Some(object) = objects.next() {
        let object = object.map_err(|source| ManifestError::Json {
            file: file.name.to_owned(),
            line: source.line(),
            column: source.column(),
            source,
        })?;
        let blank = file.content[start..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let before = file.content[..start + blank].iter().filter(|byte| **byte == b'\n').count();
        let first = u32::try_from(before + 1).unwrap_or(u32::MAX);
        start = objects.byte_offset();
        let items = object.get("items").and_then(Value::as_array);
        for (index, item) in items.map_or_else(|| std::slice::from_ref(&object), Vec::as_slice).iter().enumerate() {
            let text = |key| item.get(key).and_then(Value::as_str).unwrap_or_default();
            let Some(resource) = Resource::find(text("apiVersion"), text("kind")) else { continue };
            let pointer = items.map(|_| format!("/items/{index}")).unwrap_or_default();
            let line = lines.as_ref().filter(|_| items.is_some()).and_then(|lines| lines.of(&pointer));
            found.take(Place { file: file.name.to_owned(), line: line.unwrap_or(first) }, &pointer, resource, item)?;
        }
    }
    Ok(())
}
