//! `l7-policy-void`: no policy relies on rules that do nothing behind the chain.
//!
//! Layer 7 and toFQDNs rules go through Cilium's proxy, whose marks do not survive Kube-OVN: they are accepted, and without effect.
//! Policies of the cluster are told by facts, those that are about to come by the stream.

mod stream;

use ovncilium_policy_sdk::cilium;
use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const RULE: &str = "no-l7-rules";
const GROUP: &str = "cilium.io";

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
        let info = Info::new(
            "l7-policy-void",
            env!("CARGO_PKG_VERSION"),
            "no policy relies on rules that do nothing behind the chain",
        );
        let info = cilium::selectors().into_iter().fold(info, Info::selector);
        let kinds = stream::KINDS.iter().flat_map(|kind| [(*kind).to_owned(), format!("{kind}List")]);
        kinds
            .fold(info, |info, kind| info.selector(Selector::kind(GROUP, kind)))
            .scope(ScopeKind::Cluster)
            .scope(ScopeKind::Stream)
            .fact("cilium")
            .rule(Rule::warning(RULE, "no policy has rules above layer 4").help(
                "toFQDNs, HTTP, Kafka, DNS and TLS rules need Cilium's proxy, which does not work behind generic-veth (cilium#12454): what \
                 they should allow may be dropped, what they should drop passes.",
            ))
    }

    fn check(_: &NoSettings, scope: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        Ok(match scope {
            Scope::Stream => stream::check(context),
            _ => of_cluster(context),
        })
    }
}

fn of_cluster(context: &Context<'_>) -> Vec<Finding> {
    let policies: Vec<L7Policy> = match context.facts.require("cilium", "/l7_policies") {
        Ok(policies) => policies,
        Err(why) => return vec![Finding::unknown(RULE, why)],
    };
    if policies.is_empty() {
        return vec![Finding::pass(RULE)];
    }
    policies.iter().map(|policy| void(&policy.uses, "").subject(policy.object.clone())).collect()
}

/// A policy that uses these fields; `beside` is what else is known of the proxy.
fn void(uses: &[String], beside: &str) -> Finding {
    Finding::fail(RULE, format!("it uses {}, which has no effect behind the chain{beside}", uses.join(", ")))
        .remedy("write it with addresses, labels and ports: toCIDR, toEndpoints, toPorts without rules")
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::L7PolicyVoid>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
