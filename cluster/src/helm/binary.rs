//! Which helm, and how old it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ovncilium_core::compat::helm::{self, MINIMUM};
use ovncilium_core::facts::tools;
use ovncilium_engine::world::ChartsError;
use semver::Version;

use super::process::{self, Invocation};

/// `helm version` reads no network.
const VERSION_LIMIT: Duration = Duration::from_secs(30);

/// A helm that can be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Absolute path.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
}

impl Binary {
    /// Finds helm: `explicit` (`--helm`), else `HELM_BIN` (set where helm runs us as its plugin), else `PATH`.
    ///
    /// # Errors
    /// [`ChartsError::HelmMissing`]; [`ChartsError::HelmTooOld`]; [`ChartsError::Failed`] when it does not say its version.
    pub fn find(explicit: Option<&Path>) -> Result<Self, ChartsError> {
        let path = locate(explicit)?;
        let words = ask_version(&path)?;
        let version = parse(&words).ok_or_else(|| ChartsError::Failed {
            command: "version".to_owned(),
            message: format!("{} says `{words}`, which is no version", path.display()),
        })?;
        // A pre-release of the minimum has its flags.
        let release = Version::new(version.major, version.minor, version.patch);
        if release < MINIMUM {
            return Err(ChartsError::HelmTooOld { found: version.to_string(), minimum: MINIMUM.to_string() });
        }
        Ok(Self { path, version })
    }

    /// Whether it has a flag of the table in [`helm`]. A helm newer than the table counts as the newest in it.
    pub(super) fn has(&self, flag: &str) -> bool {
        helm::has(&self.version, flag)
    }
}

/// The helm beside us as a fact: path and version as far as they can be found out; nothing is refused.
pub fn tools(explicit: Option<&Path>) -> tools::Tools {
    let helm = locate(explicit).ok().map(|path| tools::Helm {
        version: ask_version(&path).ok().filter(|words| parse(words).is_some()),
        path: path.display().to_string(),
    });
    tools::Tools { helm }
}

fn locate(explicit: Option<&Path>) -> Result<PathBuf, ChartsError> {
    let from_environment = std::env::var_os("HELM_BIN").filter(|path| !path.is_empty()).map(PathBuf::from);
    let (wanted, by) = match (explicit, from_environment) {
        (Some(path), _) => (path.to_owned(), "`--helm` names"),
        (None, Some(path)) => (path, "HELM_BIN names"),
        (None, None) => {
            let missing = || ChartsError::HelmMissing { message: "there is no `helm` on PATH".to_owned() };
            return which::which("helm").map_err(|_| missing()).map(|path| std::path::absolute(&path).unwrap_or(path));
        }
    };
    which::which(&wanted).map(|path| std::path::absolute(&path).unwrap_or(path)).map_err(|_| ChartsError::HelmMissing {
        message: format!("{by} {}, which is no executable file", wanted.display()),
    })
}

fn ask_version(path: &Path) -> Result<String, ChartsError> {
    let invocation = Invocation::new(path, VERSION_LIMIT).args(["version", "--template", "{{.Version}}"]);
    let output = process::run(&invocation)?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

fn parse(words: &str) -> Option<Version> {
    Version::parse(words.strip_prefix('v').unwrap_or(words)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_helm_says_of_itself() {
        for (words, expected) in [
            ("v3.9.0", Some((3, 9))),
            ("v3.19.5+gabcdef0", Some((3, 19))),
            ("v4.3.1-rc.1", Some((4, 3))),
            ("version.BuildInfo{Version:\"v3.0.0\"}", None),
            ("", None),
        ] {
            assert_eq!(parse(words).map(|v| (v.major, v.minor)), expected, "{words}");
        }
    }
}
