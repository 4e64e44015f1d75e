//! What a takeover looks at besides the facts of the API: the nodes, the release as helm has it, and values of it that stay.

use ovncilium_cluster::{Access, KubeCluster};
use ovncilium_core::facts::Facts;
use ovncilium_core::facts::cilium::Installation;
use ovncilium_core::plan::adopt::{self, Adopting, FoundRelease};
use ovncilium_core::plan::migrate::{self, NoPlan};
use ovncilium_engine::{Charts, Cluster, kube_ovn_release, kube_proxy};
use serde_json::Value;

use super::{chart as charts_of, facts};
use crate::cli::{Chart, Choose};
use crate::failure::Failure;

/// What was found.
pub struct Taken {
    /// Facts of both tiers.
    pub facts: Facts,
    /// The release.
    pub adopting: Adopting,
    /// Its values that stay, as [`Charts::own_values`] has them.
    pub own_values: Value,
}

/// Looks at the nodes and asks helm. Pods that look are removed again; nothing else is written.
///
/// # Errors
/// No answer of the cluster or helm; values that cannot stay.
pub fn look(
    mut facts: Facts,
    cluster: &KubeCluster,
    access: &Access,
    charts: &dyn Charts,
    chart: &Chart,
    choose: &Choose,
) -> Result<Taken, Failure> {
    // What we may do was asked for the namespace that was named; the release may be in another one.
    if let Some(elsewhere) = agents(&facts).map(|found| found.namespace.clone())
        && elsewhere != choose.release_namespace
    {
        facts = facts::collect(cluster, access, chart.helm.as_deref(), &elsewhere)?;
    }
    facts::look_at_nodes(&mut facts, cluster)?;
    kube_ovn_release::read_into(&mut facts, cluster, charts);
    let adopting = ask(charts, cluster, &facts, choose)?;
    let choices = charts_of::choices(chart, choose, Some(adopting.clone()));
    let own_values = match (migrate::settings(&facts, &charts.chart()?, &choices), &adopting.release) {
        (Ok(settings), Some(found)) => adopt::own_values(found, &settings).map_err(NoPlan::from)?,
        // Why there are no settings is told when the plan is made.
        _ => Value::Null,
    };
    Ok(Taken { facts, adopting, own_values })
}

/// The release that the agents' DaemonSet names, and kube-proxy.
///
/// # Errors
/// Helm or the cluster gave no answer.
pub fn ask(charts: &dyn Charts, cluster: &dyn Cluster, facts: &Facts, choose: &Choose) -> Result<Adopting, Failure> {
    let named = agents(facts).and_then(|found| Some((found.release.as_deref()?, found.namespace.as_str())));
    let release = match named {
        Some((name, namespace)) => charts.release(name, namespace)?.map(FoundRelease::from),
        None => None,
    };
    Ok(Adopting { release, kube_proxy: kube_proxy::look(cluster)?, api_server: choose.api_server.clone() })
}

fn agents(facts: &Facts) -> Option<&Installation> {
    facts.cilium.value.known()?.installation.as_ref()
}
