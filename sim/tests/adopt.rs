//! Taking over half of Kube-OVN's guide on the pretend cluster: to its end, killed on the way, and from there to Kube-OVN alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "adopt/services.rs"]
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ovncilium_core::facts::{Facts, Subject};
use ovncilium_core::ids::{NodeName, RunId};
use ovncilium_core::journal::State;
use ovncilium_core::plan::adopt::{Adopting, FoundRelease, NotAdoptable};
use ovncilium_core::plan::migrate::{Choices, NoPlan, migrate};
use ovncilium_core::plan::rollback::{forget, rollback};
use ovncilium_core::plan::start::{self, Start};
use ovncilium_core::plan::{Plan, Resource};
use ovncilium_engine::collect::{self, Options};
use ovncilium_engine::journal::Store as Journal;
use ovncilium_engine::node_task::TaskSettings;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::{Cluster as _, Filter, World};
use ovncilium_sim::example::guide::FORGOTTEN;
use ovncilium_sim::{Fault, SimCluster, User, When};
use serde_json::Value;

/// Facts of both tiers, as `--adopt` reads them.
fn facts(world: World<'_>) -> Facts {
    let options = Options { context: None, release_namespace: "kube-system".into(), now: world.clock.now() };
    let mut facts = collect::collect(world.cluster, &options).unwrap();
    let settings = TaskSettings {
        namespace: "kube-system".into(),
        image: "kube-ovn".into(),
        image_pull_secrets: Vec::new(),
        conf_dir: "/etc/cni/net.d".into(),
    };
    let nodes = facts.nodes.value.known().unwrap().items.iter();
    let names: Vec<NodeName> = nodes.map(|node| NodeName(node.name.clone())).collect();
    let (conflists, _) =
        collect::nodes::probe(world.cluster, world.clock, &settings, &names, &RunId("0a1b2c3d4e5f".into()));
    facts.conflists = Subject::known(conflists, world.clock.now());
    facts
}

fn takeover(world: World<'_>) -> Result<Plan, NoPlan> {
    let found = world.charts.release("cilium", "kube-system").unwrap().unwrap();
    let choices = Choices {
        soak_seconds: 1,
        adopt: Some(Adopting { release: Some(found.into()), ..Adopting::default() }),
        ..Choices::default()
    };
    migrate(&facts(world), &world.charts.chart().unwrap(), &[], &choices, vec![], world.clock.now())
}

/// Id of the run that is recorded; of none where there is none.
fn recorded(world: World<'_>) -> RunId {
    let loaded = Journal::new(world.cluster, "kube-system").load().unwrap();
    loaded.map_or(RunId::from("none"), |loaded| loaded.journal.header.run)
}

/// One process: begin `plan`, or go on.
fn process(sim: &SimCluster, plan: Option<&Plan>) -> Result<Ended, String> {
    let attachments = BTreeMap::from([("chart".to_owned(), b"chart".to_vec())]);
    let recorded = recorded(sim.world());
    let what = match plan {
        Some(plan) => Claim::Begin { plan, attachments: &attachments },
        None => Claim::Resume { run: &recorded },
    };
    let run =
        claim(sim.world(), "kube-system", "somebody", &what, &mut |_| {}).map_err(|error| format!("{error:?}"))?;
    run.carry_out(&mut || Ok(()), &mut |_| {}).map_err(|error| format!("{error:?}"))
}

fn objects(sim: &SimCluster, resource: Resource) -> Vec<Value> {
    sim.person().list(&resource, &Filter::all()).unwrap_or_default()
}

