//! `chart-chaining`: a rendered Cilium chart chains behind Kube-OVN.
//!
//! It chains when `cilium-config` says generic-veth, native routing, no masquerade and not exclusive; everything else
//! is told as a warning, and as an error where facts show that it hurts.

mod advice;
mod agent;
mod hard;

use ovncilium_policy_sdk::cilium::{self, CiliumConfig};
use ovncilium_policy_sdk::prelude::*;

const PRESENT: &str = "config-present";
const KNOWN: &str = "chart-known";
/// Minors of Cilium whose keys are known. Tests of the host hold that these are those of `core/src/compat/cilium.rs`.
const MINORS: (u64, u64) = (10, 20);

/// The policy; what it holds is told by [`Policy::info`].
pub struct ChartChaining;
export_policy!(ChartChaining);

impl Policy for ChartChaining {
    type Settings = NoSettings;

    fn info() -> Info {
        let info = Info::new(
            "chart-chaining",
            env!("CARGO_PKG_VERSION"),
            "the rendered Cilium chart chains behind Kube-OVN",
        )
        .scope(ScopeKind::Stream)
        .fact("intent")
        .fact("kube-ovn")
        .fact("addresses")
        .fact("workloads")
        .fact("cilium")
        .rule(Rule::error(PRESENT, "the chart renders a cilium-config").help(
            "The agent reads all its settings from the ConfigMap cilium-config. A stream with the agent and without \
                 it cannot be judged as chaining, and the agent would not start.",
        ));
        let info = info.rule(Rule::warning(KNOWN, "this version of Cilium is known to this release").help(
            "Charts rename and drop keys without a word. One that is not known is judged by the keys of the nearest that is: \
             read its upgrade notes, and look at the rendered cilium-config.",
        ));
        let info = cilium::selectors().into_iter().fold(info, Info::selector);
        let rules = hard::rules().into_iter().chain(agent::rules()).chain(advice::rules());
        rules.fold(info, Info::rule)
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let stream = match cilium::find(context) {
            Ok(stream) => stream,
            Err(why) => return Ok(vec![Finding::unknown(PRESENT, why)]),
        };
        if stream.configs.is_empty() {
            return Ok(vec![match &stream.agent {
                Some(agent) => {
                    Finding::fail(PRESENT, "the agent's DaemonSet is rendered, but no ConfigMap cilium-config")
                        .document(agent.document)
                        .remedy("render the whole chart; do not filter documents out of it")
                }
                None => Finding::skip(PRESENT, "no Cilium is rendered: neither a cilium-config nor an agent"),
            }]);
        }
        let mut findings = Vec::new();
        for config in &stream.configs {
            findings.push(Finding::pass(PRESENT).document(config.document));
            findings.extend(known(config));
            findings.extend(hard::check(config, context));
            findings.extend(agent::check(config, &stream, context));
            findings.extend(advice::check(config, context));
        }
        Ok(findings)
    }
}

/// A version beside the table is told; an image whose tag tells none is judged by the keys that are there.
fn known(config: &CiliumConfig) -> Option<Finding> {
    let version = config.version?;
    let (oldest, newest) = MINORS;
    let (beside, nearest) = match (version.major, version.minor) {
        at if at > (1, newest) => ("newer", newest),
        at if at < (1, oldest) => ("older", oldest),
        _ => return None,
    };
    let message = format!(
        "Cilium {version} is {beside} than this release knows (1.{oldest} to 1.{newest}); it is judged as 1.{nearest}"
    );
    let remedy = "use a newer ovncilium, or read what changed in the chart";
    Some(Finding::fail(KNOWN, message).document(config.document).subject(config.subject.clone()).remedy(remedy))
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::ChartChaining>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
