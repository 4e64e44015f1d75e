//! The Helm plugin as people meet it, in Helms from 3.4 to the newest ([`helms`]): installed, called, refused; two clusters in one kubeconfig.
//!
//! Reading order: [`packages`] are what `cargo xtask dist` makes, [`machine`] a machine with one Helm and nothing of ours on it,
//! [`install`] puts the plugin there and takes it away, [`render`] judges a chart without a cluster, [`clusters`] are two real API
//! servers of which only the named one may be asked, [`wrong`] are programs that do not fit.

mod clusters;
mod install;
mod machine;
mod packages;
mod render;
mod wrong;

use crate::{
    error::Result,
    helms::{self, Helm},
    program::Program,
    tools::Tools,
    verdict::Tests,
};
use clusters::Clusters;
use machine::Machine;
use packages::Packages;

pub(super) const SCENARIO: super::Scenario = super::Scenario {
    name: "plugin",
    about: "the plugin in every Helm from 3.4 on: installed, called, refused; two API servers in one kubeconfig",
    play: super::Play::OnLoopback(play),
};

fn play(tools: &Tools, tests: &mut Tests<'_>) {
    let Some(program) = tests.run("builds_the_program", || Program::build(tools)) else { return };
    let Some(packages) = tests.run("makes_the_packages", || Packages::make(&program)) else { return };
    let Some(clusters) = tests.run("two_clusters_are_at_work", || Clusters::start(tools)) else { return };
    let Some(helms) = tests.run("has_its_helms", || helms::chosen(tools)) else { return };
    let newest = [helms.iter().rfind(|helm| helm.version.0 == 3), helms.last()];
    for helm in newest.into_iter().flatten() {
        let mut tell = Teller { helm, tests };
        wrong::play(&packages, helm, &mut tell);
    }
    for helm in &helms {
        let mut tell = Teller { helm, tests };
        let Some(machine) = tell.run("machine_is_made", || Machine::new(helm, &packages)) else { continue };
        install::play(&machine, &packages, &mut tell);
        render::play(&machine, &packages, &mut tell);
        clusters.play(&machine, &packages, &mut tell);
    }
    tests.run("actors_had_no_trouble", || clusters.actors_had_no_trouble());
}

/// Tells the tests of one Helm under its version.
struct Teller<'t, 'o> {
    helm: &'t Helm,
    tests: &'t mut Tests<'o>,
}

impl Teller<'_, '_> {
    fn run<T>(&mut self, name: &str, test: impl FnOnce() -> Result<T>) -> Option<T> {
        self.tests.run(&format!("helm_{}::{name}", self.helm), test)
    }
}