/// Pods with an address of their own and without an endpoint of it.
fn uncovered(sim: &SimCluster) -> Vec<String> {
    let endpoints: BTreeSet<String> = objects(sim, Resource::CILIUM_ENDPOINTS)
        .iter()
        .map(|e| format!("{} {}", e["metadata"]["name"], e["status"]["networking"]["addressing"][0]["ipv4"]))
        .collect();
    objects(sim, Resource::PODS)
        .iter()
        .filter(|pod| pod["spec"]["hostNetwork"] != true)
        .map(|pod| format!("{} {}", pod["metadata"]["name"], pod["status"]["podIP"]))
        .filter(|pod| !endpoints.contains(pod))
        .collect()
}

/// What a finished takeover looks like, whatever happened on the way.
fn is_settled(sim: &SimCluster, when: &str) {
    assert_eq!(uncovered(sim), [""; 0], "{when}");
    for (name, node) in sim.nodes().iter() {
        let loaded = node.fs.loaded().map(|network| (network.file.clone(), network.network.clone()));
        assert_eq!(loaded, Some(("01-cilium.conflist".into(), "kube-ovn".into())), "{when}: {name}");
        let files: Vec<&String> = node.fs.configurations().collect();
        let kept = ["01-cilium.conflist", "01-kube-ovn.conflist", "10-kube-ovn.conflist"];
        let wanted: Vec<&str> =
            kept.into_iter().filter(|file| *file != "01-kube-ovn.conflist" || name == FORGOTTEN).collect();
        assert_eq!(files, wanted, "{when}: {name}");
        let agent = node.agent.as_ref().unwrap();
        assert_eq!(agent.settings.get("policy-audit-mode").map(String::as_str), Some("false"), "{when}: {name}");
    }
    let facts = facts(sim.world());
    assert_eq!(start::of(&facts), Ok(Start::Settled), "{when}");
    let controller = &facts.kube_ovn.value.known().unwrap().installations[0].controller;
    assert!(!controller.enable_np && !controller.enable_lb, "{when}");
}

#[test]
fn half_a_guide_is_told_and_taken_over() {
    for network in ["kube-ovn", "generic-veth"] {
        let sim = SimCluster::half_guided(7, network).unwrap();
        let Ok(Start::HalfGuide(traces)) = start::of(&facts(sim.world())) else { panic!("not half a guide") };
        assert!(traces.missing.iter().any(|what| what.contains(FORGOTTEN)), "{traces}");
        let managed = objects(&sim, Resource::CILIUM_ENDPOINTS).len();
        let agents: Vec<_> = agents(&sim);
        assert!(managed > 5 && !uncovered(&sim).is_empty(), "half of it: {managed}");
        let covered: BTreeSet<String> = endpoints(&sim);
        let plan = takeover(sim.world()).unwrap();
        assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
        is_settled(&sim, network);
        assert!(covered.is_subset(&endpoints(&sim)), "pods that had an endpoint were not touched");
        assert!(agents.iter().all(|agent| !self::agents(&sim).contains(agent)), "every agent has what stays");
    }
}

fn endpoints(sim: &SimCluster) -> BTreeSet<String> {
    let all = objects(sim, Resource::CILIUM_ENDPOINTS);
    all.iter().map(|endpoint| endpoint["metadata"]["uid"].to_string()).collect()
}

fn agents(sim: &SimCluster) -> Vec<String> {
    let pods = objects(sim, Resource::PODS);
    let agents = pods.iter().filter(|pod| pod["metadata"]["labels"]["k8s-app"] == "cilium");
    agents.map(|pod| pod["metadata"]["uid"].to_string()).collect()
}

