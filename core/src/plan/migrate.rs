//! The plan that brings Cilium in, layout `beside`.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::Facts;
use crate::facts::kube_ovn::Installation;
use crate::facts::permissions::Permission;
use crate::facts::workloads::Pod;
use crate::outcome::NextStep;

use super::action::{AGENT_LABEL, CHAIN_CONFIG, Chain, ENFORCE_CONFIG, ENFORCE_LABEL, Moment};
use super::adopt::{self, Adopting, NotAdoptable};
use super::build::{
    ask, asked_around, back, bare, chain_config, cluster_stage, enforce_config, forward, labels, no_labels, node_stage,
    phase, step,
};
use super::consequences;
use super::drift::{self, Held, Standing};
use super::fate::{self, Fate};
use super::kube_proxy::NoReplacement;
use super::object::ObjectRef;
use super::start::{self, Start};
use super::values::{ChartRefused, check_chart};
use super::waves::{by_wave, waves};
use super::{
    Action, ChartRef, Driver, Guard, Kind, ModulePin, Phase, Plan, PlannedNode, ReleaseStage, Settings, writes,
};
pub use crate::values::cluster::CHAINED_CONF;
use crate::values::cluster::{KUBE_OVN_NETWORK, devices, tunnel_device};
use crate::values::pool::{self, NoPool};

