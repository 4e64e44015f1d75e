//! `cni-conf-order`: on every node the chained file sorts first and stays first, whoever restarts.
//!
//! A runtime loads the first file in lexical order. Kube-OVN writes its own again at every start (which of its programs,
//! and when, depends on the version), so only a name that sorts before it lasts.

mod node;

use std::collections::BTreeSet;

use node::{ConfDir, Silent};
use ovncilium_policy_sdk::prelude::*;
use ovncilium_policy_sdk::version::Version;
use serde::Deserialize;

const PRIMARY: &str = "kube-ovn-is-primary";
const PLANNED: &str = "planned-order";
const READ: &str = "nodes-read";
const ORDER: &str = "node-order";
const LEFTOVERS: &str = "no-leftovers";
const KNOWN: &str = "kube-ovn-known";
/// Minors of Kube-OVN whose writers are known. Tests of the host hold that these are those of `core/src/compat/kube_ovn.rs`.
const MINORS: (u64, u64) = (8, 16);

/// The policy; what it holds is told by [`Policy::info`].
pub struct CniConfOrder;
export_policy!(CniConfOrder);

#[derive(Deserialize)]
struct Installation {
    version: Option<String>,
    cni: Cni,
}

#[derive(Deserialize)]
struct Cni {
    name: String,
    conf_name: String,
    writer: String,
    non_primary: bool,
}

