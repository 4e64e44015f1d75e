//! What the values of each version are, and that plans and people get the same.

use serde_json::{Value, json};

use super::*;
use crate::facts::kube_ovn::{CniDaemon, Installation, KubeOvn};
use crate::facts::networks::{Networks, Subnet};
use crate::facts::nodes::{Node, Nodes};
use crate::facts::services::{Provider, Services};
use crate::facts::{Facts, Known, Source, Subject, addresses::Addresses};
use crate::plan::{ChartRef, ReleaseStage, migrate, values};
use crate::{Digest, ExitCode};

fn facts() -> Facts {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut facts = Facts::unknown(Source::Offline, now, "not read");
    let cni = CniDaemon {
        name: "kube-ovn-cni".into(),
        conf_dir: "/etc/cni/net.d".into(),
        conf_name: "01-kube-ovn.conflist".into(),
        network_type: "geneve".into(),
        iface: Some("bond0".into()),
        ..CniDaemon::default()
    };
    let installation = Installation { namespace: "kube-system".into(), cni, ..Installation::default() };
    facts.kube_ovn = Subject::known(KubeOvn { installations: vec![installation] }, now);
    facts.networks = Subject::known(Networks::default(), now);
    let node = |name: &str| Node { name: name.into(), kernel: Some("5.4.0-42".into()), ..Node::default() };
    facts.nodes = Subject::known(Nodes { items: vec![node("a"), node("b"), node("c")] }, now);
    facts.addresses = Subject::known(Addresses::default(), now);
    facts.services = Subject::known(Services::default(), now);
    facts
}

fn installation(facts: &mut Facts) -> &mut Installation {
    match &mut facts.kube_ovn.value {
        crate::facts::Known::Known(found) => &mut found.installations[0],
        crate::facts::Known::Unknown(_) => unreachable!(),
    }
}

fn explained(facts: &Facts, version: &str, layout: Layout, moment: Moment) -> Explained {
    let chart = Chart::of(version).unwrap();
    let cluster = Cluster::read(facts, &chart, &Choices::default()).unwrap();
    chart_values(&chart, &cluster, layout, moment)
}

fn at<'v>(values: &'v Value, key: &str) -> Option<&'v Value> {
    values.pointer(&format!("/{}", key.replace('.', "/")))
}

#[test]
fn each_version_is_told_in_its_own_words() {
    for (version, layout, said, unsaid) in [
        (
            "1.10.5",
            Layout::Guide,
            json!({"tunnel": "disabled", "kubeProxyReplacement": "disabled", "cni.configMap": "cni-configuration",
            "ipam.operator.clusterPoolIPv4PodCIDR": "100.65.0.0/16", "extraConfig.unmanaged-pod-watcher-interval": "0"}),
            vec![
                "routingMode",
                "forceDeviceDetection",
                "envoy",
                "cni.chainingTarget",
                "cni.uninstall",
                "operator.setNodeTaints",
                "operator.unmanagedPodWatcher",
                "ipam.operator.clusterPoolIPv4PodCIDRList",
                "extraConfig.write-cni-conf-when-ready",
            ],
        ),
        (
            "1.13.18",
            Layout::Guide,
            json!({"tunnel": "disabled", "kubeProxyReplacement": "disabled", "cni.uninstall": false,
            "ipam.operator.clusterPoolIPv4PodCIDRList": ["100.65.0.0/16"], "operator.unmanagedPodWatcher.restart": false}),
            vec!["routingMode", "ipam.operator.clusterPoolIPv4PodCIDR", "extraConfig"],
        ),
        (
            "1.14.19",
            Layout::Beside,
            json!({"routingMode": "native", "kubeProxyReplacement": "false", "cni.chainingTarget": "kube-ovn",
            "extraConfig.write-cni-conf-when-ready": "/host/etc/cni/net.d/01-cilium.conflist"}),
            vec!["tunnel", "forceDeviceDetection", "envoy", "cni.configMap"],
        ),
        (
            "1.20.0",
            Layout::Beside,
            json!({"routingMode": "native", "forceDeviceDetection": true, "envoy.enabled": false,
            "devices": ["bond0", "ovn0", "genev_sys_6081"]}),
            vec!["tunnel", "cni.configMap", "daemon"],
        ),
        (
            "1.20.0",
            Layout::Guide,
            json!({"cni.configMap": "cni-configuration", "cni.customConf": true}),
            vec!["cni.chainingTarget", "extraConfig"],
        ),
    ] {
        let values = explained(&facts(), version, layout, Moment::Unmanaged).minimal().whole();
        for (key, value) in said.as_object().unwrap() {
            assert_eq!(at(&values, key), Some(value), "{version} {key}");
        }
        for key in unsaid {
            assert_eq!(at(&values, key), None, "{version} {key}");
        }
        assert_eq!(values["policyAuditMode"], true);
    }
}

