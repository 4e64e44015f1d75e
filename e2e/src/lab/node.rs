//! A node: namespaces of its own with the Debian tree as root, Open vSwitch, containerd and a kubelet, all real.

use std::{
    fs::{self, OpenOptions},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::{
    control_plane::ControlPlane,
    error::{Error, Result},
    lab::{
        Iptables, enter,
        images::PAUSE_IMAGE,
        network::GATEWAY,
        programs::Programs,
        tree::{self, Tree},
    },
    wait::{self, Seen},
};

const INIT: &str = include_str!("../../scripts/lab/node.sh");
const OPEN_VSWITCH: &str = include_str!("../../scripts/lab/openvswitch.sh");
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where the pid of a service is.
const SERVICE: &str = "echo $$ >\"/run/e2e-$0.pid\"; exec \"$@\"";
const LIMIT: Duration = Duration::from_secs(60);

/// A node that runs. Dropping it is pulling its plug.
pub struct Node {
    pub name: String,
    pub address: Ipv4Addr,
    /// Its disk, its logs, its configuration.
    dir: PathBuf,
    group: String,
    /// Its process 1 and the `unshare` that made it.
    init: u32,
    unshare: Child,
}

/// What every node of a lab is made from.
pub(crate) struct Parts<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) programs: &'a Programs,
    /// A containerd with every image.
    pub(crate) containerd: &'a Path,
    /// Directory of the lab.
    pub(crate) state: &'a Path,
    pub(crate) control_plane: &'a ControlPlane,
    pub(crate) iptables: Iptables,
    /// Address of OVN's databases.
    pub(crate) central: Ipv4Addr,
}

impl Node {
    /// Makes a new node and starts what runs on it; its kubelet joins the cluster some time later.
    ///
    /// # Errors
    /// [`Error::Script`] or [`Error::Timeout`] with what the node said.
    pub(crate) fn join(parts: &Parts<'_>, name: &str, address: Ipv4Addr) -> Result<Self> {
        let dir = parts.state.join(name);
        let disk = dir.join("disk");
        fs::create_dir_all(&disk).map_err(Error::io("create", &disk))?;
        // Images are read-only files: linked. Databases are not.
        let mut link = Command::new("cp");
        link.args(["--archive", "--link"]).arg(parts.containerd).arg(&disk);
        tree::run("cp", link)?;
        for database in ["metadata.v1.bolt/meta.db", "snapshotter.v1.overlayfs/metadata.db"] {
            let file = format!("io.containerd.{database}");
            let to = disk.join("containerd").join(&file);
            fs::remove_file(&to).map_err(Error::io("remove", &to))?;
            fs::copy(parts.containerd.join(&file), &to).map_err(Error::io("copy to", &to))?;
        }
        Self::boot(parts, name, address)
    }

