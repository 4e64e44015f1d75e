//! The binary, in an environment of its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What a run gave.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// A folder for what tests leave behind.
pub(crate) fn scratch() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("verdicts");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Recorded material of real releases, when this machine has it: `$OVNCILIUM_SHARED`, or `shared` beside the repository.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let beside = root().join("../shared");
    let path = std::env::var_os("OVNCILIUM_SHARED").map_or(beside, PathBuf::from).join(folder);
    if !path.is_dir() {
        eprintln!("left out: nothing recorded is at hand in {}", path.display());
        return None;
    }
    Some(path)
}

/// Runs the binary with nothing of our environment but `PATH`, and with `extra` on top.
pub(crate) fn run(args: &[&str], stdin: &[u8], extra: &[(&str, &str)]) -> Run {
    let home = scratch().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-ovncilium"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .envs(extra.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What it writes is read while it reads: a stream is larger than a pipe.
    let mut pipe = child.stdin.take().unwrap();
    let input = stdin.to_vec();
    let writer = std::thread::spawn(move || pipe.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that refuses early does not read to the end.
    let _written = writer.join().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
