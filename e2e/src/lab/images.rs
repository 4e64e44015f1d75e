//! Container images, as the charts ask for them, and a containerd that has them: made once, linked into every node.
//!
//! No image is pulled. Each is the Debian tree and one layer of programs built from Go modules and of the scripts that come
//! with them, under the name and tag that the chart asks for.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    lab::{
        programs::{CILIUM, COREDNS, KUBE_OVN, Programs},
        tree::{self, Tree},
    },
    tools,
};

/// The image of test workloads: the Debian tree alone.
pub const WORKLOAD_IMAGE: &str = "e2e.invalid/workload:1";
pub(crate) const PAUSE_IMAGE: &str = "e2e.invalid/pause:1";
pub(crate) const KUBE_PROXY_IMAGE: &str = "registry.k8s.io/kube-proxy:v1.34.4";

const IMPORT: &str = include_str!("../../scripts/lab/import.sh");
const START_OVS: &str = include_str!("../../scripts/lab/start-ovs.sh");
const IPTABLES: &str = include_str!("../../scripts/lab/iptables.sh");
const MEDIA: &str = "application/vnd.oci.image";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A directory with containerd's state, in which every image is imported and unpacked.
///
/// # Errors
/// [`Error::Script`] when containerd does not take an image, [`Error::Io`] on the cache.
pub(crate) fn prepared(tree: &Tree, programs: &Programs) -> Result<PathBuf> {
    let mut key = Sha256::new();
    for part in [&tree.key, IMPORT, START_OVS, IPTABLES, include_str!("images.rs")] {
        key.update(part.len().to_le_bytes());
        key.update(part);
    }
    for folder in [&programs.kube_ovn, &programs.cilium, &programs.tools.kubectl(), &programs.coredns] {
        key.update(folder.as_os_str().as_encoded_bytes());
    }
    let folder = format!("images-{}", hex::encode(key.finalize()));
    let folder = tools::cached(&tools::cache_dir()?, &folder, &["complete"], |work| {
        tools::timed("container images", || {
            let layout = Layout::create(&work.join("layout"))?;
            write(&layout, tree, programs, &work.join("layers"))?;
            let mut script = Command::new("unshare");
            script.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", IMPORT]);
            script.env("ROOT", &tree.root).env("STATE", work.join("containerd")).env("LAYOUT", &layout.dir);
            tree::run("containerd's import of the images", script)?;
            for spent in [layout.dir, work.join("layers")] {
                fs::remove_dir_all(&spent).map_err(Error::io("remove", spent))?;
            }
            Ok(())
        })?;
        let complete = work.join("complete");
        fs::write(&complete, "").map_err(Error::io("write", complete))
    })?;
    Ok(folder.join("containerd"))
}

fn write(layout: &Layout, tree: &Tree, programs: &Programs, layers: &Path) -> Result<()> {
    let base = layout.layer(&tree.root)?;
    let mut images = Vec::new();
    let mut image = |name: &str, make: &dyn Fn(&Path) -> Result<()>, config: Value| -> Result<()> {
        let folder = layers.join(hex::encode(Sha256::digest(name)));
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        make(&folder)?;
        images.push(layout.image(name, &[&base, &layout.layer(&folder)?], config)?);
        Ok(())
    };
    let nothing = |_: &Path| Ok(());
    image(
        &format!("docker.io/kubeovn/kube-ovn:{KUBE_OVN}"),
        &|to| kube_ovn(to, tree, programs),
        json!({ "Entrypoint": ["/usr/bin/dumb-init", "--"], "WorkingDir": "/kube-ovn" }),
    )?;
    image(
        &format!("quay.io/cilium/cilium:{CILIUM}"),
        &|to| cilium(to, tree, programs),
        json!({ "Env": [PATH, "HUBBLE_SERVER=unix:///var/run/cilium/hubble.sock"] }),
    )?;
    let operator = programs.cilium.join("cilium-operator-generic");
    image(
        &format!("quay.io/cilium/operator-generic:{CILIUM}"),
        &|to| tree::install(&operator, &to.join("usr/bin/cilium-operator-generic"), 0o755),
        json!({}),
    )?;
    let kube_proxy = programs.tools.kube_proxy();
    image(
        KUBE_PROXY_IMAGE,
        &|to| {
            tree::install(&kube_proxy, &to.join("usr/local/bin/kube-proxy"), 0o755)?;
            choose_iptables(to)
        },
        json!({}),
    )?;
    image(
        &format!("registry.k8s.io/coredns/coredns:{COREDNS}"),
        &|to| tree::install(&programs.coredns, &to.join("coredns"), 0o755),
        json!({ "Entrypoint": ["/coredns"] }),
    )?;
    image(PAUSE_IMAGE, &nothing, json!({ "Entrypoint": ["/usr/bin/dumb-init", "sleep", "infinity"] }))?;
    image(WORKLOAD_IMAGE, &nothing, json!({}))?;
    layout.close(&images)
}

