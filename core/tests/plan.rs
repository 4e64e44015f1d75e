//! Stories of the planners: facts in, plan or refusal out.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod order;

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_core::Digest;
use ovncilium_core::facts::kube_ovn::{CniDaemon, ConfWriter, Controller, Installation, KubeOvn, Owner};
use ovncilium_core::facts::nodes::{Node, Nodes};
use ovncilium_core::facts::workloads::{Pod, Workloads};
use ovncilium_core::facts::{Facts, Source, Subject, addresses, cilium};
use ovncilium_core::plan::action::{CHAINED_LABEL, Chain, Moment};
use ovncilium_core::plan::lint::{lint, stale};
use ovncilium_core::plan::migrate::{Choices, NoPlan, migrate};
use ovncilium_core::plan::rollback::rollback;
use ovncilium_core::plan::start::Start;
use ovncilium_core::plan::{Action, ChartRef, Kind, ObjectRef, Plan};

use order::before;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn chart(version: &str) -> ChartRef {
    ChartRef {
        location: "cilium.tgz".into(),
        name: "cilium".into(),
        version: version.into(),
        digest: Digest::of("chart"),
    }
}

fn node(name: &str, control_plane: bool) -> Node {
    Node { name: name.into(), uid: format!("uid-{name}"), ready: true, control_plane, ..Node::default() }
}

fn pod(name: &str, owner: &str) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        node: "w-1".into(),
        phase: "Running".into(),
        ips: vec!["10.16.0.9".into()],
        owner_kind: owner.into(),
        ..Pod::default()
    }
}

fn facts() -> Facts {
    let source = Source::Live { server: "https://x".into(), context: None, cluster: "cluster-uid".into() };
    let mut facts = Facts::unknown(source, now(), "not read");
    let flags_list: Vec<String> =
        ["start.sh", "--enable-lb=true", "--enable-np=true"].into_iter().map(str::to_owned).collect();
    let installation = Installation {
        namespace: "kube-system".into(),
        owner: Owner::Manifest,
        controller: Controller {
            name: "kube-ovn-controller".into(),
            container_name: "kube-ovn-controller".into(),
            flags_in: "args".into(),
            flags_list,
            enable_lb: true,
            enable_np: true,
            ..Controller::default()
        },
        cni: CniDaemon {
            name: "kube-ovn-cni".into(),
            image: "kube-ovn:v1.14.41".into(),
            conf_dir: "/etc/cni/net.d".into(),
            conf_name: "01-kube-ovn.conflist".into(),
            writer: ConfWriter::InstallCni,
            network_type: "geneve".into(),
            ..CniDaemon::default()
        },
        ..Installation::default()
    };
    facts.kube_ovn = Subject::known(KubeOvn { installations: vec![installation] }, now());
    facts.networks = Subject::known(ovncilium_core::facts::networks::Networks::default(), now());
    facts.nodes = Subject::known(
        Nodes { items: vec![node("cp-1", true), node("w-1", false), node("w-2", false), node("w-3", false)] },
        now(),
    );
    facts.cilium = Subject::known(cilium::Cilium::default(), now());
    facts.addresses = Subject::known(addresses::Addresses::default(), now());
    facts.workloads =
        Subject::known(Workloads { pods: vec![pod("web-1", "ReplicaSet")], ..Workloads::default() }, now());
    facts
}

fn plan(facts: &Facts, choices: &Choices) -> Result<Plan, NoPlan> {
    let objects = [ObjectRef::guess("apps/v1", "DaemonSet", "kube-system", "cilium")];
    migrate(facts, &chart("1.18.12"), &objects, choices, vec![], now())
}

#[test]
fn a_migration_keeps_the_order_that_keeps_traffic() {
    let plan = plan(&facts(), &Choices::default()).unwrap();
    assert_eq!(lint(&plan), vec![]);
    assert!(
        before(&plan, "claim/prove-conf", "install/set-release"),
        "every node is looked at before anything is installed"
    );
    assert!(before(&plan, "install/set-release", "canary/label-node"));
    assert!(before(&plan, "canary-back/", "canary-again/"), "the way back is proven before the fleet goes");
    assert!(before(&plan, "canary-again/", "cut-over/"));
    assert!(before(&plan, "cut-over/", "recycle/recycle"));
    assert!(before(&plan, "recycle/", "enforce/"));
    assert!(before(&plan, "recycle/await-coverage", "hand-over/set-controller-flags"));
    assert!(before(&plan, "hand-over/", "settle/set-release"));
    let last_node = plan.nodes.last().unwrap();
    assert!(last_node.control_plane, "control plane last");
    assert_eq!(plan.settings.cluster_pool, ["100.65.0.0/16"]);
}