/// What the operator may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// Helm release of Cilium.
    pub release: String,
    /// Its namespace.
    pub release_namespace: String,
    /// Ranges of Cilium's cluster-pool; chosen from free ones when empty.
    pub cluster_pool: Vec<String>,
    /// Number of nodes side by side, at most.
    pub wave_limit: u32,
    /// Seconds to watch between waves.
    pub soak_seconds: u32,
    /// Pods without owner (or told never to recycle) that may stay without endpoint, as `namespace/name`.
    pub leave: Vec<String>,
    /// Digest of the operator's own chart values.
    pub own_values: Option<crate::Digest>,
    /// Take over the Cilium that is there.
    pub adopt: Option<Adopting>,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            release: "cilium".to_owned(),
            release_namespace: "kube-system".to_owned(),
            cluster_pool: Vec::new(),
            wave_limit: 4,
            soak_seconds: 10,
            leave: Vec::new(),
            own_values: None,
            adopt: None,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// A fact it needs is unknown.
    #[error("no plan: {subject} is unknown: {reason}")]
    Unknown {
        /// The subject.
        subject: &'static str,
        /// Why.
        reason: String,
    },
    /// Not exactly one Kube-OVN.
    #[error(transparent)]
    KubeOvn(#[from] crate::facts::kube_ovn::NotOne),
    /// The chart cannot be used.
    #[error(transparent)]
    Chart(#[from] ChartRefused),
    /// Kube-OVN's own release cannot be upgraded without changing more than its two switches.
    #[error("no plan: Kube-OVN is owned by Helm release {release}: {why}")]
    Release {
        /// Namespace and name.
        release: String,
        /// What stands against it.
        why: String,
    },
    /// Cilium, or something of it, is there, and no run of ours is recorded.
    #[error("no plan: {start}")]
    NotClean {
        /// What was found.
        start: Start,
    },
    /// What is there is not taken over.
    #[error("no plan: {0}")]
    NotAdoptable(#[from] NotAdoptable),
    /// Cilium serves Services, and could not go on alone.
    #[error(transparent)]
    Services(#[from] NoReplacement),
    /// Nothing is left to do.
    #[error("nothing to do: every node is chained already")]
    AlreadyChained,
    /// A release of ours is there, and not as a run leaves it: to mend it is no migration.
    #[error("no plan: every node is chained already, and this has drifted: {}", drifted.join(", "))]
    Drifted {
        /// Ids, as `verify` tells them.
        drifted: Vec<&'static str>,
    },
    /// IPv6 and dual stack do not work behind the chain (kube-ovn#6681, cilium#32003).
    #[error("no plan: only IPv4 is supported, and these subnets are not: {}", subnets.join(", "))]
    NotIpv4 {
        /// Their names, with what they are.
        subnets: Vec<String>,
    },
    /// Requests that the current user may not make.
    #[error("no plan: {} permissions are missing: {}", missing.len(), missing.join("; "))]
    NotAllowed {
        /// What is missing, and for what.
        missing: Vec<String>,
    },
    /// Nodes that do not answer cannot be cut over.
    #[error("no plan: {} not ready: {}", if nodes.len() == 1 { "a node is" } else { "nodes are" }, nodes.join(", "))]
    NodesNotReady {
        /// Their names.
        nodes: Vec<String>,
    },
    /// Pods that nobody would make again.
    #[error("no plan: {} would never get an endpoint, because nothing makes them again: {}", if pods.len() == 1 { "a pod" } else { "pods" }, pods.join(", "))]
    PodsWithoutOwner {
        /// `namespace/name`.
        pods: Vec<String>,
    },
    /// No range is free.
    #[error("no plan: {0}")]
    NoPool(#[from] NoPool),
}

impl NoPlan {
    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Unknown { .. } => NextStep::Command("kubectl ovncilium check".to_owned()),
            Self::KubeOvn(error) => error.next_step(),
            Self::Chart(_) => NextStep::Edit("give `--chart` a package of chart cilium 1.16 to 1.20".to_owned()),
            Self::Release { release, .. } => {
                let (namespace, name) = release.split_once('/').unwrap_or(("", release));
                NextStep::Edit(format!(
                    "bring release and cluster together (`helm status {name} -n {namespace}`, `helm upgrade` by its owner): docs/runbook.md, \
                     \"Kube-OVN installed by Helm, Argo CD or Flux\""
                ))
            }
            Self::NotClean { start } => start.next_step(),
            Self::NotAdoptable(error) => error.next_step(),
            Self::Services(error) => error.next_step(),
            Self::AlreadyChained => NextStep::Command("kubectl ovncilium status".to_owned()),
            Self::Drifted { .. } => NextStep::Command("kubectl ovncilium verify --nodes".to_owned()),
            Self::NotIpv4 { .. } => NextStep::Read("docs/runbook.md, \"Before\"".to_owned()),
            Self::NotAllowed { .. } => {
                NextStep::Edit("ask for these permissions, or use a user who has them (`--context`, `--as`)".to_owned())
            }
            Self::NodesNotReady { .. } => NextStep::Edit("repair or remove these nodes".to_owned()),
            Self::PodsWithoutOwner { pods } => NextStep::Edit(format!(
                "delete them (a static pod: its file), or accept that they stay outside Cilium's policy: {}",
                pods.iter().map(|pod| format!("--leave {pod}")).collect::<Vec<_>>().join(" ")
            )),
            Self::NoPool(_) => NextStep::Edit("name a free range with `--cluster-pool CIDR`".to_owned()),
        }
    }
}

/// Whether a pod is one that must get an endpoint: it has its own address and runs or will run.
pub fn wants_endpoint(pod: &Pod) -> bool {
    !pod.host_network && matches!(pod.phase.as_str(), "Running" | "Pending")
}

/// What becomes of a pod.
pub fn fate(pod: &Pod) -> Fate {
    fate::of(&pod.owner_kind, pod.on_delete, pod.recycle.as_deref())
}

/// Whether a plan for this chart and this cluster is possible at all; what the policies need not be asked about.
///
/// # Errors
/// [`NoPlan`] for a chart that cannot be used, or not exactly one Kube-OVN.
pub fn check(facts: &Facts, chart: &ChartRef) -> Result<(), NoPlan> {
    check_chart(chart)?;
    if let Some(kube_ovn) = facts.kube_ovn.value.known() {
        kube_ovn.the_one()?;
    }
    Ok(())
}

/// What the steps need to know, from facts and choices.
///
/// # Errors
/// [`NoPlan`] when a fact is unknown or the cluster is not one we can plan for.
pub fn settings(facts: &Facts, chart: &ChartRef, choices: &Choices) -> Result<Settings, NoPlan> {
    let kube_ovn = facts.kube_ovn.value.as_result().map_err(|reason| unknown("kube-ovn", reason))?;
    let installation = kube_ovn.the_one()?;
    let nodes = facts.nodes.value.as_result().map_err(|reason| unknown("nodes", reason))?;
    if tunnel_device(installation).is_none() {
        let reason = format!("network type `{}`, of which the device is not known", installation.cni.network_type);
        return Err(unknown("kube-ovn", &reason));
    }
    let settings = Settings {
        namespace: installation.namespace.clone(),
        chart: chart.clone(),
        release: choices.release.clone(),
        release_namespace: choices.release_namespace.clone(),
        conf_dir: installation.cni.conf_dir.clone(),
        plain_conf: installation.cni.conf_name.clone(),
        chained_conf: CHAINED_CONF.to_owned(),
        network: KUBE_OVN_NETWORK.to_owned(),
        node_image: installation.cni.image.clone(),
        image_pull_secrets: installation.cni.image_pull_secrets.clone(),
        devices: devices(installation, &[]).0,
        cluster_pool: cluster_pool(facts, &choices.cluster_pool)?,
        nat_gateways: facts.networks.value.known().is_some_and(|networks| !networks.nat_gateways.is_empty()),
        node_count: u32::try_from(nodes.items.len()).unwrap_or(u32::MAX),
        wave_limit: choices.wave_limit,
        soak_seconds: choices.soak_seconds,
        controller: installation.controller.name.clone(),
        controller_container: installation.controller.container_name.clone(),
        controller_flags_in: installation.controller.flags_in.clone(),
        controller_flags_before: installation.controller.flags_list.clone(),
        driver: driver(installation)?,
        leave: choices.leave.clone(),
        on_delete: facts.workloads.value.known().map(|workloads| on_delete(&workloads.pods)).unwrap_or_default(),
        own_values: choices.own_values,
        adopted: None,
        kube_proxy: None,
    };
    match &choices.adopt {
        None => Ok(settings),
        Some(adopting) => adopt::complete(settings, facts, chart, adopting, &choices.cluster_pool),
    }
}

/// The plan.
///
/// # Errors
/// [`NoPlan`] says why there is none and what to do.
pub fn migrate(
    facts: &Facts,
    chart: &ChartRef,
    chart_objects: &[ObjectRef],
    choices: &Choices,
    modules: Vec<ModulePin>,
    now: jiff::Timestamp,
) -> Result<Plan, NoPlan> {
    check_chart(chart)?;
    let settings = settings(facts, chart, choices)?;
    let installation = facts.kube_ovn.value.as_result().map_err(|reason| unknown("kube-ovn", reason))?.the_one()?;
    refuse_other_families(facts)?;
    match &settings.adopted {
        None => must_be_clean(facts)?,
        Some(_) => adopt::refuse_foreign_owner(&settings, installation)?,
    }
    let nodes = facts.nodes.value.as_result().map_err(|reason| unknown("nodes", reason))?;
    let not_ready: Vec<String> = nodes.items.iter().filter(|n| !n.ready).map(|n| n.name.clone()).collect();
    if !not_ready.is_empty() {
        return Err(NoPlan::NodesNotReady { nodes: not_ready });
    }
    let workloads = facts.workloads.value.as_result().map_err(|reason| unknown("workloads", reason))?;
    if let Some(reason) = &workloads.strategies_unknown {
        return Err(unknown("workloads", reason));
    }
    let cilium = facts.cilium.value.as_result().map_err(|reason| unknown("cilium", reason))?;
    let concerned: Vec<&Pod> = adopt::uncovered(&workloads.pods, cilium).collect();
    let stuck: Vec<String> = concerned
        .iter()
        .filter(|pod| fate(pod) == Fate::Stays)
        .map(|pod| format!("{}/{}", pod.namespace, pod.name))
        .filter(|pod| !settings.leave.contains(pod))
        .collect();
    if !stuck.is_empty() {
        return Err(NoPlan::PodsWithoutOwner { pods: stuck });
    }
    let planned = waves(&nodes.items, settings.wave_limit);
    let phases = match &settings.adopted {
        None => phases(&settings, installation, &planned),
        Some(adopted) => adopt::phases(&settings, adopted, installation, &planned),
    };
    let mut consequences = consequences::of_pods(&concerned, &workloads.network_policies);
    consequences.extend(consequences::forgotten(&chart.version, &workloads.pods));
    consequences.extend(adopt::consequences(&settings, facts, installation, choices.adopt.as_ref()));
    consequences.extend(settings.driver.notice(&off(installation)));
    let mut plan = bare(Kind::Migrate, facts, settings, modules, now);
    plan.nodes = planned;
    plan.phases = phases;
    plan.consequences = consequences;
    plan.writes = writes::of(&plan, chart_objects);
    Ok(plan)
}

/// UID of the cluster, empty when the facts do not come from one.
pub fn cluster_uid(facts: &Facts) -> String {
    match &facts.source {
        crate::facts::Source::Live { cluster, .. } => cluster.clone(),
        _ => String::new(),
    }
}

pub(super) fn unknown(subject: &'static str, reason: &str) -> NoPlan {
    NoPlan::Unknown { subject, reason: reason.to_owned() }
}

/// Every request of a migration must be allowed before the first one is made. Facts without answers (a plan from a snapshot
/// made elsewhere) are no reason to refuse: the cluster will.
///
/// # Errors
/// [`NoPlan::NotAllowed`].
pub fn check_permissions(facts: &Facts) -> Result<(), NoPlan> {
    let Some(permissions) = facts.permissions.value.known() else { return Ok(()) };
    all_allowed(permissions.items.iter().filter(|item| !item.allowed))
}

/// No request is missing.
///
/// # Errors
/// [`NoPlan::NotAllowed`] with those that are.
pub fn all_allowed<'p>(missing: impl Iterator<Item = &'p Permission>) -> Result<(), NoPlan> {
    let words = |item: &Permission| {
        let group = if item.group.is_empty() { String::new() } else { format!(".{}", item.group) };
        let place = if item.namespace.is_empty() { String::new() } else { format!(" in {}", item.namespace) };
        format!("{} {}{group}{place} ({})", item.verb, item.resource, item.needed_for)
    };
    let missing: Vec<String> = missing.map(words).collect();
    if missing.is_empty() { Ok(()) } else { Err(NoPlan::NotAllowed { missing }) }
}

fn refuse_other_families(facts: &Facts) -> Result<(), NoPlan> {
    let networks = facts.networks.value.as_result().map_err(|reason| unknown("networks", reason))?;
    let subnets: Vec<String> = networks
        .subnets
        .iter()
        .filter(|subnet| !matches!(subnet.protocol.as_str(), "" | "IPv4"))
        .map(|subnet| format!("{} ({})", subnet.name, subnet.protocol))
        .collect();
    if subnets.is_empty() { Ok(()) } else { Err(NoPlan::NotIpv4 { subnets }) }
}

/// Who turns the flags off; whoever it is, where nothing is left to turn off.
fn driver(installation: &Installation) -> Result<Driver, NoPlan> {
    if off(installation).is_empty() { Ok(Driver::Manifest) } else { Driver::of(installation) }
}

/// The switches that are still on, and off.
fn off(installation: &Installation) -> BTreeMap<String, String> {
    let controller = &installation.controller;
    let on = [("enable-np", controller.enable_np), ("enable-lb", controller.enable_lb)];
    on.into_iter().filter(|(_, on)| *on).map(|(flag, _)| (flag.to_owned(), "false".to_owned())).collect()
}

/// A migration begins where no Cilium is.
fn must_be_clean(facts: &Facts) -> Result<(), NoPlan> {
    match start::of(facts)? {
        Start::Clean => Ok(()),
        Start::Settled => Err(chained_already(facts)),
        start => Err(NoPlan::NotClean { start }),
    }
}

/// What is said of a cluster whose release writes our file.
pub(super) fn chained_already(facts: &Facts) -> NoPlan {
    // Pods may be left without endpoint on purpose: the recorded plan knows, which only `verify` reads.
    let is_wrong = |one: &Held| one.standing == Standing::Drifted && one.id != drift::ENDPOINTS;
    let drifted: Vec<&str> = drift::held(facts, &[]).iter().filter(|one| is_wrong(one)).map(|one| one.id).collect();
    if drifted.is_empty() { NoPlan::AlreadyChained } else { NoPlan::Drifted { drifted } }
}

/// Ranges for Cilium's own addresses: those that were `given`, else the first of ours that nothing known overlaps.
///
/// # Errors
/// [`NoPlan::Unknown`] when the ranges in use are not known, [`NoPlan::NoPool`] when none is free or one cannot be read.
pub fn cluster_pool(facts: &Facts, given: &[String]) -> Result<Vec<String>, NoPlan> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let addresses = facts.addresses.value.as_result().map_err(|reason| unknown("addresses", reason))?;
    let nodes = facts.nodes.value.known().map_or(1, |nodes| u32::try_from(nodes.items.len()).unwrap_or(u32::MAX));
    Ok(pool::choose(addresses, nodes)?)
}

