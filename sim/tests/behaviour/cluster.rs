//! The example cluster, tasks on nodes, Kube-OVN.

use crate::support::*;

#[test]
fn the_example_is_ready_and_as_somebody_left_it() {
    let sim = SimCluster::example(1).unwrap();
    assert_eq!(sim.unready(), Vec::<String>::new());
    let nodes = sim.list(&Resource::NODES, &Filter::all()).unwrap();
    assert_eq!(nodes.len(), 5);
    assert!(nodes.iter().all(|node| objects::condition(node, "Ready")));
    let cordoned = sim.get(&Resource::NODES.named("", "worker-4")).unwrap().unwrap();
    assert!(objects::flag(&cordoned, "/spec/unschedulable"));
    let vpc = sim.get(&Resource::VPCS.named("", "ovn-cluster")).unwrap().unwrap();
    assert_eq!(objects::text(&vpc, "/status/tcpLoadBalancer"), "cluster-tcp-loadbalancer");
    let pods = sim.list(&Resource::PODS, &Filter::all()).unwrap();
    let mut ips: Vec<&str> =
        pods.iter().filter(|pod| !objects::host_network(pod)).map(|pod| objects::text(pod, "/status/podIP")).collect();
    assert_eq!(ips.len(), 2 + 6 + 3 + 5 + 5, "coredns, web, db, logger, pinger");
    ips.sort_unstable();
    ips.dedup();
    assert_eq!(ips.len(), 21, "pod addresses are unique");
    assert!(ips.iter().all(|ip| ip.starts_with("10.16.")));
    assert!(matches!(sim.list(&Resource::CILIUM_ENDPOINTS, &Filter::all()), Err(ClusterError::NotServed { .. })));
    let web = sim.list(&Resource::PODS, &Filter::in_namespace("shop").labelled("app=web")).unwrap();
    assert!(web.iter().all(|pod| objects::node_of(pod) != "worker-4" && objects::node_of(pod) != "control-1"));
}

#[test]
fn a_canary_is_ready_when_its_checks_pass_and_stays() {
    let sim = SimCluster::example(1).unwrap();
    let dns = sim.list(&Resource::PODS, &Filter::all().labelled("k8s-app=kube-dns")).unwrap().remove(0);
    let peer = format!("{}/53", objects::text(&dns, "/status/podIP"));
    let container = json!({ "name": "canary", "image": "x", "env": [{ "name": "PEER", "value": peer }, { "name": "STAY", "value": "30" }] });
    pod_on(&sim, "worker-2", "ovncilium-canary-1", &json!({ TASK_LABEL: "canary" }), &container, false);
    let canary = || sim.get(&Resource::PODS.named("kube-system", "ovncilium-canary-1")).unwrap().unwrap();
    sim.sleep(seconds(10));
    assert!(objects::ready(&canary()));
    sim.sleep(seconds(30));
    let message = "/status/containerStatuses/0/state/terminated/message";
    assert_eq!(objects::text(&canary(), message), "check service ok\ncheck dns ok\ncheck pod ok\n");
    assert_eq!(objects::text(&canary(), "/status/phase"), "Succeeded");
}

#[test]
fn a_canary_whose_checks_fail_fails_and_says_which() {
    let sim = SimCluster::example(1).unwrap();
    sim.person().delete(&Resource::DAEMON_SETS.named("kube-system", "kube-proxy"), None).unwrap();
    sim.nodes_mut().ovn.load_balancer = false;
    sim.sleep(seconds(5));
    let answer = run_task(&sim, "worker-2", "canary", &[]);
    assert_eq!(answer, "check service failed\ncheck dns failed\n");
}

#[test]
fn a_rolling_update_keeps_what_its_strategy_promises() {
    let sim = SimCluster::example(1).unwrap();
    let object = Resource::DEPLOYMENTS.named("shop", "web");
    let patch = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.example.com/shop/web:2.5.0" }]);
    sim.json_patch(&object, &patch).unwrap();
    for _ in 0..120 {
        sim.sleep(Duration::from_millis(500));
        let pods = sim.list(&Resource::PODS, &Filter::in_namespace("shop").labelled("app=web")).unwrap();
        let ready = pods.iter().filter(|pod| objects::ready(pod)).count();
        let live = pods.iter().filter(|pod| !objects::deleting(pod)).count();
        assert!(ready >= 5 && live <= 8, "6 replicas, 25 %: at least 5 ready and at most 8, not {ready} and {live}");
    }
    let deployment = sim.get(&object).unwrap().unwrap();
    assert_eq!(objects::number(&deployment, "/status/updatedReplicas", 0), 6);
    assert_eq!(objects::number(&deployment, "/status/replicas", 0), 6);
    assert_eq!(objects::annotation(&deployment, "deployment.kubernetes.io/revision"), Some("2"));
}

