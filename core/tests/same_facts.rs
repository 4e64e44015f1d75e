//! The same Kube-OVN, written down in another way, gives the same facts: property tests over the ways in which releases, charts and
//! people differ.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only test functions")]

use jiff::Timestamp;
use ovncilium_core::facts::derive::derive;
use ovncilium_core::facts::inventory::{Inventory, Listing};
use ovncilium_core::facts::kube_ovn::{ConfWriter, Installation};
use ovncilium_core::facts::manifests::{self, File};
use ovncilium_core::facts::{Facts, Known, Source};
use ovncilium_core::plan::Resource;
use proptest::prelude::*;
use serde_json::{Value, json};

/// How a container is told its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// All of them in `args`, after the program.
    Args,
    /// Program in `command`, flags in `args`.
    Both,
    /// All in `command`.
    Command,
    /// The first half beside the program in `command`, the rest in `args`.
    Split,
}

/// How one flag is written.
#[derive(Debug, Clone, Copy)]
enum Written {
    /// `--flag=value`.
    Equals,
    /// `--flag value`; a bool takes none, so `--flag` when true and `--flag=false` when not.
    Blank,
    /// `--flag=$(NAME)`, with the value in the environment.
    Variable,
    /// `--flag=other` first: the last one counts.
    Twice,
}

/// One way to write the installation down.
#[derive(Debug, Clone)]
struct Way {
    /// Keys by which flags are put into order.
    order: Vec<u32>,
    written: Vec<Written>,
    told: Told,
    /// Containers beside the controller and the CNI server, before and after.
    beside: (usize, usize),
    registry: &'static str,
    digest: bool,
    namespace: &'static str,
    /// Flags that have their default are left away.
    terse: bool,
    /// Objects come in this rotation, among others that are none of ours.
    rotated: usize,
    /// Listed by an API server, or read from manifests.
    live: bool,
}

/// What Kube-OVN is told: flag, value, and whether the value is what it does by default.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Truth {
    enable_lb: bool,
    enable_np: bool,
    enable_lb_svc: bool,
    non_primary: bool,
    network_type: &'static str,
    mtu: u32,
    iface: Option<&'static str>,
    conf_name: &'static str,
    minor: u32,
}

fn ways() -> impl Strategy<Value = Way> {
    let written =
        prop_oneof![Just(Written::Equals), Just(Written::Blank), Just(Written::Variable), Just(Written::Twice)];
    let told = prop_oneof![Just(Told::Args), Just(Told::Both), Just(Told::Command), Just(Told::Split)];
    let registry = prop_oneof![
        Just("kubeovn/"),
        Just("docker.io/kubeovn/"),
        Just("registry.example:5000/mirror/kubeovn/"),
        Just("registry.example/"),
    ];
    let namespace = prop_oneof![Just("kube-system"), Just("cozy-kubeovn"), Just("kube-ovn")];
    (
        (prop::collection::vec(any::<u32>(), 16), prop::collection::vec(written, 16), told, (0..3usize, 0..3usize)),
        (registry, any::<bool>(), namespace, any::<bool>(), 0..7usize, any::<bool>()),
    )
        .prop_map(|((order, written, told, beside), (registry, digest, namespace, terse, rotated, live))| Way {
            order,
            written,
            told,
            beside,
            registry,
            digest,
            namespace,
            terse,
            rotated,
            live,
        })
}

fn truths() -> impl Strategy<Value = Truth> {
    let network_type = prop_oneof![Just("geneve"), Just("vxlan"), Just("stt")];
    let iface = prop_oneof![Just(None), Just(Some("eth1")), Just(Some("bond0"))];
    let mtu = prop_oneof![Just(0u32), Just(1400u32)];
    let conf_name = prop_oneof![Just("01-kube-ovn.conflist"), Just("10-kube-ovn.conflist")];
    (any::<[bool; 4]>(), network_type, mtu, iface, conf_name, 8..17u32).prop_map(
        |([enable_lb, enable_np, enable_lb_svc, non_primary], network_type, mtu, iface, conf_name, minor)| Truth {
            enable_lb,
            enable_np,
            enable_lb_svc,
            non_primary,
            network_type,
            mtu,
            iface,
            // Up to 1.9 there is no flag for it.
            conf_name: if minor < 10 { "01-kube-ovn.conflist" } else { conf_name },
            minor,
        },
    )
}

