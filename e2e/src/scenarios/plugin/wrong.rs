//! Programs that do not fit: Helm fails, and a person reads why and what to do, also where Helm 4 says nothing itself.
//!
//! What the launcher says in each case is told in full by the tests of `helm-plugin`; this is that it comes through every Helm.

use std::{fs, path::Path};

use super::{Teller, machine::Machine, packages::Packages};
use crate::{
    error::{Error, Result},
    helms::Helm,
    program::{Output, write},
    verdict::expect,
};

/// How a plugin's folder is spoiled, and the words that must be read.
type Spoiled = (&'static str, fn(&Path) -> Result<()>, &'static str);

const SPOILED: [Spoiled; 3] = [
    (
        "without_program",
        |folder| fs::remove_file(program(folder)).map_err(Error::io("remove", folder)),
        "has no program",
    ),
    ("for_another_machine", for_another_machine, "is for another machine"),
    ("of_another_version", of_another_version, "is 9.9.9"),
];

fn program(folder: &Path) -> std::path::PathBuf {
    folder.join("kubectl-ovncilium")
}

/// Another number of the machine in the ELF header; nothing else is looked at.
fn for_another_machine(folder: &Path) -> Result<()> {
    let file = program(folder);
    let mut bytes = fs::read(&file).map_err(Error::io("read", &file))?;
    bytes[18] = if bytes[18] == 62 { 183 } else { 62 };
    fs::write(&file, bytes).map_err(Error::io("write", &file))
}

fn of_another_version(folder: &Path) -> Result<()> {
    let file = folder.join("plugin.yaml");
    let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
    let lines = text.lines().map(|line| if line.starts_with("version:") { "version: 9.9.9" } else { line });
    write(&file, lines.collect::<Vec<_>>().join("\n"))
}

pub(super) fn play(packages: &Packages, helm: &Helm, tell: &mut Teller<'_, '_>) {
    for (name, spoil, words) in SPOILED {
        tell.run(&format!("a_plugin_{name}_says_so"), || {
            let machine = Machine::new(helm, packages)?;
            let (_dir, folder) = packages.copy("ovncilium")?;
            spoil(&folder)?;
            // The hook after the installation tells at once what it can see.
            let installed = machine.helm(&["plugin", "install", &folder.to_string_lossy()]).run()?;
            if name != "of_another_version" {
                installed.ended_with(&[1])?.names(&[words, "next:"])?;
            }
            told(machine.helm(&["ovncilium", "explain"]).run()?, 9, words)
        });
        if helm.version.0 < 4 {
            continue;
        }
        tell.run(&format!("a_post_renderer_{name}_says_so"), || {
            let machine = Machine::new(helm, packages)?;
            let (_dir, folder) = packages.copy("ovncilium-post-renderer")?;
            spoil(&folder)?;
            machine.install(&folder.to_string_lossy())?;
            let chart = packages.chart();
            let args = ["template", "cilium", &chart.to_string_lossy(), "--post-renderer", "ovncilium-post-renderer"];
            let output = machine.helm(&args).run()?;
            expect(output.stdout.is_empty(), || format!("helm printed manifests\n{}", output.said()))?;
            told(output, 1, words)?;
            let report = machine.home().join(".local/state/ovncilium/post-render-report.txt");
            let text = fs::read_to_string(&report).map_err(Error::io("read", &report))?;
            expect(text.contains(words), || format!("the report says\n{text}"))
        });
    }
}

/// The cause, and what to do next.
fn told(output: Output, code: i32, words: &str) -> Result<()> {
    let output = output.ended_with(&[code])?.names(&[words])?;
    let next = ["next:", "hint:"].iter().any(|word| output.stderr.contains(word));
    expect(next, || format!("nobody is told what to do\n{}", output.said()))
}
