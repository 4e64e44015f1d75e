//! `node-kernel`: every node's kernel meets the target Cilium minor and, as Kube-OVN's guide says, is newer than 4.19.
//!
//! Sources: [`minimum`] (each minor), `docs/advance/with-cilium.en.md` of kubeovn/docs (the guide).

mod minimum;

use minimum::{Meets, Minimum};
use ovncilium_policy_sdk::prelude::*;
use ovncilium_policy_sdk::version::Version;
use serde::Deserialize;

/// The guide: "the Linux kernel version must be above 4.19".
const GUIDE: Version = Version::new(4, 19, 0);

/// The policy; what it holds is told by [`Policy::info`].
pub struct NodeKernel;
export_policy!(NodeKernel);

#[derive(Deserialize)]
struct Node {
    name: String,
    kernel: Option<String>,
}

impl Policy for NodeKernel {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("node-kernel", env!("CARGO_PKG_VERSION"), "node kernels are new enough for Cilium")
            .scope(ScopeKind::Cluster)
            .fact("nodes")
            .fact("intent")
            .rule(Rule::error("kernel-minimum", "every node's kernel meets the minimum of the target Cilium version").help(
                "Cilium's agent loads eBPF programs that older kernels refuse: it does not start there, and a chained \
                 node without an agent starts no pods. Upgrade the kernel, or choose an older Cilium.",
            ))
            .rule(Rule::warning("target-known", "the target Cilium is known to this release").help(
                "What a newer Cilium asks of kernels is not known; it is judged by the newest one that is. Read its system \
                 requirements, or use a newer ovncilium.",
            ))
            .rule(Rule::error("kernel-newer-than-guide", "every node's kernel is newer than 4.19").help(
                "Kube-OVN's guide to chaining asks for a kernel above 4.19. Kernels of RHEL 8 call themselves 4.18 and \
                 carry the needed parts; they are judged by the rule kernel-minimum alone.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let nodes: Vec<Node> = match context.facts.require("nodes", "/items") {
            Ok(nodes) => nodes,
            Err(why) => {
                return Ok(vec![
                    Finding::unknown("kernel-minimum", why.clone()),
                    Finding::unknown("kernel-newer-than-guide", why),
                ]);
            }
        };
        let mut findings = match context.facts.get::<Option<String>>("intent", "/cilium_version") {
            // Without a target the newest minimum counts: whoever meets it meets them all.
            Ok(target) => {
                let minimum = Minimum::of(target.flatten().as_deref());
                let mut findings = judge(&nodes, "kernel-minimum", |node, kernel| by_minimum(node, kernel, &minimum));
                if let Some(newer) = minimum.newer() {
                    let remedy = "read the system requirements of that Cilium, or use a newer ovncilium";
                    findings.push(Finding::fail("target-known", newer).remedy(remedy));
                }
                findings
            }
            Err(why) => {
                vec![Finding::unknown("kernel-minimum", format!("which Cilium is meant is not known: {why}"))]
            }
        };
        findings.extend(judge(&nodes, "kernel-newer-than-guide", by_guide));
        Ok(findings)
    }
}

/// One finding per node that does not pass, or one for all when all do.
fn judge(nodes: &[Node], rule: &str, by: impl Fn(&Node, &str) -> Option<Finding>) -> Vec<Finding> {
    if nodes.is_empty() {
        return vec![Finding::unknown(rule, "the cluster has no nodes to judge")];
    }
    let findings: Vec<Finding> = nodes
        .iter()
        .filter_map(|node| {
            let finding = match node.kernel.as_deref() {
                Some(kernel) => by(node, kernel)?,
                None => Finding::unknown(rule, format!("{} has not told its kernel version", node.name))
                    .remedy("wait until its kubelet reports (status.nodeInfo.kernelVersion)"),
            };
            Some(finding.subject(format!("node/{}", node.name)))
        })
        .collect();
    if !findings.is_empty() {
        return findings;
    }
    let kernels = nodes.iter().filter_map(|node| node.kernel.as_deref());
    let oldest = kernels.min_by_key(|kernel| Version::parse(kernel)).unwrap_or_default();
    vec![Finding::pass(rule).message(format!("all {} nodes; the oldest kernel is {oldest}", nodes.len()))]
}

fn by_minimum(node: &Node, kernel: &str, minimum: &Minimum) -> Option<Finding> {
    let rule = "kernel-minimum";
    match minimum.meets(kernel) {
        Meets::Yes => None,
        Meets::No => Some(
            Finding::fail(rule, format!("{} runs {kernel}; {} needs {}", node.name, minimum.target, minimum.needs()))
                .remedy(format!(
                    "upgrade its kernel to {}, or choose an older Cilium (--cilium-version)",
                    minimum.needs()
                )),
        ),
        Meets::Unreadable => {
            Some(Finding::unknown(rule, format!("{} runs `{kernel}`, which tells no version", node.name)))
        }
        Meets::NoTable => Some(
            Finding::unknown(rule, format!("{} runs {kernel}; what {} needs is not known", node.name, minimum.target))
                .remedy("use a version of ovncilium that knows this Cilium, or a Cilium from 1.10 to 1.20"),
        ),
    }
}

fn by_guide(node: &Node, kernel: &str) -> Option<Finding> {
    let rule = "kernel-newer-than-guide";
    match Version::parse(kernel) {
        _ if minimum::rhel_8(kernel).is_some() => None,
        Some(version) if version > GUIDE => None,
        Some(_) => Some(
            Finding::fail(rule, format!("{} runs {kernel}, which is not newer than 4.19", node.name))
                .remedy("upgrade its kernel above 4.19"),
        ),
        None => Some(Finding::unknown(rule, format!("{} runs `{kernel}`, which tells no version", node.name))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::NodeKernel>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
