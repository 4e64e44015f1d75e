//! What a cluster asks of the values, read from its facts. What is not known is no value but an error.

use std::collections::BTreeSet;

use crate::compat::UnknownVersion;
use crate::compat::cilium::{Behaviour, Chart, Layout};
use crate::compat::kube_ovn;
use crate::facts::Facts;
use crate::facts::kube_ovn::{Installation, NotOne};
use crate::facts::workloads::Pod;
use crate::outcome::{ExitCode, NextStep};
use crate::plan::{ChartRef, KubeProxy, Settings};

use super::guide;
use super::pool::{self, NoPool};

/// Network name that Kube-OVN's conflist has in every version.
pub const KUBE_OVN_NETWORK: &str = "kube-ovn";
/// Sorts before `01-kube-ovn.conflist` and after `00-multus.conf`.
pub const CHAINED_CONF: &str = "01-cilium.conflist";
/// First kernel on which BPF host routing is used.
const HOST_ROUTING: (u64, u64) = (5, 10);

/// What a person may choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Ranges of Cilium's cluster-pool; chosen from free ones when empty.
    pub cluster_pool: Vec<String>,
    /// Uplinks of the nodes; what `--iface` of Kube-OVN says when empty.
    pub uplinks: Vec<String>,
    /// Host and port of the API server, where Cilium serves Services.
    pub api_server: Option<(String, String)>,
    /// Have Cilium serve Services although kube-proxy does; it needs the address.
    pub replace_kube_proxy: bool,
}

/// What a cluster asks of the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Name of the network that is chained.
    pub network: String,
    /// Directory of CNI configuration on the hosts.
    pub conf_dir: String,
    /// Kube-OVN's file in it.
    pub plain_conf: String,
    /// The chained file in it, layout `beside`.
    pub chained_conf: String,
    /// Devices that Cilium must see.
    pub devices: Vec<String>,
    /// The uplink was told by somebody; else `eth+` stands for it.
    pub uplink_known: bool,
    /// Ranges of Cilium's cluster-pool.
    pub cluster_pool: Vec<String>,
    /// Number of nodes.
    pub node_count: u32,
    /// A node's kernel is new enough for BPF host routing, or not known.
    pub host_routing: bool,
    /// There are NAT or egress gateways of Kube-OVN.
    pub nat_gateways: bool,
    /// Cilium serves Services here: host and port of the API server.
    pub api_server: Option<(String, String)>,
    /// Number of pods without endpoint, when it is known.
    pub unmanaged: Option<usize>,
    /// Cilium enforces already and every pod is managed: it goes on while a run lasts.
    pub enforces: bool,
}

