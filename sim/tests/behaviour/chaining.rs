//! Which file decides, which pods get endpoints.

use crate::support::*;

#[test]
fn agents_without_a_file_to_write_leave_the_directory_alone() {
    let sim = SimCluster::example(1).unwrap();
    let before = sim.nodes().get("worker-1").unwrap().fs.clone();
    install(&sim);
    label(&sim, "worker-1", AGENT_LABEL, true);
    await_agent(&sim, "worker-1");
    sim.sleep(seconds(60));
    assert_eq!(sim.nodes().get("worker-1").unwrap().fs, before);
    assert!(agent(&sim, "worker-2").is_none(), "no agent without the label");
}

#[test]
fn the_file_is_written_before_the_agent_is_ready_and_sorts_first() {
    let sim = SimCluster::example(1).unwrap();
    install(&sim);
    label(&sim, "worker-1", AGENT_LABEL, true);
    await_agent(&sim, "worker-1");
    label(&sim, "worker-1", CHAINED_LABEL, true);
    restart_agent(&sim, "worker-1");
    let mut written_first = false;
    for _ in 0..60 {
        sim.sleep(Duration::from_millis(250));
        let chained = sim.nodes().get("worker-1").unwrap().fs.chained();
        let ready = agent(&sim, "worker-1").is_some_and(|pod| objects::ready(&pod));
        written_first |= chained && !ready;
        if ready && chained {
            break;
        }
    }
    assert!(written_first, "the file is loaded while the agent is not ready");
    let nodes = sim.nodes();
    let fs = &nodes.get("worker-1").unwrap().fs;
    let loaded = fs.loaded().unwrap();
    assert_eq!((loaded.file.as_str(), loaded.network.as_str()), (CHAINED, "kube-ovn"));
    assert_eq!(loaded.plugins, ["kube-ovn", "portmap", "cilium-cni"]);
    assert!(fs.read(PLAIN).is_some());
    assert!(!nodes.get("worker-2").unwrap().fs.chained());
}

#[test]
fn endpoints_are_for_pods_made_while_chained_only() {
    let sim = SimCluster::example(1).unwrap();
    install(&sim);
    chain(&sim, "worker-1");
    sim.sleep(seconds(10));
    assert_eq!(sim.list(&Resource::CILIUM_ENDPOINTS, &Filter::all()).unwrap(), Vec::<Value>::new());

    let db = sim.list(&Resource::PODS, &Filter::on_node("worker-1").labelled("app=logger")).unwrap().remove(0);
    assert_eq!(sim.evict("logging", objects::name(&db), objects::uid(&db)).unwrap(), Eviction::Accepted);
    sim.sleep(seconds(20));
    let pod = sim.list(&Resource::PODS, &Filter::on_node("worker-1").labelled("app=logger")).unwrap().remove(0);
    assert_ne!(objects::uid(&pod), objects::uid(&db));
    let made = endpoint(&sim, "logging", objects::name(&pod)).unwrap();
    assert_eq!(objects::text(&made, "/status/networking/addressing/0/ipv4"), objects::text(&pod, "/status/podIP"));
    assert_eq!(objects::annotation(&pod, "ovn.kubernetes.io/ip_address"), Some(objects::text(&pod, "/status/podIP")));
    assert_eq!(objects::text(&made, "/status/state"), "ready");
    assert_eq!(objects::text(&made, "/metadata/ownerReferences/0/uid"), objects::uid(&pod));

    restart_agent(&sim, "worker-1");
    sim.sleep(seconds(2));
    assert!(endpoint(&sim, "logging", objects::name(&pod)).is_some(), "endpoints outlive the agent");
    await_agent(&sim, "worker-1");
    sim.delete(&reference(&pod), None).unwrap();
    sim.sleep(seconds(5));
    assert!(endpoint(&sim, "logging", objects::name(&pod)).is_none(), "the endpoint goes with its pod");
}

