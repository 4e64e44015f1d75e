//! What was asked for.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: cargo run --release -p ovncilium-bench -- [JOB] [OPTIONS]
jobs:
  table                  measure and print the table [default]; --record also writes it into bench/README.md
  instructions           count them with callgrind into bench/instructions.tsv
  instructions --check   count them and fail when a row has grown by more than a tenth
options:
  --binary FILE   the program; else target/release/kubectl-ovncilium, which is built first
  --runs N        runs of each row and peer [default: 50]
  --stream FILE   a rendered chart, of `helm template`; else one of the same size that is made up
  --nodes N       nodes of the made-up snapshot, with 30 pods each [default: 5000; to count: 500]
  --no-peers      without conftest, opa and kustomize, which Go builds once";

/// What to do.
pub(crate) enum Job {
    Table {
        record: bool,
    },
    Count {
        check: bool,
    },
    /// Makes the snapshot; in a process of its own, because a child's peak of memory begins with its parent's.
    Snapshot {
        file: PathBuf,
    },
}

pub(crate) struct Options {
    pub(crate) job: Job,
    pub(crate) binary: Option<PathBuf>,
    pub(crate) runs: usize,
    pub(crate) stream: Option<PathBuf>,
    pub(crate) nodes: usize,
    pub(crate) peers: bool,
}

impl Options {
    /// None for anything that is not in the usage.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut arguments = arguments.peekable();
        let word = arguments.next_if(|word| !word.starts_with("--"));
        let mut job = match word.as_deref() {
            None | Some("table") => Job::Table { record: false },
            Some("instructions") => Job::Count { check: false },
            Some("snapshot") => Job::Snapshot { file: arguments.next()?.into() },
            Some(_) => return None,
        };
        let mut nodes = None;
        let mut options =
            Self { job: Job::Count { check: false }, binary: None, runs: 50, stream: None, nodes: 0, peers: true };
        while let Some(flag) = arguments.next() {
            match (flag.as_str(), &mut job) {
                ("--record", Job::Table { record }) => *record = true,
                ("--check", Job::Count { check }) => *check = true,
                ("--no-peers", _) => options.peers = false,
                ("--binary", _) => options.binary = Some(arguments.next()?.into()),
                ("--runs", _) => options.runs = arguments.next()?.parse().ok().filter(|runs| *runs > 0)?,
                ("--stream", _) => options.stream = Some(arguments.next()?.into()),
                ("--nodes", _) => nodes = Some(arguments.next()?.parse().ok()?),
                _ => return None,
            }
        }
        options.nodes = nodes.unwrap_or(if matches!(job, Job::Count { .. }) { 500 } else { 5000 });
        options.job = job;
        Some(options)
    }
}
