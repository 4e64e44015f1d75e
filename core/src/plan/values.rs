//! Complete values of the Cilium chart for each stage of a run: a function of the plan's settings alone.
//!
//! Complete, because Helm keeps old values only when no new value is given: a second upgrade with one value would drop
//! all chaining values. Layout `beside`: `customConf` without a ConfigMap makes the agents write nothing by themselves; a
//! CiliumNodeConfig (and in the end `extraConfig`) names the file, which sorts before Kube-OVN's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::action::{AGENT_LABEL, ReleaseStage};
use super::{ChartRef, Settings};
use crate::compat::{UnknownVersion, cilium_minor};

/// Mount of the host's CNI directory in the agent.
const AGENT_CONF_DIR: &str = "/host/etc/cni/net.d";

/// Values of the chart for `stage`.
///
/// # Errors
/// When the chart's version is not known.
pub fn values(settings: &Settings, stage: ReleaseStage) -> Result<Value, UnknownVersion> {
    let minor = cilium_minor(&settings.chart.version)?;
    let settled = stage == ReleaseStage::Settled;
    let replicas = settings.node_count.clamp(1, 2);
    let mut values = json!({
        "affinity": affinity(stage),
        "bpf": { "masquerade": false },
        "cni": {
            "install": true,
            "uninstall": false,
            "exclusive": false,
            "customConf": true,
            "chainingMode": "generic-veth",
            "chainingTarget": settings.network,
            "confPath": settings.conf_dir,
        },
        "devices": settings.devices,
        "enableIPv4Masquerade": false,
        "enableIPv6Masquerade": false,
        "enableIdentityMark": false,
        "ipam": {
            "mode": "cluster-pool",
            "operator": { "clusterPoolIPv4PodCIDRList": settings.cluster_pool },
        },
        "ipv4": { "enabled": true },
        "ipv6": { "enabled": false },
        "kubeProxyReplacement": "false",
        "operator": {
            "replicas": replicas,
            "setNodeTaints": settled,
            "unmanagedPodWatcher": { "restart": false },
        },
        "policyAuditMode": !settled,
        "rollOutCiliumPods": false,
        "routingMode": "native",
        "updateStrategy": update_strategy(stage),
    });
    if minor.force_device_detection {
        values["forceDeviceDetection"] = json!(true);
    }
    if minor.envoy_daemonset {
        values["envoy"] = json!({ "enabled": false });
    }
    if settled {
        values["extraConfig"] = json!({ "write-cni-conf-when-ready": agent_conf_path(settings) });
    }
    Ok(values)
}

/// Path of the chained file as the agent sees it.
fn agent_conf_path(settings: &Settings) -> String {
    format!("{AGENT_CONF_DIR}/{}", settings.chained_conf)
}

/// Agent settings of the CiliumNodeConfig that chains a node.
pub fn chain_defaults(settings: &Settings) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("write-cni-conf-when-ready".to_owned(), agent_conf_path(settings)),
        ("cni-chaining-mode".to_owned(), "generic-veth".to_owned()),
        ("cni-chaining-target".to_owned(), settings.network.clone()),
    ])
}

/// Agent settings of the CiliumNodeConfig that enforces on a node.
pub fn enforce_defaults() -> BTreeMap<String, String> {
    BTreeMap::from([("policy-audit-mode".to_owned(), "false".to_owned())])
}

/// The chart's own anti-affinity, and while a run lasts only nodes with our label.
fn affinity(stage: ReleaseStage) -> Value {
    let mut affinity = json!({
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "k8s-app": "cilium" } } }
            ]
        }
    });
    if stage == ReleaseStage::Staged {
        affinity["nodeAffinity"] = json!({
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchExpressions": [{ "key": AGENT_LABEL, "operator": "Exists" }] }]
            }
        });
    }
    affinity
}

/// Nothing restarts by itself while a run lasts.
fn update_strategy(stage: ReleaseStage) -> Value {
    match stage {
        ReleaseStage::Staged | ReleaseStage::Everywhere => json!({ "type": "OnDelete", "rollingUpdate": null }),
        ReleaseStage::Settled => json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } }),
    }
}

/// Whether a plan can be made for this chart at all.
///
/// # Errors
/// When the version is unknown or cannot chain beside Kube-OVN's file.
pub fn check_chart(chart: &ChartRef) -> Result<(), ChartRefused> {
    if chart.name != "cilium" {
        return Err(ChartRefused::NotCilium { name: chart.name.clone() });
    }
    let minor = cilium_minor(&chart.version)?;
    if minor.chains_beside { Ok(()) } else { Err(ChartRefused::CannotChainBeside { version: chart.version.clone() }) }
}

/// Why no plan is made for a chart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChartRefused {
    /// It is another chart.
    #[error("the chart is `{name}`, not `cilium`")]
    NotCilium {
        /// Its name.
        name: String,
    },
    /// Its version is not known.
    #[error(transparent)]
    Unknown(#[from] UnknownVersion),
    /// It is too old for layout `beside`.
    #[error("Cilium {version} cannot chain beside Kube-OVN's file: 1.16 or newer is needed")]
    CannotChainBeside {
        /// Its version.
        version: String,
    },
}
