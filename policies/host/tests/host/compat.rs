//! Modules carry tables of their own, since they use nothing of the program's: here they say what `core/src/compat` says.

use std::collections::BTreeMap;

use ovncilium_core::compat::cilium::{CILIUM_MINORS, Chart, VALUES};
use ovncilium_core::compat::helm;
use ovncilium_core::compat::kube_ovn::KUBE_OVN_MINORS;
use ovncilium_core::policy::{Finding, Verdict};
use ovncilium_policy_host::{BUILTINS, DocumentSource, EvaluateOptions, evaluate};
use serde_json::{Value, json};

use crate::support::{Values, builtin, facts, now};

/// What one built-in module finds.
fn findings(policy: &str, known: &[(&str, Value)], documents: Option<Vec<Value>>) -> Vec<Finding> {
    let only = BUILTINS.iter().filter(|other| **other != policy).fold(builtin(), |all, other| all.without(other));
    let known: BTreeMap<String, Value> =
        known.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let stream = documents.map(Values);
    let stream = stream.as_ref().map(|documents| documents as &dyn DocumentSource);
    let evaluation = evaluate(&only, &facts(&known).into(), stream, &EvaluateOptions::at(now()));
    assert!(!evaluation.faults.iter().any(|fault| fault.policy == policy), "{:?}", evaluation.faults);
    evaluation.findings
}

/// The verdict of one rule; none when the module says nothing of the rule.
fn verdict(policy: &str, rule: &str, known: &[(&str, Value)], documents: Option<Vec<Value>>) -> Option<Verdict> {
    findings(policy, known, documents)
        .iter()
        .find(|finding| finding.rule.as_str() == rule)
        .map(|finding| finding.verdict)
}

/// What `chart-chaining` and `nat-gateway` advise for a chart of this version that sets nothing but a pool, by rule.
fn advice(version: &str) -> BTreeMap<String, String> {
    let image = format!("quay.io/cilium/cilium:v{version}");
    let data = json!({"cluster-pool-ipv4-cidr": "10.0.0.0/8"});
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cilium-config"}, "data": data});
    let agent = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "cilium"},
        "spec": {"template": {"spec": {"containers": [{"name": "cilium-agent", "image": image}]}}}});
    let networks = json!({"subnets": [], "nat_gateways": ["default/gw"]});
    let known = [("intent", json!({})), ("networks", networks)];
    ["chart-chaining", "nat-gateway"]
        .iter()
        .flat_map(|policy| findings(policy, &known, Some(vec![config.clone(), agent.clone()])))
        .map(|finding| (finding.rule.as_str().to_owned(), finding.remedy.unwrap_or_default()))
        .collect()
}

#[test]
fn what_is_advised_for_a_chart_is_read_by_it() {
    for row in CILIUM_MINORS {
        for patch in [0, 9] {
            let version = format!("1.{}.{patch}", row.minor);
            let chart = Chart::of(&version).unwrap();
            let advice = advice(&version);
            let keys = advice.values().flat_map(|remedy| remedy.split("--set ").skip(1));
            let keys: Vec<&str> = keys.filter_map(|set| set.split_once('=')).map(|(key, _)| key).collect();
            assert!(keys.len() > 8, "{version}: {advice:?}");
            // A key that is not in the table is read by every chart, or the table would lack it.
            let listed = |key: &&&str| VALUES.iter().any(|row| row.key == **key);
            let ignored: Vec<_> = keys.iter().filter(listed).filter(|key| !chart.reads(key)).collect();
            let can = chart.reads("daemon.enableSourceIPVerification");
            assert_eq!(advice["gateways-forward"].starts_with("choose a chart"), !can, "{version}");
            let only_newer: Vec<_> =
                ignored.iter().filter(|key| can || ***key != "daemon.enableSourceIPVerification").collect();
            assert!(only_newer.is_empty(), "{version}: {only_newer:?} of {advice:?}");
        }
    }
}

#[test]
fn switches_are_turned_off_by_the_keys_of_both_charts() {
    let owner = json!({"kind": "helm", "release": "ovn", "namespace": "ovn"});
    let controller = json!({"name": "c", "enable_lb": true, "enable_np": true, "enable_lb_svc": false, "flags": {}});
    let found = json!({"installations": [{"namespace": "ovn", "owner": owner, "controller": controller}]});
    let intent = json!({"turns_network_policy_off": false, "turns_load_balancer_off": false});
    let known = [("kube-ovn", found), ("intent", intent)];
    let remedy = |policy: &str, rule: &str| {
        let found = findings(policy, &known, None);
        found.into_iter().find(|finding| finding.rule.as_str() == rule).unwrap().remedy.unwrap()
    };
    let np = remedy("kube-ovn-network-policy", "network-policy-off");
    let lb = remedy("kube-ovn-load-balancer", "load-balancer-off");
    for (chart, lb_key, np_key) in KUBE_OVN_MINORS.last().unwrap().chart_values {
        assert!(np.contains(&format!("{np_key}=false")), "{chart}: {np}");
        assert!(lb.contains(&format!("{lb_key}=false")), "{chart}: {lb}");
    }
}

#[test]
fn modules_propose_the_ranges_that_values_takes() {
    let ours: Vec<String> = ovncilium_core::values::pool::candidates().collect();
    assert_eq!(ovncilium_policy_sdk::pool::candidates().collect::<Vec<_>>(), ours);
}

