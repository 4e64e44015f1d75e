//! kube-proxy replaced on the pretend cluster and brought back: somebody serves Services on every node at every moment.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use ovncilium_core::journal::State;
use ovncilium_core::plan::adopt::FoundRelease;
use ovncilium_core::plan::kube_proxy::{ApiServer, NoReplacement, replace, restore};
use ovncilium_core::plan::migrate::{Choices, migrate};
use ovncilium_core::plan::rollback::rollback;
use ovncilium_core::plan::{Action, Kind, Plan, Resource, lint};
use ovncilium_engine::collect::{self, Options};
use ovncilium_engine::journal::Store as Journal;
use ovncilium_engine::kube_proxy::look;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::{Charts as _, Cluster as _, Filter, World};
use ovncilium_sim::{ActorCluster as _, Fault, SimCluster, When};
use serde_json::{Value, json};

fn facts(world: World<'_>) -> ovncilium_core::facts::Facts {
    let options = Options { context: None, release_namespace: "kube-system".into(), now: world.clock.now() };
    collect::collect(world.cluster, &options).unwrap()
}

/// One process: begin `plan`, or go on.
fn process(sim: &SimCluster, plan: Option<&Plan>) -> Result<Ended, String> {
    let attachments = BTreeMap::from([("chart".to_owned(), b"chart".to_vec())]);
    let what = match plan {
        Some(plan) => Claim::Begin { plan, attachments: &attachments },
        None => Claim::Resume,
    };
    let run =
        claim(sim.world(), "kube-system", "somebody", &what, &mut |_| {}).map_err(|error| format!("{error:?}"))?;
    run.carry_out(&mut || Ok(()), &mut |_| {}).map_err(|error| format!("{error:?}"))
}

fn recorded(sim: &SimCluster) -> ovncilium_engine::journal::Loaded {
    Journal::new(sim.world().cluster, "kube-system").load().unwrap().unwrap()
}

fn replacement(sim: &SimCluster) -> Result<Plan, NoReplacement> {
    replacement_by(sim, None)
}

fn replacement_by(sim: &SimCluster, server: Option<ApiServer>) -> Result<Plan, NoReplacement> {
    let world = sim.world();
    let settings = recorded(sim).plan.settings;
    let release = sim.release(&settings.release, &settings.release_namespace).unwrap().map(FoundRelease::from);
    let (facts, found) = (facts(world), look(world.cluster).unwrap());
    let settings = replace::settings(&facts, &settings, &found, release.as_ref(), server)?;
    replace::replace(&facts, settings, &found, &[], vec![], world.clock.now())
}

fn way_back(sim: &SimCluster) -> Plan {
    let world = sim.world();
    let found = look(world.cluster).unwrap();
    restore::restore(&facts(world), &recorded(sim).plan.settings, &found, &[], vec![], world.clock.now()).unwrap()
}

/// The example, migrated.
fn migrated(seed: u64) -> SimCluster {
    migrated_after(seed, |_| {})
}

/// The same, with something else about it from the beginning.
fn migrated_after(seed: u64, change: impl Fn(&SimCluster)) -> SimCluster {
    let sim = SimCluster::example(seed).unwrap();
    change(&sim);
    let world = sim.world();
    let choices = Choices { soak_seconds: 0, ..Choices::default() };
    let plan =
        migrate(&facts(world), &world.charts.chart().unwrap(), &[], &choices, vec![], world.clock.now()).unwrap();
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    sim
}

/// What must be the same however a run went: objects without what the API server, controllers or time put there.
fn state(sim: &SimCluster) -> BTreeMap<String, Value> {
    let kept = ["ConfigMap", "DaemonSet", "Deployment", "Node", "CiliumNodeConfig", "Lease", "Service"];
    let objects = sim.store().dump().into_iter().filter(|object| kept.iter().any(|kind| object["kind"] == *kind));
    objects
        .filter(|object| {
            let name = object["metadata"]["name"].as_str().unwrap();
            !name.starts_with("ovncilium-") && object["metadata"]["namespace"] != "kube-node-lease"
        })
        .map(|mut object| {
            let metadata = &object["metadata"];
            let name = format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"]);
            object["metadata"] = json!({ "labels": metadata["labels"] });
            object.as_object_mut().unwrap().remove("status");
            (name, object)
        })
        .collect()
}

