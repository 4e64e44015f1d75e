//! `helm plugin install` of a package and of a folder, `helm ovncilium`, and `helm plugin uninstall`.

use std::{fs, os::unix::fs::symlink};

use super::{
    Teller,
    machine::Machine,
    packages::{Packages, VERSION},
};
use crate::{
    error::{Error, Result},
    verdict::expect,
};

const CLI: &str = "ovncilium";
const POST_RENDERER: &str = "ovncilium-post-renderer";

/// Ends with everything installed.
pub(super) fn play(machine: &Machine<'_>, packages: &Packages, tell: &mut Teller<'_, '_>) {
    tell.run("says_its_version", || {
        let (major, minor, patch) = machine.version();
        let said = machine.helm(&["version", "--short"]).run()?.ended_with(&[0])?.stdout();
        expect(said.starts_with(&format!("v{major}.{minor}.{patch}")), || format!("it says {said}"))
    });
    tell.run("installs_a_checkout_that_runs_the_program_on_path", || {
        let program = machine.own_programs().join("kubectl-ovncilium");
        symlink(&packages.program, &program).map_err(Error::io("link", &program))?;
        machine.install(&packages.checkout().to_string_lossy())?;
        works(machine)?;
        machine.uninstall(CLI)?;
        expect(packages.checkout().join("plugin.yaml").is_file(), || "uninstalling took the checkout away".to_owned())?;
        // The post-renderer's name belongs to the program on PATH, and stays with it.
        for file in [program, machine.post_renderer()] {
            fs::remove_file(&file).map_err(Error::io("remove", &file))?;
        }
        gone(machine)
    });
    tell.run("installs_a_package_from_the_web_and_again", || {
        // A second time: uninstalling leaves nothing that is in the way but what Helm 3 itself keeps in its cache.
        for _ in 0..2 {
            machine.install(&packages.url(CLI)?)?;
            works(machine)?;
            machine.uninstall(CLI)?;
            gone(machine)?;
            let cache = machine.home().join("helm-cache");
            fs::remove_dir_all(&cache).map_err(Error::io("remove", &cache))?;
        }
        Ok(())
    });
    // Helm 4.0 warns and goes on.
    if machine.version() >= (4, 2, 0) {
        tell.run("a_package_that_is_not_signed_wants_a_flag", || {
            let file = packages.package(CLI)?;
            let output = machine.helm(&["plugin", "install", &file.to_string_lossy()]).run()?.ended_with(&[1])?;
            output.names(&["no provenance file"])?;
            expect(machine.plugins()?.is_empty(), || "it was installed all the same".to_owned())
        });
    }
    if machine.is_helm4() {
        tell.run("installs_a_package_from_the_disk", || {
            machine.install(&packages.package(CLI)?.to_string_lossy())?;
            works(machine)?;
            machine.uninstall(CLI)?;
            gone(machine)
        });
    }
    tell.run("installs_a_folder", || {
        machine.install(&packages.folder(CLI).to_string_lossy())?;
        works(machine)
    });
    if machine.is_helm4() {
        tell.run("installs_the_post_renderer", || {
            let before = machine.plugins()?.len();
            machine.install(&packages.package(POST_RENDERER)?.to_string_lossy())?;
            let plugins = machine.plugins()?;
            let wanted = format!("{POST_RENDERER} {VERSION}");
            expect(plugins.len() == before + 1 && plugins.contains(&wanted), || format!("there are {plugins:?}"))
        });
    }
}

/// It is listed, it runs, and the post-renderer's name is on PATH.
fn works(machine: &Machine<'_>) -> Result<()> {
    let plugins = machine.plugins()?;
    expect(plugins == [format!("{CLI} {VERSION}")], || format!("there are {plugins:?}"))?;
    let said = machine.helm(&[CLI, "--version"]).run()?.ended_with(&[0])?.stdout();
    expect(said == format!("kubectl ovncilium {VERSION}\n"), || format!("it says {said}"))?;
    let link = machine.post_renderer();
    expect(link.is_file(), || format!("{} leads nowhere", link.display()))?;
    // The exit code of the program is that of helm: 2 is a wrong command line.
    machine.helm(&[CLI, "explain", "no-such-policy"]).run()?.ended_with(&[2]).map(drop)
}

fn gone(machine: &Machine<'_>) -> Result<()> {
    let plugins = machine.plugins()?;
    expect(plugins.is_empty(), || format!("there are {plugins:?}"))?;
    machine.has_no_post_renderer()
}
