//! `chart-chaining`: a rendered Cilium chart chains behind Kube-OVN.
//!
//! It chains when `cilium-config` says generic-veth, native routing, no masquerade and not exclusive; everything else
//! is told as a warning, and as an error where facts show that it hurts (`domain/cilium.md` §0, §2.1).

mod advice;
mod config;
mod hard;

use config::CiliumConfig;
use ovncilium_policy_sdk::prelude::*;

const PRESENT: &str = "config-present";

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
        .selector(Selector::kind("", "ConfigMap"))
        .selector(Selector::kind("", "ConfigMapList"))
        .selector(Selector::kind("apps", "DaemonSet"))
        .selector(Selector::kind("apps", "DaemonSetList"))
        .selector(Selector::kind("", "List"))
        .rule(Rule::error(PRESENT, "the chart renders a cilium-config").help(
            "The agent reads all its settings from the ConfigMap cilium-config. A stream with the agent and without \
                 it cannot be judged as chaining, and the agent would not start.",
        ));
        let rules = hard::rules().into_iter().chain(advice::rules());
        rules.fold(info, Info::rule)
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let stream = match config::find(context) {
            Ok(stream) => stream,
            Err(why) => return Ok(vec![Finding::unknown(PRESENT, why)]),
        };
        if stream.configs.is_empty() {
            return Ok(vec![match stream.agent {
                Some(agent) => {
                    Finding::fail(PRESENT, "the agent's DaemonSet is rendered, but no ConfigMap cilium-config")
                        .document(agent)
                        .remedy("render the whole chart; do not filter documents out of it")
                }
                None => Finding::skip(PRESENT, "no Cilium is rendered: neither a cilium-config nor an agent"),
            }]);
        }
        let mut findings = Vec::new();
        for config in &stream.configs {
            findings.push(Finding::pass(PRESENT).document(config.document));
            findings.extend(hard::check(config));
            findings.extend(advice::check(config, context));
        }
        Ok(findings)
    }
}

impl CiliumConfig {
    /// A finding with the place of `key` in it.
    fn place(&self, finding: Finding, key: &str) -> Finding {
        finding.document(self.document).pointer(format!("{}/data/{key}", self.at)).subject(self.subject.clone())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::ChartChaining>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
