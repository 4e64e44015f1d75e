//! What runs on the nodes, built from published Go modules: Kube-OVN, Cilium, the kubelet and what it needs beside it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::Result,
    published::Published,
    tools::{self, Tools},
};

/// Module and tag of Kube-OVN: the newest of which every module is served and whose databases Debian's OVN has the schema of.
pub const KUBE_OVN: &str = "v1.16.2";
pub const CILIUM: &str = "v1.18.2";
/// Tag of the image that the manifests ask for.
pub(crate) const COREDNS: &str = "v1.12.1";

const CRI_TOOLS: &str = "v1.34.0";

/// A module and what is built of it.
struct Source {
    name: &'static str,
    published: Published<'static>,
    ldflags: &'static str,
    tags: &'static str,
    /// Package and the name of its binary.
    binaries: &'static [(&'static str, &'static str)],
}

const SOURCES: [Source; 4] = [
    Source {
        name: "kube-ovn",
        published: Published {
            module: "github.com/kubeovn/kube-ovn",
            version: KUBE_OVN,
            sum: "h1:ak8LHclz9obQtxH3j5EHn/kHRCnoErYb/Mjh82W4a2I=",
        },
        ldflags: "-w -s -X github.com/kubeovn/kube-ovn/versions.VERSION=v1.16.2",
        tags: "",
        binaries: &[
            ("./cmd/controller", "kube-ovn-controller"),
            ("./cmd/daemon", "kube-ovn-daemon"),
            ("./cmd/cni", "kube-ovn"),
            ("./cmd", "kube-ovn-cmd"),
        ],
    },
    Source {
        name: "cilium",
        published: Published {
            module: "github.com/cilium/cilium",
            version: CILIUM,
            sum: "h1:ZqxNBoVLMYbJIYiKXWXna5kxd4XiE9IRww9vdaKJZoo=",
        },
        // Three fields: version, revision, date.
        ldflags: "-s -w -X 'github.com/cilium/cilium/pkg/version.ciliumVersion=1.18.2 e2e 2025-09-01T00:00:00+00:00'",
        // Without it the operator has no cluster-pool; nothing else knows it.
        tags: "ipam_provider_operator",
        binaries: &[
            ("./daemon", "cilium-agent"),
            ("./operator", "cilium-operator-generic"),
            ("./cilium-dbg", "cilium-dbg"),
            ("./plugins/cilium-cni", "cilium-cni"),
            ("./hubble", "hubble"),
            ("./tools/mount", "cilium-mount"),
            ("./tools/sysctlfix", "cilium-sysctlfix"),
            ("./cilium-health", "cilium-health"),
            ("./cilium-health/responder", "cilium-health-responder"),
        ],
    },
    Source {
        name: "cri-tools",
        published: Published {
            module: "sigs.k8s.io/cri-tools",
            version: CRI_TOOLS,
            sum: "h1:KqL9EJ+WgHtz1HR1exezm91n+o8O2uMLs/eHzHJHAWw=",
        },
        ldflags: "-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=v1.34.0",
        tags: "",
        binaries: &[("./cmd/crictl", "crictl")],
    },
    Source {
        name: "coredns",
        published: Published {
            module: "github.com/coredns/coredns",
            version: COREDNS,
            sum: "h1:haptbGscSbdWU46xrjdPj1vp3wvH1Z2FgCSQKEdgN5s=",
        },
        ldflags: "-s -w",
        tags: "",
        binaries: &[(".", "coredns")],
    },
];

/// The module of Kube-OVN in Go's cache; downloaded where it is not there.
///
/// # Errors
/// As [`Published::source`].
pub(crate) fn kube_ovn_module() -> Result<PathBuf> {
    SOURCES[0].published.source(&tools::go_program()?)
}

/// The built programs and the modules whose scripts, charts and BPF sources are read in place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Programs {
    pub(crate) tools: Tools,
    pub(crate) kube_ovn: PathBuf,
    pub(crate) kube_ovn_module: PathBuf,
    pub(crate) cilium: PathBuf,
    pub(crate) cilium_module: PathBuf,
    pub(crate) crictl: PathBuf,
    pub(crate) coredns: PathBuf,
}

impl Programs {
    /// Builds what the cache does not hold and says so on stderr.
    ///
    /// # Errors
    /// As [`Tools::build`], and when a module is not the expected one.
    pub(crate) fn build(tools: &Tools) -> Result<Self> {
        let go = tools::go_program()?;
        let cache = tools::cache_dir()?;
        let [kube_ovn, cilium, cri_tools, coredns] = &SOURCES;
        Ok(Self {
            tools: tools.clone(),
            kube_ovn: kube_ovn.build(&go, &cache)?,
            kube_ovn_module: kube_ovn.published.source(&go)?,
            cilium: cilium.build(&go, &cache)?,
            cilium_module: cilium.published.source(&go)?,
            crictl: cri_tools.build(&go, &cache)?.join("crictl"),
            coredns: coredns.build(&go, &cache)?.join("coredns"),
        })
    }

    /// The directory that all of them are in.
    pub(crate) fn cache(&self) -> Result<PathBuf> {
        tools::cache_dir()
    }

    /// Kube-OVN's own chart.
    pub(crate) fn kube_ovn_chart(&self) -> PathBuf {
        self.kube_ovn_module.join("charts/kube-ovn")
    }
}

impl Source {
    fn build(&self, go: &Path, cache: &Path) -> Result<PathBuf> {
        let mut key = Sha256::new();
        key.update(format!("{:?}{}{}{:?}", self.published, self.ldflags, self.tags, self.binaries));
        key.update(tools::go(go, &std::env::temp_dir(), &["env", "GOVERSION", "GOOS", "GOARCH"])?);
        let folder = format!("{}-{}", self.name, hex::encode(key.finalize()));
        let names: Vec<_> = self.binaries.iter().map(|(_, name)| *name).collect();
        tools::cached(cache, &folder, &names, |work| {
            let source = self.published.source(go)?;
            let flags = [format!("-ldflags={}", self.ldflags), format!("-tags={}", self.tags)];
            tools::timed(self.name, || tools::build(go, &source, &flags, self.binaries, work))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_stamped_into_its_binaries() {
        for source in &SOURCES[..3] {
            let version = source.published.version.trim_start_matches('v');
            assert!(source.ldflags.contains(version), "{}: {}", source.name, source.ldflags);
        }
    }
}
