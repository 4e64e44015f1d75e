//! Back from every phase: the process dies there, and a rollback makes nodes and objects what they were before it began.

use std::{thread, time::Duration};

use super::{Before, Part, Stage, Town};
use crate::{
    error::{Error, Result},
    lab::Stock,
    scenarios::oracle::{OPERATOR, journal},
    verdict::{Tests, expect},
};

/// Every phase of a migration that changes something, from number 1 on; number 0, `claim`, only looks.
const PHASES: [&str; 7] = ["install", "canary", "cut_over", "recycle", "enforce", "hand_over", "settle"];
/// The process dies when it has made this many changes in the phase: its first step is under way.
const CHANGES: usize = 3;
const POLL: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(600);

pub(in crate::scenarios) fn play(stock: Stock, tests: &mut Tests<'_>) {
    if let Some(stage) = super::begin(stock, tests) {
        stage.back_from_every_phase(tests);
    }
}

impl Stage {
    fn back_from_every_phase(&self, tests: &mut Tests<'_>) {
        let open = tests.run("the_policy_lets_nodes_in", || Town::let_nodes_in(self.lab.control_plane.api(), true));
        let before = open.and_then(|()| tests.run("nodes_and_objects_stand_still", || Before::take(&self.lab)));
        let Some(before) = before else { return };
        let mut parts: Vec<Part> = Vec::new();
        for (number, phase) in (1..).zip(PHASES) {
            let part = self.part(tests, phase, &format!("rolls_back_from_{phase}"), || {
                self.die_in(number)?;
                self.run(&["rollback", "--yes"], 7)
            });
            let Some(part) = part else { break };
            parts.push(part);
            tests.run(&format!("objects_are_as_before_{phase}"), || self.objects_are(&before));
            tests.run(&format!("nodes_are_as_before_{phase}"), || self.nodes_are(&before));
        }
        tests.run("every_phase_was_played", || {
            expect(parts.len() == PHASES.len(), || format!("{} of {}", parts.len(), PHASES.len()))
        });
        self.judge(tests, &parts);
    }

    /// A migration that is killed in this phase, in the midst of its work.
    fn die_in(&self, phase: u8) -> Result<()> {
        let reached = || Ok(journal::header(self.lab.control_plane.api())?.map(|header| header.phase));
        let args = self.migrate();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut running = self.call(&args)?.start()?;
        self.poll(&format!("the run is in phase {phase}"), || {
            let seen = reached()?;
            if running.has_ended() {
                return Err(Error::Expectation(format!("it ended in phase {seen:?} before phase {phase}")));
            }
            Ok(seen.is_some_and(|seen| seen >= phase))
        })?;
        let mut tail = self.lab.control_plane.audit_tail()?;
        let mut made = 0;
        self.poll(&format!("{CHANGES} changes in phase {phase}"), || {
            made += tail.more()?.changes_by(OPERATOR).count();
            Ok(made >= CHANGES || running.has_ended())
        })?;
        running.kill();
        let died = reached()?;
        expect(died == Some(phase), || format!("it was to die in phase {phase}, and did in {died:?}"))
    }

    fn poll(&self, what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
        let mut left = LIMIT;
        while !look()? {
            left = left.saturating_sub(POLL);
            if left.is_zero() {
                let what = what.to_owned();
                return Err(Error::Timeout { what, seconds: LIMIT.as_secs(), last: "not yet".to_owned() });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}
