//! kube-proxy replaced and brought back on the nodes of a migration, while nodes and pods ask Services of every kind.
//!
//! The oracle is the nodes' own firewall, told apart by the names of chains: kube-proxy's by the prefixes in its source, and everything else,
//! which must be byte-equal; the objects, and the audit log.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::Duration,
};

use ovncilium_core::plan::Kind;
use serde_json::json;

use super::{
    Before, Part, Stage, Town,
    answers::Answers,
    judge::{STILL, STILL_LOSING},
    person, report, town,
};
use crate::{
    error::{Error, Result},
    lab::{Iptables, Lab, Node, Stock},
    objects::diff,
    scenarios::oracle::{intents, plans},
    verdict::{Tests, expect},
    wait::{self, Seen},
};

/// A port of every node.
const NODE_PORT: u16 = 30901;
const DNS: &str = "10.96.0.10:53";
/// Chains that kube-proxy makes (Kubernetes `pkg/proxy/iptables/proxier.go`), by what they begin with.
const CHAINS: [&str; 13] = [
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-POSTROUTING",
    "KUBE-MARK-MASQ",
    "KUBE-FORWARD",
    "KUBE-PROXY-FIREWALL",
    "KUBE-PROXY-CANARY",
    "KUBE-SVC-",
    "KUBE-SEP-",
    "KUBE-SVL-",
    "KUBE-EXT-",
    "KUBE-FW-",
];
const SETTLES: Duration = Duration::from_secs(60);
/// One in so many questions may go unanswered: each opens a connection, by way of a node for the most part, and one lost packet of it is
/// one that nobody waits for.
const UNANSWERED_AT_MOST_ONE_IN: usize = 20;
/// Milliseconds after which a connection that is held is known to have ended, and there is another.
const HELD_AGAIN: u128 = 6_000;

pub(in crate::scenarios) fn play(stock: Stock, iptables: Iptables, tests: &mut Tests<'_>) {
    let Some(stage) = super::begin(stock, iptables, tests) else { return };
    let open = tests.run("the_policy_lets_nodes_in", || Town::let_nodes_in(stage.lab.control_plane.api(), true));
    let before = open.and_then(|()| tests.run("nodes_and_objects_stand_still", || Before::take(&stage.lab)));
    let Some(before) = before else { return };
    let args = stage.migrate();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let migrated = tests.run("migrates", || stage.run(&args, 0));
    if migrated.is_none() {
        return;
    }
    stage.replace_kube_proxy(iptables, tests);
    tests.run("the_migration_rolls_back", || stage.run(&["rollback", "--yes"], 7));
    tests.run("nodes_are_as_before_it", || stage.nodes_are(&before));
}

/// Who asks from outside of the cluster, until the story ends.
pub(super) struct Outside(Child);

impl Drop for Outside {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Stage {
    /// On a chained cluster, and back to it.
    pub(super) fn replace_kube_proxy(&self, iptables: Iptables, tests: &mut Tests<'_>) {
        let asks = tests.run("everybody_asks_services", || self.ask_services());
        let Some(_outside) = asks else { return };
        let Some(objects) = tests.run("objects_stand_still", || self.lab.control_plane.settled_objects()) else {
            return;
        };
        let objects = objects.without(counts_runs);
        let Some(rules) = tests.run("rules_are_kept", || Rules::settled(&self.lab)) else { return };
        tests.run("everybodys_rules_are_in_the_chosen_backend", || rules.are_all_there(iptables));
        let mut parts = Vec::new();
        parts.extend(self.part(tests, "chained", "services_answer_before", || self.stays()));
        let replaced = self.part(tests, "replace", "replaces_kube_proxy", || {
            self.run(&["replace-kube-proxy", "--yes", "--soak", "0"], 0)
        });
        let Some(replaced) = replaced else {
            self.judge_services(tests, &parts);
            return;
        };
        self.is_replaced(tests, &rules);
        self.prove_kind(tests, &replaced, Kind::ReplaceKubeProxy);
        parts.push(replaced);
        tests.run("a_rollback_is_refused_while_nobody_else_serves", || {
            let refused = self.call(&["rollback", "--yes"])?.run()?;
            refused.ended_with(&[5])?.names(&["replace-kube-proxy --back"]).map(drop)
        });
        tests.run("nothing_has_drifted_without_kube_proxy", || self.holds());
        parts.extend(self.part(tests, "replaced", "services_answer_without_kube_proxy", || self.stays()));
        let back = self.part(tests, "back", "brings_kube_proxy_back", || {
            self.run(&["replace-kube-proxy", "--back", "--yes", "--soak", "0"], 7)
        });
        if let Some(back) = back {
            tests.run("objects_are_as_before_the_replacement", || {
                wait::until("the objects are as they were", SETTLES, || {
                    let differences = diff(&objects, &self.lab.control_plane.objects()?.without(counts_runs));
                    Ok(if differences.is_empty() { Seen::Ready(()) } else { Seen::NotYet(differences.join("\n")) })
                })
            });
            tests.run("nothing_has_drifted_with_it", || self.holds());
            tests.run("rules_are_as_before_the_replacement", || rules.are_again(&self.lab, true));
            self.prove_kind(tests, &back, Kind::RestoreKubeProxy);
            parts.push(back);
        }
        self.judge_services(tests, &parts);
        tests.run("those_who_ask_leave", || self.stop_asking());
    }

