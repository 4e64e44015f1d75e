//! Real nodes that somebody has chained half way, by Kube-OVN's own guide: taken over under traffic, and brought back to Kube-OVN alone.

use std::time::Duration;

use super::{Before, Helm, Part, RUN, Stage, Town, answers::Moment, town};
use crate::{
    error::{Error, Result},
    guide,
    lab::{Iptables, Stock, runtime},
    program::{temporary, write},
    scenarios::oracle::{intents, order},
    verdict::{Tests, expect},
    wait::{self, Seen},
};

const LIMIT: Duration = Duration::from_secs(120);
/// The node on which the old file of Kube-OVN was forgotten.
const FORGOTTEN: usize = 1;
const DIRECTORY: &str = "/etc/cni/net.d";

pub(in crate::scenarios) fn play(stock: Stock, tests: &mut Tests<'_>) {
    if let Some(stage) = super::begin(stock, Iptables::Nft, tests) {
        stage.is_taken_over(tests);
    }
}

impl Stage {
    fn is_taken_over(&self, tests: &mut Tests<'_>) {
        let api = self.lab.control_plane.api();
        tests.run("the_policy_lets_nodes_in", || Town::let_nodes_in(api, true));
        if tests.run("kube_ovns_file_has_its_other_name", || self.rename(Some(FORGOTTEN))).is_none() {
            return;
        }
        let Some(before) = tests.run("nodes_and_objects_stand_still", || Before::take(&self.lab)) else { return };
        if self.part(tests, "guide", "half_of_the_guide_is_done", || self.half_a_guide()).is_none() {
            return;
        }
        tests.run("without_adopt_it_is_told_what_was_found_and_what_to_do", || {
            let words = ["half-done", "cni-configuration", "there is not yet", "--adopt"];
            self.call(&["migrate", "--yes", "--chart", &self.chart])?.run()?.ended_with(&[5])?.names(&words).map(drop)
        });
        let args = self.takeover();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let taken = self.part(tests, "takeover", "takes_over", || self.run(&args, 0));
        let Some(taken) = taken else { return };
        self.is_chained(tests);
        tests.run("the_file_of_the_guide_is_gone", || self.the_guides_file_is_gone());
        let Some(audit) = tests.run("the_audit_log_is_complete", || self.lab.control_plane.audit()) else { return };
        let takeover = audit.until(taken.log.1);
        for (name, wrong) in [
            ("every_change_has_its_intent_before_it", intents::unannounced_by_the_run(&takeover.since(taken.log.0))),
            ("network_policy_goes_off_after_the_last_endpoint", order::hand_over(&takeover, &town::LEFT)),
        ] {
            tests.run(name, || expect(wrong.is_empty(), || wrong[..wrong.len().min(12)].join("\n")));
        }
        let back = self.part(tests, "rollback", "goes_back_to_kube_ovn_alone", || self.run(&["rollback", "--yes"], 7));
        if back.is_some() {
            tests.run("objects_are_as_before_the_guide", || self.objects_are(&before));
            tests.run("nodes_are_as_before_the_guide", || self.nodes_are(&before));
        }
        let parts: Vec<Part> = [Some(taken), back].into_iter().flatten().collect();
        if let Some(enforced) = tests.run("the_policy_was_on_again_before_anything_else", || self.policy_is_on_again())
        {
            self.judge(tests, &parts, enforced);
        }
    }

    /// The command line of a takeover; values are those of the release that is there.
    pub(super) fn takeover(&self) -> Vec<String> {
        let words = ["migrate", "--yes", "--adopt", "--soak", "0", "--chart", self.chart.as_str()];
        let leave = town::LEFT.iter().map(|pod| format!("--leave={pod}"));
        words.into_iter().map(str::to_owned).chain(leave).collect()
    }

    pub(super) fn the_guides_file_is_gone(&self) -> Result<()> {
        let is_there = |files: &str| files.lines().any(|file| file == "05-cilium.conflist");
        let wrong: Vec<_> = self.files()?.into_iter().filter(|(_, files)| is_there(files)).collect();
        expect(wrong.is_empty(), || format!("{wrong:?}"))
    }

