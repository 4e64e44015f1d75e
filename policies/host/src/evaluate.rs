//! Asks every module of a catalog about facts and documents, and puts the answers together.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use ovncilium_core::Digest;
use ovncilium_core::facts::{Facts, Known, Source};
use ovncilium_core::policy::{Evaluation, FaultKind, Finding, ModuleRun, Verdict};

use crate::answer::{Collector, Info, overlap, touched};
use crate::bindings::ovncilium::policy::types::Scope;
use crate::catalog::{BUILTINS, Catalog, Entry};
use crate::documents::{self, DocumentSource, Masked};
use crate::engine;
use crate::facts::SharedFacts;
use crate::guest::DocumentValue;
use crate::limits::Limits;
use crate::session::Session;
use crate::trouble::Trouble;
use crate::waivers;

/// Who gets what modules log: policy, level, line.
pub type LogSink<'a> = &'a dyn Fn(&str, &str, &str);

/// How to evaluate.
#[derive(Clone, Copy)]
pub struct EvaluateOptions<'a> {
    /// The moment at which waivers must still hold.
    pub now: Timestamp,
    /// How much each module may use.
    pub limits: Limits,
    /// Who gets what modules log.
    pub log: Option<LogSink<'a>>,
}

impl EvaluateOptions<'_> {
    /// The usual limits, no log.
    pub fn at(now: Timestamp) -> Self {
        Self { now, limits: Limits::default(), log: None }
    }
}

/// Asks every module of the catalog: about the cluster and its nodes unless the facts are [`Source::Offline`], about
/// selected documents and the stream when there is one. Modules run in catalog order, each in a store of its own.
///
/// Never fails: a module that could not judge is among the faults, a fact that could not be had among the findings.
pub fn evaluate(
    catalog: &Catalog,
    facts: &Arc<Facts>,
    documents: Option<&dyn DocumentSource>,
    options: &EvaluateOptions<'_>,
) -> Evaluation {
    let mut asked = Vec::new();
    if facts.source != Source::Offline {
        asked.extend(["cluster", "node"]);
    }
    if documents.is_some() {
        asked.extend(["document", "stream"]);
    }
    let (wanted, left_out): (Vec<&Entry>, Vec<&Entry>) =
        catalog.entries.iter().partition(|entry| entry.may_speak(&asked, documents));
    let shared = SharedFacts::new(facts);
    let mut run = Run { facts, shared, documents, options, asked, masked: BTreeMap::new() };
    let mut evaluation = Evaluation::default();
    let mut rules = Vec::new();
    for entry in wanted {
        let mut told = None;
        let result = run.module(catalog, entry, &mut told);
        // Whoever could not be read keeps the name it was given; whoever spoke is called by its id.
        let name = told.as_ref().map_or(&entry.name, |info: &Info| &info.id).clone();
        let module = entry.digest;
        match result {
            Ok(Some(_)) if taken(&name, entry, &evaluation) => {
                evaluation.faults.push(twice(&name).of(&entry.name, module));
            }
            Ok(None) => {}
            Ok(Some(judged)) => match clash(&evaluation.findings, &judged.findings) {
                None => {
                    let info = told.into_iter();
                    rules.extend(info.flat_map(|i| i.rules.into_iter().map(move |rule| (i.id.clone(), rule.id))));
                    evaluation.modules.push(judged.run);
                    evaluation.findings.extend(judged.findings);
                }
                Some(trouble) => evaluation.faults.push(trouble.of(&name, module)),
            },
            Err(trouble) => evaluation.faults.push(trouble.of(&name, module)),
        }
    }
    let left_out: Vec<&str> = left_out.iter().map(|entry| entry.name.as_str()).collect();
    waivers::apply(&mut evaluation.findings, &catalog.waivers, &rules, &left_out, options.now, catalog.config);
    evaluation
}

/// Whether an id belongs to somebody else: a built-in policy, or a module that has spoken before.
fn taken(id: &str, entry: &Entry, evaluation: &Evaluation) -> bool {
    let builtin = BUILTINS.contains(&id) && entry.name != id;
    builtin || evaluation.modules.iter().any(|other| other.policy.as_str() == id)
}

fn twice(id: &str) -> Trouble {
    Trouble::new(
        FaultKind::BadAnswer,
        format!("another module already is the policy `{id}`"),
        "give each module an id of its own; built-in ids are taken",
    )
}

/// The first patch of `new` that touches what a patch of `old`, or an earlier one of `new`, touches.
fn clash(old: &[Finding], new: &[Finding]) -> Option<Trouble> {
    let patched = |finding: &Finding| Some((finding.document?, touched(finding.patch.as_deref()?), finding.id()));
    let mut seen: Vec<(u32, Vec<String>, String)> = old.iter().filter_map(patched).collect();
    for (document, places, id) in new.iter().filter_map(patched) {
        let meets = |other: &&(u32, Vec<String>, String)| {
            other.0 == document && other.1.iter().any(|a| places.iter().any(|b| overlap(a, b)))
        };
        if let Some((_, _, other)) = seen.iter().find(meets) {
            let message = format!("its patch of document {document} ({id}) touches what the patch of {other} touches");
            return Some(Trouble::new(FaultKind::BadAnswer, message, "let only one policy patch a key"));
        }
        seen.push((document, places, id));
    }
    None
}