#[derive(Deserialize)]
struct Conflists {
    nodes: Vec<ConfDir>,
    silent: Vec<Silent>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Policy for CniConfOrder {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("cni-conf-order", env!("CARGO_PKG_VERSION"), "the chained CNI configuration sorts first and stays first")
            .scope(ScopeKind::Cluster)
            .fact("kube-ovn")
            .fact("intent")
            .fact("conflists")
            .fact("nodes")
            .rule(Rule::error(PRIMARY, "Kube-OVN is the cluster's primary CNI").help(
                "With --non-primary-cni-mode another CNI gives pods their first interface; there is nothing to chain behind.",
            ))
            .rule(Rule::warning(KNOWN, "this version of Kube-OVN is known to this release").help(
                "Who writes the file is read from the workloads. What a version does beyond that (when it writes, whether it \
                 leaves an existing file alone) is known for 1.8 to 1.16; another one is judged as the nearest of these.",
            ))
            .rule(Rule::error(PLANNED, "the chained file's name sorts before Kube-OVN's").help(
                "Kube-OVN writes its file at every start of its daemon or pod and never removes an old name. The chained \
                 file must sort before whatever name it writes, or new pods bypass Cilium after the next restart.",
            ))
            .rule(Rule::warning(READ, "the CNI directory of every node was read").help(
                "What lies on the nodes is read only on request: `--nodes` runs short-lived read-only pods. `migrate` \
                 always reads it.",
            ))
            .rule(Rule::error(ORDER, "no foreign CNI file sorts before the chained one, and Kube-OVN's is there").help(
                "A runtime loads the first file in lexical order. Only Multus (00-multus*) may come before; its own \
                 pin to a file is another question. Kube-OVN's file must be there: the chained one is made from it.",
            ))
            .rule(Rule::error(LEFTOVERS, "no CNI file was set aside by an older Cilium").help(
                "Cilium with `cni.exclusive=true` renames the files of others to *.cilium_bak and nothing renames them \
                 back. Such a file means that somebody's network is switched off on that node.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let installations: Vec<Installation> = match context.facts.require("kube-ovn", "/installations") {
            Ok(installations) => installations,
            Err(why) => return Ok(vec![Finding::unknown(PRIMARY, why.clone()), Finding::unknown(PLANNED, why)]),
        };
        let [installation] = installations.as_slice() else {
            let message = format!("{} installations of Kube-OVN were found; one is needed", installations.len());
            return Ok(vec![Finding::unknown(PRIMARY, message.clone()), Finding::unknown(PLANNED, message)]);
        };
        let cni = &installation.cni;
        let subject = format!("daemonset {}", cni.name);
        let mut findings = vec![
            if cni.non_primary {
                Finding::fail(PRIMARY, "it runs with --non-primary-cni-mode")
                    .remedy("there is no chaining in this mode; install Cilium as the other CNI allows it")
            } else {
                Finding::pass(PRIMARY)
            }
            .subject(subject.clone()),
        ];
        findings.extend(known(installation.version.as_deref()).map(|finding| finding.subject(subject.clone())));
        let conf_name: String = match context.facts.require("intent", "/conf_name") {
            Ok(name) => name,
            Err(why) => {
                findings.push(Finding::unknown(PLANNED, why));
                return Ok(findings);
            }
        };
        findings.push(if conf_name.is_empty() {
            Finding::skip(PLANNED, "nothing says under which name Cilium's configuration is written")
        } else {
            planned(&conf_name, cni).subject(subject)
        });
        findings.extend(on_nodes(&conf_name, &cni.conf_name, context));
        Ok(findings)
    }
}

/// A version beside the table is told. A tag that tells no version (somebody's own build) is judged by what the workloads say.
fn known(version: Option<&str>) -> Option<Finding> {
    let text = version?;
    let version = Version::parse(text)?;
    let (oldest, newest) = MINORS;
    let at = (version.major, version.minor);
    let (beside, nearest) = match at {
        at if at > (1, newest) => ("newer", newest),
        at if at < (1, oldest) => ("older", oldest),
        _ => return None,
    };
    let message = format!(
        "Kube-OVN {text} is {beside} than this release knows (v1.{oldest} to v1.{newest}); it is judged as v1.{nearest}"
    );
    let remedy = match beside {
        "newer" => "use a newer ovncilium, or read what changed in kube-ovn-cni's start",
        _ => "upgrade Kube-OVN first",
    };
    Some(Finding::fail(KNOWN, message).remedy(remedy))
}

fn planned(conf_name: &str, cni: &Cni) -> Finding {
    let writes = match cni.writer.as_str() {
        "hard-coded" => "its main container at every start, always under this name",
        "cni-server" => "its main container at every start",
        "install-cni" => "its init container at every start of the pod",
        other => other,
    };
    if conf_name < cni.conf_name.as_str() {
        Finding::pass(PLANNED).message(format!("{conf_name} sorts before {} (written by {writes})", cni.conf_name))
    } else {
        Finding::fail(PLANNED, format!("{conf_name} does not sort before {} (written by {writes})", cni.conf_name))
            .remedy("use the layout `beside` (01-cilium.conflist), or give Kube-OVN a later name (--cni-conf-name)")
    }
}

/// What the nodes themselves say, when they were asked.
fn on_nodes(conf_name: &str, kube_ovn: &str, context: &Context<'_>) -> Vec<Finding> {
    let conflists: Conflists = match context.facts.require("conflists", "") {
        Ok(conflists) => conflists,
        Err(why) => {
            let why_not = "the CNI directories of the nodes were not read";
            return vec![
                Finding::fail(READ, why).remedy("run `kubectl ovncilium check --nodes`"),
                Finding::skip(ORDER, why_not),
                Finding::skip(LEFTOVERS, why_not),
            ];
        }
    };
    let mut order: Vec<Finding> = Vec::new();
    for silent in &conflists.silent {
        order.push(node::silent(ORDER, &silent.node, &silent.reason));
    }
    // A node nobody asked is as silent as one that did not answer.
    let known: Vec<Named> = match context.facts.require("nodes", "/items") {
        Ok(nodes) => nodes,
        Err(why) => {
            order.push(Finding::unknown(ORDER, format!("whether every node was asked cannot be told: {why}")));
            Vec::new()
        }
    };
    let answered = conflists.nodes.iter().map(|dir| dir.node.as_str());
    let heard: BTreeSet<&str> = answered.chain(conflists.silent.iter().map(|silent| silent.node.as_str())).collect();
    for node in known.iter().filter(|node| !heard.contains(node.name.as_str())) {
        order.push(node::silent(ORDER, &node.name, "it was not asked"));
    }
    let mut leftovers = Vec::new();
    for dir in &conflists.nodes {
        order.extend(node::order(ORDER, dir, conf_name, kube_ovn));
        leftovers.extend(node::leftovers(LEFTOVERS, dir));
    }
    let asked = conflists.nodes.len();
    let all = |rule, what: &str| Finding::pass(rule).message(format!("{what} on {asked} nodes"));
    if order.is_empty() {
        order.push(all(ORDER, "nothing foreign sorts first"));
    }
    if leftovers.is_empty() {
        leftovers.push(all(LEFTOVERS, "nothing was set aside"));
    }
    let mut findings = vec![all(READ, "CNI directories were read")];
    findings.extend(order);
    findings.extend(leftovers);
    findings
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::CniConfOrder>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