#[test]
fn planning_twice_gives_the_same_plan() {
    let (one, two) = (plan(&facts(), &Choices::default()).unwrap(), plan(&facts(), &Choices::default()).unwrap());
    assert_eq!(one.digest().unwrap(), two.digest().unwrap());
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), one);
}

#[test]
fn a_plan_is_stale_when_what_it_relies_on_has_changed() {
    let plan = plan(&facts(), &Choices::default()).unwrap();
    assert_eq!(stale(&plan, &facts()), vec![]);
    let mut changed = facts();
    let mut kube_ovn = changed.kube_ovn.value.known().unwrap().clone();
    kube_ovn.installations[0].controller.flags_list.push("--gc-interval=5".into());
    changed.kube_ovn = Subject::known(kube_ovn, now());
    let text = stale(&plan, &changed).iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("hand-over/set-controller-flags") && text.contains("were changed since"), "{text}");
    let mut again = facts();
    let mut nodes = again.nodes.value.known().unwrap().clone();
    nodes.items[2].uid = "another".into();
    again.nodes = Subject::known(nodes, now());
    assert!(stale(&plan, &again).iter().all(|broken| broken.rule == "node w-2 was made again since"));
    assert!(!stale(&plan, &again).is_empty());
}

#[test]
fn every_write_of_a_step_is_announced() {
    let plan = plan(&facts(), &Choices::default()).unwrap();
    let covered =
        |verb, resource, namespace, name| plan.writes.iter().any(|w| w.covers(verb, resource, namespace, name));
    assert!(covered("patch", "nodes", "", "w-2"));
    assert!(covered("patch", "deployments.apps", "kube-system", "kube-ovn-controller"));
    assert!(covered("evict", "pods", "shop", "web-1"));
    assert!(covered("create", "secrets", "kube-system", "sh.helm.release.v1.cilium.v3"));
    assert!(covered("patch", "daemonsets.apps", "kube-system", "cilium"));
    assert!(!covered("delete", "pods", "shop", "web-1"));
    assert!(!covered("patch", "daemonsets.apps", "kube-system", "kube-ovn-cni"));
    assert!(!covered("delete", "customresourcedefinitions.apiextensions.k8s.io", "", "ciliumnodes.cilium.io"));
}

#[test]
fn nothing_is_planned_from_what_is_unknown_or_not_ours() {
    let refused = |change: &dyn Fn(&mut Facts)| {
        let mut facts = facts();
        change(&mut facts);
        plan(&facts, &Choices::default()).unwrap_err()
    };
    assert!(matches!(refused(&|f| f.nodes = Subject::unknown("forbidden")), NoPlan::Unknown { subject: "nodes", .. }));
    assert!(matches!(refused(&|f| f.workloads = Subject::unknown("x")), NoPlan::Unknown { subject: "workloads", .. }));
    let with = |facts: &mut Facts, change: &dyn Fn(&mut KubeOvn)| {
        let mut known = facts.kube_ovn.value.known().unwrap().clone();
        change(&mut known);
        facts.kube_ovn = Subject::known(known, now());
    };
    assert!(matches!(refused(&|f| with(f, &|k| k.installations.clear())), NoPlan::KubeOvn(_)));
    let helm = Owner::Helm { release: "kube-ovn".into(), namespace: "kube-system".into() };
    let unread = refused(&|f| with(f, &|k| k.installations[0].owner = helm.clone()));
    assert!(
        matches!(&unread, NoPlan::Unknown { subject: "kube-ovn", reason } if reason.contains("kube-system/kube-ovn"))
    );
    let not_ready = |f: &mut Facts| {
        let mut nodes = f.nodes.value.known().unwrap().clone();
        nodes.items[1].ready = false;
        f.nodes = Subject::known(nodes, now());
    };
    assert_eq!(refused(&not_ready), NoPlan::NodesNotReady { nodes: vec!["w-1".into()] });
    let present = |f: &mut Facts| {
        let installation = Some(cilium::Installation { daemonset: "cilium".into(), ..cilium::Installation::default() });
        f.cilium = Subject::known(cilium::Cilium { installation, ..cilium::Cilium::default() }, now());
    };
    assert!(matches!(refused(&present), NoPlan::NotClean { start: Start::Foreign { .. } }));
}

