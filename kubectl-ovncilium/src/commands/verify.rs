//! `verify`: hold what a migration has made against the cluster. Writes nothing.

use ovncilium_cluster::KubeCluster;
use ovncilium_core::facts::Facts;
use ovncilium_core::journal::State;
use ovncilium_core::report::VerifyReport;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_engine::journal::Store;

use super::json;
use crate::cli::{Connection, Output, Verify};
use crate::failure::Failure;
use crate::input::{connection as connect, facts};
use crate::ui;

/// Read, compare and tell.
pub fn run(args: &Verify, connection: &Connection) -> Result<ExitCode, Failure> {
    let (facts, left) = match &args.facts {
        Some(file) => (facts::from_file(file)?, Vec::new()),
        None => {
            let access = connect::resolve(connection)?;
            let cluster = KubeCluster::connect(&access)?;
            let mut facts = facts::collect(&cluster, &access, None, facts::RELEASE_NAMESPACE)?;
            let left = recorded(&cluster, &facts)?;
            if args.nodes {
                facts::look_at_nodes(&mut facts, &cluster)?;
            }
            (facts, left)
        }
    };
    let report = VerifyReport::new(&facts, &left);
    match args.output {
        Output::Text => ui::data(&report.text(&ui::Colour)),
        Output::Json => ui::data(&json(&report)?),
    }
    Ok(report.exit())
}

/// Pods that stay without endpoint on purpose, as the plan that was carried out has them. What is half done cannot be verified.
fn recorded(cluster: &KubeCluster, facts: &Facts) -> Result<Vec<String>, Failure> {
    let namespace = facts::kube_ovn_namespace(facts)?;
    match Store::new(cluster, &namespace).load()? {
        None => Ok(Vec::new()),
        Some(loaded) if loaded.journal.header.state == State::Done => Ok(loaded.plan.settings.leave),
        Some(_) => Err(Failure::new(
            ExitCode::Paused,
            "a run is recorded and not finished: what it makes cannot be verified yet",
            NextStep::Command("kubectl ovncilium status".to_owned()),
        )),
    }
}
