//! Rendered files in, a report by file and line out; for pipelines that let nobody between Helm and the cluster. Pure.
//!
//! All files are one stream, because a chart may be split over files (`helm template --output-dir`) and policies judge it as
//! a whole. Unlike the post-renderer, which also stands in front of charts that are not Cilium's, whoever names files here means
//! Cilium: files with neither a `cilium-config` nor policies of Cilium are not allowed in silence.

use std::collections::HashMap;
use std::sync::Arc;

use ovncilium_core::Place;
use ovncilium_core::facts::{Facts, manifests};
use ovncilium_core::plan::Resource;
use ovncilium_core::policy::{Evaluation, Finding, Gate};
use ovncilium_core::render::{Document, Lines, RenderError, Stream};
use ovncilium_core::report::{Duplicate, LintReport, Linted, Problem, Whereabouts};

use crate::intent::config;
use crate::judge::judge;
use crate::{Evaluator, Mode};

/// One rendered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rendered<'f> {
    /// Its name as the operator gave it; `-` is stdin.
    pub name: &'f str,
    /// Its bytes.
    pub content: &'f [u8],
}

/// Judges rendered files as one stream. A file that cannot be read leaves all of them unjudged.
pub fn lint(files: &[Rendered<'_>], facts: Facts, mode: Mode, evaluate: Evaluator<'_>) -> LintReport {
    let mut linted = Linted {
        source: facts.source.clone(),
        files: files.iter().map(|file| file.name.to_owned()).collect(),
        documents: 0,
        evaluation: None,
        places: Vec::new(),
        duplicate_keys: Vec::new(),
        problems: files.iter().filter_map(unreadable).collect(),
    };
    if !linted.problems.is_empty() {
        return LintReport::new(linted);
    }
    let joined = Joined::new(files);
    let stream = match Stream::parse(joined.text.as_bytes()) {
        Ok(stream) => stream,
        Err(error) => {
            linted.problems.push(problem(None, error.to_string(), "name fewer files at once".to_owned()));
            return LintReport::new(linted);
        }
    };
    linted.documents = stream.documents().len();
    if linted.documents > 0 {
        let evaluation = judge(&stream, &mut Arc::new(facts), mode, evaluate);
        linted.places = joined.places(&stream, &evaluation);
        linted.evaluation = Some(evaluation);
    }
    linted.duplicate_keys = joined.duplicates(&stream);
    let open = linted.evaluation.as_ref().is_none_or(|evaluation| evaluation.gate() == Gate::Open);
    if open && config(&stream).is_none() && !has_policies(&stream) {
        let names: Vec<&str> = files.iter().map(|file| file.name).collect();
        let message =
            format!("there is no ConfigMap cilium-config in {}: nothing of Cilium was judged", names.join(", "));
        let remedy = "name the files that hold the rendered chart of Cilium, or policies of Cilium: \
                      `helm template … | kubectl ovncilium lint -f -`";
        linted.problems.push(problem(None, message, remedy.to_owned()));
    }
    LintReport::new(linted)
}

/// What `evaluate` says of files as one stream, with file, line and object of each finding in the same order.
///
/// # Errors
/// When the files are not the YAML that Kubernetes reads.
pub fn located(
    files: &[Rendered<'_>],
    evaluate: &dyn Fn(&Stream) -> Evaluation,
) -> Result<(Evaluation, Vec<Whereabouts>), RenderError> {
    let joined = Joined::new(files);
    let stream = Stream::parse(joined.text.as_bytes())?;
    let evaluation = evaluate(&stream);
    let places = joined.places(&stream, &evaluation);
    Ok((evaluation, places))
}

/// Whether a stream without the chart brings policies of Cilium: these are judged by themselves.
fn has_policies(stream: &Stream) -> bool {
    let kinds =
        [Resource::CILIUM_NETWORK_POLICIES, Resource::CILIUM_CLUSTERWIDE_POLICIES].map(|resource| resource.kind);
    let mut objects = stream.documents().iter().flat_map(Document::objects);
    objects.any(|object| kinds.contains(&object.kind))
}

fn problem(place: Option<Place>, message: String, remedy: String) -> Problem {
    Problem { message, remedy, place }
}

/// Why a file is not what Kubernetes reads.
fn unreadable(file: &Rendered<'_>) -> Option<Problem> {
    let error = Stream::parse(file.content).err()?;
    let at = |line| Some(Place { file: file.name.to_owned(), line });
    if let Some(line) = manifests::template_line(file.content) {
        let message = "this is a template of a Helm chart, not yet a manifest".to_owned();
        return Some(problem(at(line), message, "render it: `helm template CHART -f VALUES`".to_owned()));
    }
    let line = match &error {
        RenderError::NotUtf8 { line, .. } | RenderError::Separator { line, .. } => *line,
        RenderError::Yaml { origin, .. } | RenderError::NotAnObject { origin, .. } => origin.line,
        _ => 1,
    };
    Some(problem(at(line), error.to_string(), "correct the file, or name only rendered manifests".to_owned()))
}

/// All files as one text, and where each of them starts.
struct Joined<'f> {
    text: String,
    /// First line in the text, and name, of each file.
    starts: Vec<(u32, &'f str)>,
}

impl<'f> Joined<'f> {
    /// Joins files that are UTF-8; others were refused before.
    fn new(files: &[Rendered<'f>]) -> Self {
        let mut joined = Self { text: String::new(), starts: Vec::new() };
        let mut line = 1;
        for file in files {
            let text = std::str::from_utf8(file.content).unwrap_or_default();
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            joined.starts.push((line, file.name));
            joined.text.push_str(text);
            if !text.is_empty() && !text.ends_with('\n') {
                joined.text.push('\n');
            }
            joined.text.push_str("---\n");
            let lines = text.lines().count() + 1;
            line = line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        }
        joined
    }

    /// The file and the line in it of a line of the text.
    fn place(&self, line: u32) -> Option<Place> {
        let after = self.starts.partition_point(|(start, _)| *start <= line);
        let (start, file) = self.starts.get(after.checked_sub(1)?)?;
        Some(Place { file: (*file).to_owned(), line: line - start + 1 })
    }

    /// File, line and object of each finding.
    fn places(&self, stream: &Stream, evaluation: &Evaluation) -> Vec<Whereabouts> {
        let mut lines: HashMap<u32, Lines> = HashMap::new();
        let mut one = |finding: &Finding| {
            let document = stream.document(finding.document?)?;
            let line = match &finding.pointer {
                Some(pointer) => lines.entry(document.index).or_insert_with(|| document.lines()).of(pointer),
                None => None,
            };
            let place = self.place(line.unwrap_or_else(|| document.content_line()));
            Some((place, Some(object(document, finding.pointer.as_deref().unwrap_or_default()))))
        };
        evaluation.findings.iter().map(|finding| one(finding).unwrap_or_default()).collect()
    }

    fn duplicates(&self, stream: &Stream) -> Vec<Duplicate> {
        let all = stream.documents().iter().flat_map(|document| {
            document.duplicate_keys().iter().filter_map(move |key| {
                Some(Duplicate {
                    object: object(document, &key.pointer),
                    pointer: key.pointer.clone(),
                    ignored_line: self.place(key.first_line)?.line,
                    place: self.place(key.line)?,
                })
            })
        });
        all.collect()
    }
}

/// `Kind namespace/name` of the object that a pointer lies in: the document, or an item of a list.
fn object(document: &Document, pointer: &str) -> String {
    let inside = |at: &str| pointer.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let objects = document.objects();
    match objects.iter().find(|object| object.item.is_some() && inside(&object.pointer())) {
        Some(item) => match item.namespace {
            Some(namespace) => format!("{} {namespace}/{}", item.kind, item.name),
            None => format!("{} {}", item.kind, item.name),
        },
        None => document.describe(),
    }
}
