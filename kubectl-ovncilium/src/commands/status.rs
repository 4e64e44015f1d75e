//! `status`: where a run stands, from the cluster alone.

use ovncilium_cluster::KubeCluster;
use ovncilium_core::ExitCode;
use ovncilium_core::plan::Resource;
use ovncilium_core::plan::writes::LOCK;
use ovncilium_core::report::StatusReport;
use ovncilium_engine::Cluster as _;
use ovncilium_engine::journal::Store;

use super::json;
use crate::cli::{Connection, Output, Status};
use crate::failure::Failure;
use crate::input::{connection as connect, facts};
use crate::ui;

/// Read and tell.
pub fn run(args: &Status, connection: &Connection) -> Result<ExitCode, Failure> {
    let access = connect::resolve(connection)?;
    let cluster = KubeCluster::connect(&access)?;
    let mut facts = facts::collect(&cluster, &access, None, facts::RELEASE_NAMESPACE)?;
    let recorded = match facts::kube_ovn_namespace(&facts).ok() {
        Some(namespace) => {
            let lease = cluster.get(&Resource::LEASES.named(&namespace, LOCK))?;
            let holder = lease.as_ref().and_then(|lease| alive(lease, jiff::Timestamp::now()));
            Store::new(&cluster, &namespace).load()?.map(|loaded| (loaded, holder))
        }
        None => None,
    };
    if let Some((loaded, _)) = &recorded
        && loaded.plan.settings.release_namespace != facts::RELEASE_NAMESPACE
    {
        facts = facts::collect(&cluster, &access, None, &loaded.plan.settings.release_namespace)?;
    }
    let (loaded, holder) = recorded.map_or((None, None), |(loaded, holder)| (Some(loaded), holder));
    let report = StatusReport::new(loaded.as_ref().map(|l| (&l.journal, &l.plan)), holder, &facts);
    match args.output {
        Output::Text => ui::data(&report.text(&ui::Colour)),
        Output::Json => ui::data(&json(&report)?),
    }
    Ok(ExitCode::Done)
}

/// Seconds without renewal after which a holder counts as dead here; clocks of machines may differ somewhat.
const SILENCE: i64 = 60;

/// Who holds the lock, unless it was not renewed for a minute.
fn alive(lease: &serde_json::Value, now: jiff::Timestamp) -> Option<String> {
    let text = |pointer| lease.pointer(pointer).and_then(serde_json::Value::as_str);
    let renewed: jiff::Timestamp = text("/spec/renewTime")?.parse().ok()?;
    (now.duration_since(renewed).as_secs() < SILENCE).then(|| text("/spec/holderIdentity").map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::alive;

    #[test]
    fn a_holder_that_went_silent_holds_nothing() {
        let lease =
            serde_json::json!({ "spec": { "holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.000000Z" } });
        assert_eq!(alive(&lease, "2026-01-01T00:00:30Z".parse().unwrap()), Some("me".to_owned()));
        assert_eq!(alive(&lease, "2026-01-01T00:02:00Z".parse().unwrap()), None);
    }
}
