//! The scripts in directories that are not as they should be, on the node and by its shell and its programs.

use std::collections::{BTreeMap, BTreeSet};

use ovncilium_engine::node_task::{Answer, Task};
use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, Result},
    lab::Node,
    verdict::expect,
};

const WORK: &str = "/tmp/odd";
const RETIRED: &str = ".ovncilium-retired";
/// `INODE MODE SHA256  ./NAME` of each file, ended by a zero byte.
const FILES: &str = "cd \"$0\" && find . -type f -printf '%i %m ' -exec sha256sum -z '{}' ';'";
/// Everything with the time of its last change.
const CHANGES: &str = "cd \"$0\" && find . -printf '%i %m %s %C@ %P -> %l\\n' | sort";

/// A directory, made by `make` in an empty one.
struct Place {
    name: &'static str,
    make: &'static str,
    conf_dir: &'static str,
    file: &'static str,
}

/// What `retire.sh` must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Retired,
    Absent,
    Refused,
}

const LINK: &str = "link";
const LINKED: &str = "real";
const C: &str = "01-cilium.conflist";
const fn place(name: &'static str, make: &'static str, conf_dir: &'static str, file: &'static str) -> Place {
    Place { name, make, conf_dir, file }
}

const PLACES: [(Place, Ends); 11] = [
    (
        place(
            "a directory of its own",
            "mkdir -p 'rke 2/cni' && cd 'rke 2/cni' && echo a >01-cilium.conflist && echo b >b.conf",
            "rke 2/cni",
            C,
        ),
        Ends::Retired,
    ),
    (
        place(
            "a link to a directory",
            "mkdir real && ln -s real link && echo a >real/01-cilium.conflist && echo b >real/b.json",
            LINK,
            C,
        ),
        Ends::Retired,
    ),
    (
        place(
            "forty files",
            "mkdir conf && cd conf && echo a >01-cilium.conflist && for n in $(seq 39); do echo $n >$n-x.conf; done",
            "conf",
            C,
        ),
        Ends::Retired,
    ),
    (
        place(
            "names that a shell would run",
            "mkdir conf && cd conf && echo a >'0 $(touch x) `touch y`;*.conflist' && echo b >'b $(touch z).conf' && echo c >'-n c' && echo d >'d\\nd\\cd.conf'",
            "conf",
            "0 $(touch x) `touch y`;*.conflist",
        ),
        Ends::Retired,
    ),
    (
        place(
            "modes",
            "mkdir conf && cd conf && echo a >01-cilium.conflist && echo b >b.conf && chmod 600 01-* && chmod 644 b.conf",
            "conf",
            C,
        ),
        Ends::Retired,
    ),
    (
        place(
            "other modes",
            "mkdir conf && cd conf && echo a >01-cilium.conflist && echo b >b.conf && chmod 644 01-* && chmod 600 b.conf",
            "conf",
            C,
        ),
        Ends::Retired,
    ),
    (
        place(
            "one retired before",
            "mkdir conf && cd conf && echo a >01-cilium.conflist && echo old >01-cilium.conflist.ovncilium-retired && echo b >b.conf",
            "conf",
            C,
        ),
        Ends::Retired,
    ),
    (place("no such file", "mkdir conf && cd conf && echo b >b.conf", "conf", C), Ends::Absent),
    (
        place(
            "another content",
            "mkdir conf && cd conf && echo other >01-cilium.conflist && echo b >b.conf",
            "conf",
            C,
        ),
        Ends::Refused,
    ),
    (place("the only one", "mkdir conf && cd conf && echo a >01-cilium.conflist", "conf", C), Ends::Refused),
    (
        place(
            "nothing that a runtime loads beside it",
            "mkdir conf conf/d.conf && cd conf && echo a >01-cilium.conflist && echo b >b.conflist.cilium_bak && echo r >README",
            "conf",
            C,
        ),
        Ends::Refused,
    ),
];

type Files = BTreeMap<String, String>;

/// Retires in every place; how many there were.
pub(super) fn retire(node: &Node) -> Result<usize> {
    for (place, ends) in &PLACES {
        place.make(node)?;
        let before = files(node, WORK)?;
        let answer = place.run(node, Task::Retire)?;
        let mut wanted = before.clone();
        if *ends == Ends::Retired {
            let name = format!("{}/{}", place.real(), place.file);
            let file = wanted.remove(&name).ok_or_else(|| Error::Expectation(format!("no {name} in {before:?}")))?;
            wanted.insert(format!("{name}{RETIRED}"), file);
        }
        let after = files(node, WORK)?;
        expect(after == wanted, || format!("{}: {before:?} became {after:?}", place.name))?;
        let file = place.file.to_owned();
        let told = match (&answer[..], ends) {
            ([Answer::Retired(name)], Ends::Retired) | ([Answer::Absent(name)], Ends::Absent) => *name == file,
            ([Answer::Refused(why)], Ends::Refused) => why.starts_with(&file),
            _ => false,
        };
        expect(told, || format!("{}: {answer:?}", place.name))?;
    }
    Ok(PLACES.len())
}

/// Probes every place; how many files were told.
pub(super) fn probe(node: &Node) -> Result<usize> {
    let mut told = 0;
    for (place, _) in &PLACES {
        place.make(node)?;
        let before = node.run(&["sh", "-c", CHANGES, WORK])?;
        let answer = place.run(node, Task::Probe)?;
        let after = node.run(&["sh", "-c", CHANGES, WORK])?;
        expect(before == after, || format!("{}: a probe changed\n{before}to\n{after}", place.name))?;
        let named: BTreeSet<(String, String)> = answer
            .iter()
            .filter_map(|line| match line {
                Answer::File { sha256, name } => Some((name.clone(), sha256.clone())),
                _ => None,
            })
            .collect();
        let there: BTreeSet<(String, String)> = files(node, &format!("{WORK}/{}", place.real()))?
            .into_iter()
            .filter_map(|(name, file)| Some((name, file.rsplit(' ').next()?.to_owned())))
            .collect();
        expect(named == there, || format!("{}: told {named:?}, there is {there:?}", place.name))?;
        told += named.len();
    }
    Ok(told)
}

impl Place {
    fn make(&self, node: &Node) -> Result<()> {
        let script = format!("rm -rf {WORK} && mkdir {WORK} && cd {WORK} && {}", self.make);
        node.run(&["bash", "-c", &script]).map(drop)
    }

    /// The directory without links, below [`WORK`].
    fn real(&self) -> &'static str {
        if self.conf_dir == LINK { LINKED } else { self.conf_dir }
    }

    fn run(&self, node: &Node, task: Task) -> Result<Vec<Answer>> {
        let conf_dir = format!("CONF_DIR={WORK}/{}", self.conf_dir);
        let (file, digest) = (format!("FILE={}", self.file), format!("SHA256={}", hex::encode(Sha256::digest("a\n"))));
        let script = format!("cd {WORK}\n{}", task.script());
        node.run(&["env", &conf_dir, &file, &digest, "OUT=/tmp/odd-answer", "sh", "-c", &script])?;
        let text = node.run(&["cat", "/tmp/odd-answer"])?;
        Answer::parse(&text).map_err(|error| Error::Expectation(format!("{}: {error}", self.name)))
    }
}

/// Inode, mode and digest of each file below a directory, by name.
fn files(node: &Node, dir: &str) -> Result<Files> {
    let text = node.run(&["sh", "-c", FILES, dir])?;
    let lines = text.split('\0').filter_map(|line| line.split_once("  ./"));
    Ok(lines.map(|(file, name)| (name.to_owned(), file.to_owned())).collect())
}