#[test]
fn a_chained_pod_waits_for_the_agent_and_fails_its_add_after_thirty_seconds() {
    let sim = SimCluster::example(1).unwrap();
    install(&sim);
    chain(&sim, "worker-1");
    label(&sim, "worker-1", AGENT_LABEL, false);
    sim.sleep(seconds(5));
    assert!(agent(&sim, "worker-1").is_none());
    assert!(sim.nodes().get("worker-1").unwrap().fs.chained(), "the file stays when the agent goes");
    let logger = sim.list(&Resource::PODS, &Filter::on_node("worker-1").labelled("app=logger")).unwrap().remove(0);
    sim.delete(&reference(&logger), None).unwrap();
    sim.sleep(seconds(60));
    assert_eq!(sim.unready().len(), 1, "no pod starts on a chained node without agent");
    label(&sim, "worker-1", AGENT_LABEL, true);
    sim.sleep(seconds(40));
    assert_eq!(sim.unready(), Vec::<String>::new());
}

#[test]
fn label_off_and_file_retired_makes_plain_pods_again() {
    let sim = SimCluster::example(1).unwrap();
    install(&sim);
    chain(&sim, "worker-1");
    let sha = sim.nodes().get("worker-1").unwrap().fs.sha256(CHAINED).unwrap();
    let probe = run_task(&sim, "worker-1", "probe", &[("CONF_DIR", "/host/cni")]);
    assert!(probe.contains(&format!("file {sha} {CHAINED}\n")), "{probe}");
    assert!(probe.starts_with("kernel 5.15.0-139-generic\ndevice cilium_host\n"), "{probe}");
    assert!(probe.contains("device ovn0\n") && probe.contains("device genev_sys_6081\n"));

    label(&sim, "worker-1", CHAINED_LABEL, false);
    restart_agent(&sim, "worker-1");
    await_agent(&sim, "worker-1");
    assert!(sim.nodes().get("worker-1").unwrap().fs.chained(), "the agent does not take its file away");
    let refused = run_task(&sim, "worker-1", "retire", &[("FILE", CHAINED), ("SHA256", "00")]);
    assert_eq!(refused, format!("refused {CHAINED} has sha256 {sha}, not 00\n"));
    let retired = run_task(&sim, "worker-1", "retire", &[("FILE", CHAINED), ("SHA256", &sha)]);
    assert_eq!(retired, format!("retired {CHAINED}\n"));
    assert!(!sim.nodes().get("worker-1").unwrap().fs.chained());

    let logger = sim.list(&Resource::PODS, &Filter::on_node("worker-1").labelled("app=logger")).unwrap().remove(0);
    sim.delete(&reference(&logger), None).unwrap();
    sim.sleep(seconds(20));
    let pod = sim.list(&Resource::PODS, &Filter::on_node("worker-1").labelled("app=logger")).unwrap().remove(0);
    assert!(objects::ready(&pod));
    assert!(endpoint(&sim, "logging", objects::name(&pod)).is_none());
}

#[test]
fn exclusive_agents_put_other_files_away_and_keep_doing_so() {
    let sim = SimCluster::example(1).unwrap();
    let mut values = staged();
    values["cni"]["customConf"] = json!(false);
    values["cni"]["exclusive"] = json!(true);
    sim.upgrade("cilium", "kube-system", &values, &mut || Ok(())).unwrap();
    label(&sim, "worker-1", AGENT_LABEL, true);
    await_agent(&sim, "worker-1");
    let names = |sim: &SimCluster| sim.nodes().get("worker-1").unwrap().fs.files().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&sim), ["01-kube-ovn.conflist.cilium_bak", "05-cilium.conflist"]);
    let cni = sim.list(&Resource::PODS, &Filter::on_node("worker-1").labelled("app=kube-ovn-cni")).unwrap().remove(0);
    sim.delete(&reference(&cni), None).unwrap();
    sim.sleep(seconds(15));
    assert_eq!(
        names(&sim),
        ["01-kube-ovn.conflist.cilium_bak", "05-cilium.conflist"],
        "what Kube-OVN writes is renamed again"
    );
}

