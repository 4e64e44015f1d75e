//! A live migration on real nodes: Kube-OVN's cluster at work, probed all the time, chained, brought back, and chained again.
//!
//! Everything is real: kubelets, containerd, Kube-OVN, kube-proxy, Cilium's agents, operator and plugin as their charts deploy them
//! ([`crate::lab`]). [`town`] is what lives there, [`person`] runs it, [`watch`] looks at pods and runtimes, [`answers`] reads what was
//! answered, [`judge`] has the verdicts on it, [`report`] tells the gaps, [`before`] is what a node was before. Other stories of the same
//! town: [`phases`] are the ways back, [`restart`] is a node whose agent comes late, [`takeover`] a cluster that the guide has half
//! chained, [`takeover_replaced`] one that it has left without kube-proxy, [`replaced`] is kube-proxy replaced after a migration. Nothing here
//! believes a word of the program under test.
//!
//! `OVNCILIUM_MIGRATE=once` plays the way there and back and no more: no people who restart pods for comparison, no replacement of
//! kube-proxy, no second migration, and no node that restarts.

mod answers;
mod before;
mod judge;
mod person;
mod phases;
mod replaced;
mod report;
mod restart;
mod takeover;
mod takeover_replaced;
mod town;
mod watch;

use std::{
    env,
    time::{Duration, Instant},
};

use ovncilium_core::plan::Kind;

use super::{
    Play, Scenario,
    oracle::{OPERATOR, intents, order, plans, recycled},
};
use crate::{
    audit::Audit,
    error::{Error, Result},
    lab::{Iptables, Lab, Stock, enter, probe},
    objects::diff,
    program::{Call, Helm, Output, Program},
    verdict::{Tests, expect},
    wait::{self, Seen},
};
use answers::Window;
use before::Before;
use town::Town;
use watch::Watch;

pub(super) use phases::play as back_from_every_phase;
pub(super) use replaced::play as kube_proxy_replaced;
pub(super) use takeover::play as take_over;
pub(super) use takeover_replaced::play as take_over_without_kube_proxy;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "migrate",
    about: "a live cluster of real nodes with Kube-OVN: chained under traffic, kube-proxy replaced and back, brought back, chained again",
    play: Play::InALab(play),
};

const VALUES: &str = include_str!("../../../fixtures/lab/cilium-values.yaml");
const RUN: Duration = Duration::from_secs(900);
/// How often a paused run is tried again.
const TRIES: usize = 6;

/// The lab, and what is in it.
struct Stage {
    lab: Lab,
    program: Program,
    town: Town,
    watch: Watch,
    chart: String,
    values: String,
}

/// A part of the story, by the clock.
struct Part {
    name: &'static str,
    time: Window,
    /// Where its part of the audit log begins and ends.
    log: (usize, usize),
}

fn play(stock: Stock, tests: &mut Tests<'_>) {
    let once = tests.run("it_is_known_how_much_is_played", || match env::var("OVNCILIUM_MIGRATE").as_deref() {
        Ok("") | Err(_) => Ok(false),
        Ok("once") => Ok(true),
        Ok(other) => Err(Error::Expectation(format!("OVNCILIUM_MIGRATE={other}: there is `once`"))),
    });
    if let Some(once) = once
        && let Some(mut stage) = begin(stock, Iptables::Nft, tests)
        && stage.tell(once, tests)
    {
        stage.restart_with_a_late_agent(tests);
    }
}

