//! `kube-ovn-load-balancer`: Kube-OVN's load balancer is off, or the plan turns it off and nothing depends on it.
//!
//! What dies with it: VpcDns, SwitchLBRule, lb-svc, Services of underlay networks, and all of them where nothing else
//! serves Services.

mod blockers;

use blockers::Networks;
use ovncilium_policy_sdk::kube_ovn::{self, Switch};
use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const OFF: &str = "load-balancer-off";
const FREE: &str = "nothing-depends-on-it";

/// The policy; what it holds is told by [`Policy::info`].
pub struct KubeOvnLoadBalancer;
export_policy!(KubeOvnLoadBalancer);

#[derive(Deserialize)]
struct Installation {
    namespace: String,
    controller: Controller,
}

#[derive(Deserialize)]
struct Controller {
    name: String,
    enable_lb: bool,
    enable_lb_svc: bool,
}

impl Policy for KubeOvnLoadBalancer {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("kube-ovn-load-balancer", env!("CARGO_PKG_VERSION"), "Services have one load balancer, and it can be Cilium")
            .scope(ScopeKind::Cluster)
            .fact("kube-ovn")
            .fact("networks")
            .fact("services")
            .fact("intent")
            .rule(Rule::error(OFF, "Kube-OVN's load balancer is off, or the plan turns it off at its safe moment").help(
                "While OVN translates Services, Cilium never sees the Service address and its policy and load balancing \
                 are bypassed. `kubectl ovncilium migrate` turns it off when every pod is Cilium's and another provider \
                 of Services is proven. By hand: `--enable-lb=false`, Helm value `func.ENABLE_LB` or \
                 `features.enableLoadbalancer`.",
            ))
            .rule(Rule::error(FREE, "nothing depends on Kube-OVN's load balancer").help(
                "VpcDns, SwitchLBRule and Services of type LoadBalancer by lb-svc are OVN load balancers themselves; pods \
                 of underlay networks reach Services by no other way; and where neither kube-proxy nor Cilium serves \
                 Services, nobody does. Each of these blocks turning it off.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let installations: Vec<Installation> = match context.facts.require("kube-ovn", "/installations") {
            Ok(installations) => installations,
            Err(why) => return Ok(vec![Finding::unknown(OFF, why.clone()), Finding::unknown(FREE, why)]),
        };
        if installations.is_empty() {
            return Ok(vec![Finding::unknown(OFF, "no kube-ovn-controller was found")]);
        }
        let turns_off = context.facts.require::<bool>("intent", "/turns_load_balancer_off");
        let mut findings = Vec::new();
        let owned: Vec<kube_ovn::Installation> = context.facts.require("kube-ovn", "/installations")?;
        for (installation, owned) in installations.iter().zip(&owned) {
            let controller = &installation.controller;
            let finding = match (controller.enable_lb, &turns_off) {
                (false, _) => Finding::pass(OFF).message("it is off (--enable-lb=false)"),
                (true, Ok(true)) => {
                    Finding::pass(OFF).message("it is on; the plan turns it off once another provider is proven")
                }
                (true, Ok(false)) => Finding::fail(OFF, "it is on (--enable-lb), and nothing turns it off").remedy(format!(
                    "`kubectl ovncilium migrate` turns it off at its safe moment; who installs the chart alone turns it off first: {}",
                    owned.turns_off(Switch::LoadBalancer)
                )),
                (true, Err(why)) => Finding::unknown(OFF, format!("it is on, and {why}")),
            };
            findings.push(finding.subject(object(installation)));
        }
        let on: Vec<&Installation> = installations.iter().filter(|i| i.controller.enable_lb).collect();
        if on.is_empty() {
            findings.push(Finding::skip(FREE, "it is off already"));
            return Ok(findings);
        }
        let mut blocking = match context.facts.require::<Networks>("networks", "") {
            Ok(networks) => blockers::of_networks(&networks),
            Err(why) => vec![Finding::unknown(FREE, why)],
        };
        blocking.extend(on.iter().filter(|i| i.controller.enable_lb_svc).map(|i| {
            blockers::finding("Services of type LoadBalancer are served by lb-svc (--enable-lb-svc)", &object(i))
                .remedy("serve them otherwise (MetalLB, Cilium's L2 announcements) and set --enable-lb-svc=false")
        }));
        blocking.extend(blockers::of_providers(&context.facts.require("services", "/providers")));
        if blocking.is_empty() {
            blocking.push(Finding::pass(FREE).message("no VpcDns, SwitchLBRule, lb-svc or underlay network needs it"));
        }
        findings.extend(blocking);
        Ok(findings)
    }
}

fn object(installation: &Installation) -> String {
    format!("deployment {}/{}", installation.namespace, installation.controller.name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::KubeOvnLoadBalancer>(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/cases"
        ));
    }
}
