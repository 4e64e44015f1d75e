//! Real nodes that somebody has chained by Kube-OVN's guide with Cilium in the place of kube-proxy, which is gone: taken over while nodes, pods
//! and somebody outside ask Services of every kind. Nobody but Cilium can answer them.
//!
//! The guide is followed on every node, and what is asked (the web's pods, DNS) and who asks are chained before: none of them is made again
//! meanwhile, so that an answer that is missing is a Service's.

use std::time::Duration;

use ovncilium_core::plan::Kind;

use super::{Before, Part, Stage, Town, town};
use crate::{
    error::{Error, Result},
    lab::{Iptables, Stock},
    scenarios::oracle::{intents, order, plans},
    verdict::{Tests, expect},
    wait::{self, Seen},
};

const LIMIT: Duration = Duration::from_secs(120);
const KUBE_PROXY: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";

pub(in crate::scenarios) fn play(stock: Stock, tests: &mut Tests<'_>) {
    if let Some(stage) = super::begin(stock, Iptables::Nft, tests) {
        stage.is_taken_over_without_kube_proxy(tests);
    }
}

impl Stage {
    fn is_taken_over_without_kube_proxy(&self, tests: &mut Tests<'_>) {
        let api = self.lab.control_plane.api();
        tests.run("the_policy_lets_nodes_in", || Town::let_nodes_in(api, true));
        if tests.run("kube_ovns_file_has_its_other_name", || self.rename(None)).is_none() {
            return;
        }
        let Some(before) = tests.run("nodes_and_objects_stand_still", || Before::take(&self.lab)) else { return };
        if self
            .part(tests, "guide", "the_guide_is_done_with_a_replacement", || self.guide_with_a_replacement())
            .is_none()
        {
            return;
        }
        tests.run("with_kube_proxy_beside_it_nothing_is_taken_over", || {
            let args = self.takeover();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let words = ["it serves Services, and so does daemonset kube-system/kube-proxy", "By hand"];
            self.call(&args)?.run()?.ended_with(&[5])?.names(&words).map(drop)
        });
        if tests.run("kube_proxy_is_deleted_with_its_rules", || self.delete_kube_proxy()).is_none() {
            return;
        }
        let Some(outside) = tests.run("everybody_asks_services", || self.ask_services()) else { return };
        let mut parts = Vec::new();
        parts.extend(self.part(tests, "found", "services_answer_as_they_were_found", || self.stays()));
        let args = self.takeover();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let taken = self.part(tests, "takeover", "takes_over", || self.run(&args, 0));
        let Some(taken) = taken else {
            self.judge_services(tests, &parts);
            return;
        };
        self.is_chained(tests);
        tests.run("the_file_of_the_guide_is_gone", || self.the_guides_file_is_gone());
        tests.run("cilium_is_at_the_sockets_of_every_node", || self.is_at_the_sockets());
        self.prove_takeover(tests, &taken);
        parts.push(taken);
        parts.extend(self.part(tests, "taken", "services_answer_after_it", || self.stays()));
        tests.run("a_rollback_is_refused_while_nobody_else_serves", || {
            let refused = self.call(&["rollback", "--yes"])?.run()?;
            refused.ended_with(&[5])?.names(&["no kube-proxy is ready on every node", "start a kube-proxy"]).map(drop)
        });
        tests.run("there_is_no_kube_proxy_to_replace_or_to_bring_back", || {
            let forth = self.call(&["replace-kube-proxy", "--yes"])?.run()?;
            forth.ended_with(&[0])?.names(&["nothing to do"])?;
            let back = self.call(&["replace-kube-proxy", "--back", "--yes"])?.run()?;
            back.ended_with(&[2])?.names(&["nothing to bring back", "install a kube-proxy"]).map(drop)
        });
        self.judge_services(tests, &parts);
        drop(outside);
        tests.run("those_who_ask_leave", || self.stop_asking());
        tests.run("a_kube_proxy_is_started", || {
            self.lab.start_kube_proxy()?;
            self.lab.wait_until_ready()
        });
        let back = self.part(tests, "rollback", "goes_back_to_kube_ovn_alone", || self.run(&["rollback", "--yes"], 7));
        if back.is_some() {
            tests.run("objects_are_as_before_the_guide", || self.objects_are(&before));
            tests.run("nodes_are_as_before_the_guide", || self.nodes_are(&before));
        }
        // Kube-OVN's network policy is on from the first to the last.
        parts.extend(back);
        self.judge(tests, &parts, 0);
    }

    /// All of the guide but Kube-OVN's switches, with Cilium in the place of kube-proxy, which still runs.
    fn guide_with_a_replacement(&self) -> Result<()> {
        let server = self.lab.control_plane.server().trim_start_matches("https://");
        let (host, port) = server
            .rsplit_once(':')
            .ok_or_else(|| Error::Expectation(format!("the API server is at {server}, without a port")))?;
        let (host, port) = (format!("k8sServiceHost={host}"), format!("k8sServicePort={port}"));
        // A node's own address is on a bridge here, on which ports of nodes are asked.
        let devices = "devices=br-phy ovn0 genev_sys_6081";
        self.install_as_the_guide_says(&["kubeProxyReplacement=true", &host, &port, devices])?;
        self.agents_chain(None)?;
        wait::until("agents are at the sockets of every node", LIMIT, || {
            Ok(match self.is_at_the_sockets() {
                Ok(()) => Seen::Ready(()),
                Err(error) => Seen::NotYet(error.to_string()),
            })
        })?;
        self.make_again(town::NAMESPACE, "app%3Dweb")?;
        self.make_again("kube-system", "k8s-app%3Dkube-dns")
    }

    fn delete_kube_proxy(&self) -> Result<()> {
        let api = self.lab.control_plane.api();
        api.delete(KUBE_PROXY)?;
        wait::until("no kube-proxy runs", LIMIT, || {
            let pods = api.list("/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-proxy")?;
            let names: Vec<_> = pods.iter().map(town::name).collect();
            Ok(if names.is_empty() { Seen::Ready(()) } else { Seen::NotYet(names.join(", ")) })
        })?;
        self.lab.clean_kube_proxy()?;
        self.lab.wait_until_ready()
    }

    fn prove_takeover(&self, tests: &mut Tests<'_>, part: &Part) {
        let Some(audit) = tests.run("the_audit_log_is_complete", || self.lab.control_plane.audit()) else { return };
        let takeover = audit.until(part.log.1);
        let nodes: Vec<&str> = self.lab.nodes.iter().map(|node| node.name.as_str()).collect();
        for (name, wrong) in [
            ("every_change_has_its_intent_before_it", intents::unannounced_by_the_run(&takeover.since(part.log.0))),
            ("network_policy_goes_off_after_the_last_endpoint", order::hand_over(&takeover, &town::LEFT)),
            ("the_load_balancer_goes_off_after_the_last_proof", order::load_balancer(&takeover, &nodes)),
            ("no_values_turn_the_replacement_off", order::replacement(&takeover.since(part.log.0))),
        ] {
            tests.run(name, || expect(wrong.is_empty(), || wrong[..wrong.len().min(12)].join("\n")));
        }
        tests.run("nothing_outside_the_plan_is_written", || {
            let plan = plans::stored(&audit, Kind::Migrate)?;
            let wrong = plans::unlisted(&takeover.since(part.log.0), &plan.writes);
            expect(wrong.is_empty(), || wrong[..wrong.len().min(12)].join("\n"))
        });
    }
}
