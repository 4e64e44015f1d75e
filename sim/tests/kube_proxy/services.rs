//! Services that answer or do not.

use std::collections::{BTreeMap, BTreeSet};

use ovncilium_core::plan::{Action, Resource};
use ovncilium_engine::events::Event;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::{Cluster as _, Filter};
use ovncilium_sim::SimCluster;
use serde_json::json;

use super::support::*;

#[test]
fn services_that_stop_to_answer_stop_it() {
    let sim = migrated(36);
    let plan = replacement(&sim).unwrap();
    // Somebody has other programs on the node than the agent says.
    let broken = without(&plan, &|action| matches!(action, Action::RestartAgent | Action::AwaitReplacement));
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&broken)) else { panic!("it went on") };
    assert!(reason.contains("gets no answer any more of") && reason.contains("10.96.0.10:53/dns"), "{reason}");
    assert!(proxies(&sim) >= 4, "the other nodes still have their kube-proxy");
}

#[test]
fn a_pod_does_not_ask_where_a_policy_decides_who_is_let_in() {
    let sim = migrated(42);
    let policy = json!({
        "metadata": { "namespace": "shop", "name": "web-from-nobody" },
        "spec": { "podSelector": { "matchLabels": { "app": "web" } }, "policyTypes": ["Ingress"] },
    });
    sim.person().create(&Resource::NETWORK_POLICIES, &policy).unwrap();
    let before = sim.store().log().len();
    assert_eq!(process(&sim, Some(&replacement(&sim).unwrap())), Ok(Ended::Done));
    let web = sim.person().get(&Resource::SERVICES.named("shop", "web")).unwrap().unwrap();
    let address = web["spec"]["clusterIP"].as_str().unwrap();
    let ask = |task: &str| {
        let log = sim.store().log();
        let pods: Vec<_> = log
            .iter()
            .skip(before)
            .filter(|write| write.verb == "create" && write.object.name.starts_with(&format!("ovncilium-{task}-")))
            // Endpoints bear the names of their pods; actors' requests have no body.
            .filter(|write| !write.request.is_null())
            .map(|write| write.request["spec"]["containers"][0]["env"].to_string())
            .collect();
        assert!(pods.len() >= 15 && pods.iter().all(|pod| pod.contains("10.96.0.10:53/dns")), "{pods:?}");
        pods.iter().filter(|pod| pod.contains(&format!("{address}:"))).count()
    };
    assert!(ask("services") >= 15, "nodes ask it");
    assert_eq!(ask("pod-services"), 0);
}

#[test]
fn kube_ovn_serves_on_while_a_node_is_served_by_nobody_else() {
    let sim = SimCluster::example(43).unwrap();
    // Ready by all that the API server tells, and without a rule.
    sim.nodes_mut().node("worker-2").stuck_proxy = true;
    sim.nodes_mut().node("worker-2").proxy_rules = false;
    let plan = migration(&sim);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("it went on") };
    assert!(reason.contains("the node on worker-2 gets no answer of 10.96.0.10:53/dns, 10.96.0.1:443/tcp"), "{reason}");
    assert!(sim.nodes().ovn.load_balancer, "nobody else is there to serve");
    sim.nodes_mut().node("worker-2").stuck_proxy = false;
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert!(!sim.nodes().ovn.load_balancer);
}

/// A Service of the shop's web pods, and its address.
fn another(sim: &SimCluster, name: &str, address: &str) -> String {
    let mut service = sim.person().get(&Resource::SERVICES.named("shop", "web")).unwrap().unwrap();
    service["metadata"] = json!({ "namespace": "shop", "name": name });
    service["spec"]["clusterIP"] = json!(address);
    service["spec"]["clusterIPs"] = json!([address]);
    service["spec"]["ports"] = json!([{ "port": 80, "protocol": "TCP" }]);
    sim.person().create(&Resource::SERVICES, &service).unwrap();
    format!("{address}:80")
}

/// A replacement, and what somebody does when a phase begins.
fn replaced_while(sim: &SimCluster, mut somebody: impl FnMut(u8)) -> Result<Ended, String> {
    let plan = replacement(sim).unwrap();
    let attachments = BTreeMap::new();
    let what = Claim::Begin { plan: &plan, attachments: &attachments };
    let run = claim(sim.world(), "kube-system", "somebody", &what, &mut |_| {}).unwrap();
    let mut tell = |event: Event| {
        if let Event::Phase { number, .. } = event {
            somebody(number);
        }
    };
    run.carry_out(&mut || Ok(()), &mut tell).map_err(|error| format!("{error:?}"))
}

#[test]
fn what_never_answered_stops_nothing_be_it_old_or_new() {
    let sim = migrated(44);
    let old = another(&sim, "old", "10.96.7.1");
    sim.nodes_mut().dead.insert(old);
    let ended = replaced_while(&sim, |phase| {
        if phase == 1 {
            let new = another(&sim, "new", "10.96.7.2");
            sim.nodes_mut().dead.insert(new);
        }
    });
    assert_eq!(ended, Ok(Ended::Done));
    always_served(&sim);
}

#[test]
fn what_is_new_and_has_answered_is_held_to_it() {
    let sim = migrated(45);
    // It comes after the first question, answers the second, and is gone when the third is asked.
    let ended = replaced_while(&sim, |phase| match phase {
        1 => drop(another(&sim, "new", "10.96.7.2")),
        2 => drop(sim.nodes_mut().dead.insert("10.96.7.2:80".to_owned())),
        _ => {}
    });
    let Ok(Ended::Paused(reason)) = ended else { panic!("it went on") };
    assert!(reason.contains("gets no answer any more of 10.96.7.2:80/tcp"), "{reason}");
    assert_eq!(proxies(&sim), 4, "it stopped at the first node");
    sim.nodes_mut().dead.clear();
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    always_served(&sim);
}

#[test]
fn a_node_is_asked_what_load_balancers_ask_it_where_it_has_a_pod_of_the_service() {
    let sim = migrated(57);
    let mut service = sim.person().get(&Resource::SERVICES.named("shop", "web")).unwrap().unwrap();
    service["metadata"] = json!({ "namespace": "shop", "name": "front" });
    service["spec"]["clusterIP"] = json!("10.96.7.3");
    service["spec"]["clusterIPs"] = json!(["10.96.7.3"]);
    service["spec"]["type"] = json!("LoadBalancer");
    service["spec"]["externalTrafficPolicy"] = json!("Local");
    service["spec"]["healthCheckNodePort"] = json!(31999);
    sim.person().create(&Resource::SERVICES, &service).unwrap();
    let filter = Filter::in_namespace("shop").labelled("app=web");
    let pods = sim.person().list(&Resource::PODS, &filter).unwrap();
    let with_pod: BTreeSet<&str> = pods.iter().map(|pod| pod["spec"]["nodeName"].as_str().unwrap()).collect();
    assert!((1..5).contains(&with_pod.len()), "{with_pod:?}");
    assert_eq!(process(&sim, Some(&replacement(&sim).unwrap())), Ok(Ended::Done));
    let log = sim.store().log();
    let asked: BTreeSet<&str> = log
        .iter()
        .filter(|write| write.verb == "create" && write.request.to_string().contains(":31999/health"))
        .map(|write| write.request["spec"]["nodeName"].as_str().unwrap())
        .collect();
    assert_eq!(asked, with_pod);
}
