//! A place of its own for a lab: this program again, as the first of new process, network and mount namespaces.
//!
//! The network outside is never touched, and when the program inside ends, or is killed, the kernel ends all that it started.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Error, Result};

/// Tells the program inside where its state is kept.
const INSIDE: &str = "OVNCILIUM_LAB_INSIDE";
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";
const UNIFIED: &str = "unified";

/// The directory of the lab's state, when this program runs inside.
pub(crate) fn inside() -> Option<PathBuf> {
    env::var_os(INSIDE).map(PathBuf::from)
}

/// Whether a lab ends with the program that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// It is killed when its parent ends, however that ends.
    AsLongAsItsParent,
    UntilItIsKilled,
}

/// This program with other arguments, inside. Killing the process ends everything in it.
///
/// # Errors
/// [`Error::Io`] when this program is not to be found.
pub(crate) fn command(args: &[&OsStr], state: &Path, lasts: Lasts) -> Result<Command> {
    let own = env::current_exe().map_err(Error::io("find", "this program"))?;
    let temporary = state.join("tmp");
    fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
    let mut command = match lasts {
        Lasts::AsLongAsItsParent => {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "unshare"]);
            command
        }
        Lasts::UntilItIsKilled => Command::new("unshare"),
    };
    // A shell is process 1 there: it waits for whatever loses its parent.
    command
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["sh", "-c", "\"$@\" & wait $!", "lab"])
        .arg(own)
        .args(args)
        .env(INSIDE, state)
        .env("TMPDIR", temporary);
    Ok(command)
}

/// A program in the namespaces of the lab whose `unshare` has this process id.
///
/// # Errors
/// [`Error::Expectation`] when it has ended.
pub(crate) fn nsenter(unshare: u32) -> Result<Command> {
    let first = first_child(unshare).ok_or_else(|| Error::Expectation("the lab has ended".to_owned()))?;
    let mut command = Command::new("nsenter");
    command.args(["--target", &first.to_string(), "--mount", "--net", "--pid"]);
    Ok(command)
}

/// The process that an `unshare --fork` made.
pub(crate) fn first_child(unshare: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// The name of a node's control groups: told apart from those of another lab on this machine.
pub(crate) fn group(state: &Path, node: &str) -> String {
    format!("{}-{node}", prefix(state))
}

fn prefix(state: &Path) -> String {
    format!("ovncilium-{}", state.file_name().unwrap_or_default().to_string_lossy().trim_start_matches('.'))
}

/// Makes a node's control group in every hierarchy. A kubelet removes groups below its root that it does not know, so each has its own.
pub(crate) fn make_groups(group: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let path = hierarchy.join(group);
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(all) = fs::read_to_string(hierarchy.join(file)) {
                fs::write(path.join(file), all).map_err(Error::io("write", path.join(file)))?;
            }
        }
    }
    Ok(())
}

/// The file that takes a process into the node's group, in which programs attached there see it.
pub(crate) fn unified(group: &str) -> PathBuf {
    Path::new(CONTROL_GROUPS).join(UNIFIED).join(group).join("cgroup.procs")
}

/// Removes every control group of a lab that has ended.
///
/// # Errors
/// [`Error::Io`] when something still runs in one.
pub(crate) fn remove_groups(state: &Path) -> Result<()> {
    let prefix = prefix(state);
    for hierarchy in hierarchies()? {
        for entry in fs::read_dir(&hierarchy).map_err(Error::io("read", &hierarchy))? {
            let path = entry.map_err(Error::io("read", &hierarchy))?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)) {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Removes a node's control group in every hierarchy, with those of its containers.
///
/// # Errors
/// [`Error::Io`] while something still runs in one.
pub(crate) fn remove_group(group: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let path = hierarchy.join(group);
        if path.exists() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Children first; a control group's files are not files to be removed.
fn remove(group: &Path) -> Result<()> {
    for entry in fs::read_dir(group).map_err(Error::io("read", group))? {
        let path = entry.map_err(Error::io("read", group))?.path();
        if path.is_dir() {
            remove(&path)?;
        }
    }
    fs::remove_dir(group).map_err(Error::io("remove the control group", group))
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(CONTROL_GROUPS).map_err(Error::io("read", CONTROL_GROUPS))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("read", CONTROL_GROUPS))?.path();
        // Links stand for hierarchies that have another name too.
        if path.join("cgroup.procs").exists() && !path.is_symlink() {
            paths.push(path);
        }
    }
    Ok(paths)
}
