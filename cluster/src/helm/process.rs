//! Runs helm to its end.
//!
//! helm gets a process group of its own, so that Ctrl-C on us does not kill it between two writes, and its output goes to unnamed
//! files, not pipes: if we are killed, its next line of output does not kill it too. Secrets reach it by standard input and files only.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ovncilium_engine::world::{ChartsError, Heartbeat};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a helm that was told to end may take to say so in its release.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How often the caller's heartbeat is called.
const BEAT: Duration = Duration::from_secs(1);
/// Longest message taken from helm.
const MESSAGE_LIMIT: usize = 8000;

/// Settings of the operator's shell that would point helm to another cluster or namespace than ours, or make it chatty.
const NOT_INHERITED: [&str; 11] = [
    "HELM_DEBUG",
    "HELM_KUBEAPISERVER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBEASUSER",
    "HELM_KUBECAFILE",
    "HELM_KUBECONTEXT",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "HELM_KUBETLS_SERVER_NAME",
    "HELM_KUBETOKEN",
    "HELM_MAX_HISTORY",
    "HELM_NAMESPACE",
];

/// One run of helm.
pub(super) struct Invocation {
    helm: PathBuf,
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    report: Option<PathBuf>,
    limit: Duration,
}

impl Invocation {
    pub(super) fn new(helm: &Path, limit: Duration) -> Self {
        Self { helm: helm.to_owned(), args: Vec::new(), environment: Vec::new(), stdin: None, report: None, limit }
    }

    pub(super) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(super) fn environment(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    pub(super) fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// A file in which our post-renderer says why it refused; told instead of helm's own words, which may leave it out.
    pub(super) fn report(mut self, path: &Path) -> Self {
        self.report = Some(path.to_owned());
        self.environment("OVNCILIUM_REPORT", path)
    }

    fn command(&self) -> String {
        self.args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn failed(&self, message: impl Into<String>) -> ChartsError {
        ChartsError::Failed { command: self.command(), message: message.into() }
    }
}

/// Runs it; its standard output.
///
/// # Errors
/// [`ChartsError::Failed`] with helm's words, or the post-renderer's.
pub(super) fn run(invocation: &Invocation) -> Result<Vec<u8>, ChartsError> {
    run_with(invocation, &mut || Ok(()))
}

/// Runs it with a heartbeat; when that fails, helm is told to end and says so in its release.
///
/// # Errors
/// As [`run`].
pub(super) fn run_with(invocation: &Invocation, beat: &mut Heartbeat<'_>) -> Result<Vec<u8>, ChartsError> {
    let machine = |error: std::io::Error| invocation.failed(error.to_string());
    let (mut stdout, mut stderr) = (tempfile::tempfile().map_err(machine)?, tempfile::tempfile().map_err(machine)?);
    let mut command = Command::new(&invocation.helm);
    command
        .args(&invocation.args)
        .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
        .stdin(input(invocation.stdin.as_deref()).map_err(machine)?)
        .stdout(stdout.try_clone().map_err(machine)?)
        .stderr(stderr.try_clone().map_err(machine)?)
        .process_group(0);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    let mut child = command
        .spawn()
        .map_err(|error| invocation.failed(format!("{} cannot be run: {error}", invocation.helm.display())))?;
    let (status, stopped) = wait(&mut child, invocation.limit, beat).map_err(machine)?;
    let words = read_all(&mut stderr).map_err(machine)?;
    if status.success() && stopped.is_none() {
        return read_all(&mut stdout).map_err(machine);
    }
    let report = invocation.report.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    let message = match report.filter(|report| !report.trim().is_empty()) {
        Some(report) => shorten(report.trim()),
        None => words_of(&String::from_utf8_lossy(&words))
            .unwrap_or_else(|| format!("it ended with {status} and said nothing")),
    };
    Err(invocation.failed(match stopped {
        None => message,
        Some(why) => format!("{why}, and it was stopped: {message}"),
    }))
}

fn input(bytes: Option<&[u8]>) -> std::io::Result<Stdio> {
    let Some(bytes) = bytes else { return Ok(Stdio::null()) };
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// Waits for the end; past `limit`, or when the heartbeat fails, has it end. The second part says why it did not end by itself.
fn wait(child: &mut Child, limit: Duration, beat: &mut Heartbeat<'_>) -> std::io::Result<(ExitStatus, Option<String>)> {
    let why = match wait_until(child, limit, beat)? {
        Waited::Ended(status) => return Ok((status, None)),
        Waited::TooLong => format!("it took longer than {} s", limit.as_secs()),
        Waited::Stopped(why) => why,
    };
    signal(child, Signal::TERM);
    if let Waited::Ended(status) = wait_until(child, LAST_WORDS, &mut || Ok(()))? {
        return Ok((status, Some(why)));
    }
    signal(child, Signal::KILL);
    child.wait().map(|status| (status, Some(why)))
}

enum Waited {
    Ended(ExitStatus),
    TooLong,
    Stopped(String),
}

fn wait_until(child: &mut Child, limit: Duration, beat: &mut Heartbeat<'_>) -> std::io::Result<Waited> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    let mut beaten = started;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Waited::Ended(status));
        }
        if started.elapsed() >= limit {
            return Ok(Waited::TooLong);
        }
        if beaten.elapsed() >= BEAT {
            beaten = Instant::now();
            if let Err(why) = beat() {
                return Ok(Waited::Stopped(why));
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile; the wait that follows tells.
        let _ = kill_process_group(group, signal);
    }
}

fn read_all(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// From helm's standard error, what it failed of: the lines from `Error:` on, or all of them.
fn words_of(stderr: &str) -> Option<String> {
    let lines: Vec<&str> = stderr.lines().collect();
    let from = lines.iter().position(|line| line.starts_with("Error:")).unwrap_or_default();
    let text = lines[from..].join("\n");
    let text = text.strip_prefix("Error:").unwrap_or(&text).trim();
    (!text.is_empty()).then(|| shorten(text))
}

fn shorten(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    match clean.char_indices().nth(MESSAGE_LIMIT) {
        Some((at, _)) => format!("{} …", &clean[..at]),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_error_and_not_the_warnings_before_it() {
        let stderr = "I1125 warnings.go: deprecated\nlevel=WARN msg=x\nError: UPGRADE FAILED: no\nmore\n";
        assert_eq!(words_of(stderr).as_deref(), Some("UPGRADE FAILED: no\nmore"));
        assert_eq!(words_of("odd\n").as_deref(), Some("odd"));
        assert_eq!(words_of("\n"), None);
    }
}
