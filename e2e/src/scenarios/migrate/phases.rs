//! Back from every phase: the process dies there, and a rollback makes nodes and objects what they were before it began.
//!
//! `OVNCILIUM_WAY_BACK=canary,enforce` plays only these.

use std::{env, thread, time::Duration};

use super::{Before, Part, Stage, Town};
use crate::{
    error::{Error, Result},
    lab::{Iptables, Stock},
    scenarios::oracle::{OPERATOR, intents, journal},
    verdict::{Tests, expect},
};

/// Where each migration dies; number 0, `claim`, only looks. In order of the phases, from 1 on.
const DEATHS: [Death; 7] = [
    Death { phase: "install", step: "install/set-release", changes: 5, leaves: "a release that helm has half made" },
    Death { phase: "canary", step: "canary-off/label-node/", changes: 1, leaves: "an agent that is on its way out" },
    Death { phase: "cut_over", step: "cut-over/canary/", changes: 1, leaves: "two chained nodes and a canary" },
    Death {
        phase: "recycle",
        step: "recycle/recycle/",
        changes: 3,
        leaves: "some pods with an endpoint, some without",
    },
    Death { phase: "enforce", step: "enforce/restart-agent/", changes: 1, leaves: "one node that enforces" },
    Death {
        phase: "hand_over",
        step: "hand-over/set-controller-flags",
        changes: 1,
        leaves: "a controller that restarts",
    },
    Death { phase: "settle", step: "settle/enforce/remove-node-config", changes: 0, leaves: "the values that stay" },
];
const POLL: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(600);

/// The process dies in the midst of a step.
struct Death {
    phase: &'static str,
    /// How the step's id begins; the journal has its intent, and nobody has said that it ended.
    step: &'static str,
    /// So many changes of ours later.
    changes: usize,
    leaves: &'static str,
}

pub(in crate::scenarios) fn play(stock: Stock, tests: &mut Tests<'_>) {
    if let Some(stage) = super::begin(stock, Iptables::Nft, tests) {
        stage.back_from_every_phase(tests);
    }
}

/// The deaths to be died, with the numbers of their phases.
fn chosen() -> Result<Vec<(u8, &'static Death)>> {
    let only = env::var("OVNCILIUM_WAY_BACK").unwrap_or_default();
    let wanted: Vec<&str> = only.split(',').filter(|name| !name.is_empty()).collect();
    let all = || (1..).zip(&DEATHS);
    let is_known = |name: &&str| all().any(|(_, death)| death.phase == *name);
    expect(wanted.iter().all(is_known), || {
        format!("OVNCILIUM_WAY_BACK={only}: there are {:?}", DEATHS.each_ref().map(|death| death.phase))
    })?;
    Ok(all().filter(|(_, death)| wanted.is_empty() || wanted.contains(&death.phase)).collect())
}

impl Stage {
    fn back_from_every_phase(&self, tests: &mut Tests<'_>) {
        let open = tests.run("the_policy_lets_nodes_in", || Town::let_nodes_in(self.lab.control_plane.api(), true));
        let before = open.and_then(|()| tests.run("nodes_and_objects_stand_still", || Before::take(&self.lab)));
        let Some(before) = before else { return };
        let Some(deaths) = tests.run("phases_are_known", chosen) else { return };
        let mut parts: Vec<Part> = Vec::new();
        for (number, death) in &deaths {
            let number = *number;
            let phase = death.phase;
            tests.note(&format!("{phase}: dies in {}, and leaves {}", death.step.trim_end_matches('/'), death.leaves));
            let part = self.part(tests, phase, &format!("rolls_back_from_{phase}"), || {
                self.die(number, death)?;
                self.run(&["rollback", "--yes"], 7)
            });
            let Some(part) = part else { break };
            parts.push(part);
            tests.run(&format!("objects_are_as_before_{phase}"), || self.objects_are(&before));
            tests.run(&format!("nodes_are_as_before_{phase}"), || self.nodes_are(&before));
        }
        tests.run("every_phase_was_played", || {
            expect(parts.len() == deaths.len(), || format!("{} of {}", parts.len(), deaths.len()))
        });
        self.judge(tests, &parts, 0);
    }

    /// A migration that is killed in this phase, in the midst of the step.
    fn die(&self, phase: u8, death: &Death) -> Result<()> {
        let mut tail = self.lab.control_plane.audit_tail()?;
        let args = self.migrate();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut running = self.call(&args)?.start()?;
        let (mut begun, mut made) = (false, 0);
        self.poll(&format!("{} is in work", death.step), || {
            let news = tail.more()?;
            // What stands beside the intent may have been before it.
            made += if begun { news.changes_by(OPERATOR).count() } else { 0 };
            begun = begun || intents::begins(&news, death.step);
            Ok(running.has_ended() || (begun && made >= death.changes))
        })?;
        if running.has_ended() {
            let said = running.wait()?.said();
            return Err(Error::Expectation(format!("it ended before it could die in {}: {said}", death.step)));
        }
        running.kill();
        let died = journal::header(self.lab.control_plane.api())?.map(|header| header.phase);
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
