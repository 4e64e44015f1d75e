//! A cluster read through the trait: what is refused, what is not there, and nodes that answer or do not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ovncilium_core::facts::Facts;
use ovncilium_core::facts::permissions::Permission;
use ovncilium_core::ids::{NodeName, RunId};
use serde_json::json;

use super::nodes::probe;
use super::permissions::{NEEDED, Scope};
use super::pretend::{Pretend, Still};
use super::*;
use crate::node_task::{Task, TaskSettings, pod_manifest, pod_name};

fn options() -> Options {
    Options { context: Some("test".to_owned()), release_namespace: "cilium".to_owned(), now: Timestamp::UNIX_EPOCH }
}

fn kube_ovn(namespace: &str) -> [(Resource, serde_json::Value); 2] {
    let controller = json!({
        "metadata": { "name": "kube-ovn-controller", "namespace": namespace },
        "spec": { "template": { "spec": { "containers": [{ "args": ["/kube-ovn/start-controller.sh"] }] } } },
    });
    let cni = json!({
        "metadata": { "name": "kube-ovn-cni", "namespace": namespace },
        "spec": { "template": { "spec": {
            "containers": [{
                "command": ["bash", "/kube-ovn/start-cniserver.sh"],
                "volumeMounts": [{ "name": "cni-conf", "mountPath": "/etc/cni/net.d" }],
            }],
            "volumes": [{ "name": "cni-conf", "hostPath": { "path": "/etc/cni/net.d" } }],
        } } },
    });
    [(Resource::DEPLOYMENTS, controller), (Resource::DAEMON_SETS, cni)]
}

fn cluster() -> Pretend {
    let cluster = Pretend::default();
    cluster.put(Resource::NAMESPACES, json!({ "metadata": { "name": "kube-system", "uid": "cluster-uid" } }));
    for (resource, object) in kube_ovn("net") {
        cluster.put(resource, object);
    }
    cluster
}

fn reason(facts: &Facts, subject: &str) -> String {
    let unknowns = facts.unknowns();
    unknowns
        .iter()
        .find(|(name, _)| *name == subject)
        .map_or_else(|| "(known)".to_owned(), |(_, why)| (*why).to_owned())
}

#[test]
fn reads_everything_but_what_somebody_else_must_tell() {
    let mut cluster = cluster();
    cluster.not_served = BTreeSet::from([Resource::CILIUM_ENDPOINTS, Resource::VPC_EGRESS_GATEWAYS]);
    let facts = collect(&cluster, &options()).unwrap();
    let unknown: Vec<&str> = facts.unknowns().iter().map(|(name, _)| *name).collect();
    assert_eq!(unknown, ["tools", "conflists", "node-os", "intent"]);
    let server = "https://10.0.0.1:6443".to_owned();
    assert_eq!(
        facts.source,
        Source::Live { server, context: Some("test".to_owned()), cluster: "cluster-uid".to_owned() }
    );
}

#[test]
fn what_is_forbidden_is_unknown_with_the_servers_words() {
    let mut cluster = cluster();
    cluster.forbidden = BTreeSet::from([Resource::PODS, Resource::SUBNETS]);
    let facts = collect(&cluster, &options()).unwrap();
    assert_eq!(
        reason(&facts, "workloads"),
        "pods could not be read: User \"ci\" cannot list resource \"pods\" at the cluster scope \
         (missing permission: list pods in all namespaces)"
    );
    assert!(reason(&facts, "networks").contains("list subnets.kubeovn.io in all namespaces"));
    assert_eq!(reason(&facts, "addresses"), reason(&facts, "networks"));
    assert_eq!(reason(&facts, "kube-ovn"), "(known)");
}

#[test]
fn a_server_that_does_not_answer_or_know_us_is_an_error() {
    let mut cluster = cluster();
    cluster.gone.set(true);
    let error = collect(&cluster, &options()).unwrap_err();
    assert_eq!(error.to_string(), "no answer from the API server at https://10.0.0.1:6443: connection refused");
    assert_eq!(
        (error.exit_code(), error.next_step().line().as_str()),
        (ExitCode::Refused, "run `kubectl get --raw /readyz`")
    );
    cluster.gone.set(false);
    cluster.forbidden = BTreeSet::from([Resource::NAMESPACES]);
    let error = collect(&cluster, &options()).unwrap_err();
    assert!(error.to_string().starts_with("https://10.0.0.1:6443 does not let us read the namespace kube-system"));
    let empty = Pretend::default();
    assert!(matches!(collect(&empty, &options()), Err(CollectError::NoCluster { .. })));
}

