//! What the tests start from: the example cluster, where everything passes; facts in which every field is filled; breakages of the
//! example; and the facts of every policy's cases.

use std::sync::LazyLock;

use ovncilium_core::facts::inventory::Inventory;
use ovncilium_core::facts::{Facts, Source, Subject, derive, intent, tools};
use ovncilium_core::ids::{NodeName, RunId};
use ovncilium_core::plan::migrate::CHAINED_CONF;
use ovncilium_core::render::Stream;
use ovncilium_engine::collect;
use ovncilium_engine::node_task::TaskSettings;
use ovncilium_policy_host::BUILTINS;
use ovncilium_policy_sdk::testing::load_cases;
use ovncilium_sim::SimCluster;
use serde_json::{Value, json};

use crate::judge::now;
use crate::program::root;

/// Facts, and the stream that is judged beside them.
pub(crate) struct Start {
    pub(crate) name: String,
    pub(crate) facts: Facts,
    pub(crate) stream: Stream,
}

/// What the API server lists of the example cluster.
pub(crate) fn inventory() -> Inventory {
    static INVENTORY: LazyLock<Inventory> =
        LazyLock::new(|| collect::inventory(&SimCluster::example(1).unwrap()).unwrap());
    INVENTORY.clone()
}

/// Facts of an inventory, with what does not come from listings taken from the example.
pub(crate) fn derived(inventory: &Inventory) -> Facts {
    let source = Source::Live { server: "https://test".to_owned(), context: None, cluster: "uid".to_owned() };
    let mut facts = derive::derive(inventory, source, now());
    let example = example();
    facts.permissions = example.permissions;
    facts.tools = example.tools;
    facts.conflists = example.conflists;
    facts.node_os = example.node_os;
    facts.intent = example.intent;
    facts
}

/// The example cluster with its nodes probed, on the way to Cilium 1.18: nothing stands in the way.
pub(crate) fn example() -> Facts {
    static EXAMPLE: LazyLock<Facts> = LazyLock::new(|| {
        let sim = SimCluster::example(1).unwrap();
        let options = collect::Options { context: None, release_namespace: "kube-system".to_owned(), now: now() };
        let mut facts = collect::collect(&sim, &options).unwrap();
        let one = facts.kube_ovn.value.known().unwrap().the_one().unwrap();
        let settings = TaskSettings {
            namespace: one.namespace.clone(),
            image: one.cni.image.clone(),
            image_pull_secrets: Vec::new(),
            conf_dir: one.cni.conf_dir.clone(),
        };
        let nodes = &facts.nodes.value.known().unwrap().items;
        let names: Vec<NodeName> = nodes.iter().map(|node| NodeName(node.name.clone())).collect();
        let (conflists, node_os) =
            collect::nodes::probe(&sim, &sim, &settings, &names, &RunId("0a1b2c3d4e5f".to_owned()));
        facts.conflists = Subject::known(conflists, now());
        facts.node_os = Subject::known(node_os, now());
        let helm = tools::Helm { path: "/usr/local/bin/helm".to_owned(), version: Some("v3.19.5".to_owned()) };
        facts.tools = Subject::known(tools::Tools { helm: Some(helm) }, now());
        let intent = intent::Intent {
            action: intent::Action::Migrate,
            cilium_version: Some("1.18.12".to_owned()),
            cluster_pool: vec!["100.65.0.0/16".to_owned()],
            turns_network_policy_off: true,
            turns_load_balancer_off: true,
            conf_name: CHAINED_CONF.to_owned(),
        };
        facts.intent = Subject::known(intent, now());
        facts
    });
    EXAMPLE.clone()
}

/// The example as JSON, changed by `change`, as facts again.
pub(crate) fn changed(change: impl FnOnce(&mut Value)) -> Facts {
    let mut json = serde_json::to_value(example()).unwrap();
    change(&mut json);
    serde_json::from_value(json).unwrap_or_else(|error| panic!("facts of this shape are not read: {error}"))
}

/// The known value of a subject.
fn known<'v>(facts: &'v mut Value, field: &str) -> &'v mut Value {
    &mut facts[field]["value"]["known"]
}

