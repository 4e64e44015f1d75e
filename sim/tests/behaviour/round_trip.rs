//! The whole way there and back, by hand.

use crate::support::*;

/// Objects without what a server or a controller counts: for comparing a cluster before and after.
fn lasting(sim: &SimCluster) -> Vec<String> {
    let kept = |object: &&Value| {
        !matches!(objects::text(object, "/kind"), "Pod" | "ReplicaSet")
            && !objects::text(object, "/apiVersion").starts_with("cilium.io")
    };
    let bare = |mut object: Value| {
        for field in ["resourceVersion", "generation", "uid", "creationTimestamp"] {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
        if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove("deployment.kubernetes.io/revision");
        }
        object.as_object_mut().unwrap().remove("status");
        object.to_string()
    };
    sim.store().dump().iter().filter(kept).cloned().map(bare).collect()
}

#[test]
fn the_whole_way_there_and_back_leaves_objects_as_they_were() {
    let sim = SimCluster::example(5).unwrap();
    let before = lasting(&sim);
    let nodes = ["control-1", "worker-1", "worker-2", "worker-3", "worker-4"];
    let recycle = |sim: &SimCluster| {
        for pod in sim.list(&Resource::PODS, &Filter::all()).unwrap().iter().filter(|pod| !objects::host_network(pod)) {
            for _ in 0..60 {
                match sim.evict(objects::namespace(pod), objects::name(pod), objects::uid(pod)).unwrap() {
                    Eviction::Refused(_) => sim.sleep(seconds(1)),
                    Eviction::Accepted | Eviction::Gone => break,
                }
            }
        }
        assert!(sim.settle(seconds(120)), "{:?}", sim.unready());
    };
    install(&sim);
    for node in nodes {
        chain(&sim, node);
    }
    recycle(&sim);
    let pods = sim.list(&Resource::PODS, &Filter::all()).unwrap();
    for pod in pods.iter().filter(|pod| !objects::host_network(pod)) {
        let endpoint = endpoint(&sim, objects::namespace(pod), objects::name(pod)).unwrap();
        assert_eq!(
            objects::text(&endpoint, "/status/networking/addressing/0/ipv4"),
            objects::text(pod, "/status/podIP")
        );
    }
    for node in nodes {
        label(&sim, node, CHAINED_LABEL, false);
        let sha = sim.nodes().get(node).unwrap().fs.sha256(CHAINED).unwrap();
        assert!(run_task(&sim, node, "retire", &[("FILE", CHAINED), ("SHA256", &sha)]).starts_with("retired"));
        sim.sleep(seconds(3));
    }
    recycle(&sim);
    assert_eq!(sim.list(&Resource::CILIUM_ENDPOINTS, &Filter::all()).unwrap(), Vec::<Value>::new());
    for node in nodes {
        label(&sim, node, AGENT_LABEL, false);
    }
    sim.sleep(seconds(5));
    for node in nodes {
        assert_eq!(run_task(&sim, node, "cleanup", &[("FILE", CHAINED)]), "cleaned\n");
        assert!(sim.nodes().get(node).unwrap().cilium_rules, "its own cleanup leaves them");
        assert_eq!(run_task(&sim, node, "rules", &[]), "cleaned\n");
        sim.sleep(seconds(3));
    }
    assert!(sim.nodes().iter().all(|(_, node)| node.fs.files().keys().eq([PLAIN])), "one file, as before");
    sim.uninstall("cilium", "kube-system", &mut || Ok(())).unwrap();
    sim.delete(&Resource::LEASES.named("kube-system", "cilium-operator-resource-lock"), None).unwrap();
    for object in sim.list(&Resource::CUSTOM_RESOURCES, &Filter::all()).unwrap() {
        if objects::name(&object).ends_with(".cilium.io") {
            sim.delete(&Resource::CUSTOM_RESOURCES.named("", objects::name(&object)), None).unwrap();
        }
    }
    assert!(sim.settle(seconds(60)));
    assert_eq!(lasting(&sim), before);
    let refused: Vec<String> =
        sim.log().iter().filter(|record| record.refused.is_some()).map(ToString::to_string).collect();
    assert!(refused.iter().all(|text| text.contains("changed by somebody else")), "{refused:#?}");
}