#[test]
fn policy_is_enforced_by_somebody_before_every_stage_of_a_takeover() {
    let sim = SimCluster::half_guided(8, "kube-ovn").unwrap();
    assert!(!sim.nodes().ovn.network_policy, "the guide has turned it off");
    let plan = takeover(sim.world()).unwrap();
    let mut guarded = Vec::new();
    let attachments = BTreeMap::from([("chart".to_owned(), b"chart".to_vec())]);
    let what = Claim::Begin { plan: &plan, attachments: &attachments };
    let run = claim(sim.world(), "kube-system", "somebody", &what, &mut |_| {}).unwrap();
    // The gate is asked before every stage after the takeover of the release.
    let mut gate = || {
        if guarded.is_empty() {
            // Half of a guide leaves policy open; from here on it is our doing.
            sim.nodes_mut().unprotected.clear();
        }
        let nodes = sim.nodes();
        let cilium = nodes.iter().all(|(_, node)| {
            let mode = node.agent.as_ref().and_then(|agent| agent.settings.get("policy-audit-mode").cloned());
            mode.as_deref() != Some("true")
        });
        guarded.push((nodes.ovn.network_policy, cilium && uncovered(&sim).is_empty()));
        Ok(())
    };
    assert_eq!(run.carry_out(&mut gate, &mut |_| {}).unwrap(), Ended::Done);
    assert!(guarded.len() > 5);
    assert!(guarded.iter().all(|(ovn, cilium)| *ovn || *cilium), "{guarded:?}");
    assert_eq!(guarded.last(), Some(&(false, true)), "handed over in the end");
    assert_eq!(sim.nodes().unprotected, Vec::<String>::new(), "at no moment in between");
}

#[test]
fn killed_at_a_write_of_a_takeover_the_next_run_completes_it() {
    let whole = SimCluster::half_guided(9, "kube-ovn").unwrap();
    let plan = takeover(whole.world()).unwrap();
    let first = whole.store().writes();
    assert_eq!(process(&whole, Some(&plan)), Ok(Ended::Done));
    let total = whole.store().writes() - first;
    assert!(total > 100, "{total} writes");
    let mut killed = 0;
    for (index, when) in (0..total).step_by(11).zip([When::Before, When::After].into_iter().cycle()) {
        let sim = SimCluster::half_guided(9, "kube-ovn").unwrap();
        let plan = takeover(sim.world()).unwrap();
        sim.store().set_fault(Some(Fault::kill(first + index, when)));
        let ended = process(&sim, Some(&plan));
        assert!(sim.store().killed() && ended.is_err(), "write {index} was not reached: {ended:?}");
        killed += 1;
        sim.revive();
        sim.store().set_fault(None);
        let recorded = Journal::new(sim.world().cluster, "kube-system").load().unwrap();
        let again = match recorded.map(|loaded| loaded.journal.header.state) {
            None => process(&sim, Some(&takeover(sim.world()).unwrap())),
            Some(State::Done) => Ok(Ended::Done),
            Some(_) => process(&sim, None),
        };
        assert_eq!(again, Ok(Ended::Done), "killed {when:?} write {index}");
        is_settled(&sim, &format!("killed {when:?} write {index}"));
    }
    assert!(killed > 10, "{killed} kills");
}

