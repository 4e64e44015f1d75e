//! Clusters that were chained after Kube-OVN's guide, half of it, or otherwise by hand: what they are told to be.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod order;
#[path = "guide/services.rs"]
mod services;

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_core::Digest;
use ovncilium_core::ExitCode;
use ovncilium_core::facts::cilium::{Agent, Cilium, ConfSource, Endpoint, Installation as Agents};
use ovncilium_core::facts::conflists::{ConfDir, ConfFile, Conflists, SilentNode};
use ovncilium_core::facts::derive::NODES_NOT_READ;
use ovncilium_core::facts::kube_ovn::{CniDaemon, ConfWriter, Controller, Installation, KubeOvn, Owner};
use ovncilium_core::facts::multus::{Installation as Calls, Multus};
use ovncilium_core::facts::networks::Networks;
use ovncilium_core::facts::nodes::{Node, Nodes};
use ovncilium_core::facts::services::{Provider, Services};
use ovncilium_core::facts::workloads::{Pod, Unmanaged, Workloads};
use ovncilium_core::facts::{Facts, Known, Source, Subject, addresses};
use ovncilium_core::plan::action::CHAINED_LABEL;
use ovncilium_core::plan::adopt::{Adopting, FoundRelease, NotAdoptable, own_values};
use ovncilium_core::plan::drift::{self, Standing};
use ovncilium_core::plan::lint::{lint, superseded};
use ovncilium_core::plan::migrate::{Choices, NoPlan, migrate};
use ovncilium_core::plan::rollback::rollback;
use ovncilium_core::plan::start::{self, Start};
use ovncilium_core::plan::values::values;
use ovncilium_core::plan::{Action, ChartRef, ObjectRef, Plan, ReleaseStage, Step};
use ovncilium_core::report::{Plain, VerifyReport};
use serde_json::json;

use order::{before, order};

const NODES: [&str; 3] = ["cp-1", "w-1", "w-2"];

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn conf(name: &str, network: &str, plugins: &[&str]) -> ConfFile {
    let sha256 = Digest::of(format!("{network} {plugins:?}")).to_string();
    ConfFile { name: name.into(), sha256, network: network.into(), plugins: words(plugins) }
}

fn plain(name: &str) -> ConfFile {
    conf(name, "kube-ovn", &["kube-ovn", "portmap"])
}

fn chained(name: &str) -> ConfFile {
    conf(name, "kube-ovn", &["kube-ovn", "portmap", "cilium-cni"])
}

fn pod(name: &str) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: name.into(),
        node: "w-1".into(),
        phase: "Running".into(),
        ips: words(&["10.16.0.9"]),
        owner_kind: "ReplicaSet".into(),
        ..Pod::default()
    }
}

/// All that the guide asks for: 05 and 10 on every node, the ConfigMap, agents, flags off, every pod with its endpoint.
fn guided() -> Facts {
    let source = Source::Live { server: "https://x".into(), context: None, cluster: "cluster-uid".into() };
    let mut facts = Facts::unknown(source, now(), "not read");
    let node = |name: &&str| Node {
        name: (*name).into(),
        uid: format!("uid-{name}"),
        ready: true,
        control_plane: name.starts_with("cp"),
        ..Node::default()
    };
    facts.nodes = Subject::known(Nodes { items: NODES.iter().map(node).collect() }, now());
    let kube_ovn = Installation {
        namespace: "kube-system".into(),
        owner: Owner::Manifest,
        controller: Controller {
            name: "kube-ovn-controller".into(),
            container_name: "kube-ovn-controller".into(),
            flags_in: "args".into(),
            flags_list: words(&["start.sh", "--enable-lb=false", "--enable-np=false"]),
            ..Controller::default()
        },
        cni: CniDaemon {
            name: "kube-ovn-cni".into(),
            image: "kube-ovn:v1.14.41".into(),
            conf_dir: "/etc/cni/net.d".into(),
            conf_name: "10-kube-ovn.conflist".into(),
            writer: ConfWriter::InstallCni,
            network_type: "geneve".into(),
            ..CniDaemon::default()
        },
        ..Installation::default()
    };
    facts.kube_ovn = Subject::known(KubeOvn { installations: vec![kube_ovn] }, now());
    facts.networks = Subject::known(Networks::default(), now());
    facts.addresses = Subject::known(addresses::Addresses::default(), now());
    let config = [
        ("cni-chaining-mode", "generic-veth"),
        ("custom-cni-conf", "true"),
        ("routing-mode", "native"),
        ("read-cni-conf", "/tmp/cni-configuration/cni-config"),
        ("write-cni-conf-when-ready", "/host/etc/cni/net.d/05-cilium.conflist"),
        ("cluster-pool-ipv4-cidr", "10.0.0.0/8"),
        ("kube-proxy-replacement", "false"),
    ];
    let agents = Agents {
        namespace: "kube-system".into(),
        daemonset: "cilium".into(),
        release: Some("cilium".into()),
        owner: Owner::Helm { release: "cilium".into(), namespace: "kube-system".into() },
        version: Some("1.18.12".into()),
        config: config.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        agents: NODES.iter().map(|node| Agent { node: (*node).into(), ready: true }).collect(),
        conf_source: Some(ConfSource {
            config_map: "kube-system/cni-configuration".into(),
            found: true,
            network: "kube-ovn".into(),
            plugins: words(&["kube-ovn", "portmap", "cilium-cni"]),
        }),
    };
    let endpoint =
        Endpoint { namespace: "shop".into(), name: "web-1".into(), ips: words(&["10.16.0.9"]), ..Endpoint::default() };
    facts.cilium =
        Subject::known(Cilium { installation: Some(agents), endpoints: vec![endpoint], ..Cilium::default() }, now());
    let provider = Provider {
        kind: "kube-proxy".into(),
        object: "daemonset kube-system/kube-proxy".into(),
        desired: 3,
        ready: 3,
        mode: "iptables".into(),
    };
    facts.services = Subject::known(Services { providers: vec![provider], ..Services::default() }, now());
    let workloads =
        Workloads { pods: vec![pod("web-1")], unmanaged: Some(Unmanaged::default()), ..Workloads::default() };
    facts.workloads = Subject::known(workloads, now());
    let dir = |node: &&str| ConfDir {
        node: (*node).into(),
        dir: "/etc/cni/net.d".into(),
        files: vec![chained("05-cilium.conflist"), plain("10-kube-ovn.conflist")],
    };
    facts.conflists = Subject::known(Conflists { nodes: NODES.iter().map(dir).collect(), silent: Vec::new() }, now());
    facts
}