/// Why there are no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoValues {
    /// A fact they depend on is unknown.
    #[error("no values: {subject} is unknown: {reason}")]
    Unknown {
        /// The subject.
        subject: &'static str,
        /// Why.
        reason: String,
    },
    /// Not exactly one Kube-OVN.
    #[error(transparent)]
    KubeOvn(#[from] NotOne),
    /// It is another chart.
    #[error("the chart is `{name}`, not `cilium`")]
    NotCilium {
        /// Its name.
        name: String,
    },
    /// The version of the chart has no row.
    #[error(transparent)]
    Chart(#[from] UnknownVersion),
    /// This Cilium writes no file beside Kube-OVN's.
    #[error("Cilium {version} cannot have layout {layout}: its agents write 05-cilium.conflist and nothing else")]
    Layout {
        /// Of the chart.
        version: String,
        /// What was asked for.
        layout: &'static str,
    },
    /// Kube-OVN cannot be told another name, so layout `guide` does not outlast its next restart.
    #[error(
        "layout guide does not last: {object} ({version}) writes {file} at every start and can be told no other name"
    )]
    NameIsBuiltIn {
        /// The DaemonSet.
        object: String,
        /// Version of Kube-OVN, in words.
        version: String,
        /// The file.
        file: String,
    },
    /// Runtimes would load Kube-OVN's file first, whatever agents write.
    #[error("layout beside does not chain: {file} of Kube-OVN sorts before {ours}, so that runtimes load it first")]
    SortsFirst {
        /// Kube-OVN's.
        file: String,
        /// The chained one.
        ours: String,
    },
    /// A tunnel whose device is not known.
    #[error("no values: the network type of {object} is `{network_type}`, and which device it makes is not known")]
    NetworkType {
        /// The DaemonSet.
        object: String,
        /// As it was told.
        network_type: String,
    },
    /// IPv6 and dual stack do not work behind the chain (kube-ovn#6681, cilium#32003).
    #[error("no values: only IPv4 is supported, and these subnets are not: {}", subnets.join(", "))]
    NotIpv4 {
        /// Their names, with what they are.
        subnets: Vec<String>,
    },
    /// No range is free, or the given one is not.
    #[error("no values: {0}")]
    Pool(#[from] NoPool),
    /// The chart takes one range, and the nodes need more.
    #[error("no values: chart {version} takes one range, and {nodes} nodes need {ranges}")]
    OneRange {
        /// Of the chart.
        version: String,
        /// Number of nodes.
        nodes: u32,
        /// Ranges that would be needed.
        ranges: usize,
    },
    /// Cilium serves Services, and the API server's address is not in the facts.
    #[error("no values: Cilium serves Services here ({object}), and the API server's own address is not known")]
    ApiServer {
        /// Cilium's DaemonSet.
        object: String,
    },
    /// Kube-OVN's file cannot be the base of the chain.
    #[error(transparent)]
    Conflist(#[from] guide::NoChain),
}

impl NoValues {
    /// How a command ends that could give none.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unknown { .. } | Self::Pool(NoPool::Unreadable { .. }) => ExitCode::CouldNotJudge,
            Self::NetworkType { .. } => ExitCode::CouldNotJudge,
            Self::KubeOvn(_) | Self::NotIpv4 { .. } | Self::NameIsBuiltIn { .. } | Self::SortsFirst { .. } => {
                ExitCode::Denied
            }
            Self::Conflist(guide::NoChain::Differs { .. }) => ExitCode::Denied,
            Self::Chart(_)
            | Self::NotCilium { .. }
            | Self::Layout { .. }
            | Self::Pool(_)
            | Self::OneRange { .. }
            | Self::ApiServer { .. }
            | Self::Conflist(_) => ExitCode::Usage,
        }
    }

    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Unknown { .. } => NextStep::Command("kubectl ovncilium check".to_owned()),
            Self::KubeOvn(error) => error.next_step(),
            Self::Chart(_) | Self::NotCilium { .. } => NextStep::Edit(
                "give `--chart` a package of chart cilium 1.10 or newer, or `--cilium-version`".to_owned(),
            ),
            Self::Layout { .. } => {
                NextStep::Edit("use `--layout guide`, or a chart of Cilium 1.14 or newer".to_owned())
            }
            Self::NameIsBuiltIn { .. } => NextStep::Edit(
                "use layout beside (Cilium 1.14 or newer), or upgrade Kube-OVN to 1.10 or newer first".to_owned(),
            ),
            Self::SortsFirst { .. } => NextStep::Edit(
                "have Kube-OVN write 01-kube-ovn.conflist, its default (CNI_CONFIG_PRIORITY, `--cni-conf-name`), and remove the file of \
                 the old name from every node; or use layout guide"
                    .to_owned(),
            ),
            Self::NetworkType { .. } => {
                NextStep::Edit("Kube-OVN knows geneve, vxlan and stt: correct `--network-type` of kube-ovn-cni".to_owned())
            }
            Self::NotIpv4 { .. } => NextStep::Read("docs/values.md, \"What is refused\"".to_owned()),
            Self::Pool(NoPool::Taken { .. } | NoPool::NoneFree { .. }) => {
                NextStep::Edit("name a free range with `--cluster-pool CIDR`".to_owned())
            }
            Self::Pool(NoPool::Unreadable { .. }) => NextStep::Edit("correct that object first".to_owned()),
            Self::OneRange { .. } => NextStep::Edit("name one larger free range with `--cluster-pool CIDR`".to_owned()),
            Self::ApiServer { .. } => NextStep::Edit(
                "give `--api-server HOST:PORT`, as the release has it in k8sServiceHost and k8sServicePort".to_owned(),
            ),
            Self::Conflist(error) => error.next_step(),
        }
    }
}

