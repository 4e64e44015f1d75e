//! `service-provider`: Services work without Kube-OVN's load balancer: kube-proxy or Cilium serves them on every node.
//!
//! When Kube-OVN's load balancer goes, pods reach ClusterIPs by the host's kube-proxy or by Cilium's replacement;
//! without either all of them die at once.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const RULE: &str = "provider-ready";

/// The policy; what it holds is told by [`Policy::info`].
pub struct ServiceProvider;
export_policy!(ServiceProvider);

#[derive(Deserialize)]
struct Provider {
    kind: String,
    object: String,
    desired: u32,
    ready: u32,
}

#[derive(Deserialize)]
struct Named {}

impl Policy for ServiceProvider {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("service-provider", env!("CARGO_PKG_VERSION"), "Services work without Kube-OVN's load balancer")
            .scope(ScopeKind::Cluster)
            .fact("services")
            .fact("nodes")
            .rule(Rule::error(RULE, "kube-proxy or Cilium serves Services on every node").help(
                "A migration turns Kube-OVN's load balancer off. Then every ClusterIP is served by kube-proxy, or by \
                 Cilium's kube-proxy replacement: one of them must be ready on all nodes before.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let providers: Vec<Provider> = match context.facts.require("services", "/providers") {
            Ok(providers) => providers,
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        let nodes = match context.facts.require::<Vec<Named>>("nodes", "/items") {
            Ok(nodes) => u32::try_from(nodes.len()).unwrap_or(u32::MAX),
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        let others: Vec<&Provider> =
            providers.iter().filter(|provider| matches!(provider.kind.as_str(), "kube-proxy" | "cilium")).collect();
        if let Some(ready) = others.iter().find(|p| p.desired > 0 && p.ready >= p.desired && p.ready >= nodes) {
            let message = format!("{} is ready on all {nodes} nodes", ready.object);
            return Ok(vec![Finding::pass(RULE).message(message).subject(ready.object.clone())]);
        }
        if others.is_empty() {
            return Ok(vec![Finding::fail(RULE, "only Kube-OVN's own load balancer serves Services").remedy(
                "install kube-proxy, or Cilium with kubeProxyReplacement, and wait until it is ready on every node",
            )]);
        }
        let fail = |provider: &&Provider| {
            let (ready, desired) = (provider.ready, provider.desired);
            let message = format!("{} is ready on {ready} of {nodes} nodes ({desired} wanted)", provider.object);
            Finding::fail(RULE, message)
                .subject(provider.object.clone())
                .remedy(format!("see why: `kubectl describe {}`", described(&provider.object)))
        };
        Ok(others.iter().map(fail).collect())
    }
}

/// `daemonset kube-system/kube-proxy` as kubectl takes it.
fn described(object: &str) -> String {
    match object.split_once(' ').and_then(|(kind, name)| Some((kind, name.split_once('/')?))) {
        Some((kind, (namespace, name))) => format!("-n {namespace} {kind} {name}"),
        None => object.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::ServiceProvider>(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/cases"
        ));
    }
}
