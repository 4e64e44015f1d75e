//! The rows: what is called, with which input, and what it may cost.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::instructions;
use crate::measure::{Case, in_turn};
use crate::options::{Job, Options};
use crate::table::{Budget, budgets, peers};
use crate::{input, machine, say};

const WARM: &str = "post-render, warm";
const COLD: &str = "post-render, cold";
const VERSION: &str = "--version";
const CHECK: &str = "check --facts";

const MEGABYTE: u64 = 1_000_000;

fn budget(milliseconds: u64, megabytes: Option<u64>) -> Budget {
    Budget { wall: Duration::from_millis(milliseconds), memory: megabytes.map(|count| count * MEGABYTE) }
}

/// The program and its inputs, in a directory that goes when they do.
struct Bench {
    work: tempfile::TempDir,
    binary: PathBuf,
    stream: PathBuf,
    snapshot: PathBuf,
}

impl Bench {
    fn prepare(options: &Options) -> Result<Self, String> {
        let binary = match &options.binary {
            Some(binary) => binary.canonicalize().map_err(|error| format!("{}: {error}", binary.display()))?,
            None => build()?,
        };
        let work = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let stream = work.path().join("stream.yaml");
        let written = match &options.stream {
            Some(file) => fs::copy(file, &stream).map(drop).map_err(|error| format!("{}: {error}", file.display())),
            None => fs::write(&stream, input::stream()).map_err(|error| error.to_string()),
        };
        written?;
        let snapshot = work.path().join("facts.json");
        let own = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
        let nodes = options.nodes.to_string();
        let made = Command::new(own).arg("snapshot").arg(&snapshot).args(["--nodes", &nodes]).status();
        if !made.is_ok_and(|status| status.success()) {
            return Err("the snapshot was not made".to_owned());
        }
        Ok(Self { work, binary, stream, snapshot })
    }

    fn case(&self, name: &'static str, arguments: &[&str]) -> Case {
        Case {
            name,
            program: self.binary.clone(),
            arguments: arguments.iter().map(OsString::from).collect(),
            stdin: None,
            home: self.work.path().join("home"),
            cold: false,
        }
    }

    fn warm(&self) -> Case {
        Case { stdin: Some(self.stream.clone()), ..self.case(WARM, &["post-render", "--offline"]) }
    }

    fn cold(&self) -> Case {
        Case { name: COLD, home: self.work.path().join("cold"), cold: true, ..self.warm() }
    }

    fn version(&self) -> Case {
        self.case(VERSION, &["--version"])
    }

    fn check(&self) -> Case {
        let mut case = self.case(CHECK, &["check", "--facts"]);
        case.arguments.push(self.snapshot.clone().into_os_string());
        case
    }

    /// Size of the inputs, in words.
    fn inputs(&self, nodes: usize) -> String {
        let size = |file: &Path| fs::metadata(file).map_or(0, |data| data.len());
        let documents = fs::read(&self.stream).ok().and_then(|bytes| {
            let stream = ovncilium_core::render::Stream::parse(&bytes).ok()?;
            Some(stream.documents().len())
        });
        format!(
            "stream {} KB, {} documents; snapshot {} MB, {nodes} nodes, {} pods",
            size(&self.stream) / 1024,
            documents.unwrap_or_default(),
            size(&self.snapshot) / MEGABYTE,
            nodes * input::PODS_PER_NODE,
        )
    }
}

/// Measures everything and gives the table.
///
/// # Errors
/// A program cannot be built or run, or an input cannot be written.
pub(crate) fn table(options: &Options) -> Result<String, String> {
    let bench = Bench::prepare(options)?;
    let machine = machine::line();
    let (warm, cold, version, check) = (bench.warm(), bench.cold(), bench.version(), bench.check());
    let others = match options.peers {
        true => crate::peers::cases(bench.work.path(), &bench.stream, options.stream.is_none(), &warm)?,
        false => Vec::new(),
    };
    let mut beside: Vec<&Case> = vec![&warm, &version];
    beside.extend(&others);
    let mut fast = in_turn(&beside, options.runs)?;
    let peers_series = fast.split_off(2);
    let slow = in_turn(&[&cold], options.runs.div_ceil(2))?;
    let large = in_turn(&[&check], options.runs.div_ceil(5))?;
    let counts = instructions::read().unwrap_or_default();
    let rows = [
        (WARM, budget(10, Some(20)), &fast[0]),
        (COLD, budget(150, None), &slow[0]),
        (VERSION, budget(5, None), &fast[1]),
        (CHECK, budget(2000, Some(150)), &large[0]),
    ];
    let mut text = format!("{machine}\n\n{}; {} runs\n\n", bench.inputs(options.nodes), fast[0].len());
    text.push_str(&budgets(&rows, &counts));
    if !others.is_empty() {
        let rows: Vec<_> = others.iter().zip(&peers_series).map(|(case, series)| (case.name, series)).collect();
        text.push('\n');
        text.push_str(&peers(&fast[0], &rows));
    }
    if matches!(options.job, Job::Table { record: true }) {
        record(&text)?;
    }
    Ok(text)
}

/// Counts instructions, and writes the record or compares with it.
///
/// # Errors
/// valgrind is missing, or a row has grown.
pub(crate) fn count(options: &Options, check: bool) -> Result<String, String> {
    let bench = Bench::prepare(options)?;
    let cases = [bench.warm(), bench.cold(), bench.version(), bench.check()];
    let cases: Vec<&Case> = cases.iter().collect();
    let recorded = if check { instructions::read()? } else { instructions::read().unwrap_or_default() };
    let counted = instructions::count(&cases, bench.work.path())?;
    let (text, held) = instructions::compare(&recorded, &counted);
    if !check {
        instructions::write(&counted)?;
    } else if !held {
        return Err(format!(
            "{text}what is meant to cost more is recorded by `cargo run --release -p ovncilium-bench -- instructions`"
        ));
    }
    Ok(text)
}

/// Writes the made-up snapshot.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn snapshot(nodes: usize, file: &Path) -> Result<String, String> {
    let text = input::snapshot(nodes).map_err(|error| error.to_string())?;
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(String::new())
}

/// The release binary of this tree, built as a release is when it is not up to date.
fn build() -> Result<PathBuf, String> {
    say("building kubectl-ovncilium as a release is built");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for arguments in [
        &["xtask", "precompile"][..],
        &["build", "--quiet", "--release", "--locked", "--package", "kubectl-ovncilium"][..],
    ] {
        let mut command = Command::new(&cargo);
        // The first one fills the directory that the second one takes the code from.
        command
            .args(arguments)
            .current_dir(&root)
            .env("OVNCILIUM_PRECOMPILED", root.join("target").join("precompiled"));
        if !command.status().is_ok_and(|status| status.success()) {
            return Err(format!("`cargo {}` failed", arguments.join(" ")));
        }
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let binary = target.join("release").join("kubectl-ovncilium");
    binary.canonicalize().map_err(|error| format!("{}: {error}", binary.display()))
}

const BEGIN: &str = "<!-- measured -->\n";
const END: &str = "<!-- end -->\n";

/// Puts the table between the marks of bench/README.md.
fn record(table: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let before = text.find(BEGIN).map(|at| at + BEGIN.len());
    let after = text.find(END);
    let (Some(before), Some(after)) = (before, after) else { return Err("bench/README.md has no marks".to_owned()) };
    let text = format!("{}\n{table}\n{}", &text[..before], &text[after..]);
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}
