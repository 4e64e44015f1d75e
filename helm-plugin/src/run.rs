//! The whole post-renderer: stdin to stdout, facts from wherever they were named, the reason to wherever it is read.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use ovncilium_core::ExitCode;
use ovncilium_core::facts::Facts;

use crate::choose_cluster::kubeconfig;
use crate::{
    ClusterChoice, ClusterFlags, Environment, Evaluator, Kubeconfig, Mode, PostRender, choose_cluster, deliver, denial,
    offline, post_render,
};

/// Largest stream that is read; the largest chart known to us renders to 3 MB.
const LARGEST: u64 = 256 << 20;
/// What a render of Cilium's chart fits into, so that it is read without being moved.
const USUAL: usize = 120 << 10;

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the chart is judged by.
    pub mode: Mode,
    /// Which cluster.
    pub cluster: ClusterFlags,
    /// How old a facts file may be (`--max-age`).
    pub max_age: Duration,
    /// Where a refusal is written besides stderr; else the environment decides ([`crate::report_path`]).
    pub report: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let hour = Duration::from_secs(60 * 60);
        Self { mode: Mode::Gate, cluster: ClusterFlags::default(), max_age: hour, report: None }
    }
}

/// Why facts could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The cause, with the object or the file.
    pub message: String,
    /// How the process ends.
    pub exit: ExitCode,
    /// What to do about it, as one line.
    pub next: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trouble {}

/// Where facts come from: the real cluster and real files behind a trait.
pub trait FactsSource {
    /// Contexts of the kubeconfig at `path`, or of the usual one; empty when there is none.
    ///
    /// # Errors
    /// A kubeconfig that cannot be read.
    fn kubeconfig(&self, path: Option<&Path>) -> Result<Kubeconfig, Trouble>;

    /// Reads the facts from the chosen cluster or file. Read-only.
    ///
    /// # Errors
    /// The cluster does not answer, or the file is torn or of a newer schema.
    fn facts(&self, choice: &ClusterChoice) -> Result<Facts, Trouble>;

    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The three streams of the process.
pub struct Streams<'s> {
    /// What Helm rendered.
    pub stdin: &'s mut dyn Read,
    /// What Helm installs. Written once, and only when allowed.
    pub stdout: &'s mut dyn Write,
    /// What a person reads, as far as Helm lets them.
    pub stderr: &'s mut dyn Write,
}

/// Refuses before anything was read, because there is no way to judge (`headline`); the reason reaches a person as any other refusal does.
pub fn refuse(
    headline: &str,
    trouble: &Trouble,
    report: Option<&Path>,
    environment: &Environment,
    stderr: &mut dyn Write,
) -> ExitCode {
    let text = denial::stopped(headline, &trouble.message, trouble.exit as u8, &trouble.next);
    deliver::refusal(&text, report, environment, stderr);
    trouble.exit
}

/// Runs as a post-renderer. Writes to stdout only when the policies allow it and everything is ready, the report to
/// stderr, and a refusal also to the report file and, under Helm 4, to helm's own stderr.
pub fn run(
    options: &Options,
    environment: &Environment,
    source: &dyn FactsSource,
    evaluate: Evaluator<'_>,
    streams: &mut Streams<'_>,
) -> ExitCode {
    let input;
    let result = match read(environment, streams.stdin) {
        Ok(bytes) => {
            input = bytes;
            match facts(options, environment, source) {
                Ok(facts) => post_render(&input, facts, options.mode, evaluate),
                Err(refusal) => refusal,
            }
        }
        Err(refusal) => refusal,
    };
    let Some(bytes) = &result.stdout else {
        deliver::refusal(&result.report, options.report.as_deref(), environment, streams.stderr);
        return result.exit;
    };
    // Helm shows no stderr of a post-renderer that succeeds; this is for whoever runs it by hand.
    let _ = streams.stderr.write_all(result.report.as_bytes());
    if let Err(error) = streams.stdout.write_all(bytes).and_then(|()| streams.stdout.flush()) {
        let code = ExitCode::Refused;
        let report =
            denial::stopped("the stream could not be handed to Helm", &error.to_string(), code as u8, "run it again");
        deliver::refusal(&report, options.report.as_deref(), environment, streams.stderr);
        return code;
    }
    result.exit
}

