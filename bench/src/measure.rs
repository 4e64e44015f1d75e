//! Runs one case again and again and takes the wall time of each process.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One way to call the program.
pub(crate) struct Case<'c> {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Its arguments.
    pub(crate) arguments: Vec<&'c str>,
    /// What it reads.
    pub(crate) stdin: &'c [u8],
    /// Warm runs.
    pub(crate) runs: usize,
}

/// Times of one case.
pub(crate) struct Measured {
    first: Duration,
    median: Duration,
    slowest: Duration,
    /// Exit code of the last run; a case that failed measured something else than it says.
    exit: Option<i32>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let exit = self.exit.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        write!(f, "{:>10} {:>10} {:>10} {exit:>6}", ms(self.first), ms(self.median), ms(self.slowest))
    }
}

/// Measure `case`; `home` is a directory that does not exist yet, so that the first run finds no cache.
///
/// # Errors
/// When the program cannot be started or fed.
pub(crate) fn measure(binary: &Path, case: &Case<'_>, home: &Path) -> std::io::Result<Measured> {
    std::fs::create_dir_all(home)?;
    let (first, mut exit) = once(binary, case, home)?;
    let mut times = Vec::with_capacity(case.runs);
    for _ in 0..case.runs {
        let (time, code) = once(binary, case, home)?;
        times.push(time);
        exit = code;
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or(first);
    Ok(Measured { first, median, slowest: times.last().copied().unwrap_or(first), exit })
}

fn once(binary: &Path, case: &Case<'_>, home: &Path) -> std::io::Result<(Duration, Option<i32>)> {
    let begun = Instant::now();
    let mut child = Command::new(binary)
        .args(&case.arguments)
        .env_clear()
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has closed it; that is no error of the measurement.
        let _fed = stdin.write_all(case.stdin);
    }
    let status = child.wait()?;
    Ok((begun.elapsed(), status.code()))
}
