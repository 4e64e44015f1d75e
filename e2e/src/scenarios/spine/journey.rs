//! The whole way with one helm and one chart: check, plan, migrate, status, rollback; then what the audit log proves.

use std::time::Duration;

use ovncilium_core::plan::{Kind, Write};

use super::super::oracle::{intents, order, plans, recycled};
use super::{
    Stage, gate,
    program::{Call, Helm, temporary},
    teller::Teller,
    town::Town,
};
use crate::{
    audit::Audit,
    error::{Error, Result},
    objects::{Snapshot, diff},
    verdict::expect,
    wait::{self, Seen},
};

/// On a loaded machine.
const RUN: Duration = Duration::from_secs(600);
/// How long controllers may take to remove what was deleted.
pub(super) const STILL: Duration = Duration::from_secs(90);

/// Where the parts of the log end.
#[derive(Default)]
struct Parts {
    begun: usize,
    migrated: usize,
    rolled_back: usize,
}

/// Plays the journey of `helm`; `published` is the chart's version, `own` that of the project's own in its place.
pub(super) fn play(stage: &Stage<'_>, (helm, published, own): (Helm, &str, &str), tell: &Teller) {
    let (chart, version) = stage.charts.get(published, own);
    let chart = chart.to_string_lossy().into_owned();
    tell.note(&format!("chart {version}"));
    let Some(town) = tell.timed("cluster_is_at_work", || Town::start(stage.tools, 4, helm as u64 + 1)) else { return };
    let Some(before) = tell.run("objects_stand_still", || town.plane.settled_objects()) else { return };
    let files = town.configurations();
    let Some(dir) = tell.run("has_a_directory", temporary) else { return };
    let plan_file = dir.path().join("plan.json").to_string_lossy().into_owned();
    // One journey names its helm, the other finds it on PATH.
    let named = stage.program.helm_path(helm).to_string_lossy().into_owned();
    let by_name: &[&str] = if helm == Helm::Three { &["--helm", &named] } else { &[] };
    let call = |args: &[&str]| -> Result<Call> {
        let call = town.call(stage.program, args)?;
        Ok(if by_name.is_empty() { call.with_helm(stage.program, helm) } else { call })
    };
    let with = |command: &[&str], rest: &[&str]| call(&[command, &["--chart", &chart], by_name, rest].concat());

    let mut parts = Parts::default();
    tell.timed("check_agrees", || town.quietly(|| with(&["check"], &["-o", "json"])?.run()?.ended_with(&[0])));
    let Some(writes) = tell.timed("plan_has_changes_pending", || {
        let args = ["--soak", "0", "-o", "json", "--out", &plan_file];
        let output = town.quietly(|| with(&["plan"], &args)?.run()?.ended_with(&[8]))?;
        listed(&output.json()?)
    }) else {
        return;
    };
    let migrated = tell.timed("migrates", || {
        parts.begun = town.audit()?.len();
        // One journey runs a saved plan, the other makes its own.
        let args = if helm == Helm::Three { vec!["--plan", &plan_file] } else { vec!["--soak", "0"] };
        with(&["migrate", "--yes"], &args)?.within(RUN).run()?.ended_with(&[0])?;
        parts.migrated = town.audit()?.len();
        Ok(())
    });
    tell.timed("status_is_told_from_the_cluster_alone", || {
        let status = || call(&["status", "-o", "json"])?.on_a_fresh_machine()?.run()?.ended_with(&[0]);
        town.quietly(status)?.json()
    });
    if migrated.is_none() {
        return;
    }
    tell.run("every_pod_is_chained_and_nothing_temporary_is_left", || town.is_chained());
    gate::allows_after_the_migration(stage, &town, helm, &chart, tell);
    tell.timed("rolls_back", || {
        call(&[&["rollback", "--yes"], by_name].concat())?.within(RUN).run()?.ended_with(&[7])?;
        parts.rolled_back = town.audit()?.len();
        Ok(())
    });
    tell.run("objects_are_as_before", || unchanged(&town, &before));
    tell.run("nodes_load_what_they_loaded_before", || {
        let now = town.configurations();
        expect(files == now, || format!("before: {files:?}\nafter: {now:?}"))
    });
    tell.run("actors_had_no_trouble", || town.actors_had_no_trouble());
    if let Some(audit) = tell.run("audit_log_is_complete", || town.audit()) {
        verdict(&audit, &parts, &writes, tell);
    }
}

/// The list of writes that `plan -o json` shows.
pub(super) fn listed(shown: &serde_json::Value) -> Result<Vec<Write>> {
    let list = shown.pointer("/plan/writes").or_else(|| shown.get("writes")).cloned().unwrap_or_default();
    let writes: Vec<Write> = serde_json::from_value(list).map_err(Error::json("the writes of plan -o json"))?;
    expect(writes.len() > 10, || format!("only {} writes are listed", writes.len()))?;
    Ok(writes)
}

/// The objects are those of `before`, once controllers have removed what was deleted (a namespace takes a while).
///
/// # Errors
/// [`Error::Timeout`] with every difference.
pub(super) fn unchanged(town: &Town, before: &Snapshot) -> Result<()> {
    town.await_all_ready()?;
    wait::until("the objects are as they were before", STILL, || {
        let differences = diff(before, &town.plane.settled_objects()?);
        Ok(if differences.is_empty() { Seen::Ready(()) } else { Seen::NotYet(differences.join("\n")) })
    })
}

fn verdict(audit: &Audit, parts: &Parts, writes: &[Write], tell: &Teller) {
    let all = audit.until(parts.rolled_back);
    let migration = audit.until(parts.migrated);
    let since_begun = migration.since(parts.begun);
    tell.note(&format!(
        "{} changes migrating, {} going back",
        intents::announced_changes(&since_begun),
        intents::announced_changes(&all.since(parts.migrated))
    ));
    tell.proves("every_change_has_its_intent_before_it", &all, intents::unannounced);
    tell.proves("nothing_outside_the_plan_is_written", &since_begun, |audit| plans::unlisted(audit, writes));
    tell.run("nothing_outside_the_rollback_plan_is_written", || {
        let plan = plans::stored(&all, Kind::Rollback)?;
        let wrong = plans::unlisted(&all.since(parts.migrated), &plan.writes);
        expect(wrong.is_empty(), || wrong.join("\n"))
    });
    tell.proves("network_policy_goes_off_after_the_last_endpoint", &migration, |audit| order::hand_over(audit, &[]));
    tell.proves("audit_mode_frames_the_chaining", &migration, |audit| order::audit_mode(audit, &[]));
    tell.proves("every_pod_is_recycled_at_most_once", &migration, |audit| recycled::too_often(audit, parts.begun));
}