/// Facts in which every list has an element and every field that may be absent is there. Much of it is in the way.
pub(crate) fn full() -> Facts {
    changed(|facts| {
        let one = &mut known(facts, "kube_ovn")["installations"][0];
        one["cni"]["iface"] = json!("eth0");
        one["cni"]["image_pull_secrets"] = json!(["pull"]);
        one["controller"]["flags"]["np-enforcement"] = json!("lax");
        one["controller"]["enable_lb_svc"] = json!(true);
        one["controller"]["flags"]["pod-nic-type"] = json!("internal-port");
        let networks = known(facts, "networks");
        networks["subnets"][1]["underlay"] = json!(true);
        networks["subnets"][0]["u2o"] = json!(true);
        networks["subnets"][0]["not_ready"] = json!("InitFailed: no gateway");
        for list in ["custom_vpcs", "vpc_dnses", "switch_lb_rules", "nat_gateways"] {
            networks[list] = json!(["one", "two"]);
        }
        networks["default_vpc_load_balancer"] = json!("cluster-tcp-loadbalancer");
        networks["default_vpc_standby"] = json!(false);
        let pods = &mut known(facts, "workloads")["pods"];
        pods[0]["recycle"] = json!("never");
        let managed = json!({ "namespace": pods[1]["namespace"], "name": pods[1]["name"], "ips": ["10.16.0.9"], "state": "ready" });
        let workloads = known(facts, "workloads");
        workloads["unmanaged"] = json!({ "pods": 3, "dns": ["coredns-1"] });
        workloads["ipv6_pods"] = json!(["shop/six"]);
        workloads["other_interfaces"] = json!([{ "pod": "shop/fast", "kind": "offload-port" }]);
        let pinned = json!(["clusterNetwork=/host/etc/cni/net.d/01-kube-ovn.conflist"]);
        known(facts, "multus")["installations"] = json!([{ "object": "daemonset kube-system/multus", "told": pinned }]);
        let cilium = known(facts, "cilium");
        cilium["l7_policies"] = json!([{ "object": "CiliumNetworkPolicy shop/allow", "uses": ["toFQDNs"] }]);
        cilium["installation"] = json!({
            "namespace": "kube-system", "daemonset": "cilium", "release": "cilium", "owner": { "kind": "helm", "release": "cilium", "namespace": "kube-system" }, "version": "1.17.2",
            "config": { "kube-proxy-replacement": "false" }, "agents": [{ "node": "worker-1", "ready": true }],
        });
        cilium["crds"] = json!(["ciliumendpoints.cilium.io"]);
        cilium["endpoints"] = json!([managed]);
        cilium["node_configs"] = json!(["kube-system/other"]);
        cilium["policies"] = json!(["CiliumNetworkPolicy shop/allow"]);
        known(facts, "nodes")["items"][0]["kernel"] = json!("4.15.0-213-generic");
        known(facts, "services")["providers"][0]["ready"] = json!(1);
        known(facts, "tools")["helm"]["version"] = json!("v3.8.2");
        known(facts, "permissions")["items"][0]["allowed"] = json!(false);
        let conflists = known(facts, "conflists");
        conflists["silent"] = json!([{ "node": "worker-4", "reason": "its image could not be pulled" }]);
        conflists["nodes"][0]["files"] = json!([
            { "name": "00-calico.conflist", "sha256": "sha256:aa", "network": "calico", "plugins": ["calico"] },
            { "name": "00-multus.conf.cilium_bak", "sha256": "sha256:bb", "network": "multus", "plugins": ["multus"] },
        ]);
        known(facts, "intent")["conf_name"] = json!("05-cilium.conflist");
        known(facts, "intent")["turns_load_balancer_off"] = json!(false);
        known(facts, "intent")["turns_network_policy_off"] = json!(false);
        known(facts, "intent")["cluster_pool"] = json!(["10.0.0.0/8"]);
    })
}

/// A chart that chains, with settings that hurt where facts show unmanaged pods, DNS among them, and other ranges.
const HURTS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: { name: cilium-config, namespace: kube-system }
data:
  cni-chaining-mode: generic-veth
  routing-mode: native
  enable-ipv4-masquerade: \"false\"
  enable-ipv6: \"false\"
  kube-proxy-replacement: \"true\"
  devices: eth+ ovn0 vxlan_sys_4789
  unmanaged-pod-watcher-interval: 15s
  ipam: cluster-pool
  cluster-pool-ipv4-cidr: 192.168.0.0/16
  enable-identity-mark: \"false\"
  write-cni-conf-when-ready: /host/etc/cni/net.d/05-cilium.conflist
";