#[test]
fn a_task_that_cannot_start_dies_at_its_deadline() {
    let sim = SimCluster::example(1).unwrap();
    sim.nodes_mut().node("worker-3").fs.write("00-torn.conflist", b"{");
    let container = json!({ "name": "task", "image": "x" });
    pod_on(&sim, "worker-3", "ovncilium-canary-1", &json!({ TASK_LABEL: "canary" }), &container, false);
    sim.sleep(seconds(70));
    let pod = sim.get(&Resource::PODS.named("kube-system", "ovncilium-canary-1")).unwrap().unwrap();
    assert_eq!(objects::text(&pod, "/status/reason"), "DeadlineExceeded");
    let node = sim.get(&Resource::NODES.named("", "worker-3")).unwrap().unwrap();
    assert!(!objects::condition(&node, "Ready"), "a torn file that sorts first takes the node's network down");
}

#[test]
fn flags_of_the_controller_count_at_its_restart_and_pods_wait_meanwhile() {
    let sim = SimCluster::example(1).unwrap();
    let object = Resource::DEPLOYMENTS.named("kube-system", "kube-ovn-controller");
    let deployment = sim.get(&object).unwrap().unwrap();
    let flags = objects::list(&deployment, "/spec/template/spec/containers/0/args");
    let at = |flag: &str| flags.iter().position(|word| word == flag).unwrap();
    let path = |flag: &str| format!("/spec/template/spec/containers/0/args/{}", at(flag));
    let patch = json!([
        { "op": "replace", "path": path("--enable-lb=true"), "value": "--enable-lb=false" },
        { "op": "replace", "path": path("--enable-np=true"), "value": "--enable-np=false" },
    ]);
    sim.json_patch(&object, &patch).unwrap();
    sim.sleep(seconds(2));
    let pods = sim.list(&Resource::PODS, &Filter::all().labelled("app=kube-ovn-controller")).unwrap();
    assert!(!pods.iter().any(objects::ready), "maxSurge 0 and maxUnavailable 100%: fully down");
    sim.sleep(seconds(20));
    let vpc = sim.get(&Resource::VPCS.named("", "ovn-cluster")).unwrap().unwrap();
    assert_eq!(vpc.pointer("/status/tcpLoadBalancer"), Some(&json!("")));
    assert!(!sim.nodes().ovn.load_balancer && !sim.nodes().ovn.network_policy);
    let deployment = sim.get(&object).unwrap().unwrap();
    assert_eq!(deployment["status"]["observedGeneration"], deployment["metadata"]["generation"]);
    assert_eq!(objects::number(&deployment, "/status/updatedReplicas", 0), 1);
    assert_eq!(objects::number(&deployment, "/status/readyReplicas", 0), 1);
}

#[test]
fn actors_beside_real_controllers_beat_hearts_and_start_pods() {
    let sim = SimCluster::of(&example::objects(), 1).unwrap();
    let mut actors = Actors::for_real(1);
    let cluster = sim.store().as_user(User::Actors);
    let container = json!({ "name": "cni-server", "image": "kubeovn/kube-ovn:v1.9.41" });
    pod_on(&sim, "worker-1", "kube-ovn-cni-x", &json!({ "app": "kube-ovn-cni" }), &container, true);
    let mut now = sim.clock().now();
    let mut tick = |times: u32| {
        for _ in 0..times {
            now += Duration::from_millis(500);
            actors.tick(&cluster, now).unwrap();
        }
    };
    tick(30);
    let lease = Resource::LEASES.named("kube-node-lease", "worker-1");
    let renewed = |lease: Option<Value>| objects::text(&lease.unwrap(), "/spec/renewTime").to_owned();
    let first = renewed(sim.get(&lease).unwrap());
    assert!(first.ends_with(".000000Z"), "{first}");
    let ready = |name: &str| objects::condition(&sim.get(&Resource::NODES.named("", name)).unwrap().unwrap(), "Ready");
    assert!(ready("worker-1") && !ready("worker-2"), "a node is ready when kube-ovn-cni has written its file");
    tick(30);
    assert!(renewed(sim.get(&lease).unwrap()) > first);
    assert_eq!(sim.list(&Resource::PODS, &Filter::all()).unwrap().len(), 1, "no pod is made by these actors");
}