    /// On every node and from a pod on it: Services by their address (a connection for each question, one that is held, a datagram), by
    /// a port of either node, and DNS. From outside of the cluster: the port of each node.
    pub(super) fn ask_services(&self) -> Result<Outside> {
        let api = self.lab.control_plane.api();
        let service = json!({
            "metadata": { "name": "port" },
            "spec": {
                "type": "NodePort", "selector": { "app": "web" },
                "ports": [{ "port": town::PORT, "protocol": "TCP", "nodePort": NODE_PORT }],
            },
        });
        api.create(&format!("/api/v1/namespaces/{}/services", town::NAMESPACE), &service)?;
        let targets = |node: &Node| -> Vec<String> {
            let mut targets = vec![
                format!("vip=new:{}:{}", self.town.web, town::PORT),
                format!("vip-held=held:{}:{}", self.town.web, town::PORT),
                format!("vip-udp=udp:{}:{}", self.town.web, town::PORT),
                format!("names=dns:{DNS}"),
            ];
            for other in &self.lab.nodes {
                let name = if other.name == node.name { "own-port" } else { "far-port" };
                targets.push(format!("{name}=new:{}:{NODE_PORT}", other.address));
            }
            targets
        };
        for node in &self.lab.nodes {
            self.town.ask_from_pod(&self.lab, "caller", node, &targets(node))?;
            self.town.ask_from_node("host", node, &targets(node))?;
        }
        let ports: Vec<String> =
            self.lab.nodes.iter().map(|node| format!("{}-port=new:{}:{NODE_PORT}", node.name, node.address)).collect();
        let (program, folder) = self.town.asks("outside", "machine")?;
        let child = Command::new(&program)
            .args(["probe", "ask", &folder])
            .args(&ports)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| Error::Spawn { program, source })?;
        let outside = Outside(child);
        town::await_pods(api)?;
        wait::until("those who ask have their endpoints", SETTLES, || {
            let mut waiting = person::uncovered(api)?;
            waiting.retain(|(_, name)| name.starts_with("caller-"));
            Ok(if waiting.is_empty() { Seen::Ready(()) } else { Seen::NotYet(format!("{waiting:?}")) })
        })?;
        Ok(outside)
    }

    /// The pods that ask, and the Service with a port of every node, go.
    pub(super) fn stop_asking(&self) -> Result<()> {
        let api = self.lab.control_plane.api();
        api.delete(&format!("/api/v1/namespaces/{}/services/port", town::NAMESPACE))?;
        for node in &self.lab.nodes {
            let path = format!("/apis/apps/v1/namespaces/{}/deployments/caller-{}", town::NAMESPACE, node.name);
            api.delete(&path)?;
        }
        Ok(())
    }

    /// Cilium's programs are at the sockets of every node's control group.
    pub(super) fn is_at_the_sockets(&self) -> Result<()> {
        for node in &self.lab.nodes {
            let attached = node.run(&["bpftool", "cgroup", "show", "/run/cilium/cgroupv2"])?;
            expect(attached.contains("cil_sock4_conn"), || format!("{}: {attached}", node.name))?;
        }
        Ok(())
    }

    fn is_replaced(&self, tests: &mut Tests<'_>, rules: &Rules) {
        tests.run("no_kube_proxy_runs_and_its_daemonset_is_there", || {
            let api = self.lab.control_plane.api();
            let pods = api.list("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-proxy")?;
            let names: Vec<_> = pods.iter().map(town::name).collect();
            expect(names.is_empty(), || format!("{names:?}"))?;
            let set = api.find("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy")?;
            expect(set.is_some(), || "the DaemonSet is gone".to_owned())
        });
        tests.run("only_rules_of_kube_proxy_are_gone", || rules.are_again(&self.lab, false));
        tests.run("cilium_is_at_the_sockets_of_every_node", || self.is_at_the_sockets());
    }