/// The lab with its town, asked and watched from now on.
fn begin(stock: Stock, iptables: Iptables, tests: &mut Tests<'_>) -> Option<Stage> {
    let state = enter::inside()?;
    let tools = stock.tools().clone();
    let chart = stock.cilium_chart();
    let mut reached = Vec::new();
    let lab = tests.run("a_cluster_of_real_nodes_is_ready", || {
        Lab::up(stock, &state, 2, iptables, &mut |text| reached.push(text.to_owned()))
    });
    for line in reached {
        tests.note(&line);
    }
    let lab = lab?;
    let program = tests.run("the_program_is_built", || Program::build(&tools))?;
    let town = tests.run("a_town_lives_in_it", || Town::settle(&lab, &state))?;
    let chart = tests.run("it_has_a_chart", || chart)?;
    let values = state.join("values.yaml");
    tests.run("its_values_are_written", || std::fs::write(&values, VALUES).map_err(Error::io("write", &values)))?;
    tests.run("somebody_asks_all_the_time", || town.ask(&lab))?;
    let mut watch = Watch::begin(&lab);
    let api = lab.control_plane.api().clone();
    watch.also(move || person::restart_what_only_they_may(&api));
    let values = values.to_string_lossy().into_owned();
    Some(Stage { lab, program, town, watch, chart: chart.to_string_lossy().into_owned(), values })
}

impl Stage {
    /// Whether the cluster is chained in the end; after `once`, it is not.
    fn tell(&self, once: bool, tests: &mut Tests<'_>) -> bool {
        let Some(before) = tests.run("nodes_and_objects_stand_still", || Before::take(&self.lab)) else { return false };
        let mut parts = Vec::new();
        let idle = self.part(tests, "before", "everybody_is_answered_before", || {
            std::thread::sleep(Duration::from_secs(5));
            Ok(())
        });
        parts.extend(idle);
        if !once {
            // What the cluster itself loses when pods are made again, without the program.
            parts.extend(self.part(tests, "control", "a_person_has_pods_made_again", || self.remake_pods()));
        }
        tests.run("check_agrees", || self.call(&["check", "--nodes", "-o", "json"])?.run()?.ended_with(&[0]).map(drop));
        let args = self.migrate();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let stopped = self.part(tests, "review", "stops_before_it_would_drop_what_nodes_send", || {
            self.call(&args)?.run()?.ended_with(&[5])?.names(&["172.30.0.2", "kubelet", "shop/db-"]).map(drop)
        });
        let migrated = self.part(tests, "enforce", "goes_on_when_the_policy_lets_nodes_in", || {
            Town::let_nodes_in(self.lab.control_plane.api(), true)?;
            self.go_on(&args)
        });
        let (Some(stopped), Some(mut migrated)) = (stopped, migrated) else {
            self.judge(tests, &parts, 0);
            return false;
        };
        self.is_chained(tests);
        tests.run("nodes_are_not_as_before_while_chained", || {
            let differences = before.differences(&self.lab)?;
            expect(differences.len() > 3, || format!("only {differences:?} tells a chained node from one that is not"))
        });
        migrated.log.0 = stopped.log.0;
        parts.push(stopped);
        self.prove_from_the_log(tests, &migrated);
        parts.push(migrated);
        parts.extend(self.part(tests, "chained", "stays_chained", || self.stays()));
        tests.run("a_node_port_of_a_pod_from_before_leaves_no_rule", || self.door_is_made_again());
        if !once {
            self.replace_kube_proxy(Iptables::Nft, tests);
        }
        let back = self.part(tests, "rollback", "rolls_back", || self.run(&["rollback", "--yes"], 7));
        if let Some(back) = &back {
            tests.run("nothing_that_is_left_was_touched_going_back", || {
                let wrong = touched(&self.lab.control_plane.audit()?.since(back.log.0));
                expect(wrong.is_empty(), || wrong.join("\n"))
            });
            tests.run("objects_are_as_before", || {
                Town::let_nodes_in(self.lab.control_plane.api(), false)?;
                self.objects_are(&before)
            });
            tests.run("nodes_are_as_before", || self.nodes_are(&before));
        }
        parts.extend(back);
        let again = (!once).then(|| {
            self.part(tests, "again", "migrates_again", || {
                Town::let_nodes_in(self.lab.control_plane.api(), true)?;
                self.run(&args, 0)
            })
        });
        let again = again.flatten();
        let chained = again.is_some();
        if chained {
            self.is_chained(tests);
        }
        parts.extend(again);
        self.judge(tests, &parts, 0);
        chained
    }

