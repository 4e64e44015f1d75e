//! Brings a refusal to a person: stderr, a report file, and where Helm 4 throws our stderr away, helm's own stderr.
//!
//! Helm 3 prints the stderr of a post-renderer that fails; Helm 4 (to 4.3 at least) drops it. There the reason goes
//! to the first ancestor's file descriptor 2 that is not ours. A pipe or terminal is opened anew. A regular file is
//! only written where nothing can be overwritten: opened for append by its owner, or shared by `pidfd_getfd`, which
//! also reaches sockets. Else the terminal is tried. All of it is best effort; the exit code never depends on it.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Environment;

/// Where a refusal is written: `OVNCILIUM_REPORT`, else below `XDG_STATE_HOME` or `~/.local/state`.
pub fn report_path(environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = environment.get("OVNCILIUM_REPORT") {
        return Some(PathBuf::from(path));
    }
    let state = match environment.get("XDG_STATE_HOME") {
        Some(state) if Path::new(state).is_absolute() => PathBuf::from(state),
        _ => Path::new(environment.get("HOME")?).join(".local/state"),
    };
    Some(state.join("ovncilium").join("post-render-report.txt"))
}

/// Tells a person why Helm was given nothing.
pub(crate) fn refusal(report: &str, path: Option<&Path>, environment: &Environment, stderr: &mut dyn Write) {
    let path = path.map(Path::to_owned).or_else(|| report_path(environment));
    let mut text = report.to_owned();
    if let Some(path) = path {
        let line = match write_report(&path, report) {
            Ok(()) => format!("report: {}\n", path.display()),
            Err(error) => format!("report: {} could not be written: {error}\n", path.display()),
        };
        text.insert_str(before_result(report), &line);
    }
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    if environment.stderr_is_swallowed() {
        beyond_helm(&text);
    }
}

/// Where the last two lines start: the result, and what to do next.
fn before_result(report: &str) -> usize {
    report.trim_end().rmatch_indices('\n').nth(1).map_or(0, |(at, _)| at + 1)
}

/// Replaces the report in one step, readable by its owner only.
fn write_report(path: &Path, report: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = directory.join(format!(".{name}.{}", std::process::id()));
    let _ = std::fs::remove_file(&part);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&part).and_then(|mut file| file.write_all(report.as_bytes()));
    let replaced = written.and_then(|()| std::fs::rename(&part, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    replaced
}

#[cfg(not(target_os = "linux"))]
fn beyond_helm(text: &str) {
    terminal(text);
}

#[cfg(target_os = "linux")]
fn beyond_helm(text: &str) {
    let written = match linux::foreign_stderr() {
        linux::Found::Writable(mut file) => file.write_all(text.as_bytes()).is_ok(),
        linux::Found::Silenced => true,
        linux::Found::Nothing => false,
    };
    if !written {
        terminal(text);
    }
}

fn terminal(text: &str) {
    if let Ok(mut terminal) = std::fs::OpenOptions::new().write(true).open("/dev/tty") {
        let _ = terminal.write_all(text.as_bytes());
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{File, OpenOptions};
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    use std::path::PathBuf;

    use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

    /// The stderr of whoever called us.
    pub(super) enum Found {
        /// It can be written.
        Writable(File),
        /// Somebody sent it to /dev/null, and means it.
        Silenced,
        /// There is none, or it cannot be written safely.
        Nothing,
    }

    /// A wrapper script between Helm and us has our stderr, so look a few parents up.
    pub(super) fn foreign_stderr() -> Found {
        let Ok(ours) = std::fs::read_link("/proc/self/fd/2") else { return Found::Nothing };
        let mut process = std::os::unix::process::parent_id();
        for _ in 0..4 {
            let path = PathBuf::from(format!("/proc/{process}/fd/2"));
            match std::fs::read_link(&path) {
                Ok(theirs) if theirs.as_os_str() == "/dev/null" => return Found::Silenced,
                Ok(theirs) if theirs != ours => return open(process, &path),
                Ok(_) => {}
                Err(_) => return Found::Nothing,
            }
            match parent(process) {
                Some(up) if up > 1 => process = up,
                _ => return Found::Nothing,
            }
        }
        Found::Nothing
    }

    fn open(process: u32, path: &PathBuf) -> Found {
        let Ok(kind) = std::fs::metadata(path).map(|metadata| metadata.file_type()) else { return Found::Nothing };
        let anew = |append: bool| {
            // A pipe nobody reads, or a full one, must not hang a helm that already failed.
            let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits() | rustix::fs::OFlags::NOCTTY.bits());
            OpenOptions::new().write(true).append(append).custom_flags(flags.unwrap_or_default()).open(path).ok()
        };
        let file = if kind.is_fifo() || kind.is_char_device() {
            anew(false)
        } else if kind.is_file() && appends(process) {
            anew(true)
        } else {
            None
        };
        file.or_else(|| shared(process)).map_or(Found::Nothing, Found::Writable)
    }

    /// Whether its owner opened it for append: then our text cannot be overwritten.
    fn appends(process: u32) -> bool {
        let info = std::fs::read_to_string(format!("/proc/{process}/fdinfo/2")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim).unwrap_or_default();
        u32::from_str_radix(flags, 8).is_ok_and(|flags| flags & rustix::fs::OFlags::APPEND.bits() != 0)
    }

    /// The very same open file, with its position; needs the right to trace that process.
    fn shared(process: u32) -> Option<File> {
        let pid = Pid::from_raw(i32::try_from(process).ok()?)?;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        pidfd_getfd(process, 2, PidfdGetfdFlags::empty()).ok().map(File::from)
    }

    fn parent(process: u32) -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name in parentheses may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    }
}