/// Has the image use the iptables of the node that it runs on.
fn choose_iptables(to: &Path) -> Result<()> {
    let folder = to.join("usr/sbin");
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let chooser = folder.join("iptables-chosen");
    fs::write(&chooser, IPTABLES).map_err(Error::io("write", &chooser))?;
    fs::set_permissions(&chooser, fs::Permissions::from_mode(0o755)).map_err(Error::io("make executable", &chooser))?;
    for family in ["iptables", "ip6tables"] {
        for program in ["", "-save", "-restore"] {
            let link = folder.join(format!("{family}{program}"));
            symlink("iptables-chosen", &link).map_err(Error::io("link", link))?;
        }
    }
    Ok(())
}

fn kube_ovn(to: &Path, tree: &Tree, programs: &Programs) -> Result<()> {
    choose_iptables(to)?;
    let scripts = programs.kube_ovn_module.join("dist/images");
    let own = to.join("kube-ovn");
    for entry in fs::read_dir(&scripts).map_err(Error::io("read", &scripts))? {
        let path = entry.map_err(Error::io("read", &scripts))?.path();
        let name = path.file_name().unwrap_or_default().to_owned();
        let text = name.to_string_lossy().into_owned();
        if text.ends_with(".sh") || text == "kubectl-ko" {
            tree::install(&path, &own.join(&name), 0o755)?;
        } else if text.ends_with(".conflist") {
            tree::install(&path, &own.join(&name), 0o644)?;
        }
    }
    let stop = "grace_stop_ovn_controller";
    tree::install(&scripts.join(stop), &to.join("usr/share/ovn/scripts").join(stop), 0o755)?;
    let start = own.join("start-ovs.sh");
    fs::write(&start, START_OVS).map_err(Error::io("write", &start))?;
    for binary in ["kube-ovn-controller", "kube-ovn-daemon", "kube-ovn", "kube-ovn-cmd"] {
        tree::install(&programs.kube_ovn.join(binary), &own.join(binary), 0o755)?;
    }
    for (name, target) in [
        ("kube-ovn-monitor", "kube-ovn-cmd"),
        ("kube-ovn-leader-checker", "kube-ovn-cmd"),
        ("kube-ovn-pinger", "kube-ovn-controller"),
    ] {
        let link = own.join(name);
        symlink(target, &link).map_err(Error::io("link", link))?;
    }
    // Debian's OVN keeps its databases elsewhere than Kube-OVN mounts a directory for them.
    let databases = to.join("var/lib/ovn");
    fs::create_dir_all(to.join("var/lib")).map_err(Error::io("create", &databases))?;
    symlink("/etc/ovn", &databases).map_err(Error::io("link", databases))?;
    // They run as nobody, and the pinger sends raw packets.
    let mut setcap = Command::new("setcap");
    setcap.arg("CAP_NET_RAW,CAP_NET_BIND_SERVICE+eip").arg(own.join("kube-ovn-controller"));
    tree::run("setcap", setcap)?;
    for plugin in ["loopback", "portmap", "macvlan"] {
        tree::install(&tree.root.join("usr/lib/cni").join(plugin), &to.join(plugin), 0o755)?;
    }
    tree::install(&programs.tools.kubectl(), &to.join("usr/bin/kubectl"), 0o755)
}

