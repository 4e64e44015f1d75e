//! A chained Cilium that serves Services alone: somebody serves them on every node at every moment, and the API server's log shows why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ovncilium_core::plan::kube_proxy::NoReplacement;
use ovncilium_core::plan::{Action, lint};
use ovncilium_engine::kube_proxy::look;
use ovncilium_sim::WriteRecord;
use ovncilium_sim::example::guide;
use ovncilium_sim::resources::SECRETS;
use serde_json::json;

use super::*;

const LIMIT: Duration = Duration::from_secs(600);

fn kube_proxy() -> ovncilium_core::plan::ObjectRef {
    Resource::DAEMON_SETS.named("kube-system", "kube-proxy")
}

/// Half of the guide, by somebody who had Cilium replace kube-proxy and left Kube-OVN's load balancer on; kube-proxy is still there.
fn both(seed: u64) -> SimCluster {
    let sim = SimCluster::half_guided(seed, "kube-ovn").unwrap();
    let person = sim.person();
    let controller = Resource::DEPLOYMENTS.named("kube-system", "kube-ovn-controller");
    let args = "/spec/template/spec/containers/0/args";
    let found = person.get(&controller).unwrap().unwrap();
    let mut words = found.pointer(args).unwrap().as_array().unwrap().clone();
    words.iter_mut().filter(|word| **word == "--enable-lb=false").for_each(|word| *word = json!("--enable-lb=true"));
    person.json_patch(&controller, &json!([{ "op": "replace", "path": args, "value": words }])).unwrap();
    let mut values = guide::values();
    values["kubeProxyReplacement"] = json!(true);
    values["k8sServiceHost"] = json!("192.168.10.11");
    values["k8sServicePort"] = json!(6443);
    sim.world().charts.upgrade("cilium", "kube-system", &values, &mut || Ok(())).unwrap();
    for pod in objects(&sim, Resource::PODS).iter().filter(|pod| pod["metadata"]["labels"]["k8s-app"] == "cilium") {
        let name = pod["metadata"]["name"].as_str().unwrap();
        person.delete(&Resource::PODS.named("kube-system", name), None).unwrap();
    }
    assert!(sim.settle(LIMIT), "{:?}", sim.unready());
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces) && sim.nodes().ovn.load_balancer);
    sim
}

/// The same, and kube-proxy is gone with its rules.
fn alone(seed: u64) -> SimCluster {
    let sim = both(seed);
    sim.person().delete(&kube_proxy(), None).unwrap();
    assert!(sim.settle(LIMIT), "{:?}", sim.unready());
    sim.nodes_mut().iter_mut().for_each(|(_, node)| node.proxy_rules = false);
    sim
}

fn plan(sim: &SimCluster) -> Result<Plan, NoPlan> {
    let world = sim.world();
    let release = world.charts.release("cilium", "kube-system").unwrap().map(FoundRelease::from);
    let adopting = Adopting { release, kube_proxy: look(world.cluster).unwrap(), api_server: None };
    let choices = Choices { soak_seconds: 1, adopt: Some(adopting), ..Choices::default() };
    migrate(&facts(world), &world.charts.chart().unwrap(), &[], &choices, vec![], world.clock.now())
}

fn always_served(sim: &SimCluster, when: &str) {
    assert_eq!(sim.nodes().unserved, Vec::<String>::new(), "{when}: nobody served");
    assert!(sim.nodes().iter().all(|(_, node)| node.was_served), "{when}: the witness has seen every node served");
}

/// `kubeProxyReplacement` of every revision of the release, oldest first.
fn revisions(sim: &SimCluster) -> Vec<Value> {
    let filter = Filter::in_namespace("kube-system").labelled("owner=helm,name=cilium");
    let secrets = sim.person().list(&SECRETS, &filter).unwrap();
    let body = |secret: &Value| -> Value {
        serde_json::from_slice(&STANDARD.decode(secret["data"]["release"].as_str().unwrap()).unwrap()).unwrap()
    };
    let mut all: Vec<(u32, Value)> = secrets
        .iter()
        .map(|secret| {
            let revision = secret["metadata"]["labels"]["version"].as_str().unwrap().parse().unwrap();
            (revision, body(secret)["values"]["kubeProxyReplacement"].clone())
        })
        .collect();
    all.sort_by_key(|(revision, _)| *revision);
    all.into_iter().map(|(_, value)| value).collect()
}

