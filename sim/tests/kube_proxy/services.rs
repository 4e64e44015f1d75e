//! Services that answer or do not.

use ovncilium_core::plan::{Action, Resource};
use ovncilium_engine::run::Ended;
use ovncilium_engine::world::Cluster as _;
use serde_json::json;

use super::support::*;

#[test]
fn services_that_stop_to_answer_stop_it_and_what_was_silent_before_does_not() {
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
    assert_eq!(process(&sim, Some(&replacement(&sim).unwrap())), Ok(Ended::Done));
    let web = sim.person().get(&Resource::SERVICES.named("shop", "web")).unwrap().unwrap();
    let address = web["spec"]["clusterIP"].as_str().unwrap();
    let ask = |task: &str| {
        let log = sim.store().log();
        let pods: Vec<_> = log
            .iter()
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