/// A container that runs `program` with `flags`: name, value, and another value that is not meant.
fn container(way: &Way, name: &str, image: &str, program: &[&str], flags: &[(&str, String, &str)]) -> Value {
    let mut flags: Vec<(usize, &(&str, String, &str))> = flags.iter().enumerate().collect();
    flags.sort_by_key(|(at, _)| way.order[at % way.order.len()]);
    let mut env = Vec::new();
    let words: Vec<String> = flags
        .iter()
        .flat_map(|(at, (flag, value, other))| match way.written[at % way.written.len()] {
            Written::Equals => vec![format!("--{flag}={value}")],
            Written::Blank if value == "true" => vec![format!("--{flag}")],
            Written::Blank if value == "false" || value.is_empty() => vec![format!("--{flag}={value}")],
            Written::Blank => vec![format!("--{flag}"), value.clone()],
            Written::Variable => {
                let variable = flag.replace('-', "_").to_uppercase();
                env.push(json!({ "name": variable, "value": value }));
                vec![format!("--{flag}=$({variable})")]
            }
            Written::Twice => vec![format!("--{flag}={other}"), format!("--{flag}={value}")],
        })
        .collect();
    let program: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
    let half = match way.told {
        // Flags of one name stay in their order whatever is split.
        Told::Split => words.len() / 2,
        Told::Command => words.len(),
        Told::Args | Told::Both => 0,
    };
    let (first, rest) = words.split_at(half);
    let with = |head: &[String], tail: &[String]| [head, tail].concat();
    let (command, args) = match way.told {
        Told::Args => (Vec::new(), with(&program, rest)),
        Told::Both | Told::Split => (with(&program, first), rest.to_vec()),
        Told::Command => (with(&program, first), Vec::new()),
    };
    let mut container = json!({ "name": name, "image": image, "env": env });
    for (field, words) in [("command", command), ("args", args)] {
        if !words.is_empty() {
            container[field] = json!(words);
        }
    }
    container
}

fn among(container: Value, way: &Way) -> Vec<Value> {
    let sidecar = |at: usize| json!({ "name": format!("sidecar-{at}"), "image": "example.com/logs:v9.9.9", "args": ["--enable-lb=false"] });
    let before = (0..way.beside.0).map(sidecar);
    before.chain([container]).chain((10..10 + way.beside.1).map(sidecar)).collect()
}

/// A bool that is `default` may be left away.
fn switch<'a>(way: &Way, flag: &'a str, value: bool, default: bool) -> Option<(&'a str, String, &'static str)> {
    let told = (flag, value.to_string(), if value { "false" } else { "true" });
    (!way.terse || value != default).then_some(told)
}

fn objects(truth: &Truth, way: &Way) -> Vec<Value> {
    let digest = if way.digest { format!("@sha256:{}", "ab".repeat(32)) } else { String::new() };
    let image = format!("{}kube-ovn:v1.{}.3{digest}", way.registry, truth.minor);
    let mut controller: Vec<_> = [
        switch(way, "enable-lb", truth.enable_lb, true),
        switch(way, "enable-np", truth.enable_np, true),
        switch(way, "enable-lb-svc", truth.enable_lb_svc, false),
    ]
    .into_iter()
    .flatten()
    .collect();
    controller.push(("default-cidr", "10.16.0.0/16".to_owned(), "10.17.0.0/16"));
    controller.push(("log_file", "/var/log/kube-ovn/a=b.log".to_owned(), "/dev/null"));
    let mut server = vec![("node-switch", "join".to_owned(), "other")];
    server.extend(switch(way, "non-primary-cni-mode", truth.non_primary, false));
    if !way.terse || truth.network_type != "geneve" {
        server.push(("network-type", truth.network_type.to_owned(), "stt"));
    }
    if !way.terse || truth.iface.is_some() {
        server.push(("iface", truth.iface.unwrap_or_default().to_owned(), "eth9"));
    }
    if truth.mtu != 0 {
        server.push(("mtu", truth.mtu.to_string(), "9000"));
    }
    let named = ("cni-conf-name", truth.conf_name.to_owned(), "99-other.conflist");
    let default = truth.conf_name == "01-kube-ovn.conflist";
    let mut installs = json!({ "name": "install-cni", "image": image, "command": ["/kube-ovn/install-cni.sh"] });
    let mount = json!([{ "name": "cni-conf", "mountPath": "/etc/cni/net.d" }]);
    if truth.minor >= 13 {
        let flags: Vec<_> = (!way.terse || !default).then_some(named).into_iter().collect();
        installs = container(way, "install-cni", &image, &["/kube-ovn/install-cni.sh"], &flags);
        installs["volumeMounts"] = mount.clone();
    } else if truth.minor >= 10 && (!way.terse || !default) {
        server.push(named);
    }
    let mut server = container(way, "cni-server", &image, &["bash", "/kube-ovn/start-cniserver.sh"], &server);
    if truth.minor < 13 {
        server["volumeMounts"] = mount;
    }
    let controller = container(way, "kube-ovn-controller", &image, &["/kube-ovn/start-controller.sh"], &controller);
    let workload = |kind: &str, name: &str, spec: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name, "namespace": way.namespace },
            "spec": { "replicas": 1, "template": { "spec": spec } },
        })
    };
    let other = |name: &str| json!({ "containers": [{ "name": name, "image": "example.com/x:v1.2.3", "args": ["--enable-np=false"] }] });
    let mut objects = vec![
        workload("Deployment", "kube-ovn-controller", json!({ "containers": among(controller, way) })),
        workload(
            "DaemonSet",
            "kube-ovn-cni",
            json!({
                "initContainers": [{ "name": "hostpath-init", "image": image, "command": ["sh", "-xec", "chmod +t /x"] }, installs],
                "containers": among(server, way),
                "volumes": [{ "name": "cni-conf", "hostPath": { "path": "/etc/cni/net.d" } }],
            }),
        ),
        workload("Deployment", "ovn-central", other("ovn-central")),
        workload("DaemonSet", "ovs-ovn", other("openvswitch")),
        workload("Deployment", "web", other("web")),
    ];
    let length = objects.len();
    objects.rotate_left(way.rotated % length);
    objects
}