impl Cluster {
    /// What the facts say.
    ///
    /// # Errors
    /// [`NoValues`] when a fact is unknown or the cluster is not one that can be chained.
    pub fn read(facts: &Facts, chart: &Chart, choices: &Choices) -> Result<Self, NoValues> {
        let unknown = |subject, reason: &str| NoValues::Unknown { subject, reason: reason.to_owned() };
        let installation = installation(facts)?;
        let networks = facts.networks.value.as_result().map_err(|reason| unknown("networks", reason))?;
        let other = |protocol: &str| !matches!(protocol, "" | "IPv4");
        let subnets: Vec<String> = networks
            .subnets
            .iter()
            .filter(|subnet| other(&subnet.protocol))
            .map(|subnet| format!("{} ({})", subnet.name, subnet.protocol))
            .collect();
        if !subnets.is_empty() {
            return Err(NoValues::NotIpv4 { subnets });
        }
        let nodes = facts.nodes.value.as_result().map_err(|reason| unknown("nodes", reason))?;
        let node_count = u32::try_from(nodes.items.len()).unwrap_or(u32::MAX);
        if tunnel_device(installation).is_none() {
            let object = format!("daemonset {}/{}", installation.namespace, installation.cni.name);
            return Err(NoValues::NetworkType { object, network_type: installation.cni.network_type.clone() });
        }
        let (devices, uplink_known) = devices(installation, &choices.uplinks);
        Ok(Self {
            network: KUBE_OVN_NETWORK.to_owned(),
            conf_dir: installation.cni.conf_dir.clone(),
            plain_conf: installation.cni.conf_name.clone(),
            chained_conf: CHAINED_CONF.to_owned(),
            devices,
            uplink_known,
            cluster_pool: own_range(facts, chart, &choices.cluster_pool, node_count)?,
            node_count,
            host_routing: nodes.items.iter().any(|node| node.kernel.as_deref().is_none_or(routes_in_bpf)),
            nat_gateways: !networks.nat_gateways.is_empty(),
            api_server: api_server(facts, choices)?,
            unmanaged: unmanaged(facts),
            enforces: false,
        })
    }

    /// What a plan has found.
    pub fn of(settings: &Settings) -> Self {
        Self {
            network: settings.network.clone(),
            conf_dir: settings.conf_dir.clone(),
            plain_conf: settings.plain_conf.clone(),
            chained_conf: settings.chained_conf.clone(),
            devices: settings.devices.clone(),
            uplink_known: true,
            cluster_pool: settings.cluster_pool.clone(),
            node_count: settings.node_count,
            host_routing: true,
            nat_gateways: settings.nat_gateways,
            api_server: settings.kube_proxy.as_ref().and_then(KubeProxy::replaced_by),
            unmanaged: None,
            enforces: settings.adopted.as_ref().is_some_and(|adopted| adopted.enforces),
        }
    }

    /// Why these devices.
    pub(super) fn devices_why(&self) -> String {
        let why = "the uplink, ovn0 and Kube-OVN's tunnel device: answers of node ports come back through them";
        match self.uplink_known {
            true => why.to_owned(),
            false => format!("{why}; eth+ stands for an uplink that nobody has told: name it with `--uplink`"),
        }
    }
}

/// The one Kube-OVN.
///
/// # Errors
/// [`NoValues::Unknown`], [`NoValues::KubeOvn`].
pub fn installation(facts: &Facts) -> Result<&Installation, NoValues> {
    let kube_ovn = facts.kube_ovn.value.as_result();
    let kube_ovn = kube_ovn.map_err(|reason| NoValues::Unknown { subject: "kube-ovn", reason: reason.to_owned() })?;
    Ok(kube_ovn.the_one()?)
}

/// The layouts that a chart can have, held against what was asked for.
///
/// # Errors
/// [`NoValues::Layout`].
pub fn layout(chart: &Chart, wanted: Option<Layout>) -> Result<Layout, NoValues> {
    let possible = chart.row.layouts();
    match wanted {
        None => Ok(possible.first().copied().unwrap_or(Layout::Guide)),
        Some(layout) if possible.contains(&layout) => Ok(layout),
        Some(layout) => Err(NoValues::Layout { version: chart.version.to_string(), layout: layout.name() }),
    }
}

/// The device of Kube-OVN's tunnel; none for a type that no release has.
pub fn tunnel_device(installation: &Installation) -> Option<&'static str> {
    match installation.cni.network_type.as_str() {
        "geneve" => Some("genev_sys_6081"),
        "vxlan" => Some("vxlan_sys_4789"),
        "stt" => Some("stt_sys_7471"),
        _ => None,
    }
}

/// Devices Cilium must see: the uplinks, `ovn0` and the tunnel device; and whether the uplinks were told by somebody.
pub fn devices(installation: &Installation, uplinks: &[String]) -> (Vec<String>, bool) {
    // `--iface` is a list of names and regular expressions; only a prefix can be said to Cilium.
    let told: Vec<String> = match uplinks {
        [] => installation.cni.iface.iter().flat_map(|list| list.split(',')).filter_map(pattern).collect(),
        given => given.to_vec(),
    };
    let known = !told.is_empty();
    let uplinks = if known { told } else { vec!["eth+".to_owned()] };
    let own = ["ovn0"].into_iter().chain(tunnel_device(installation)).map(str::to_owned);
    (uplinks.into_iter().chain(own).collect(), known)
}

