//! Facts of a large cluster: no built-in policy asks for more than may cross at once.

use ovncilium_core::facts::addresses::{Addresses, Range};
use ovncilium_core::facts::cilium::{Cilium, Endpoint};
use ovncilium_core::facts::conflists::{ConfDir, ConfFile, Conflists};
use ovncilium_core::facts::networks::Networks;
use ovncilium_core::facts::nodes::{Node, Nodes};
use ovncilium_core::facts::permissions::Permissions;
use ovncilium_core::facts::services::Services;
use ovncilium_core::facts::workloads::{Pod, Unmanaged, Workloads};
use ovncilium_core::facts::{Facts, Subject, intent};
use ovncilium_policy_host::{DocumentSource, EvaluateOptions, evaluate};
use serde_json::json;

use crate::support::{Values, builtin, no_facts, now};

const NODES: usize = 5_000;
const PODS: u32 = 150_000;

/// Names as long as those of Deployments in production.
fn pod(index: u32) -> Pod {
    Pod {
        namespace: format!("team-{:03}-production", index % 400),
        name: format!("checkout-service-worker-{index:06}-7d9f8b6c5d-x2x4z"),
        uid: format!("01234567-89ab-cdef-0123-{index:012}"),
        node: format!("worker-{:04}.internal.example.com", index as usize % NODES),
        phase: "Running".to_owned(),
        ips: vec![format!("10.{}.{}.{}", 16 + index / 65536, index / 256 % 256, index % 256)],
        ready: true,
        owner_kind: "ReplicaSet".to_owned(),
        owner_name: format!("checkout-service-worker-{index:06}-7d9f8b6c5d"),
        ..Pod::default()
    }
}

fn large() -> Facts {
    let mut facts = no_facts();
    let node = |index: usize| format!("worker-{index:04}.internal.example.com");
    let items =
        (0..NODES).map(|at| Node { name: node(at), kernel: Some("6.1.0".to_owned()), ..Node::default() }).collect();
    facts.nodes = Subject::known(Nodes { items }, now());
    let range =
        |at| Range { kind: "node".to_owned(), user: format!("node {}", node(at)), cidr: "192.168.0.1".to_owned() };
    facts.addresses = Subject::known(Addresses { ranges: (0..NODES).map(range).collect() }, now());
    let file = || ConfFile {
        name: "01-kube-ovn.conflist".to_owned(),
        sha256: format!("sha256:{}", "0".repeat(64)),
        network: "kube-ovn".to_owned(),
        plugins: vec!["kube-ovn".to_owned(), "portmap".to_owned()],
    };
    let dir = |at| ConfDir { node: node(at), dir: "/etc/cni/net.d".to_owned(), files: vec![file(), file()] };
    facts.conflists = Subject::known(Conflists { nodes: (0..NODES).map(dir).collect(), ..Conflists::default() }, now());
    let pods: Vec<Pod> = (0..PODS).map(pod).collect();
    let endpoint = |pod: &Pod| Endpoint {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        ips: pod.ips.clone(),
        state: "ready".to_owned(),
    };
    let endpoints = pods.iter().skip(1_000).map(endpoint).collect();
    facts.cilium = Subject::known(Cilium { endpoints, ..Cilium::default() }, now());
    let network_policies = (0..20_000).map(|at| format!("team-{:03}-production/allow-{at:05}", at % 400)).collect();
    let unmanaged = Some(Unmanaged { pods: 1_000, dns: Vec::new() });
    facts.workloads = Subject::known(Workloads { pods, network_policies, unmanaged, ..Workloads::default() }, now());
    facts.networks = Subject::known(Networks::default(), now());
    facts.services = Subject::known(Services::default(), now());
    facts.permissions = Subject::known(Permissions::default(), now());
    facts.intent = Subject::known(intent::Intent::default(), now());
    facts
}

#[test]
fn no_built_in_policy_asks_for_more_than_may_cross_at_once() {
    let stream = Values(vec![json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cilium-config" },
        "data": { "policy-audit-mode": "false", "unmanaged-pod-watcher-interval": "15s" },
    })]);
    let facts = large();
    let whole = serde_json::to_string(&facts.workloads.value).unwrap().len();
    assert!(whole > 8 << 20, "{whole} bytes of pods would cross as they are: this test proves nothing");
    let evaluation =
        evaluate(&builtin(), &facts.into(), Some(&stream as &dyn DocumentSource), &EvaluateOptions::at(now()));
    assert!(evaluation.faults.is_empty(), "{:?}", evaluation.faults);
    let large = |text: &str| text.contains("too many to be judged");
    let refused: Vec<_> = evaluation.findings.iter().filter(|finding| large(&finding.message)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let told: Vec<&str> = evaluation
        .findings
        .iter()
        .filter(|finding| finding.rule.as_str() == "enforcement-spares-unmanaged")
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(told, ["1000 pods are not managed by Cilium, and 20000 policies would be enforced"]);
}
