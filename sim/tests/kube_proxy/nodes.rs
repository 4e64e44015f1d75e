//! Nodes that are away while kube-proxy is brought back, or that restart and join while Cilium serves in its place.

use std::time::Duration;

use ovncilium_core::plan::kube_proxy::restore::away_since;
use ovncilium_core::plan::{Action, Resource, lint};
use ovncilium_engine::run::Ended;
use ovncilium_engine::world::{Cluster as _, Filter};
use ovncilium_sim::SimCluster;
use serde_json::{Value, json};

use super::support::*;

const AWAY: &str = "worker-3";

/// A cluster in which Cilium has replaced kube-proxy, and what it was before.
fn replaced(seed: u64) -> (SimCluster, std::collections::BTreeMap<String, Value>) {
    let sim = migrated(seed);
    let before = state(&sim);
    assert_eq!(process(&sim, Some(&replacement(&sim).unwrap())), Ok(Ended::Done));
    (sim, before)
}

/// The kubelet of a node answers no more, or again; what runs on it goes on.
fn silence(sim: &SimCluster, node: &str, silent: bool) {
    sim.nodes_mut().node(node).silent = silent;
    // Somebody writes, so that the others look.
    let label = json!([{ "op": "add", "path": "/metadata/annotations/seen", "value": silent.to_string() }]);
    sim.person().json_patch(&Resource::NODES.named("", "worker-1"), &label).unwrap();
    sim.pass_time(Duration::from_secs(60));
}

fn selector(sim: &SimCluster) -> String {
    let set = sim.person().get(&Resource::DAEMON_SETS.named("kube-system", "kube-proxy")).unwrap().unwrap();
    set["spec"]["template"]["spec"]["nodeSelector"].to_string()
}

/// Nodes on which Cilium serves, and those on which kube-proxy does.
fn served(sim: &SimCluster) -> (Vec<String>, usize) {
    let nodes = sim.nodes();
    let by_cilium = nodes.iter().filter(|(_, node)| node.replaces).map(|(name, _)| name.clone());
    (by_cilium.collect(), nodes.iter().filter(|(_, node)| node.kube_proxy && node.proxy_rules).count())
}

fn always_served_so_far(sim: &SimCluster) {
    assert_eq!(sim.nodes().unserved, Vec::<String>::new());
}

/// The DaemonSet exchanges its pods, one after the other, when the node that has held that up is back or gone: their rules stay meanwhile, which the
/// witness does not count. The node itself was served all the time.
fn served_but_for_the_exchange(sim: &SimCluster) {
    sim.pass_time(Duration::from_secs(120));
    assert!(sim.nodes().iter().filter(|(name, _)| *name != AWAY).all(|(_, node)| node.proxy_rules && node.kube_proxy));
    assert!(!sim.nodes().unserved.iter().any(|moment| moment.ends_with(AWAY)), "{:?}", sim.nodes().unserved);
}

#[test]
fn brought_back_while_a_node_is_away_the_others_are_served_and_it_comes_last() {
    let (sim, before) = replaced(50);
    silence(&sim, AWAY, true);
    let plan = way_back(&sim);
    assert_eq!(lint::lint(&plan), vec![]);
    assert!(plan.consequences.iter().any(|line| line.contains(AWAY)), "{:?}", plan.consequences);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("nobody looked at {AWAY}") };
    assert!(
        reason.contains("node worker-3 is not ready") && reason.contains("kubectl delete node worker-3"),
        "{reason}"
    );
    assert_eq!(served(&sim), (vec![AWAY.to_owned()], 4), "what runs on it serves it");
    assert!(!selector(&sim).contains("ovncilium"), "the DaemonSet fits it again");
    let agents = sim.person().get(&Resource::DAEMON_SETS.named("kube-system", "cilium")).unwrap().unwrap();
    assert_eq!(agents["spec"]["updateStrategy"]["type"], "OnDelete", "no agent restarts by itself");
    let again = process(&sim, None);
    assert!(matches!(&again, Ok(Ended::Paused(reason)) if reason.contains(AWAY)), "{again:?}");
    always_served_so_far(&sim);
    silence(&sim, AWAY, false);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    served_but_for_the_exchange(&sim);
    assert_eq!(served(&sim), (vec![], 5));
    same(&before, &sim, "brought back");
}