/// `eth0` as it is, `bond.*` as `bond+`; none for what Cilium has no words for.
fn pattern(iface: &str) -> Option<String> {
    let iface = iface.trim();
    let (name, any) = match iface.strip_suffix(".*").or_else(|| iface.strip_suffix('*')) {
        Some(prefix) => (prefix.trim_start_matches('^'), "+"),
        None => (iface, ""),
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c));
    is_name.then(|| format!("{name}{any}"))
}

fn own_range(facts: &Facts, chart: &Chart, given: &[String], nodes: u32) -> Result<Vec<String>, NoValues> {
    let addresses = facts.addresses.value.as_result();
    let addresses =
        addresses.map_err(|reason| NoValues::Unknown { subject: "addresses", reason: reason.to_owned() })?;
    let ranges = match given {
        [] => pool::choose(addresses, nodes)?,
        given => {
            pool::check(addresses, given)?;
            given.to_vec()
        }
    };
    if ranges.len() > 1 && !chart.reads("ipam.operator.clusterPoolIPv4PodCIDRList") {
        return Err(NoValues::OneRange { version: chart.version.to_string(), nodes, ranges: ranges.len() });
    }
    Ok(ranges)
}

/// The API server's address where nothing but Cilium serves Services.
fn api_server(facts: &Facts, choices: &Choices) -> Result<Option<(String, String)>, NoValues> {
    let services = facts.services.value.as_result();
    let services = services.map_err(|reason| NoValues::Unknown { subject: "services", reason: reason.to_owned() })?;
    if choices.replace_kube_proxy {
        return Ok(choices.api_server.clone());
    }
    let cilium = services.providers.iter().find(|provider| provider.kind == "cilium");
    match (services.kube_proxy().is_some(), cilium, &choices.api_server) {
        (false, Some(_), Some(address)) => Ok(Some(address.clone())),
        (false, Some(cilium), None) => Err(NoValues::ApiServer { object: cilium.object.clone() }),
        _ => Ok(None),
    }
}

/// Whether BPF host routing is used on a kernel (`uname -r`); what tells no version may be new.
fn routes_in_bpf(kernel: &str) -> bool {
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= HOST_ROUTING,
        _ => true,
    }
}

/// Pods that want an endpoint and have none: a join by name, not a difference of counts.
fn unmanaged(facts: &Facts) -> Option<usize> {
    let (workloads, cilium) = (facts.workloads.value.known()?, facts.cilium.value.known()?);
    let managed: BTreeSet<(&str, &str)> =
        cilium.endpoints.iter().map(|endpoint| (endpoint.namespace.as_str(), endpoint.name.as_str())).collect();
    let is_unmanaged = |pod: &&Pod| !managed.contains(&(pod.namespace.as_str(), pod.name.as_str()));
    Some(workloads.pods.iter().filter(|pod| crate::plan::migrate::wants_endpoint(pod)).filter(is_unmanaged).count())
}

/// What a person should know before the values are used, besides their reasons.
pub fn warnings(facts: &Facts, chart: &Chart, cluster: &Cluster, settled: bool) -> Vec<String> {
    let mut warnings: Vec<String> = chart.newer.iter().map(ToString::to_string).collect();
    if let Ok(installation) = installation(facts)
        && let Some(version) = &installation.version
        && let Ok(judged) = kube_ovn::nearest(version)
    {
        warnings.extend(judged.newer.map(|newer| newer.to_string()));
    }
    if chart.does(Behaviour::WritesRoutingModeTwice) {
        warnings.push(format!(
            "chart {} writes the key routing-mode twice, which some readers of YAML refuse; 1.14.3 does not",
            chart.version
        ));
    }
    if !cluster.uplink_known {
        warnings.push("the nodes' uplink is not known: eth+ stands for it; name it with `--uplink`".to_owned());
    }
    match cluster.unmanaged {
        Some(pods) if settled && pods > 0 => warnings.push(format!(
            "{pods} pods are not managed by Cilium yet: policies would drop their traffic; use these values when every pod has an endpoint"
        )),
        None if settled => {
            warnings.push("whether every pod is managed by Cilium is not known: pods or endpoints were not read".to_owned());
        }
        _ => {}
    }
    warnings
}

/// A chart that may be given values: Cilium's, of a known version or a newer one.
///
/// # Errors
/// [`NoValues::NotCilium`], [`NoValues::Chart`].
pub fn chart_of(reference: &ChartRef) -> Result<Chart, NoValues> {
    if reference.name != "cilium" {
        return Err(NoValues::NotCilium { name: reference.name.clone() });
    }
    Ok(Chart::of(&reference.version)?)
}
