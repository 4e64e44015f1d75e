//! What helm's storage says of a release, and what becomes of one that a killed helm left behind.

use std::time::{Duration, Instant};

use ovncilium_engine::world::{ChartsError, ClusterError, Heartbeat, Release};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::HelmCli;
use super::process;
use super::record::{Record, RecordError};

/// Pause between two looks at a release that is being changed.
const LOOK: Duration = Duration::from_secs(1);
/// Every state; Helm 4 has no `--all`, and Helm 3 shows only some without.
const ALL_STATES: [&str; 6] =
    ["--deployed", "--failed", "--pending", "--superseded", "--uninstalled", "--uninstalling"];

#[derive(Deserialize)]
struct Listed {
    name: String,
    revision: String,
    status: String,
    chart: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    config: Option<Map<String, Value>>,
    /// `ssa` or `csa` since Helm 4; absent for releases of Helm 3.
    #[serde(default)]
    apply_method: String,
}

/// A release, and how its objects were applied.
pub(super) struct Found {
    pub(super) release: Release,
    pub(super) by_server: bool,
}

/// Looks at the newest revision.
pub(super) fn find(helm: &HelmCli, release: &str, namespace: &str) -> Result<Option<Found>, ChartsError> {
    let filter = format!("^{release}$");
    let mut args = vec!["list", "--namespace", namespace, "--filter", &filter, "--output", "json"];
    args.extend(ALL_STATES);
    let listed: Vec<Listed> = json(&helm.run(&args)?, "list")?;
    let Some(found) = listed.into_iter().find(|found| found.name == release) else { return Ok(None) };
    let revision: u32 = found.revision.parse().map_err(|_| unread("list", "the revision is no number"))?;
    let args = ["status", release, "--namespace", namespace, "--revision", &found.revision, "--output", "json"];
    let status: Status = json(&helm.run(&args)?, "status")?;
    Ok(Some(Found {
        release: Release {
            revision,
            status: found.status,
            chart_version: chart_version(&found.chart),
            values: Value::Object(status.config.unwrap_or_default()),
        },
        by_server: status.apply_method == "ssa",
    }))
}

/// Brings a release into a state from which `helm upgrade --install` goes on, and returns it.
///
/// A pending revision is what a killed helm leaves, or what a helm that still runs is working on: the latter is given time.
/// Then its record is marked as failed, as helm itself does when it is interrupted: helm goes on from there, and the record of what
/// was made is never away, so that a removal still finds it. A removal that was not finished is finished.
pub(super) fn settle(
    helm: &HelmCli,
    release: &str,
    namespace: &str,
    beat: &mut Heartbeat<'_>,
) -> Result<Option<Found>, ChartsError> {
    // One round does it, unless somebody else is at work on the release as well.
    for _ in 0..5 {
        let Some(found) = await_end(helm, release, namespace, beat)? else { return Ok(None) };
        match found.release.status.as_str() {
            status if is_pending(status) => give_up(helm, release, namespace, &found.release)?,
            "uninstalling" | "uninstalled" => {
                uninstall(helm, release, namespace, beat)?;
            }
            _ => return Ok(Some(found)),
        }
    }
    Err(unread("upgrade", &format!("release `{release}` does not come to rest: is another helm at work on it?")))
}

/// Brings a release of somebody else out of a pending revision that our own helm left; one that is at rest is not touched.
pub(super) fn settle_pending(
    helm: &HelmCli,
    release: &str,
    namespace: &str,
    beat: &mut Heartbeat<'_>,
) -> Result<(), ChartsError> {
    match await_end(helm, release, namespace, beat)? {
        Some(found) if is_pending(&found.release.status) => give_up(helm, release, namespace, &found.release),
        _ => Ok(()),
    }
}