#[test]
fn the_operator_hunts_unmanaged_dns_pods_unless_told_not_to() {
    let killed = |restart: bool| {
        let sim = SimCluster::example(1).unwrap();
        let mut values = staged();
        values["operator"]["unmanagedPodWatcher"]["restart"] = json!(restart);
        sim.upgrade("cilium", "kube-system", &values, &mut || Ok(())).unwrap();
        sim.sleep(seconds(120));
        let dns = |record: &&ovncilium_sim::WriteRecord| {
            record.verb == "delete" && record.object.name.starts_with("coredns-")
        };
        sim.log().iter().filter(|record| record.user == User::Actors).filter(dns).count()
    };
    assert_eq!(killed(false), 0);
    assert!(killed(true) >= 4);
}

#[test]
fn a_restarted_agent_takes_the_base_as_it_is_now_and_not_its_own_file() {
    let sim = SimCluster::example(1).unwrap();
    install(&sim);
    chain(&sim, "worker-1");
    let changed = br#"{"name":"kube-ovn","cniVersion":"0.3.1","plugins":[{"type":"kube-ovn"},{"type":"tuning"}]}"#;
    sim.nodes_mut().node("worker-1").fs.write(PLAIN, changed);
    assert!(!sim.nodes().get("worker-1").unwrap().fs.loaded().unwrap().plugins.contains(&"tuning".to_owned()));
    restart_agent(&sim, "worker-1");
    await_agent(&sim, "worker-1");
    assert_eq!(sim.nodes().get("worker-1").unwrap().fs.loaded().unwrap().plugins, ["kube-ovn", "tuning", "cilium-cni"]);
}

#[test]
fn an_agent_without_its_target_is_not_ready_until_it_finds_it() {
    let sim = SimCluster::example(1).unwrap();
    install(&sim);
    label(&sim, "worker-1", AGENT_LABEL, true);
    await_agent(&sim, "worker-1");
    sim.nodes_mut().node("worker-1").fs.rename(PLAIN, "hidden");
    label(&sim, "worker-1", CHAINED_LABEL, true);
    restart_agent(&sim, "worker-1");
    sim.sleep(seconds(30));
    assert!(agent(&sim, "worker-1").is_some_and(|pod| !objects::ready(&pod)));
    let failure = sim.nodes().get("worker-1").unwrap().agent.as_ref().unwrap().failure.clone();
    assert_eq!(failure.as_deref(), Some("no matching CNI configurations found (will retry)"));
    sim.nodes_mut().node("worker-1").fs.rename("hidden", PLAIN);
    sim.sleep(seconds(12));
    assert!(agent(&sim, "worker-1").is_some_and(|pod| objects::ready(&pod)));
    assert!(sim.nodes().get("worker-1").unwrap().fs.chained());
}

#[test]
fn an_older_endpoint_enforces_some_time_after_the_restarted_agent_is_ready() {
    let sim = SimCluster::example(1).unwrap();
    install(&sim);
    chain(&sim, "worker-1");
    let logger = sim.list(&Resource::PODS, &Filter::on_node("worker-1").labelled("app=logger")).unwrap().remove(0);
    sim.delete(&reference(&logger), None).unwrap();
    sim.sleep(seconds(20));
    let enforced = || sim.nodes().get("worker-1").unwrap().sandboxes.values().any(|one| one.chained && one.enforced);
    let told = || run_task(&sim, "worker-1", "endpoints", &[]);
    assert!(!enforced());
    let config = json!({
        "metadata": { "name": "ovncilium-enforce", "namespace": "kube-system" },
        "spec": { "nodeSelector": { "matchLabels": { CHAINED_LABEL: "true" } }, "defaults": { "policy-audit-mode": "false" } },
    });
    sim.create(&Resource::CILIUM_NODE_CONFIGS, &config).unwrap();
    sim.sleep(seconds(10));
    assert!(!enforced(), "settings are read at the start only");
    assert!(told().contains(" ready audit-both\n"), "{}", told());
    restart_agent(&sim, "worker-1");
    await_agent(&sim, "worker-1");
    assert!(!enforced(), "it is ready before");
    sim.sleep(seconds(25));
    assert!(enforced());
    assert_eq!(told(), "endpoints 1\n");
}
