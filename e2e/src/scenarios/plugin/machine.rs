//! A machine with one Helm on PATH, an empty home directory, and nothing of ours.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::packages::Packages;
use crate::{
    error::{Error, Result},
    helms::Helm,
    program::{Call, Output, path, temporary},
    verdict::expect,
};

const POST_RENDERER: &str = "ovncilium-post-renderer";

pub(super) struct Machine<'p> {
    home: TempDir,
    helm: Helm,
    packages: &'p Packages,
}

impl<'p> Machine<'p> {
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn new(helm: &Helm, packages: &'p Packages) -> Result<Self> {
        let home = temporary()?;
        let machine = Self { home, helm: helm.clone(), packages };
        for folder in [machine.programs(), machine.own_programs()] {
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        }
        let link = machine.programs().join("helm");
        symlink(&helm.path, &link).map_err(Error::io("link", &link))?;
        Ok(machine)
    }

    /// Where helm is.
    fn programs(&self) -> PathBuf {
        self.home.path().join("programs")
    }

    /// `~/.local/bin`, which is on PATH.
    pub(super) fn own_programs(&self) -> PathBuf {
        self.home.path().join(".local/bin")
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where the plugin brings the post-renderer's name, for Helm 3.
    pub(super) fn post_renderer(&self) -> PathBuf {
        self.own_programs().join(POST_RENDERER)
    }

    pub(super) fn is_helm4(&self) -> bool {
        self.helm.version.0 >= 4
    }

    pub(super) fn version(&self) -> (u32, u32, u32) {
        self.helm.version
    }

    /// `--post-renderer-args` is there since 3.9.
    pub(super) fn hands_on_arguments(&self) -> bool {
        self.helm.version >= (3, 9, 0)
    }

    /// `helm ARGS`.
    pub(super) fn helm(&self, args: &[&str]) -> Call {
        let (programs, own) = (self.programs(), self.own_programs());
        let call = Call::of(&programs.join("helm"), self.home.path())
            .args(args)
            .env("PATH", path([&programs, &own, Path::new("/usr/bin"), Path::new("/bin")]))
            .env("HELM_CACHE_HOME", self.home.path().join("helm-cache"));
        self.packages.with_warm_cache(call)
    }

    /// `helm plugin install SOURCE`, which Helm 4 does with packages only when told that they are not signed.
    ///
    /// # Errors
    /// [`Error::Expectation`] with what helm said when it failed.
    pub(super) fn install(&self, source: &str) -> Result<Output> {
        let verify = if self.is_helm4() { &["--verify=false"][..] } else { &[] };
        self.helm(&[&["plugin", "install", source], verify].concat()).run()?.ended_with(&[0])
    }

    /// # Errors
    /// [`Error::Expectation`] with what helm said when it failed.
    pub(super) fn uninstall(&self, plugin: &str) -> Result<()> {
        self.helm(&["plugin", "uninstall", plugin]).run()?.ended_with(&[0]).map(drop)
    }

    /// `helm plugin list`: name and version of each.
    ///
    /// # Errors
    /// [`Error::Expectation`] with what helm said when it failed.
    pub(super) fn plugins(&self) -> Result<Vec<String>> {
        let said = self.helm(&["plugin", "list"]).run()?.ended_with(&[0])?.stdout();
        let words = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Ok(said.lines().skip(1).map(words).filter(|words| !words.is_empty()).collect())
    }

    /// A folder is left as it was before: nothing of ours in `~/.local/bin`.
    ///
    /// # Errors
    /// [`Error::Expectation`] with what is left.
    pub(super) fn has_no_post_renderer(&self) -> Result<()> {
        let link = self.post_renderer();
        expect(fs::symlink_metadata(&link).is_err(), || format!("{} is left", link.display()))
    }
}