fn known<T>(subject: &mut Subject<T>) -> &mut T {
    match &mut subject.value {
        Known::Known(value) => value,
        Known::Unknown(why) => panic!("unknown: {why}"),
    }
}

fn agents(facts: &mut Facts) -> &mut Agents {
    known(&mut facts.cilium).installation.as_mut().unwrap()
}

fn set(facts: &mut Facts, key: &str, value: &str) {
    agents(facts).config.insert(key.into(), value.into());
}

/// Half of the guide: the third node was forgotten, its Kube-OVN still writes 01, its pod is not chained; flags are on.
fn half() -> Facts {
    let mut facts = guided();
    let installation = &mut known(&mut facts.kube_ovn).installations[0];
    installation.cni.conf_name = "01-kube-ovn.conflist".into();
    installation.controller.flags_list = words(&["start.sh", "--enable-lb=true", "--enable-np=true"]);
    installation.controller.enable_lb = true;
    installation.controller.enable_np = true;
    for dir in &mut known(&mut facts.conflists).nodes {
        dir.files = vec![plain("01-kube-ovn.conflist"), chained("05-cilium.conflist"), plain("10-kube-ovn.conflist")];
        if dir.node != "w-2" {
            dir.files.remove(0);
        }
    }
    let workloads = known(&mut facts.workloads);
    workloads.pods.push(Pod { node: "w-2".into(), ..pod("web-2") });
    workloads.unmanaged = Some(Unmanaged { pods: 1, dns: Vec::new() });
    facts
}

fn chart(version: &str) -> ChartRef {
    ChartRef {
        location: "cilium.tgz".into(),
        name: "cilium".into(),
        version: version.into(),
        digest: Digest::of("chart"),
    }
}

fn plan(facts: &Facts, choices: &Choices) -> Result<Plan, NoPlan> {
    let objects = [ObjectRef::guess("apps/v1", "DaemonSet", "kube-system", "cilium")];
    migrate(facts, &chart("1.18.12"), &objects, choices, vec![], now())
}

/// What the cluster is told to be after a change to the whole guide.
fn told(change: impl Fn(&mut Facts)) -> Start {
    let mut facts = guided();
    change(&mut facts);
    start::of(&facts).unwrap()
}

#[test]
fn the_whole_guide_and_half_of_it_are_told_with_their_objects() {
    let Start::Guided(traces) = start::of(&guided()).unwrap() else { panic!("not guided") };
    let text = traces.to_string();
    for word in [
        "daemonset kube-system/cilium (Cilium 1.18.12, Helm release cilium)",
        "configmap kube-system/cni-configuration (network kube-ovn)",
        "05-cilium.conflist, written by the agents",
        "loaded on 3 of 3 nodes",
        "daemonset kube-system/kube-ovn-cni writing 10-kube-ovn.conflist",
        "deployment kube-system/kube-ovn-controller with --enable-np=false",
    ] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    let Start::HalfGuide(traces) = start::of(&half()).unwrap() else { panic!("not half") };
    assert_eq!(
        traces.missing,
        [
            "a later name for Kube-OVN's file (daemonset kube-system/kube-ovn-cni writes 01-kube-ovn.conflist, which sorts \
             before 05-cilium.conflist)",
            "a chained configuration that is loaded on w-2",
            "an endpoint for 1 pods",
            "--enable-np=false on deployment kube-system/kube-ovn-controller",
            "--enable-lb=false on deployment kube-system/kube-ovn-controller",
        ]
    );
}

#[test]
fn each_part_of_the_guide_that_is_not_there_is_missed() {
    let missing = |change: &dyn Fn(&mut Facts)| match told(change) {
        Start::HalfGuide(traces) => traces.missing.join("; "),
        other => panic!("{other:?}"),
    };
    let no_map = missing(&|facts| {
        agents(facts).conf_source =
            Some(ConfSource { config_map: "kube-system/cni-configuration".into(), ..ConfSource::default() });
    });
    assert_eq!(no_map, "configmap kube-system/cni-configuration, without which agents do not start");
    assert_eq!(missing(&|facts| agents(facts).agents[2].ready = false), "an agent that is ready on 1 of 3 nodes");
    assert_eq!(missing(&|facts| set(facts, "policy-audit-mode", "true")), "enforcement (Cilium only audits)");
    assert_eq!(missing(&|facts| set(facts, "enable-policy", "never")), "enforcement (Cilium only audits)");
}

