//! What a node's runtime has loaded, whatever happens: to the script that retires a file, to the runtime, to Kube-OVN.
//!
//! One real node ([`crate::lab`]) with its real CNI directory. [`kills`] ends the script at every system call, [`odd`] gives the
//! scripts directories that nobody should have, [`eye`] asks the runtime by CRI all the time. Directories are read with `find`,
//! `stat` and `sha256sum` of the node.

mod eye;
mod kills;
mod odd;

use std::time::Duration;

use ovncilium_engine::node_task::Task;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Play, Scenario};
use crate::{
    error::{Error, Result},
    lab::{Iptables, Lab, Node, Stock, enter, runtime},
    verdict::{Tests, expect},
    wait::{self, Seen},
};
use eye::Eye;

pub(super) const SCENARIO: Scenario =
    Scenario { name: "node", about: "what a node's runtime has loaded, whatever happens", play: Play::InALab(play) };

const CONF_DIR: &str = "/etc/cni/net.d";
const PLAIN_FILE: &str = "01-kube-ovn.conflist";
const CHAINED_FILE: &str = "01-cilium.conflist";
const RETIRED_FILE: &str = "01-cilium.conflist.ovncilium-retired";
const PLAIN: &str = "ok kube-ovn=kube-ovn+portmap";
const CHAINED: &str = "ok kube-ovn=kube-ovn+portmap+cilium-cni";
const LIMIT: Duration = Duration::from_secs(90);

fn retire() -> &'static str {
    Task::Retire.script()
}

/// The lab, and who looks at its node.
struct Stage {
    lab: Lab,
    info: Vec<String>,
    eye: Eye,
    /// SHA-256 of the chained configuration.
    digest: String,
}

fn play(stock: Stock, tests: &mut Tests<'_>) {
    let Some(state) = enter::inside() else { return };
    let mut reached = String::new();
    let lab = tests.run("a_real_node_is_ready", || {
        Lab::up(stock, &state, 1, Iptables::Nft, &mut |text| text.clone_into(&mut reached))
    });
    tests.note(&reached);
    let Some(lab) = lab else { return };
    let info = lab.runtime_info(&lab.nodes[0]);
    let eye = Eye::open(&lab.nodes[0].name, &info);
    let mut stage = Stage { lab, info, eye, digest: String::new() };
    stage.tell(tests);
}

impl Stage {
    fn tell(&mut self, tests: &mut Tests<'_>) {
        if let Some(places) =
            tests.run("retire_does_one_rename_or_nothing_in_any_directory", || odd::retire(self.node()))
        {
            tests.note(&format!("{places} directories to retire in"));
        }
        if let Some(files) = tests.run("probe_tells_every_file_and_writes_nothing", || odd::probe(self.node())) {
            tests.note(&format!("{files} files told by probe, each with its digest"));
        }
        tests.run("the_runtime_has_loaded_the_plain_network", || self.loads(false, LIMIT));
        if tests.run("the_runtime_loads_a_chained_network", || self.chain()).is_none() {
            return;
        }
        let killed = tests.run("a_retirement_killed_at_any_system_call_leaves_a_whole_directory", || {
            let kills = kills::everywhere(self)?;
            expect(kills.before > 0 && kills.after > 0, || format!("kills on one side only: {kills:?}"))?;
            expect(kills.missed.len() * 50 <= kills.points, || format!("{:?}", kills.missed))?;
            Ok(kills)
        });
        if let Some(kills) = killed {
            tests.note(&format!(
                "{} points, every system call of the shell, sha256sum and mv: {} before the rename and {} after it; \
                 {} were not reached again",
                kills.points,
                kills.before,
                kills.after,
                kills.missed.len()
            ));
        }
        self.never_without(tests, "no_kill_took_the_network_from_the_runtime", false);
        tests.run("the_runtime_loads_the_chained_network_again", || self.chain());
        self.goes_on(tests, "chained", true);
        tests.run("it_is_retired", || self.retire());
        self.goes_on(tests, "plain", false);
    }

    fn node(&self) -> &Node {
        &self.lab.nodes[0]
    }

    /// Waits until the runtime has loaded this network, and no other.
    fn loads(&self, chained: bool, limit: Duration) -> Result<()> {
        let wanted = if chained { CHAINED } else { PLAIN };
        wait::until(format!("the runtime has loaded `{wanted}`"), limit, || {
            // Right after a restart it does not answer yet.
            Ok(match runtime::ask(&self.node().name, &self.info) {
                Ok(state) if state == wanted => Seen::Ready(()),
                Ok(state) => Seen::NotYet(state),
                Err(error) => Seen::NotYet(error.to_string()),
            })
        })
    }

