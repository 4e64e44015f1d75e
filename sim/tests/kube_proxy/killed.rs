//! A process that dies at any of its writes.

use std::time::Duration;

use ovncilium_core::journal::State;
use ovncilium_core::plan::{Kind, lint};
use ovncilium_engine::run::Ended;
use ovncilium_sim::{Fault, When};

use super::support::*;

/// Kill a run at some of its writes, let the next process finish it, and compare.
fn killed(seed: u64, back: bool, every: usize, offset: usize) {
    let start = || {
        let sim = migrated(seed);
        if back {
            let plan = replacement(&sim).unwrap();
            assert_eq!(process(&sim, Some(&plan)), Ok(Ended::Done));
        }
        let plan = if back { way_back(&sim) } else { replacement(&sim).unwrap() };
        (sim, plan)
    };
    let (whole, plan) = start();
    let first = whole.store().writes();
    assert_eq!(process(&whole, Some(&plan)), Ok(Ended::Done));
    let total = whole.store().writes() - first;
    assert!(total > 60, "{total} writes");
    let wanted = state(&whole);
    let mut kills = 0;
    for index in (0..total).filter(|index| index % every == offset) {
        let when = if index % 2 == 0 { When::Before } else { When::After };
        let (sim, plan) = start();
        sim.store().set_fault(Some(Fault::kill(first + index, when)));
        let ended = process(&sim, Some(&plan));
        if sim.store().killed() {
            kills += 1;
            assert!(ended.is_err(), "killed at write {index}, but ended {ended:?}");
            sim.revive();
            sim.store().set_fault(None);
            let loaded = recorded(&sim);
            let again = match (loaded.journal.header.kind == plan.kind, loaded.journal.header.state) {
                // Before the header was written the run did not exist.
                (false, _) => process(&sim, Some(&if back { way_back(&sim) } else { replacement(&sim).unwrap() })),
                (true, State::Done) => Ok(Ended::Done),
                (true, _) => process(&sim, None),
            };
            assert_eq!(again, Ok(Ended::Done), "killed {when:?} write {index}");
        }
        same(&wanted, &sim, &format!("killed {when:?} write {index}"));
        always_served(&sim);
    }
    assert!(kills > 5, "{kills} kills");
}

#[test]
fn killed_at_its_writes_the_next_run_completes_it() {
    // Two threads: each kill is a cluster of its own.
    std::thread::scope(|scope| {
        let other = scope.spawn(|| killed(32, false, 9, 4));
        killed(32, false, 9, 0);
        other.join().unwrap();
    });
}

#[test]
fn killed_at_its_writes_the_way_back_is_completed() {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| killed(33, true, 15, 7));
        killed(33, true, 15, 0);
        other.join().unwrap();
    });
}

#[test]
fn killed_in_the_middle_the_way_back_leads_to_what_was() {
    let whole = migrated(34);
    let wanted = state(&whole);
    let plan = replacement(&whole).unwrap();
    let first = whole.store().writes();
    assert_eq!(process(&whole, Some(&plan)), Ok(Ended::Done));
    let total = whole.store().writes() - first;
    for index in (20..total).step_by(23) {
        let sim = migrated(34);
        let plan = replacement(&sim).unwrap();
        sim.store().set_fault(Some(Fault::kill(first + index, When::After)));
        assert!(process(&sim, Some(&plan)).is_err());
        sim.revive();
        sim.store().set_fault(None);
        assert_eq!(recorded(&sim).plan.kind, Kind::ReplaceKubeProxy);
        let back = way_back(&sim);
        assert_eq!(lint::lint(&back), vec![], "killed at write {index}");
        assert_eq!(process(&sim, Some(&back)), Ok(Ended::Done), "killed at write {index}");
        sim.pass_time(Duration::from_secs(60));
        same(&wanted, &sim, &format!("killed at write {index}"));
        always_served(&sim);
    }
}