fn same(wanted: &BTreeMap<String, Value>, sim: &SimCluster, when: &str) {
    let found = state(sim);
    assert_eq!(wanted.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{when}");
    for (name, object) in wanted {
        assert_eq!(Some(object), found.get(name), "{when}: {name}");
    }
}

fn values(sim: &SimCluster) -> Value {
    sim.release("cilium", "kube-system").unwrap().unwrap().values
}

fn proxies(sim: &SimCluster) -> usize {
    let filter = Filter::in_namespace("kube-system").labelled("k8s-app=kube-proxy");
    sim.person().list(&Resource::PODS, &filter).unwrap().len()
}

fn always_served(sim: &SimCluster) {
    assert_eq!(sim.nodes().unserved, Vec::<String>::new(), "nobody served");
    let served = sim.nodes().iter().filter(|(_, node)| node.was_served).count();
    assert_eq!(served, 5, "the witness has seen every node served");
}

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

/// Kill a run at some of its writes, let the next process finish it, and compare.
fn killed(seed: u64, back: bool, every: usize, offset: usize) {
    let start = || {
        let sim = migrated(seed);
        if back {
            let plan = replacement(&sim).unwrap();
            assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
        }
        let plan = if back { way_back(&sim) } else { replacement(&sim).unwrap() };
        (sim, plan)
    };
    let (whole, plan) = start();
    let first = whole.store().writes();
    assert_eq!(process(&whole, Some(&plan)), Ok(Ended::Done));
    let total = whole.store().writes() - first;
    assert!(total > 60, "{total} writes");
    let wanted = state(&whole);
    let mut kills = 0;
    for index in (0..total).filter(|index| index % every == offset) {
        let when = if index % 2 == 0 { When::Before } else { When::After };
        let (sim, plan) = start();
        sim.store().set_fault(Some(Fault::kill(first + index, when)));
        let ended = process(&sim, Some(&plan));
        if sim.store().killed() {
            kills += 1;
            assert!(ended.is_err(), "killed at write {index}, but ended {ended:?}");
            sim.revive();
            sim.store().set_fault(None);
            let loaded = recorded(&sim);
            let again = match (loaded.journal.header.kind == plan.kind, loaded.journal.header.state) {
                // Before the header was written the run did not exist.
                (false, _) => process(&sim, Some(&if back { way_back(&sim) } else { replacement(&sim).unwrap() })),
                (true, State::Done) => Ok(Ended::Done),
                (true, _) => process(&sim, None),
            };
            assert_eq!(again, Ok(Ended::Done), "killed {when:?} write {index}");
        }
        same(&wanted, &sim, &format!("killed {when:?} write {index}"));
        always_served(&sim);
    }
    assert!(kills > 5, "{kills} kills");
}

#[test]
fn killed_at_its_writes_the_next_run_completes_it() {
    // Two threads: each kill is a cluster of its own.
    std::thread::scope(|scope| {
        let other = scope.spawn(|| killed(32, false, 9, 4));
        killed(32, false, 9, 0);
        other.join().unwrap();
    });
}

#[test]
fn killed_at_its_writes_the_way_back_is_completed() {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| killed(33, true, 15, 7));
        killed(33, true, 15, 0);
        other.join().unwrap();
    });
}

#[test]
fn killed_in_the_middle_the_way_back_leads_to_what_was() {
    let whole = migrated(34);
    let wanted = state(&whole);
    let plan = replacement(&whole).unwrap();
    let first = whole.store().writes();
    assert_eq!(process(&whole, Some(&plan)), Ok(Ended::Done));
    let total = whole.store().writes() - first;
    for index in (20..total).step_by(23) {
        let sim = migrated(34);
        let plan = replacement(&sim).unwrap();
        sim.store().set_fault(Some(Fault::kill(first + index, When::After)));
        assert!(process(&sim, Some(&plan)).is_err());
        sim.revive();
        sim.store().set_fault(None);
        assert_eq!(recorded(&sim).plan.kind, Kind::ReplaceKubeProxy);
        let back = way_back(&sim);
        assert_eq!(lint::lint(&back), vec![], "killed at write {index}");
        assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done), "killed at write {index}");
        sim.pass_time(Duration::from_secs(60));
        same(&wanted, &sim, &format!("killed at write {index}"));
        always_served(&sim);
    }
}

