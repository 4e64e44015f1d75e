//! Complete values of the Cilium chart for one cluster and one version of the chart, each with its reason.
//!
//! The one source of values: a plan installs what [`chart_values`] says at its stages ([`crate::plan::values`]), and `kubectl
//! ovncilium values` prints it. Complete, because Helm keeps old values only when no new value is given: a second upgrade
//! with one value would drop all chaining values. Which key a chart reads is asked of [`crate::compat`]; what the cluster
//! asks for is read from facts by [`cluster`]. Layout `guide` needs more than values: [`guide`] has the rest.

pub mod cluster;
pub mod explained;
pub mod guide;
pub mod own;
pub mod pool;

use serde_json::{Value, json};

pub use cluster::{Choices, Cluster, NoValues};
pub use explained::{Entry, Explained};

use crate::compat::cilium::{Chart, Layout};
use crate::facts::Facts;
use crate::plan::action::AGENT_LABEL;

/// Mount of the host's CNI directory in the agent.
pub const AGENT_CONF_DIR: &str = "/host/etc/cni/net.d";
/// Where the chart and Kube-OVN look for CNI configuration unless told otherwise.
const CONF_DIR: &str = "/etc/cni/net.d";

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The layout; the best that the chart can have when it is not said.
    pub layout: Option<Layout>,
    /// The values that stay, for when every pod is managed.
    pub settled: bool,
    /// Namespace of the release.
    pub namespace: String,
    /// What a person may choose.
    pub choices: Choices,
    /// Kube-OVN's own conflist, where it is not the one that is shipped; layout `guide`.
    pub conflist: Option<String>,
}

/// What was made of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The chart.
    pub chart: Chart,
    /// The layout.
    pub layout: Layout,
    /// As requested.
    pub settled: bool,
    /// The values.
    pub values: Explained,
    /// The ConfigMap of layout `guide`, as YAML.
    pub config_map: Option<String>,
    /// What has to be done before helm is called, in order.
    pub before: Vec<String>,
    /// What should be known.
    pub warnings: Vec<String>,
}

/// The values that a person installs, and what goes with them.
///
/// # Errors
/// [`NoValues`] says why there are none and what to do.
pub fn make(facts: &Facts, chart: Chart, request: &Request) -> Result<Made, NoValues> {
    let layout = cluster::layout(&chart, request.layout)?;
    let cluster = Cluster::read(facts, &chart, &request.choices)?;
    let moment = if request.settled { Moment::Settled } else { Moment::Unmanaged };
    let (config_map, before) = match layout {
        Layout::Beside if cluster.plain_conf < cluster.chained_conf => {
            return Err(NoValues::SortsFirst { file: cluster.plain_conf, ours: cluster.chained_conf });
        }
        Layout::Beside => (None, Vec::new()),
        Layout::Guide => {
            let (conflist, base) = guide::conflist(facts, &chart, request.conflist.as_deref())?;
            let map = guide::config_map(&request.namespace, &conflist, base);
            (Some(map), guide::before(cluster::installation(facts)?, facts, &chart, &request.namespace)?)
        }
    };
    let warnings = cluster::warnings(facts, &chart, &cluster, request.settled);
    let values = chart_values(&chart, &cluster, layout, moment);
    Ok(Made { chart, layout, settled: request.settled, values, config_map, before, warnings })
}

/// When the values are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// In a run: audited, agents only on labelled nodes, nothing restarts by itself; nodes are chained one by one.
    Staged,
    /// In a run: as staged, agents on every node.
    Everywhere,
    /// Installed by hand while there are pods that Cilium does not manage: audited.
    Unmanaged,
    /// In a run, every pod managed: what stays, but nothing restarts by itself.
    Held,
    /// Every pod is managed: what stays.
    Settled,
}

impl Moment {
    fn audits(self) -> bool {
        !matches!(self, Self::Held | Self::Settled)
    }

    fn is_in_a_run(self) -> bool {
        matches!(self, Self::Staged | Self::Everywhere)
    }
}

/// Every value, by key.
pub fn chart_values(chart: &Chart, cluster: &Cluster, layout: Layout, moment: Moment) -> Explained {
    let mut values = Explained::default();
    chaining(&mut values, chart, cluster, layout, moment);
    routing(&mut values, chart, cluster);
    addresses(&mut values, chart, cluster);
    services(&mut values, chart, cluster, moment);
    operator(&mut values, chart, cluster, moment);
    enforcement(&mut values, cluster, moment);
    rollout(&mut values, chart, moment);
    values.sort();
    values
}