#[test]
fn other_starts_are_told_apart() {
    let by_hand = told(|facts| agents(facts).conf_source = None);
    assert!(matches!(by_hand, Start::ChainedByHand(_)));
    assert_eq!(start::of(&settled()).unwrap(), Start::Settled);
    let ours = |change: &dyn Fn(&mut Facts)| {
        let mut facts = settled();
        change(&mut facts);
        start::of(&facts).unwrap()
    };
    for other in [
        ours(&|facts| set(facts, "write-cni-conf-when-ready", "/host/etc/cni/net.d/001-cilium.conflist")),
        ours(&|facts| set(facts, "read-cni-conf", "/tmp/cni-configuration/cni-config")),
        ours(&|facts| set(facts, "cni-chaining-target", "")),
    ] {
        assert!(matches!(other, Start::ChainedByHand(_)), "a file of that name is not ours: {other:?}");
    }
    let older = told(|facts| {
        known(&mut facts.cilium).node_configs = words(&["kube-system/theirs", "kube-system/ovncilium-chain"]);
        known(&mut facts.nodes).items[1].labels = BTreeMap::from([("ovncilium.io/chained".into(), "true".into())]);
    });
    let left = words(&["ciliumnodeconfig kube-system/ovncilium-chain", "label ovncilium.io/chained on w-1"]);
    assert_eq!(older, Start::OwnOlderRun { left });
    let Start::Foreign { why } = told(|facts| set(facts, "cni-chaining-mode", "none")) else { panic!("not foreign") };
    assert_eq!(why, "daemonset kube-system/cilium runs Cilium with cni-chaining-mode none, not behind Kube-OVN");
    let Start::Foreign { why } = told(|facts| known(&mut facts.cilium).installation = None) else {
        panic!("not foreign")
    };
    assert!(why.contains("CNI files on cp-1, w-1, w-2 name its plugin"), "{why}");
    let clean = told(|facts| {
        known(&mut facts.cilium).installation = None;
        facts.conflists = Subject::unknown("not read");
    });
    assert_eq!(clean, Start::Clean);
    let Err(NoPlan::Unknown { subject: "cilium", .. }) = start::of(&{
        let mut facts = guided();
        facts.cilium = Subject::unknown("forbidden");
        facts
    }) else {
        panic!("an unknown Cilium is no start")
    };
}

#[test]
fn a_migration_does_not_begin_where_something_is() {
    for facts in [guided(), half()] {
        let error = plan(&facts, &Choices::default()).unwrap_err();
        assert!(matches!(error, NoPlan::NotClean { .. }), "{error}");
        assert!(error.to_string().contains("daemonset kube-system/cilium"), "{error}");
    }
}

#[test]
fn what_is_chained_already_is_left_alone_and_told_when_it_has_drifted() {
    for choices in [Choices::default(), adopting()] {
        assert_eq!(plan(&settled(), &choices).unwrap_err(), NoPlan::AlreadyChained);
        let mut facts = settled();
        set(&mut facts, "cni-exclusive", "true");
        known(&mut facts.workloads).pods.push(pod("left"));
        let error = plan(&facts, &choices).unwrap_err();
        assert_eq!(error.to_string(), "no plan: every node is chained already, and this has drifted: settings");
        assert!(error.next_step().line().contains("verify"));
    }
}

// Taking over.

fn found() -> FoundRelease {
    FoundRelease {
        revision: 3,
        status: "deployed".into(),
        chart_version: "1.18.12".into(),
        values: json!({
            "cni": { "chainingMode": "generic-veth", "customConf": true, "configMap": "cni-configuration" },
            "routingMode": "native",
            "enableIPv4Masquerade": false,
            "image": { "useDigest": false },
        }),
    }
}

fn adopting() -> Choices {
    Choices { adopt: Some(Adopting { release: Some(found()), ..Adopting::default() }), ..Choices::default() }
}

fn has(plan: &Plan, part: &str) -> bool {
    order(plan).iter().any(|id| id.starts_with(part))
}

/// Why the whole guide is not taken over after a change.
fn refused(change: impl Fn(&mut Facts)) -> NoPlan {
    let mut facts = guided();
    change(&mut facts);
    plan(&facts, &adopting()).unwrap_err()
}

fn not_adoptable(change: impl Fn(&mut Facts)) -> NotAdoptable {
    match refused(change) {
        NoPlan::NotAdoptable(why) => why,
        other => panic!("{other}"),
    }
}

#[test]
fn half_of_the_guide_is_completed_in_the_order_that_keeps_policy() {
    let plan = plan(&half(), &adopting()).unwrap();
    assert_eq!(lint(&plan), vec![]);
    let adopted = plan.settings.adopted.clone().unwrap();
    assert_eq!((adopted.conf.as_str(), adopted.revision, adopted.enforces), ("05-cilium.conflist", 3, false));
    assert!(before(&plan, "claim/prove-conf", "take-over/set-release"));
    assert!(before(&plan, "take-over/set-release", "canary/label-node"));
    assert!(before(&plan, "canary-back/", "canary-again/"), "the way back is proven before the fleet goes");
    assert!(before(&plan, "cut-over/", "recycle/recycle"));
    assert!(before(&plan, "recycle/await-coverage", "enforce/review-drops"));
    assert!(before(&plan, "enforce/review-drops", "enforce/restart-agent"));
    assert!(before(&plan, "enforce/", "hand-over/set-controller-flags"));
    assert!(before(&plan, "settle/set-release", "settle/retire-found"), "nobody depends on the old file any more");
    assert!(before(&plan, "settle/retire-found", "settle/label-node"));
    assert!(!has(&plan, "take-over/set-controller-flags"), "Kube-OVN enforces still");
    assert!(before(&plan, "take-over/await-ovn-policy", "take-over/set-release"), "and that is proven");
    let staged = values(&plan.settings, ReleaseStage::Everywhere).unwrap();
    assert_eq!(staged["policyAuditMode"], true);
    assert_eq!(staged["updateStrategy"]["type"], "OnDelete");
    for stage in [ReleaseStage::Staged, ReleaseStage::Everywhere, ReleaseStage::Settled] {
        let operator = &values(&plan.settings, stage).unwrap()["operator"];
        assert_eq!(operator["rollOutPods"], true, "the operator that was there takes our settings");
        assert_eq!(operator["unmanagedPodWatcher"]["restart"], false);
    }
    assert_eq!(staged["affinity"].get("nodeAffinity"), None, "no agent is chased away");
    assert!(
        plan.consequences[0].starts_with("1 pods are made again"),
        "only those without endpoint: {:?}",
        plan.consequences
    );
}