fn facts(truth: &Truth, way: &Way) -> Facts {
    let objects = objects(truth, way);
    if !way.live {
        let text: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
        let manifests = manifests::read(&[File { name: "kube-ovn.yaml", content: text.as_bytes() }]).unwrap();
        return manifests.facts(Source::Rehearsal, Timestamp::UNIX_EPOCH);
    }
    let mut inventory = Inventory::default();
    for resource in Resource::ALL {
        let of_kind = objects.iter().filter(|object| object["kind"] == resource.kind).cloned().collect();
        inventory.listings.insert(*resource, Listing::Complete(of_kind));
    }
    derive(&inventory, Source::Rehearsal, Timestamp::UNIX_EPOCH)
}

fn the_one(facts: &Facts) -> Installation {
    match &facts.kube_ovn.value {
        Known::Known(kube_ovn) => kube_ovn.the_one().unwrap().clone(),
        Known::Unknown(why) => unreachable!("{why}"),
    }
}

/// What may differ between two ways of writing the same thing down, and nothing else: where the objects and their images are,
/// which list of which container holds the flags, and the flags as they stand there.
fn without_the_writing(mut one: Installation) -> Installation {
    one.namespace = String::new();
    one.cni.image = String::new();
    one.controller.image = String::new();
    one.controller.container = 0;
    one.controller.flags_in = String::new();
    one.controller.flags_list = Vec::new();
    // How far it is rolled out is told by a cluster alone.
    one.components.clear();
    // Flags that are not there have their default, which is told by the fields made from them.
    for (flag, default) in [("enable-lb", "true"), ("enable-np", "true"), ("enable-lb-svc", "false")] {
        one.controller.flags.entry(flag.to_owned()).or_insert_with(|| default.to_owned());
    }
    one
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_facts_are_what_was_told_in_whatever_way(truth in truths(), way in ways()) {
        let one = the_one(&facts(&truth, &way));
        prop_assert_eq!(&one.namespace, way.namespace);
        let version = format!("v1.{}.3", truth.minor);
        prop_assert_eq!(one.version.as_deref(), Some(version.as_str()));
        let found = Truth {
            enable_lb: one.controller.enable_lb,
            enable_np: one.controller.enable_np,
            enable_lb_svc: one.controller.enable_lb_svc,
            non_primary: one.cni.non_primary,
            network_type: truth.network_type,
            mtu: one.cni.mtu,
            iface: truth.iface,
            conf_name: truth.conf_name,
            minor: truth.minor,
        };
        prop_assert_eq!(&found, &truth);
        prop_assert_eq!(&one.cni.network_type, truth.network_type);
        prop_assert_eq!(one.cni.iface.as_deref(), truth.iface);
        prop_assert_eq!(&one.cni.conf_name, truth.conf_name);
        let writer = match truth.minor {
            ..10 => ConfWriter::HardCoded,
            10..13 => ConfWriter::CniServer,
            13.. => ConfWriter::InstallCni,
        };
        prop_assert_eq!(one.cni.writer, writer);
        prop_assert_eq!(&one.cni.conf_dir, "/etc/cni/net.d");
    }

    #[test]
    fn two_ways_of_writing_it_down_give_the_same_facts(truth in truths(), one in ways(), other in ways()) {
        let (a, b) = (the_one(&facts(&truth, &one)), the_one(&facts(&truth, &other)));
        prop_assert_eq!(without_the_writing(a), without_the_writing(b));
    }

    /// The list that a plan changes is the one that holds the switches, and it is told word by word.
    #[test]
    fn the_list_to_be_changed_is_the_one_with_the_switches(truth in truths(), way in ways()) {
        let one = the_one(&facts(&truth, &way));
        let objects = objects(&truth, &way);
        let deployment = objects.iter().find(|object| object["metadata"]["name"] == "kube-ovn-controller").unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][one.controller.container];
        prop_assert_eq!(&container["name"], "kube-ovn-controller");
        let words = |list: &str| -> Vec<String> {
            let words = container[list].as_array().into_iter().flatten();
            words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        prop_assert_eq!(&words(&one.controller.flags_in), &one.controller.flags_list);
        let switches = ["--enable-lb", "--enable-np"];
        let holds = |list: &str| words(list).iter().any(|word| switches.contains(&word.split('=').next().unwrap()));
        let other = if one.controller.flags_in == "args" { "command" } else { "args" };
        // Where both lists hold a switch, the later one counts.
        prop_assert!(holds(&one.controller.flags_in) || !holds(other), "{:?} {:?}", words("command"), words("args"));
    }
}
