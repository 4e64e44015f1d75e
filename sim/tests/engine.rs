//! The engine on the pretend cluster: a whole migration, killed at every write, and the way back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use ovncilium_core::ids::RunId;
use ovncilium_core::journal::{HEADER_LIMIT, RECORD_LIMIT, SHARD_LIMIT, State};
use ovncilium_core::plan::action::CHAINED_LABEL;
use ovncilium_core::plan::migrate::{Choices, migrate, settings};
use ovncilium_core::plan::rollback::rollback;
use ovncilium_core::plan::{Action, Plan, Resource};
use ovncilium_engine::collect::{self, Options};
use ovncilium_engine::events::Event;
use ovncilium_engine::journal::Store as Journal;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::{Cluster as _, Filter, World};
use ovncilium_sim::{ActorCluster as _, Fault, SimCluster, User, When};
use serde_json::Value;

fn facts(world: World<'_>) -> ovncilium_core::facts::Facts {
    let options = Options { context: None, release_namespace: "kube-system".into(), now: world.clock.now() };
    collect::collect(world.cluster, &options).unwrap()
}

fn migration(world: World<'_>) -> Plan {
    let chart = world.charts.chart().unwrap();
    let choices = Choices { soak_seconds: 1, ..Choices::default() };
    settings(&facts(world), &chart, &choices).unwrap();
    migrate(&facts(world), &chart, &[], &choices, vec![], world.clock.now()).unwrap()
}

fn way_back(world: World<'_>) -> Plan {
    let loaded = Journal::new(world.cluster, "kube-system").load().unwrap().unwrap();
    rollback(&facts(world), loaded.plan.settings, &[], vec![], world.clock.now()).unwrap()
}

/// Id of the run that is recorded; of none where there is none.
fn recorded(world: World<'_>) -> RunId {
    let loaded = Journal::new(world.cluster, "kube-system").load().unwrap();
    loaded.map_or(RunId::from("none"), |loaded| loaded.journal.header.run)
}

/// One process: begin `plan`, or go on. Errors are what the process would have died or stopped with.
fn process(sim: &SimCluster, plan: Option<&Plan>) -> Result<Ended, String> {
    let world = sim.world();
    let attachments = BTreeMap::from([("chart".to_owned(), b"chart".to_vec())]);
    let recorded = recorded(world);
    let what = match plan {
        Some(plan) => Claim::Begin { plan, attachments: &attachments },
        None => Claim::Resume { run: &recorded },
    };
    let run = claim(world, "kube-system", "somebody", &what, &mut |_| {}).map_err(|error| format!("{error:?}"))?;
    run.carry_out(&mut || Ok(()), &mut |_| {}).map_err(|error| format!("{error:?}"))
}

/// What must be the same however a run went: objects without what the API server, controllers or time put there.
fn state(sim: &SimCluster) -> BTreeMap<String, Value> {
    let kept = [
        "ConfigMap",
        "DaemonSet",
        "Deployment",
        "Node",
        "CiliumNodeConfig",
        "CustomResourceDefinition",
        "Lease",
        "Service",
    ];
    sim.store()
        .dump()
        .into_iter()
        .filter(|object| kept.iter().any(|kind| object["kind"] == *kind))
        .filter(|object| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            !name.starts_with("ovncilium-") && object["metadata"]["namespace"] != "kube-node-lease"
        })
        .map(|mut object| {
            let metadata = &object["metadata"];
            let name = format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"]);
            object["metadata"] = serde_json::json!({ "labels": metadata["labels"] });
            object.as_object_mut().unwrap().remove("status");
            (name, object)
        })
        .collect()
}

fn covered(sim: &SimCluster) {
    let objects = sim.store().dump();
    let of = |kind: &str| objects.iter().filter(|o| o["kind"] == kind).collect::<Vec<_>>();
    let endpoints: Vec<_> = of("CiliumEndpoint");
    for pod in of("Pod") {
        if pod["spec"]["hostNetwork"] == true {
            continue;
        }
        let name = &pod["metadata"]["name"];
        assert!(
            endpoints.iter().any(|e| e["metadata"]["name"] == *name
                && e["status"]["networking"]["addressing"][0]["ipv4"] == pod["status"]["podIP"]),
            "pod {name} has no endpoint"
        );
    }
}

