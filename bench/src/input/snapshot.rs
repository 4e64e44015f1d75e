//! A made-up snapshot of a large cluster: Kube-OVN with geneve and kube-proxy, nodes looked at, no Cilium yet.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_core::facts::addresses::{Addresses, Range};
use ovncilium_core::facts::cilium::Cilium;
use ovncilium_core::facts::conflists::{ConfDir, ConfFile, Conflists};
use ovncilium_core::facts::kube_ovn::{CniDaemon, Controller, Installation, KubeOvn};
use ovncilium_core::facts::multus::Multus;
use ovncilium_core::facts::networks::{Networks, Subnet};
use ovncilium_core::facts::node_os::{NodeOs, Os};
use ovncilium_core::facts::nodes::{Node, Nodes};
use ovncilium_core::facts::permissions::{Permission, Permissions};
use ovncilium_core::facts::services::{Provider, Services};
use ovncilium_core::facts::tools::{Helm, Tools};
use ovncilium_core::facts::workloads::{Pod, Unmanaged, Workloads};
use ovncilium_core::facts::{Facts, Source, Subject, file};

/// Pods of each node.
pub(crate) const PODS_PER_NODE: usize = 30;
const KERNEL: &str = "5.15.0-113-generic";

/// A facts file of a cluster with this many nodes and thirty pods on each.
///
/// # Errors
/// Never: it can be written.
pub(crate) fn snapshot(nodes: usize) -> Result<String, serde_json::Error> {
    let at = Timestamp::UNIX_EPOCH;
    let server = "https://10.96.0.1:6443".to_owned();
    let source = Source::Live { server, context: None, cluster: "made up".to_owned() };
    let mut facts = Facts::unknown(source, at, "not made up");
    facts.nodes = Subject::known(Nodes { items: (0..nodes).map(node).collect() }, at);
    let pods: Vec<Pod> = (0..nodes * PODS_PER_NODE).map(pod).collect();
    let unmanaged = Unmanaged { pods: u32::try_from(pods.len()).unwrap_or(u32::MAX), ..Unmanaged::default() };
    facts.workloads = Subject::known(Workloads { pods, unmanaged: Some(unmanaged), ..Workloads::default() }, at);
    facts.kube_ovn = Subject::known(KubeOvn { installations: vec![kube_ovn()] }, at);
    facts.cilium = Subject::known(Cilium::default(), at);
    facts.addresses = Subject::known(Addresses { ranges: (0..nodes).map(range).collect() }, at);
    let conflists = Conflists { nodes: (0..nodes).map(conf_dir).collect(), ..Conflists::default() };
    facts.conflists = Subject::known(conflists, at);
    let count = u32::try_from(nodes).unwrap_or(u32::MAX);
    let provider = Provider {
        kind: "kube-proxy".to_owned(),
        object: "daemonset kube-system/kube-proxy".to_owned(),
        desired: count,
        ready: count,
        ..Provider::default()
    };
    let helm = Helm { path: "/usr/local/bin/helm".to_owned(), version: Some("v3.19.5".to_owned()) };
    facts.tools = Subject::known(Tools { helm: Some(helm) }, at);
    facts.networks = Subject::known(networks(), at);
    facts.multus = Subject::known(Multus::default(), at);
    facts.permissions = Subject::known(Permissions { items: permissions() }, at);
    facts.node_os = Subject::known(NodeOs { nodes: (0..nodes).map(os).collect() }, at);
    facts.services = Subject::known(Services { providers: vec![provider], ..Services::default() }, at);
    file::write(&facts)
}

fn worker(index: usize) -> String {
    format!("worker-{index:05}")
}

fn kube_ovn() -> Installation {
    Installation {
        namespace: "kube-system".to_owned(),
        version: Some("v1.14.41".to_owned()),
        controller: Controller {
            name: "kube-ovn-controller".to_owned(),
            flags_in: "args".to_owned(),
            enable_lb: true,
            enable_np: true,
            replicas: Some(3),
            ..Controller::default()
        },
        cni: CniDaemon {
            name: "kube-ovn-cni".to_owned(),
            conf_dir: "/etc/cni/net.d".to_owned(),
            conf_name: "01-kube-ovn.conflist".to_owned(),
            network_type: "geneve".to_owned(),
            ..CniDaemon::default()
        },
        ..Installation::default()
    }
}

