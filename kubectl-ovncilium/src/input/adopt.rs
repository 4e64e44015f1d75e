//! What a takeover looks at besides the facts of the API: the nodes, the release as helm has it, and values of it that stay.

use ovncilium_cluster::{Access, KubeCluster};
use ovncilium_core::facts::Facts;
use ovncilium_core::facts::cilium::Installation;
use ovncilium_core::plan::adopt::{self, Adopting, FoundRelease};
use ovncilium_core::plan::migrate::{self, NoPlan};
use ovncilium_engine::{Charts, kube_ovn_release};
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
    let adopting = release(charts, &facts)?;
    let choices = charts_of::choices(chart, choose, Some(adopting.clone()));
    let own_values = match (migrate::settings(&facts, &charts.chart()?, &choices), &adopting.release) {
        (Ok(settings), Some(found)) => adopt::own_values(found, &settings).map_err(NoPlan::from)?,
        // Why there are no settings is told when the plan is made.
        _ => Value::Null,
    };
    Ok(Taken { facts, adopting, own_values })
}

/// The release that the agents' DaemonSet names.
///
/// # Errors
/// Helm gave no answer.
pub fn release(charts: &dyn Charts, facts: &Facts) -> Result<Adopting, Failure> {
    let named = agents(facts).and_then(|found| Some((found.release.as_deref()?, found.namespace.as_str())));
    let Some((name, namespace)) = named else { return Ok(Adopting { release: None }) };
    let found = charts.release(name, namespace)?;
    Ok(Adopting { release: found.map(FoundRelease::from) })
}

fn agents(facts: &Facts) -> Option<&Installation> {
    facts.cilium.value.known()?.installation.as_ref()
}