    /// The command line of a migration.
    fn migrate(&self) -> Vec<String> {
        let words = ["migrate", "--yes", "--soak", "0", "--chart", &self.chart, "--values", &self.values];
        let leave = town::LEFT.iter().map(|pod| format!("--leave={pod}"));
        words.into_iter().map(str::to_owned).chain(leave).collect()
    }

    fn call(&self, args: &[&str]) -> Result<Call> {
        let kubeconfig = self.lab.control_plane.kubeconfig("operator")?;
        Ok(self.program.kubectl(kubeconfig, args).with_helm(&self.program, Helm::Three).within(RUN))
    }

    fn run(&self, args: &[&str], code: i32) -> Result<()> {
        let output: Output = self.call(args)?.run()?;
        output.ended_with(&[code]).map(drop)
    }

    /// Goes on until nothing is left of what Hubble remembers from before the policy was changed.
    fn go_on(&self, args: &[&str]) -> Result<()> {
        let mut last = None;
        for _ in 0..TRIES {
            std::thread::sleep(Duration::from_secs(20));
            let output = self.call(args)?.run()?.ended_with(&[0, 5])?;
            if output.code == Some(0) {
                return Ok(());
            }
            last = Some(output.said());
        }
        Err(Error::Expectation(format!("paused {TRIES} times: {}", last.unwrap_or_default())))
    }

    /// One part of the story: what happened while `test` ran.
    fn part(
        &self,
        tests: &mut Tests<'_>,
        name: &'static str,
        test: &str,
        play: impl FnOnce() -> Result<()>,
    ) -> Option<Part> {
        let log = || self.lab.control_plane.audit().map_or(0, |audit| audit.len());
        let (begun, from, clock) = (log(), probe::now(), Instant::now());
        let passed = tests.run(test, play);
        let part = Part { name, time: Window { from, to: probe::now() }, log: (begun, log()) };
        tests.note(&format!("{test} took {:.1} s", clock.elapsed().as_secs_f64()));
        passed.map(|()| part)
    }

    fn is_chained(&self, tests: &mut Tests<'_>) {
        tests.run("every_runtime_has_loaded_the_chained_network", || {
            let loaded = self.watch.loaded()?;
            let wrong: Vec<_> = loaded
                .iter()
                .filter(|(_, states)| {
                    states.last().is_none_or(|(_, state)| state != "ok kube-ovn=kube-ovn+portmap+cilium-cni")
                })
                .collect();
            expect(wrong.is_empty(), || format!("{wrong:?}"))
        });
        tests.run("every_pod_but_those_left_has_its_endpoint", || {
            let wrong = person::uncovered(self.lab.control_plane.api())?;
            expect(wrong.is_empty(), || format!("{wrong:?}"))
        });
        // What the program itself says of it, beside what is looked at without it.
        tests.run("nothing_has_drifted", || self.holds());
    }

    /// The program finds all that it holds together, and something.
    fn holds(&self) -> Result<()> {
        let output = self.call(&["verify", "--nodes", "-o", "json"])?.run()?.ended_with(&[0])?.json()?;
        let held = output["held"].as_array().map_or(0, Vec::len);
        expect(held > 0, || output.to_string())
    }

    /// Pods that a migration would have made again are, node by node, by their deletion.
    fn remake_pods(&self) -> Result<()> {
        let api = self.lab.control_plane.api();
        for node in &self.lab.nodes {
            let path =
                format!("/api/v1/namespaces/{}/pods?fieldSelector=spec.nodeName%3D{}", town::NAMESPACE, node.name);
            for pod in api.list(&path)? {
                let name = town::name(&pod);
                // Those who ask and are asked stay, so that it shows what the others' coming and going does to them.
                let asks = ["db-", "client-", "stranger-"].iter().any(|start| name.starts_with(start));
                let is_left = town::LEFT.iter().any(|left| left.ends_with(&format!("/{name}")));
                if !asks && !is_left && !person::is_theirs(name) {
                    api.delete(&format!("/api/v1/namespaces/{}/pods/{name}", town::NAMESPACE))?;
                }
            }
            town::await_pods(api)?;
        }
        Ok(())
    }