fn networks() -> Networks {
    let subnet = |name: &str, cidr: &str| Subnet {
        name: name.to_owned(),
        cidrs: vec![cidr.to_owned()],
        vpc: "ovn-cluster".to_owned(),
        protocol: "IPv4".to_owned(),
        ..Subnet::default()
    };
    Networks {
        subnets: vec![subnet("join", "100.64.0.0/16"), subnet("ovn-default", "10.16.0.0/16")],
        default_vpc_load_balancer: Some("cluster-tcp-loadbalancer".to_owned()),
        default_vpc_standby: Some(true),
        ..Networks::default()
    }
}

/// As many answers as a collection asks for.
fn permissions() -> Vec<Permission> {
    let resources = ["nodes", "pods", "namespaces", "services", "configmaps", "secrets", "events", "serviceaccounts"];
    let verbs = ["get", "list", "create", "patch", "delete"];
    let one = |resource: &str, verb: &str| Permission {
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        namespace: "kube-system".to_owned(),
        allowed: true,
        needed_for: "a request of a migration".to_owned(),
        ..Permission::default()
    };
    resources.iter().flat_map(|resource| verbs.map(|verb| one(resource, verb))).collect()
}

fn os(index: usize) -> Os {
    let devices = ["genev_sys_6081", "ovn0"].map(str::to_owned).to_vec();
    Os { node: worker(index), kernel: KERNEL.to_owned(), devices }
}

fn range(index: usize) -> Range {
    let cidr = format!("192.168.{}.{}/32", index / 256, index % 256);
    Range { kind: "node".to_owned(), user: format!("node {}", worker(index)), cidr }
}

fn conf_dir(index: usize) -> ConfDir {
    let file = ConfFile {
        name: "01-kube-ovn.conflist".to_owned(),
        sha256: format!("sha256:{}", "0f".repeat(32)),
        network: "kube-ovn".to_owned(),
        plugins: ["kube-ovn", "portmap"].map(str::to_owned).to_vec(),
    };
    ConfDir { node: worker(index), dir: "/etc/cni/net.d".to_owned(), files: vec![file] }
}

fn node(index: usize) -> Node {
    let name = worker(index);
    let address = format!("192.168.{}.{}", index / 256, index % 256);
    let labels = [
        ("kubernetes.io/hostname", name.as_str()),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/os", "linux"),
        ("node.kubernetes.io/instance-type", "m5.2xlarge"),
        ("topology.kubernetes.io/region", "region-1"),
        ("topology.kubernetes.io/zone", "region-1a"),
        ("kube-ovn/role", "worker"),
    ];
    Node {
        uid: format!("00000000-0000-4000-8000-{index:012}"),
        kernel: Some(KERNEL.to_owned()),
        os_image: Some("Ubuntu 22.04.4 LTS".to_owned()),
        architecture: Some("amd64".to_owned()),
        container_runtime: Some("containerd://1.7.24".to_owned()),
        internal_ips: vec![address],
        control_plane: index < 5,
        ready: true,
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect::<BTreeMap<_, _>>(),
        name,
        ..Node::default()
    }
}

fn pod(index: usize) -> Pod {
    let app = format!("app-{:06}-7d9c5b6f4", index / 3);
    Pod {
        namespace: format!("team-{:03}", index % 500),
        name: format!("{app}-x{index:04x}"),
        uid: format!("00000000-0000-4000-9000-{index:012}"),
        node: worker(index / PODS_PER_NODE),
        phase: "Running".to_owned(),
        ips: vec![format!("10.{}.{}.{}", 16 + index / 65536, index / 256 % 256, index % 256)],
        ready: true,
        owner_kind: "ReplicaSet".to_owned(),
        owner_name: app,
        ..Pod::default()
    }
}