#[test]
fn the_way_back_of_a_takeover_leads_to_kube_ovn_alone_from_anywhere() {
    let whole = SimCluster::half_guided(10, "kube-ovn").unwrap();
    let plan = takeover(whole.world()).unwrap();
    let first = whole.store().writes();
    assert_eq!(process(&whole, Some(&plan)), Ok(Ended::Done));
    let total = whole.store().writes() - first;
    // Soon after the release was changed, while nodes are cut over, while pods are recycled, late, and at the end.
    for kill in [Some(total / 6), Some(total / 3), Some(total / 2), Some(total * 5 / 6), None] {
        let sim = SimCluster::half_guided(10, "kube-ovn").unwrap();
        let plan = takeover(sim.world()).unwrap();
        sim.store().set_fault(kill.map(|index| Fault::kill(first + index, When::After)));
        let ended = process(&sim, Some(&plan));
        assert_eq!(ended.is_err(), kill.is_some(), "{ended:?}");
        sim.revive();
        sim.store().set_fault(None);
        let loaded = Journal::new(sim.world().cluster, "kube-system").load().unwrap().unwrap();
        let now = sim.world().clock.now();
        let back = rollback(&facts(sim.world()), loaded.plan.settings, &[], vec![], now).unwrap();
        assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done), "killed at {kill:?}");
        sim.pass_time(Duration::from_secs(60));
        let facts = facts(sim.world());
        assert_eq!(start::of(&facts), Ok(Start::Clean), "killed at {kill:?}");
        let controller = &facts.kube_ovn.value.known().unwrap().installations[0].controller;
        assert!(controller.enable_np && controller.enable_lb, "Kube-OVN serves alone");
        assert!(sim.nodes().ovn.network_policy && sim.nodes().ovn.load_balancer);
        for (name, node) in sim.nodes().iter() {
            assert!(
                node.fs.files().keys().all(|file| !file.contains("cilium")),
                "{name}: {:?}",
                node.fs.files().keys()
            );
            assert!(node.fs.loaded().is_some_and(|network| network.network == "kube-ovn"), "{name} has a network");
            assert!(node.agent.is_none() && node.sandboxes.values().all(|sandbox| !sandbox.chained), "{name}");
        }
        assert_eq!(held_up(&sim), [""; 0], "killed at {kill:?}");
        let theirs = objects(&sim, Resource::CONFIG_MAPS);
        assert!(theirs.iter().any(|map| map["metadata"]["name"] == "cni-configuration"), "not ours to remove");
    }
}

/// Pods that do not serve, and nodes that Cilium's operator has closed to pods.
fn held_up(sim: &SimCluster) -> Vec<String> {
    let pods = objects(sim, Resource::PODS).into_iter().filter(|pod| !ovncilium_sim::objects::ready(pod));
    let taints = |node: &Value| node["spec"]["taints"].to_string().contains("cilium.io");
    let nodes = objects(sim, Resource::NODES).into_iter().filter(taints);
    pods.chain(nodes).map(|object| object["metadata"]["name"].to_string()).collect()
}

#[test]
fn what_helm_changed_meanwhile_stops_a_saved_plan() {
    let sim = SimCluster::half_guided(11, "kube-ovn").unwrap();
    let plan = takeover(sim.world()).unwrap();
    let release = sim.world().charts.release("cilium", "kube-system").unwrap().unwrap();
    sim.world().charts.upgrade("cilium", "kube-system", &release.values, &mut || Ok(())).unwrap();
    let flags = controller_flags(&sim);
    let Ok(Ended::Paused(why)) = process(&sim, Some(&plan)) else { panic!("it went on") };
    assert!(why.contains("release kube-system/cilium is at revision 2, not 1"), "{why}");
    assert!(why.contains("nothing was changed yet"), "{why}");
    assert_eq!(controller_flags(&sim), flags, "no part of a takeover that cannot go on");
    is_forgotten(&sim, 2);
    let release_writes =
        sim.log().into_iter().filter(|write| write.user == User::Engine && write.object.kind == "Secret");
    assert_eq!(release_writes.count(), 0);
}

#[test]
fn a_chart_of_another_version_is_no_takeover() {
    let sim = SimCluster::half_guided(12, "kube-ovn").unwrap();
    let release =
        FoundRelease { revision: 1, status: "deployed".into(), chart_version: "1.18.2".into(), values: Value::Null };
    let choices =
        Choices { adopt: Some(Adopting { release: Some(release), ..Adopting::default() }), ..Choices::default() };
    let world = sim.world();
    let refused = migrate(&facts(world), &world.charts.chart().unwrap(), &[], &choices, vec![], world.clock.now());
    assert!(matches!(refused, Err(NoPlan::NotAdoptable(NotAdoptable::OtherChart { .. }))), "{refused:?}");
}

fn controller_flags(sim: &SimCluster) -> Vec<String> {
    facts(sim.world()).kube_ovn.value.known().unwrap().installations[0].controller.flags_list.clone()
}

