//! Whoever owns kube-ovn-controller: a Helm release that is upgraded and put back, an owner that is waited for, and one that
//! puts our change back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use ovncilium_core::facts::Facts;
use ovncilium_core::ids::RunId;
use ovncilium_core::journal::State;
use ovncilium_core::plan::migrate::{Choices, NoPlan, migrate};
use ovncilium_core::plan::rollback::rollback;
use ovncilium_core::plan::{Plan, Resource};
use ovncilium_engine::collect::{self, Options};
use ovncilium_engine::events::Event;
use ovncilium_engine::journal::Store as Journal;
use ovncilium_engine::kube_ovn_release;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::{Clock as _, Cluster as _, World};
use ovncilium_sim::charts::SimCharts;
use ovncilium_sim::{Fault, SimCluster, User, When};
use serde_json::{Value, json};

const CONTROLLER: &str = "kube-ovn-controller";

/// Values of the owner: one switch is set, the other left to the chart, and something that is nobody's business.
fn own_values() -> Value {
    json!({ "func": { "ENABLE_LB": true }, "registry": { "password": "s3cret" } })
}

fn by_helm(seed: u64) -> SimCluster {
    SimCluster::example_by_helm(seed, &own_values()).unwrap()
}

fn facts(world: World<'_>) -> Facts {
    let options = Options { context: None, release_namespace: "kube-system".into(), now: world.clock.now() };
    let mut facts = collect::collect(world.cluster, &options).unwrap();
    kube_ovn_release::read_into(&mut facts, world.cluster, world.charts);
    facts
}

fn plan(world: World<'_>) -> Result<Plan, NoPlan> {
    let choices = Choices { soak_seconds: 0, ..Choices::default() };
    migrate(&facts(world), &world.charts.chart().unwrap(), &[], &choices, vec![], world.clock.now())
}

fn way_back(world: World<'_>) -> Plan {
    let loaded = Journal::new(world.cluster, "kube-system").load().unwrap().unwrap();
    rollback(&facts(world), loaded.plan.settings, &[], vec![], world.clock.now()).unwrap()
}

/// One process: begin `plan`, or go on.
fn process(sim: &SimCluster, plan: Option<&Plan>, tell: &mut dyn FnMut(Event)) -> Result<Ended, String> {
    let attachments = BTreeMap::new();
    let recorded =
        Journal::new(sim.world().cluster, "kube-system").load().unwrap().map(|loaded| loaded.journal.header.run);
    let recorded = recorded.unwrap_or(RunId::from("none"));
    let what = plan.map_or(Claim::Resume { run: &recorded }, |plan| Claim::Begin { plan, attachments: &attachments });
    let run =
        claim(sim.world(), "kube-system", "somebody", &what, &mut |_| {}).map_err(|error| format!("{error:?}"))?;
    run.carry_out(&mut || Ok(()), tell).map_err(|error| format!("{error:?}"))
}

fn quietly(sim: &SimCluster, plan: Option<&Plan>) -> Result<Ended, String> {
    process(sim, plan, &mut |_| {})
}

fn controller(sim: &SimCluster) -> Value {
    sim.person().get(&Resource::DEPLOYMENTS.named("kube-system", CONTROLLER)).unwrap().unwrap()
}

