//! `ip-family`: every pod network is IPv4.
//!
//! Behind the chain neighbour discovery of IPv6 is dropped (cilium#32003, kube-ovn#6681): IPv6-only pods lose their network, dual-stack
//! pods half of it.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const SUBNETS: &str = "subnets-ipv4";
const PODS: &str = "pods-ipv4";

/// The policy; what it holds is told by [`Policy::info`].
pub struct IpFamily;
export_policy!(IpFamily);

#[derive(Deserialize)]
struct Subnet {
    name: String,
    protocol: String,
    cidrs: Vec<String>,
}

impl Policy for IpFamily {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("ip-family", env!("CARGO_PKG_VERSION"), "every pod network is IPv4")
            .scope(ScopeKind::Cluster)
            .fact("networks")
            .fact("workloads")
            .rule(Rule::error(SUBNETS, "every subnet is IPv4 only").help(
                "IPv6 behind a generic-veth chain loses neighbour discovery. No version of Cilium up to 1.20 works.",
            ))
            .rule(
                Rule::error(PODS, "no pod has an IPv6 address of its own")
                    .help("Such a pod keeps its address from before its subnet was changed; make it again."),
            )
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let mut findings = match context.facts.require::<Vec<Subnet>>("networks", "/subnets") {
            Ok(subnets) => all(SUBNETS, subnets.iter().filter_map(of_subnet).collect()),
            Err(why) => vec![Finding::unknown(SUBNETS, why)],
        };
        findings.extend(match context.facts.require::<Vec<String>>("workloads", "/ipv6_pods") {
            Ok(pods) => all(PODS, of_pods(&pods).into_iter().collect()),
            Err(why) => vec![Finding::unknown(PODS, why)],
        });
        Ok(findings)
    }
}

fn all(rule: &str, failed: Vec<Finding>) -> Vec<Finding> {
    if failed.is_empty() { vec![Finding::pass(rule)] } else { failed }
}

fn of_subnet(subnet: &Subnet) -> Option<Finding> {
    let told = match subnet.protocol.as_str() {
        "" | "IPv4" if !subnet.cidrs.iter().any(|cidr| cidr.contains(':')) => return None,
        "" | "IPv4" => "it has an IPv6 range",
        "Dual" => "it is dual stack",
        _ => "it is IPv6",
    };
    Some(
        Finding::fail(SUBNETS, format!("{told} ({})", subnet.cidrs.join(", ")))
            .subject(format!("subnet/{}", subnet.name))
            .remedy("do not chain Cilium here; move its pods to an IPv4 subnet first, or wait for cilium#32003"),
    )
}

/// One finding for all pods: there may be thousands.
fn of_pods(pods: &[String]) -> Option<Finding> {
    let (first, others) = pods.split_first()?;
    let more = if others.is_empty() { String::new() } else { format!(", and so have {} more", others.len()) };
    Some(
        Finding::fail(PODS, format!("it has an IPv6 address{more}"))
            .subject(format!("pod {first}"))
            .remedy("make these pods again in an IPv4 subnet"),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::IpFamily>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