/// The way back of a run that has changed nothing leaves what was found, and no journal.
fn is_forgotten(sim: &SimCluster, revision: u32) {
    let loaded = Journal::new(sim.world().cluster, "kube-system").load().unwrap().unwrap();
    assert!(!loaded.journal.has_changed(&loaded.plan));
    let before = agents(sim);
    let back = forget(&facts(sim.world()), loaded.plan.settings, vec![], sim.world().clock.now());
    assert_eq!(process(sim, Some(&back)), Ok(Ended::Done));
    assert!(Journal::new(sim.world().cluster, "kube-system").load().unwrap().is_none());
    assert_eq!(agents(sim), before);
    let release = sim.world().charts.release("cilium", "kube-system").unwrap().unwrap();
    assert_eq!((release.revision, release.status.as_str()), (revision, "deployed"));
}

/// The whole guide: the forgotten file is away, and every pod was made again since.
fn guided(seed: u64) -> SimCluster {
    let sim = SimCluster::half_guided(seed, "kube-ovn").unwrap();
    sim.nodes_mut().node(FORGOTTEN).fs.remove("01-kube-ovn.conflist");
    for _ in 0..20 {
        let bare = uncovered(&sim);
        let pods = objects(&sim, Resource::PODS).into_iter();
        let named = |pod: &Value| format!("{} {}", pod["metadata"]["name"], pod["status"]["podIP"]);
        for pod in pods.filter(|pod| bare.contains(&named(pod))) {
            let (namespace, name) = (&pod["metadata"]["namespace"], &pod["metadata"]["name"]);
            let pod = Resource::PODS.named(namespace.as_str().unwrap(), name.as_str().unwrap());
            sim.person().delete(&pod, None).unwrap();
        }
        sim.pass_time(Duration::from_secs(60));
        if uncovered(&sim).is_empty() && sim.unready().is_empty() {
            break;
        }
    }
    assert_eq!(uncovered(&sim), [""; 0]);
    sim.nodes_mut().unprotected.clear();
    sim
}

#[test]
fn cilium_that_enforces_everywhere_never_stops_in_a_takeover() {
    let sim = guided(13);
    let flags = controller_flags(&sim);
    let plan = takeover(sim.world()).unwrap();
    assert!(plan.settings.adopted.as_ref().unwrap().enforces);
    let covered = endpoints(&sim);
    assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
    assert_eq!(sim.nodes().unprotected, Vec::<String>::new());
    assert!(covered.is_subset(&endpoints(&sim)), "no pod was touched");
    assert_eq!(controller_flags(&sim), flags, "Kube-OVN had nothing to do");
    for (name, node) in sim.nodes().iter() {
        assert_eq!(node.fs.loaded().map(|network| network.file.clone()), Some("01-cilium.conflist".into()), "{name}");
        assert!(node.agent.as_ref().unwrap().enforces(), "{name}");
    }
    assert_eq!(start::of(&facts(sim.world())), Ok(Start::Settled));
}

#[test]
fn an_agent_that_audits_against_its_settings_stops_a_takeover_that_believes_them() {
    let sim = guided(14);
    // Somebody has set policyAuditMode=false and restarted all agents but one.
    let agent = |sim: &SimCluster| sim.nodes_mut().node(FORGOTTEN).agent.clone().unwrap();
    let mut audits = agent(&sim);
    Arc::make_mut(&mut audits.settings).insert("policy-audit-mode".into(), "true".into());
    sim.nodes_mut().node(FORGOTTEN).agent = Some(audits);
    sim.pass_time(Duration::from_secs(60));
    let plan = takeover(sim.world()).unwrap();
    assert!(plan.settings.adopted.as_ref().unwrap().enforces, "its settings say so");
    let Ok(Ended::Paused(why)) = process(&sim, Some(&plan)) else { panic!("it went on") };
    assert!(why.contains(FORGOTTEN) && why.contains("does not enforce, although cilium-config says so"), "{why}");
    is_forgotten(&sim, 1);
}