#[test]
fn a_pod_that_nobody_makes_again_must_be_named() {
    let mut facts = facts();
    facts.workloads = Subject::known(Workloads { pods: vec![pod("bare", "")], ..Workloads::default() }, now());
    let error = plan(&facts, &Choices::default()).unwrap_err();
    assert_eq!(error, NoPlan::PodsWithoutOwner { pods: vec!["shop/bare".into()] });
    assert!(error.next_step().line().contains("--leave shop/bare"), "{}", error.next_step().line());
    let choices = Choices { leave: vec!["shop/bare".into()], ..Choices::default() };
    let plan = plan(&facts, &choices).unwrap();
    assert!(plan.consequences.iter().any(|line| line.contains("1 pods stay without endpoint")));
}

#[test]
fn static_pods_are_named_where_the_version_forgets_them() {
    let mut facts = facts();
    let host = Pod { host_network: true, ..pod("etcd-n1", "Node") };
    let pods = vec![pod("door-n1", "Node"), host, pod("web-1", "ReplicaSet")];
    facts.workloads = Subject::known(Workloads { pods, ..Workloads::default() }, now());
    let choices = Choices { leave: vec!["shop/door-n1".into(), "shop/etcd-n1".into()], ..Choices::default() };
    for (version, told) in [("1.18.8", true), ("1.18.9", false), ("1.19.2", true), ("1.19.3", false), ("1.20.0", false)]
    {
        let plan = migrate(&facts, &chart(version), &[], &choices, vec![], now()).unwrap();
        let named =
            plan.consequences.iter().any(|line| line.contains("cilium#45016") && line.ends_with(": shop/door-n1"));
        assert_eq!(named, told, "{version}: {:?}", plan.consequences);
    }
}

#[test]
fn what_only_its_operator_restarts_is_named_and_not_refused() {
    let mut facts = facts();
    let waiting = Pod { on_delete: true, owner_name: "agent".into(), ..pod("agent-x", "DaemonSet") };
    facts.workloads = Subject::known(Workloads { pods: vec![waiting], ..Workloads::default() }, now());
    let plan = plan(&facts, &Choices::default()).unwrap();
    assert_eq!(plan.settings.on_delete, ["DaemonSet shop/agent"]);
    assert!(plan.consequences.iter().any(|line| line.contains("OnDelete") && line.ends_with("shop/agent-x")));
    assert!(plan.consequences[0].starts_with("0 pods are made again"), "{}", plan.consequences[0]);
}

#[test]
fn without_the_update_strategies_there_is_no_plan() {
    let mut facts = facts();
    let reason = Some("statefulsets could not be read: forbidden".to_owned());
    facts.workloads = Subject::known(Workloads { strategies_unknown: reason, ..Workloads::default() }, now());
    let error = plan(&facts, &Choices::default()).unwrap_err();
    assert_eq!(error.to_string(), "no plan: workloads is unknown: statefulsets could not be read: forbidden");
}

#[test]
fn own_addresses_avoid_every_range_in_use() {
    let mut facts = facts();
    let range = addresses::Range { kind: "pod".into(), user: "subnet x".into(), cidr: "100.64.0.0/15".into() };
    facts.addresses = Subject::known(addresses::Addresses { ranges: vec![range] }, now());
    assert_eq!(plan(&facts, &Choices::default()).unwrap().settings.cluster_pool, ["100.66.0.0/16"]);
}

#[test]
fn charts_that_cannot_chain_beside_are_refused() {
    for version in ["1.13.4", "1.15.5", "1.21.0", "nonsense"] {
        let result = migrate(&facts(), &chart(version), &[], &Choices::default(), vec![], now());
        assert!(matches!(result, Err(NoPlan::Chart(_))), "{version}");
    }
}

/// A cluster that was migrated, with these flags of kube-ovn-controller.
fn migrated(flags: &[&str]) -> Facts {
    let mut after = facts();
    let config =
        BTreeMap::from([("write-cni-conf-when-ready".into(), "/host/etc/cni/net.d/01-cilium.conflist".into())]);
    let installation = Some(cilium::Installation { config, ..cilium::Installation::default() });
    after.cilium = Subject::known(cilium::Cilium { installation, ..cilium::Cilium::default() }, now());
    let mut kube_ovn = after.kube_ovn.value.known().unwrap().clone();
    kube_ovn.installations[0].controller.flags_list = flags.iter().map(|flag| (*flag).to_owned()).collect();
    after.kube_ovn = Subject::known(kube_ovn, now());
    after
}

#[test]
fn what_was_off_before_a_migration_is_neither_handed_over_nor_handed_back() {
    let mut off = facts();
    let mut kube_ovn = off.kube_ovn.value.known().unwrap().clone();
    let controller = &mut kube_ovn.installations[0].controller;
    controller.enable_lb = false;
    controller.flags_list = vec!["start.sh".into(), "--enable-lb=false".into(), "--enable-np=true".into()];
    off.kube_ovn = Subject::known(kube_ovn, now());
    let migration = plan(&off, &Choices::default()).unwrap();
    assert_eq!(lint(&migration), vec![]);
    assert!(!migration.steps().any(|(_, _, step)| matches!(step.action, Action::ProbeServices { .. })));
    let after = migrated(&["start.sh", "--enable-lb=false", "--enable-np=false"]);
    let back = rollback(&after, migration.settings, &[], vec![], now()).unwrap();
    assert_eq!(lint(&back), vec![], "the load balancer stays off, as it was");
}