    /// Puts a chained configuration beside the plain one as an agent does: whole, by a rename.
    fn chain(&mut self) -> Result<()> {
        let plain = self.node().run(&["cat", &format!("{CONF_DIR}/{PLAIN_FILE}")])?;
        let mut chained: Value = serde_json::from_str(&plain).map_err(Error::json(PLAIN_FILE))?;
        if let Some(plugins) = chained["plugins"].as_array_mut() {
            plugins.push(json!({ "type": "cilium-cni", "chaining-mode": "generic-veth" }));
        }
        let chained = chained.to_string();
        self.digest = hex::encode(Sha256::digest(&chained));
        let new = format!("{CONF_DIR}/.{CHAINED_FILE}.new");
        self.node().put(&new, &chained)?;
        self.node().run(&["chmod", "600", &new])?;
        self.node().run(&["rm", "-f", &format!("{CONF_DIR}/{RETIRED_FILE}")])?;
        self.node().run(&["mv", &new, &format!("{CONF_DIR}/{CHAINED_FILE}")])?;
        self.loads(true, LIMIT)
    }

    fn retire(&self) -> Result<()> {
        let (file, digest) = (format!("FILE={CHAINED_FILE}"), format!("SHA256={}", self.digest));
        let conf_dir = format!("CONF_DIR={CONF_DIR}");
        self.node().run(&["env", &conf_dir, &file, &digest, "OUT=/tmp/answer", "sh", "-c", retire()])?;
        self.loads(false, LIMIT)
    }

    /// What is loaded stays so over a restart of the runtime and a new pod of Kube-OVN, whose install step runs again.
    fn goes_on(&self, tests: &mut Tests<'_>, what: &str, chained: bool) {
        let before = tests.run(&format!("{what}_the_files_are_read"), || self.plain_file());
        tests.run(&format!("{what}_it_stays_when_the_runtime_is_restarted"), || {
            self.eye.take()?;
            self.node().restart_containerd()?;
            self.loads(chained, LIMIT)?;
            self.eye.wait()
        });
        tests.run(&format!("{what}_a_restart_leaves_the_plain_file_alone"), || {
            let after = self.plain_file()?;
            expect(before.as_ref() == Some(&after), || format!("{before:?} became {after}"))
        });
        self.never_without(tests, &format!("{what}_a_restarted_runtime_answers_with_a_network"), true);
        tests.run(&format!("{what}_it_stays_when_kube_ovn_installs_itself_again"), || {
            self.replace_kube_ovn_cni()?;
            self.loads(chained, LIMIT)
        });
        self.never_without(tests, &format!("{what}_it_was_loaded_all_the_time"), false);
        let after = tests.run(&format!("{what}_the_plain_file_has_its_content"), || {
            let after = self.plain_file()?;
            let content = |text: &str| text.split_once(' ').map(|(_, rest)| rest.to_owned());
            let same = before.as_deref().and_then(content) == content(&after);
            expect(same, || format!("{before:?} became {after}"))?;
            Ok(after)
        });
        let kept = if before == after { "kept the file" } else { "made the file anew" };
        tests.note(&format!("{what}: the install step of kube-ovn-cni {kept}"));
    }

    /// Inode, mode and digest of Kube-OVN's own file.
    fn plain_file(&self) -> Result<String> {
        let file = format!("{CONF_DIR}/{PLAIN_FILE}");
        let text = self.node().run(&["sh", "-c", "stat -c '%i %a' \"$0\" && sha256sum <\"$0\"", &file])?;
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn replace_kube_ovn_cni(&self) -> Result<()> {
        let api = self.lab.control_plane.api();
        let pods = || api.list("/api/v1/namespaces/kube-system/pods?labelSelector=app%3Dkube-ovn-cni");
        let uid = |pod: &Value| pod["metadata"]["uid"].to_string();
        let old = pods()?;
        expect(old.len() == 1, || format!("{} pods of kube-ovn-cni", old.len()))?;
        let name = old[0]["metadata"]["name"].as_str().unwrap_or_default();
        api.delete(&format!("/api/v1/namespaces/kube-system/pods/{name}"))?;
        wait::until("kube-ovn-cni has a new pod that is ready", LIMIT, || {
            let now = pods()?;
            let is_ready = |pod: &Value| {
                let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
                conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
            };
            Ok(match &now[..] {
                [pod] if uid(pod) != uid(&old[0]) && is_ready(pod) => Seen::Ready(()),
                _ => Seen::NotYet(now.iter().map(|pod| pod["status"].to_string()).collect()),
            })
        })
    }

    /// What the eye has seen since it was last asked. A runtime that is restarted may be silent.
    fn never_without(&self, tests: &mut Tests<'_>, name: &str, may_be_silent: bool) {
        let looks = tests.run(name, || {
            let seen = self.eye.take()?;
            expect(seen.looks > 0, || format!("only {} looks at the runtime", seen.looks))?;
            let without: Vec<_> = seen.states.iter().filter(|state| *state != PLAIN && *state != CHAINED).collect();
            expect(without.is_empty(), || format!("{without:?} in {} looks", seen.looks))?;
            let trouble = seen.trouble.unwrap_or_default();
            expect(may_be_silent || seen.unanswered == 0, || format!("{} times: {trouble}", seen.unanswered))?;
            Ok((seen.looks, seen.states.len().saturating_sub(1)))
        });
        if let Some((looks, states)) = looks {
            tests.note(&format!("{name}: {looks} looks, {states} times another network than the look before"));
        }
    }
}