    /// The first things of the guide: the ConfigMap, and Kube-OVN's file under a name that sorts later; on one node the old one may be
    /// forgotten.
    pub(super) fn rename(&self, forgotten: Option<usize>) -> Result<()> {
        let dir = temporary()?;
        let map = dir.path().join("chaining.yaml");
        write(&map, guide::CONFIG_MAP)?;
        self.lab.control_plane.kubectl().run(&["apply", "--filename", &map.to_string_lossy()])?;
        guide::rename_kube_ovns_file(self.lab.control_plane.api())?;
        wait::until("every node has Kube-OVN's file under its new name", LIMIT, || {
            let late: Vec<_> =
                self.files()?.into_iter().filter(|(_, files)| !files.contains("10-kube-ovn.conflist")).collect();
            Ok(if late.is_empty() { Seen::Ready(()) } else { Seen::NotYet(format!("{late:?}")) })
        })?;
        for (_, node) in self.lab.nodes.iter().enumerate().filter(|(number, _)| Some(*number) != forgotten) {
            node.run(&["rm", &format!("{DIRECTORY}/01-kube-ovn.conflist")])?;
        }
        self.lab.wait_until_ready()
    }

    /// The rest of it, but for the pods that nobody restarted.
    fn half_a_guide(&self) -> Result<()> {
        guide::policy_and_load_balancer_off(self.lab.control_plane.api())?;
        self.install_as_the_guide_says(&[])?;
        self.agents_chain(Some(FORGOTTEN))?;
        // Somebody had one workload made again, and left it there.
        self.make_again(town::NAMESPACE, "app%3Dweb")
    }

    /// Installs Cilium with the guide's values and `more`, each `KEY=VALUE`.
    pub(super) fn install_as_the_guide_says(&self, more: &[&str]) -> Result<()> {
        let mut args = vec!["install", "cilium", self.chart.as_str(), "--namespace", "kube-system"];
        args.extend(["--values", self.values.as_str()]);
        // Its image is not part of a lab.
        args.extend(["--set", "envoy.enabled=false"]);
        args.extend(guide::VALUES.iter().chain(more).flat_map(|value| ["--set", value]));
        let helm = self.program.plain_helm(Helm::Three, &args);
        let kubeconfig = self.lab.control_plane.kubeconfig("admin")?;
        helm.env("KUBECONFIG", kubeconfig).within(RUN).run()?.ended_with(&[0]).map(drop)
    }

    /// Waits until every runtime has loaded the chained network, but where the old file was forgotten.
    pub(super) fn agents_chain(&self, forgotten: Option<usize>) -> Result<()> {
        wait::until("agents chain where the old file was not forgotten", LIMIT, || {
            for (number, node) in self.lab.nodes.iter().enumerate() {
                let state = runtime::ask(&node.name, &self.lab.runtime_info(node))?;
                if state.ends_with("+cilium-cni") == (Some(number) == forgotten) {
                    return Ok(Seen::NotYet(format!("{} has loaded `{state}`", node.name)));
                }
            }
            Ok(Seen::Ready(()))
        })
    }

    /// Has the pods of a workload made again, by their deletion, and waits until everything is ready.
    pub(super) fn make_again(&self, namespace: &str, selector: &str) -> Result<()> {
        let api = self.lab.control_plane.api();
        for pod in api.list(&format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"))? {
            api.delete(&format!("/api/v1/namespaces/{namespace}/pods/{}", town::name(&pod)))?;
        }
        self.lab.wait_until_ready()?;
        town::await_pods(api)
    }

    /// Names of the files in each node's CNI directory.
    fn files(&self) -> Result<Vec<(String, String)>> {
        self.lab.nodes.iter().map(|node| Ok((node.name.clone(), node.run(&["ls", DIRECTORY])?))).collect()
    }

    /// When OVN enforced every policy again, after the guide had turned that off.
    fn policy_is_on_again(&self) -> Result<Moment> {
        let steps = intents::in_work(&self.lab.control_plane.audit()?);
        let on = steps.into_iter().find(|(step, ..)| step.as_str().contains("await-ovn-policy"));
        let end = on.and_then(|(_, _, end)| end).and_then(|end| Moment::try_from(end.as_millisecond()).ok());
        end.ok_or_else(|| Error::Expectation("the journal has no end of a step `await-ovn-policy`".to_owned()))
    }
}
