//! `nat-gateway`: what VPCs do with addresses survives the chain.
//!
//! Gateways forward packets that are not from their own address, which Cilium drops unless source verification is off; and Cilium tells
//! pods apart by address, so that two pods with one address are one to it.

use ovncilium_policy_sdk::cidr::Cidr;
use ovncilium_policy_sdk::prelude::*;
use ovncilium_policy_sdk::version::Version;
use serde::Deserialize;

const FORWARDS: &str = "gateways-forward";
const UNIQUE: &str = "addresses-unique";
/// Key of cilium-config, set by `daemon.enableSourceIPVerification` since chart 1.17.
const KEY: &str = "enable-source-ip-verification";

/// The policy; what it holds is told by [`Policy::info`].
pub struct NatGateway;
export_policy!(NatGateway);

#[derive(Deserialize)]
struct Networks {
    subnets: Vec<Subnet>,
    nat_gateways: Vec<String>,
}

#[derive(Deserialize)]
struct Subnet {
    name: String,
    cidrs: Vec<String>,
    vpc: String,
}

impl Policy for NatGateway {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("nat-gateway", env!("CARGO_PKG_VERSION"), "what VPCs do with addresses survives the chain")
            .scope(ScopeKind::Cluster)
            .fact("networks")
            .fact("cilium")
            .fact("intent")
            .rule(Rule::error(FORWARDS, "no gateway pod forwards for others, or source verification is off").help(
                "Pods of VPC NAT gateways and egress gateways forward packets of others. Cilium drops them (\"Invalid source ip\") \
                 unless daemon.enableSourceIPVerification is false (chart 1.17 and newer).",
            ))
            .rule(Rule::error(UNIQUE, "no two subnets share addresses").help(
                "Cilium's ipcache has one identity per address: with overlapping ranges of different VPCs, policy and services hit the \
                 wrong pod.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let networks: Networks = match context.facts.require("networks", "") {
            Ok(networks) => networks,
            Err(why) => return Ok(vec![Finding::unknown(FORWARDS, why.clone()), Finding::unknown(UNIQUE, why)]),
        };
        let mut findings = of_gateways(&networks.nat_gateways, context);
        findings.extend(of_subnets(&networks.subnets));
        Ok(findings)
    }
}

fn of_gateways(gateways: &[String], context: &Context<'_>) -> Vec<Finding> {
    if gateways.is_empty() {
        return vec![Finding::pass(FORWARDS).message("there is no gateway")];
    }
    let verified = match context.facts.get::<String>("cilium", &format!("/installation/config/{KEY}")) {
        Ok(value) => value,
        Err(error) => return vec![Finding::unknown(FORWARDS, format!("the fact `cilium` is not known: {error}"))],
    };
    if verified.as_deref() == Some("false") {
        return vec![Finding::pass(FORWARDS).message("source verification is off")];
    }
    let planned = match plans_it_off(context) {
        Ok(planned) => planned,
        Err(why) => return vec![Finding::unknown(FORWARDS, why)],
    };
    if planned {
        let message = "the values of a migration turn source verification off";
        return vec![Finding::pass(FORWARDS).message(message)];
    }
    let of = |gateway: &String| {
        Finding::fail(FORWARDS, "it forwards packets of other pods, which Cilium would drop")
            .subject(format!("gateway/{gateway}"))
            .remedy("choose a chart of 1.17 or newer and set `daemon.enableSourceIPVerification=false`, or remove the gateway")
    };
    gateways.iter().map(of).collect()
}

/// Whether this is a migration, or a look before one, to a chart that can turn source verification off: its values do.
fn plans_it_off(context: &Context<'_>) -> Result<bool, String> {
    let action: String = context.facts.require("intent", "/action")?;
    let version: Option<String> = context.facts.require("intent", "/cilium_version")?;
    let can = version.as_deref().and_then(Version::parse).is_some_and(|version| version >= Version::new(1, 17, 0));
    Ok(can && action != "install")
}

fn of_subnets(subnets: &[Subnet]) -> Vec<Finding> {
    let mut ranges: Vec<(&Subnet, Cidr)> = Vec::new();
    let mut findings = Vec::new();
    for subnet in subnets {
        for text in &subnet.cidrs {
            let subject = format!("subnet/{}", subnet.name);
            let cidr: Cidr = match text.parse() {
                Ok(cidr) => cidr,
                Err(error) => {
                    findings.push(Finding::unknown(UNIQUE, error).subject(subject));
                    continue;
                }
            };
            if let Some((other, range)) =
                ranges.iter().find(|(other, range)| other.name != subnet.name && range.overlaps(&cidr))
            {
                let message = format!(
                    "{cidr} (VPC {}) overlaps {range} of subnet {} (VPC {})",
                    subnet.vpc, other.name, other.vpc
                );
                findings.push(
                    Finding::fail(UNIQUE, message)
                        .subject(subject)
                        .remedy("give one of them another range before you chain"),
                );
            }
            ranges.push((subnet, cidr));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::pass(UNIQUE));
    }
    findings
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::NatGateway>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