fn switches(sim: &SimCluster) -> Vec<String> {
    let words = controller(sim)["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let words: Vec<String> = serde_json::from_value(words).unwrap();
    words.into_iter().filter(|word| word.starts_with("--enable-lb=") || word.starts_with("--enable-np=")).collect()
}

/// Somebody writes both switches, as `manager`.
fn write(sim: &SimCluster, manager: &str, value: &str) {
    let mut object = controller(sim);
    for word in object["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut().unwrap() {
        for flag in ["--enable-lb", "--enable-np"] {
            if word.as_str().unwrap().starts_with(&format!("{flag}=")) {
                *word = json!(format!("{flag}={value}"));
            }
        }
    }
    let args = json!({ "f:containers": { format!("k:{{\"name\":\"{CONTROLLER}\"}}"): { "f:args": {} } } });
    let fields = json!({ "f:spec": { "f:template": { "f:spec": args } } });
    object["metadata"]["managedFields"] =
        json!([{ "manager": manager, "time": "2026-01-01T00:00:00Z", "fieldsV1": fields }]);
    sim.person().replace(&Resource::DEPLOYMENTS, &object).unwrap();
}

/// Specifications of everything but what the journal and Helm's history are made of.
fn specifications(sim: &SimCluster) -> BTreeMap<String, Value> {
    let kinds = ["ConfigMap", "DaemonSet", "Deployment", "Node", "CustomResourceDefinition", "ServiceAccount"];
    let objects = sim.store().dump().into_iter().filter(|object| kinds.iter().any(|kind| object["kind"] == *kind));
    objects
        .filter(|object| !object["metadata"]["name"].as_str().unwrap().starts_with("ovncilium-"))
        .map(|mut object| {
            let name = format!("{} {} {}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]);
            object["metadata"] = json!({ "labels": object["metadata"]["labels"] });
            object.as_object_mut().unwrap().remove("status");
            (name, object)
        })
        .collect()
}

fn kept(sim: &SimCluster) -> ovncilium_engine::world::Kept {
    sim.world().charts.kept("kube-ovn", "kube-system").unwrap().unwrap()
}

#[test]
fn a_release_is_upgraded_with_its_own_chart_and_the_way_back_restores_its_values() {
    let sim = by_helm(1);
    let before = specifications(&sim);
    let plan = plan(sim.world()).unwrap();
    let begun = sim.log().len();
    assert_eq!(quietly(&sim, Some(&plan)), Ok(Ended::Done));
    assert_eq!(switches(&sim), ["--enable-lb=false", "--enable-np=false"]);
    let after = kept(&sim);
    assert_eq!((after.revision, after.status.as_str()), (2, "deployed"));
    assert_eq!(
        after.values,
        json!({ "func": { "ENABLE_LB": false, "ENABLE_NP": false }, "registry": { "password": "s3cret" } })
    );
    let log = sim.log();
    let writes: Vec<_> = log[begun..]
        .iter()
        .filter(|write| write.user == User::Helm && specifications_of_kube_ovn(&write.object.name))
        .map(|write| format!("{} {}", write.verb, write.object))
        .collect();
    assert_eq!(writes, ["update deployment kube-system/kube-ovn-controller"], "helm touches nothing else of Kube-OVN");
    let by_us = log[begun..].iter().filter(|write| write.user == User::Engine);
    assert!(by_us.clone().all(|write| write.object.name != CONTROLLER), "and nobody patches it");
    assert!(by_us.clone().count() > 50 && by_us.into_iter().all(|write| !write.request.to_string().contains("s3cret")));

    // What its owner does next: the same values again.
    let settled = specifications(&sim);
    let charts = SimCharts::new(sim.store());
    let values = kept(&sim).values;
    ovncilium_engine::Charts::upgrade_kept(&charts, "kube-ovn", "kube-system", &values, &mut || Ok(())).unwrap();
    assert_eq!(specifications(&sim), settled, "an upgrade by the owner changes nothing");

    let back = way_back(sim.world());
    assert_eq!(quietly(&sim, Some(&back)), Ok(Ended::Done));
    sim.pass_time(Duration::from_secs(60));
    assert_eq!(kept(&sim).values, own_values());
    let after = specifications(&sim);
    for (name, object) in &before {
        assert_eq!(Some(object), after.get(name), "{name}");
    }
}

fn specifications_of_kube_ovn(name: &str) -> bool {
    ["kube-ovn", "ovs-ovn", "ovn-central"].iter().any(|part| name.starts_with(part))
}

#[test]
fn killed_at_any_write_of_the_upgrade_the_next_run_completes_it() {
    let whole = by_helm(2);
    let made = plan(whole.world()).unwrap();
    let (first, last) = (Cell::new(0), Cell::new(0));
    let ended = process(&whole, Some(&made), &mut |event| {
        if let Event::Phase { number, .. } = event {
            let at = if number == 6 { &first } else { &last };
            at.set(whole.store().writes());
        }
    });
    assert_eq!(ended, Ok(Ended::Done));
    let wanted = specifications(&whole);
    assert!(last.get() - first.get() > 5, "{} writes", last.get() - first.get());
    for write in first.get()..last.get() {
        for when in [When::Before, When::After] {
            let sim = by_helm(2);
            let made = plan(sim.world()).unwrap();
            sim.store().set_fault(Some(Fault::kill(write, when)));
            assert!(quietly(&sim, Some(&made)).is_err());
            sim.revive();
            sim.store().set_fault(None);
            let state = Journal::new(sim.world().cluster, "kube-system").load().unwrap().unwrap().journal.header.state;
            assert_ne!(state, State::Done);
            assert_eq!(quietly(&sim, None), Ok(Ended::Done), "killed {when:?} write {write}");
            assert_eq!(specifications(&sim), wanted, "killed {when:?} write {write}");
            assert_eq!(kept(&sim).status, "deployed");
        }
    }
}

#[test]
fn what_the_upgrade_would_put_back_besides_refuses_the_plan_and_stops_a_run() {
    let sim = by_helm(3);
    let good = plan(sim.world()).unwrap();
    let central = Resource::DEPLOYMENTS.named("kube-system", "ovn-central");
    let image = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "mine" }]);
    sim.person().json_patch(&central, &image).unwrap();
    let refused = plan(sim.world()).unwrap_err().to_string();
    assert!(refused.contains("deployment kube-system/ovn-central /spec/template/spec/containers/0/image"), "{refused}");
    let Ok(Ended::Paused(reason)) = quietly(&sim, Some(&good)) else { panic!("it went on") };
    assert!(reason.contains("would also change deployment kube-system/ovn-central"), "{reason}");
    assert_eq!(kept(&sim).revision, 1, "nothing was upgraded");
    let image = kept(&sim).manifest.lines().find(|line| line.contains("image:")).unwrap().trim().to_owned();
    let image = image.split_once("image: ").unwrap().1.to_owned();
    let mended = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image }]);
    sim.person().json_patch(&central, &mended).unwrap();
    assert_eq!(quietly(&sim, None), Ok(Ended::Done), "mended, it goes on");
}