#[test]
fn no_value_is_given_that_the_chart_ignores_or_refuses() {
    use crate::compat::cilium::{CILIUM_MINORS, VALUES};
    for row in CILIUM_MINORS {
        for patch in [0, 5, 30] {
            let version = format!("1.{}.{patch}", row.minor);
            let chart = Chart::of(&version).unwrap();
            for layout in row.layouts() {
                let given = explained(&facts(), &version, *layout, Moment::Unmanaged);
                for entry in given.entries() {
                    let word = entry.value.as_str().unwrap_or_default();
                    for key in [entry.key.clone(), format!("{}={word}", entry.key)] {
                        assert!(!VALUES.iter().any(|row| row.key == key) || chart.reads(&key), "{version} {key}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_plan_settles_on_what_people_are_told() {
    for version in ["1.16.19", "1.18.12", "1.20.0"] {
        let reference = ChartRef {
            location: String::new(),
            name: "cilium".into(),
            version: version.into(),
            digest: Digest::of(""),
        };
        let mut facts = facts();
        let gateway = |networks: &mut Networks| networks.nat_gateways.push("vpc-nat-gateway gw".into());
        if let crate::facts::Known::Known(networks) = &mut facts.networks.value {
            gateway(networks);
        }
        let settings = migrate::settings(&facts, &reference, &migrate::Choices::default()).unwrap();
        let planned = values::values(&settings, ReleaseStage::Settled).unwrap();
        let told = explained(&facts, version, Layout::Beside, Moment::Settled);
        assert_eq!(planned, told.whole(), "{version}");
        for entry in told.minimal().entries() {
            assert_eq!(at(&planned, &entry.key), Some(&entry.value), "{version} {}", entry.key);
        }
    }
}

#[test]
fn a_run_is_staged_and_audits_until_it_is_settled() {
    let values = |moment| explained(&facts(), "1.18.12", Layout::Beside, moment).whole();
    let staged = values(Moment::Staged);
    let term = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions/0/key";
    assert_eq!(staged.pointer(term), Some(&json!(AGENT_LABEL)));
    assert_eq!(staged["updateStrategy"], json!({"type": "OnDelete", "rollingUpdate": null}));
    assert_eq!(
        (&staged["policyAuditMode"], at(&staged, "operator.setNodeTaints")),
        (&json!(true), Some(&json!(false)))
    );
    assert_eq!(staged.get("extraConfig"), None, "nodes are chained one by one");
    let settled = values(Moment::Settled);
    assert_eq!(settled["policyAuditMode"], false);
    assert_eq!(settled["updateStrategy"], json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}));
    assert!(values(Moment::Everywhere).pointer("/affinity/nodeAffinity").is_none());
}

#[test]
fn the_tunnel_device_goes_by_the_network_type_and_the_uplink_by_what_was_told() {
    let mut facts = facts();
    for (kind, iface, given, expected) in [
        ("vxlan", Some("ens192"), vec![], "ens192 ovn0 vxlan_sys_4789"),
        ("stt", Some("eth0,bond.*"), vec![], "eth0 bond+ ovn0 stt_sys_7471"),
        ("geneve", None, vec![], "eth+ ovn0 genev_sys_6081"),
        ("geneve", Some("(eth|ens).*"), vec![], "eth+ ovn0 genev_sys_6081"),
        ("geneve", None, vec!["eno1".to_owned()], "eno1 ovn0 genev_sys_6081"),
    ] {
        installation(&mut facts).cni.network_type = kind.into();
        installation(&mut facts).cni.iface = iface.map(str::to_owned);
        let (found, known) = cluster::devices(installation(&mut facts), &given);
        assert_eq!(found.join(" "), expected);
        assert_eq!(known, !expected.starts_with("eth+"), "{expected}");
    }
}

#[test]
fn what_cannot_work_gets_no_values() {
    let made = |change: fn(&mut Installation), layout| {
        let mut facts = facts();
        change(installation(&mut facts));
        let request = Request { layout: Some(layout), ..Request::default() };
        make(&facts, Chart::of("1.18.12").unwrap(), &request).map(drop)
    };
    let error = made(|one| "00-kube-ovn.conflist".clone_into(&mut one.cni.conf_name), Layout::Beside).unwrap_err();
    assert!(error.to_string().contains("00-kube-ovn.conflist of Kube-OVN sorts before 01-cilium.conflist"), "{error}");
    assert_eq!(error.exit_code(), ExitCode::Denied);
    let error = made(|one| "vlan".clone_into(&mut one.cni.network_type), Layout::Guide).unwrap_err();
    assert!(error.to_string().contains("is `vlan`"), "{error}");
    assert_eq!(error.exit_code(), ExitCode::CouldNotJudge);
    assert_eq!(made(|_| (), Layout::Beside), Ok(()));
}

#[test]
fn host_routing_is_turned_off_where_a_kernel_has_it_and_the_chart_does_not() {
    let off = |kernel: Option<&str>, version: &str| {
        let mut facts = facts();
        if let crate::facts::Known::Known(nodes) = &mut facts.nodes.value {
            nodes.items[1].kernel = kernel.map(str::to_owned);
        }
        let values = explained(&facts, version, Layout::Guide, Moment::Unmanaged).whole();
        at(&values, "extraConfig.enable-host-legacy-routing").is_some()
    };
    for kernel in [Some("5.10.0"), Some("6.8.0-31-generic"), None] {
        assert!(off(kernel, "1.12.19"), "{kernel:?}");
        assert!(!off(kernel, "1.13.18"), "{kernel:?}");
    }
    assert!(!off(Some("5.4.0"), "1.12.19"));
}

#[test]
fn where_cilium_serves_services_it_goes_on_and_needs_the_api_server() {
    let mut facts = facts();
    let provider =
        Provider { kind: "cilium".into(), object: "daemonset kube-system/cilium".into(), ..Provider::default() };
    facts.services =
        Subject::known(Services { providers: vec![provider], ..Services::default() }, jiff::Timestamp::UNIX_EPOCH);
    let (old, new) = (Chart::of("1.12.19").unwrap(), Chart::of("1.20.0").unwrap());
    assert!(matches!(Cluster::read(&facts, &new, &Choices::default()), Err(NoValues::ApiServer { .. })));
    let choices = Choices { api_server: Some(("10.1.2.3".into(), "6443".into())), ..Choices::default() };
    for (chart, word) in [(&old, "strict"), (&new, "true")] {
        let cluster = Cluster::read(&facts, chart, &choices).unwrap();
        let values = chart_values(chart, &cluster, Layout::Guide, Moment::Settled).whole();
        assert_eq!((&values["kubeProxyReplacement"], &values["k8sServiceHost"]), (&json!(word), &json!("10.1.2.3")));
        assert_eq!(at(&values, "bpf.lbExternalClusterIP"), Some(&json!(true)), "as kube-proxy does");
    }
    let beside = |desired: u32| {
        let mut facts = facts.clone();
        let Known::Known(services) = &mut facts.services.value else { unreachable!("known above") };
        services.providers.push(Provider { kind: "kube-proxy".into(), desired, ..Provider::default() });
        Cluster::read(&facts, &new, &choices).unwrap().api_server
    };
    assert_eq!(
        (beside(0), beside(2)),
        (choices.api_server.clone(), None),
        "a DaemonSet that fits no node serves nothing"
    );
}

#[test]
fn what_is_unknown_or_cannot_be_chained_gives_no_values() {
    let chart = Chart::of("1.18.12").unwrap();
    let read = |facts: &Facts| Cluster::read(facts, &chart, &Choices::default()).map(drop);
    assert_eq!(read(&facts()), Ok(()));
    let unknown = |take: fn(&mut Facts)| {
        let mut facts = facts();
        take(&mut facts);
        matches!(read(&facts), Err(NoValues::Unknown { .. }))
    };
    assert!(unknown(|facts| facts.kube_ovn = Subject::unknown("no")));
    assert!(unknown(|facts| facts.networks = Subject::unknown("no")));
    assert!(unknown(|facts| facts.nodes = Subject::unknown("no")));
    assert!(unknown(|facts| facts.addresses = Subject::unknown("no")));
    assert!(unknown(|facts| facts.services = Subject::unknown("no")));
    let mut dual = facts();
    let subnet = Subnet { name: "ovn-default".into(), protocol: "Dual".into(), ..Subnet::default() };
    let networks = Networks { subnets: vec![subnet], ..Networks::default() };
    dual.networks = Subject::known(networks, jiff::Timestamp::UNIX_EPOCH);
    assert!(matches!(read(&dual), Err(NoValues::NotIpv4 { .. })));
}

#[test]
fn old_charts_have_one_layout() {
    let layout = |version: &str, wanted| cluster::layout(&Chart::of(version).unwrap(), wanted);
    assert_eq!(layout("1.13.18", None), Ok(Layout::Guide));
    assert!(matches!(layout("1.13.18", Some(Layout::Beside)), Err(NoValues::Layout { .. })));
    assert_eq!(layout("1.14.0", None), Ok(Layout::Beside));
    assert_eq!(layout("1.20.0", Some(Layout::Guide)), Ok(Layout::Guide));
}

#[test]
fn guide_says_how_kube_ovns_file_gets_its_name() {
    let mut facts = facts();
    let chart = Chart::of("1.18.12").unwrap();
    let before = |facts: &mut Facts, version: &str| {
        installation(facts).version = Some(version.into());
        let found = installation(facts).clone();
        guide::before(&found, facts, &chart, "kube-system").map(|steps| steps.join("\n"))
    };
    let init = before(&mut facts, "v1.14.41").unwrap();
    assert!(
        init.contains("--cni-conf-name=10-kube-ovn.conflist in the command of init container install-cni"),
        "{init}"
    );
    assert!(before(&mut facts, "v1.12.35").unwrap().contains("args of container cni-server"));
    assert!(matches!(before(&mut facts, "v1.9.41"), Err(NoValues::NameIsBuiltIn { .. })));
    installation(&mut facts).cni.conf_name = guide::PLAIN_CONF.into();
    assert!(!before(&mut facts, "v1.9.41").unwrap().contains("cni-conf-name"));
}