#[test]
fn cilium_goes_on_enforcing_where_every_pod_is_known_to_it() {
    let plan = plan(&guided(), &adopting()).unwrap();
    assert_eq!(lint(&plan), vec![]);
    assert!(plan.settings.adopted.as_ref().unwrap().enforces);
    for stage in [ReleaseStage::Everywhere, ReleaseStage::Settled] {
        assert_eq!(values(&plan.settings, stage).unwrap()["policyAuditMode"], false);
    }
    // The way back audits before Kube-OVN enforces again, as always.
    assert_eq!(values(&plan.settings, ReleaseStage::Staged).unwrap()["policyAuditMode"], true);
    assert!(!has(&plan, "enforce/"), "it enforces already");
    assert!(!has(&plan, "take-over/set-controller-flags") && !has(&plan, "hand-over/set-controller-flags"));
    assert!(before(&plan, "canary/restart-agent", "settle/retire-found"));
    assert!(
        before(&plan, "claim/await-enforcement", "take-over/set-release"),
        "the agents are asked, not their settings"
    );
    for node in NODES {
        let part = if node == "w-1" { "canary" } else { "cut-over" };
        let (restart, asked) = (format!("{part}/restart-agent/{node}"), format!("{part}/await-enforcement/{node}"));
        assert!(before(&plan, &restart, &asked) && before(&plan, &asked, "settle/"));
    }
}

#[test]
fn a_pod_that_starts_or_ends_does_not_weaken_policy() {
    let enforces = |change: &dyn Fn(&mut Pod)| {
        let mut facts = guided();
        let mut late = pod("late");
        change(&mut late);
        known(&mut facts.workloads).pods.push(late);
        plan(&facts, &adopting()).unwrap().settings.adopted.unwrap().enforces
    };
    assert!(!enforces(&|_| {}), "it has an address, and Cilium does not know it");
    assert!(enforces(&|pod| {
        pod.phase = "Pending".into();
        pod.ips.clear();
    }));
    assert!(enforces(&|pod| pod.leaving = true));
}

#[test]
fn kube_ovn_enforces_again_while_pods_are_unknown_to_cilium() {
    let mut facts = half();
    let controller = &mut known(&mut facts.kube_ovn).installations[0].controller;
    controller.enable_np = false;
    controller.enable_lb = false;
    controller.flags_list = words(&["start.sh", "--enable-np=false", "--enable-lb", "false"]);
    let taken = plan(&facts, &adopting()).unwrap();
    assert_eq!(lint(&taken), vec![]);
    assert!(before(&taken, "take-over/set-controller-flags", "take-over/await-ovn-policy"));
    assert!(before(&taken, "take-over/await-ovn-policy", "take-over/set-release"));
    let flags = |id: &str| {
        let step = taken.steps().find(|(_, _, step)| step.id.as_str() == id).unwrap().2;
        match &step.action {
            Action::SetControllerFlags { flags } => flags.clone(),
            other => panic!("{other}"),
        }
    };
    let map = |value: &str| BTreeMap::from([("enable-np".to_owned(), value.to_owned())]);
    assert_eq!(flags("take-over/set-controller-flags"), map("true"));
    assert_eq!(flags("hand-over/set-controller-flags"), map("false"), "the load balancer is off already");
    assert!(taken.consequences.iter().any(|line| line.starts_with("kube-ovn-controller restarts twice")));
    let helm = Owner::Helm { release: "kube-ovn".into(), namespace: "kube-system".into() };
    known(&mut facts.kube_ovn).installations[0].owner = helm;
    let refused = plan(&facts, &adopting());
    assert!(
        matches!(refused, Err(NoPlan::NotAdoptable(NotAdoptable::Owned { .. }))),
        "its flags are not ours to set: {refused:?}"
    );
}

#[test]
fn the_owner_of_the_flags_turns_them_off_after_a_takeover() {
    let mut facts = half();
    let on = words(&["start.sh", "--enable-np=true", "--enable-lb=true"]);
    let installation = &mut known(&mut facts.kube_ovn).installations[0];
    installation.controller.enable_np = true;
    installation.controller.enable_lb = true;
    installation.controller.flags_list = on;
    installation.owner = Owner::External { by: "Flux".into(), object: "HelmRelease net/ovn".into() };
    let taken = plan(&facts, &adopting()).unwrap();
    assert_eq!(lint(&taken), vec![]);
    assert!(before(&taken, "hand-over/await-coverage", "hand-over/await-flags"));
    assert!(taken.consequences.iter().any(|line| line.starts_with("its flags wait for you")));
    assert!(!taken.steps().any(|(_, _, step)| matches!(step.action, Action::SetControllerFlags { .. })));
    let back = rollback(&facts, taken.settings, &[], vec![], now()).unwrap();
    assert!(!back.steps().any(|(_, _, step)| matches!(step.action, Action::SetControllerFlags { .. })));
}

#[test]
fn the_way_back_leads_to_kube_ovn_alone_and_says_so() {
    let taken = plan(&guided(), &adopting()).unwrap();
    assert!(taken.consequences.iter().any(|line| line.starts_with("a rollback leads to Kube-OVN alone")));
    // Killed right after the release was changed: no node has our file or a label of ours yet.
    let back = rollback(&guided(), taken.settings.clone(), &[], vec![], now()).unwrap();
    assert_eq!(lint(&back), vec![]);
    assert!(back.consequences[0].contains("taken over goes as well") && back.consequences[0].contains("revision 3"));
    assert!(before(&back, "hold/label-node", "hold/set-release"), "no agent is chased away by the affinity");
    assert!(before(&back, "hand-back/await-ovn-policy", "hold/"), "Kube-OVN enforces before Cilium audits again");
    assert!(before(&back, "hold-audit/", "go-back/"), "policy is OVN's alone before a node leaves the chain");
    for node in NODES {
        assert!(before(&back, &format!("go-back/retire-conf/{node}"), &format!("go-back/retire-found/{node}")));
        assert!(before(&back, &format!("go-back/retire-found/{node}"), &format!("go-back/prove-conf/{node}")));
    }
    let on = words(&["start.sh", "--enable-lb=true", "--enable-np=true"]);
    assert_eq!(back.settings.controller_flags_before, on, "Kube-OVN alone serves policy and services itself");
}