fn phases(settings: &Settings, installation: &Installation, nodes: &[PlannedNode]) -> Vec<Phase> {
    let all: Vec<&PlannedNode> = nodes.iter().collect();
    let waves = by_wave(nodes);
    let first: Vec<&PlannedNode> = waves.first().cloned().unwrap_or_default();
    let rest = waves.get(1..).unwrap_or_default();
    vec![
        phase(
            0,
            "claim",
            "look at every node, take the lock, open the journal",
            "nothing",
            vec![node_stage("look at every node", "claim", &all, 0, || {
                vec![Action::ProveConf { chain: Chain::Plain }]
            })],
        ),
        phase(
            1,
            "install",
            "install Cilium in audit mode; no agent runs yet",
            "nothing",
            vec![cluster_stage(
                "release",
                vec![
                    step("install", Action::SetRelease { stage: ReleaseStage::Staged }),
                    step("install", chain_config(settings)),
                ],
            )],
        ),
        phase(
            2,
            "canary",
            "cut one node over, go back, and forward again",
            "only the canary pod",
            vec![
                node_stage("forward", "canary", &first, 0, forward),
                node_stage("back", "canary-back", &first, 0, back),
                node_stage("agent off", "canary-off", &first, 0, || {
                    vec![labels(&[(AGENT_LABEL, None)]), Action::AwaitNoAgent]
                }),
                node_stage("forward again", "canary-again", &first, settings.soak_seconds, forward),
            ],
        ),
        phase(
            3,
            "cut-over",
            "cut the other nodes over in waves",
            "nothing; new pods are chained",
            rest.iter()
                .enumerate()
                .map(|(index, wave)| {
                    node_stage(&format!("wave {}", index + 1), "cut-over", wave, settings.soak_seconds, forward)
                })
                .collect(),
        ),
        phase(
            4,
            "recycle",
            "have every old pod made again, under its budgets",
            "each old pod restarts once",
            waves
                .iter()
                .enumerate()
                .map(|(index, wave)| {
                    node_stage(&format!("wave {index}"), "recycle", wave, 0, || {
                        vec![Action::Recycle { chain: Chain::Chained }]
                    })
                })
                .chain([cluster_stage("coverage", vec![step("recycle", Action::AwaitCoverage)])])
                .collect(),
        ),
        phase(
            5,
            "enforce",
            "review what would be dropped; then switch from audit to enforcement, node by node",
            "policy as before, now by Cilium",
            [
                node_stage("review", "enforce", &all, 0, || vec![Action::ReviewDrops]),
                cluster_stage(
                    "release",
                    vec![
                        step("enforce", Action::SetRelease { stage: ReleaseStage::Everywhere }),
                        step("enforce", enforce_config()),
                    ],
                ),
            ]
            .into_iter()
            .chain(waves.iter().enumerate().map(|(index, wave)| {
                node_stage(&format!("wave {index}"), "enforce", wave, 0, || {
                    vec![labels(&[(ENFORCE_LABEL, Some("true"))]), Action::RestartAgent, Action::AwaitEnforcement]
                })
            }))
            .collect(),
        ),
        phase(
            6,
            "hand-over",
            "turn Kube-OVN's network policy and load balancer off",
            "pod creation pauses for seconds",
            hand_over(settings, installation, &all),
        ),
        phase(
            7,
            "settle",
            "the values that stay; labels and temporary objects away; verify",
            "nothing",
            vec![
                cluster_stage("release", vec![step("settle", Action::SetRelease { stage: ReleaseStage::Settled })]),
                cluster_stage(
                    "temporary objects",
                    vec![
                        step("settle/enforce", Action::RemoveNodeConfig { name: ENFORCE_CONFIG.to_owned() }),
                        step("settle/chain", Action::RemoveNodeConfig { name: CHAIN_CONFIG.to_owned() }),
                    ],
                ),
                node_stage("labels", "settle", &all, 0, || vec![no_labels()]),
                cluster_stage("verify", vec![step("settle", Action::Verify { chain: Chain::Chained })]),
            ],
        ),
    ]
}

