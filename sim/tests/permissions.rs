//! Every request of a whole migration and its way back is among those that are asked for beforehand: a refusal in the middle would
//! pause a run where nobody wants to stand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ovncilium_core::facts::permissions::Permission;
use ovncilium_core::ids::{NodeName, RunId};
use ovncilium_core::plan::adopt::FoundRelease;
use ovncilium_core::plan::kube_proxy::{replace, restore};
use ovncilium_core::plan::migrate::{Choices, migrate};
use ovncilium_core::plan::rollback::rollback;
use ovncilium_core::plan::{ObjectRef, Plan, Resource};
use ovncilium_engine::collect::{self, Options, permissions};
use ovncilium_engine::journal::Store as Journal;
use ovncilium_engine::node_task::TaskSettings;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::{Cluster, ClusterError, Eviction, Filter, World};
use ovncilium_engine::{kube_ovn_release, kube_proxy};
use ovncilium_sim::{SimCluster, resources};
use serde_json::Value;

/// Namespace of the release; Kube-OVN is in `kube-system`.
const RELEASE: &str = "cilium";

/// Verb, group, resource, namespace (`*` for all of them, empty for what lives in none).
type Request = (&'static str, String, String, String);

/// Notes every request on its way to the pretend cluster.
struct Noting<'a> {
    cluster: &'a SimCluster,
    seen: RefCell<BTreeSet<Request>>,
}

impl Noting<'_> {
    fn note(&self, verb: &'static str, group: &str, resource: &str, namespace: &str) {
        let request = (verb, group.to_owned(), resource.to_owned(), namespace.to_owned());
        self.seen.borrow_mut().insert(request);
    }

    fn object(&self, verb: &'static str, object: &ObjectRef) {
        self.note(verb, &object.group, &object.plural, object.namespace.as_deref().unwrap_or_default());
    }

    fn value(&self, verb: &'static str, resource: &Resource, value: &Value) {
        let namespace = value["metadata"]["namespace"].as_str().unwrap_or_default();
        self.note(verb, resource.group, resource.plural, namespace);
    }
}

impl Cluster for Noting<'_> {
    fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        self.object("get", object);
        self.cluster.get(object)
    }

    fn list(&self, resource: &Resource, filter: &Filter) -> Result<Vec<Value>, ClusterError> {
        let everywhere = if resource.namespaced { "*" } else { "" };
        self.note("list", resource.group, resource.plural, filter.namespace.as_deref().unwrap_or(everywhere));
        self.cluster.list(resource, filter)
    }

    fn create(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        self.value("create", resource, value);
        self.cluster.create(resource, value)
    }

    fn replace(&self, resource: &Resource, value: &Value) -> Result<Value, ClusterError> {
        self.value("update", resource, value);
        self.cluster.replace(resource, value)
    }

    fn json_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Value, ClusterError> {
        self.object("patch", object);
        self.cluster.json_patch(object, patch)
    }

    fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<bool, ClusterError> {
        self.object("delete", object);
        self.cluster.delete(object, uid)
    }

    fn evict(&self, namespace: &str, pod: &str, uid: &str) -> Result<Eviction, ClusterError> {
        self.note("create", "", "pods/eviction", namespace);
        self.cluster.evict(namespace, pod, uid)
    }

    fn server(&self) -> String {
        self.cluster.server()
    }
}

/// Whether a request is one of those that were asked for: there, or everywhere.
fn is_asked(asked: &[Permission], (verb, group, resource, namespace): &Request) -> bool {
    asked.iter().any(|permission| {
        let place = permission.namespace.is_empty() || permission.namespace == *namespace;
        place && permission.verb == *verb && permission.group == *group && permission.resource == *resource
    })
}

/// The node tier, as `migrate` reads it.
fn probe(cluster: &Noting<'_>, world: &World<'_>) {
    let settings = TaskSettings {
        namespace: "kube-system".to_owned(),
        image: "kube-ovn".to_owned(),
        image_pull_secrets: Vec::new(),
        conf_dir: "/etc/cni/net.d".to_owned(),
    };
    let nodes = cluster.list(&Resource::NODES, &Filter::all()).unwrap();
    let names: Vec<NodeName> = nodes.iter().map(|node| node["metadata"]["name"].as_str().unwrap().into()).collect();
    let (conflists, _) =
        collect::nodes::probe(cluster, world.clock, &settings, &names, &RunId("0a1b2c3d4e5f".to_owned()));
    assert_eq!(conflists.nodes.len(), names.len(), "{:?}", conflists.silent);
}