#[test]
fn values_of_the_release_are_kept_but_those_that_chained_it() {
    let settings = plan(&guided(), &adopting()).unwrap().settings;
    assert_eq!(own_values(&found(), &settings).unwrap(), json!({ "image": { "useDigest": false } }));
    let mut args = found();
    args.values["extraArgs"] = json!(["--policy-audit-mode=true"]);
    let error = own_values(&args, &settings).unwrap_err();
    assert!(
        matches!(&error, NotAdoptable::Values { source, .. } if source.to_string().contains("`extraArgs`")),
        "{error}"
    );
}

#[test]
fn the_pool_is_kept_where_it_is_free() {
    let pool = |facts: &Facts| plan(facts, &adopting()).unwrap().settings.cluster_pool;
    assert_eq!(pool(&guided()), ["10.0.0.0/8"]);
    let mut facts = guided();
    let range = addresses::Range { kind: "pod".into(), user: "subnet ovn-default".into(), cidr: "10.16.0.0/16".into() };
    known(&mut facts.addresses).ranges.push(range);
    assert_eq!(pool(&facts), ["100.65.0.0/16"]);
    let lines = plan(&facts, &adopting()).unwrap().consequences;
    assert!(lines.iter().any(|line| line.contains("10.0.0.0/8 becomes 100.65.0.0/16")), "{lines:?}");
}

#[test]
fn an_edited_plan_that_takes_over_is_refused() {
    let good = plan(&half(), &adopting()).unwrap();
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        lint(&plan).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let steps = |plan: &mut Plan, change: &dyn Fn(&mut Vec<Step>)| {
        let stages = plan.phases.iter_mut().flat_map(|phase| &mut phase.stages);
        stages.flat_map(|stage| &mut stage.lanes).for_each(|lane| change(&mut lane.steps));
    };
    let staged = broken(&|plan| {
        steps(plan, &|steps| {
            for step in steps.iter_mut().filter(|step| matches!(step.action, Action::SetRelease { .. })) {
                step.action = Action::SetRelease { stage: ReleaseStage::Staged };
            }
        });
    });
    assert!(staged.contains("agents would leave nodes that they chain"), "{staged}");
    let unchained = broken(&|plan| {
        steps(plan, &|steps| {
            steps.retain(|step| !matches!(&step.action, Action::LabelNode { labels } if labels.get(CHAINED_LABEL) == Some(&Some("true".into()))));
        });
    });
    assert!(unchained.contains("retired before it is known what is loaded then"), "{unchained}");
    let nothing = broken(&|plan| plan.settings.adopted = None);
    assert!(nothing.contains("nothing was found that chained before"), "{nothing}");
}

