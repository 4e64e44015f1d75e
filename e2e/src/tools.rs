//! The Kubernetes, etcd and Helm binaries, built from the Go modules under `e2e/tools` and kept in a cache outside the clone.
//!
//! Each module has its own versions of the Kubernetes libraries, so each is built on its own and cached under a key
//! that changes with anything that could change the binaries: `go.mod`, `go.sum`, the linker flags, the Go version.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Of every build: nothing of this machine is in it, and the compiler writes no debug information, for which it takes a third of its
/// time and which the linker leaves out.
const GOFLAGS: &str = "-mod=readonly -buildvcs=false -trimpath -gcflags=all=-dwarf=false";

const KUBERNETES: &str = "1.34.4";
const HELM3: &str = "v3.19.5";
const HELM4: &str = "v4.2.1";

/// One module: a folder under `e2e/tools`, what to build there, and what to stamp into it.
struct Module {
    folder: &'static str,
    /// Package and the name of its binary.
    binaries: &'static [(&'static str, &'static str)],
    ldflags: fn() -> String,
}

const MODULES: [Module; 4] = [
    Module {
        folder: "kubernetes",
        binaries: &[
            ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
            ("k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"),
            ("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
            ("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
            ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
            ("k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"),
        ],
        ldflags: kubernetes_ldflags,
    },
    Module { folder: "etcd", binaries: &[("go.etcd.io/etcd/server/v3", "etcd")], ldflags: || "-s -w".into() },
    Module {
        folder: "helm3",
        binaries: &[("helm.sh/helm/v3/cmd/helm", "helm3")],
        ldflags: || helm_ldflags("helm.sh/helm/v3", HELM3),
    },
    Module {
        folder: "helm4",
        binaries: &[("helm.sh/helm/v4/cmd/helm", "helm4")],
        ldflags: || helm_ldflags("helm.sh/helm/v4", HELM4),
    },
];

/// Clients and servers compare these versions with each other; unstamped they all say `v0.0.0-master+$Format`.
fn kubernetes_ldflags() -> String {
    let (major, minor) = KUBERNETES.split_once('.').unwrap_or((KUBERNETES, ""));
    let minor = minor.split('.').next().unwrap_or_default();
    let mut flags = String::from("-s -w");
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in [
            ("gitVersion", format!("v{KUBERNETES}").as_str()),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
            ("gitCommit", "0000000000000000000000000000000000000000"),
            ("buildDate", "2026-01-01T00:00:00Z"),
        ] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

/// Helm 3 renders for the Kubernetes that its build was stamped with; unstamped that is v1.20. Helm 4 asks its build info.
pub(crate) fn helm_ldflags(module: &str, version: &str) -> String {
    let minor = KUBERNETES.split('.').nth(1).unwrap_or_default();
    let mut flags = format!("-s -w -X {module}/internal/version.version={version}");
    if module.ends_with("/v3") {
        for (name, value) in [("k8sVersionMajor", "1"), ("k8sVersionMinor", minor)] {
            for package in ["pkg/chartutil", "pkg/lint/rules"] {
                flags.push_str(&format!(" -X {module}/{package}.{name}={value}"));
            }
        }
    }
    flags
}

/// The built binaries. Cheap to clone: it holds paths only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tools {
    kubernetes: PathBuf,
    etcd: PathBuf,
    helm3: PathBuf,
    helm4: PathBuf,
}

impl Tools {
    /// Builds what the cache does not hold and says so on stderr; does nothing more than a look when all is there.
    ///
    /// Two runs at the same time do no harm: each builds in a directory of its own and the first rename wins.
    ///
    /// # Errors
    /// [`Error::GoMissing`], [`Error::Go`] with the end of the compiler's output, or [`Error::Io`] on the cache.
    pub fn build() -> Result<Self> {
        let go = go_program()?;
        let cache = cache_dir()?;
        let [kubernetes, etcd, helm3, helm4] = &MODULES;
        Ok(Self {
            kubernetes: kubernetes.build(&go, &cache)?,
            etcd: etcd.build(&go, &cache)?,
            helm3: helm3.build(&go, &cache)?,
            helm4: helm4.build(&go, &cache)?,
        })
    }

    pub fn kube_apiserver(&self) -> PathBuf {
        self.kubernetes.join("kube-apiserver")
    }

    pub fn kube_controller_manager(&self) -> PathBuf {
        self.kubernetes.join("kube-controller-manager")
    }

    pub fn kube_scheduler(&self) -> PathBuf {
        self.kubernetes.join("kube-scheduler")
    }

    pub fn kubectl(&self) -> PathBuf {
        self.kubernetes.join("kubectl")
    }

    pub fn kubelet(&self) -> PathBuf {
        self.kubernetes.join("kubelet")
    }

    pub fn kube_proxy(&self) -> PathBuf {
        self.kubernetes.join("kube-proxy")
    }

    pub fn etcd(&self) -> PathBuf {
        self.etcd.join("etcd")
    }

    pub fn helm3(&self) -> PathBuf {
        self.helm3.join("helm3")
    }

    pub fn helm4(&self) -> PathBuf {
        self.helm4.join("helm4")
    }

    /// Both helms with their versions.
    pub(crate) fn helms(&self) -> [(&'static str, PathBuf); 2] {
        [(HELM3, self.helm3()), (HELM4, self.helm4())]
    }
}

/// `$OVNCILIUM_E2E_CACHE`, else `ovncilium-e2e` under `$XDG_CACHE_HOME` or `~/.cache`.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("OVNCILIUM_E2E_CACHE")
        .or_else(|| set("XDG_CACHE_HOME"))
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .map(|base| base.join("ovncilium-e2e"))
        .ok_or_else(|| Error::Expectation("no cache directory: set OVNCILIUM_E2E_CACHE or HOME".into()))
}

impl Module {
    fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(self.folder)
    }

    fn build(&self, go: &Path, cache: &Path) -> Result<PathBuf> {
        let names: Vec<_> = self.binaries.iter().map(|(_, name)| *name).collect();
        cached(cache, &self.key(go)?, &names, |work| {
            let flags = [format!("-ldflags={}", (self.ldflags)())];
            timed(self.folder, || build(go, &self.source(), &flags, self.binaries, work))
        })
    }

    /// The cache key: everything that decides what the binaries are.
    fn key(&self, go: &Path) -> Result<String> {
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum"] {
            let path = self.source().join(file);
            let content = fs::read(&path).map_err(Error::io("read", &path))?;
            hash.update(content.len().to_le_bytes());
            hash.update(content);
        }
        hash.update((self.ldflags)());
        hash.update(self.go(go, &["env", "GOVERSION", "GOOS", "GOARCH"])?);
        Ok(format!("{}-{}", self.folder, hex::encode(hash.finalize())))
    }

    fn go(&self, program: &Path, args: &[&str]) -> Result<Vec<u8>> {
        go(program, &self.source(), args)
    }
}

