//! Values of the Cilium chart for each stage of a run: a function of the plan's settings alone, made by [`crate::values`].
//!
//! Layout `beside`: `customConf` without a ConfigMap makes the agents write nothing by themselves; a CiliumNodeConfig (and
//! in the end `extraConfig`) names the file, which sorts before Kube-OVN's.

use std::collections::BTreeMap;

use serde_json::Value;

use super::action::ReleaseStage;
use super::{ChartRef, Settings};
use crate::compat::cilium::{Chart, Layout};
use crate::compat::{UnknownVersion, cilium_minor};
use crate::values::{AGENT_CONF_DIR, Cluster, Moment, chart_values};

/// Values of the chart for `stage`.
///
/// # Errors
/// When the chart's version is not known.
pub fn values(settings: &Settings, stage: ReleaseStage) -> Result<Value, UnknownVersion> {
    // What will be written may not be guessed.
    cilium_minor(&settings.chart.version)?;
    let chart = Chart::of(&settings.chart.version)?;
    let moment = match stage {
        ReleaseStage::Staged => Moment::Staged,
        ReleaseStage::Everywhere => Moment::Everywhere,
        ReleaseStage::Held => Moment::Held,
        ReleaseStage::Settled => Moment::Settled,
    };
    Ok(chart_values(&chart, &Cluster::of(settings), Layout::Beside, moment).whole())
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

/// Whether a plan can be made for this chart at all.
///
/// # Errors
/// When the version is unknown or cannot chain beside Kube-OVN's file.
pub fn check_chart(chart: &ChartRef) -> Result<(), ChartRefused> {
    if chart.name != "cilium" {
        return Err(ChartRefused::NotCilium { name: chart.name.clone() });
    }
    let minor = cilium_minor(&chart.version)?;
    if minor.can_be_planned() {
        Ok(())
    } else {
        Err(ChartRefused::CannotChainBeside { version: chart.version.clone() })
    }
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