/// Where in the log a task of ours was started on a node, after its agent was deleted for the last time before `until`.
fn asked(log: &[WriteRecord], task: &str, node: &str, until: usize) -> bool {
    let on_node = |write: &WriteRecord| write.request["spec"]["nodeName"] == node;
    let restarts = log[..until].iter().rposition(|write| {
        write.verb == "delete" && write.object.name.starts_with("cilium-") && restarted_on(log, write, node)
    });
    let named =
        |write: &&WriteRecord| write.verb == "create" && write.object.name.starts_with(&format!("ovncilium-{task}-"));
    log[restarts.unwrap()..until].iter().filter(named).any(on_node)
}

/// Whether the agent that a write deletes was the one of a node: the next task of ours that begins there tells which lane it was.
fn restarted_on(log: &[WriteRecord], deleted: &WriteRecord, node: &str) -> bool {
    let intents = log.iter().filter(|write| write.object.kind == "ConfigMap" && !write.request.is_null());
    let of_node = intents.filter(|write| write.request.to_string().contains(&format!("restart-agent/{node}")));
    of_node.into_iter().any(|write| write.request.to_string().contains(&deleted.object.name))
}

#[test]
fn it_is_taken_over_and_serves_all_the_time() {
    let sim = alone(20);
    let plan = plan(&sim).unwrap();
    assert_eq!(lint::lint(&plan), vec![]);
    let begun = sim.log().len();
    let before = revisions(&sim);
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    is_settled(&sim, "served by Cilium");
    always_served(&sim, "taken over");
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces && !node.kube_proxy) && !sim.nodes().ovn.load_balancer);
    let values = revisions(&sim);
    assert!(values.len() >= before.len() + 2, "{values:?}");
    assert!(values[before.len()..].iter().all(|value| value == "true"), "no values turn it off: {values:?}");
    let log: Vec<WriteRecord> = sim.log().into_iter().skip(begun).collect();
    let configs = log.iter().filter(|write| write.object.name == "cilium-config" && !write.request.is_null());
    let told: Vec<&Value> = configs.map(|write| &write.request["data"]["kube-proxy-replacement"]).collect();
    assert!(told.len() >= 2 && told.iter().all(|value| **value == "true"), "{told:?}");
    let off = log.iter().position(|write| {
        write.user == User::Engine
            && write.object.name == "kube-ovn-controller"
            && write.request.to_string().contains("--enable-lb=false")
    });
    let off = off.unwrap();
    let nodes: Vec<String> = sim.nodes().iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(nodes.len(), 5);
    for node in &nodes {
        for task in ["replacement", "services", "pod-services"] {
            assert!(asked(&log, task, node, off), "{task} on {node} before the load balancer goes");
        }
    }
}

#[test]
fn killed_at_a_write_it_is_completed_and_served_all_the_same() {
    let whole = alone(21);
    let begun = plan(&whole).unwrap();
    let first = whole.store().writes();
    assert_eq!(process(&whole, Some(&begun)), Ok(Ended::Done));
    let total = whole.store().writes() - first;
    for index in (20..total).step_by(67) {
        let sim = alone(21);
        let begun = plan(&sim).unwrap();
        sim.store().set_fault(Some(Fault::kill(first + index, When::After)));
        assert!(process(&sim, Some(&begun)).is_err(), "killed at write {index}");
        sim.revive();
        sim.store().set_fault(None);
        assert_eq!(process(&sim, None), Ok(Ended::Done), "killed at write {index}");
        is_settled(&sim, &format!("killed at write {index}"));
        always_served(&sim, &format!("killed at write {index}"));
    }
}