/// What one module said.
struct Judged {
    run: ModuleRun,
    findings: Vec<Finding>,
}

/// One evaluation: facts and documents as JSON are made once, when a module asks, and shared by all.
struct Run<'a> {
    facts: &'a Facts,
    shared: SharedFacts,
    documents: Option<&'a dyn DocumentSource>,
    options: &'a EvaluateOptions<'a>,
    asked: Vec<&'static str>,
    masked: BTreeMap<u32, Arc<Masked>>,
}

impl Run<'_> {
    /// Runs one module; `None` when it wants none of the scopes asked.
    fn module(&mut self, catalog: &Catalog, entry: &Entry, told: &mut Option<Info>) -> Result<Option<Judged>, Trouble> {
        let code = entry.code(&catalog.cache)?;
        let limits = self.options.limits;
        let mut session = Session::start(engine::engine()?, code, limits)?;
        let info = told.insert(session.describe()?);
        if let Some(expected) = entry.expected.as_ref().filter(|expected| **expected != info.id) {
            let message = format!("the module is the policy `{}`, not `{expected}`", info.id);
            *told = None;
            return Err(Trouble::new(FaultKind::BadAnswer, message, "name the right file, or the right id"));
        }
        let wanted = |scope: &str| self.asked.contains(&scope) && info.scopes.contains(scope);
        let scopes = [wanted("cluster"), wanted("node"), wanted("document"), wanted("stream")];
        let (documents, selected) = self.documents(info);
        let answer = session.configure(&entry.settings, self.shared.clone(), &info.facts, Arc::new(documents));
        self.log(&info.id, &mut session);
        answer?;
        if scopes.iter().all(|wanted| !wanted) {
            return Ok(None);
        }
        let mut collector = Collector {
            info,
            module: entry.digest.unwrap_or_else(|| Digest::of("")),
            documents: self.documents,
            mutate: entry.mutate,
            limits,
            findings: Vec::new(),
            bytes: 0,
        };
        let mut calls = Vec::new();
        let [cluster, node, document, stream] = scopes;
        calls.extend(cluster.then_some(Scope::Cluster));
        if node {
            match &self.facts.nodes.value {
                Known::Known(nodes) => calls.extend(nodes.items.iter().map(|node| Scope::Node(node.name.clone()))),
                Known::Unknown(why) => unknown_nodes(&mut collector, why),
            }
        }
        if document {
            calls.extend(selected.into_iter().map(Scope::Document));
        }
        calls.extend(stream.then_some(Scope::Stream));
        for scope in &calls {
            let answer = session.check(scope);
            self.log(&info.id, &mut session);
            collector.take(answer?)?;
        }
        let findings = collector.findings;
        let run = ModuleRun {
            policy: info.id.as_str().into(),
            version: info.version.clone(),
            module: entry.digest.unwrap_or_else(|| Digest::of("")),
            fuel: session.fuel(),
        };
        Ok(Some(Judged { run, findings }))
    }

    fn log(&self, policy: &str, session: &mut Session) {
        if let Some(sink) = self.options.log {
            session.log().iter().for_each(|(level, line)| sink(policy, level, line));
        }
    }

    /// The stream as this module may read it, and the indices of the documents it selects.
    fn documents(&mut self, info: &Info) -> (Vec<DocumentValue>, Vec<u32>) {
        let Some(source) = self.documents else { return Default::default() };
        let mut selected = Vec::new();
        let mut values = Vec::new();
        for index in 0..source.count() {
            let Some(header) = source.header(index) else { break };
            let whole = documents::selected(&info.selectors, source, index).then(|| {
                selected.push(index);
                let later = || Arc::new(Masked::new(source.later(index)));
                Arc::clone(self.masked.entry(index).or_insert_with(later))
            });
            values.push(DocumentValue {
                api_version: header.api_version.to_owned(),
                kind: header.kind.to_owned(),
                namespace: header.namespace.map(str::to_owned),
                name: header.name.to_owned(),
                whole,
            });
        }
        (values, selected)
    }
}

/// Nodes that are not known cannot be asked about: every rule of the module is unknown.
fn unknown_nodes(collector: &mut Collector<'_>, why: &str) {
    for rule in &collector.info.rules {
        collector.findings.push(Finding {
            policy: collector.info.id.as_str().into(),
            module: collector.module,
            rule: rule.id.as_str().into(),
            title: rule.title.clone(),
            severity: rule.severity,
            verdict: Verdict::Unknown,
            message: format!("the nodes are not known: {why}"),
            subject: None,
            remedy: None,
            document: None,
            source: None,
            pointer: None,
            patch: None,
        });
    }
}
