//! There and back: somebody serves Services on every node at every moment.

use std::time::Duration;

use ovncilium_core::plan::kube_proxy::replace;
use ovncilium_core::plan::rollback::rollback;
use ovncilium_core::plan::{Action, Pace, Plan, Resource, lint};
use ovncilium_engine::kube_proxy::look;
use ovncilium_engine::run::Ended;
use ovncilium_engine::world::{Cluster as _, Filter};
use ovncilium_sim::SimCluster;
use serde_json::json;

use super::support::*;

#[test]
fn cilium_serves_instead_of_kube_proxy_and_the_way_back_leaves_what_was() {
    let sim = migrated(30);
    let (before, values_before) = (state(&sim), values(&sim));
    let plan = replacement(&sim).unwrap();
    assert_eq!(lint::lint(&plan), vec![]);
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(proxies(&sim), 0);
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces && !node.proxy_rules));
    let given = values(&sim);
    assert_eq!((&given["kubeProxyReplacement"], &given["k8sServiceHost"]), (&json!("true"), &json!("192.168.10.11")));
    assert_eq!(given["cni"], values_before["cni"], "no value of the chaining is lost");
    assert_eq!(given["updateStrategy"], values_before["updateStrategy"]);
    let labels = |sim: &SimCluster| {
        let nodes = sim.person().list(&Resource::NODES, &Filter::all()).unwrap();
        nodes.iter().filter(|node| node["metadata"]["labels"].to_string().contains("ovncilium.io/")).count()
    };
    assert_eq!(labels(&sim), 0);
    always_served(&sim);

    let back = way_back(&sim);
    assert_eq!(lint::lint(&back), vec![]);
    assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(proxies(&sim), 5);
    assert!(sim.nodes().iter().all(|(_, node)| !node.replaces && node.proxy_rules));
    assert_eq!((labels(&sim), values(&sim)), (0, values_before));
    same(&before, &sim, "brought back");
    always_served(&sim);
}

