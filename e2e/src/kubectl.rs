//! The real kubectl, as one of the users.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Error, Result};

/// A kubectl that sees one kubeconfig and nothing of this machine's own.
#[derive(Debug, Clone)]
pub struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(binary: &Path, kubeconfig: &Path) -> Self {
        Self { binary: binary.to_owned(), kubeconfig: kubeconfig.to_owned() }
    }

    /// A command to add arguments to; `KUBECONFIG` is set, and no cache is written to the home directory.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        let cache = self.kubeconfig.with_extension("kubectl-cache");
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", cache);
        command
    }

    /// Runs kubectl and returns its stdout.
    ///
    /// # Errors
    /// [`Error::Kubectl`] with its stderr when it does not end with 0.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let output = self
            .command()
            .args(args)
            .output()
            .map_err(|source| Error::Spawn { program: self.binary.display().to_string(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Kubectl {
            args: args.join(" "),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}