#[test]
fn two_installations_are_known_and_none_of_them_is_chosen() {
    let cluster = cluster();
    for (resource, object) in kube_ovn("kube-system") {
        cluster.put(resource, object);
    }
    let facts = collect(&cluster, &options()).unwrap();
    let error = facts.kube_ovn.value.known().unwrap().the_one().unwrap_err();
    assert!(
        error.to_string().contains("kube-system/kube-ovn-controller and deployment net/kube-ovn-controller"),
        "{error}"
    );
    // Nobody knows the namespace, so the question is for all of them.
    let permissions = facts.permissions.value.known().unwrap();
    assert!(permissions.items.iter().any(|p| p.resource == "leases" && p.namespace.is_empty()));
}

/// Whether such requests are made only with something that is not here: a ConfigMap, a Helm release.
fn only_with(scope: Scope) -> bool {
    matches!(scope, Scope::ConfigMaps | Scope::OwnerRelease | Scope::Owned | Scope::OwnedClusterWide)
}

#[test]
fn asks_for_every_request_in_the_namespace_where_it_is_made() {
    let mut cluster = cluster();
    cluster.denied = BTreeSet::from(["create pods/eviction", "patch nodes"]);
    let facts = collect(&cluster, &options()).unwrap();
    let permissions = facts.permissions.value.known().unwrap();
    let asked = NEEDED.iter().filter(|needed| !only_with(needed.scope)).map(|needed| needed.verbs.len());
    assert_eq!(permissions.items.len(), asked.sum::<usize>(), "nobody here is configured by a ConfigMap");
    let denied: Vec<String> = permissions
        .items
        .iter()
        .filter(|p| !p.allowed)
        .map(|p| format!("{} {} {}", p.verb, p.resource, p.needed_for))
        .collect();
    assert_eq!(denied, ["patch nodes to label nodes: the cutover", "create pods/eviction to have old pods made again"]);
    let at = |resource: &str, verb: &str| {
        let found = permissions.items.iter().filter(|p| p.resource == resource && p.verb == verb);
        found.map(|p| p.namespace.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(at("leases", "create"), ["net"]);
    assert_eq!(at("secrets", "create"), ["cilium"]);
    assert_eq!(at("pods", "delete"), ["net", "cilium"]);
    assert_eq!(at("pods", "list"), [""]);
}

#[test]
fn asks_for_config_maps_in_the_namespaces_they_are_read_in() {
    let mut cluster = cluster();
    let proxy = |namespace: &str, map: &str| {
        json!({
            "metadata": { "name": "kube-proxy", "namespace": namespace },
            "spec": { "template": { "spec": {
                "containers": [{
                    "command": ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"],
                    "volumeMounts": [{ "name": "config", "mountPath": "/var/lib/kube-proxy" }],
                }],
                "volumes": [{ "name": "config", "configMap": { "name": map } }],
            } } },
        })
    };
    cluster.put(Resource::DAEMON_SETS, proxy("proxies", "kube-proxy"));
    let multus = json!({
        "metadata": { "name": "multus", "namespace": "openshift-multus" },
        "spec": { "template": { "spec": { "containers": [{}], "volumes": [{ "configMap": { "name": "multus-daemon-config" } }] } } },
    });
    cluster.put(Resource::DAEMON_SETS, multus);
    cluster.denied = BTreeSet::from(["get configmaps"]);
    let facts = collect(&cluster, &options()).unwrap();
    let permissions = facts.permissions.value.known().unwrap();
    let read = |p: &&Permission| p.resource == "configmaps" && p.verb == "get" && !p.allowed;
    let places: BTreeSet<&str> = permissions.items.iter().filter(read).map(|p| p.namespace.as_str()).collect();
    assert_eq!(places, BTreeSet::from(["cilium", "net", "openshift-multus", "proxies"]));
}

#[test]
fn every_listing_that_is_read_is_a_permission_that_is_asked_for() {
    for resource in READ {
        let asked = NEEDED.iter().any(|needed| {
            (needed.group, needed.resource) == (resource.group, resource.plural) && needed.verbs.contains(&"list")
        });
        assert!(asked, "list {}", resource.plural);
    }
}

fn settings() -> TaskSettings {
    TaskSettings {
        namespace: "net".to_owned(),
        image: "kube-ovn".to_owned(),
        image_pull_secrets: vec![],
        conf_dir: "/etc/cni/net.d".to_owned(),
    }
}

fn answered(message: &str) -> serde_json::Value {
    json!({ "phase": "Succeeded", "containerStatuses": [{ "state": { "terminated": { "exitCode": 0, "message": message } } }] })
}

fn nodes(names: &[&str]) -> Vec<NodeName> {
    names.iter().map(|name| NodeName::from(*name)).collect()
}

fn run() -> RunId {
    RunId::from("0123456789ab")
}

#[test]
fn nodes_answer_or_are_silent_with_a_reason_and_no_pod_stays() {
    let mut cluster = cluster();
    let waiting = json!({ "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } } });
    cluster.kubelets = BTreeMap::from([
        ("a".to_owned(), answered("kernel 6.1.0\ndevice ovn0\n")),
        ("b".to_owned(), json!({ "phase": "Pending", "containerStatuses": [waiting] })),
        ("c".to_owned(), json!({ "phase": "Failed", "reason": "OutOfpods", "message": "no room" })),
        ("d".to_owned(), answered("what?")),
    ]);
    let (conflists, os) = probe(&cluster, &Still::default(), &settings(), &nodes(&["a", "b", "c", "d", "e"]), &run());
    assert_eq!((os.nodes.len(), os.nodes[0].kernel.as_str()), (1, "6.1.0"));
    assert_eq!((conflists.nodes.len(), conflists.nodes[0].dir.as_str()), (1, "/etc/cni/net.d"));
    let silent: Vec<String> = conflists.silent.iter().map(|s| format!("{}: {}", s.node, s.reason)).collect();
    assert_eq!(
        silent,
        [
            "b: no answer within 75 seconds: ImagePullBackOff: no such image",
            "c: the pod failed: OutOfpods: no room",
            "d: line 1 of the answer is not understood: `what?`",
            "e: no answer within 75 seconds: its kubelet has not started the pod",
        ]
    );
    assert_eq!(cluster.pods(), 0);
}

#[test]
fn sixteen_nodes_are_looked_at_side_by_side() {
    let mut cluster = cluster();
    let names: Vec<String> = (0..40).map(|n| format!("n{n:02}")).collect();
    cluster.kubelets = names.iter().map(|name| (name.clone(), answered("kernel 6.1.0\n"))).collect();
    let nodes: Vec<NodeName> = names.iter().map(|name| NodeName::from(name.as_str())).collect();
    let clock = Still::default();
    let (conflists, _) = probe(&cluster, &clock, &settings(), &nodes, &run());
    assert_eq!((conflists.nodes.len(), conflists.silent.len()), (40, 0));
    assert_eq!((cluster.most.get(), cluster.pods()), (16, 0));
    assert!(clock.since_boot.get() < Duration::from_secs(5));
}

#[test]
fn an_old_pod_of_the_same_name_is_not_believed() {
    let mut cluster = cluster();
    cluster.kubelets = BTreeMap::from([("a".to_owned(), answered("kernel new\n"))]);
    let mut old = pod_manifest(Task::Probe, "a", run().as_str(), &settings(), &[]);
    old["status"] = answered("kernel old\n");
    cluster.put(Resource::PODS, old);
    let (_, os) = probe(&cluster, &Still::default(), &settings(), &nodes(&["a"]), &run());
    assert_eq!(os.nodes[0].kernel, "new");
    assert_eq!(cluster.pods(), 0);
}

#[test]
fn a_person_who_stops_leaves_no_pods_and_the_rest_silent() {
    let cluster = cluster();
    let clock = Still { stop_at: Some(Duration::from_secs(2)), ..Still::default() };
    let names: Vec<String> = (0..20).map(|n| format!("n{n:02}")).collect();
    let nodes: Vec<NodeName> = names.iter().map(|name| NodeName::from(name.as_str())).collect();
    let (conflists, _) = probe(&cluster, &clock, &settings(), &nodes, &run());
    assert_eq!(conflists.silent.len(), 20);
    assert!(conflists.silent.iter().all(|silent| silent.reason == "stopped on request"));
    assert_eq!(cluster.pods(), 0);
}

#[test]
fn pods_that_may_not_be_made_or_seen_make_nodes_silent() {
    let mut refusing = cluster();
    refusing.denied = BTreeSet::from(["create pods"]);
    let (conflists, _) = probe(&refusing, &Still::default(), &settings(), &nodes(&["a"]), &run());
    assert_eq!(conflists.silent[0].reason, "create pods is forbidden: no");
    let gone = cluster();
    gone.gone.set(true);
    let (conflists, _) = probe(&gone, &Still::default(), &settings(), &nodes(&["a"]), &run());
    assert!(conflists.silent[0].reason.contains("no answer from the API server"), "{}", conflists.silent[0].reason);
}

#[test]
fn the_name_of_a_probe_is_ours() {
    assert!(pod_name(Task::Probe, "a", run().as_str()).starts_with(ovncilium_core::plan::writes::OUR_PREFIX));
}
