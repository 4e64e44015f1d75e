//! The Debian tree: root of every node and lowest layer of every image. It brings Open vSwitch, OVN, containerd and clang.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    tools,
};

const SCRIPT: &str = include_str!("../../scripts/lab/rootfs.sh");

/// A directory that can be entered by `chroot`. Nodes see it below what they write; nothing changes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    /// Changes with the script that made it.
    pub(crate) key: String,
}

impl Tree {
    /// Makes it from Debian packages unless it is in the cache.
    ///
    /// # Errors
    /// [`Error::Script`] with the end of what debootstrap or apt said.
    pub(crate) fn build() -> Result<Self> {
        let key = hex::encode(Sha256::digest(SCRIPT));
        let folder = tools::cached(&tools::cache_dir()?, &format!("debian-{key}"), &["complete"], |work| {
            tools::timed("a Debian tree", || {
                let mut script = Command::new("sh");
                script.args(["-c", SCRIPT]).env("ROOT", work.join("root"));
                run("the Debian tree", script)
            })?;
            let complete = work.join("complete");
            std::fs::write(&complete, "").map_err(Error::io("write", complete))
        })?;
        Ok(Self { root: folder.join("root"), key })
    }

    /// A program of the tree, in the namespaces of whoever runs it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).arg(program);
        command
    }
}

/// Runs a script or program to its end.
///
/// # Errors
/// [`Error::Script`] with the last lines of its output.
pub(crate) fn run(what: &str, mut command: Command) -> Result<String> {
    let output =
        command.output().map_err(|source| Error::Spawn { program: format!("{:?}", command.get_program()), source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    let lines: Vec<_> = said.lines().collect();
    Err(Error::Script {
        what: what.to_owned(),
        status: output.status.to_string(),
        tail: lines[lines.len().saturating_sub(20)..].join("\n"),
    })
}

/// Where a file of a module, a tool or the tree goes in an image.
pub(crate) fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = to.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    std::fs::copy(from, to).map_err(Error::io("copy to", to))?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode)).map_err(Error::io("change the mode of", to))
}
