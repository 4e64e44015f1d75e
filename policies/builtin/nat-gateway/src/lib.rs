//! `nat-gateway`: what VPCs do with addresses survives the chain.
//!
//! Gateways forward packets that are not from their own address, which Cilium drops unless source verification is off; and Cilium tells
//! pods apart by address, so that two pods with one address are one to it.

use ovncilium_policy_sdk::cidr::Cidr;
use ovncilium_policy_sdk::cilium::{self, CiliumConfig};
use ovncilium_policy_sdk::prelude::*;
use ovncilium_policy_sdk::version::Version;
use serde::Deserialize;

const FORWARDS: &str = "gateways-forward";
const UNIQUE: &str = "addresses-unique";
/// Key of cilium-config, set by `daemon.enableSourceIPVerification` since chart 1.17.
const KEY: &str = "enable-source-ip-verification";
/// First Cilium that reads it.
const SINCE: Version = Version::new(1, 17, 0);

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
        let info =
            Info::new("nat-gateway", env!("CARGO_PKG_VERSION"), "what VPCs do with addresses survives the chain");
        cilium::selectors()
            .into_iter()
            .fold(info, Info::selector)
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

/// By the rendered chart where there is one, else by what is installed and what is asked for.
fn of_gateways(gateways: &[String], context: &Context<'_>) -> Vec<Finding> {
    if gateways.is_empty() {
        return vec![Finding::pass(FORWARDS).message("there is no gateway")];
    }
    match cilium::find(context) {
        Ok(stream) if stream.configs.is_empty() => of_cluster(gateways, context),
        Ok(stream) => stream.configs.iter().flat_map(|config| of_chart(gateways, config)).collect(),
        Err(why) => vec![Finding::unknown(FORWARDS, why)],
    }
}

fn of_chart(gateways: &[String], config: &CiliumConfig) -> Vec<Finding> {
    if config.is(KEY, "false") && reads_it(config.version) {
        return vec![config.place(Finding::pass(FORWARDS).message(config.told(KEY)), KEY)];
    }
    let cause = match config.version {
        Some(version) if version < SINCE => format!("Cilium {version} cannot turn source verification off"),
        _ => config.told(KEY),
    };
    let of = |gateway: &String| config.place(denied(&cause, config.version), KEY).subject(format!("gateway/{gateway}"));
    gateways.iter().map(of).collect()
}

fn of_cluster(gateways: &[String], context: &Context<'_>) -> Vec<Finding> {
    match is_off(context) {
        Ok(Some(why)) => vec![Finding::pass(FORWARDS).message(why)],
        Ok(None) => {
            let target: Option<String> = context.facts.get("intent", "/cilium_version").ok().flatten();
            let target = target.as_deref().and_then(Version::parse);
            let of = |gateway: &String| denied("sources are verified", target).subject(format!("gateway/{gateway}"));
            gateways.iter().map(of).collect()
        }
        Err(why) => vec![Finding::unknown(FORWARDS, why)],
    }
}

/// By the version that is to be installed, where it is known.
fn denied(cause: &str, version: Option<Version>) -> Finding {
    let off = "`--set daemon.enableSourceIPVerification=false`";
    let remedy = match version {
        Some(version) if version < SINCE => {
            format!("choose a chart of {SINCE} or newer with {off}, or remove the gateway")
        }
        Some(_) => format!("{off}, or remove the gateway"),
        None => format!("{off} (chart {SINCE} or newer), or remove the gateway"),
    };
    Finding::fail(FORWARDS, format!("it forwards packets of other pods, which Cilium would drop: {cause}"))
        .remedy(remedy)
}

/// Why source verification is or will be off.
fn is_off(context: &Context<'_>) -> Result<Option<&'static str>, String> {
    let installed = |pointer: &str| {
        let value = context.facts.get::<Option<String>>("cilium", &format!("/installation/{pointer}"));
        value.map(Option::flatten).map_err(|error| format!("the fact `cilium` is not known: {error}"))
    };
    let version = installed("version")?;
    let off = installed(&format!("config/{KEY}"))?.is_some_and(|value| value.trim() == "false");
    if off && reads_it(version.as_deref().and_then(Version::parse)) {
        return Ok(Some("source verification is off"));
    }
    let action: String = context.facts.require("intent", "/action")?;
    let version: Option<String> = context.facts.require("intent", "/cilium_version")?;
    let can = version.as_deref().and_then(Version::parse).is_some_and(|version| version >= SINCE);
    Ok((can && action != "install").then_some("the values of a migration turn source verification off"))
}

/// A version that nobody tells is taken for one that reads what it is given.
fn reads_it(version: Option<Version>) -> bool {
    version.is_none_or(|version| version >= SINCE)
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