#[test]
fn a_rollback_takes_the_file_before_the_agent_and_the_agent_last() {
    let migration = plan(&facts(), &Choices::default()).unwrap();
    let after = migrated(&["start.sh", "--enable-lb=false", "--enable-np=false"]);
    let plan = rollback(&after, migration.settings, &[], vec![], now()).unwrap();
    assert_eq!(plan.kind, Kind::Rollback);
    assert_eq!(lint(&plan), vec![]);
    assert!(before(&plan, "hold/label-node", "hold/set-release"), "no agent is chased away by the affinity");
    assert!(before(&plan, "hand-back/await-ovn-policy", "hold"), "OVN enforces before Cilium audits again");
    assert!(before(&plan, "hold-audit/", "go-back/"), "policy is OVN's alone before a node leaves the chain");
    assert!(before(&plan, "go-back/", "recycle/"));
    assert!(before(&plan, "recycle/", "remove/label-node"), "pods are recycled while the agent runs");
    assert!(before(&plan, "remove/clean-datapath", "remove/remove-release"));
    assert!(before(&plan, "remove/remove-release", "verify/remove-taint"), "the operator that taints is gone first");
    let mut hasty = plan.clone();
    hasty.phases.swap(1, 2);
    let said = lint(&hasty).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(said.contains("hold/set-release`: Cilium audits again before OVN enforces"), "{said}");
    assert!(said.contains("hold-audit/label-node"), "{said}");
    for wave in plan.phases.iter().flat_map(|phase| &phase.stages).filter(|stage| stage.title.starts_with("wave")) {
        for lane in &wave.lanes {
            let actions: Vec<_> = lane.steps.iter().map(|step| step.action.name()).collect();
            if let Some(retire) = actions.iter().position(|name| *name == "retire-conf") {
                assert_eq!(actions[retire - 1], "label-node");
                assert_eq!(lane.steps[retire + 1].action, Action::ProveConf { chain: Chain::Plain });
            }
        }
    }
}

/// Take every step with this action out.
fn without(plan: &mut Plan, action: &Action) {
    for lane in plan.phases.iter_mut().flat_map(|phase| &mut phase.stages).flat_map(|stage| &mut stage.lanes) {
        lane.steps.retain(|step| &step.action != action);
    }
}

#[test]
fn an_edited_plan_is_refused() {
    let good = plan(&facts(), &Choices::default()).unwrap();
    let broken = |change: &dyn Fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        lint(&plan).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let without_coverage = broken(&|plan| {
        without(plan, &Action::AwaitCoverage);
    });
    assert!(
        without_coverage.contains("network policy goes off before every pod has its endpoint"),
        "{without_coverage}"
    );
    assert!(without_coverage.contains("a node enforces before every pod has its endpoint"), "{without_coverage}");
    for (moment, rule) in [
        (Moment::Before, "Kube-OVN's load balancer goes off before every node has asked Services"),
        (Moment::After, "nobody asks Services on w-1 once Kube-OVN serves them no more"),
    ] {
        let unasked = broken(&|plan| without(plan, &Action::ProbeServices { moment }));
        assert!(unasked.contains(rule), "{unasked}");
    }
    let without_install = broken(&|plan| plan.phases[1].stages.clear());
    assert!(without_install.contains("a node is chained before audit mode is set"), "{without_install}");
    let without_label = broken(&|plan| {
        for stage in &mut plan.phases[2].stages {
            for lane in &mut stage.lanes {
                lane.steps.retain(|step| {
                    !matches!(&step.action, Action::LabelNode { labels } if labels.get(CHAINED_LABEL) == Some(&None))
                });
            }
        }
    });
    assert!(without_label.contains("a file is retired while the label would write it again"), "{without_label}");
    let without_review = broken(&|plan| {
        without(plan, &Action::ReviewDrops);
    });
    assert!(without_review.contains("a node enforces before what it would drop was reviewed"), "{without_review}");
    let without_enforcement = broken(&|plan| without(plan, &Action::AwaitEnforcement));
    assert!(
        without_enforcement.contains("network policy goes off before every endpoint enforces"),
        "{without_enforcement}"
    );
    assert!(broken(&|plan| plan.schema = 99).contains("schema 99"));
}
