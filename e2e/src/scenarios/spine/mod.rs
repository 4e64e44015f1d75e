//! The main job on a real control plane: check, plan, migrate, go back; killed, hindered, and judged by the audit log.
//!
//! Reading order: [`crate::program`] is the real binary, [`town`] a cluster at work, [`journey`] the whole way with one helm,
//! [`super::oracle`] what proves it, [`kills`] the same way with the power going off, [`owner`] a Kube-OVN that Helm owns, [`halfway`]
//! ways back and stops in the middle, [`takeover`] a cluster that was chained before, [`refusals`] what must not even begin, [`modules`] foreign
//! policies, [`gate`] and [`recorded`] the post-renderer. The stories run side by side, each on a control plane of its own,
//! since most of the time is waiting. `OVNCILIUM_SPINE=kills3,helm3` plays only these.

mod charts;
mod gate;
mod halfway;
mod journey;
mod kills;
mod modules;
mod owner;
mod recorded;
mod refusals;
mod takeover;
mod teller;
mod town;

use std::{env, sync::mpsc, thread, time::Instant};

use crate::{
    program,
    tools::Tools,
    verdict::{Tests, expect},
};
use charts::Charts;
pub(super) use program::{Helm, Program, temporary, write};
use teller::{Teller, Told};

pub(super) const SCENARIO: super::Scenario = super::Scenario {
    name: "spine",
    about: "check, plan, migrate and roll back for real, with helm 3 and 4; killed, hindered, and judged by the audit log",
    play: super::Play::OnLoopback(play),
};

/// The Cilium chart of each journey; the published package where it is at hand.
const JOURNEYS: [(Helm, &str, &str); 2] = [(Helm::Three, "1.18.12", "1.18.99"), (Helm::Four, "1.20.0", "1.20.99")];

/// What all stories share.
struct Stage<'a> {
    tools: &'a Tools,
    program: &'a Program,
    charts: &'a Charts,
}

/// One story: its name, and how it is played.
type Story = (&'static str, fn(&Stage<'_>, &Teller));

const STORIES: [Story; 10] = [
    ("helm3", |stage, tell| journey::play(stage, JOURNEYS[0], tell)),
    ("helm4", |stage, tell| journey::play(stage, JOURNEYS[1], tell)),
    ("owner3", |stage, tell| owner::play(stage, Helm::Three, tell)),
    ("owner4", |stage, tell| owner::play(stage, Helm::Four, tell)),
    ("kills3", |stage, tell| kills::play(stage, JOURNEYS[0], kills::SEEDS[0], tell)),
    ("kills4", |stage, tell| kills::play(stage, JOURNEYS[1], kills::SEEDS[1], tell)),
    ("halfway", halfway::play),
    ("refusals", refusals::play),
    ("takeover", takeover::play),
    ("renders", recorded::play),
];

fn play(tools: &Tools, tests: &mut Tests<'_>) {
    let Some(program) = tests.run("builds_the_program", || Program::build(tools)) else { return };
    let Some(charts) = tests.run("has_charts", || Charts::prepare(&program)) else { return };
    let stage = Stage { tools, program: &program, charts: &charts };
    let only = env::var("OVNCILIUM_SPINE").unwrap_or_default();
    let chosen = |name: &str| only.is_empty() || only.split(',').any(|one| one == name);
    let known = |one: &str| one.is_empty() || STORIES.iter().any(|(name, _)| *name == one);
    tests.run("knows_the_chosen_stories", || {
        expect(only.split(',').all(known), || {
            format!("OVNCILIUM_SPINE={only}: there are {:?}", STORIES.map(|(name, _)| name))
        })
    });
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for (name, story) in STORIES.iter().filter(|(name, _)| chosen(name)) {
            let (teller, stage) = (Teller::new(name, sender.clone()), &stage);
            scope.spawn(move || {
                let began = Instant::now();
                story(stage, &teller);
                teller.note(&format!("took {:.0} s in all", began.elapsed().as_secs_f64()));
            });
        }
        drop(sender);
        for told in receiver {
            match told {
                Told::Test { name, result } => drop(tests.run(&name, || result)),
                Told::Note(text) => tests.note(&text),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_of_this_folder_is_part_of_the_scenario() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenarios/spine");
        let source = include_str!("mod.rs");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(name == "mod" || source.contains(&format!("\nmod {name};\n")), "{name} is not registered");
        }
    }
}