#[test]
fn a_rollback_of_the_migration_begins_where_kube_proxy_is_back() {
    let sim = migrated(31);
    let world = sim.world();
    let rollback_now = |sim: &SimCluster| {
        rollback(&facts(world), recorded(sim).plan.settings, &[], vec![], world.clock.now()).unwrap()
    };
    let plan = replacement(&sim).unwrap();
    let half = Plan { phases: plan.phases[..2].to_vec(), ..plan };
    assert_eq!(process(&sim, Some(&half)), Ok(Ended::Done));
    // A journal that says that the way is not over.
    let unfinished = |sim: &SimCluster| {
        let header =
            sim.person().get(&Resource::CONFIG_MAPS.named("kube-system", "ovncilium-journal")).unwrap().unwrap();
        let text = header["data"]["header"].as_str().unwrap().replace(r#""state":"done""#, r#""state":"paused""#);
        let patch = json!([{ "op": "replace", "path": "/data/header", "value": text }]);
        sim.person().json_patch(&Resource::CONFIG_MAPS.named("kube-system", "ovncilium-journal"), &patch).unwrap();
    };
    unfinished(&sim);
    let refused = process(&sim, Some(&rollback_now(&sim))).unwrap_err();
    assert!(refused.contains("Unfinished"), "{refused}");
    assert_eq!(process(&sim, Some(&way_back(&sim))), Ok(Ended::Done));
    assert_eq!(process(&sim, Some(&rollback_now(&sim))), Ok(Ended::Done));
    let kinds: Vec<String> = sim.store().dump().iter().map(|object| object["kind"].to_string()).collect();
    assert!(!kinds.iter().any(|kind| kind.contains("Cilium")), "{kinds:?}");
    always_served(&sim);
}

#[test]
fn replaced_again_the_way_back_leads_to_the_values_from_before_the_first_time() {
    let sim = migrated(40);
    let before = values(&sim);
    let earlier =
        rollback(&facts(sim.world()), recorded(&sim).plan.settings, &[], vec![], sim.world().clock.now()).unwrap();
    assert_eq!(process(&sim, Some(&replacement(&sim).unwrap())), Ok(Ended::Done));
    let overtaken = process(&sim, Some(&earlier)).unwrap_err();
    assert!(overtaken.starts_with("Overtaken"), "somebody was asked before, and answers after it: {overtaken}");
    // What `kubeadm upgrade` does.
    let set = Resource::DAEMON_SETS.named("kube-system", "kube-proxy");
    let patch = json!([{ "op": "remove", "path": "/spec/template/spec/nodeSelector/ovncilium.io~1kube-proxy" }]);
    sim.person().json_patch(&set, &patch).unwrap();
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(proxies(&sim), 5);
    assert_eq!(process(&sim, Some(&replacement(&sim).unwrap())), Ok(Ended::Done));
    assert_eq!(process(&sim, Some(&way_back(&sim))), Ok(Ended::Done));
    assert_eq!(values(&sim), before);
}

#[test]
fn without_its_proofs_a_node_would_be_unserved_and_lint_says_so() {
    let sim = migrated(35);
    let plan = replacement(&sim).unwrap();
    // Agents that were not restarted serve nothing.
    let hasty = |action: &Action| {
        matches!(action, Action::RestartAgent | Action::AwaitReplacement | Action::ProbeServices { .. })
    };
    let hasty = without(&plan, &hasty);
    let rules: Vec<String> = lint::lint(&hasty).iter().map(|broken| broken.rule.clone()).collect();
    assert!(rules.iter().any(|rule| rule.contains("before Cilium serves everywhere")), "{rules:?}");
    assert!(rules.iter().any(|rule| rule.contains("agents would restart by themselves")), "{rules:?}");
    let _ended = process(&sim, Some(&hasty));
    assert!(!sim.nodes().unserved.is_empty(), "the witness sees it");

    let sim = migrated(35);
    assert_eq!(process(&sim, Some(&replacement(&sim).unwrap())), Ok(Ended::Done));
    let back = way_back(&sim);
    let hasty = without(&back, &|action| {
        matches!(action, Action::AwaitKubeProxy | Action::ProveKubeProxy | Action::LimitKubeProxy { .. })
            || matches!(action, Action::LabelNode { .. })
    });
    let rules: Vec<String> = lint::lint(&hasty).iter().map(|broken| broken.rule.clone()).collect();
    assert!(rules.iter().any(|rule| rule.contains("before kube-proxy is ready on every node")), "{rules:?}");
    let _ended = process(&sim, Some(&hasty));
    assert!(!sim.nodes().unserved.is_empty(), "the witness sees it");
}

#[test]
fn the_pace_of_one_run_is_not_that_of_the_next() {
    let sim = migrated(48);
    let world = sim.world();
    let of_migration = recorded(&sim).plan.settings.pace();
    let slow = Pace { wave_limit: 1, soak_seconds: 77 };
    let soaks = |plan: &Plan| {
        let mut all: Vec<u32> =
            plan.phases.iter().flat_map(|phase| &phase.stages).map(|stage| stage.soak_seconds).collect();
        all.sort_unstable();
        all.dedup();
        (all, plan.nodes.iter().map(|node| node.wave).max())
    };
    let (found, settings) = (look(world.cluster).unwrap(), replacement(&sim).unwrap().settings);
    let plan = replace::replace(&facts(world), settings, &found, slow, &[], vec![], world.clock.now()).unwrap();
    assert_eq!(soaks(&plan), (vec![0, 77], Some(4)), "five nodes, one after the other");
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    assert_eq!(recorded(&sim).plan.settings.pace(), of_migration);
    let back = way_back(&sim);
    assert_eq!(soaks(&back).0, [0]);
    assert_ne!(soaks(&back).1, Some(4));
}
