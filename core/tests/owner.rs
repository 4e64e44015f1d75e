//! Who changes the flags of kube-ovn-controller: facts in, plan or refusal out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_core::Digest;
use ovncilium_core::facts::kube_ovn::{CniDaemon, Controller, Installation, KubeOvn, Owner};
use ovncilium_core::facts::nodes::{Node, Nodes};
use ovncilium_core::facts::release::{Release, Switch};
use ovncilium_core::facts::workloads::Workloads;
use ovncilium_core::facts::{Facts, Known, Source, Subject, addresses, cilium, networks};
use ovncilium_core::plan::lint::lint;
use ovncilium_core::plan::migrate::{Choices, NoPlan, migrate};
use ovncilium_core::plan::rollback::rollback;
use ovncilium_core::plan::{Action, ChartRef, Driver, ObjectRef, Plan};
use serde_json::json;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn release() -> Release {
    let switch = |key: &str| Switch { key: key.into(), given: None };
    Release {
        revision: 4,
        status: "deployed".into(),
        chart: "kube-ovn".into(),
        chart_version: "v1.14.41".into(),
        network_policy: switch("func.ENABLE_NP"),
        load_balancer: Switch { given: Some(json!(true)), ..switch("func.ENABLE_LB") },
        objects: vec![ObjectRef::guess("apps/v1", "DaemonSet", "kube-system", "ovs-ovn")],
        also_changes: Vec::new(),
    }
}

fn helm() -> Owner {
    Owner::Helm { release: "ovn".into(), namespace: "net".into() }
}

fn flux() -> Owner {
    Owner::External { by: "Flux".into(), object: "HelmRelease net/ovn".into() }
}

fn facts(owner: Owner, release: Option<Known<Release>>) -> Facts {
    let mut facts = Facts::unknown(Source::Offline, now(), "not read");
    let installation = Installation {
        namespace: "kube-system".into(),
        owner,
        release,
        controller: Controller {
            name: "kube-ovn-controller".into(),
            container_name: "kube-ovn-controller".into(),
            flags_in: "args".into(),
            flags_list: ["--enable-lb=true", "--enable-np=true"].map(str::to_owned).to_vec(),
            enable_lb: true,
            enable_np: true,
            ..Controller::default()
        },
        cni: CniDaemon { conf_dir: "/etc/cni/net.d".into(), network_type: "geneve".into(), ..CniDaemon::default() },
        ..Installation::default()
    };
    facts.kube_ovn = Subject::known(KubeOvn { installations: vec![installation] }, now());
    facts.networks = Subject::known(networks::Networks::default(), now());
    let node = Node { name: "w-1".into(), uid: "u".into(), ready: true, ..Node::default() };
    facts.nodes = Subject::known(Nodes { items: vec![node] }, now());
    facts.cilium = Subject::known(cilium::Cilium::default(), now());
    facts.addresses = Subject::known(addresses::Addresses::default(), now());
    facts.workloads = Subject::known(Workloads::default(), now());
    facts
}

fn plan(facts: &Facts) -> Result<Plan, NoPlan> {
    let chart = ChartRef {
        location: "cilium.tgz".into(),
        name: "cilium".into(),
        version: "1.18.12".into(),
        digest: Digest::of("chart"),
    };
    migrate(facts, &chart, &[], &Choices::default(), vec![], now())
}

fn hand_over(plan: &Plan) -> Vec<&'static str> {
    plan.steps()
        .filter(|(_, _, step)| step.action.controller_flags().is_some())
        .map(|(_, _, step)| step.action.name())
        .collect()
}