    fn prove_kind(&self, tests: &mut Tests<'_>, part: &Part, kind: Kind) {
        let Some(audit) = tests.run("the_audit_log_is_complete", || self.lab.control_plane.audit()) else { return };
        let run = audit.until(part.log.1).since(part.log.0);
        tests.run(&format!("{}_has_its_intents_before_its_changes", part.name), || {
            expect(intents::announced_changes(&run) > 10, || "hardly anything was changed".to_owned())?;
            let wrong = intents::unannounced(&run);
            expect(wrong.is_empty(), || wrong[..wrong.len().min(12)].join("\n"))
        });
        tests.run(&format!("{}_writes_nothing_outside_its_plan", part.name), || {
            let wrong = plans::unlisted(&run, &plans::stored(&audit, kind)?.writes);
            expect(wrong.is_empty(), || wrong[..wrong.len().min(12)].join("\n"))
        });
    }

    /// Gaps of those who ask Services, by part; nobody goes without an answer for long.
    pub(super) fn judge_services(&self, tests: &mut Tests<'_>, parts: &[Part]) {
        let Some(answers) = tests.run("answers_are_read", || Answers::read_all(&self.town.answers)) else { return };
        let asking: Vec<&Answers> =
            answers.iter().filter(|one| matches!(one.who.as_str(), "caller" | "host" | "outside")).collect();
        let title = "longest time between two answers of a Service";
        let lines =
            tests.run("gaps_of_services_are_told", || report::lines(self, title, &asking, parts, |_| Ok(Vec::new())));
        for line in lines.unwrap_or_default() {
            tests.note(&line);
        }
        for part in parts {
            tests.run(&format!("{}_leaves_no_service_without_answers", part.name), || {
                expect(asking.len() == (2 * 6 + 1) * self.lab.nodes.len(), || format!("{} ask", asking.len()))?;
                let changes = matches!(part.name, "replace" | "back");
                let differing = changes.then(|| report::restarts_of_agents(self, part)).transpose()?;
                let mut wrong = Vec::new();
                for one in &asking {
                    let answered = one.answered_at(part.time).len();
                    if answered == 0 {
                        wrong.push(format!("{}: no answer at all", one.name()));
                    }
                    // Both keep their own tables: a connection through a Service may end once when the other serves it.
                    let (may_lose, still) = match (one.target.ends_with("-held"), changes) {
                        (true, false) => (0, STILL),
                        (true, true) => (1, HELD_AGAIN),
                        (false, _) => (answered / UNANSWERED_AT_MOST_ONE_IN, STILL_LOSING),
                    };
                    let excused = if changes && is_of_another_node(one) { differing.as_slice() } else { &[] };
                    let failures = one.failures(part.time, excused);
                    if failures.len() > may_lose {
                        wrong.extend(failures);
                    }
                    let gap = one.longest_gap(part.time, excused);
                    if let Some(gap) = gap.filter(|gap| gap.milliseconds > still) {
                        wrong.push(format!("{}: {gap} without an answer", one.name()));
                    }
                }
                expect(wrong.is_empty(), || {
                    format!("{} in all:\n{}", wrong.len(), wrong[..wrong.len().min(12)].join("\n"))
                })
            });
        }
    }
}

/// A node that asks the port of another one: while the two differ, pods of the other node do not answer it. Their answers go to a node by
/// Kube-OVN's tunnel, past the node that was asked and has to turn them round.
fn is_of_another_node(one: &Answers) -> bool {
    one.who == "host" && one.target == "far-port"
}

/// One for each revision of a release and each run, and identities that Cilium's operator takes away later.
fn counts_runs(key: &str, _: &serde_json::Value) -> bool {
    ["/sh.helm.release.", "/ovncilium-", "ciliumidentities."].iter().any(|part| key.contains(part))
}

/// The firewall and the sets of every node: kube-proxy's lines and everybody else's, in their order.
struct Rules {
    by_node: BTreeMap<String, (String, String)>,
}