    /// Starts a node with the disk that it has.
    ///
    /// # Errors
    /// As [`Node::join`].
    pub(crate) fn boot(parts: &Parts<'_>, name: &str, address: Ipv4Addr) -> Result<Self> {
        let dir = parts.state.join(name);
        let group = enter::group(parts.state, name);
        enter::make_groups(&group)?;
        let up = dir.join("up");
        if up.exists() {
            fs::remove_file(&up).map_err(Error::io("remove", &up))?;
        }
        let shared =
            [parts.control_plane.dir(), parts.state, parts.programs.cache()?.as_path(), own_directory()?.as_path()]
                .map(|path| path.to_string_lossy().into_owned())
                .join(" ");
        let log = dir.join("init.log");
        let output = fs::File::create(&log).map_err(Error::io("create", &log))?;
        let unshare = Command::new("sh")
            .args(["-c", "echo $$ >\"$0\"; exec \"$@\""])
            .arg(enter::unified(&group))
            .args([
                "unshare",
                "--net",
                "--mount",
                "--uts",
                "--ipc",
                "--pid",
                "--fork",
                "--kill-child",
                "bash",
                "-c",
                INIT,
            ])
            .env("NODE", name)
            .env("ADDRESS", address.to_string())
            .env("ROOT", &parts.tree.root)
            .env("DIR", &dir)
            .env("SHARED", shared)
            .stdin(Stdio::null())
            .stderr(output.try_clone().map_err(Error::io("open", &log))?)
            .stdout(output)
            .spawn()
            .map_err(|source| Error::Spawn { program: "unshare".into(), source })?;
        let mut node = Self { name: name.to_owned(), address, dir, group, init: 0, unshare };
        node.init = wait::until(format!("{name} has its file systems"), LIMIT, || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            Ok(match (up.exists(), enter::first_child(node.unshare.id())) {
                (true, Some(init)) => Seen::Ready(init),
                _ => Seen::NotYet(said),
            })
        })?;
        node.choose_iptables(parts.iptables)?;
        node.connect(parts)?;
        node.start_containerd()?;
        node.start_kubelet(parts)?;
        Ok(node)
    }

    /// Before the first rule is written.
    fn choose_iptables(&self, iptables: Iptables) -> Result<()> {
        for family in ["iptables", "ip6tables"] {
            let program = format!("/usr/sbin/{family}-{}", iptables.name());
            self.run(&["update-alternatives", "--set", family, &program])?;
        }
        Ok(())
    }

    /// A cable to the bridge of the lab, and Open vSwitch behind it.
    fn connect(&self, parts: &Parts<'_>) -> Result<()> {
        let init = self.init.to_string();
        let ip = |args: &[&str]| {
            let mut command = parts.tree.command("ip");
            command.args(args);
            tree::run("ip", command)
        };
        ip(&["link", "add", &self.name, "type", "veth", "peer", "name", "eth0", "netns", &init])?;
        ip(&["link", "set", &self.name, "master", "br0", "up"])?;
        self.run(&["ip", "link", "set", "lo", "up"])?;
        self.run(&["ip", "addr", "add", &format!("{}/24", self.address), "dev", "eth0"])?;
        self.run(&["ip", "link", "set", "eth0", "up"])?;
        self.run(&["ip", "route", "add", "default", "via", &GATEWAY.to_string()])?;
        // Checksums left to a device that is none are never filled in by a userspace switch.
        self.run(&["ethtool", "-K", "eth0", "tx", "off"])?;
        self.run(&[
            "env",
            &format!("NODE={}", self.name),
            &format!("ADDRESS={}", self.address),
            &format!("GATEWAY={GATEWAY}"),
            &format!("CENTRAL={}", parts.central),
            "bash",
            "-c",
            OPEN_VSWITCH,
        ])
        .map(drop)
    }

    fn start_containerd(&self) -> Result<()> {
        let config = self.write(
            "containerd.toml",
            &format!(
                r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
    max_conf_num = 1
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"#
            ),
        )?;
        self.start("containerd", &["containerd", "--config", &config])?;
        wait::until(format!("containerd answers on {}", self.name), LIMIT, || {
            let answer = self.command(&["ctr", "version"]).output();
            Ok(match answer {
                Ok(output) if output.status.success() => Seen::Ready(()),
                _ => Seen::NotYet(self.log("containerd")),
            })
        })
    }

    fn start_kubelet(&self, parts: &Parts<'_>) -> Result<()> {
        let user = format!("system:node:{}", self.name);
        let kubeconfig = parts.control_plane.identity(&format!("node-{}", self.name), &user, Some("system:nodes"))?;
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": { "enabled": false }, "webhook": { "enabled": true },
                "x509": { "clientCAFile": parts.control_plane.authority() },
            },
            "authorization": { "mode": "Webhook" },
            "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{}", self.group), "failCgroupV1": false, "failSwapOn": false,
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "clusterDomain": "cluster.local", "clusterDNS": ["10.96.0.10"], "resolvConf": "",
            "enforceNodeAllocatable": ["pods"],
            "evictionHard": {
                "memory.available": "50Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
            },
            "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
            "nodeStatusUpdateFrequency": "4s", "staticPodPath": "/etc/kubernetes/manifests",
        });
        let config = self.write("kubelet.yaml", &config.to_string())?;
        self.run(&["mkdir", "-p", "/etc/kubernetes/manifests"])?;
        let kubelet = parts.programs.tools.kubelet();
        self.start(
            "kubelet",
            &[
                &kubelet.to_string_lossy(),
                &format!("--config={config}"),
                &format!("--kubeconfig={}", kubeconfig.display()),
                &format!("--hostname-override={}", self.name),
                &format!("--node-ip={}", self.address),
                "--v=2",
            ],
        )
    }

    /// Writes a file that the node sees at the same path, which is returned.
    fn write(&self, file: &str, content: &str) -> Result<String> {
        let path = self.dir.join(file);
        fs::write(&path, content).map_err(Error::io("write", &path))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// A program in every namespace of the node and in its control group.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ >\"$0\"; exec \"$@\""])
            .arg(enter::unified(&self.group))
            .args(["nsenter", "--target", &self.init.to_string()])
            .args(["--mount", "--net", "--uts", "--ipc", "--pid", "--root", "--wd"])
            .args(["env", "-i", PATH, "HOME=/root", "TERM=dumb", "LC_ALL=C"])
            .args(args);
        command
    }

    /// Runs a program on the node to its end; returns what it wrote.
    ///
    /// # Errors
    /// [`Error::Script`].
    pub fn run(&self, args: &[&str]) -> Result<String> {
        tree::run(&format!("`{}` on {}", args.first().unwrap_or(&""), self.name), self.command(args))
    }

    /// Writes a file of the node.
    ///
    /// # Errors
    /// [`Error::Script`] or [`Error::Spawn`].
    pub(crate) fn put(&self, path: &str, content: &str) -> Result<()> {
        self.run(&["sh", "-c", "printf %s \"$1\" >\"$0\"", path, content]).map(drop)
    }

    /// Starts a service, whose output is added to its log.
    pub(crate) fn start(&self, service: &str, args: &[&str]) -> Result<()> {
        let path = self.dir.join(format!("{service}.log"));
        let log = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io("open", &path))?;
        let all: Vec<&str> = ["sh", "-c", SERVICE, service].into_iter().chain(args.iter().copied()).collect();
        self.command(&all)
            .stdin(Stdio::null())
            .stderr(log.try_clone().map_err(Error::io("open", &path))?)
            .stdout(log)
            .spawn()
            .map(drop)
            .map_err(|source| Error::Spawn { program: service.to_owned(), source })
    }

    /// Ends a service by SIGTERM and waits until it is gone; what it started stays.
    ///
    /// # Errors
    /// [`Error::Script`] when it does not run, [`Error::Timeout`] when it does not end.
    pub(crate) fn stop(&self, service: &str) -> Result<()> {
        let pid = self.run(&["cat", &format!("/run/e2e-{service}.pid")])?;
        self.run(&["kill", pid.trim()])?;
        wait::until(format!("{service} of {} has ended", self.name), LIMIT, || {
            let runs = self.command(&["test", "-e", &format!("/proc/{}", pid.trim())]).status();
            Ok(match runs {
                Ok(status) if !status.success() => Seen::Ready(()),
                _ => Seen::NotYet(self.log(service)),
            })
        })
    }

    /// Stops containerd and starts it again; containers go on.
    ///
    /// # Errors
    /// As [`Node::stop`].
    pub(crate) fn restart_containerd(&self) -> Result<()> {
        self.stop("containerd")?;
        self.start_containerd()
    }

    /// Ends at once, without a word to anybody; only its disk is left.
    ///
    /// # Errors
    /// [`Error::Timeout`] when something of it goes on.
    pub(crate) fn end(self) -> Result<()> {
        let (name, group) = (self.name.clone(), self.group.clone());
        drop(self);
        // A machine starts without control groups; over each of a former life the kubelet would wait for three seconds.
        wait::until(format!("nothing of {name} runs any more"), LIMIT, || {
            Ok(enter::remove_group(&group).map_or_else(|error| Seen::NotYet(error.to_string()), Seen::Ready))
        })
    }

    /// What a service has printed, in all lives of the node.
    pub(crate) fn printed(&self, service: &str) -> String {
        fs::read(self.dir.join(format!("{service}.log")))
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The end of a service's log.
    fn log(&self, service: &str) -> String {
        let text = self.printed(service);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone_already = self.unshare.kill();
        let _reaped = self.unshare.wait();
    }
}

/// The directory of this program: pods that probe run it.
fn own_directory() -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    Ok(own.parent().unwrap_or(Path::new("/")).to_owned())
}