#[test]
fn nobody_is_believed_to_enforce() {
    let without = |facts: &Facts, action: &Action| {
        let mut plan = plan(facts, &adopting()).unwrap();
        let stages = plan.phases.iter_mut().flat_map(|phase| &mut phase.stages);
        stages.flat_map(|stage| &mut stage.lanes).for_each(|lane| lane.steps.retain(|step| step.action != *action));
        lint(&plan).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let unproven = without(&half(), &Action::AwaitOvnPolicy);
    assert!(unproven.contains("Cilium audits again before OVN enforces"), "{unproven}");
    let unasked = without(&guided(), &Action::AwaitEnforcement);
    assert!(unasked.contains("agents that were not asked are taken to enforce"), "{unasked}");
    let mut both = guided();
    let controller = &mut known(&mut both.kube_ovn).installations[0].controller;
    controller.enable_np = true;
    controller.flags_list = words(&["start.sh", "--enable-np=true", "--enable-lb=false"]);
    let taken = plan(&both, &adopting()).unwrap();
    assert_eq!(lint(&taken), vec![]);
    assert!(before(&taken, "cut-over/await-enforcement", "hand-over/set-controller-flags"));
    let early = without(&both, &Action::AwaitEnforcement);
    assert!(early.contains("network policy goes off before every node enforces"), "{early}");
}

#[test]
fn a_saved_plan_is_for_the_release_that_it_was_made_for() {
    let saved = plan(&guided(), &adopting()).unwrap();
    assert_eq!(superseded(&saved, &saved.clone()), None);
    let release = FoundRelease { revision: 4, ..found() };
    let choices =
        Choices { adopt: Some(Adopting { release: Some(release), ..Adopting::default() }), ..Choices::default() };
    let upgraded = plan(&guided(), &choices).unwrap();
    let told = superseded(&saved, &upgraded).unwrap().rule;
    assert_eq!(told, "release kube-system/cilium is at revision 4, not 3, for which the plan was made");
    let mut audits = guided();
    set(&mut audits, "policy-audit-mode", "true");
    let told = superseded(&saved, &plan(&audits, &adopting()).unwrap()).unwrap().rule;
    assert!(told.starts_with("Cilium does not enforce for every pod any more"), "{told}");
}

#[test]
fn what_changes_in_the_release_is_told() {
    let lines = |change: &dyn Fn(&mut Facts, &mut FoundRelease)| {
        let (mut facts, mut release) = (guided(), found());
        change(&mut facts, &mut release);
        let choices =
            Choices { adopt: Some(Adopting { release: Some(release), ..Adopting::default() }), ..Choices::default() };
        let told = plan(&facts, &choices).unwrap().consequences;
        told.into_iter().filter(|line| line.starts_with("settings of the release change")).collect::<Vec<_>>()
    };
    assert_eq!(lines(&|_, _| {}), [""; 0]);
    let given = lines(&|facts, release| {
        release.values["enableIPv4Masquerade"] = json!(true);
        release.values["devices"] = json!("eth+ ovn0 genev_sys_6081");
        set(facts, "enable-ipv4-masquerade", "true");
    });
    assert_eq!(given, ["settings of the release change: enableIPv4Masquerade true becomes false"]);
    let by_chart = lines(&|facts, _| set(facts, "enable-identity-mark", "true"));
    assert_eq!(by_chart, ["settings of the release change: enable-identity-mark true becomes false"]);
}

#[test]
fn what_cannot_be_taken_over_is_refused_with_the_exact_reason() {
    let release = |change: &dyn Fn(&mut FoundRelease)| {
        let mut found = found();
        change(&mut found);
        let choices =
            Choices { adopt: Some(Adopting { release: Some(found), ..Adopting::default() }), ..Choices::default() };
        match plan(&guided(), &choices).unwrap_err() {
            NoPlan::NotAdoptable(why) => why.to_string(),
            other => panic!("{other}"),
        }
    };
    assert_eq!(
        release(&|found| found.status = "pending-upgrade".into()),
        "Helm release kube-system/cilium cannot be taken over: its revision 3 is pending-upgrade, not deployed"
    );
    assert_eq!(
        release(&|found| found.chart_version = "1.15.5".into()),
        "Helm release kube-system/cilium cannot be taken over: chart cilium 1.15.5 is not one of 1.16 to 1.20"
    );
    assert_eq!(
        release(&|found| found.chart_version = "1.18.2".into()),
        "Helm release kube-system/cilium has chart cilium 1.18.2, and 1.18.12 was given: a takeover changes no version"
    );
    let none = Choices { adopt: Some(Adopting::default()), ..Choices::default() };
    for (facts, choices) in [
        (guided(), &none),
        (
            {
                let mut facts = guided();
                agents(&mut facts).release = None;
                facts
            },
            &adopting(),
        ),
    ] {
        let error = plan(&facts, choices).unwrap_err().to_string();
        assert_eq!(error, "no plan: daemonset kube-system/cilium cannot be taken over: it belongs to no Helm release");
    }
    let told = |change: &dyn Fn(&mut Facts)| not_adoptable(change).to_string();
    assert!(told(&|facts| set(facts, "cni-exclusive", "true")).contains("rename the CNI files of others"));
    assert!(told(&|facts| set(facts, "enable-policy", "never")).contains("enforce nothing"));
    let flux = told(&|facts| {
        agents(facts).owner = Owner::External { by: "Flux".into(), object: "HelmRelease net/cilium".into() };
    });
    assert_eq!(
        flux,
        "Helm release kube-system/cilium cannot be taken over: Flux makes it again (HelmRelease net/cilium)"
    );
    let elsewhere = told(&|facts| {
        agents(facts).owner = Owner::Helm { release: "cilium".into(), namespace: "ops".into() };
    });
    assert!(elsewhere.contains("its Helm release ops/cilium is in another namespace"), "{elsewhere}");
    let overlay = told(&|facts| set(facts, "routing-mode", "tunnel"));
    assert!(overlay.contains("its routing-mode is tunnel, and a run that goes node by node"), "{overlay}");
    let default = told(&|facts| drop(agents(facts).config.remove("routing-mode")));
    assert_eq!(default, overlay, "an agent that is told nothing tunnels");
    assert!(told(&|facts| set(facts, "ipam", "kubernetes")).contains("its ipam is kubernetes"));
    let theirs = |configs: &'static [&'static str]| {
        move |facts: &mut Facts| known(&mut facts.cilium).node_configs = words(configs)
    };
    let beside = told(&theirs(&["kube-system/audit"]));
    assert!(beside.contains("settings from ciliumnodeconfig kube-system/audit"), "{beside}");
    let mut elsewhere = guided();
    theirs(&["other/audit"])(&mut elsewhere);
    assert!(plan(&elsewhere, &adopting()).is_ok(), "agents do not read those of other namespaces");
    let nothing = told(&|facts| {
        known(&mut facts.cilium).installation = None;
        known(&mut facts.conflists).nodes.clear();
    });
    assert_eq!(nothing, "there is nothing to take over: no Cilium is here");
}

#[test]
fn a_changed_network_name_is_refused_where_host_ports_would_leak() {
    let renamed = |host_port: bool, node: &'static str| {
        move |facts: &mut Facts| {
            for dir in &mut known(&mut facts.conflists).nodes {
                dir.files[0] = conf("05-cilium.conflist", "generic-veth", &["kube-ovn", "portmap", "cilium-cni"]);
            }
            let mut ingress = Pod { host_port, node: node.into(), ..pod("ingress") };
            ingress.ips = words(&["10.16.0.12"]);
            known(&mut facts.workloads).pods.push(ingress);
            let ips = words(&["10.16.0.12"]);
            let endpoint = Endpoint { namespace: "shop".into(), name: "ingress".into(), ips, ..Endpoint::default() };
            known(&mut facts.cilium).endpoints.push(endpoint);
        }
    };
    let why = not_adoptable(renamed(true, "w-1"));
    assert_eq!(why, NotAdoptable::HostPorts { network: "generic-veth".into(), pods: words(&["shop/ingress"]) });
    assert!(why.next_step().line().contains("scale"), "{}", why.next_step().line());
    let mut harmless = guided();
    renamed(false, "w-1")(&mut harmless);
    assert!(plan(&harmless, &adopting()).is_ok(), "without hostPort no rule bears the name");
    // One without endpoint may have lost it. Where no chained file is, its rules are under the name that comes back.
    let without_endpoint = not_adoptable(|facts| {
        renamed(true, "w-1")(facts);
        known(&mut facts.cilium).endpoints.pop();
    });
    assert!(matches!(without_endpoint, NotAdoptable::HostPorts { .. }), "{without_endpoint}");
    let mut unchained = guided();
    renamed(true, "w-2")(&mut unchained);
    known(&mut unchained.conflists).nodes[2].files.remove(0);
    assert!(plan(&unchained, &adopting()).is_ok());
}