fn stop(headline: &str, cause: &str, exit: ExitCode, next: &str) -> PostRender<'static> {
    PostRender { stdout: None, exit, report: denial::stopped(headline, cause, exit as u8, next) }
}

/// What Helm rendered.
fn read(environment: &Environment, stdin: &mut dyn Read) -> Result<Vec<u8>, PostRender<'static>> {
    if environment.stdin_is_terminal {
        return Err(stop(
            "there is no stream on standard input",
            "a post-renderer is called by Helm and reads what Helm rendered",
            ExitCode::Usage,
            "run `helm upgrade … --post-renderer ovncilium-post-renderer`, or `helm template … | ovncilium-post-renderer`",
        ));
    }
    let mut input = Vec::with_capacity(USUAL);
    match stdin.take(LARGEST + 1).read_to_end(&mut input) {
        Ok(_) if input.len() as u64 > LARGEST => {
            let cause = format!("it is larger than {} MiB", LARGEST >> 20);
            Err(stop("the stream is too large", &cause, ExitCode::CouldNotJudge, "split the chart"))
        }
        Ok(_) => Ok(input),
        Err(error) => Err(stop("the stream could not be read", &error.to_string(), ExitCode::Refused, "run it again")),
    }
}

fn facts(options: &Options, environment: &Environment, source: &dyn FactsSource) -> Result<Facts, PostRender<'static>> {
    if options.mode == Mode::Offline {
        return Ok(offline(source.now()));
    }
    let unclear = |ambiguous: crate::Ambiguous| {
        stop(
            "it is not clear which cluster this chart is for",
            &ambiguous.to_string(),
            ExitCode::Usage,
            &ambiguous.remedy(),
        )
    };
    let unread =
        |trouble: Trouble| stop("the cluster's facts could not be read", &trouble.message, trouble.exit, &trouble.next);
    let path = kubeconfig(&options.cluster, environment).map_err(unclear)?;
    let config = match options.cluster.facts {
        Some(_) => Kubeconfig::default(),
        None => source.kubeconfig(path.as_deref()).map_err(unread)?,
    };
    let choice = choose_cluster(&options.cluster, environment, &config).map_err(unclear)?;
    let facts = source.facts(&choice).map_err(unread)?;
    if let ClusterChoice::Facts(file) = &choice {
        fresh(&facts, file, options.max_age, source.now())?;
    }
    Ok(facts)
}

/// Facts of a file must be young enough, each of them, and not from the future.
fn fresh(facts: &Facts, file: &Path, max_age: Duration, now: Timestamp) -> Result<(), PostRender<'static>> {
    let Some(cause) = stale(facts, file, max_age, now) else { return Ok(()) };
    let next =
        "collect them anew with `kubectl ovncilium snapshot`, or allow more with `--post-renderer-args=--max-age=…`";
    Err(stop("the facts are not of now", &cause, ExitCode::CouldNotJudge, next))
}

/// Why the facts of a file do not tell what is there now: too old, or from the future.
pub fn stale(facts: &Facts, file: &Path, max_age: Duration, now: Timestamp) -> Option<String> {
    let ahead = facts.collected_at.as_second().saturating_sub(now.as_second());
    let age = now.as_second().saturating_sub(facts.oldest().as_second());
    let limit = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
    // Clocks of two machines differ by a little.
    if age > limit {
        let what = if facts.oldest() < facts.collected_at { "holds facts that were read" } else { "was collected" };
        Some(format!("{} {what} {} ago, more than the limit of {}", file.display(), span(age), span(limit)))
    } else if ahead > 300 {
        Some(format!("{} was collected {} in the future, one of the clocks is wrong", file.display(), span(ahead)))
    } else {
        None
    }
}

fn span(seconds: i64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, 0, _) => format!("{h} h"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}