fn chaining(values: &mut Explained, chart: &Chart, cluster: &Cluster, layout: Layout, moment: Moment) {
    values.pin("cni.install", true, "the agent puts its plugin beside Kube-OVN's");
    values.set(
        "cni.chainingMode",
        "generic-veth",
        "Cilium works behind Kube-OVN, which keeps giving pods their addresses",
    );
    let why = match (layout, moment.is_in_a_run()) {
        (Layout::Beside, true) => "by itself the agent writes no CNI file; a CiliumNodeConfig names it, node by node",
        (Layout::Beside, false) => "the chart writes no CNI file of its own; extraConfig below names the one to write",
        (Layout::Guide, _) => "the CNI file is made of the ConfigMap below, and the files of others are left alone",
    };
    values.set("cni.customConf", true, why);
    values.set(
        "cni.exclusive",
        false,
        "never rename the files of others to *.cilium_bak, Kube-OVN's and Multus' among them",
    );
    if chart.reads("cni.uninstall") {
        let why = "the file stays when an agent stops: a node without CNI file starts no pods";
        match chart.row.minor {
            minor if minor >= 14 => values.pin("cni.uninstall", false, why),
            _ => values.set("cni.uninstall", false, why),
        }
    }
    let why = "the directory on the nodes in which Kube-OVN writes its own file";
    if cluster.conf_dir == CONF_DIR {
        values.pin("cni.confPath", cluster.conf_dir.as_str(), why);
    } else {
        values.set("cni.confPath", cluster.conf_dir.as_str(), why);
    }
    match layout {
        Layout::Beside => {
            let why =
                "the network that is chained, found by its name: its name, its plugins and its file stay as they are";
            values.set("cni.chainingTarget", cluster.network.as_str(), why);
            if !moment.is_in_a_run() {
                let file = format!("{AGENT_CONF_DIR}/{}", cluster.chained_conf);
                let why =
                    format!("sorts before {}, so that runtimes load it first, whoever restarts", cluster.plain_conf);
                values.set("extraConfig.write-cni-conf-when-ready", file, why);
            }
        }
        Layout::Guide => {
            let why = format!("key {} of it becomes {}: see `--config-map`", guide::KEY, guide::CHAINED_CONF);
            values.set("cni.configMap", guide::CONFIG_MAP, why);
        }
    }
}

fn routing(values: &mut Explained, chart: &Chart, cluster: &Cluster) {
    let why = "Kube-OVN carries the pods' traffic; a tunnel of Cilium's would be an overlay inside it";
    if chart.reads("routingMode") {
        values.set("routingMode", "native", why);
    } else {
        values.set("tunnel", "disabled", format!("{why} (this chart ignores routingMode)"));
    }
    values.set("enableIPv4Masquerade", false, "Kube-OVN decides which traffic leaves under a node's address");
    values.set("enableIPv6Masquerade", false, "as for IPv4; the chart's default is true in every version");
    values.set("enableIdentityMark", false, "Kube-OVN uses the packet mark as well, and clears it as a whole");
    values.set("bpf.masquerade", false, "as enableIPv4Masquerade; some charts turn it on by themselves");
    if !chart.row.forces_legacy_routing && cluster.host_routing {
        let why = "a node's kernel is 5.10 or newer, where BPF host routing passes the veth pairs by; this chart does not turn it off";
        values.set("extraConfig.enable-host-legacy-routing", "true", why);
    }
    if cluster.nat_gateways && chart.reads("daemon.enableSourceIPVerification") {
        let why = "Kube-OVN's NAT gateways send packets with addresses that are not their own; Cilium would drop them";
        values.set("daemon.enableSourceIPVerification", false, why);
    }
    values.set("devices", json!(cluster.devices), cluster.devices_why());
    if chart.reads("forceDeviceDetection") {
        let why = "find the nodes' other devices as well, although some are named";
        values.set("forceDeviceDetection", true, why);
    }
}

fn addresses(values: &mut Explained, chart: &Chart, cluster: &Cluster) {
    values.pin("ipam.mode", "cluster-pool", "pods get no address of it, each node gets one for Cilium itself");
    let why =
        "for Cilium's own addresses, one /24 for each node; no range in use meets it (the default 10.0.0.0/8 does)";
    if chart.reads("ipam.operator.clusterPoolIPv4PodCIDRList") {
        values.set("ipam.operator.clusterPoolIPv4PodCIDRList", json!(cluster.cluster_pool), why);
    } else {
        values.set("ipam.operator.clusterPoolIPv4PodCIDR", cluster.cluster_pool.join(" "), why);
    }
    values.pin("ipv4.enabled", true, "the cluster's pods have IPv4 addresses");
    values.pin("ipv6.enabled", false, "chained pods have no IPv6 connectivity (kube-ovn#6681)");
}