#[test]
fn a_migration_and_its_rollback_leave_the_cluster_as_it_was() {
    let sim = SimCluster::example(1).unwrap();
    let before = state(&sim);
    let plan = migration(sim.world());
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    covered(&sim);
    let nodes = sim.store().dump().into_iter().filter(|o| o["kind"] == "Node");
    assert!(nodes.into_iter().all(|node| !node["metadata"]["labels"].to_string().contains("ovncilium.io/")));
    let has_rules = |sim: &SimCluster| sim.nodes().iter().any(|(_, node)| node.cilium_rules);
    assert!(has_rules(&sim));
    let back = way_back(sim.world());
    assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done));
    assert!(!has_rules(&sim));
    sim.pass_time(Duration::from_secs(60));
    let after = state(&sim);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, object) in &before {
        assert_eq!(Some(object), after.get(name), "{name}");
    }
    let ours = sim
        .store()
        .dump()
        .into_iter()
        .filter(|o| o["metadata"]["name"].as_str().unwrap_or_default().starts_with("ovncilium-"));
    assert_eq!(ours.map(|o| o["metadata"]["name"].to_string()).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn nodes_take_pods_after_the_way_back_although_the_operator_was_restarted_before() {
    let sim = SimCluster::example(13).unwrap();
    let plan = migration(sim.world());
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    // With the settings of the end, which have nodes without agent tainted.
    sim.pass_time(Duration::from_secs(60));
    let operators = Filter::all().labelled("io.cilium/app=operator");
    let pods = sim.person().list(&Resource::PODS, &operators).unwrap();
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().unwrap();
        sim.person().delete(&Resource::PODS.named("kube-system", name), None).unwrap();
    }
    sim.pass_time(Duration::from_secs(60));
    let closed = |sim: &SimCluster| {
        let nodes = sim.person().list(&Resource::NODES, &Filter::all()).unwrap();
        nodes.iter().filter(|node| node["spec"]["taints"].to_string().contains("cilium.io")).count()
    };
    assert_eq!(closed(&sim), 0, "every agent is ready");
    let back = way_back(sim.world());
    assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(closed(&sim), 0, "nobody would take the taint away any more");
}

/// Begin to watch who enforces policy on a pod of every node, once Kube-OVN has built all it builds.
fn watch_policy(sim: &SimCluster) {
    let everywhere = serde_json::json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "namespace": "logging", "name": "logger" },
        "spec": { "podSelector": { "matchLabels": { "app": "logger" } }, "policyTypes": ["Ingress"] },
    });
    sim.person().create(&Resource::NETWORK_POLICIES, &everywhere).unwrap();
    sim.pass_time(Duration::from_secs(90));
    sim.nodes_mut().unprotected.clear();
}

/// Leave out of a plan every step with this action.
fn without(plan: &Plan, action: &Action) -> Plan {
    let mut plan = plan.clone();
    for stage in plan.phases.iter_mut().flat_map(|phase| &mut phase.stages) {
        for lane in &mut stage.lanes {
            lane.steps.retain(|step| &step.action != action);
        }
    }
    plan
}

#[test]
fn policy_is_enforced_by_somebody_all_the_time() {
    for seed in 20..28 {
        let sim = SimCluster::example(seed).unwrap();
        watch_policy(&sim);
        assert_eq!(process(&sim, Some(&migration(sim.world()))), Ok(Ended::Done));
        assert!(!sim.nodes().ovn.network_policy, "it was handed over");
        assert_eq!(sim.nodes().unprotected, Vec::<String>::new(), "forward, seed {seed}");
        assert_eq!(process(&sim, Some(&way_back(sim.world()))), Ok(Ended::Done));
        assert!(sim.nodes().ovn.network_policy, "it was handed back");
        assert_eq!(sim.nodes().unprotected, Vec::<String>::new(), "back, seed {seed}");
    }
}

#[test]
fn without_its_waits_policy_would_be_open_for_a_while() {
    let open = |seed: u64, forward: &dyn Fn(Plan) -> Plan, back: &dyn Fn(Plan) -> Plan| {
        let sim = SimCluster::example(seed).unwrap();
        watch_policy(&sim);
        assert_eq!(process(&sim, Some(&forward(migration(sim.world())))), Ok(Ended::Done));
        let after_forward = sim.nodes().unprotected.len();
        assert_eq!(process(&sim, Some(&back(way_back(sim.world())))), Ok(Ended::Done));
        (after_forward, sim.nodes().unprotected.len() - after_forward)
    };
    let seeds = || 20..28_u64;
    let hasty = |plan: Plan| without(&plan, &Action::AwaitEnforcement);
    assert!(seeds().any(|seed| open(seed, &hasty, &|plan| plan).0 > 0), "forward");
    let hasty = |plan: Plan| without(&plan, &Action::AwaitOvnPolicy);
    assert!(seeds().any(|seed| open(seed, &|plan| plan, &hasty).1 > 0), "back");
}