/// The same with what hurts set right.
fn sound() -> String {
    [
        ("vxlan_sys_4789", "genev_sys_6081"),
        ("interval: 15s", "interval: \"0\""),
        ("192.168.0.0/16", "100.65.0.0/16"),
        ("05-cilium", "01-cilium"),
        ("data:\n", "data:\n  policy-audit-mode: \"true\"\n"),
    ]
    .iter()
    .fold(HURTS.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A stream of YAML text.
pub(crate) fn stream(text: &str) -> Stream {
    Stream::parse(text.as_bytes()).unwrap()
}

fn start(name: &str, facts: Facts, text: &str) -> Start {
    Start { name: name.to_owned(), facts, stream: stream(text) }
}

/// The example cluster, each thing that can be wrong with it, and all of them at once.
pub(crate) fn clusters() -> Vec<Start> {
    let mut starts = vec![start("example", example(), &sound()), start("full", full(), HURTS)];
    type Change = fn(&mut Value);
    let broken: [(&str, Change); 15] = [
        ("old kernel", |f| known(f, "nodes")["items"][4]["kernel"] = json!("4.18.0-25-generic")),
        ("future Cilium", |f| known(f, "intent")["cilium_version"] = json!("1.99.0")),
        ("no provider", |f| known(f, "services")["providers"][0]["ready"] = json!(2)),
        ("VpcDns", |f| known(f, "networks")["vpc_dnses"] = json!(["dns"])),
        ("no default subnet", |f| {
            known(f, "kube_ovn")["installations"][0]["controller"]["flags"]["default-ls"] = json!("gone");
        }),
        ("underlay", |f| known(f, "networks")["subnets"][1]["underlay"] = json!(true)),
        ("by hand", |f| {
            known(f, "intent")["turns_load_balancer_off"] = json!(false);
            known(f, "intent")["turns_network_policy_off"] = json!(false);
        }),
        ("secondary", |f| known(f, "kube_ovn")["installations"][0]["cni"]["non_primary"] = json!(true)),
        ("guide's name", |f| known(f, "intent")["conf_name"] = json!("05-cilium.conflist")),
        ("foreign file", |f| {
            known(f, "conflists")["nodes"][2]["files"][0]["name"] = json!("00-kube-ovn.conflist");
        }),
        ("set aside", |f| {
            let file = json!({ "name": "x.cilium_bak", "sha256": "sha256:aa", "network": "", "plugins": [] });
            known(f, "conflists")["nodes"][3]["files"].as_array_mut().unwrap().push(file);
        }),
        ("node not asked", |f| {
            known(f, "conflists")["nodes"].as_array_mut().unwrap().pop();
        }),
        ("pool in use", |f| known(f, "intent")["cluster_pool"] = json!(["10.16.4.0/22"])),
        ("old helm", |f| known(f, "tools")["helm"]["version"] = json!("v3.12.0")),
        ("two installations", |f| {
            let installations = known(f, "kube_ovn")["installations"].as_array_mut().unwrap();
            let mut second = installations[0].clone();
            second["namespace"] = json!("other");
            installations.push(second);
        }),
    ];
    starts.extend(broken.into_iter().map(|(name, change)| start(name, changed(change), &sound())));
    starts.push(start("a chart that hurts", example(), HURTS));
    // What hurts, one by one: a denial of one rule is not hidden behind that of another.
    for (from, to) in [("vxlan_sys_4789", ""), ("15s", ""), ("192.168.0.0/16", ""), ("data:\n", "policy")] {
        let text = match to {
            "policy" => sound().replace("policy-audit-mode: \"true\"", "policy-audit-mode: \"false\""),
            _ => sound().lines().map(|line| keep(line, from)).collect(),
        };
        starts.push(start(&format!("a chart with {from:?}"), example(), &text));
    }
    starts
}

/// A line of the sound chart, or that line of the chart that hurts which holds `wrong`.
fn keep(line: &str, wrong: &str) -> String {
    let hurting = HURTS.lines().find(|other| other.contains(wrong)).unwrap();
    let same_key = hurting.split(':').next() == line.split(':').next();
    format!("{}\n", if same_key { hurting } else { line })
}

/// The facts and documents of every case of every built-in policy.
pub(crate) fn cases() -> Vec<Start> {
    let template = serde_json::to_value(full()).unwrap();
    let mut starts = Vec::new();
    for policy in BUILTINS {
        for (_, case) in load_cases(root().join("policies/builtin").join(policy).join("cases")) {
            let mut facts = serde_json::to_value(Facts::unknown(example().source, now(), "it was not read")).unwrap();
            for (name, slim) in &case.facts {
                let field = name.replace('-', "_");
                let value = laid_over(name, &template[&field]["value"]["known"], slim);
                facts[&field] = json!({ "observed_at": now(), "value": { "known": value } });
            }
            for (name, why) in &case.unknown {
                facts[&name.replace('-', "_")] = json!({ "value": { "unknown": why } });
            }
            let facts = serde_json::from_value(facts)
                .unwrap_or_else(|error| panic!("{policy}: {}: not facts of this program: {error}", case.name));
            let text = match &case.documents {
                Some(documents) => documents.iter().map(|document| format!("---\n{document}\n")).collect(),
                None => sound(),
            };
            starts.push(start(&format!("{policy}: {}", case.name), facts, &text));
        }
    }
    starts
}

/// Maps whose keys are free.
const MAPS: [&str; 3] = ["flags", "labels", "config"];

/// The slim value of a case as a whole one: what it does not say is as in `template`, lists are empty.
fn laid_over(name: &str, template: &Value, slim: &Value) -> Value {
    match (template, slim) {
        (Value::Object(_), Value::Object(_)) if MAPS.contains(&name) => slim.clone(),
        (Value::Object(fields), Value::Object(given)) => {
            let whole = fields.iter().map(|(field, value)| {
                let value = match given.get(field) {
                    Some(given) => laid_over(field, value, given),
                    None if value.is_array() => json!([]),
                    None => value.clone(),
                };
                (field.clone(), value)
            });
            let mut whole: serde_json::Map<String, Value> = whole.collect();
            // What facts do not have is told when they are read.
            for (field, value) in given.iter().filter(|(field, _)| !fields.contains_key(*field)) {
                whole.insert(field.clone(), value.clone());
            }
            Value::Object(whole)
        }
        (Value::Array(shape), Value::Array(items)) => match shape.first() {
            Some(shape) => items.iter().map(|item| laid_over(name, shape, item)).collect(),
            None => slim.clone(),
        },
        _ => slim.clone(),
    }
}
