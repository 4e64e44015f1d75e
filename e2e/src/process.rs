//! The processes of a control plane: started with a log file, watched while they are needed, and ended by their own id only.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};

/// Go's collector runs less often than it would by itself: nine control planes share two processors and lack no memory.
pub(crate) const COLLECTOR: (&str, &str) = ("GOGC", "400");

/// How long a process may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// One running process. Dropping it ends it: SIGTERM, then SIGKILL after [`GRACE`].
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with stdout and stderr in `<logs>/<name>.log`.
    ///
    /// It stays in our process group: Ctrl-C on the terminal ends it as well.
    pub(crate) fn start(name: &'static str, mut command: Command, logs: &Path) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let out = File::create(&log).map_err(Error::io("create", &log))?;
        let err = out.try_clone().map_err(Error::io("open", &log))?;
        let child = command
            .env(COLLECTOR.0, COLLECTOR.1)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|source| Error::Spawn { program: name.to_owned(), source })?;
        Ok(Self { name, child, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// [`Error::Died`] with the end of the log when the process is no longer there.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        let status = self.child.try_wait().map_err(|source| Error::Spawn { program: self.name.to_owned(), source })?;
        match status {
            None => Ok(()),
            Some(status) => Err(self.died(status)),
        }
    }

    fn died(&self, status: ExitStatus) -> Error {
        Error::Died { process: self.name, status: status.to_string(), log: self.log.clone(), tail: tail(&self.log) }
    }

    /// The end of the log, for the message of an error.
    pub(crate) fn tail(&self) -> String {
        format!("{}:\n{}", self.log.display(), tail(&self.log))
    }

    fn stop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _gone_already = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + GRACE;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The last twenty lines of a file, or why it cannot be read.
fn tail(path: &Path) -> String {
    const BYTES: u64 = 8 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(no log: {error})"));
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Ends the processes when this program is killed without a chance to do so itself.
///
/// A shell that waits for the end of its standard input, which comes when our end of the pipe goes, however we end.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn over(processes: &[&Process]) -> Result<Self> {
        let ids = processes.iter().map(|process| process.id().to_string());
        Command::new("sh")
            .args(["-c", "trap '' INT TERM; read -r _; kill \"$@\" 2>/dev/null", "e2e-guard"])
            .args(ids)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(|source| Error::Spawn { program: "sh".into(), source })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The temporary directory of one control plane: removed with it, unless `OVNCILIUM_E2E_KEEP=1`.
#[derive(Debug)]
pub(crate) struct StateDir(tempfile::TempDir);

impl StateDir {
    pub(crate) fn create() -> Result<Self> {
        let mut dir = tempfile::Builder::new()
            .prefix("ovncilium-e2e-")
            .tempdir()
            .map_err(Error::io("create a directory in", std::env::temp_dir()))?;
        if std::env::var_os("OVNCILIUM_E2E_KEEP").is_some_and(|value| value == "1") {
            dir.disable_cleanup(true);
            say_kept(dir.path());
        }
        Ok(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a directory in it.
    pub(crate) fn subdir(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        Ok(path)
    }
}

#[expect(clippy::print_stderr, reason = "the person who asked to keep the logs has to know where they are")]
fn say_kept(path: &Path) {
    eprintln!("{:>12} {}", "Keeping", path.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, logs: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("sh", command, logs).unwrap()
    }

    #[test]
    fn a_dead_process_is_reported_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = sh("echo bind: address already in use >&2; exit 3", dir.path());
        process.child.wait().unwrap();
        let message = process.check_alive().unwrap_err().to_string();
        assert!(message.contains("exit status: 3") && message.contains("address already in use"), "{message}");
    }

    #[test]
    fn dropping_ends_a_process_that_reacts_to_sigterm_without_waiting_out_the_grace() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = sh("exec sleep 600", dir.path());
        process.check_alive().unwrap();
        let start = Instant::now();
        drop(process);
        assert!(start.elapsed() < GRACE);
    }

    #[test]
    fn the_guard_ends_processes_when_its_input_closes() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = sh("exec sleep 600", dir.path());
        let mut guard = Guard::over(&[&process]).unwrap();
        drop(guard.0.stdin.take());
        assert!(!process.child.wait().unwrap().success());
    }
}
