//! Stories played on a real control plane, one file each.

mod charts;
mod control_plane;
mod migrate;
mod node;
mod oracle;
mod plugin;
mod replace;
mod replace_legacy;
mod spine;
mod takeover;
mod takeover_replaced;
mod way_back;

use std::io::Write;

use crate::{
    lab::{Stock, commands},
    tools::Tools,
    verdict::Tests,
};

/// A story: it says for itself what it needs, plays it, and reports through [`Tests`].
pub struct Scenario {
    pub name: &'static str,
    /// One line for the list.
    pub about: &'static str,
    play: Play,
}

/// Where a story is played.
enum Play {
    /// On control planes of its own, on loopback.
    OnLoopback(fn(&Tools, &mut Tests<'_>)),
    /// In a lab, inside its namespaces.
    InALab(fn(Stock, &mut Tests<'_>)),
}

impl Scenario {
    /// Plays the story; true when every test passed, or the machine cannot have a lab and the story wants one.
    pub fn play(&self, tools: &Tools, out: &mut dyn Write) -> bool {
        match self.play {
            Play::OnLoopback(play) => {
                let mut tests = Tests::new(self.name, out);
                play(tools, &mut tests);
                tests.finish()
            }
            Play::InALab(play) => match commands::stock_inside() {
                Some(stock) => {
                    let mut tests = Tests::new(self.name, out);
                    if let Some(stock) = tests.run("has_its_stock", || stock) {
                        play(stock, &mut tests);
                    }
                    tests.finish()
                }
                None => commands::play_inside(self.name, tools, out),
            },
        }
    }
}

/// Every scenario, in the order in which `all` plays them.
pub const ALL: &[Scenario] = &[
    charts::SCENARIO,
    control_plane::SCENARIO,
    migrate::SCENARIO,
    node::SCENARIO,
    plugin::SCENARIO,
    replace::SCENARIO,
    replace_legacy::SCENARIO,
    spine::SCENARIO,
    takeover::SCENARIO,
    takeover_replaced::SCENARIO,
    way_back::SCENARIO,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_this_folder_is_registered_under_its_name() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenarios");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().replace('_', "-"))
            .filter(|name| name != "mod" && name != "oracle")
            .collect();
        files.sort();
        let mut names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        assert_eq!(names, files);
    }
}