/// The plan without these actions.
fn without(plan: &Plan, skip: &dyn Fn(&Action) -> bool) -> Plan {
    let mut plan = plan.clone();
    for stage in plan.phases.iter_mut().flat_map(|phase| &mut phase.stages) {
        for lane in &mut stage.lanes {
            lane.steps.retain(|step| !skip(&step.action));
        }
    }
    plan
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

fn node_names(sim: &SimCluster) -> Vec<String> {
    let nodes = sim.person().list(&Resource::NODES, &Filter::all()).unwrap();
    nodes.iter().map(|node| node["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn told_by_kubelets(sim: &SimCluster, field: &str, value: &str) {
    for name in node_names(sim) {
        let status = json!({ "status": { "nodeInfo": { field: value } } });
        sim.person().patch_status(&Resource::NODES.named("", &name), &status).unwrap();
    }
}

/// As k3s notes its command line, whose servers are the control planes.
fn note_of_k3s(sim: &SimCluster, disabled: bool) {
    for name in node_names(sim) {
        let words = match name.starts_with("control") {
            true => json!(["server", "--disable-kube-proxy", disabled.to_string()]),
            false => json!(["agent"]),
        };
        let note =
            json!([{ "op": "add", "path": "/metadata/annotations/k3s.io~1node-args", "value": words.to_string() }]);
        sim.person().json_patch(&Resource::NODES.named("", &name), &note).unwrap();
    }
}

fn run_within_k3s(sim: &SimCluster, runs: bool) {
    for name in node_names(sim) {
        sim.nodes_mut().node(&name).embedded_proxy = runs;
    }
}

#[test]
fn k3s_is_told_its_own_switch_which_is_proven_both_ways() {
    let sim = migrated_after(40, |sim| {
        told_by_kubelets(sim, "kubeletVersion", "v1.34.4+k3s1");
        note_of_k3s(sim, false);
        run_within_k3s(sim, true);
        sim.person().delete(&Resource::DAEMON_SETS.named("kube-system", "kube-proxy"), None).unwrap();
        sim.pass_time(Duration::from_secs(30));
    });
    let values_before = values(&sim);
    assert!(refusal(&sim).contains("API server's own address is not known: kube-proxy of k3s"), "{}", refusal(&sim));
    let server = ApiServer::parse("192.168.10.11:6443", None);
    let plan = replacement_by(&sim, server).unwrap();
    assert_eq!(lint::lint(&plan), vec![]);
    assert!(
        !plan.steps().any(|(_, _, step)| matches!(step.action, Action::CleanKubeProxy | Action::LimitKubeProxy { .. }))
    );
    assert!(plan.consequences.iter().any(|line| line.contains("disable-kube-proxy: true")), "{:?}", plan.consequences);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("nobody has turned the switch") };
    assert!(reason.contains("disable-kube-proxy: true") && reason.contains("/etc/rancher/k3s/config.yaml"), "{reason}");
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces), "Cilium serves before anybody is asked");
    // The servers say so, and one of them was not restarted with it.
    note_of_k3s(&sim, true);
    run_within_k3s(&sim, false);
    sim.nodes_mut().node("worker-2").embedded_proxy = true;
    let Ok(Ended::Paused(reason)) = process(&sim, None) else { panic!("one node was not restarted") };
    assert!(reason.contains("kube-proxy still runs on worker-2"), "{reason}");
    run_within_k3s(&sim, false);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    always_served(&sim);

    let back = way_back(&sim);
    assert_eq!(lint::lint(&back), vec![]);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&back)) else { panic!("nobody has turned it back") };
    assert!(reason.contains("disable-kube-proxy: false"), "{reason}");
    assert_eq!(values(&sim)["kubeProxyReplacement"], "true", "Cilium serves until then");
    note_of_k3s(&sim, false);
    run_within_k3s(&sim, true);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(values(&sim), values_before);
    assert!(sim.nodes().iter().all(|(_, node)| !node.replaces && node.proxy_rules));
    always_served(&sim);
}

#[test]
fn a_kube_proxy_that_talos_applies_is_not_ours_to_limit_and_its_rules_are_cleaned() {
    let set = Resource::DAEMON_SETS.named("kube-system", "kube-proxy");
    let sim = migrated_after(41, |sim| {
        told_by_kubelets(sim, "osImage", "Talos (v1.11.2)");
    });
    let applied = sim.person().get(&set).unwrap().unwrap();
    let plan = replacement(&sim).unwrap();
    assert_eq!(lint::lint(&plan), vec![]);
    assert!(!plan.steps().any(|(_, _, step)| matches!(step.action, Action::LimitKubeProxy { .. })));
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("nobody has turned the switch") };
    assert!(reason.contains("cluster.proxy.disabled: true") && reason.contains("delete the DaemonSet"), "{reason}");
    assert_eq!(sim.person().get(&set).unwrap().unwrap()["spec"], applied["spec"]);
    sim.person().delete(&set, None).unwrap();
    sim.pass_time(Duration::from_secs(30));
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert!(sim.nodes().iter().all(|(_, node)| node.replaces && !node.proxy_rules));
    let back = way_back(&sim);
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&back)) else { panic!("nobody has turned it back") };
    assert!(reason.contains("cluster.proxy.disabled: false"), "{reason}");
    let mut again = applied;
    again["metadata"] = json!({ "namespace": "kube-system", "name": "kube-proxy" });
    again.as_object_mut().unwrap().remove("status");
    sim.person().create(&Resource::DAEMON_SETS, &again).unwrap();
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    assert!(sim.nodes().iter().all(|(_, node)| !node.replaces && node.proxy_rules));
    always_served(&sim);
}

fn refusal(sim: &SimCluster) -> String {
    replacement(sim).unwrap_err().to_string()
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
        let map = Resource::CONFIG_MAPS.named("kube-system", "kube-proxy");
        let text = format!("kind: KubeProxyConfiguration\nmode: {mode}\n");
        sim.person()
            .json_patch(&map, &json!([{ "op": "replace", "path": "/data/config.conf", "value": text }]))
            .unwrap();
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