#[test]
fn each_owner_has_one_way_and_the_plan_no_other() {
    for (owner, release, way) in [
        (Owner::Manifest, None, "set-controller-flags"),
        (helm(), Some(Known::Known(release())), "set-release-flags"),
        (flux(), None, "await-flags"),
    ] {
        let facts = facts(owner, release);
        let plan = plan(&facts).unwrap();
        assert_eq!(hand_over(&plan), [way]);
        assert_eq!(lint(&plan), vec![]);
        let back = rollback(&facts, plan.settings.clone(), &[], vec![], now()).unwrap();
        assert!(hand_over(&back).iter().all(|back| *back == way), "{:?}", hand_over(&back));
        assert_eq!(lint(&back), vec![]);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}

#[test]
fn a_plan_that_was_edited_to_go_another_way_is_refused() {
    let mut plan = plan(&facts(helm(), Some(Known::Known(release())))).unwrap();
    for step in plan.phases.iter_mut().flat_map(|p| &mut p.stages).flat_map(|s| &mut s.lanes).flat_map(|l| &mut l.steps)
    {
        if let Some(flags) = step.action.controller_flags().cloned() {
            step.action = Action::SetControllerFlags { flags };
        }
    }
    assert!(lint(&plan).iter().any(|broken| broken.rule.contains("another way than their owner's")));
}

#[test]
fn a_release_is_written_as_helm_applies_it() {
    let writes = plan(&facts(helm(), Some(Known::Known(release())))).unwrap().writes;
    let covers =
        |verb, resource, namespace, name| writes.iter().any(|write| write.covers(verb, resource, namespace, name));
    assert!(covers("create", "secrets", "net", "sh.helm.release.v1.ovn.v5"));
    assert!(!covers("delete", "secrets", "net", "sh.helm.release.v1.ovn.v1"), "no revision is removed");
    assert!(covers("patch", "deployments.apps", "kube-system", "kube-ovn-controller"));
    assert!(covers("patch", "daemonsets.apps", "kube-system", "ovs-ovn"));
    assert!(!covers("delete", "daemonsets.apps", "kube-system", "ovs-ovn"));
}

#[test]
fn what_an_upgrade_would_change_besides_is_named_and_refused() {
    let refused = |change: &dyn Fn(&mut Release)| {
        let mut release = release();
        change(&mut release);
        plan(&facts(helm(), Some(Known::Known(release)))).unwrap_err()
    };
    let drifted = refused(&|release| release.also_changes = vec!["daemonset kube-system/ovs-ovn /spec/x".into()]);
    assert!(drifted.to_string().contains("net/ovn") && drifted.to_string().contains("ovs-ovn /spec/x"), "{drifted}");
    assert!(drifted.next_step().line().contains("helm status ovn -n net"));
    let failed = refused(&|release| release.status = "failed".into());
    assert!(failed.to_string().contains("revision 4 is failed"), "{failed}");
    let unknown = plan(&facts(helm(), Some(Known::Unknown("secrets is forbidden".into())))).unwrap_err();
    assert!(matches!(&unknown, NoPlan::Unknown { reason, .. } if reason.contains("secrets is forbidden")));
}

#[test]
fn nothing_left_to_turn_off_needs_no_owner() {
    let mut facts = facts(helm(), None);
    let mut known = facts.kube_ovn.value.known().unwrap().clone();
    known.installations[0].controller.enable_lb = false;
    known.installations[0].controller.enable_np = false;
    facts.kube_ovn = Subject::known(known, now());
    let plan = plan(&facts).unwrap();
    assert!(hand_over(&plan).is_empty());
}

#[test]
fn values_go_back_to_what_the_owner_had_said() {
    let plan = plan(&facts(helm(), Some(Known::Known(release())))).unwrap();
    let driver = &plan.settings.driver;
    let flags =
        |value: &str| BTreeMap::from(["enable-lb", "enable-np"].map(|flag| (flag.to_owned(), value.to_owned())));
    let defaults = json!({ "func": { "ENABLE_LB": true, "ENABLE_NP": true } });
    let own = json!({ "func": { "ENABLE_LB": true }, "secret": "s3cret" });
    let off = driver.values(&own, &defaults, &flags("false"), false);
    assert_eq!(off, json!({ "func": { "ENABLE_LB": false, "ENABLE_NP": false }, "secret": "s3cret" }));
    assert_eq!(driver.values(&off, &defaults, &flags("true"), true), own);
    // After an upgrade by `--reuse-values` the stored chart itself says what was given.
    let reused = driver.values(&off, &json!({ "func": { "ENABLE_NP": false } }), &flags("true"), true);
    assert_eq!(reused, json!({ "func": { "ENABLE_LB": true, "ENABLE_NP": true }, "secret": "s3cret" }));
    assert!(!serde_json::to_string(&plan).unwrap().contains("s3cret"));
}

#[test]
fn whoever_has_taken_it_over_since_has_the_last_word_on_the_way_back() {
    let before = facts(Owner::Manifest, None);
    let plan = plan(&before).unwrap();
    assert_eq!(plan.settings.driver, Driver::Manifest);
    let mut after = facts(flux(), None);
    let mut known = after.kube_ovn.value.known().unwrap().clone();
    known.installations[0].controller.flags_list = vec!["--enable-lb=false".into(), "--enable-np=false".into()];
    after.kube_ovn = Subject::known(known, now());
    let back = rollback(&after, plan.settings, &[], vec![], now()).unwrap();
    assert_eq!(hand_over(&back), ["await-flags"]);
    assert!(back.consequences.iter().any(|line| line.contains("func.ENABLE_NP=true")), "{:?}", back.consequences);
}
