//! What the API server lists, changed where it must not matter, or must not help: less of it, more of it, in another order.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ovncilium_core::facts::inventory::{Inventory, Listing};
use ovncilium_core::facts::{Facts, Known};
use ovncilium_core::plan::migrate::{Choices, migrate};
use ovncilium_core::plan::{ChartRef, ObjectRef, Resource};
use ovncilium_core::policy::Evaluation;
use ovncilium_core::{Digest, plan::Plan};
use serde_json::{Value, json};

use crate::judge::{ask, gains, now, said};
use crate::start::{derived, inventory, stream};

/// A chart that hurts wherever facts say so.
const CHART: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\n\
    data: {cni-chaining-mode: generic-veth, routing-mode: native, enable-ipv4-masquerade: 'false', devices: eth+ ovn0 vxlan_sys_4789}\n";

fn objects(inventory: &mut Inventory, resource: Resource) -> &mut Vec<Value> {
    match inventory.listings.get_mut(&resource) {
        Some(Listing::Complete(objects) | Listing::Partial(objects)) => objects,
        other => panic!("{} are not listed: {other:?}", resource.plural),
    }
}

fn object<'i>(inventory: &'i mut Inventory, resource: Resource, name: &str) -> &'i mut Value {
    let objects = objects(inventory, resource);
    objects.iter_mut().find(|object| object["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn judged(facts: &Facts) -> Evaluation {
    ask(facts, Some(&stream(CHART)))
}

fn planned(facts: &Facts) -> Result<Plan, String> {
    let chart = ChartRef {
        location: "cilium.tgz".to_owned(),
        name: "cilium".to_owned(),
        version: "1.18.12".to_owned(),
        digest: Digest::of("chart"),
    };
    let agent = ObjectRef::guess("apps/v1", "DaemonSet", "kube-system", "cilium");
    migrate(facts, &chart, &[agent], &Choices::default(), vec![], now()).map_err(|error| error.to_string())
}

/// The example as it is listed, and with something wrong in each kind of object.
fn clusters() -> Vec<(&'static str, Inventory)> {
    type Change = fn(&mut Inventory);
    let broken: [(&str, Change); 10] = [
        ("example", |_| {}),
        ("old kernel", |i| {
            object(i, Resource::NODES, "worker-2")["status"]["nodeInfo"]["kernelVersion"] = json!("4.15.0")
        }),
        ("no provider", |i| object(i, Resource::DAEMON_SETS, "kube-proxy")["status"]["numberReady"] = json!(1)),
        ("underlay", |i| object(i, Resource::SUBNETS, "ovn-default")["spec"]["vlan"] = json!("vlan1")),
        ("VpcDns", |i| objects(i, Resource::VPC_DNSES).push(json!({ "metadata": { "name": "dns" } }))),
        ("pool in use", |i| object(i, Resource::SUBNETS, "join")["spec"]["cidrBlock"] = json!("100.65.8.0/21")),
        ("secondary", |i| {
            let set = object(i, Resource::DAEMON_SETS, "kube-ovn-cni");
            let args = set["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut().unwrap();
            args.push(json!("--non-primary-cni-mode=true"));
        }),
        ("two writers", |i| {
            let mut second = object(i, Resource::DAEMON_SETS, "kube-ovn-cni").clone();
            second["metadata"]["name"] = json!("kube-ovn-cni-dpdk");
            objects(i, Resource::DAEMON_SETS).push(second);
        }),
        ("Cilium", with_cilium),
        ("lists", with_lists),
    ];
    let cluster = |(name, change): (&'static str, Change)| {
        let mut inventory = inventory();
        change(&mut inventory);
        (name, inventory)
    };
    broken.into_iter().map(cluster).collect()
}

/// Lists within objects, wherever there may be some.
fn with_lists(inventory: &mut Inventory) {
    let cni = object(inventory, Resource::DAEMON_SETS, "kube-ovn-cni");
    cni["spec"]["template"]["spec"]["imagePullSecrets"] = json!([{ "name": "mirror" }, { "name": "hub" }]);
    let node = object(inventory, Resource::NODES, "worker-1");
    node["spec"]["taints"] = json!([
        { "key": "gpu", "value": "true", "effect": "NoSchedule" },
        { "key": "dedicated", "value": "shop", "effect": "NoExecute" },
    ]);
    let subnet = object(inventory, Resource::SUBNETS, "ovn-default");
    for (list, words) in [
        ("excludeIps", ["10.16.0.1", "10.16.0.9..10.16.0.20"]),
        ("namespaces", ["shop", "default"]),
        ("allowSubnets", ["10.17.0.0/16", "10.18.0.0/16"]),
    ] {
        subnet["spec"][list] = json!(words);
    }
    let services = objects(inventory, Resource::SERVICES);
    services.push(json!({
        "metadata": { "namespace": "shop", "name": "lists" },
        "spec": { "type": "LoadBalancer", "clusterIP": "10.96.9.9", "externalIPs": ["203.0.113.8", "203.0.113.7"],
                  "ports": [{ "name": "b", "port": 81, "nodePort": 30081 }, { "name": "a", "port": 80, "nodePort": 30080 }] },
        "status": { "loadBalancer": { "ingress": [{ "ip": "203.0.113.2" }, { "ip": "203.0.113.1" }] } },
    }));
    let peers = json!([{ "podSelector": { "matchLabels": { "app": "b" } } }, { "ipBlock": { "cidr": "10.0.0.0/8", "except": ["10.2.0.0/16", "10.1.0.0/16"] } }]);
    objects(inventory, Resource::NETWORK_POLICIES).push(json!({
        "metadata": { "namespace": "shop", "name": "lists" },
        "spec": { "podSelector": { "matchExpressions": [
                      { "key": "app", "operator": "In", "values": ["db", "web"] }, { "key": "old", "operator": "DoesNotExist" } ] },
                  "policyTypes": ["Ingress", "Egress"], "ingress": [{ "from": peers }, { "ports": [{ "port": 80 }, { "port": 53 }] }], "egress": [{ "to": peers }, {}] },
    }));
    let pod = objects(inventory, Resource::PODS).first_mut().unwrap();
    pod["metadata"]["ownerReferences"] = json!([
        { "kind": "ReplicaSet", "name": "web-1", "uid": "web-1", "controller": true }, { "kind": "Other", "name": "b", "uid": "b" } ]);
    pod["metadata"]["finalizers"] = json!(["b.example/x", "a.example/x"]);
}

/// An agent on some nodes, kube-proxy twice (for two systems) and as static pods in two namespaces.
fn with_cilium(inventory: &mut Inventory) {
    let mut proxy = object(inventory, Resource::DAEMON_SETS, "kube-proxy").clone();
    proxy["metadata"]["name"] = json!("kube-proxy-windows");
    proxy["status"] = json!({ "desiredNumberScheduled": 1, "numberReady": 0 });
    let agent = json!({
        "metadata": { "name": "cilium", "namespace": "kube-system" },
        "spec": { "template": { "spec": { "containers": [
            { "command": ["cilium-agent"], "image": "quay.io/cilium/cilium:v1.18.2" },
        ] } } },
        "status": { "desiredNumberScheduled": 2, "numberReady": 2 },
    });
    objects(inventory, Resource::DAEMON_SETS).extend([proxy, agent]);
    let config = json!({
        "metadata": { "name": "cilium-config", "namespace": "kube-system" },
        "data": { "kube-proxy-replacement": "true", "write-cni-conf-when-ready": "/host/etc/cni/net.d/05-cilium.conflist" },
    });
    objects(inventory, Resource::CONFIG_MAPS).push(config);
    let ready = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    let pods = objects(inventory, Resource::PODS);
    for node in ["worker-2", "worker-1"] {
        pods.push(json!({
            "metadata": { "name": format!("cilium-{node}"), "namespace": "kube-system",
                          "ownerReferences": [{ "kind": "DaemonSet", "name": "cilium", "controller": true }] },
            "spec": { "nodeName": node, "hostNetwork": true, "containers": [] }, "status": ready,
        }));
    }
    for namespace in ["kube-system", "edge"] {
        pods.push(json!({
            "metadata": { "name": "kube-proxy-static", "namespace": namespace,
                          "ownerReferences": [{ "kind": "Node", "name": "worker-1", "controller": true }] },
            "spec": { "nodeName": "worker-1", "hostNetwork": true, "containers": [{ "command": ["kube-proxy"] }] },
            "status": ready,
        }));
    }
    for (name, subnet) in [("b-default", "10.17.0.0/16"), ("a-default", "10.18.0.0/16")] {
        let subnet = json!({ "metadata": { "name": name }, "spec": { "vpc": "ovn-cluster", "protocol": "IPv4", "cidrBlock": subnet } });
        objects(inventory, Resource::SUBNETS).push(subnet);
    }
    for name in ["tenant-b", "tenant-a"] {
        objects(inventory, Resource::VPCS).push(json!({ "metadata": { "name": name } }));
    }
}

/// A listing that cannot be read, was not read, or is not complete helps nobody.
#[test]
fn a_listing_less_never_passes_more() {
    let mut wrong = Vec::new();
    for (name, inventory) in clusters() {
        let before = judged(&derived(&inventory));
        for resource in inventory.listings.keys() {
            let lesser = [
                ("unreadable", Some(Listing::Unreadable("forbidden".to_owned()))),
                ("partial", Some(Listing::Partial(inventory.some(*resource).to_vec()))),
                ("empty as far as known", Some(Listing::Partial(Vec::new()))),
                ("not read", None),
            ];
            for (how, listing) in lesser {
                let mut less = inventory.clone();
                match listing {
                    Some(listing) => drop(less.listings.insert(*resource, listing)),
                    None => drop(less.listings.remove(resource)),
                }
                let gains = gains(&before, &judged(&derived(&less)));
                wrong.extend(gains.iter().map(|gain| format!("{name}: {} {how}: gained {gain}", resource.plural)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What controllers have not reported yet (every field of every status, one by one) helps nobody.
#[test]
fn a_status_less_never_passes_more() {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (name, inventory) in clusters() {
        let facts = derived(&inventory);
        let before = judged(&facts);
        let mut less = inventory.clone();
        for resource in inventory.listings.keys() {
            // Pods of one kind are alike: those at either end stand for all.
            let count = inventory.some(*resource).len();
            for index in (0..count).filter(|index| *resource != Resource::PODS || *index < 3 || index + 5 > count) {
                let mut fields = Vec::new();
                if let Some(status) = inventory.some(*resource)[index].get("status") {
                    fields.push("/status".to_owned());
                    below(status, "/status", &mut fields);
                }
                for field in fields {
                    let object = &mut objects(&mut less, *resource)[index];
                    let whole = object.clone();
                    let (parent, key) = field.rsplit_once('/').unwrap();
                    object.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
                    let lesser = derived(&less);
                    objects(&mut less, *resource)[index] = whole;
                    if lesser == facts {
                        continue;
                    }
                    tried += 1;
                    let gains = gains(&before, &judged(&lesser));
                    wrong.extend(
                        gains.iter().map(|gain| format!("{name}: {} {index} {field}: gained {gain}", resource.plural)),
                    );
                }
            }
        }
    }
    println!("{tried} statuses were taken away that facts are made of");
    assert!(tried > 100, "{tried}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn below(value: &Value, at: &str, fields: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{at}/{key}");
                below(value, &path, fields);
                fields.push(path);
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| below(item, &format!("{at}/{i}"), fields)),
        _ => {}
    }
}

/// Kinds of which each object is an answer, and what it answers.
const EACH_MATTERS: [(Resource, &str); 9] = [
    (Resource::NODES, "each is migrated"),
    (Resource::SUBNETS, "each is a range in use, and counted"),
    (Resource::NETWORK_POLICIES, "each would be enforced by Cilium, and is counted"),
    (Resource::CILIUM_NETWORK_POLICIES, "each would be enforced, and is counted"),
    (Resource::CILIUM_CLUSTERWIDE_POLICIES, "each would be enforced, and is counted"),
    (Resource::SWITCH_LB_RULES, "each goes with Kube-OVN's load balancer"),
    (Resource::VPC_DNSES, "each goes with Kube-OVN's load balancer"),
    (Resource::VPC_EGRESS_GATEWAYS, "each forwards for others"),
    (Resource::VPC_NAT_GATEWAYS, "each forwards for others"),
];

/// Objects that have nothing to do with the question, however much they look like it.
fn unrelated() -> Vec<(Resource, Value)> {
    let named =
        |namespace: &str, name: &str| json!({ "metadata": { "namespace": namespace, "name": name, "uid": name } });
    let with = |mut object: Value, fields: Value| {
        object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        object
    };
    let running = |container: Value| json!({ "replicas": 0, "template": { "spec": { "containers": [container] } } });
    vec![
        (Resource::CONFIG_MAPS, with(named("shop", "settings"), json!({ "data": { "enable-np": "false" } }))),
        (Resource::CONFIG_MAPS, with(named("shop", "cilium-config"), json!({ "data": { "cni-exclusive": "true" } }))),
        (
            Resource::DEPLOYMENTS,
            with(
                named("shop", "kube-ovn-controller"),
                json!({ "spec": running(json!({ "image": "kubeovn/kube-ovn:v1.16.2", "command": ["sleep"], "args": ["--of", "kube-ovn-controller"] })) }),
            ),
        ),
        (
            Resource::DEPLOYMENTS,
            with(
                named("kube-system", "idle"),
                json!({ "spec": running(json!({ "image": "example.com/kube-ovn-docs:v9.9.9", "args": ["--enable-lb=false"] })) }),
            ),
        ),
        (
            Resource::DAEMON_SETS,
            with(
                named("kube-system", "node-exporter"),
                json!({ "spec": running(json!({ "command": ["/bin/kube-proxy-exporter", "--collector=kube-proxy"] })), "status": { "desiredNumberScheduled": 5, "numberReady": 5 } }),
            ),
        ),
        (
            Resource::SERVICES,
            with(
                named("shop", "other"),
                json!({ "spec": { "clusterIP": "10.96.7.7", "selector": { "app": "other" }, "ports": [{ "port": 80 }] } }),
            ),
        ),
        (
            Resource::CUSTOM_RESOURCES,
            with(named("", "widgets.example.com"), json!({ "spec": { "group": "example.com" } })),
        ),
        (
            Resource::PODS,
            with(
                named("shop", "import-1"),
                json!({ "spec": { "nodeName": "worker-1", "containers": [{}] }, "status": { "phase": "Succeeded" } }),
            ),
        ),
        (
            Resource::PODS,
            json!({ "metadata": { "namespace": "shop", "name": "import-2", "annotations": { "ovn.kubernetes.io/pod_nic_type": "internal-port" } },
                    "spec": { "nodeName": "worker-1", "containers": [{}] }, "status": { "phase": "Failed" } }),
        ),
        (
            Resource::STATEFUL_SETS,
            with(
                named("shop", "kube-ovn-controller"),
                json!({ "spec": running(json!({ "image": "kubeovn/kube-ovn:v1.16.2", "args": ["--enable-np=false"] })) }),
            ),
        ),
        (Resource::CILIUM_ENDPOINTS, with(named("gone", "nobody"), json!({ "status": { "state": "ready" } }))),
        (
            Resource::CILIUM_NODE_CONFIGS,
            with(
                named("shop", "ovncilium"),
                json!({ "spec": { "nodeSelector": {}, "defaults": { "policy-audit-mode": "false" } } }),
            ),
        ),
        (
            Resource::HELM_CHARTS,
            with(
                named("kube-system", "traefik"),
                json!({ "spec": { "chart": "traefik", "set": { "func.ENABLE_NP": "false" } } }),
            ),
        ),
        (
            Resource::HELM_CHART_CONFIGS,
            with(named("kube-system", "traefik"), json!({ "spec": { "valuesContent": "func: {ENABLE_NP: false}" } })),
        ),
        (Resource::VPCS, named("", "spare")),
        (
            Resource::DISRUPTION_BUDGETS,
            with(named("shop", "other"), json!({ "status": { "disruptionsAllowed": 1, "expectedPods": 3 } })),
        ),
    ]
}

#[test]
fn an_object_that_has_nothing_to_do_with_it_changes_no_verdict_and_no_plan() {
    let mut wrong = Vec::new();
    for (name, inventory) in clusters() {
        let told = |inventory: &Inventory| {
            let facts = derived(inventory);
            (said(&judged(&facts)), without_digest(&facts))
        };
        let as_it_is = told(&inventory);
        let mut hold = |what: &str, (verdicts, plan): &(BTreeSet<String>, Result<Plan, String>), more: &Inventory| {
            let facts = derived(more);
            let new = said(&judged(&facts));
            let changed: Vec<_> = new.symmetric_difference(verdicts).collect();
            wrong.extend((!changed.is_empty()).then(|| format!("{name}: {what}: {changed:?}")));
            wrong.extend((without_digest(&facts) != *plan).then(|| format!("{name}: {what}: another plan")));
        };
        for (resource, object) in unrelated() {
            let mut more = inventory.clone();
            let what = format!("{} {}", resource.plural, object["metadata"]["name"]);
            // That a kind is served tells something by itself: it is compared with none of it.
            let is_new = matches!(more.listings.get(&resource), Some(Listing::NotServed));
            let none = is_new.then(|| {
                more.listings.insert(resource, Listing::Complete(Vec::new()));
                told(&more)
            });
            // At the front: what is found first must not win.
            objects(&mut more, resource).insert(0, object);
            hold(&what, none.as_ref().unwrap_or(&as_it_is), &more);
        }
        for at in ["labels", "annotations"] {
            let mut more = inventory.clone();
            object(&mut more, Resource::NODES, "worker-1")["metadata"][at]["example.com/ovn"] = json!("enable-np");
            hold(at, &as_it_is, &more);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The plan but for the digest of the facts, which tells that there is more in the cluster.
fn without_digest(facts: &Facts) -> Result<Plan, String> {
    planned(facts).map(|plan| Plan { facts: Digest::of(""), ..plan })
}

/// Facts, verdicts and plan, byte for byte.
fn bytes(inventory: &Inventory) -> [String; 3] {
    let facts = derived(inventory);
    let evaluation = judged(&facts);
    let text = |value: Result<String, serde_json::Error>| value.unwrap();
    [
        text(serde_json::to_string_pretty(&facts)),
        text(serde_json::to_string_pretty(&evaluation)),
        planned(&facts).map_or_else(|error| error, |plan| text(serde_json::to_string_pretty(&plan))),
    ]
}

/// Every cluster, turned in twelve ways, says what it says unturned.
fn says_the_same(turn: impl Fn(&mut Random, &mut Vec<Value>)) {
    for (name, inventory) in clusters() {
        let expected = bytes(&inventory);
        for seed in 1..=12 {
            let mut turned = inventory.clone();
            let mut random = Random(seed);
            for listing in turned.listings.values_mut() {
                if let Listing::Complete(objects) | Listing::Partial(objects) = listing {
                    turn(&mut random, objects);
                }
            }
            for (before, after) in expected.iter().zip(bytes(&turned)) {
                let line = before.lines().zip(after.lines()).find(|(a, b)| a != b);
                assert!(*before == after, "{name}, order {seed}: {line:?}");
            }
        }
    }
}

/// The order in which the API server lists objects changes no byte of facts, verdicts and plan.
#[test]
fn another_order_of_listings_changes_no_byte() {
    says_the_same(|random, objects| random.shuffle(objects));
}

/// Lists within objects whose order means something: words of a command line; containers, of which a JSON pointer names one; addresses
/// and families, of which the first is the primary one.
const IN_ORDER: [&str; 9] =
    ["args", "command", "containers", "initContainers", "addresses", "podIPs", "clusterIPs", "ipFamilies", "podCIDRs"];

/// The order of all other lists within objects changes no byte either.
#[test]
fn another_order_within_objects_changes_no_byte() {
    fn turn(random: &mut Random, value: &mut Value, turned: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| turn(random, item, turned)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    turn(random, field, turned);
                    if let Value::Array(items) = field
                        && items.len() > 1
                        && !IN_ORDER.contains(&name.as_str())
                    {
                        random.shuffle(items);
                        turned.insert(name.clone());
                    }
                }
            }
            _ => {}
        }
    }
    let turned = RefCell::new(BTreeSet::new());
    says_the_same(|random, objects| {
        objects.iter_mut().for_each(|object| turn(random, object, &mut turned.borrow_mut()));
    });
    let turned = turned.into_inner();
    println!("turned: {turned:?}");
    assert!(turned.len() > 5, "only {turned:?} were turned");
}

/// Of every kind that is listed there is an object that has nothing to do with the question, or every object of it has.
#[test]
fn unrelated_objects_are_of_every_kind() {
    let ours: BTreeSet<Resource> = unrelated().into_iter().map(|(resource, _)| resource).collect();
    let missing: Vec<_> = inventory().listings.into_keys().filter(|kind| !ours.contains(kind)).collect();
    let explained: Vec<Resource> = EACH_MATTERS.iter().map(|(kind, _)| *kind).collect();
    let names: Vec<_> = missing.iter().filter(|kind| !explained.contains(kind)).map(|kind| kind.plural).collect();
    assert!(names.is_empty(), "{names:?}");
}

/// Numbers that are the same on every machine (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The clusters above are worth something only while they are what they are called.
#[test]
fn the_clusters_are_what_they_are_called() {
    for (name, inventory) in clusters() {
        let facts = derived(&inventory);
        let denied = judged(&facts).findings.iter().any(ovncilium_core::policy::Finding::denies);
        // The chart hurts nobody but by its pool of warnings; what is wrong is in the cluster.
        match name {
            "example" => assert!(planned(&facts).is_ok(), "{:?}", planned(&facts).err()),
            "two writers" => assert!(matches!(facts.kube_ovn.value, Known::Unknown(_))),
            "Cilium" => assert_eq!(facts.services.value.known().unwrap().providers.len(), 5),
            _ => assert!(denied, "{name}"),
        }
    }
}