fn cilium(to: &Path, tree: &Tree, programs: &Programs) -> Result<()> {
    choose_iptables(to)?;
    for binary in [
        "cilium-agent",
        "cilium-dbg",
        "hubble",
        "cilium-health",
        "cilium-health-responder",
        "cilium-mount",
        "cilium-sysctlfix",
    ] {
        tree::install(&programs.cilium.join(binary), &to.join("usr/bin").join(binary), 0o755)?;
    }
    tree::install(&programs.cilium.join("cilium-cni"), &to.join("opt/cni/bin/cilium-cni"), 0o755)?;
    tree::install(&tree.root.join("usr/lib/cni/loopback"), &to.join("cni/loopback"), 0o755)?;
    for script in [
        "plugins/cilium-cni/install-plugin.sh",
        "plugins/cilium-cni/cni-uninstall.sh",
        "images/cilium/init-container.sh",
    ] {
        let from = programs.cilium_module.join(script);
        tree::install(&from, &to.join(from.file_name().unwrap_or_default()), 0o755)?;
    }
    // The agent writes what it finds out about the kernel beside them.
    let library = to.join("var/lib/cilium");
    fs::create_dir_all(&library).map_err(Error::io("create", &library))?;
    let mut copy = Command::new("cp");
    copy.args(["--recursive", "--no-preserve=mode"]).arg(programs.cilium_module.join("bpf")).arg(&library);
    tree::run("cp", copy).map(drop)
}

/// An OCI image layout.
struct Layout {
    dir: PathBuf,
}

/// What a manifest says of a blob.
struct Blob {
    digest: String,
    size: u64,
}

impl Layout {
    fn create(dir: &Path) -> Result<Self> {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(Error::io("create", blobs))?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn blob(&self, value: &Value) -> Result<Blob> {
        let bytes = value.to_string().into_bytes();
        let name = hex::encode(Sha256::digest(&bytes));
        let path = self.dir.join("blobs/sha256").join(&name);
        fs::write(&path, &bytes).map_err(Error::io("write", path))?;
        Ok(Blob { digest: format!("sha256:{name}"), size: bytes.len() as u64 })
    }

    /// A folder as an uncompressed layer: the same bytes for the same files, with their capabilities.
    fn layer(&self, folder: &Path) -> Result<Blob> {
        let path = self.dir.join("layer.tar");
        let mut tar = Command::new("tar");
        tar.args(["--create", "--xattrs", "--xattrs-include=*", "--sort=name", "--mtime=@0", "--numeric-owner"]);
        tar.arg("--file").arg(&path).arg("--directory").arg(folder).arg(".");
        tree::run("tar", tar)?;
        let mut file = File::open(&path).map_err(Error::io("open", &path))?;
        let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            let read = file.read(&mut buffer).map_err(Error::io("read", &path))?;
            if read == 0 {
                break;
            }
            hash.write_all(&buffer[..read]).map_err(Error::io("read", &path))?;
            size += read as u64;
        }
        let name = hex::encode(hash.finalize());
        fs::rename(&path, self.dir.join("blobs/sha256").join(&name)).map_err(Error::io("rename", &path))?;
        Ok(Blob { digest: format!("sha256:{name}"), size })
    }

    /// Returns its entry of the index.
    fn image(&self, name: &str, layers: &[&Blob], mut config: Value) -> Result<Value> {
        if config["Env"].is_null() {
            config["Env"] = json!([PATH]);
        }
        let digests: Vec<_> = layers.iter().map(|layer| &layer.digest).collect();
        let config = self.blob(&json!({
            "architecture": architecture(), "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": digests },
        }))?;
        let of = |media: &str, blob: &Blob| json!({ "mediaType": format!("{MEDIA}.{media}"), "digest": blob.digest, "size": blob.size });
        let layers: Vec<_> = layers.iter().map(|layer| of("layer.v1.tar", layer)).collect();
        let manifest = self.blob(&json!({
            "schemaVersion": 2, "mediaType": format!("{MEDIA}.manifest.v1+json"),
            "config": of("config.v1+json", &config), "layers": layers,
        }))?;
        let mut entry = of("manifest.v1+json", &manifest);
        entry["annotations"] = json!({ "io.containerd.image.name": name });
        entry["platform"] = json!({ "architecture": architecture(), "os": "linux" });
        Ok(entry)
    }

    fn close(&self, images: &[Value]) -> Result<()> {
        for (file, value) in [
            ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
            ("index.json", json!({ "schemaVersion": 2, "manifests": images })),
        ] {
            let path = self.dir.join(file);
            fs::write(&path, value.to_string()).map_err(Error::io("write", path))?;
        }
        Ok(())
    }
}

/// As Go and the image format call this machine's.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