#[test]
fn a_canary_node_between_back_and_forward_is_cleaned_too() {
    let sim = SimCluster::example(12).unwrap();
    let mut plan = migration(sim.world());
    plan.phases.truncate(3);
    plan.phases[2].stages.truncate(3);
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    let left = |sim: &SimCluster| {
        let of_cilium = |device: &String| device.starts_with("cilium_");
        sim.nodes().iter().filter(|(_, node)| node.cilium_rules || node.devices.iter().any(of_cilium)).count()
    };
    assert_eq!(left(&sim), 1, "its labels are gone, its rules are not");
    assert_eq!(process(&sim, Some(&way_back(sim.world()))), Ok(Ended::Done));
    assert_eq!(left(&sim), 0);
}

#[test]
fn policy_is_handed_back_although_a_person_has_put_the_flags_back() {
    let sim = SimCluster::example(13).unwrap();
    watch_policy(&sim);
    assert_eq!(process(&sim, Some(&migration(sim.world()))), Ok(Ended::Done));
    let controller = Resource::DEPLOYMENTS.named("kube-system", "kube-ovn-controller");
    let before = Journal::new(sim.world().cluster, "kube-system").load().unwrap().unwrap().plan.settings;
    let args = serde_json::json!([{
        "op": "replace",
        "path": format!("/spec/template/spec/containers/0/{}", before.controller_flags_in),
        "value": before.controller_flags_before,
    }]);
    sim.person().json_patch(&controller, &args).unwrap();
    let back = way_back(sim.world());
    assert!(!back.steps().any(|(_, _, step)| step.action.name() == "set-controller-flags"), "they are as they were");
    assert!(back.steps().any(|(_, _, step)| step.action == Action::AwaitOvnPolicy));
    assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done));
    assert_eq!(sim.nodes().unprotected, Vec::<String>::new());
}

#[test]
fn every_act_is_preceded_by_its_intent() {
    let sim = SimCluster::example(3).unwrap();
    let plan = migration(sim.world());
    let start = sim.log().len();
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    let mut intents = String::new();
    let mut acts = 0;
    for write in sim.log().into_iter().skip(start).filter(|write| write.user == User::Engine) {
        let text = write.request.to_string();
        let object = write.object.to_string();
        let size = |key: &str| write.request["data"][key].as_str().unwrap_or_default().len();
        assert!(
            size("header") <= HEADER_LIMIT && size("record") <= RECORD_LIMIT && size("records") <= SHARD_LIMIT,
            "{object}"
        );
        if object.contains("ovncilium-record") {
            intents.push_str(&text);
        } else if !object.contains("ovncilium-") {
            acts += 1;
            let name = &write.object.name;
            assert!(intents.contains(name.as_str()), "{} {object} has no intent before it", write.verb);
        }
    }
    assert!(acts > 30, "only {acts} acts were seen");
}

#[test]
fn killed_before_or_after_any_write_the_next_run_completes_it() {
    let whole = SimCluster::example(2).unwrap();
    let plan = migration(whole.world());
    let first = whole.store().writes();
    assert_eq!(process(&whole, Some(&plan)), Ok(Ended::Done));
    let total = whole.store().writes() - first;
    let wanted = state(&whole);
    assert!(total > 100, "{total} writes");
    // Two threads: each kill is a cluster of its own.
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| kill_at(first, (0..total).filter(|index| index % 2 == 1), When::After, &wanted));
        (kill_at(first, (0..total).filter(|index| index % 2 == 0), When::Before, &wanted), odd.join().unwrap())
    });
    assert_eq!(even + odd, total, "every kill took place");
}