/// Owners whose pods only their operator restarts, as `Kind namespace/name`.
fn on_delete(pods: &[Pod]) -> Vec<String> {
    let owners = pods.iter().filter(|pod| wants_endpoint(pod) && pod.on_delete);
    let names = owners.map(|pod| format!("{} {}/{}", pod.owner_kind, pod.namespace, pod.owner_name));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn hand_over(settings: &Settings, installation: &Installation, all: &[&PlannedNode]) -> Vec<super::Stage> {
    let flags = off(installation);
    let mut steps = vec![step("hand-over", Action::AwaitCoverage)];
    if !flags.is_empty() {
        let mut set = step("hand-over", settings.driver.action(flags));
        set.guard = Guard::ControllerFlags { flags: installation.controller.flags_list.clone() };
        steps.push(set);
    }
    let controller = cluster_stage("kube-ovn-controller", steps);
    if !installation.controller.enable_lb {
        return vec![controller];
    }
    // Until now Kube-OVN has answered pods; a node was always answered by who is left to.
    asked_around(controller, all, Moment::Before, ask)
}

/// The first of a list, and how many more there are.
pub(super) fn named(list: &[String]) -> String {
    const SHOWN: usize = 20;
    let more = list.len().saturating_sub(SHOWN);
    let shown = list[..list.len().min(SHOWN)].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