/// Marks of Flux on the controller.
fn by_flux(seed: u64) -> SimCluster {
    let sim = SimCluster::example(seed).unwrap();
    let mut object = controller(&sim);
    object["metadata"]["labels"] =
        json!({ "helm.toolkit.fluxcd.io/name": "ovn", "helm.toolkit.fluxcd.io/namespace": "net" });
    sim.person().replace(&Resource::DEPLOYMENTS, &object).unwrap();
    sim
}

#[test]
fn another_owner_is_told_the_change_and_waited_for() {
    let sim = by_flux(4);
    let plan = plan(sim.world()).unwrap();
    let told = Cell::new(false);
    let begun = sim.log().len();
    let ended = process(&sim, Some(&plan), &mut |event| {
        if let Event::Waiting { step, reason, .. } = event
            && step.0 == "hand-over/await-flags"
            && reason.contains("HelmRelease net/ovn")
        {
            assert!(reason.contains("func.ENABLE_LB=false func.ENABLE_NP=false"), "{reason}");
            told.set(true);
            write(&sim, "helm-controller", "false");
        }
    });
    assert_eq!(ended, Ok(Ended::Done));
    assert!(told.get());
    let ours = sim.log().into_iter().skip(begun).filter(|write| write.user == User::Engine);
    assert!(ours.into_iter().all(|write| write.object.name != CONTROLLER), "it is never ours to write");
    assert!(!sim.nodes().ovn.network_policy && !sim.nodes().ovn.load_balancer);

    let back = way_back(sim.world());
    let ended = process(&sim, Some(&back), &mut |event| {
        if let Event::Waiting { step, reason, .. } = event
            && step.0 == "hand-back/await-flags"
            && reason.contains("func.ENABLE_NP=true")
        {
            write(&sim, "helm-controller", "true");
        }
    });
    assert_eq!(ended, Ok(Ended::Done));
    assert!(sim.nodes().ovn.network_policy && sim.nodes().ovn.load_balancer);
}

#[test]
fn an_owner_that_does_not_come_pauses_the_run_and_it_goes_on_later() {
    let sim = by_flux(5);
    let plan = plan(sim.world()).unwrap();
    let Ok(Ended::Paused(reason)) = quietly(&sim, Some(&plan)) else { panic!("it went on") };
    assert!(reason.contains("no progress for 1800 s") && reason.contains("HelmRelease net/ovn"), "{reason}");
    write(&sim, "helm-controller", "false");
    assert_eq!(quietly(&sim, None), Ok(Ended::Done));
}

/// Runs `plan` while somebody's operator puts the flags back as soon as `when` says; how it ended, and how long after.
fn reverted(sim: &SimCluster, plan: &Plan, when: &dyn Fn(&Event) -> bool) -> (Ended, Duration) {
    let at = Cell::new(None);
    let ended = process(sim, Some(plan), &mut |event| {
        if at.get().is_none() && when(&event) {
            write(sim, "net-operator", "true");
            at.set(Some(sim.since_boot()));
        }
    });
    let after = sim.since_boot().saturating_sub(at.get().unwrap());
    (ended.unwrap(), after)
}

#[test]
fn an_operator_that_puts_the_flags_back_stops_the_run_within_half_a_minute_by_its_name() {
    let restarts = |event: &Event| matches!(event, Event::Waiting { reason, .. } if reason.starts_with("kube-ovn-controller restarts"));
    let settles = |event: &Event| matches!(event, Event::Phase { number: 7, .. });
    for (sim, moment) in [
        (SimCluster::example(6).unwrap(), &restarts as &dyn Fn(&Event) -> bool),
        (SimCluster::example(7).unwrap(), &settles),
        (by_helm(8), &restarts),
        (by_helm(9), &settles),
    ] {
        let plan = plan(sim.world()).unwrap();
        let (ended, after) = reverted(&sim, &plan, moment);
        let Ended::Paused(reason) = ended else { panic!("it went on: {ended:?}") };
        assert!(
            reason.contains("net-operator put the flags of deployment kube-system/kube-ovn-controller back"),
            "{reason}"
        );
        assert!(after <= Duration::from_secs(30), "{after:?}");
        assert_eq!(switches(&sim), ["--enable-lb=true", "--enable-np=true"], "and is not fought");
        write(&sim, "net-operator", "false");
        assert_eq!(quietly(&sim, None), Ok(Ended::Done), "its owner has turned them off");
    }
}

#[test]
fn what_was_put_back_once_is_set_again_by_the_next_run() {
    for sim in [SimCluster::example(10).unwrap(), by_helm(11)] {
        let plan = plan(sim.world()).unwrap();
        let restarts = |event: &Event| matches!(event, Event::Waiting { reason, .. } if reason.starts_with("kube-ovn-controller restarts"));
        assert!(matches!(reverted(&sim, &plan, &restarts).0, Ended::Paused(_)));
        assert_eq!(quietly(&sim, None), Ok(Ended::Done), "nobody does it again");
        assert_eq!(switches(&sim), ["--enable-lb=false", "--enable-np=false"]);
    }
}
