//! `l7-policy-void`: no policy relies on rules that do nothing behind the chain.
//!
//! Layer 7 and toFQDNs rules go through Cilium's proxy, whose marks do not survive Kube-OVN: they are accepted, and without effect.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const RULE: &str = "no-l7-rules";

/// The policy; what it holds is told by [`Policy::info`].
pub struct L7PolicyVoid;
export_policy!(L7PolicyVoid);

#[derive(Deserialize)]
struct L7Policy {
    object: String,
    uses: Vec<String>,
}

impl Policy for L7PolicyVoid {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("l7-policy-void", env!("CARGO_PKG_VERSION"), "no policy relies on rules that do nothing behind the chain")
            .scope(ScopeKind::Cluster)
            .fact("cilium")
            .rule(Rule::warning(RULE, "no policy has rules above layer 4").help(
                "toFQDNs, HTTP, Kafka, DNS and TLS rules need Cilium's proxy, which does not work behind generic-veth (cilium#12454): what \
                 they should allow may be dropped, what they should drop passes.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let policies: Vec<L7Policy> = match context.facts.require("cilium", "/l7_policies") {
            Ok(policies) => policies,
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        if policies.is_empty() {
            return Ok(vec![Finding::pass(RULE)]);
        }
        let void = |policy: &L7Policy| {
            Finding::fail(RULE, format!("it uses {}, which has no effect behind the chain", policy.uses.join(", ")))
                .subject(policy.object.clone())
                .remedy("write it with addresses, labels and ports: toCIDR, toEndpoints, toPorts without rules")
        };
        Ok(policies.iter().map(void).collect())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::L7PolicyVoid>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
