//! What the tests share: processes, plans of both ways, and what must be the same in the end.

use std::collections::BTreeMap;

use ovncilium_core::plan::adopt::FoundRelease;
use ovncilium_core::plan::kube_proxy::{ApiServer, NoReplacement, replace, restore};
use ovncilium_core::plan::migrate::{Choices, migrate};
use ovncilium_core::plan::{Action, Plan, Resource};
use ovncilium_engine::collect::{self, Options};
use ovncilium_engine::journal::Store as Journal;
use ovncilium_engine::kube_proxy::look;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::{Charts as _, Cluster as _, Filter, World};
use ovncilium_sim::SimCluster;
use serde_json::{Value, json};

pub fn facts(world: World<'_>) -> ovncilium_core::facts::Facts {
    let options = Options { context: None, release_namespace: "kube-system".into(), now: world.clock.now() };
    collect::collect(world.cluster, &options).unwrap()
}

/// One process: begin `plan`, or go on.
pub fn process(sim: &SimCluster, plan: Option<&Plan>) -> Result<Ended, String> {
    let attachments = BTreeMap::from([("chart".to_owned(), b"chart".to_vec())]);
    match plan {
        Some(plan) => carried_out(sim, &Claim::Begin { plan, attachments: &attachments }),
        None => carried_out(sim, &Claim::Resume { run: &recorded(sim).journal.header.run }),
    }
}

pub fn carried_out(sim: &SimCluster, what: &Claim<'_>) -> Result<Ended, String> {
    let run = claim(sim.world(), "kube-system", "somebody", what, &mut |_| {}).map_err(|error| format!("{error:?}"))?;
    run.carry_out(&mut || Ok(()), &mut |_| {}).map_err(|error| format!("{error:?}"))
}

pub fn recorded(sim: &SimCluster) -> ovncilium_engine::journal::Loaded {
    Journal::new(sim.world().cluster, "kube-system").load().unwrap().unwrap()
}

pub fn replacement(sim: &SimCluster) -> Result<Plan, NoReplacement> {
    replacement_by(sim, None)
}

pub fn replacement_by(sim: &SimCluster, server: Option<ApiServer>) -> Result<Plan, NoReplacement> {
    let world = sim.world();
    let settings = recorded(sim).plan.settings;
    let release = sim.release(&settings.release, &settings.release_namespace).unwrap().map(FoundRelease::from);
    let (facts, found) = (facts(world), look(world.cluster).unwrap());
    let settings = replace::settings(&facts, &settings, &found, release.as_ref(), server)?;
    let pace = settings.pace();
    replace::replace(&facts, settings, &found, pace, &[], vec![], world.clock.now())
}

pub fn way_back(sim: &SimCluster) -> Plan {
    try_back(sim).unwrap()
}

pub fn try_back(sim: &SimCluster) -> Result<Plan, NoReplacement> {
    let world = sim.world();
    let (found, settings) = (look(world.cluster).unwrap(), recorded(sim).plan.settings);
    restore::restore(&facts(world), &settings, &found, settings.pace(), &[], vec![], world.clock.now())
}

/// The example, migrated.
pub fn migrated(seed: u64) -> SimCluster {
    migrated_after(seed, |_| {})
}

/// The same, with something else about it from the beginning.
pub fn migrated_after(seed: u64, change: impl Fn(&SimCluster)) -> SimCluster {
    let sim = SimCluster::example(seed).unwrap();
    change(&sim);
    assert_eq!(process(&sim, Some(&migration(&sim))), Ok(Ended::Done));
    sim
}

/// The plan that brings Cilium in.
pub fn migration(sim: &SimCluster) -> Plan {
    let world = sim.world();
    let choices = Choices { soak_seconds: 0, ..Choices::default() };
    migrate(&facts(world), &world.charts.chart().unwrap(), &[], &choices, vec![], world.clock.now()).unwrap()
}

/// What must be the same however a run went: objects without what the API server, controllers or time put there.
pub fn state(sim: &SimCluster) -> BTreeMap<String, Value> {
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

pub fn same(wanted: &BTreeMap<String, Value>, sim: &SimCluster, when: &str) {
    let found = state(sim);
    assert_eq!(wanted.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{when}");
    for (name, object) in wanted {
        assert_eq!(Some(object), found.get(name), "{when}: {name}");
    }
}

pub fn values(sim: &SimCluster) -> Value {
    sim.release("cilium", "kube-system").unwrap().unwrap().values
}

pub fn proxies(sim: &SimCluster) -> usize {
    let filter = Filter::in_namespace("kube-system").labelled("k8s-app=kube-proxy");
    sim.person().list(&Resource::PODS, &filter).unwrap().len()
}

pub fn always_served(sim: &SimCluster) {
    assert_eq!(sim.nodes().unserved, Vec::<String>::new(), "nobody served");
    let served = sim.nodes().iter().filter(|(_, node)| node.was_served).count();
    assert_eq!(served, 5, "the witness has seen every node served");
}

/// The plan without these actions.
pub fn without(plan: &Plan, skip: &dyn Fn(&Action) -> bool) -> Plan {
    let mut plan = plan.clone();
    for stage in plan.phases.iter_mut().flat_map(|phase| &mut phase.stages) {
        for lane in &mut stage.lanes {
            lane.steps.retain(|step| !skip(&step.action));
        }
    }
    plan
}

pub fn node_names(sim: &SimCluster) -> Vec<String> {
    let nodes = sim.person().list(&Resource::NODES, &Filter::all()).unwrap();
    nodes.iter().map(|node| node["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

pub fn refusal(sim: &SimCluster) -> String {
    replacement(sim).unwrap_err().to_string()
}
