//! Inputs that are made up: a rendered chart and a snapshot, of the sizes that matter.

use std::fmt::Write as _;

use jiff::Timestamp;
use ovncilium_core::facts::nodes::{Node, Nodes};
use ovncilium_core::facts::workloads::{Pod, Workloads};
use ovncilium_core::facts::{Facts, Source, Subject, file};

/// Documents of a render of Cilium's chart, and its bytes.
const DOCUMENTS: usize = 36;
const BYTES: usize = 85 * 1024;
const PODS_PER_NODE: usize = 30;

/// A stream of the size of Cilium 1.20's, whose cilium-config chains.
pub(crate) fn stream() -> String {
    let mut stream = String::from(
        "---\n# Source: cilium/templates/cilium-configmap.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\n  \
         namespace: kube-system\ndata:\n  cni-chaining-mode: generic-veth\n  routing-mode: native\n  enable-ipv4: \"true\"\n  \
         enable-ipv4-masquerade: \"false\"\n  enable-ipv6: \"false\"\n  enable-ipv6-masquerade: \"false\"\n  cni-exclusive: \"false\"\n",
    );
    let each = BYTES.saturating_sub(stream.len()) / (DOCUMENTS - 1);
    for number in 1..DOCUMENTS {
        let end = stream.len() + each;
        let _cannot_fail = write!(
            stream,
            "---\n# Source: cilium/templates/part-{number}.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: part-{number}\n  \
             namespace: kube-system\ndata:\n"
        );
        let mut key = 0;
        while stream.len() < end {
            let _cannot_fail =
                writeln!(stream, "  key-{key:03}: \"value {key} of a made-up document\" # as charts comment");
            key += 1;
        }
    }
    stream
}

/// A snapshot of a cluster with this many nodes and thirty pods on each, as a file.
///
/// # Errors
/// Never: it can be written.
pub(crate) fn facts(nodes: usize) -> Result<String, serde_json::Error> {
    let at = Timestamp::UNIX_EPOCH;
    let mut facts = Facts::unknown(Source::Offline, at, "made up for a measurement");
    let node = |index: usize| Node {
        name: format!("worker-{index:05}"),
        uid: format!("00000000-0000-4000-8000-{index:012}"),
        kernel: Some("5.15.0-113-generic".to_owned()),
        ready: true,
        ..Node::default()
    };
    facts.nodes = Subject::known(Nodes { items: (0..nodes).map(node).collect() }, at);
    let pod = |index: usize| Pod {
        namespace: format!("team-{:03}", index % 500),
        name: format!("app-{index:06}-7d9c5b6f4-x2x{:02}", index % 100),
        uid: format!("00000000-0000-4000-9000-{index:012}"),
        node: format!("worker-{:05}", index / PODS_PER_NODE),
        phase: "Running".to_owned(),
        ips: vec![format!("10.{}.{}.{}", 16 + index / 65536, index / 256 % 256, index % 256)],
        ready: true,
        owner_kind: "ReplicaSet".to_owned(),
        owner_name: format!("app-{index:06}-7d9c5b6f4"),
        ..Pod::default()
    };
    let pods = (0..nodes * PODS_PER_NODE).map(pod).collect();
    facts.workloads = Subject::known(Workloads { pods, ..Workloads::default() }, at);
    file::write(&facts)
}