/// Kill at each of these writes, go on, and compare; how many kills took place.
fn kill_at(first: usize, writes: impl Iterator<Item = usize>, when: When, wanted: &BTreeMap<String, Value>) -> usize {
    let mut killed = 0;
    for index in writes {
        let sim = SimCluster::example(2).unwrap();
        let plan = migration(sim.world());
        sim.store().set_fault(Some(Fault::kill(first + index, when)));
        let ended = process(&sim, Some(&plan));
        if sim.store().killed() {
            killed += 1;
            assert!(ended.is_err(), "killed at write {index}, but ended {ended:?}");
            sim.revive();
            sim.store().set_fault(None);
            let recorded = || Journal::new(sim.world().cluster, "kube-system").load().unwrap();
            let again = match recorded().map(|loaded| loaded.journal.header.state) {
                // Before the header was written no run existed: the next process begins one.
                None => process(&sim, Some(&migration(sim.world()))),
                Some(State::Done) => Ok(Ended::Done),
                Some(_) => process(&sim, None),
            };
            assert_eq!(again, Ok(Ended::Done), "killed {when:?} write {index}");
        }
        covered(&sim);
        let found = state(&sim);
        for (name, object) in wanted {
            assert_eq!(Some(object), found.get(name), "killed {when:?} write {index}: {name}");
        }
    }
    killed
}

/// Go on with the recorded run, drops accepted or not.
fn resume(sim: &SimCluster, accepts_drops: bool) -> Ended {
    let what = Claim::Resume { run: &recorded(sim.world()) };
    let run = claim(sim.world(), "kube-system", "somebody", &what, &mut |_| {}).unwrap();
    run.accepting_drops(accepts_drops).carry_out(&mut || Ok(()), &mut |_| {}).unwrap()
}

/// Whether any node enforces, told by its label.
fn enforces(sim: &SimCluster) -> bool {
    let nodes = sim.world().cluster.list(&Resource::NODES, &ovncilium_engine::world::Filter::all()).unwrap();
    nodes.iter().any(|node| node["metadata"]["labels"]["ovncilium.io/enforce"] == "true")
}

#[test]
fn what_enforcement_would_drop_stops_it_until_it_is_accepted() {
    let sim = SimCluster::example(6).unwrap();
    let plan = migration(sim.world());
    sim.nodes_mut().node("worker-2").would_drop = vec!["4 INGRESS 10.16.0.200 ID:7777 10.16.0.201:5432".to_owned()];
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("it went on") };
    assert!(
        reason.contains("10.16.0.200 → 10.16.0.201:5432, 4 times") && reason.contains("--accept-drops"),
        "{reason}"
    );
    assert!(matches!(resume(&sim, false), Ended::Paused(again) if again == reason), "asked again, it says the same");
    assert!(!enforces(&sim));
    assert_eq!(resume(&sim, true), Ended::Done);
    let journal = Journal::new(sim.world().cluster, "kube-system").load().unwrap().unwrap().journal;
    assert!(serde_json::to_string(&journal).unwrap().contains("accepted-drops"), "who accepted what is recorded");
}

#[test]
fn what_pods_without_an_endpoint_sent_is_not_what_enforcement_would_drop() {
    let sim = SimCluster::example(6).unwrap();
    let plan = migration(sim.world());
    let soon = sim.world().clock.now() + std::time::Duration::from_secs(40);
    let sent = (soon, "4 INGRESS 10.16.0.200 world 10.16.0.201:5432".to_owned());
    sim.nodes_mut().node("worker-2").would_have_dropped = vec![sent.clone()];
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    // The same, sent later.
    let sim = SimCluster::example(6).unwrap();
    let plan = migration(sim.world());
    sim.nodes_mut().node("worker-1").would_drop = vec![sent.1.clone()];
    assert!(matches!(process(&sim, Some(&plan)), Ok(Ended::Paused(_))), "it stops when every pod has its endpoint");
    sim.nodes_mut().node("worker-1").would_drop.clear();
    sim.nodes_mut().node("worker-1").would_have_dropped = vec![(sim.world().clock.now(), sent.1)];
    sim.world().clock.sleep(std::time::Duration::from_secs(300));
    let Ended::Paused(reason) = resume(&sim, false) else { panic!("it went on") };
    assert!(reason.contains("10.16.0.200 as world"), "{reason}");
}