#[test]
fn nodes_are_read_and_alike_or_nothing_is_taken_over() {
    let unread = refused(|facts| facts.conflists = Subject::unknown("node facts were not read (--nodes)"));
    assert!(matches!(unread, NoPlan::Unknown { subject: "conflists", .. }), "{unread}");
    let silent = not_adoptable(|facts| {
        let conflists = known(&mut facts.conflists);
        conflists.nodes.pop();
        conflists.silent.push(SilentNode { node: "w-2".into(), reason: "no answer within 75 seconds".into() });
    });
    assert_eq!(silent.to_string(), "the CNI directory of w-2 is not known: no answer within 75 seconds");
    let cut_off = not_adoptable(|facts| known(&mut facts.conflists).nodes[1].files[0].plugins.clear());
    assert_eq!(
        cut_off.to_string(),
        "the CNI directory of w-1 is not known: the plugins of 05-cilium.conflist were not told"
    );
    let multus = not_adoptable(|facts| {
        known(&mut facts.conflists).nodes[2]
            .files
            .insert(0, conf("00-net.conf", "multus-cni-network", &["multus-shim"]));
    });
    assert_eq!(multus, NotAdoptable::Multus { nodes: words(&["w-2"]) });
    let differ = not_adoptable(|facts| {
        known(&mut facts.conflists).nodes[2].files[0] =
            conf("05-cilium.conflist", "generic-veth", &["kube-ovn", "portmap", "cilium-cni"]);
    });
    let text = differ.to_string();
    assert!(text.contains("cp-1 has 05-cilium.conflist (network kube-ovn") && text.contains("w-2 has"), "{text}");
    let other_plugins = not_adoptable(|facts| {
        for dir in &mut known(&mut facts.conflists).nodes {
            dir.files[1] = conf("10-kube-ovn.conflist", "kube-ovn", &["kube-ovn", "portmap", "bandwidth"]);
        }
    });
    assert_eq!(
        other_plugins.to_string(),
        "05-cilium.conflist chains kube-ovn, portmap, and 10-kube-ovn.conflist of Kube-OVN on cp-1 has kube-ovn, portmap, bandwidth"
    );
    let no_way_back = not_adoptable(|facts| {
        known(&mut facts.conflists).nodes[1].files.pop();
    });
    assert_eq!(no_way_back, NotAdoptable::NoPlainFile { nodes: words(&["w-1"]) });
}

// What must stay true afterwards.

/// The cluster after a takeover or a migration.
fn settled() -> Facts {
    let mut facts = guided();
    let chained = [
        ("cni-chaining-target", "kube-ovn"),
        ("enable-ipv4-masquerade", "false"),
        ("enable-ipv6-masquerade", "false"),
        ("enable-identity-mark", "false"),
        ("policy-audit-mode", "false"),
        ("unmanaged-pod-watcher-interval", "0"),
        ("set-cilium-node-taints", "true"),
        ("devices", "eth+ ovn0 genev_sys_6081"),
        ("write-cni-conf-when-ready", "/host/etc/cni/net.d/01-cilium.conflist"),
    ];
    for (key, value) in chained {
        set(&mut facts, key, value);
    }
    agents(&mut facts).config.remove("read-cni-conf");
    agents(&mut facts).conf_source = None;
    for dir in &mut known(&mut facts.conflists).nodes {
        dir.files = vec![
            conf("01-cilium.conflist", "kube-ovn", &["kube-ovn", "portmap", "cilium-cni"]),
            plain("10-kube-ovn.conflist"),
        ];
    }
    facts
}

fn provider(kind: &str, desired: u32) -> Provider {
    let object = format!("daemonset kube-system/{kind}");
    Provider { kind: kind.into(), object, desired, ready: desired, ..Provider::default() }
}

