//! `retire.sh` on a node's real CNI directory, killed at every system call of the shell and of each program it starts.

use std::{collections::BTreeMap, time::Duration};

use super::{CHAINED_FILE, CONF_DIR, PLAIN_FILE, RETIRED_FILE, Stage};
use crate::{
    error::{Error, Result},
    verdict::expect,
};

const KILLED: &str = include_str!("../../../scripts/lab/killed.sh");
/// The shell, and what the script starts.
const WHO: [&str; 3] = ["sh", "sha256sum", "mv"];
const SETTLES: Duration = Duration::from_secs(10);

/// Where somebody is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    who: &'static str,
    call: String,
    /// Which of its calls of this name, from 1.
    nth: usize,
}

/// How many points there were, and how they ended.
#[derive(Debug, Default)]
pub(super) struct Kills {
    pub(super) points: usize,
    /// Points at which the file was still loaded, and at which it was retired already.
    pub(super) before: usize,
    pub(super) after: usize,
    /// Points that the run with the kill did not reach.
    pub(super) missed: Vec<String>,
}

/// Inode, mode and digest by name.
type Listing = BTreeMap<String, String>;

/// What a run that was killed told.
struct Told {
    before: Listing,
    code: i32,
    killed: Listing,
    /// What strace wrote, when nobody was killed.
    log: String,
}

/// Kills at every point, and judges the directory and the runtime after each kill and after the run that follows it.
pub(super) fn everywhere(stage: &Stage) -> Result<Kills> {
    let mut kills = Kills::default();
    let mut points = Vec::new();
    for who in WHO {
        let told = kill(stage, who, "", 0)?;
        points.extend(self::points(who, &told.log));
    }
    for point in points {
        let told = kill(stage, point.who, &point.call, point.nth)?;
        if told.code != 137 {
            kills.missed.push(format!("{point:?} ended with {}", told.code));
            continue;
        }
        kills.points += 1;
        let wrong = |what: &str, listing: &Listing| Error::Expectation(format!("{point:?}: {what}: {listing:?}"));
        let retired = retired(&told.before);
        let chained = if told.killed == told.before {
            kills.before += 1;
            true
        } else if told.killed == retired {
            kills.after += 1;
            false
        } else {
            return Err(wrong("killed, it left", &told.killed));
        };
        stage.loads(chained, SETTLES).map_err(|error| Error::Expectation(format!("{point:?}: {error}")))?;
        let again = run(stage, "", "", 0)?;
        let (answer, after) = again.split_once('\n').unwrap_or_default();
        let word = if chained { "retired" } else { "absent" };
        expect(answer == format!("{word} {CHAINED_FILE}"), || format!("{point:?}: {answer}"))?;
        let after = listing(after);
        if after != retired {
            return Err(wrong("run again, it left", &after));
        }
    }
    Ok(kills)
}

/// What the directory is when the file has its other name: no inode, mode or byte differs.
fn retired(before: &Listing) -> Listing {
    let mut after = before.clone();
    if let Some(file) = after.remove(CHAINED_FILE) {
        after.insert(RETIRED_FILE.to_owned(), file);
    }
    after
}

fn run(stage: &Stage, who: &str, call: &str, nth: usize) -> Result<String> {
    let input = [
        format!("SCRIPT={}", super::retire()),
        format!("CONF_DIR={CONF_DIR}"),
        format!("FILE={CHAINED_FILE}"),
        format!("SHA256={}", stage.digest),
        format!("WHO={who}"),
        format!("CALL={call}"),
        format!("NTH={nth}"),
    ];
    let mut args = vec!["env"];
    args.extend(input.iter().map(String::as_str));
    args.extend(["bash", "-c", KILLED]);
    stage.node().run(&args)
}

fn kill(stage: &Stage, who: &str, call: &str, nth: usize) -> Result<Told> {
    let text = run(stage, who, call, nth)?;
    let strange = || Error::Expectation(format!("the run told what is not understood:\n{text}"));
    let (before, rest) = text.split_once("== killed ").ok_or_else(strange)?;
    let (code, rest) = rest.split_once('\n').ok_or_else(strange)?;
    let (killed, log) = rest.split_once("== log\n").unwrap_or((rest, ""));
    let before = listing(before);
    let all = before.contains_key(CHAINED_FILE) && before.contains_key(PLAIN_FILE);
    expect(all, || format!("the directory is not what a kill starts from: {before:?}"))?;
    Ok(Told { before, code: code.parse().map_err(|_| strange())?, killed: listing(killed), log: log.to_owned() })
}

/// Lines of `INODE MODE SHA256  ./NAME`.
fn listing(text: &str) -> Listing {
    let lines = text.lines().filter_map(|line| line.split_once("  ./"));
    lines.map(|(file, name)| (name.to_owned(), file.to_owned())).collect()
}

/// Name of each system call in strace's log, in order, but for the first: the `execve` that strace itself has made.
fn calls(log: &str) -> Vec<&str> {
    let names = log.lines().filter_map(|line| Some(line.split_once('(')?.0));
    let is_name =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    names.filter(is_name).skip(1).collect()
}

fn points(who: &'static str, log: &str) -> Vec<Point> {
    let mut counts = BTreeMap::new();
    let mut points = Vec::new();
    for call in calls(log) {
        let nth = counts.entry(call).or_insert(0);
        *nth += 1;
        points.push(Point { who, call: call.to_owned(), nth: *nth });
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
execve(\"/usr/bin/mv\", [\"mv\", \"/etc/cni/net.d/a\"], 0x1 /* 9 vars */) = 0
brk(NULL) = 0x1
openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY) = 3
close(3) = 0
renameat2(AT_FDCWD, \"/etc/cni/net.d/a\", AT_FDCWD, \"/etc/cni/net.d/b\", RENAME_NOREPLACE) = 0
--- SIGCHLD {si_signo=SIGCHLD} ---
close(1) = 0
exit_group(0) = ?
+++ exited with 0 +++
";

    #[test]
    fn every_call_is_a_point_by_its_name_and_number() {
        let told: Vec<_> = points("mv", LOG).iter().map(|point| format!("{} {}", point.call, point.nth)).collect();
        assert_eq!(told, ["brk 1", "openat 1", "close 1", "renameat2 1", "close 2", "exit_group 1"]);
    }

    #[test]
    fn a_retirement_changes_a_name_and_nothing_else() {
        let before = listing("7 600 aa  ./01-cilium.conflist\n8 644 bb  ./01-kube-ovn.conflist\n");
        let after = listing("7 600 aa  ./01-cilium.conflist.ovncilium-retired\n8 644 bb  ./01-kube-ovn.conflist\n");
        assert_eq!(retired(&before), after);
        assert_ne!(retired(&before), before);
    }
}