fn services(values: &mut Explained, chart: &Chart, cluster: &Cluster, moment: Moment) {
    let key = "kubeProxyReplacement";
    // Text, not a boolean: a template compares words, and old charts fail on a boolean.
    let (off, on) = match chart.reads("kubeProxyReplacement=false") {
        true => ("false", "true"),
        false => ("disabled", "strict"),
    };
    match &cluster.api_server {
        None => values.set(key, off, "kube-proxy goes on serving Services; replacing it is a journey of its own"),
        Some((host, port)) => {
            values.set(key, on, "Cilium serves Services in this cluster, and nothing else does");
            let why =
                "the API server's own address: without kube-proxy its Service is served by Cilium, which asks it first";
            values.set("k8sServiceHost", host.as_str(), why);
            values.set("k8sServicePort", port.as_str(), "its port");
            if on == "true" && chart.reads("hostPort.enabled") {
                values.set("hostPort.enabled", false, "portmap in Kube-OVN's file serves host ports; both would");
            }
        }
    }
    // An agent that no longer replaces kube-proxy tells its tables before its programs: the old ones go on serving meanwhile.
    if cluster.api_server.is_some() || moment == Moment::Held {
        let why = "as kube-proxy does, a node serves what reaches it with a Service's address: pods whose packets pass no socket of \
                   the node, and those of all while an agent restarts";
        values.set("bpf.lbExternalClusterIP", true, why);
    }
    if chart.row.envoy_daemonset {
        values.set("envoy.enabled", false, "no DaemonSet of Envoy: policy of layer 7 does not work behind a chain");
    }
}

fn operator(values: &mut Explained, chart: &Chart, cluster: &Cluster, moment: Moment) {
    let replicas = cluster.node_count.clamp(1, 2);
    let why = "replicas of the operator do not share a node";
    match replicas {
        2 => values.pin("operator.replicas", replicas, why),
        _ => values.set("operator.replicas", replicas, format!("{why}, and there is one")),
    }
    let why = "the operator reads its settings when it starts: a change of those below restarts it";
    values.set("operator.rollOutPods", true, why);
    if chart.reads("operator.setNodeNetworkStatus") {
        let why =
            "a node's network is Kube-OVN's: where both tell of it, each overwrites the other's word every few seconds";
        values.set("operator.setNodeNetworkStatus", false, why);
    }
    if chart.reads("operator.setNodeTaints") {
        let settled = matches!(moment, Moment::Held | Moment::Settled);
        let why = match settled {
            true => "a node whose agent is not there yet takes no pods: they would bypass Cilium",
            false => "no node is closed to pods while agents arrive; what starts there meanwhile is restarted later",
        };
        values.set("operator.setNodeTaints", settled, why);
    }
    let why =
        "never delete DNS pods for having no endpoint: one every 15 seconds, without end, while they cannot get one";
    if chart.reads("operator.unmanagedPodWatcher.restart") {
        values.set("operator.unmanagedPodWatcher.restart", false, why);
    } else {
        values.set(
            "extraConfig.unmanaged-pod-watcher-interval",
            "0",
            format!("{why} (this chart has no value for it)"),
        );
    }
}

fn enforcement(values: &mut Explained, cluster: &Cluster, moment: Moment) {
    // On the way back nothing is dropped until Kube-OVN enforces again, so the first stage of a run always audits.
    let audits = moment.audits() && !(moment == Moment::Everywhere && cluster.enforces);
    let why = match (audits, cluster.unmanaged) {
        (true, Some(pods)) if pods > 0 => format!(
            "nothing is dropped while pods are not managed by Cilium ({pods} now): it does not know who they are; `--settled` enforces"
        ),
        (true, _) => "nothing is dropped until every pod is managed by Cilium; `--settled` enforces".to_owned(),
        (false, _) => "policies are enforced: every pod is managed by Cilium".to_owned(),
    };
    values.set("policyAuditMode", audits, why);
}

/// The chart's own anti-affinity, and while a run lasts only nodes with our label.
fn rollout(values: &mut Explained, chart: &Chart, moment: Moment) {
    values.pin("rollOutCiliumPods", false, "a changed setting restarts no agent by itself");
    if chart.row.can_be_planned() {
        let apart = json!([
            { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "k8s-app": "cilium" } } }
        ]);
        let key = "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution";
        values.pin(key, apart, "one agent on each node");
    }
    if moment == Moment::Staged {
        let labelled = json!([{ "matchExpressions": [{ "key": AGENT_LABEL, "operator": "Exists" }] }]);
        let key = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
        values.set(key, labelled, "agents only where a node is in work or done");
    }
    if moment.is_in_a_run() || moment == Moment::Held {
        values.set("updateStrategy.type", "OnDelete", "no agent restarts by itself while a run lasts");
        values.set("updateStrategy.rollingUpdate", Value::Null, "belongs to the other strategy");
    } else {
        values.pin("updateStrategy.type", "RollingUpdate", "agents restart one after the other");
        let why = "one node at a time is without agent: new pods wait there for it (the default is 2)";
        values.set("updateStrategy.rollingUpdate.maxUnavailable", 1, why);
    }
}

#[cfg(test)]
mod tests;