    /// Nothing happens for a while after a migration: long enough that one lost packet in fifty is not decided by two.
    fn stays(&self) -> Result<()> {
        std::thread::sleep(Duration::from_secs(40));
        Ok(())
    }

    /// A pod with a port of its node was made before the cut-over; deleted after it, no rule may be left but its successor's.
    fn door_is_made_again(&self) -> Result<()> {
        let node = &self.lab.nodes[1];
        let api = self.lab.control_plane.api();
        let selector = "/api/v1/namespaces/shop/pods?labelSelector=app%3Ddoor";
        let rules = || -> Result<Vec<String>> {
            let all = node.run(&["iptables-save", "-t", "nat"])?;
            let port = format!("--dport {}", town::DOOR);
            Ok(all.lines().filter(|line| line.contains(&port) && line.contains("DNAT")).map(str::to_owned).collect())
        };
        let old = api.list(selector)?;
        expect(old.len() == 1, || format!("{} pods have the port", old.len()))?;
        api.delete(&format!("/api/v1/namespaces/shop/pods/{}", town::name(&old[0])))?;
        town::await_pods(api)?;
        wait::until("one pod's rules are left", Duration::from_secs(30), || {
            let rules = rules()?;
            Ok(if rules.len() == 1 { Seen::Ready(()) } else { Seen::NotYet(rules.join("\n")) })
        })
    }

    fn prove_from_the_log(&self, tests: &mut Tests<'_>, part: &Part) {
        let Some(audit) = tests.run("the_audit_log_is_complete", || self.lab.control_plane.audit()) else { return };
        let migration = audit.until(part.log.1);
        let mut proves = |name: &str, wrong: Vec<String>| {
            tests.run(name, || expect(wrong.is_empty(), || wrong[..wrong.len().min(12)].join("\n")));
        };
        // What is asked by `check` is of no run.
        proves("every_change_has_its_intent_before_it", intents::unannounced(&migration.since(part.log.0)));
        proves("network_policy_goes_off_after_the_last_endpoint", order::hand_over(&migration, &town::LEFT));
        proves("audit_mode_frames_the_chaining", order::audit_mode(&migration, &town::LEFT));
        proves("every_pod_is_recycled_at_most_once", recycled::too_often(&migration, part.log.0));
        proves("nobody_touches_what_is_left", touched(&migration));
        tests.run("nothing_outside_the_plan_is_written", || {
            let plan = plans::stored(&audit, Kind::Migrate)?;
            let wrong = plans::unlisted(&migration.since(part.log.0), &plan.writes);
            expect(wrong.is_empty(), || wrong[..wrong.len().min(12)].join("\n"))
        });
    }

    fn objects_are(&self, before: &Before) -> Result<()> {
        town::await_pods(self.lab.control_plane.api())?;
        wait::until("the objects are as they were before", Duration::from_secs(90), || {
            let differences = diff(&before.objects, &self.lab.control_plane.objects()?);
            Ok(if differences.is_empty() { Seen::Ready(()) } else { Seen::NotYet(differences.join("\n")) })
        })
    }

    fn nodes_are(&self, before: &Before) -> Result<()> {
        wait::until("the nodes are as they were before", Duration::from_secs(60), || {
            let differences = before.differences(&self.lab)?;
            Ok(if differences.is_empty() { Seen::Ready(()) } else { Seen::NotYet(differences.join("\n")) })
        })
    }
}

/// Evictions and deletions of pods that were to be left alone, and those by the program of pods that only their operator restarts.
fn touched(audit: &Audit) -> Vec<String> {
    let left = |name: &str| town::LEFT.iter().any(|left| left.ends_with(&format!("/{name}")));
    audit
        .iter()
        .filter(|event| event.resource == "pods" && event.namespace == town::NAMESPACE)
        .filter(|event| event.verb == "delete" || event.subresource == "eviction")
        .filter(|event| left(&event.name) || (event.user == OPERATOR && person::is_theirs(&event.name)))
        .map(crate::audit::Event::object)
        .collect()
}
