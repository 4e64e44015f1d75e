//! Runs a command again and again and takes what each process cost: wall time, processor time, peak of memory.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

/// One way to call one program.
#[derive(Clone)]
pub(crate) struct Case {
    /// What the table calls it.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// What it reads.
    pub(crate) stdin: Option<PathBuf>,
    /// `$HOME`, where it keeps its cache.
    pub(crate) home: PathBuf,
    /// Whether each run finds an empty home.
    pub(crate) cold: bool,
}

/// What one process cost.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    /// User and system.
    pub(crate) cpu: Duration,
    /// Largest resident set, in bytes.
    pub(crate) memory: u64,
    /// Exit code; none when it was killed.
    pub(crate) exit: Option<i32>,
}

impl Case {
    /// The command of one run: nothing of our environment but the home.
    pub(crate) fn command(&self) -> io::Result<Command> {
        if self.cold && self.home.exists() {
            std::fs::remove_dir_all(&self.home)?;
        }
        std::fs::create_dir_all(&self.home)?;
        Ok(self.wrapped(Command::new(&self.program)))
    }

    /// The same arguments and surroundings for a command that runs the program in its own way.
    pub(crate) fn wrapped(&self, mut command: Command) -> Command {
        command.args(&self.arguments).env_clear().env("HOME", &self.home);
        command.stdout(Stdio::null()).stderr(Stdio::null()).current_dir(&self.home);
        command
    }

    pub(crate) fn stdin(&self) -> io::Result<Stdio> {
        self.stdin.as_ref().map_or(Ok(Stdio::null()), |file| Ok(File::open(file)?.into()))
    }

    /// Runs it once and keeps what it says.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn output(&self) -> io::Result<Output> {
        self.command()?.stdin(self.stdin()?).stdout(Stdio::piped()).stderr(Stdio::piped()).output()
    }

    /// Runs it once.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn run(&self) -> io::Result<Sample> {
        let mut command = self.command()?;
        command.stdin(self.stdin()?);
        let begun = Instant::now();
        let used = command.spawn()?.wait4()?;
        Ok(Sample {
            wall: begun.elapsed(),
            cpu: used.rusage.utime + used.rusage.stime,
            memory: used.rusage.maxrss,
            exit: used.status.code(),
        })
    }
}

/// Runs of one case.
#[derive(Default)]
pub(crate) struct Series(Vec<Sample>);

impl Series {
    pub(crate) fn push(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The wall time that this share of the runs did not exceed; 0.0 the fastest, 0.5 the median.
    pub(crate) fn wall(&self, share: f64) -> Duration {
        let mut times: Vec<_> = self.0.iter().map(|sample| sample.wall).collect();
        times.sort();
        quantile(&times, share)
    }

    /// The median of processor time.
    pub(crate) fn cpu(&self) -> Duration {
        let mut times: Vec<_> = self.0.iter().map(|sample| sample.cpu).collect();
        times.sort();
        quantile(&times, 0.5)
    }

    /// The median of peaks, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let mut peaks: Vec<_> = self.0.iter().map(|sample| sample.memory).collect();
        peaks.sort_unstable();
        peaks.get(peaks.len() / 2).copied().unwrap_or_default()
    }

    /// The exit code, when all runs ended with the same one.
    pub(crate) fn exit(&self) -> Option<i32> {
        let first = self.0.first()?.exit?;
        self.0.iter().all(|sample| sample.exit == Some(first)).then_some(first)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a list of hundreds"
)]
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let at = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Runs every case in turn, `runs` times after one that is not counted: whatever slows the machine meets all of them.
///
/// # Errors
/// When a program cannot be started.
pub(crate) fn in_turn(cases: &[&Case], runs: usize) -> Result<Vec<Series>, String> {
    let mut series: Vec<Series> = cases.iter().map(|_| Series::default()).collect();
    for round in 0..=runs {
        for (case, series) in cases.iter().zip(&mut series) {
            let sample = case.run().map_err(|error| format!("{}: {error}", case.program.display()))?;
            if round > 0 {
                series.push(sample);
            }
        }
    }
    Ok(series)
}
