//! `veth-only`: every pod has a veth pair.
//!
//! generic-veth takes the first veth interface of a pod; a pod without one cannot be made while its node is chained.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const DEFAULT: &str = "default-veth";
const PODS: &str = "pods-veth";
const VETH: &str = "veth-pair";

/// The policy; what it holds is told by [`Policy::info`].
pub struct VethOnly;
export_policy!(VethOnly);

#[derive(Deserialize)]
struct Installation {
    namespace: String,
    controller: Controller,
}

#[derive(Deserialize)]
struct Controller {
    name: String,
    flags: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Other {
    pod: String,
    kind: String,
}

impl Policy for VethOnly {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("veth-only", env!("CARGO_PKG_VERSION"), "every pod has a veth pair")
            .scope(ScopeKind::Cluster)
            .fact("kube-ovn")
            .fact("workloads")
            .rule(Rule::error(DEFAULT, "Kube-OVN gives pods a veth pair unless they ask for something else").help(
                "--pod-nic-type of kube-ovn-controller (up to v1.14) must be absent or veth-pair.",
            ))
            .rule(Rule::error(PODS, "no pod has another kind of interface").help(
                "cilium-cni looks for a veth interface and refuses a pod without one: internal ports, offloaded VFs, DPDK.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let mut findings = match context.facts.require::<Vec<Installation>>("kube-ovn", "/installations") {
            Ok(installations) => installations.iter().map(of_default).collect(),
            Err(why) => vec![Finding::unknown(DEFAULT, why)],
        };
        match context.facts.require::<Vec<Other>>("workloads", "/other_interfaces") {
            Ok(others) => findings.extend(of_pods(&others)),
            Err(why) => findings.push(Finding::unknown(PODS, why)),
        }
        Ok(findings)
    }
}

fn of_default(installation: &Installation) -> Finding {
    let subject = format!("deployment {}/{}", installation.namespace, installation.controller.name);
    match installation.controller.flags.get("pod-nic-type").map(String::as_str) {
        None | Some("" | VETH) => Finding::pass(DEFAULT).subject(subject),
        Some(kind) => Finding::fail(DEFAULT, format!("it runs with --pod-nic-type={kind}"))
            .subject(subject)
            .remedy("set `--pod-nic-type=veth-pair` and make the pods again before you chain"),
    }
}

fn of_pods(others: &[Other]) -> Vec<Finding> {
    let of = |other: &Other| {
        let what = match other.kind.as_str() {
            "internal-port" => "an internal port of Open vSwitch",
            "offload-port" => "an offloaded virtual function",
            "dpdk-port" => "a DPDK port",
            _ => "no veth pair",
        };
        Finding::fail(PODS, format!("its interface is {what} ({})", other.kind))
            .subject(format!("pod {}", other.pod))
            .remedy("remove the annotation `ovn.kubernetes.io/pod_nic_type` and make it again, or do not chain this cluster")
    };
    if others.is_empty() { vec![Finding::pass(PODS)] } else { others.iter().map(of).collect() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::VethOnly>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