/// One object of each kind that charts of Cilium make (1.16 to 1.20, with and without Hubble's relay).
fn chart_objects() -> Vec<ObjectRef> {
    let rbac = "rbac.authorization.k8s.io/v1";
    [
        ("v1", "Namespace"),
        ("v1", "ServiceAccount"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("v1", "Service"),
        (rbac, "ClusterRole"),
        (rbac, "ClusterRoleBinding"),
        (rbac, "Role"),
        (rbac, "RoleBinding"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "Deployment"),
    ]
    .iter()
    .flat_map(|(version, kind)| [RELEASE, "cilium-secrets"].map(|n| ObjectRef::guess(version, kind, n, "x")))
    .filter(|object| object.namespace.as_deref() != Some("cilium-secrets") || object.group.starts_with("rbac"))
    .collect()
}

#[test]
fn a_migration_with_kube_proxy_replaced_and_its_rollback_make_no_request_that_was_not_asked_for() {
    asked_for_everything(SimCluster::example(4).unwrap());
}

#[test]
fn nor_do_they_where_helm_owns_kube_ovn() {
    asked_for_everything(SimCluster::example_by_helm(4, &serde_json::json!({})).unwrap());
}

fn asked_for_everything(sim: SimCluster) {
    let noting = Noting { cluster: &sim, seen: RefCell::default() };
    let real = sim.world();
    let world = World { cluster: &noting, charts: real.charts, clock: real.clock };
    let facts = || {
        let options = Options { context: None, release_namespace: RELEASE.into(), now: world.clock.now() };
        let mut facts = collect::collect(world.cluster, &options).unwrap();
        kube_ovn_release::read_into(&mut facts, world.cluster, world.charts);
        facts
    };
    let mut asked = facts().permissions.value.known().unwrap().items.clone();
    let process = |plan: &Plan| {
        let attachments = BTreeMap::from([("chart".to_owned(), b"chart".to_vec())]);
        let what = Claim::Begin { plan, attachments: &attachments };
        let run = claim(world, "kube-system", "somebody", &what, &mut |_| {}).unwrap();
        run.carry_out(&mut || Ok(()), &mut |_| {}).unwrap()
    };
    let choices = Choices { release_namespace: RELEASE.into(), soak_seconds: 0, ..Choices::default() };
    let chart = world.charts.chart().unwrap();
    let objects = chart_objects();
    probe(&noting, &world);
    let plan = migrate(&facts(), &chart, &objects, &choices, vec![], world.clock.now()).unwrap();
    assert_eq!(process(&plan), Ended::Done);
    let loaded = Journal::new(world.cluster, "kube-system").load().unwrap().unwrap();
    let release = world.charts.release("cilium", RELEASE).unwrap().map(FoundRelease::from);
    let proxy = || kube_proxy::look(world.cluster).unwrap();
    let config_maps = BTreeSet::new();
    let namespaces = permissions::Namespaces {
        kube_ovn: "kube-system",
        release: RELEASE,
        owner_release: None,
        config_maps: &config_maps,
    };
    let more = permissions::ask_for(world.cluster, permissions::NEEDED_FOR_KUBE_PROXY, namespaces).unwrap();
    asked.extend(more.items);
    let settings = replace::settings(&facts(), &loaded.plan.settings, &proxy(), release.as_ref(), None).unwrap();
    let pace = settings.pace();
    let forth = replace::replace(&facts(), settings, &proxy(), pace, &objects, vec![], world.clock.now()).unwrap();
    assert_eq!(process(&forth), Ended::Done);
    let home =
        restore::restore(&facts(), &forth.settings, &proxy(), pace, &objects, vec![], world.clock.now()).unwrap();
    assert_eq!(process(&home), Ended::Done);
    let loaded = Journal::new(world.cluster, "kube-system").load().unwrap().unwrap();
    let back = rollback(&facts(), loaded.plan.settings, &objects, vec![], world.clock.now()).unwrap();
    assert_eq!(process(&back), Ended::Done);

    let seen = noting.seen.take();
    // What every user may ask.
    let open = |request: &&Request| request.2 == Resource::ACCESS_REVIEWS.plural;
    let unasked: Vec<_> = seen.iter().filter(|request| !open(request) && !is_asked(&asked, request)).collect();
    assert!(unasked.is_empty(), "requests that nobody asks for beforehand: {unasked:?}");
    for verb in ["get", "list", "create", "update", "patch", "delete"] {
        assert!(seen.iter().any(|request| request.0 == verb), "the run made no {verb}: this test proves nothing");
    }

    let mut writes = BTreeSet::new();
    for write in plan.writes.iter().chain(&forth.writes).chain(&home.writes).chain(&back.writes) {
        let (resource, group) = write.resource.split_once('.').unwrap_or((&write.resource, ""));
        let (verb, resource) = match write.verb.as_str() {
            "evict" => ("create", "pods/eviction"),
            "create" => ("create", resource),
            "patch" => ("patch", resource),
            "delete" => ("delete", resource),
            // Helm replaces an object only when told to (`--force`).
            _ if write.reason == "object of the chart" => continue,
            _ => ("update", resource),
        };
        assert!(resources::find(group, resource.split('/').next().unwrap()).is_some(), "{write:?} is of no kind");
        writes.insert((verb, group.to_owned(), resource.to_owned(), write.namespace.clone()));
    }
    let unasked: Vec<_> = writes.iter().filter(|write| !is_asked(&asked, write)).collect();
    assert!(unasked.is_empty(), "requests that nobody asks for beforehand: {unasked:?}");
}