impl Rules {
    /// As soon as two looks see the same.
    fn settled(lab: &Lab) -> Result<Self> {
        let mut last = Self::take(lab)?;
        wait::until("the rules of all nodes stand still", SETTLES, || {
            std::thread::sleep(Duration::from_secs(5));
            let now = Self::take(lab)?;
            let same = now.by_node == last.by_node;
            last = now;
            Ok(if same { Seen::Ready(()) } else { Seen::NotYet("they change".to_owned()) })
        })?;
        Ok(last)
    }

    fn take(lab: &Lab) -> Result<Self> {
        let by_node = lab.nodes.iter().map(|node| Ok((node.name.clone(), Self::of(node)?))).collect::<Result<_>>()?;
        Ok(Self { by_node })
    }

    /// kube-proxy's, and the others: those of Cilium's agent are its own affair, chains of the kernel and empty tables say nothing.
    fn of(node: &Node) -> Result<(String, String)> {
        let read = "for ip in iptables-nft iptables-legacy ip6tables-nft ip6tables-legacy; do $ip-save 2>/dev/null | \
             sed -E 's/\\[[0-9]+:[0-9]+\\]//' | awk -v ip=$ip '/^\\*/ { table = $1 } /^[*#]|^COMMIT/ { next } { print ip, table, $0 }'; done | \
             grep -vE 'CILIUM_|:[A-Z]+ [A-Z]+ *$'; \
             ipset save | grep -v cilium_ | sed -E 's/ initval 0x[0-9a-f]+//' | sort";
        let all = node.run(&["bash", "-c", read])?;
        let is_theirs = |line: &&str| CHAINS.iter().any(|chain| line.contains(chain));
        let (theirs, others): (Vec<&str>, Vec<&str>) = all.lines().partition(is_theirs);
        Ok((theirs.join("\n"), others.join("\n")))
    }

    /// kube-proxy, the kubelet and Kube-OVN have rules, and all of them where they should be; Kube-OVN has its sets.
    fn are_all_there(&self, iptables: Iptables) -> Result<()> {
        let other = match iptables {
            Iptables::Nft => Iptables::Legacy,
            Iptables::Legacy => Iptables::Nft,
        };
        let (prefix, wrong) = (format!("iptables-{} ", iptables.name()), format!("tables-{} ", other.name()));
        for (node, (theirs, others)) in &self.by_node {
            let all = || theirs.lines().chain(others.lines());
            for (what, part) in [
                ("of Services", " -A KUBE-SERVICES "),
                ("of the kubelet", ":KUBE-KUBELET-CANARY"),
                ("of Kube-OVN", "-A OVN-POSTROUTING "),
            ] {
                let count = all().filter(|line| line.starts_with(&prefix) && line.contains(part)).count();
                expect(count > 0, || format!("no rules {what} are in {prefix}on {node}"))?;
            }
            let astray: Vec<&str> = all().filter(|line| line.contains(&wrong)).collect();
            expect(astray.is_empty(), || format!("on {node}: {}", astray.join("\n")))?;
            expect(others.lines().any(|line| line.starts_with("create ovn40")), || format!("{node} has no sets"))?;
        }
        Ok(())
    }

    /// Everybody else's are byte-equal, and kube-proxy's are the same or none.
    fn are_again(&self, lab: &Lab, with_kube_proxy: bool) -> Result<()> {
        wait::until("the rules are as they were", SETTLES, || {
            let now = Self::take(lab)?;
            let mut differences = Vec::new();
            for (node, (theirs, others)) in &self.by_node {
                let Some((their_now, others_now)) = now.by_node.get(node) else { continue };
                if with_kube_proxy && of_services(their_now) != of_services(theirs) {
                    let count = of_services(their_now).len();
                    differences.push(format!("{node}: kube-proxy has {count} rules of Services"));
                }
                if !with_kube_proxy {
                    differences.extend(their_now.lines().map(|line| format!("{node}: left: {line}")));
                }
                if others_now != others {
                    let gone = others.lines().filter(|line| !others_now.lines().any(|other| other == *line));
                    let new = others_now.lines().filter(|line| !others.lines().any(|other| other == *line));
                    differences.push(format!("{node}: others differ, perhaps in their order"));
                    differences.extend(gone.map(|line| format!("{node}: gone: {line}")));
                    differences.extend(new.map(|line| format!("{node}: new: {line}")));
                }
            }
            Ok(if differences.is_empty() { Seen::Ready(()) } else { Seen::NotYet(differences.join("\n")) })
        })
    }
}

/// Which Services there are; which pod each leads to is not what is compared.
fn of_services(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().filter(|line| line.contains(" -A KUBE-SERVICES ")).collect();
    lines.sort_unstable();
    lines
}