#[test]
fn what_comes_from_a_node_stops_it_accepted_or_not() {
    let sim = SimCluster::example(7).unwrap();
    let plan = migration(sim.world());
    let node = sim.world().cluster.list(&Resource::NODES, &ovncilium_engine::world::Filter::all()).unwrap().remove(0);
    let address = node["status"]["addresses"][0]["address"].as_str().unwrap().to_owned();
    sim.nodes_mut().node("worker-1").would_drop = vec![format!("12 INGRESS {address} world 10.16.0.201:8080")];
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("it went on") };
    assert!(reason.contains(&format!("{address} as world")), "{reason}");
    assert!(matches!(resume(&sim, true), Ended::Paused(_)), "accepting does not help");
    assert!(!enforces(&sim));
    sim.nodes_mut().node("worker-1").would_drop.clear();
    assert_eq!(resume(&sim, false), Ended::Done, "mended, it goes on: the agent is asked again");
}

#[test]
fn pods_that_only_their_operator_restarts_are_waited_for_and_not_touched() {
    let sim = SimCluster::example(11).unwrap();
    let strategy = serde_json::json!([
        { "op": "replace", "path": "/spec/updateStrategy", "value": { "type": "OnDelete" } },
    ]);
    sim.person().json_patch(&Resource::DAEMON_SETS.named("logging", "logger"), &strategy).unwrap();
    let loggers = |sim: &SimCluster| {
        let pods =
            sim.person().list(&Resource::PODS, &ovncilium_engine::world::Filter::all().labelled("app=logger")).unwrap();
        pods.iter().map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = loggers(&sim);
    let plan = migration(sim.world());
    assert!(plan.consequences.iter().any(|line| line.contains("OnDelete") && line.contains("logging/logger-")));
    let Ok(Ended::Paused(reason)) = process(&sim, Some(&plan)) else { panic!("it went on") };
    assert!(reason.contains("no endpoint yet: logging/logger-"), "{reason}");
    assert_eq!(loggers(&sim), before, "nobody touched them");
    assert!(!enforces(&sim));
    for pod in
        sim.person().list(&Resource::PODS, &ovncilium_engine::world::Filter::all().labelled("app=logger")).unwrap()
    {
        let name = pod["metadata"]["name"].as_str().unwrap();
        sim.person().delete(&Resource::PODS.named("logging", name), None).unwrap();
    }
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    covered(&sim);
}

/// Take a node and its pods away, as `kubectl delete node` and the garbage collector do.
fn remove_node(sim: &SimCluster, name: &str) {
    let person = sim.person();
    person.delete(&Resource::NODES.named("", name), None).unwrap();
    for pod in person.list(&Resource::PODS, &ovncilium_engine::world::Filter::on_node(name)).unwrap() {
        let text = |key: &str| pod["metadata"][key].as_str().unwrap();
        person.force_delete(&Resource::PODS.named(text("namespace"), text("name")), text("uid")).unwrap();
    }
}

#[test]
fn a_node_that_is_gone_does_not_hold_a_migration_up() {
    let sim = SimCluster::example(8).unwrap();
    let plan = migration(sim.world());
    sim.nodes_mut().node("worker-3").would_drop = vec!["1 INGRESS 10.16.0.200 ID:7 10.16.0.201:80".to_owned()];
    assert!(matches!(process(&sim, Some(&plan)), Ok(Ended::Paused(_))), "it stops in the middle");
    remove_node(&sim, "worker-3");
    assert_eq!(process(&sim, None), Ok(Ended::Done));
    covered(&sim);
}

#[test]
fn a_node_that_is_gone_does_not_hold_the_way_back_up() {
    let sim = SimCluster::example(9).unwrap();
    let plan = migration(sim.world());
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    let back = way_back(sim.world());
    remove_node(&sim, "worker-2");
    assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done));
    let kinds: Vec<String> = sim.store().dump().iter().map(|object| object["kind"].to_string()).collect();
    assert!(!kinds.iter().any(|kind| kind.contains("Cilium")), "{kinds:?}");
}

#[test]
fn a_node_that_was_made_again_on_the_same_disk_goes_back_too() {
    let sim = SimCluster::example(10).unwrap();
    let plan = migration(sim.world());
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    let back = way_back(sim.world());
    let reference = Resource::NODES.named("", "worker-2");
    let old = sim.person().get(&reference).unwrap().unwrap();
    let files = |sim: &SimCluster| sim.nodes().get("worker-2").unwrap().fs.files().keys().cloned().collect::<Vec<_>>();
    assert!(files(&sim).contains(&"01-cilium.conflist".to_owned()));
    remove_node(&sim, "worker-2");
    let mut new = old.clone();
    new["metadata"] = serde_json::json!({ "name": "worker-2", "labels": old["metadata"]["labels"] });
    sim.person().create(&Resource::NODES, &new).unwrap();
    assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done));
    assert!(!files(&sim).iter().any(|file| file.contains("cilium")), "{:?}", files(&sim));
}

