//! A lab: a whole cluster on one machine, with real kubelets, containerd, Kube-OVN and Cilium.
//!
//! Everything runs in namespaces of the lab's own ([`enter`]), so it ends with the lab and touches nothing of the machine but its
//! control groups. [`programs`] are built from published Go modules, [`tree`] is the Debian tree below every node and image,
//! [`images`] puts both into a containerd, [`network`] joins the [`node`]s. Kube-OVN is installed from its own chart
//! and runs as in any cluster, but for Open vSwitch, which runs on the nodes themselves with its userspace datapath.

pub mod commands;
pub(crate) mod enter;
pub mod images;
pub(crate) mod machine;
pub(crate) mod network;
pub mod node;
pub(crate) mod probe;
pub mod programs;
pub(crate) mod runtime;
pub(crate) mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use node::Node;

use crate::{
    control_plane::{ControlPlane, Options},
    error::{Error, Result},
    lab::{node::Parts, programs::Programs, tree::Tree},
    tools::Tools,
    wait::{self, Seen},
};

const KUBE_PROXY: &str = include_str!("../../fixtures/lab/kube-proxy.yaml");
const COREDNS: &str = include_str!("../../fixtures/lab/coredns.yaml");
/// The file with the [`Stock`], in the directory of a lab.
const STOCK: &str = "stock.json";
const LIMIT: Duration = Duration::from_secs(240);

/// What a lab is made from. Building it needs the network, which a lab does not have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stock {
    programs: Programs,
    tree: Tree,
    /// A containerd that has every image.
    containerd: PathBuf,
}

impl Stock {
    /// Builds what the cache does not hold and says so on stderr.
    ///
    /// # Errors
    /// Those of the Go toolchain, of debootstrap and of containerd.
    pub(crate) fn build(tools: &Tools) -> Result<Self> {
        let programs = Programs::build(tools)?;
        let tree = Tree::build()?;
        let containerd = images::prepared(&tree, &programs)?;
        Ok(Self { programs, tree, containerd })
    }

    pub(crate) fn write(&self, state: &Path) -> Result<()> {
        let path = state.join(STOCK);
        let text = serde_json::to_string(self).map_err(Error::json("the stock of a lab"))?;
        fs::write(&path, text).map_err(Error::io("write", path))
    }

    pub(crate) fn read(state: &Path) -> Result<Self> {
        let path = state.join(STOCK);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        serde_json::from_str(&text).map_err(Error::json(path.to_string_lossy()))
    }

    /// Links the clients of a cluster into a directory, under the names that people call them by.
    pub(crate) fn link(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let tools = self.tools();
        for (name, program) in [
            ("kubectl", tools.kubectl()),
            ("helm", tools.helm3()),
            ("helm4", tools.helm4()),
            ("crictl", self.programs.crictl.clone()),
        ] {
            let link = dir.join(name);
            if !link.exists() {
                std::os::unix::fs::symlink(program, &link).map_err(Error::io("link", link))?;
            }
        }
        Ok(())
    }

    /// Cilium's own chart, of the version whose programs run here: a directory.
    ///
    /// # Errors
    /// [`Error::Io`] when the module has none.
    pub(crate) fn cilium_chart(&self) -> Result<PathBuf> {
        let chart = self.programs.cilium_module.join("install/kubernetes/cilium");
        fs::metadata(chart.join("Chart.yaml")).map_err(Error::io("read", &chart))?;
        Ok(chart)
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.programs.tools
    }
}

/// The iptables of a cluster's nodes, and with that the one of every pod that writes rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iptables {
    /// `iptables-nft`, Debian's own choice.
    Nft,
    /// `iptables-legacy`.
    Legacy,
}

impl Iptables {
    /// As its programs are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }
}

/// A cluster that runs. Dropping it pulls the plug of every node and ends the control plane.
pub struct Lab {
    pub nodes: Vec<Node>,
    pub control_plane: ControlPlane,
    iptables: Iptables,
    stock: Stock,
    state: PathBuf,
}

impl Lab {
    /// Makes a cluster of this many nodes with Kube-OVN, kube-proxy and CoreDNS, and waits until all of it is ready.
    ///
    /// Call it inside ([`enter::inside`]). `say` is told what was reached.
    ///
    /// # Errors
    /// [`Error::Timeout`] with what was not ready, [`Error::Script`] with what a program said.
    pub(crate) fn up(
        stock: Stock,
        state: &Path,
        nodes: u8,
        iptables: Iptables,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let start = Instant::now();
        let mut reached = |what: &str| say(&format!("{:5.1} s  {what}", start.elapsed().as_secs_f64()));
        network::make(&stock.tree)?;
        let options = Options { address: network::GATEWAY, ..Options::default() };
        let control_plane = ControlPlane::start(stock.tools(), &options)?;
        reached("control plane");
        let mut lab = Self { nodes: Vec::new(), control_plane, iptables, stock, state: state.to_owned() };
        for number in 1..=nodes {
            let node = Node::join(&lab.parts(), &format!("n{number}"), network::address(number))?;
            lab.nodes.push(node);
        }
        reached("Open vSwitch, containerd and kubelet on every node");
        lab.wait_for_nodes()?;
        let node = format!("/api/v1/nodes/{}", lab.nodes[0].name);
        let role = serde_json::json!({ "metadata": { "labels": { "kube-ovn/role": "master" } } });
        lab.control_plane.api().merge(&node, &role)?;
        lab.start_kube_proxy()?;
        lab.install_kube_ovn()?;
        reached("Kube-OVN installed");
        let coredns = format!("registry.k8s.io/coredns/coredns:{}", programs::COREDNS);
        lab.apply(&COREDNS.replace("${IMAGE}", &coredns))?;
        lab.wait_until_ready()?;
        reached("Kube-OVN, kube-proxy and CoreDNS ready");
        Ok(lab)
    }

