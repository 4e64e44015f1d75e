//! kube-proxy that a distribution starts and stops.

use std::time::Duration;

use ovncilium_core::plan::kube_proxy::ApiServer;
use ovncilium_core::plan::{Action, Resource, lint};
use ovncilium_engine::run::Ended;
use ovncilium_engine::world::Cluster as _;
use ovncilium_sim::{ActorCluster as _, SimCluster};
use serde_json::json;

use super::support::*;

fn told_by_kubelets(sim: &SimCluster, field: &str, value: &str) {
    for name in node_names(sim) {
        let status = json!({ "status": { "nodeInfo": { field: value } } });
        sim.person().patch_status(&Resource::NODES.named("", &name), &status).unwrap();
    }
}

/// As k3s notes its command line, whose servers are the control planes.
fn note_of_k3s(sim: &SimCluster, disabled: bool) {
    note(sim, "k3s", disabled);
}

/// The same of RKE2.
fn note(sim: &SimCluster, of: &str, disabled: bool) {
    let path = format!("/metadata/annotations/{of}.io~1node-args");
    for name in node_names(sim) {
        let words = match name.starts_with("control") {
            true => json!(["server", "--disable-kube-proxy", disabled.to_string()]),
            false => json!(["agent"]),
        };
        let note = json!([{ "op": "add", "path": path, "value": words.to_string() }]);
        sim.person().json_patch(&Resource::NODES.named("", &name), &note).unwrap();
    }
}

fn run_within_k3s(sim: &SimCluster, runs: bool) {
    for name in node_names(sim) {
        sim.nodes_mut().node(&name).embedded_proxy = runs;
    }
}

/// The example on k3s, migrated; kube-proxy is part of its process.
fn on_k3s(seed: u64) -> SimCluster {
    migrated_after(seed, |sim| {
        told_by_kubelets(sim, "kubeletVersion", "v1.34.4+k3s1");
        note_of_k3s(sim, false);
        run_within_k3s(sim, true);
        sim.person().delete(&Resource::DAEMON_SETS.named("kube-system", "kube-proxy"), None).unwrap();
        sim.pass_time(Duration::from_secs(30));
    })
}

fn server() -> Option<ApiServer> {
    ApiServer::parse("192.168.10.11:6443", None)
}

/// The way back waits for whoever turns the switch, while Cilium serves.
fn asks_for_the_switch_back(sim: &SimCluster) {
    let back = way_back(sim);
    assert_eq!(lint::lint(&back), vec![]);
    let ended = process(sim, Some(&back));
    let waits = matches!(&ended, Ok(Ended::Paused(reason)) if reason.contains("disable-kube-proxy: false"));
    assert!(waits, "nobody has turned it back, and it ended so: {ended:?}");
    assert_eq!(values(sim)["kubeProxyReplacement"], "true", "Cilium serves until then");
}

#[test]
fn k3s_is_told_its_own_switch_which_is_proven_both_ways() {
    let sim = on_k3s(40);
    let values_before = values(&sim);
    assert!(refusal(&sim).contains("API server's own address is not known: kube-proxy of k3s"), "{}", refusal(&sim));
    let plan = replacement_by(&sim, server()).unwrap();
    assert_eq!(lint::lint(&plan), vec![]);
    assert!(
        !plan.steps().any(|(_, _, step)| matches!(step.action, Action::CleanKubeProxy | Action::LimitKubeProxy { .. }))
    );
    assert!(plan.consequences.iter().any(|line| line.contains("disable-kube-proxy: true")), "{:?}", plan.consequences);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("nobody has turned the switch") };
    assert!(reason.contains("disable-kube-proxy: true") && reason.contains("/etc/rancher/k3s/config.yaml"), "{reason}");
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces), "Cilium serves before anybody is asked");
    // The servers say so, and one of them was not restarted with it.
    note_of_k3s(&sim, true);
    run_within_k3s(&sim, false);
    sim.nodes_mut().node("worker-2").embedded_proxy = true;
    let Ok(Ended::Paused(reason)) = process(&sim, None) else { panic!("one node was not restarted") };
    assert!(reason.contains("kube-proxy still runs on worker-2"), "{reason}");
    run_within_k3s(&sim, false);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    always_served(&sim);

    asks_for_the_switch_back(&sim);
    note_of_k3s(&sim, false);
    run_within_k3s(&sim, true);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(values(&sim), values_before);
    assert!(sim.nodes().iter().all(|(_, node)| !node.replaces && node.proxy_rules));
    always_served(&sim);
}

#[test]
fn a_kube_proxy_that_talos_applies_is_not_ours_to_limit_and_its_rules_are_cleaned() {
    let set = Resource::DAEMON_SETS.named("kube-system", "kube-proxy");
    let sim = migrated_after(41, |sim| {
        told_by_kubelets(sim, "osImage", "Talos (v1.11.2)");
    });
    let applied = sim.person().get(&set).unwrap().unwrap();
    let plan = replacement(&sim).unwrap();
    assert_eq!(lint::lint(&plan), vec![]);
    assert!(!plan.steps().any(|(_, _, step)| matches!(step.action, Action::LimitKubeProxy { .. })));
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("nobody has turned the switch") };
    assert!(reason.contains("cluster.proxy.disabled: true") && reason.contains("delete the DaemonSet"), "{reason}");
    assert_eq!(sim.person().get(&set).unwrap().unwrap()["spec"], applied["spec"]);
    sim.person().delete(&set, None).unwrap();
    sim.pass_time(Duration::from_secs(30));
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces && !node.proxy_rules));
    let back = way_back(&sim);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&back)) else { panic!("nobody has turned it back") };
    assert!(reason.contains("cluster.proxy.disabled: false"), "{reason}");
    let mut again = applied;
    again["metadata"] = json!({ "namespace": "kube-system", "name": "kube-proxy" });
    again.as_object_mut().unwrap().remove("status");
    sim.person().create(&Resource::DAEMON_SETS, &again).unwrap();
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert!(sim.nodes().iter().all(|(_, node)| !node.replaces && node.proxy_rules));
    always_served(&sim);
}