#[test]
fn a_node_that_is_removed_instead_holds_nothing_up() {
    let (sim, _) = replaced(51);
    silence(&sim, AWAY, true);
    assert!(matches!(process(&sim, Some(&way_back(&sim))), Ok(Ended::Paused(_))));
    always_served_so_far(&sim);
    sim.person().delete(&Resource::NODES.named("", AWAY), None).unwrap();
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    served_but_for_the_exchange(&sim);
}

#[test]
fn a_node_that_goes_on_the_way_back_has_the_plan_made_again() {
    let (sim, before) = replaced(52);
    let plan = way_back(&sim);
    assert!(plan.nodes.iter().all(|node| !node.away));
    sim.nodes_mut().node(AWAY).silent = true;
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("nobody looked at {AWAY}") };
    assert!(reason.contains(AWAY), "{reason}");
    let since = || {
        let loaded = recorded(&sim);
        away_since(&loaded.plan, &loaded.journal, &facts(sim.world()))
    };
    assert_eq!(since(), [AWAY]);
    let again = way_back(&sim);
    assert_eq!(lint::lint(&again), vec![]);
    assert!(matches!(process(&sim, Some(&again)), Ok(Ended::Paused(_))));
    assert_eq!(since(), Vec::<String>::new(), "it is waited for now");
    assert_eq!(served(&sim), (vec![AWAY.to_owned()], 4));
    always_served_so_far(&sim);
    sim.nodes_mut().node(AWAY).silent = false;
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    served_but_for_the_exchange(&sim);
    same(&before, &sim, "brought back");
}

#[test]
fn a_plan_that_forgets_a_node_that_is_away_breaks_a_promise() {
    let (sim, _) = replaced(53);
    silence(&sim, AWAY, true);
    let back = way_back(&sim);
    let broken = |plan| {
        let rules: Vec<String> = lint::lint(&plan).into_iter().map(|broken| broken.rule).collect();
        rules.join("; ")
    };
    let mut forgotten = back.clone();
    for phase in &mut forgotten.phases {
        phase.stages.retain(|stage| stage.title != "nodes that were not ready");
    }
    assert!(broken(forgotten).contains("agents would restart by themselves"));
    let limited = without(&back, &|action| matches!(action, Action::LimitKubeProxy { .. }));
    assert!(broken(limited).contains("kube-proxy would not come back to a node that is away"));
    let mut unproven = back.clone();
    for lane in unproven.phases.iter_mut().flat_map(|phase| &mut phase.stages).flat_map(|stage| &mut stage.lanes) {
        let is_away = lane.node.as_ref().is_some_and(|node| node.as_str() == AWAY);
        lane.steps.retain(|step| !is_away || step.action != Action::ProveKubeProxy);
    }
    assert!(broken(unproven).contains("before kube-proxy was proven there"));
    let mut early = back;
    early.phases.swap(1, 2);
    assert!(broken(early).contains("before kube-proxy is ready on every node"));
}

#[test]
fn a_node_that_restarts_or_joins_meanwhile_is_served_by_cilium_alone() {
    let (sim, _) = replaced(54);
    silence(&sim, AWAY, true);
    sim.nodes_mut().node(AWAY).lose_its_kernel();
    let mut node = sim.person().get(&Resource::NODES.named("", "worker-1")).unwrap().unwrap();
    node["metadata"] = json!({ "name": "worker-9", "labels": { "kubernetes.io/os": "linux" } });
    node["status"]["addresses"] = json!([{ "type": "InternalIP", "address": "192.168.10.99" }]);
    sim.person().create(&Resource::NODES, &node).unwrap();
    silence(&sim, AWAY, false);
    assert!(sim.settle(Duration::from_secs(300)), "{:?}", sim.unready());
    assert_eq!(served(&sim).0.len(), 6, "{:?}", served(&sim));
    assert_eq!((served(&sim).1, proxies(&sim)), (0, 0));
    // Both are brought back with the others.
    assert_eq!(process(&sim, Some(&way_back(&sim))), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(served(&sim), (vec![], 6));
    let nodes = sim.person().list(&Resource::NODES, &Filter::all()).unwrap();
    assert!(!nodes.iter().any(|node| node["metadata"]["labels"].to_string().contains("ovncilium.io/")));
    assert_eq!(sim.nodes().unserved, Vec::<String>::new());
}