    /// Pulls a node's plug and boots it from the disk that it has; `index` is its place in [`Lab::nodes`].
    ///
    /// # Errors
    /// As [`Lab::up`]; the node is gone then.
    pub(crate) fn restart(&mut self, index: usize) -> Result<()> {
        let node = self.nodes.remove(index);
        let (name, address) = (node.name.clone(), node.address);
        // The cable first: a network that ends takes its time to let go of it.
        let mut unplug = self.stock.tree.command("ip");
        unplug.args(["link", "delete", &name]);
        tree::run("ip", unplug)?;
        node.end()?;
        let node = Node::boot(&self.parts(), &name, address)?;
        self.nodes.insert(index, node);
        Ok(())
    }

    /// The command, as words, that asks a node's runtime by CRI what it has loaded.
    pub(crate) fn runtime_info(&self, node: &Node) -> Vec<String> {
        self.crictl(node, &["info"])
    }

    /// The command, as words, that asks a node's runtime by CRI.
    pub(crate) fn crictl(&self, node: &Node, args: &[&str]) -> Vec<String> {
        let crictl = self.stock.programs.crictl.to_string_lossy().into_owned();
        let mut words = vec![crictl.as_str(), "--runtime-endpoint", "unix:///run/containerd/containerd.sock"];
        words.extend(args);
        let command = node.command(&words);
        let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
        [command.get_program().to_string_lossy().into_owned()].into_iter().chain(args).collect()
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            tree: &self.stock.tree,
            programs: &self.stock.programs,
            containerd: &self.stock.containerd,
            state: &self.state,
            control_plane: &self.control_plane,
            iptables: self.iptables,
            central: network::address(1),
        }
    }

    /// Applies the manifests of kube-proxy.
    ///
    /// # Errors
    /// [`Error::Script`] with what kubectl said.
    pub(crate) fn start_kube_proxy(&self) -> Result<()> {
        let manifests = KUBE_PROXY.replace("${SERVER}", self.control_plane.server());
        self.apply(&manifests.replace("${IMAGE}", images::KUBE_PROXY_IMAGE))
    }

    /// Has kube-proxy take its rules from every node, once it runs nowhere any more.
    ///
    /// # Errors
    /// [`Error::Script`] with what it said.
    pub(crate) fn clean_kube_proxy(&self) -> Result<()> {
        let program = self.stock.tools().kube_proxy();
        self.nodes.iter().try_for_each(|node| node.run(&[&program.to_string_lossy(), "--cleanup"]).map(drop))
    }

    fn apply(&self, manifests: &str) -> Result<()> {
        let path = self.state.join("apply.yaml");
        fs::write(&path, manifests).map_err(Error::io("write", &path))?;
        self.control_plane.kubectl().run(&["apply", "--filename", &path.to_string_lossy()]).map(drop)
    }

    /// Renders its own chart and applies the manifests, as an installation that no helm owns.
    fn install_kube_ovn(&self) -> Result<()> {
        let mut helm = std::process::Command::new(self.stock.tools().helm3());
        helm.args(["template", "kube-ovn"]).arg(self.stock.programs.kube_ovn_chart());
        helm.args(["--namespace", "kube-system", "--no-hooks"]);
        for value in [
            &format!("MASTER_NODES={}", network::address(1)),
            "networking.IFACE=br-phy",
            "OPENVSWITCH_DIR=/etc/openvswitch",
            "OVN_DIR=/etc/ovn",
            "DISABLE_MODULES_MANAGEMENT=true",
        ] {
            helm.args(["--set", value]);
        }
        self.apply(&tree::run("helm template kube-ovn", helm)?)
    }

    fn wait_for_nodes(&self) -> Result<()> {
        let api = self.control_plane.api();
        wait::until("every kubelet has registered its node", LIMIT, || {
            for node in &self.nodes {
                if api.find(&format!("/api/v1/nodes/{}", node.name))?.is_none() {
                    return Ok(Seen::NotYet(format!("{} is not there", node.name)));
                }
            }
            Ok(Seen::Ready(()))
        })
    }

    /// Waits until every node is Ready and every workload of kube-system has all of its pods ready.
    ///
    /// # Errors
    /// [`Error::Timeout`] with what is not.
    pub fn wait_until_ready(&self) -> Result<()> {
        let api = self.control_plane.api();
        wait::until("the cluster is ready", LIMIT, || {
            let mut waiting = Vec::new();
            for node in api.list("/api/v1/nodes")? {
                let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
                if !conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True") {
                    waiting.push(format!("node {}", name(&node)));
                }
            }
            for (kind, wanted, ready) in [
                ("daemonsets", "/status/desiredNumberScheduled", "/status/numberReady"),
                ("deployments", "/spec/replicas", "/status/readyReplicas"),
            ] {
                for workload in api.list(&format!("/apis/apps/v1/namespaces/kube-system/{kind}"))? {
                    let count = |pointer: &str| workload.pointer(pointer).and_then(Value::as_u64);
                    // A DaemonSet that was just made wants no pod yet.
                    if count(wanted).is_none_or(|wanted| wanted == 0 || count(ready) != Some(wanted)) {
                        waiting.push(format!("{kind} {} {}", name(&workload), workload["status"]));
                    }
                }
            }
            Ok(if waiting.is_empty() { Seen::Ready(()) } else { Seen::NotYet(waiting.join("; ")) })
        })
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