fn kernel(kernel: &str, cilium: &str) -> Option<Verdict> {
    let nodes = json!({"items": [{"name": "a", "kernel": kernel}]});
    let known = [("nodes", nodes), ("intent", json!({"cilium_version": cilium}))];
    verdict("node-kernel", "kernel-minimum", &known, None)
}

#[test]
fn node_kernel_asks_what_the_table_says() {
    // First builds of the kernels of RHEL 8.0 to 8.10.
    let builds = [80, 147, 193, 240, 305, 348, 372, 425, 477, 513, 553];
    for row in CILIUM_MINORS {
        let cilium = format!("1.{}.3", row.minor);
        let (major, minor, patch) = row.kernel;
        assert_eq!(kernel(&format!("{major}.{minor}.{patch}"), &cilium), Some(Verdict::Pass), "{cilium}");
        let below = match (minor, patch) {
            (_, 1..) => format!("{major}.{minor}.{}", patch - 1),
            _ => format!("{major}.{}.400", minor - 1),
        };
        assert_eq!(kernel(&below, &cilium), Some(Verdict::Fail), "{cilium} on {below}");
        for (release, build) in (0u64..).zip(builds) {
            let expected = if release >= row.rhel_8 { Verdict::Pass } else { Verdict::Fail };
            let uname = format!("4.18.0-{build}.el8.x86_64");
            // Where mainline 4.18 would do anyway nothing is told of RHEL.
            let expected = if row.kernel <= (4, 18, 0) { Verdict::Pass } else { expected };
            assert_eq!(kernel(&uname, &cilium), Some(expected), "{cilium} on RHEL 8.{release}");
        }
    }
}

#[test]
fn newer_versions_are_warned_of_from_the_same_version_on() {
    let nodes = || ("nodes", json!({"items": [{"name": "a", "kernel": "9.0.0"}]}));
    let newest = CILIUM_MINORS.last().unwrap().minor;
    let target = |minor: u64| {
        let known = [nodes(), ("intent", json!({"cilium_version": format!("1.{minor}.0")}))];
        verdict("node-kernel", "target-known", &known, None)
    };
    assert_eq!((target(newest), target(newest + 1)), (None, Some(Verdict::Fail)));

    let chart = |minor: u64| {
        let image = format!("quay.io/cilium/cilium:v1.{minor}.0");
        let config =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cilium-config"}, "data": {}});
        let agent = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "cilium"},
            "spec": {"template": {"spec": {"containers": [{"name": "cilium-agent", "image": image}]}}}});
        verdict("chart-chaining", "chart-known", &[("intent", json!({}))], Some(vec![config, agent]))
    };
    let oldest = CILIUM_MINORS.first().unwrap().minor;
    assert_eq!((chart(newest), chart(newest + 1)), (None, Some(Verdict::Fail)));
    assert_eq!((chart(oldest), chart(oldest - 1)), (None, Some(Verdict::Fail)));

    let kube_ovn = |minor: u64| {
        let cni =
            json!({"name": "x", "conf_name": "01-kube-ovn.conflist", "writer": "install-cni", "non_primary": false});
        let found = json!({"installations": [{"version": format!("v1.{minor}.0"), "cni": cni}]});
        let known = [("kube-ovn", found), ("intent", json!({"conf_name": "01-cilium.conflist"}))];
        verdict("cni-conf-order", "kube-ovn-known", &known, None)
    };
    let (oldest, newest) = (KUBE_OVN_MINORS.first().unwrap().minor, KUBE_OVN_MINORS.last().unwrap().minor);
    assert_eq!((kube_ovn(newest), kube_ovn(newest + 1)), (None, Some(Verdict::Fail)));
    assert_eq!((kube_ovn(oldest), kube_ovn(oldest - 1)), (None, Some(Verdict::Fail)));
}

#[test]
fn helm_version_asks_what_the_table_says() {
    let helm = |version: &str, cilium: &str, rule: &str| {
        let tools = json!({"helm": {"path": "/usr/bin/helm", "version": version}});
        verdict("helm-version", rule, &[("tools", tools), ("intent", json!({"cilium_version": cilium}))], None)
    };
    let minimum = helm::MINIMUM;
    let below = format!("v{}.{}.9", minimum.major, minimum.minor - 1);
    assert_eq!(helm(&format!("v{minimum}"), "1.16.0", "helm-usable"), Some(Verdict::Pass));
    assert_eq!(helm(&below, "1.16.0", "helm-usable"), Some(Verdict::Fail));
    let (chart, new) = (helm::NEEDS_NEW_HELM, helm::FOR_NEW_CHARTS);
    let below = format!("v{}.{}.9", new.major, new.minor - 1);
    assert_eq!(helm(&below, &chart.to_string(), "helm-renders-chart"), Some(Verdict::Fail));
    assert_eq!(helm(&below, &format!("1.{}.9", chart.minor - 1), "helm-renders-chart"), None);
    assert_eq!(helm(&format!("v{new}"), &chart.to_string(), "helm-renders-chart"), None);
    let newest = helm::MAJORS[1];
    assert_eq!(helm(&format!("v{newest}.9.0"), "1.16.0", "helm-known"), None);
    assert_eq!(helm(&format!("v{}.0.0", newest + 1), "1.16.0", "helm-known"), Some(Verdict::Fail));
}
