//! What is refused, and what stops a run.

use std::time::Duration;

use ovncilium_core::plan::{Plan, Resource};
use ovncilium_engine::run::{Claim, Ended};
use ovncilium_engine::world::Cluster as _;
use ovncilium_sim::SimCluster;
use ovncilium_sim::actors::Cleanup;
use serde_json::{Value, json};

use super::support::*;

#[test]
fn services_of_ipvs_that_are_not_kube_proxys_stop_it_before_anything_changes() {
    let sim = migrated(37);
    let plan = replacement(&sim).unwrap();
    sim.nodes_mut().node("worker-2").ipvs = 2;
    let before = state(&sim);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("it went on") };
    assert!(reason.contains("2 services of IPVS are on worker-2"), "{reason}");
    same(&before, &sim, "stopped");
}

#[test]
fn a_node_that_joined_meanwhile_is_not_left_without_either() {
    let sim = migrated(38);
    let plan = replacement(&sim).unwrap();
    let until_limit = Plan { phases: plan.phases[..2].to_vec(), ..plan.clone() };
    assert_eq!(process(&sim, Some(&until_limit)), Ok(Ended::Done));
    // A node that joined meanwhile.
    let mut node = sim.person().get(&Resource::NODES.named("", "worker-1")).unwrap().unwrap();
    node["metadata"] = json!({ "name": "worker-9", "labels": { "kubernetes.io/os": "linux" } });
    sim.person().create(&Resource::NODES, &node).unwrap();
    let rest = Plan { phases: plan.phases[2..].to_vec(), ..plan };
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&rest)) else { panic!("it went on") };
    assert!(reason.contains("nodes that this plan does not know: worker-9"), "{reason}");
}

/// kube-proxy's configuration with this mode, and without a kubeconfig.
fn set_mode(sim: &SimCluster, mode: &str) {
    let map = Resource::CONFIG_MAPS.named("kube-system", "kube-proxy");
    let text = format!("kind: KubeProxyConfiguration\nmode: {mode}\n");
    sim.person().json_patch(&map, &json!([{ "op": "replace", "path": "/data/config.conf", "value": text }])).unwrap();
}

#[test]
fn what_cannot_be_replaced_is_refused_by_its_reason() {
    let set = Resource::DAEMON_SETS.named("kube-system", "kube-proxy");
    let patched = |patch: Value| {
        let sim = migrated(39);
        sim.person().json_patch(&set, &patch).unwrap();
        refusal(&sim)
    };
    let owned = patched(json!([{
        "op": "add", "path": "/metadata/annotations", "value": { "meta.helm.sh/release-name": "kp", "meta.helm.sh/release-namespace": "x" },
    }]));
    assert!(owned.contains("belongs to Helm release x/kp"), "{owned}");
    let mode = |mode: &str| {
        let sim = migrated(39);
        set_mode(&sim, mode);
        refusal(&sim)
    };
    assert!(mode("ipvs").contains("works in mode ipvs"));
    assert!(mode("iptables").contains("API server's own address is not known"), "its kubeconfig is not named");
    let sim = migrated(39);
    let server = "kind: Config\nclusters: [{name: d, cluster: {server: \"https://10.96.0.1\"}}]\n\
                  contexts: [{name: d, context: {cluster: d}}]\ncurrent-context: d\n";
    let patch = json!([{ "op": "replace", "path": "/data/kubeconfig.conf", "value": server }]);
    sim.person().json_patch(&Resource::CONFIG_MAPS.named("kube-system", "kube-proxy"), &patch).unwrap();
    assert!(refusal(&sim).contains("10.96.0.1:443 is the address of a Service"), "{}", refusal(&sim));
    let sim = migrated(39);
    let controller = Resource::DEPLOYMENTS.named("kube-system", "kube-ovn-controller");
    let settings = recorded(&sim).plan.settings;
    let path = format!("/spec/template/spec/containers/0/{}", settings.controller_flags_in);
    let flags = json!([{ "op": "replace", "path": path, "value": settings.controller_flags_before }]);
    sim.person().json_patch(&controller, &flags).unwrap();
    assert!(refusal(&sim).contains("the migration does not hold: hand-over"), "{}", refusal(&sim));
    let sim = migrated(39);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "logging", "name": "signal" },
        "spec": { "clusterIP": "10.96.77.1", "ports": [{ "port": 9999, "protocol": "SCTP" }] },
    });
    sim.person().create(&Resource::SERVICES, &service).unwrap();
    assert!(refusal(&sim).contains("1 Services have a port of SCTP"), "{}", refusal(&sim));
    let sim = migrated(39);
    sim.person().delete(&set, None).unwrap();
    sim.pass_time(Duration::from_secs(30));
    assert_eq!(refusal(&sim), "no plan: there is no DaemonSet of kube-proxy");
}