/// Ids of what has drifted after a change, with what is told of it.
fn drifted(change: impl Fn(&mut Facts)) -> (ExitCode, Vec<(&'static str, String)>) {
    let mut facts = settled();
    change(&mut facts);
    let held = drift::held(&facts, &[]);
    let wrong = held.iter().filter(|one| one.standing == Standing::Drifted);
    (drift::exit_code(&held), wrong.map(|one| (one.id, one.told.join("; "))).collect())
}

#[test]
fn nothing_has_drifted_after_a_takeover() {
    assert_eq!(drifted(|_| {}), (ExitCode::Done, Vec::new()));
    let unread = |why: &'static str| drifted(move |facts| facts.conflists = Subject::unknown(why));
    assert_eq!(unread(NODES_NOT_READ), (ExitCode::Done, Vec::new()), "nodes are read on request");
    let report = |change: &dyn Fn(&mut Facts)| {
        let mut facts = settled();
        change(&mut facts);
        VerifyReport::new(&facts, &[]).text(&Plain)
    };
    assert!(report(&|_| {}).ends_with("nothing has drifted\n"));
    let partly = report(&|facts| facts.conflists = Subject::unknown(NODES_NOT_READ));
    assert!(partly.ends_with("as far as it was looked; `--nodes` looks at the nodes\n"), "{partly}");
    let open = (ExitCode::CouldNotJudge, Vec::new());
    assert_eq!(unread("pods is forbidden"), open, "who was asked and got no answer does not know");
    assert_eq!(drifted(|facts| known(&mut facts.conflists).nodes.clear()), open);
    assert_eq!(drifted(|facts| drop(known(&mut facts.conflists).nodes.pop())), open);
    assert_eq!(drifted(|facts| known(&mut facts.conflists).nodes[1].files[0].plugins.clear()), open);
    assert_eq!(drifted(|facts| facts.services = Subject::unknown("forbidden")), open);
    assert_eq!(drifted(|facts| facts.nodes = Subject::unknown("forbidden")), open);
    let theirs = |facts: &mut Facts| known(&mut facts.cilium).node_configs = words(&["kube-system/theirs"]);
    assert_eq!(drifted(theirs), open, "what they say is not a fact");
    let starting = |facts: &mut Facts| {
        known(&mut facts.workloads).pods.push(Pod { phase: "Pending".into(), ips: Vec::new(), ..pod("starting") });
        known(&mut facts.workloads).pods.push(Pod { leaving: true, ..pod("ending") });
    };
    assert_eq!(drifted(starting), (ExitCode::Done, Vec::new()));
    let unknown = drifted(|facts| facts.workloads = Subject::unknown("forbidden"));
    assert_eq!(unknown, (ExitCode::CouldNotJudge, Vec::new()), "unknown never holds");
}

#[test]
fn what_somebody_changed_afterwards_is_told() {
    let one = |change: &dyn Fn(&mut Facts)| match drifted(change) {
        (ExitCode::ChangesPending, wrong) if wrong.len() == 1 => wrong[0].clone(),
        other => panic!("{other:?}"),
    };
    let overlay = one(&|facts| set(facts, "routing-mode", "tunnel"));
    assert_eq!(overlay, ("settings", "routing-mode is tunnel, not native".into()));
    let exclusive = one(&|facts| set(facts, "cni-exclusive", "true"));
    assert_eq!(exclusive, ("settings", "cni-exclusive is true".into()));
    assert_eq!(one(&|facts| set(facts, "policy-audit-mode", "true")).0, "settings");
    assert_eq!(one(&|facts| set(facts, "unmanaged-pod-watcher-interval", "15s")).0, "settings");
    let agent = one(&|facts| agents(facts).agents[1].ready = false);
    assert_eq!(agent, ("agents", "none is ready on w-1".into()));
    let flag = one(&|facts| known(&mut facts.kube_ovn).installations[0].controller.enable_np = true);
    assert_eq!(flag, ("hand-over", "--enable-np is on again".into()));
    let devices = one(&|facts| set(facts, "devices", "eth+ ovn0"));
    assert_eq!(devices, ("settings", "devices is eth+ ovn0, without genev_sys_6081".into()));
    assert_eq!(one(&|facts| set(facts, "set-cilium-node-taints", "false")).0, "settings");
    let gone = one(&|facts| known(&mut facts.services).providers.clear());
    assert_eq!(gone, ("services", "there is neither kube-proxy nor a Cilium in its place".into()));
    let behind = one(&|facts| known(&mut facts.services).providers[0].ready = 2);
    assert_eq!(behind, ("services", "daemonset kube-system/kube-proxy is ready on 2 of 3 nodes".into()));
    let pod = one(&|facts| known(&mut facts.workloads).pods.push(pod("late")));
    assert_eq!(pod, ("endpoints", "1 pods have none: shop/late".into()));
    let file = one(&|facts| {
        known(&mut facts.conflists).nodes[2].files.remove(0);
    });
    assert_eq!(file, ("nodes", "w-2 loads 10-kube-ovn.conflist (network kube-ovn)".into()));
    let multus = |facts: &mut Facts| {
        for dir in &mut known(&mut facts.conflists).nodes {
            dir.files.insert(0, conf("00-multus.conf", "multus-cni-network", &["multus"]));
        }
    };
    assert_eq!(drifted(multus), (ExitCode::CouldNotJudge, Vec::new()), "what it calls is not told");
    let calling = |told: &'static str| {
        drifted(move |facts| {
            multus(facts);
            let one = Calls { object: "daemonset kube-system/multus".into(), told: words(&[told]) };
            facts.multus = Subject::known(Multus { installations: vec![one] }, now());
        })
    };
    let ours = ["clusterNetwork=/host/etc/cni/net.d/01-cilium.conflist", "delegates=kube-ovn+portmap+cilium-cni"];
    for told in ours {
        assert_eq!(calling(told), (ExitCode::Done, Vec::new()), "{told}");
    }
    assert_eq!(calling("delegates=kube-ovn+portmap").0, ExitCode::CouldNotJudge);
    let behind_multus = one(&|facts| {
        multus(facts);
        known(&mut facts.conflists).nodes[2].files.remove(1);
    });
    assert_eq!(behind_multus, ("nodes", "w-2 loads 10-kube-ovn.conflist (network kube-ovn)".into()));
    let aside = one(&|facts| {
        known(&mut facts.conflists).nodes[0].files.push(plain("00-multus.conf.cilium_bak"));
    });
    assert_eq!(aside, ("nodes", "cp-1 has 00-multus.conf.cilium_bak, set aside by Cilium".into()));
    let both = one(&|facts| known(&mut facts.services).providers.push(provider("cilium", 3)));
    let words = "daemonset kube-system/kube-proxy and daemonset kube-system/cilium both serve";
    assert_eq!(both, ("kube-proxy", words.into()), "kube-proxy is back beside its replacement");
    let replaced = drifted(|facts| {
        known(&mut facts.services).providers = vec![provider("kube-proxy", 0), provider("cilium", 3)];
    });
    assert_eq!(replaced, (ExitCode::Done, Vec::new()), "a DaemonSet that fits no node serves nothing");
    let gone = drifted(|facts| known(&mut facts.cilium).installation = None);
    assert!(gone.1.iter().any(|(id, _)| *id == "release") && gone.0 == ExitCode::ChangesPending, "{gone:?}");
}
