//! Other releases of Helm than the two of [`crate::tools`], listed in `e2e/tools/helms.txt` and built only when a scenario asks.
//!
//! Each is built from its published module, for a minute and a half of two processors. `OVNCILIUM_HELMS=ends` leaves out what stands
//! between the oldest and the newest: CI builds everything anew each time.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    published::Published,
    tools::{self, Tools},
};

const LIST: &str = include_str!("../tools/helms.txt");

/// A Helm that is built.
#[derive(Debug, Clone)]
pub struct Helm {
    /// Major, minor, patch.
    pub version: (u32, u32, u32),
    pub path: PathBuf,
}

impl fmt::Display for Helm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.version;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Every Helm that is asked for, from the oldest to the newest: those of the list and the two of `tools`.
///
/// # Errors
/// As [`Tools::build`], and [`Error::Expectation`] when a module is not the one of the list, or `OVNCILIUM_HELMS` asks for what is not known.
pub fn chosen(tools: &Tools) -> Result<Vec<Helm>> {
    let go = tools::go_program()?;
    let cache = tools::cache_dir()?;
    let mut helms = tools
        .helms()
        .map(|(version, path)| Ok(Helm { version: parse(version)?, path }))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let releases = releases(LIST)?;
    let releases = match env::var("OVNCILIUM_HELMS").unwrap_or_default().as_str() {
        "" | "all" => releases,
        "ends" => ends(releases),
        other => return Err(Error::Expectation(format!("OVNCILIUM_HELMS={other}: there are `all` and `ends`"))),
    };
    for release in releases {
        helms.push(Helm { version: parse(release.published.version)?, path: release.build(&go, &cache)? });
    }
    helms.sort_by_key(|helm| helm.version);
    Ok(helms)
}

fn parse(version: &str) -> Result<(u32, u32, u32)> {
    let numbers: Vec<u32> = version.trim_start_matches('v').split('.').filter_map(|part| part.parse().ok()).collect();
    match numbers[..] {
        [major, minor, patch] => Ok((major, minor, patch)),
        _ => Err(Error::Expectation(format!("`{version}` is no version of Helm"))),
    }
}

/// A line of the list.
#[derive(Debug, PartialEq, Eq)]
struct Release<'l> {
    published: Published<'l>,
    replaced: Option<Replaced<'l>>,
}

/// A module that cannot be had any more and whose code is not built.
#[derive(Debug, PartialEq, Eq)]
struct Replaced<'l> {
    module: &'l str,
    /// Module and version in its place.
    by: (&'l str, &'l str),
    /// `h1:…` of the `go.mod` of what is in its place.
    sum: &'l str,
}

fn releases(list: &str) -> Result<Vec<Release<'_>>> {
    list.lines().filter(|line| !line.starts_with('#')).map(release).collect()
}

/// Of a sorted list the oldest and the newest.
fn ends(mut releases: Vec<Release<'_>>) -> Vec<Release<'_>> {
    let last = releases.len().saturating_sub(1);
    releases.drain(1.min(last)..last);
    releases
}

fn release(line: &str) -> Result<Release<'_>> {
    let unknown = || Error::Expectation(format!("e2e/tools/helms.txt: `{line}` is not understood"));
    let words: Vec<&str> = line.split(' ').collect();
    let (first, rest) = words.split_at_checked(3).ok_or_else(unknown)?;
    let replaced = match rest {
        [] => None,
        [replacement, sum] => {
            let (module, by) = replacement.split_once("=>").ok_or_else(unknown)?;
            Some(Replaced { module, by: by.split_once('@').ok_or_else(unknown)?, sum })
        }
        _ => return Err(unknown()),
    };
    Ok(Release { published: Published { module: first[0], version: first[1], sum: first[2] }, replaced })
}

impl Release<'_> {
    fn ldflags(&self) -> String {
        tools::helm_ldflags(self.published.module, self.published.version)
    }

    fn build(&self, go: &Path, cache: &Path) -> Result<PathBuf> {
        let mut key = Sha256::new();
        key.update(format!("{self:?}{}", self.ldflags()));
        key.update(tools::go(go, &env::temp_dir(), &["env", "GOVERSION", "GOOS", "GOARCH"])?);
        let folder = format!("helm-{}-{}", self.published.version, hex::encode(key.finalize()));
        tools::cached(cache, &folder, &["helm"], |work| {
            let source = self.published.source(go)?;
            let mut flags = vec![format!("-ldflags={}", self.ldflags())];
            if let Some(replaced) = &self.replaced {
                flags.push(format!("-modfile={}", replaced.write(&source, work)?.display()));
            }
            let name = format!("helm {}", self.published.version);
            tools::timed(&name, || tools::build(go, &source, &flags, &[("./cmd/helm", "helm")], work))
        })
        .map(|folder| folder.join("helm"))
    }
}

impl Replaced<'_> {
    /// Writes go.mod and go.sum with the replacement into `work`; returns the go.mod.
    fn write(&self, source: &Path, work: &Path) -> Result<PathBuf> {
        let (by, version) = self.by;
        let more = |file: &str, text: String| -> Result<PathBuf> {
            let from = source.join(file);
            let own = fs::read_to_string(&from).map_err(Error::io("read", &from))?;
            let to = work.join(file);
            fs::write(&to, own + &text).map_err(Error::io("write", &to))?;
            Ok(to)
        };
        more("go.sum", format!("{by} {version}/go.mod {}\n", self.sum))?;
        more("go.mod", format!("\nreplace {} => {by} {version}\n", self.module))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_reaches_from_helm_3_4_to_helm_4() {
        let releases = releases(LIST).unwrap();
        let versions: Vec<_> = releases.iter().map(|release| parse(release.published.version).unwrap()).collect();
        assert!(versions.is_sorted() && versions[0] < (3, 5, 0) && versions.last() > Some(&(4, 0, 0)), "{versions:?}");
        for (release, version) in releases.iter().zip(&versions) {
            assert_eq!(release.published.module, format!("helm.sh/helm/v{}", version.0));
            assert!(
                release.published.sum.starts_with("h1:") && release.published.sum.len() == 47,
                "{}",
                release.published.sum
            );
        }
    }

    #[test]
    fn the_ends_are_the_oldest_and_the_newest() {
        let of = |lines: &'static str| -> Vec<&str> {
            ends(releases(lines).unwrap()).iter().map(|release| release.published.version).collect()
        };
        assert_eq!(of("m/v3 v3.4 a\nm/v3 v3.9 a\nm/v4 v4.0 a\nm/v4 v4.3 a"), ["v3.4", "v4.3"]);
        assert_eq!(of("m/v3 v3.4 a"), ["v3.4"]);
        assert!(of("").is_empty());
    }

    #[test]
    fn a_replacement_has_its_module_and_its_digest() {
        let line = "m v1.0.0 h1:a old.example/x=>new.example/y@v0.1.0 h1:b";
        let replaced = Replaced { module: "old.example/x", by: ("new.example/y", "v0.1.0"), sum: "h1:b" };
        assert_eq!(release(line).unwrap().replaced, Some(replaced));
        for line in ["m v1.0.0", "m v1.0.0 h1:a x=>y", "m v1.0.0 h1:a x=>y h1:b"] {
            assert!(release(line).is_err(), "{line}");
        }
    }
}