#[test]
fn a_run_that_somebody_else_has_begun_meanwhile_is_not_gone_on_with() {
    let sim = migrated(43);
    let stopped = |plan: &Plan| {
        sim.nodes_mut().node("worker-2").ipvs = 1;
        let Ok(Ended::Paused(_)) = process(&sim, Some(plan)) else { panic!("it went on") };
        sim.nodes_mut().node("worker-2").ipvs = 0;
        recorded(&sim).journal.header.run
    };
    let first = stopped(&replacement(&sim).unwrap());
    let go_on = |run| carried_out(&sim, &Claim::Resume { run });
    assert_eq!(go_on(&first), Ok(Ended::Done), "nobody has come between");
    assert_eq!(process(&sim, Some(&way_back(&sim))), Ok(Ended::Done));
    let second = stopped(&replacement(&sim).unwrap());
    let (before, writes) = (sim.store().dump(), sim.store().writes());
    // Somebody has read the first run, was asked, and answers now.
    let error = go_on(&first).unwrap_err();
    assert!(error.starts_with("Overtaken") && error.contains(second.as_str()), "{error}");
    assert_eq!(sim.store().writes(), writes + 2, "the lock was taken and given back");
    assert_eq!(sim.store().dump(), before);
    assert_eq!(go_on(&second), Ok(Ended::Done));
    let error = go_on(&first).unwrap_err();
    assert!(error.starts_with("Overtaken"), "finished or not: {error}");
}

#[test]
fn what_cannot_come_back_is_refused_and_comes_back_when_it_is_mended() {
    let sim = migrated(49);
    assert_eq!(process(&sim, Some(&replacement(&sim).unwrap())), Ok(Ended::Done));
    set_mode(&sim, "ipvs");
    let refused = try_back(&sim).unwrap_err();
    assert!(refused.to_string().contains("daemonset kube-system/kube-proxy is set to mode ipvs now"), "{refused}");
    assert!(refused.next_step().line().contains("mode: iptables"), "{}", refused.next_step().line());
    set_mode(&sim, "iptables");
    let plan = way_back(&sim);
    let set = Resource::DAEMON_SETS.named("kube-system", "kube-proxy");
    let applied = sim.person().get(&set).unwrap().unwrap();
    sim.person().delete(&set, None).unwrap();
    sim.pass_time(Duration::from_secs(30));
    // It goes after the plan was made, and before it.
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("nothing comes back") };
    assert!(reason.contains("kube-proxy is gone: apply its manifest again"), "{reason}");
    let refused = try_back(&sim).unwrap_err();
    assert!(refused.to_string().contains("daemonset kube-system/kube-proxy is gone"), "{refused}");
    assert!(refused.next_step().line().contains("apply its manifest again"), "{}", refused.next_step().line());
    assert_eq!(values(&sim)["kubeProxyReplacement"], "true", "Cilium serves");
    // As kubeadm makes it: without what has limited it.
    let mut again = applied;
    again["metadata"] = json!({ "namespace": "kube-system", "name": "kube-proxy" });
    again.as_object_mut().unwrap().remove("status");
    let selector = again["spec"]["template"]["spec"]["nodeSelector"].as_object_mut().unwrap();
    selector.remove("ovncilium.io/kube-proxy").unwrap();
    sim.person().create(&Resource::DAEMON_SETS, &again).unwrap();
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(process(&sim, Some(&way_back(&sim))), Ok(Ended::Done));
    assert_eq!(proxies(&sim), 5);
    always_served(&sim);
}

#[test]
fn rules_of_others_that_change_in_a_cleanup_stop_it_there() {
    let sim = migrated(55);
    let rule = "gone iptables-nft *nat -A OVN-PREROUTING -j MARK --set-xmark 0x4000/0x4000";
    sim.nodes_mut().node("worker-2").cleanup = Cleanup::Changes(rule.to_owned());
    // What kube-ovn-cni puts back in another order is none of them.
    sim.nodes_mut().node("worker-1").cleanup = Cleanup::Changes("order of rules".to_owned());
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&replacement(&sim).unwrap())) else { panic!("it went on") };
    assert!(reason.contains("on worker-2 rules of others have changed") && reason.contains(rule), "{reason}");
    let touched = |sim: &SimCluster| sim.nodes().iter().filter(|(_, node)| !node.proxy_rules).count();
    assert!((1..5).contains(&touched(&sim)), "the waves behind it were not begun");
    always_served(&sim);
    // A person has looked, and goes on.
    sim.nodes_mut().node("worker-2").cleanup = Cleanup::Works;
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert_eq!(touched(&sim), 5);
    always_served(&sim);
}

#[test]
fn a_cleanup_that_fails_stops_it_with_its_words_and_the_way_back_is_open() {
    let sim = migrated(56);
    let before = state(&sim);
    let words = "encountered an error while tearing down rules";
    sim.nodes_mut().node("worker-2").cleanup = Cleanup::Fails(words.to_owned());
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&replacement(&sim).unwrap())) else { panic!("it went on") };
    assert!(reason.contains("clean-kube-proxy/worker-2") && reason.contains(words), "{reason}");
    assert!(sim.nodes().get("worker-2").unwrap().proxy_rules, "nothing has taken them away");
    assert_eq!(process(&sim, Some(&way_back(&sim))), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    same(&before, &sim, "brought back");
    always_served(&sim);
}
