//! Facts: from a live cluster, a snapshot, or manifests.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ovncilium_cluster::{Access, KubeCluster, SystemClock, helm};
use ovncilium_core::facts::intent::{Action, Intent};
use ovncilium_core::facts::manifests::{self, Places};
use ovncilium_core::facts::{Facts, Known, Source, Subject, file};
use ovncilium_core::ids::{NodeName, RunId};
use ovncilium_core::plan::migrate::{CHAINED_CONF, NoPlan, check_permissions};
use ovncilium_core::{Digest, ExitCode};
use ovncilium_engine::collect;
use ovncilium_engine::node_task::TaskSettings;
use ovncilium_engine::world::{Clock, Cluster};

use super::{connection as connect, files};
use crate::cli::Connection;
use crate::failure::Failure;

/// Where Cilium is looked for unless something else is said.
pub const RELEASE_NAMESPACE: &str = "kube-system";

/// Facts of the cluster that the flags name; with `nodes` also those that only a pod on each node can read.
///
/// # Errors
/// No connection, no answer.
pub fn live(
    connection: &Connection,
    nodes: bool,
    helm: Option<&Path>,
    release_namespace: &str,
) -> Result<Facts, Failure> {
    let access = connect::resolve(connection)?;
    let cluster = KubeCluster::connect(&access)?;
    let mut facts = collect(&cluster, &access, helm, release_namespace)?;
    if nodes {
        look_at_nodes(&mut facts, &cluster)?;
    }
    Ok(facts)
}

/// Node tier: a short-lived read-only pod on each node.
///
/// # Errors
/// No clock; not exactly one Kube-OVN.
pub fn look_at_nodes(facts: &mut Facts, cluster: &KubeCluster) -> Result<(), Failure> {
    let clock = SystemClock::new().map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
    look_with(facts, cluster, &clock)
}

/// As [`look_at_nodes`], of any cluster.
///
/// # Errors
/// Not exactly one Kube-OVN.
pub fn look_with(facts: &mut Facts, cluster: &dyn Cluster, clock: &dyn Clock) -> Result<(), Failure> {
    let installation = match facts.kube_ovn.value.as_result() {
        Ok(kube_ovn) => kube_ovn.the_one().map_err(NoPlan::from)?,
        Err(_) => return Ok(()),
    };
    let Some(nodes) = facts.nodes.value.known() else { return Ok(()) };
    let names: Vec<NodeName> = nodes.items.iter().map(|node| NodeName(node.name.clone())).collect();
    let settings = TaskSettings {
        namespace: installation.namespace.clone(),
        image: installation.cni.image.clone(),
        image_pull_secrets: installation.cni.image_pull_secrets.clone(),
        conf_dir: installation.cni.conf_dir.clone(),
    };
    let run = RunId(Digest::of(connect::holder()).short());
    let (conflists, node_os) = collect::nodes::probe(cluster, clock, &settings, &names, &run);
    let now = clock.now();
    facts.conflists = Subject::known(conflists, now);
    facts.node_os = Subject::known(node_os, now);
    Ok(())
}

/// Facts of a cluster that is connected, api tier, and the helm beside us.
///
/// # Errors
/// No answer.
pub fn collect(
    cluster: &KubeCluster,
    access: &Access,
    helm: Option<&Path>,
    release_namespace: &str,
) -> Result<Facts, Failure> {
    let now = Timestamp::now();
    let options = collect::Options {
        context: access.context().map(str::to_owned),
        release_namespace: release_namespace.to_owned(),
        now,
    };
    let mut facts = collect::collect(cluster, &options)?;
    facts.tools = Subject::known(helm::tools(helm), now);
    Ok(facts)
}

/// Namespace of the one Kube-OVN: where journal and lock live. Nowhere else is a journal looked for, since who may write there
/// could bring the cluster down anyway.
///
/// # Errors
/// Kube-OVN could not be read, there is none, or more than one.
pub fn kube_ovn_namespace(facts: &Facts) -> Result<String, Failure> {
    let kube_ovn = match facts.kube_ovn.value.as_result() {
        Ok(kube_ovn) => kube_ovn,
        Err(reason) => {
            // What may not be read is better told as what must be allowed.
            check_permissions(facts)?;
            return Err(NoPlan::Unknown { subject: "kube-ovn", reason: reason.to_owned() }.into());
        }
    };
    Ok(kube_ovn.the_one().map_err(NoPlan::from)?.namespace.clone())
}

/// Facts of a snapshot file.
///
/// # Errors
/// Torn, of a newer schema, or no snapshot at all.
pub fn from_file(path: &Path) -> Result<Facts, Failure> {
    file::read_from(files::open(path)?).map_err(|error| {
        let next = error.next_step();
        let mut failure = Failure::of(ExitCode::Usage, &error, Some(next));
        failure.message = format!("{}: {}", path.display(), failure.message);
        failure
    })
}

/// Facts of manifests: the `texts` of files (also install scripts), directories (their YAML and JSON files), or stdin, that were
/// named by `paths`; and where objects stand.
///
/// # Errors
/// A file that is no manifest.
pub fn from_manifests(
    paths: &[PathBuf],
    texts: &[(String, Vec<u8>)],
    now: Timestamp,
) -> Result<(Facts, Places), Failure> {
    let inputs: Vec<manifests::File<'_>> =
        texts.iter().map(|(name, content)| manifests::File { name, content }).collect();
    let read = manifests::read(&inputs).map_err(|error| {
        let next = error.next_step();
        Failure::of(ExitCode::Usage, &error, Some(next))
    })?;
    let source = Source::Manifests { paths: paths.iter().map(|path| path.display().to_string()).collect() };
    let mut facts = read.facts(source, now);
    facts.tools = Subject::unknown("manifests do not tell which helm will be used");
    Ok((facts, read.places))
}

/// Say what is asked for. A migration turns network policy and load balancing off itself, at its safe moment.
pub fn set_intent(facts: &mut Facts, action: Action, version: Option<String>, pool: &[String], now: Timestamp) {
    let known = match &facts.intent.value {
        Known::Known(intent) => intent.clone(),
        Known::Unknown(_) => Intent::default(),
    };
    facts.intent = Subject::known(
        Intent {
            action,
            cilium_version: version.or(known.cilium_version),
            cluster_pool: if pool.is_empty() { known.cluster_pool } else { pool.to_vec() },
            turns_network_policy_off: true,
            turns_load_balancer_off: true,
            conf_name: CHAINED_CONF.to_owned(),
        },
        now,
    );
}