#[test]
fn a_node_that_would_load_somebody_elses_file_keeps_ours() {
    let sim = SimCluster::example(14).unwrap();
    let plan = migration(sim.world());
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    let back = way_back(sim.world());
    let own = sim.nodes().get("worker-2").unwrap().fs.read("01-kube-ovn.conflist").unwrap().to_vec();
    // Since an agent does not start without it, it goes once the last one has.
    let mut tell = |event: Event| {
        let Event::Done { node: Some(node), what, .. } = event else { return };
        if node.as_str() == "worker-2" && what.contains(&format!("{CHAINED_LABEL}-")) {
            let mut nodes = sim.nodes_mut();
            let files = &mut nodes.node("worker-2").fs;
            files.remove("01-kube-ovn.conflist");
            files.write("99-loopback.conf", br#"{"cniVersion":"0.3.1","name":"lo","type":"loopback"}"#);
        }
    };
    let attachments = BTreeMap::new();
    let what = Claim::Begin { plan: &back, attachments: &attachments };
    let run = claim(sim.world(), "kube-system", "somebody", &what, &mut |_| {}).unwrap();
    let Ok(Ended::Paused(reason)) = run.carry_out(&mut || Ok(()), &mut tell) else { panic!("it went on") };
    assert!(reason.contains("node worker-2 would load 99-loopback.conf"), "{reason}");
    assert!(
        sim.nodes().get("worker-2").unwrap().fs.loaded().is_some_and(|network| network.file == "01-cilium.conflist")
    );
    sim.nodes_mut().node("worker-2").fs.write("01-kube-ovn.conflist", &own);
    assert_eq!(process(&sim, None), Ok(Ended::Done));
}

#[test]
fn a_second_operator_is_kept_out_and_a_dead_one_is_replaced() {
    let sim = SimCluster::example(4).unwrap();
    let plan = migration(sim.world());
    let attachments = BTreeMap::new();
    let what = Claim::Begin { plan: &plan, attachments: &attachments };
    let first = claim(sim.world(), "kube-system", "first", &what, &mut |_| {}).unwrap();
    let run: RunId = first.ledger().head().run.clone();
    let epoch = first.ledger().head().epoch;
    // The first process is still there but does nothing any more: after the lease's duration a second takes over.
    let second = claim(sim.world(), "kube-system", "second", &Claim::Resume { run: &run }, &mut |_| {}).unwrap();
    assert_eq!(second.ledger().head().run, run);
    assert!(second.ledger().head().epoch > epoch);
    // Now the first wakes up: it must not write anything but find out.
    let before = sim.log().len();
    let error = first.carry_out(&mut || Ok(()), &mut |_| {}).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("Held") || text.contains("Fenced"), "{text}");
    let wrote: Vec<String> = sim
        .log()
        .into_iter()
        .skip(before)
        .filter(|w| w.user == User::Engine && w.refused.is_none())
        .map(|w| format!("{} {}", w.verb, w.object))
        .collect();
    assert_eq!(wrote, Vec::<String>::new());
    assert_eq!(second.carry_out(&mut || Ok(()), &mut |_| {}).unwrap(), Ended::Done);
}

#[test]
fn a_closed_gate_pauses_before_the_first_node() {
    let sim = SimCluster::example(5).unwrap();
    let plan = migration(sim.world());
    let attachments = BTreeMap::new();
    let what = Claim::Begin { plan: &plan, attachments: &attachments };
    let run = claim(sim.world(), "kube-system", "somebody", &what, &mut |_| {}).unwrap();
    let ended = run.carry_out(&mut || Err("the policies stop it: example".to_owned()), &mut |_| {}).unwrap();
    assert_eq!(ended, Ended::Paused("the policies stop it: example".to_owned()));
    let nodes = sim.world().cluster.list(&Resource::NODES, &ovncilium_engine::world::Filter::all()).unwrap();
    assert!(nodes.iter().all(|node| !node.to_string().contains("ovncilium.io/")));
    assert_eq!(process(&sim, None), Ok(Ended::Done), "and goes on when the gate opens");
}
