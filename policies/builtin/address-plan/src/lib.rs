//! `address-plan`: the range of Cilium's cluster-pool is disjoint from pod, join, service and node ranges.
//!
//! The pool is carved up even when chaining (`cilium_host` gets an address of it on every node), and the chart's default
//! 10.0.0.0/8 contains Kube-OVN's 10.16.0.0/16.

use std::cell::LazyCell;

use ovncilium_policy_sdk::cidr::Cidr;
use ovncilium_policy_sdk::pool;
use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const RULE: &str = "pool-disjoint";

/// The policy; what it holds is told by [`Policy::info`].
pub struct AddressPlan;
export_policy!(AddressPlan);

#[derive(Deserialize)]
struct Range {
    kind: String,
    user: String,
    cidr: String,
}

impl Policy for AddressPlan {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("address-plan", env!("CARGO_PKG_VERSION"), "Cilium's addresses collide with nobody's")
            .scope(ScopeKind::Cluster)
            .fact("addresses")
            .fact("intent")
            .rule(Rule::error(RULE, "Cilium's cluster-pool is disjoint from every range in use").help(
                "Cilium gives each node addresses of its cluster-pool even when Kube-OVN gives pods theirs. Where the \
                 pool meets a range in use, routes to pods, services or nodes lead into Cilium. Choose another \
                 `ipam.operator.clusterPoolIPv4PodCIDRList`; Kube-OVN's own tests use 100.65.0.0/16.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let pool: Vec<String> = match context.facts.require("intent", "/cluster_pool") {
            Ok(pool) => pool,
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        let ranges: Vec<Range> = match context.facts.require("addresses", "/ranges") {
            Ok(ranges) => ranges,
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        if pool.is_empty() {
            return Ok(vec![Finding::unknown(RULE, "which range Cilium would use is not known")]);
        }
        let mut findings = Vec::new();
        for own in &pool {
            match own.parse::<Cidr>() {
                Ok(cidr) => findings.extend(meetings(own, &cidr, &ranges)),
                Err(error) => findings.push(
                    Finding::fail(RULE, format!("Cilium's cluster-pool cannot be used: {error}"))
                        .remedy("write it in CIDR notation, such as 100.65.0.0/16"),
                ),
            }
        }
        if findings.is_empty() {
            let message = format!("{} meets none of {} ranges in use", pool.join(", "), ranges.len());
            findings.push(Finding::pass(RULE).message(message));
        }
        Ok(findings)
    }
}

/// One finding per range that the pool meets, or that cannot be read.
fn meetings(own: &str, pool: &Cidr, ranges: &[Range]) -> Vec<Finding> {
    let remedy = LazyCell::new(|| match pool::free(ranges.iter().map(|range| range.cidr.as_str())) {
        Ok(free) => format!("`--set ipam.operator.clusterPoolIPv4PodCIDRList={{{free}}}`: nobody uses it"),
        Err(why) => pool::none(&why),
    });
    let one = |range: &Range| match range.cidr.parse::<Cidr>() {
        Ok(other) if !pool.overlaps(&other) => None,
        Ok(_) => Some(
            Finding::fail(
                RULE,
                format!(
                    "Cilium's cluster-pool {own} overlaps the {} range {} of {}",
                    range.kind, range.cidr, range.user
                ),
            )
            .subject(range.user.clone())
            .remedy(remedy.as_str()),
        ),
        Err(error) => Some(
            Finding::unknown(RULE, format!("the {} range of {} cannot be read: {error}", range.kind, range.user))
                .subject(range.user.clone()),
        ),
    };
    ranges.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::AddressPlan>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
