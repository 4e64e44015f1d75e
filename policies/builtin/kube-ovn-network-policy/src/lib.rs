//! `kube-ovn-network-policy`: Kube-OVN's NetworkPolicy enforcement is off, or the plan turns it off at its safe moment.
//!
//! Off too early, the cluster has no NetworkPolicy until its pods are Cilium's; on for ever, two enforcers drop each on
//! its own. The safe moment is after the last pod has its CiliumEndpoint.

use std::collections::BTreeMap;

use ovncilium_policy_sdk::kube_ovn::{self, Switch};
use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const OFF: &str = "network-policy-off";
const SAME: &str = "same-enforcement";

/// The policy; what it holds is told by [`Policy::info`].
pub struct KubeOvnNetworkPolicy;
export_policy!(KubeOvnNetworkPolicy);

#[derive(Deserialize)]
struct Installation {
    namespace: String,
    controller: Controller,
}

#[derive(Deserialize)]
struct Controller {
    name: String,
    enable_np: bool,
    flags: BTreeMap<String, String>,
}

impl Policy for KubeOvnNetworkPolicy {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("kube-ovn-network-policy", env!("CARGO_PKG_VERSION"), "NetworkPolicy has one enforcer at a time")
            .scope(ScopeKind::Cluster)
            .fact("kube-ovn")
            .fact("intent")
            .rule(Rule::error(OFF, "Kube-OVN's NetworkPolicy is off, or the plan turns it off at its safe moment").help(
                "Two enforcers of NetworkPolicy drop what either of them would drop. Turning Kube-OVN's off removes its \
                 ACLs at once, so it is safe only after every pod is Cilium's: `kubectl ovncilium migrate` does it then. \
                 Whoever installs the chart by hand turns it off first (`--enable-np=false`, Helm value `func.ENABLE_NP` \
                 or `features.enableNetworkPolicies`) and lives without NetworkPolicy until the pods are restarted.",
            ))
            .rule(Rule::warning(SAME, "Kube-OVN enforces NetworkPolicy as strictly as Cilium").help(
                "With `--np-enforcement=lax` (Kube-OVN 1.15 and newer) Kube-OVN lets pass what Cilium will drop. The audit \
                 phase of a migration shows such drops before they happen.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let installations: Vec<Installation> = match context.facts.require("kube-ovn", "/installations") {
            Ok(installations) => installations,
            Err(why) => return Ok(vec![Finding::unknown(OFF, why)]),
        };
        if installations.is_empty() {
            return Ok(vec![Finding::unknown(OFF, "no kube-ovn-controller was found")]);
        }
        let turns_off = context.facts.require::<bool>("intent", "/turns_network_policy_off");
        let mut findings = Vec::new();
        let owned: Vec<kube_ovn::Installation> = context.facts.require("kube-ovn", "/installations")?;
        for (installation, owned) in installations.iter().zip(&owned) {
            let controller = &installation.controller;
            let object = format!("deployment {}/{}", installation.namespace, controller.name);
            let finding = match (controller.enable_np, &turns_off) {
                (false, _) => Finding::pass(OFF).message("it is off (--enable-np=false)"),
                (true, Ok(true)) => Finding::pass(OFF)
                    .message("it is on; the plan turns it off after the last pod has its CiliumEndpoint"),
                (true, Ok(false)) => Finding::fail(OFF, "it is on (--enable-np), and nothing turns it off").remedy(format!(
                    "`kubectl ovncilium migrate` turns it off at its safe moment; who installs the chart alone turns it off first: {}",
                    owned.turns_off(Switch::NetworkPolicy)
                )),
                (true, Err(why)) => Finding::unknown(OFF, format!("it is on, and {why}")),
            };
            findings.push(finding.subject(object.clone()));
            if controller.enable_np && controller.flags.get("np-enforcement").is_some_and(|mode| mode == "lax") {
                findings.push(
                    Finding::fail(SAME, "it runs with --np-enforcement=lax; Cilium will drop more")
                        .subject(object)
                        .remedy(
                            "look at the audited would-be drops before enforcement, and add the policies they need",
                        ),
                );
            }
        }
        Ok(findings)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::KubeOvnNetworkPolicy>(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/cases"
        ));
    }
}