#[test]
fn rules_that_k3s_has_left_prove_nothing_of_the_kube_proxy_that_starts() {
    let sim = on_k3s(46);
    let replaced = replacement_by(&sim, server()).unwrap();
    assert!(matches!(process(&sim, Some(&replaced)), Ok(Ended::Paused(_))), "nobody has turned the switch");
    note_of_k3s(&sim, true);
    run_within_k3s(&sim, false);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert!(sim.nodes().iter().all(|(_, node)| node.proxy_rules), "nobody takes them away");
    // It is started again and does not reach the API server.
    note_of_k3s(&sim, false);
    run_within_k3s(&sim, true);
    sim.nodes_mut().node("worker-2").stuck_proxy = true;
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&way_back(&sim))) else { panic!("it believed old rules") };
    assert!(reason.contains("kube-proxy on worker-2 has not written its rules since it was started"), "{reason}");
    assert_eq!(values(&sim)["kubeProxyReplacement"], "true", "Cilium serves until then");
    always_served(&sim);
    sim.nodes_mut().node("worker-2").stuck_proxy = false;
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    always_served(&sim);
}

#[test]
fn a_daemon_set_that_starts_on_rules_that_were_left_is_waited_for() {
    let sim = migrated(47);
    let plan = replacement(&sim).unwrap();
    // Every kube-proxy has gone and its rules are still there.
    let half = without(&plan, &|action| matches!(action, Action::CleanKubeProxy));
    assert_eq!(process(&sim, Some(&half)), Ok(Ended::Done));
    sim.nodes_mut().node("worker-2").stuck_proxy = true;
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&way_back(&sim))) else { panic!("it believed old rules") };
    assert!(reason.contains("kube-proxy on worker-2 has not written its rules since it was started"), "{reason}");
    sim.nodes_mut().node("worker-2").stuck_proxy = false;
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    always_served(&sim);
}

/// What RKE2 writes into the directory of a kubelet, as that shows it to the API server.
fn static_pods(sim: &SimCluster, on: bool) {
    for name in node_names(sim) {
        let pod = format!("kube-proxy-{name}");
        if !on {
            sim.person().delete(&Resource::PODS.named("kube-system", &pod), None).unwrap();
            continue;
        }
        let node = sim.person().get(&Resource::NODES.named("", &name)).unwrap().unwrap();
        let owner = json!({
            "apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"], "controller": true,
        });
        let mirror = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": "kube-system", "name": pod, "labels": { "component": "kube-proxy", "tier": "control-plane" },
                "ownerReferences": [owner],
            },
            "spec": {
                "nodeName": name, "hostNetwork": true,
                "containers": [{
                    "name": "kube-proxy", "image": "rancher/hardened-kubernetes:v1.34.4-rke2r1", "command": ["kube-proxy"],
                }],
            },
        });
        sim.person().create(&Resource::PODS, &mirror).unwrap();
    }
    sim.pass_time(Duration::from_secs(30));
}

#[test]
fn rke2_takes_its_static_pods_away_itself_and_their_rules_are_cleaned_by_their_image() {
    let sim = migrated_after(58, |sim| {
        told_by_kubelets(sim, "kubeletVersion", "v1.34.4+rke2r1");
        note(sim, "rke2", false);
        static_pods(sim, true);
        sim.person().delete(&Resource::DAEMON_SETS.named("kube-system", "kube-proxy"), None).unwrap();
        sim.pass_time(Duration::from_secs(30));
    });
    let values_before = values(&sim);
    let plan = replacement_by(&sim, server()).unwrap();
    assert_eq!(lint::lint(&plan), vec![]);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("nobody has turned the switch") };
    assert!(
        reason.contains("disable-kube-proxy: true") && reason.contains("/etc/rancher/rke2/config.yaml"),
        "{reason}"
    );
    // The servers say so, and their kubelets still have the pods.
    note(&sim, "rke2", true);
    let Ok(Ended::Paused(reason)) = process(&sim, None) else { panic!("the pods are there") };
    assert!(reason.contains("kube-system/kube-proxy-"), "{reason}");
    assert!(sim.nodes().iter().all(|(_, node)| node.proxy_rules), "nothing is cleaned beside a kube-proxy");
    static_pods(&sim, false);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces && !node.proxy_rules && !node.kube_proxy));
    let images = sim.store().log().into_iter().filter(|write| write.object.name.starts_with("ovncilium-unproxy-"));
    let images: Vec<String> = images
        .filter(|write| write.verb == "create")
        .map(|write| write.request["spec"]["initContainers"][1]["image"].to_string())
        .collect();
    assert_eq!(images, vec![r#""rancher/hardened-kubernetes:v1.34.4-rke2r1""#; 5]);
    always_served(&sim);

    asks_for_the_switch_back(&sim);
    note(&sim, "rke2", false);
    static_pods(&sim, true);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert_eq!(values(&sim), values_before);
    assert!(sim.nodes().iter().all(|(_, node)| !node.replaces && node.proxy_rules));
    always_served(&sim);
}