#[test]
fn an_agent_that_does_not_serve_stops_it_while_nothing_was_changed() {
    let sim = alone(22);
    let mut stale = sim.nodes_mut().node("worker-2").agent.clone().unwrap();
    Arc::make_mut(&mut stale.settings).insert("kube-proxy-replacement".into(), "false".into());
    sim.nodes_mut().node("worker-2").agent = Some(stale);
    let begun = plan(&sim).unwrap();
    let Ok(Ended::Paused(why)) = process(&sim, Some(&begun)) else { panic!("it went on") };
    assert!(why.contains("the agent on worker-2 says of kube-proxy replacement: False"), "{why}");
    assert!(sim.nodes().ovn.load_balancer);
    is_forgotten(&sim, 2);
}

#[test]
fn without_its_proofs_the_load_balancer_would_go_where_nobody_else_serves() {
    let sim = alone(23);
    let whole = plan(&sim).unwrap();
    let mut hasty = whole.clone();
    let stages = hasty.phases.iter_mut().flat_map(|phase| &mut phase.stages);
    let is_proof = |action: &Action| matches!(action, Action::AwaitReplacement | Action::ProbeServices { .. });
    stages.flat_map(|stage| &mut stage.lanes).for_each(|lane| lane.steps.retain(|step| !is_proof(&step.action)));
    let told: Vec<String> = lint::lint(&hasty).iter().map(|broken| broken.rule.clone()).collect();
    assert!(told.iter().any(|rule| rule.contains("load balancer goes off before")), "{told:?}");
}

#[test]
fn where_kube_proxy_serves_as_well_it_is_refused() {
    let sim = both(24);
    let refused = plan(&sim).unwrap_err();
    assert!(matches!(refused, NoPlan::NotAdoptable(NotAdoptable::BothServe { .. })), "{refused}");
    assert!(refused.to_string().contains("so does daemonset kube-system/kube-proxy"), "{refused}");
    let sim = alone(24);
    let mut values = sim.world().charts.release("cilium", "kube-system").unwrap().unwrap().values;
    values["k8sServiceHost"] = json!("10.96.0.1");
    sim.world().charts.upgrade("cilium", "kube-system", &values, &mut || Ok(())).unwrap();
    let refused = plan(&sim).unwrap_err();
    assert!(matches!(refused, NoPlan::Services(NoReplacement::ServiceAddress { .. })), "{refused}");
}

#[test]
fn the_way_back_waits_for_a_kube_proxy_with_its_rules() {
    let sim = both(25);
    let set = sim.person().get(&kube_proxy()).unwrap().unwrap();
    drop(sim);
    let sim = alone(25);
    assert_eq!(process(&sim, Some(&plan(&sim).unwrap())), Ok(Ended::Done));
    let back = || {
        let loaded = Journal::new(sim.world().cluster, "kube-system").load().unwrap().unwrap();
        rollback(&facts(sim.world()), loaded.plan.settings, &[], vec![], sim.world().clock.now()).unwrap()
    };
    let hasty = back();
    assert_eq!(lint::lint(&hasty), vec![]);
    let Ok(Ended::Paused(why)) = process(&sim, Some(&hasty)) else { panic!("nobody else serves") };
    assert!(why.contains("kube-proxy has no rule on"), "{why}");
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces), "nothing was changed");
    let mut again = set;
    again["metadata"] = json!({ "namespace": "kube-system", "name": "kube-proxy" });
    again.as_object_mut().unwrap().remove("status");
    sim.person().create(&Resource::DAEMON_SETS, &again).unwrap();
    assert!(sim.settle(LIMIT));
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(start::of(&facts(sim.world())), Ok(Start::Clean));
    assert!(sim.nodes().iter().all(|(_, node)| !node.replaces && node.kube_proxy && node.proxy_rules));
    always_served(&sim, "gone back");
}
