//! What `kubectl` is given, and what it changes otherwise.

use super::Piece;
use super::condition::Answer;
use super::flow::Flow;
use super::programs::{plain, shown};
use super::run::Runner;

/// Verbs that change no Deployment and no DaemonSet.
const LOOKS: &[&str] = &[
    "annotate",
    "api-resources",
    "api-versions",
    "attach",
    "auth",
    "certificate",
    "cluster-info",
    "completion",
    "config",
    "cordon",
    "cp",
    "debug",
    "describe",
    "diff",
    "drain",
    "events",
    "exec",
    "explain",
    "get",
    "help",
    "ko",
    "label",
    "logs",
    "options",
    "plugin",
    "port-forward",
    "proxy",
    "run",
    "taint",
    "top",
    "uncordon",
    "version",
    "wait",
];
/// Global options with a value of their own.
const VALUED: &[&str] = &[
    "-n",
    "--namespace",
    "--kubeconfig",
    "--context",
    "--cluster",
    "--user",
    "--as",
    "-s",
    "--server",
    "--token",
    "-v",
];

impl Runner {
    /// `kubectl` with these words after it.
    pub(super) fn kubectl(&mut self, words: &[String], runs: &Answer, line: u32) {
        let mut rest = words.iter();
        let verb = loop {
            match rest.next() {
                Some(word) if VALUED.contains(&word.as_str()) => drop(rest.next()),
                Some(word) if word.starts_with('-') => {}
                Some(verb) => break verb.as_str(),
                None => return,
            }
        };
        let dry = words.iter().any(|word| word.starts_with("--dry-run") && word != "--dry-run=none");
        if dry || LOOKS.contains(&verb) || *runs == Answer::No {
            return;
        }
        let rest: Vec<&str> = rest.map(String::as_str).collect();
        let files = files(&rest);
        let kustomize = rest.iter().any(|word| word.starts_with("-k") || word.starts_with("--kustomize"));
        match verb {
            "apply" | "create" | "replace" if !files.is_empty() => {
                files.iter().for_each(|file| self.apply(verb, file, runs, line));
            }
            "apply" | "create" | "replace" if kustomize => {
                let what = self.at(&format!("`kubectl {verb} -k`"), line);
                self.doubt(format!("{what} applies files that the script does not write"));
            }
            "create" | "delete" if files.is_empty() && !kustomize && !concerns_workloads(verb, &rest) => {}
            "apply" if rest.first().is_some_and(|word| word.ends_with("-last-applied")) => {}
            "rollout" if !rest.contains(&"undo") => {}
            // What was there before the script's own objects is theirs when they are applied.
            _ if !matches!(verb, "apply" | "create") && self.applied.pieces.is_empty() => {}
            verb => {
                let what = self.at(&format!("`kubectl {}`", shown(verb)), line);
                self.doubt(format!("what {what} changes is not followed"));
            }
        }
    }

    fn apply(&mut self, verb: &str, file: &str, runs: &Answer, line: u32) {
        let what = self.at(&format!("`kubectl {verb}`"), line);
        let flow = match file {
            "-" | "/dev/stdin" => self.stdin.clone(),
            file => self.files.get(plain(file)).cloned(),
        };
        if let Some(flow) = flow {
            return self.pieces(&what, flow, runs);
        }
        let folder = format!("{}/", plain(file).trim_end_matches('/'));
        let inside = |name: &str| {
            name.strip_prefix(&folder).is_some_and(|rest| !rest.contains('/'))
                && [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end))
        };
        let found: Vec<Flow> =
            self.files.iter().filter(|(name, _)| inside(name)).map(|(_, flow)| flow.clone()).collect();
        if found.is_empty() {
            let file = if file == "-" { "its standard input".to_owned() } else { shown(file) };
            return self.doubt(format!("{what} reads {file}, which the script does not write"));
        }
        found.into_iter().for_each(|flow| self.pieces(&what, flow, runs));
    }

    fn pieces(&mut self, what: &str, flow: Flow, runs: &Answer) {
        match flow {
            Flow::Open(told) => {
                self.doubt(format!("{what} gets {}, which is known only when the script runs", shown(&told)));
            }
            Flow::Known(versions) => {
                for (text, unless) in versions {
                    let unless = match runs {
                        Answer::Open(told) => Some(told.clone()),
                        _ => unless,
                    };
                    if !text.text.trim().is_empty() {
                        self.applied.pieces.push(Piece { text: text.text, lines: text.lines, unless });
                    }
                }
            }
        }
    }
}

/// The files of `-f`.
fn files<'w>(words: &[&'w str]) -> Vec<&'w str> {
    let mut files = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let named = match *word {
            "-f" | "-Rf" | "--filename" => words.next().copied(),
            word => word
                .strip_prefix("--filename=")
                .or_else(|| word.strip_prefix("-f").map(|file| file.strip_prefix('=').unwrap_or(file))),
        };
        files.extend(named.into_iter().flat_map(|named| named.split(',')));
    }
    files
}

/// Whether the words of `create` or `delete` name workloads, or what takes them along: kinds, or kinds with names (`ds/a`).
fn concerns_workloads(verb: &str, words: &[&str]) -> bool {
    let mut words = words.iter();
    let mut named = Vec::new();
    while let Some(word) = words.next() {
        if VALUED.contains(word) || ["-l", "--selector", "--field-selector", "-o", "--timeout"].contains(word) {
            words.next();
        } else if !word.starts_with('-') && (named.is_empty() || word.contains('/')) {
            named.extend(word.split(',').map(|kind| kind.split(['/', '.']).next().unwrap_or(kind)));
        }
    }
    named.iter().any(|kind| match *kind {
        "all" | "deploy" | "deployment" | "deployments" | "ds" | "daemonset" | "daemonsets" => true,
        "ns" | "namespace" | "namespaces" => verb == "delete",
        kind => super::is_open(kind),
    })
}
