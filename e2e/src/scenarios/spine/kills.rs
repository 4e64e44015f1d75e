//! The power goes off at seeded points of a migration, and at one of the way back; whoever runs it again has an empty home. Two clusters,
//! side by side: after each death the next process waits for the lease of the dead one.

use std::{thread, time::Duration};

use ovncilium_core::plan::Kind;

use super::super::oracle::{OPERATOR, intents, journal, order, plans, recycled};
use super::{
    Stage,
    journey::unchanged,
    program::{Call, Helm},
    teller::Teller,
    town::Town,
};
use crate::{
    audit::Tail,
    error::{Error, Result},
    verdict::expect,
};

/// Changes which kills happen where, one for each cluster; fixed, so that a failure can be played again.
pub(super) const SEEDS: [u64; 2] = [20_261_188, 20_261_252];
const KILLS: usize = 5;
const KILLS_GOING_BACK: usize = 1;
/// A process makes at most this many more changes before it is killed: with the journal a run of three nodes makes about
/// 230, and the last kills are to fall into its last phases.
const MOST: u64 = 80;
const LIMIT: Duration = Duration::from_secs(600);

pub(super) fn play(stage: &Stage<'_>, (helm, version, substitute): (Helm, &str, &str), seed: u64, tell: &Teller) {
    let (chart, _) = stage.charts.get(version, substitute);
    let chart = chart.to_string_lossy().into_owned();
    let Some(town) = tell.timed("cluster_is_at_work", || Town::start(stage.tools, 3, 3)) else { return };
    let Some(before) = tell.run("objects_stand_still", || town.plane.settled_objects()) else { return };
    let mut random = Random(seed);
    let begun = town.audit().map_or(0, |audit| audit.len());
    let call = |args: &[&str]| -> Result<Call> { Ok(town.call(stage.program, args)?.with_helm(stage.program, helm)) };
    let migrate = |first: bool| -> Result<Call> {
        let with_chart = ["--chart", &chart, "--soak", "0"];
        let rest: &[&str] = if first { &with_chart } else { &[] };
        call(&[&["migrate", "--yes"], rest].concat())
    };
    let migrated = tell.timed("migrates_although_killed_five_times", || {
        let killed = survive(&town, &mut random, KILLS, &migrate, 0)?;
        tell.note(&format!("seed {seed}, killed after so many changes in these phases: {}", killed.join(", ")));
        expect(killed.len() == KILLS, || format!("the run ended after {} kills: {killed:?}", killed.len()))
    });
    if migrated.is_none() {
        return;
    }
    tell.run("the_end_is_that_of_an_unkilled_run", || town.is_chained());
    if let Some(audit) = tell.run("audit_log_is_complete", || town.audit()) {
        tell.proves("every_change_has_its_intent_before_it", &audit, intents::unannounced);
        tell.run("nothing_outside_the_plan_is_written", || {
            let plan = plans::stored(&audit, Kind::Migrate)?;
            let wrong = plans::unlisted(&audit, &plan.writes);
            expect(wrong.is_empty(), || wrong.join("\n"))
        });
        tell.proves("network_policy_goes_off_after_the_last_endpoint", &audit, |audit| order::hand_over(audit, &[]));
        tell.proves("audit_mode_frames_the_chaining", &audit, |audit| order::audit_mode(audit, &[]));
        tell.proves("every_pod_is_recycled_at_most_once", &audit, |audit| recycled::too_often(audit, begun));
    }
    let rollback = |_| call(&["rollback", "--yes"]);
    tell.timed("rolls_back_although_killed", || {
        let killed = survive(&town, &mut random, KILLS_GOING_BACK, &rollback, 7)?;
        tell.note(&format!("going back, killed after so many changes in these phases: {}", killed.join(", ")));
        expect(killed.len() == KILLS_GOING_BACK, || format!("the run ended after {} kills: {killed:?}", killed.len()))
    });
    tell.run("objects_are_as_before", || unchanged(&town, &before));
    tell.run("actors_had_no_trouble", || town.actors_had_no_trouble());
    if let Some(audit) = tell.run("audit_log_is_complete_at_the_end", || town.audit()) {
        tell.proves("every_change_back_has_its_intent_before_it", &audit, intents::unannounced);
    }
}

/// Runs the command, kills it, runs it again, until it was killed so often and then ended by itself with `code`.
/// Returns after how many changes each process was killed, and in which phase.
fn survive(
    town: &Town,
    random: &mut Random,
    kills: usize,
    call: &dyn Fn(bool) -> Result<Call>,
    code: i32,
) -> Result<Vec<String>> {
    let mut killed = Vec::new();
    loop {
        // Before the header of the journal is there, no run exists, and the command is the one that begins.
        let call = call(phase(town)?.is_none())?.on_a_fresh_machine()?.within(LIMIT);
        if killed.len() == kills {
            call.run()?.ended_with(&[code])?;
            return Ok(killed);
        }
        let after = 1 + random.next() % MOST;
        let mut tail = town.plane.audit_tail()?;
        let mut running = call.start()?;
        if changes(&mut tail, after, || running.has_ended())? < after {
            running.wait()?.ended_with(&[code])?;
            return Ok(killed);
        }
        running.kill();
        killed.push(format!("{after} in {}", phase(town)?.unwrap_or_else(|| "none".to_owned())));
    }
}

/// The phase in which the run is; `None` when no run was begun.
pub(super) fn phase(town: &Town) -> Result<Option<String>> {
    Ok(journal::header(town.api())?.map(|header| header.phase.to_string()))
}

/// Waits until the operator has made this many changes, or `ended`; how many were made.
fn changes(tail: &mut Tail, wanted: u64, mut ended: impl FnMut() -> bool) -> Result<u64> {
    let mut made = 0;
    let mut left = LIMIT;
    let pause = Duration::from_millis(15);
    loop {
        let over = ended();
        made += tail.more()?.changes_by(OPERATOR).count() as u64;
        if made >= wanted || over {
            return Ok(made);
        }
        left = left.saturating_sub(pause);
        if left.is_zero() {
            let what = format!("the operator has made {wanted} changes");
            return Err(Error::Timeout { what, seconds: LIMIT.as_secs(), last: format!("{made}") });
        }
        thread::sleep(pause);
    }
}

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