/// `helm uninstall`, without looking first.
///
/// # Errors
/// [`ChartsError::Failed`].
pub(super) fn uninstall(
    helm: &HelmCli,
    release: &str,
    namespace: &str,
    beat: &mut Heartbeat<'_>,
) -> Result<(), ChartsError> {
    process::run_with(&helm.on_cluster(&["uninstall", release, "--namespace", namespace])?, beat).map(|_| ())
}

/// Waits until nothing is pending, or long enough to say that whoever began it is gone.
pub(super) fn await_end(
    helm: &HelmCli,
    release: &str,
    namespace: &str,
    beat: &mut Heartbeat<'_>,
) -> Result<Option<Found>, ChartsError> {
    let started = Instant::now();
    loop {
        let Some(found) = find(helm, release, namespace)? else { return Ok(None) };
        let patient = started.elapsed() < helm.options.pending_patience;
        if !is_pending(&found.release.status) || !patient || is_old(helm, release, namespace, found.release.revision) {
            return Ok(Some(found));
        }
        beat().map_err(|why| unread("upgrade", &why))?;
        std::thread::sleep(LOOK);
    }
}

fn is_pending(status: &str) -> bool {
    status.starts_with("pending-")
}

/// Whether a revision is older than any helm of ours may run.
fn is_old(helm: &HelmCli, release: &str, namespace: &str, revision: u32) -> bool {
    let Some(cluster) = &helm.options.cluster else { return false };
    let Ok(Some(record)) = Record::read(cluster, release, namespace, revision) else { return false };
    record.age().is_some_and(|age| age > helm.options.time_limit)
}

/// Marks a pending revision as failed.
fn give_up(helm: &HelmCli, name: &str, namespace: &str, release: &Release) -> Result<(), ChartsError> {
    let Some(cluster) = &helm.options.cluster else {
        return Err(stuck(name, namespace, release, "no cluster was given"));
    };
    let record = Record::read(cluster, name, namespace, release.revision)
        .map_err(|error| stuck(name, namespace, release, &error.to_string()))?;
    match record.map(|record| record.mark_failed(cluster)) {
        // Gone, done, or changed by a helm that was alive after all: the next look tells.
        None
        | Some(Ok(()) | Err(RecordError::Cluster(ClusterError::Conflict { .. } | ClusterError::NotFound { .. }))) => {
            Ok(())
        }
        Some(Err(error)) => Err(stuck(name, namespace, release, &error.to_string())),
    }
}

fn stuck(name: &str, namespace: &str, release: &Release, why: &str) -> ChartsError {
    let Release { revision, status, .. } = release;
    unread(
        "upgrade",
        &format!(
            "release `{name}` was left {status} at revision {revision}, and its record cannot be corrected ({why}): run `helm \
             rollback {name} --namespace {namespace}`, or `helm uninstall` if it is the first revision"
        ),
    )
}

/// `1.18.0-rc.1` of `cilium-1.18.0-rc.1`.
fn chart_version(chart: &str) -> String {
    chart
        .match_indices('-')
        .map(|(at, _)| &chart[at + 1..])
        .find(|rest| semver::Version::parse(rest.trim_start_matches('v')).is_ok())
        .unwrap_or_else(|| chart.rsplit_once('-').map_or(chart, |(_, rest)| rest))
        .to_owned()
}

fn json<T: serde::de::DeserializeOwned>(output: &[u8], command: &str) -> Result<T, ChartsError> {
    serde_json::from_slice(output).map_err(|error| unread(command, &format!("its answer cannot be read: {error}")))
}

fn unread(command: &str, message: &str) -> ChartsError {
    ChartsError::Failed { command: command.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_version_off_a_chart_whose_name_has_dashes() {
        for (chart, version) in [
            ("cilium-1.18.12", "1.18.12"),
            ("cilium-1.20.0-rc.1", "1.20.0-rc.1"),
            ("my-cilium-1.14.19", "1.14.19"),
            ("cilium-v1.16.0", "v1.16.0"),
            ("odd", "odd"),
        ] {
            assert_eq!(chart_version(chart), version);
        }
    }
}
