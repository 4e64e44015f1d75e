//! `ovncilium-bench`: measures a built binary from outside, as people call it, and prints a table. Never run by tests.

mod input;
mod measure;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use measure::{Case, measure};

const USAGE: &str = "\
usage: cargo run --release -p ovncilium-bench -- [--binary FILE] [--runs N] [--stream FILE] [--facts FILE | --nodes N]
  --binary   the program; else kubectl-ovncilium beside this one (cargo build --release -p kubectl-ovncilium)
  --runs     warm runs of each case [default: 20]
  --stream   a rendered chart, of `helm template`; else one of the same size that is made up
  --facts    a snapshot; else one that is made up, of --nodes nodes [default: 5000] with 30 pods each";

/// What was asked for.
struct Options {
    binary: Option<PathBuf>,
    runs: usize,
    stream: Option<PathBuf>,
    facts: Option<PathBuf>,
    nodes: usize,
}

fn main() -> ExitCode {
    let result = parse(std::env::args().skip(1)).ok_or_else(|| USAGE.to_owned()).and_then(|options| run(&options));
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    // Nobody is left to be told when the reader has gone.
    let _told = match &result {
        Ok(table) => out.write_all(table.as_bytes()),
        Err(why) => writeln!(err, "{why}"),
    };
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { binary: None, runs: 20, stream: None, facts: None, nodes: 5000 };
    while let Some(flag) = arguments.next() {
        let value = arguments.next()?;
        match flag.as_str() {
            "--binary" => options.binary = Some(value.into()),
            "--runs" => options.runs = value.parse().ok().filter(|runs| *runs > 0)?,
            "--stream" => options.stream = Some(value.into()),
            "--facts" => options.facts = Some(value.into()),
            "--nodes" => options.nodes = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}

/// Prepare the inputs, measure, and make the table.
fn run(options: &Options) -> Result<String, String> {
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().map_err(|error| format!("{}: {error}", binary.display()))?,
        None => beside()?,
    };
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
    let stream = match &options.stream {
        Some(file) => std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?,
        None => input::stream().into_bytes(),
    };
    let facts = match &options.facts {
        Some(file) => file.clone(),
        None => {
            let file = folder.path().join("facts.json");
            let text = input::facts(options.nodes).map_err(|error| format!("facts: {error}"))?;
            std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            file
        }
    };
    let facts = facts.to_string_lossy();
    let cases = [
        Case { name: "--version", arguments: vec!["--version"], stdin: &[], runs: options.runs },
        Case {
            name: "post-render --offline",
            arguments: vec!["post-render", "--offline"],
            stdin: &stream,
            runs: options.runs,
        },
        Case {
            name: "check --facts",
            arguments: vec!["check", "--facts", &facts],
            stdin: &[],
            runs: options.runs.div_ceil(4),
        },
    ];
    let mut table =
        format!("{}\nstream {} KB, facts {}\n\n", binary.display(), stream.len() / 1024, size(Path::new(&*facts)));
    table.push_str(&format!(
        "{:<24} {:>6} {:>10} {:>10} {:>10} {:>6}\n",
        "", "runs", "first", "median", "slowest", "exit"
    ));
    for case in &cases {
        let home = folder.path().join(case.name.replace(' ', "-"));
        let measured = measure(&binary, case, &home).map_err(|error| format!("{}: {error}", case.name))?;
        table.push_str(&format!("{:<24} {:>6} {measured}\n", case.name, case.runs));
    }
    table.push_str("\nfirst: with an empty cache of compiled policies; median and slowest: of the runs after it\n");
    Ok(table)
}

fn beside() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let binary = own.with_file_name("kubectl-ovncilium");
    if binary.is_file() { Ok(binary) } else { Err(format!("{} is not built\n{USAGE}", binary.display())) }
}

fn size(path: &Path) -> String {
    std::fs::metadata(path).map_or_else(|error| error.to_string(), |data| format!("{:.1} MB", data.len() as f64 / 1e6))
}
