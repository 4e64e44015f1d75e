//! Helm and the small chart.

use crate::support::*;

#[test]
fn a_release_left_pending_by_a_dead_helm_is_found_and_finished() {
    let sim = SimCluster::example(1).unwrap();
    sim.upgrade("cilium", "kube-system", &staged(), &mut || Ok(())).unwrap();
    let writes = sim.store().writes();
    sim.uninstall("cilium", "kube-system", &mut || Ok(())).unwrap();
    for at in 0..writes {
        let sim = SimCluster::example(1).unwrap();
        sim.store().set_fault(Some(Fault::kill(at, When::After)));
        assert!(sim.upgrade("cilium", "kube-system", &staged(), &mut || Ok(())).is_err());
        sim.revive();
        let found = sim.release("cilium", "kube-system").unwrap().unwrap();
        let finished = at + 1 == writes;
        assert_eq!(found.status, if finished { "deployed" } else { "pending-install" });
        sim.upgrade("cilium", "kube-system", &staged(), &mut || Ok(())).unwrap();
        let found = sim.release("cilium", "kube-system").unwrap().unwrap();
        assert_eq!((found.status.as_str(), found.revision), ("deployed", 2));
        assert_eq!(found.values, staged());
        let before = sim.store().dump().len();
        sim.uninstall("cilium", "kube-system", &mut || Ok(())).unwrap();
        assert!(sim.store().dump().len() < before);
        assert_eq!(sim.release("cilium", "kube-system").unwrap(), None);
    }
}

#[test]
fn upgrades_change_what_the_values_change_and_undo_nothing_else() {
    let sim = SimCluster::example(1).unwrap();
    install(&sim);
    let writes = sim.store().writes();
    sim.upgrade("cilium", "kube-system", &staged(), &mut || Ok(())).unwrap();
    assert_eq!(sim.store().writes() - writes, 3, "a new revision, the old one superseded, the new one deployed");
    let mut values = staged();
    values["policyAuditMode"] = json!(false);
    values["affinity"] = json!(null);
    sim.upgrade("cilium", "kube-system", &values, &mut || Ok(())).unwrap();
    let config = sim.get(&Resource::CONFIG_MAPS.named("kube-system", "cilium-config")).unwrap().unwrap();
    assert_eq!(config["data"]["policy-audit-mode"], json!("false"));
    sim.sleep(seconds(40));
    for node in ["control-1", "worker-1", "worker-2", "worker-3", "worker-4"] {
        assert!(agent(&sim, node).is_some_and(|pod| objects::ready(&pod)), "{node}");
    }
    let text = sim.render("cilium", "kube-system", &values).unwrap();
    assert!(text.starts_with("---\n# Source: cilium/templates/cilium-secrets-namespace.yaml\n"), "{text}");
    assert!(text.contains("  policy-audit-mode: 'false'\n"), "{text}");
}

#[test]
fn cilium_config_is_the_one_of_the_recorded_chart() {
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/cilium-config-1.18.12.json")).unwrap();
    let values = json!({
        "cni": { "chainingMode": "generic-veth", "configMap": "cni-configuration", "customConf": true },
        "devices": "eth0 ovn0 genev_sys_6081",
        "enableIPv4Masquerade": false,
        "enableIPv6Masquerade": false,
        "enableIdentityMark": false,
        "forceDeviceDetection": true,
        "ipam": { "mode": "cluster-pool", "operator": { "clusterPoolIPv4PodCIDRList": ["100.65.0.0/16"] } },
        "operator": { "replicas": 1, "unmanagedPodWatcher": { "restart": false } },
        "routingMode": "native",
    });
    let sim = SimCluster::empty(1);
    sim.upgrade("cilium", "kube-system", &values, &mut || Ok(())).unwrap();
    let config = sim.get(&Resource::CONFIG_MAPS.named("kube-system", "cilium-config")).unwrap().unwrap();
    assert_eq!(config["data"], recorded);
}
