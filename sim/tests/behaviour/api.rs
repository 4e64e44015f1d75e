//! The pretend API server: what the engine relies on.

use crate::support::*;

#[test]
fn replace_is_a_compare_and_swap() {
    let sim = SimCluster::example(1).unwrap();
    let object = Resource::CONFIG_MAPS.named("kube-system", "coredns");
    let old = sim.get(&object).unwrap().unwrap();
    let mut first = old.clone();
    first["data"]["x"] = json!("1");
    let stored = sim.replace(&Resource::CONFIG_MAPS, &first).unwrap();
    assert_ne!(stored["metadata"]["resourceVersion"], old["metadata"]["resourceVersion"]);
    assert!(matches!(sim.replace(&Resource::CONFIG_MAPS, &first), Err(ClusterError::Conflict { .. })));
    let patch = json!([{ "op": "test", "path": "/data/x", "value": "2" }, { "op": "remove", "path": "/data/x" }]);
    assert!(matches!(sim.json_patch(&object, &patch), Err(ClusterError::Conflict { .. })));
    let missing = json!([{ "op": "test", "path": "/data/none", "value": "2" }]);
    assert!(matches!(sim.json_patch(&object, &missing), Err(ClusterError::Conflict { .. })));
    assert!(matches!(sim.create(&Resource::CONFIG_MAPS, &old), Err(ClusterError::AlreadyExists { .. })));
    assert!(!sim.delete(&object, Some("another-uid")).unwrap());
    let mut generation = sim.get(&Resource::DAEMON_SETS.named("logging", "logger")).unwrap().unwrap();
    generation["status"] = json!({ "numberReady": 77 });
    let stored = sim.replace(&Resource::DAEMON_SETS, &generation).unwrap();
    assert_eq!(objects::number(&stored, "/status/numberReady", 0), 5, "status has its own endpoint");
    assert_eq!(objects::number(&stored, "/metadata/generation", 0), 1);
}

#[test]
fn a_budget_that_is_used_up_refuses() {
    let sim = SimCluster::example(1).unwrap();
    let pods = sim.list(&Resource::PODS, &Filter::in_namespace("shop").labelled("app=db")).unwrap();
    let evict = |pod: &Value| sim.evict("shop", objects::name(pod), objects::uid(pod)).unwrap();
    assert_eq!(evict(&pods[0]), Eviction::Accepted);
    let Eviction::Refused(reason) = evict(&pods[1]) else { panic!("the budget allows one") };
    assert!(reason.contains("budget db needs 2 healthy pods"), "{reason}");
    assert_eq!(sim.evict("shop", "db-1", "another-uid").unwrap(), Eviction::Gone);
    sim.sleep(seconds(30));
    let again = sim.get(&Resource::PODS.named("shop", "db-0")).unwrap().unwrap();
    assert_ne!(objects::uid(&again), objects::uid(&pods[0]));
    assert_eq!(
        objects::text(&again, "/status/podIP"),
        objects::text(&pods[0], "/status/podIP"),
        "a pod of a StatefulSet keeps its address"
    );
    assert_eq!(evict(&pods[1]), Eviction::Accepted);
}

#[test]
fn custom_kinds_live_and_die_with_their_definitions() {
    let sim = SimCluster::example(1).unwrap();
    assert!(matches!(
        sim.create(&Resource::CILIUM_NODE_CONFIGS, &json!({ "metadata": { "name": "x", "namespace": "kube-system" } })),
        Err(ClusterError::NotServed { .. })
    ));
    sim.upgrade("cilium", "kube-system", &staged(), &mut || Ok(())).unwrap();
    label(&sim, "worker-1", AGENT_LABEL, true);
    sim.sleep(seconds(3));
    assert!(
        agent(&sim, "worker-1").is_some_and(|pod| !objects::ready(&pod)),
        "the agent waits for the operator's definitions"
    );
    await_agent(&sim, "worker-1");
    assert_eq!(sim.list(&Resource::CILIUM_NODES, &Filter::all()).unwrap().len(), 1);
    sim.uninstall("cilium", "kube-system", &mut || Ok(())).unwrap();
    sim.sleep(seconds(5));
    assert!(agent(&sim, "worker-1").is_none());
    assert_eq!(sim.list(&Resource::CILIUM_NODES, &Filter::all()).unwrap().len(), 1, "definitions outlive the release");
    sim.delete(&Resource::CUSTOM_RESOURCES.named("", "ciliumnodes.cilium.io"), None).unwrap();
    assert!(matches!(sim.list(&Resource::CILIUM_NODES, &Filter::all()), Err(ClusterError::NotServed { .. })));
}

#[test]
fn a_killed_engine_is_dead_until_revived_and_the_cluster_keeps_what_it_wrote() {
    for (when, exists) in [(When::Before, false), (When::After, true)] {
        let sim = SimCluster::example(1).unwrap();
        sim.store().set_fault(Some(Fault::kill(1, when)));
        let map = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "default" } });
        sim.create(&Resource::CONFIG_MAPS, &map("a")).unwrap();
        assert!(matches!(sim.create(&Resource::CONFIG_MAPS, &map("b")), Err(ClusterError::Unreachable { .. })));
        assert!(sim.store().killed());
        assert!(sim.list(&Resource::PODS, &Filter::all()).is_err());
        assert!(sim.upgrade("cilium", "kube-system", &staged(), &mut || Ok(())).is_err());
        assert_eq!(sim.stop_requested(), 2);
        sim.revive();
        assert_eq!(sim.get(&Resource::CONFIG_MAPS.named("default", "b")).unwrap().is_some(), exists);
    }
}

#[test]
fn the_same_seed_writes_the_same_log() {
    let log = |seed: u64| {
        let sim = SimCluster::example(seed).unwrap();
        install(&sim);
        chain(&sim, "worker-1");
        sim.log().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let first = log(3);
    assert_eq!(first, log(3));
    assert_ne!(first, log(4));
}