/// Builds packages of a module into `work`, each under its name; all at once, so that one is linked while others are compiled.
///
/// # Errors
/// As [`go`], or [`Error::Io`].
pub(crate) fn build(
    program: &Path,
    module: &Path,
    flags: &[String],
    binaries: &[(&str, &str)],
    work: &Path,
) -> Result<()> {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let packages: Vec<&str> = binaries.iter().map(|(package, _)| *package).collect();
    let output = format!("-o={}/", work.display());
    go(program, module, &[&["build", &output], &flags[..], &packages].concat())?;
    for (package, name) in binaries {
        let built = go(program, module, &[&["list", "-f={{.Target}}"], &flags[..], &[package]].concat())?;
        let built = String::from_utf8_lossy(&built);
        let built = Path::new(built.trim()).file_name().map(|file| work.join(file)).unwrap_or_default();
        fs::rename(&built, work.join(name)).map_err(Error::io("rename", &built))?;
    }
    Ok(())
}

/// # Errors
/// [`Error::GoMissing`].
pub(crate) fn go_program() -> Result<PathBuf> {
    which::which("go").map_err(|_| Error::GoMissing)
}

/// Runs go in a module, with nothing of this machine's own settings; returns its stdout.
///
/// # Errors
/// [`Error::Go`] with the end of what it said.
pub(crate) fn go(program: &Path, module: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .args(args)
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", GOFLAGS)
        .env("GOWORK", "off")
        .output()
        .map_err(|source| Error::Spawn { program: program.display().to_string(), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(20)..].join("\n");
    Err(Error::Go { command: args.join(" "), module: module.to_owned(), tail })
}

/// The folder of the cache that holds these binaries; `build` makes them in a directory of its own when they are not there yet.
///
/// # Errors
/// Those of `build`, or [`Error::Io`].
pub(crate) fn cached(
    cache: &Path,
    folder: &str,
    names: &[&str],
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let target = cache.join(folder);
    if names.iter().all(|name| target.join(name).is_file()) {
        return Ok(target);
    }
    fs::create_dir_all(cache).map_err(Error::io("create", cache))?;
    let work = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(cache)
        .map_err(Error::io("create a directory in", cache))?;
    build(work.path())?;
    match fs::rename(work.path(), &target) {
        // Another run was faster; its binaries are the same.
        Err(_) if target.is_dir() => Ok(target),
        Err(source) => Err(Error::Io { action: "rename the built tools to", path: target, source }),
        Ok(()) => Ok(target),
    }
}

/// Tells that something is built, and how long it took.
pub(crate) fn timed<T>(name: &str, build: impl FnOnce() -> Result<T>) -> Result<T> {
    say("Building", &format!("{name} (minutes when nothing is cached)"));
    let start = Instant::now();
    let built = build()?;
    say("Built", &format!("{name} in {:.0?}", start.elapsed()));
    Ok(built)
}

#[expect(clippy::print_stderr, reason = "progress of a build that takes minutes")]
fn say(status: &str, what: &str) {
    eprintln!("{status:>12} {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_is_stamped_with_the_version_of_its_go_mod() {
        let flags = kubernetes_ldflags();
        assert!(flags.contains("-X k8s.io/component-base/version.gitVersion=v1.34.4"), "{flags}");
        assert!(flags.contains("-X k8s.io/client-go/pkg/version.gitMinor=34"), "{flags}");
    }

    #[test]
    fn every_stamped_version_is_the_one_that_go_mod_requires() {
        for (folder, line) in [
            ("kubernetes", format!("k8s.io/kubernetes v{KUBERNETES}")),
            ("helm3", format!("helm.sh/helm/v3 {HELM3}")),
            ("helm4", format!("helm.sh/helm/v4 {HELM4}")),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(folder).join("go.mod");
            assert!(fs::read_to_string(&path).unwrap().contains(&line), "{line} is not in {}", path.display());
        }
    }

    #[test]
    fn what_ci_compiles_beforehand_is_what_is_built() {
        let ci = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/run");
        assert!(
            fs::read_to_string(ci).unwrap().contains(&format!("GOFLAGS='{GOFLAGS}'")),
            "other flags, other objects"
        );
    }

    #[test]
    fn every_binary_is_a_tool_of_its_go_mod() {
        for module in &MODULES {
            let text = fs::read_to_string(module.source().join("go.mod")).unwrap();
            for (package, _) in module.binaries {
                assert!(text.contains(package), "{package} is not in the go.mod of {}", module.folder);
            }
        }
    }
}
