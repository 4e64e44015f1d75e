//! What stands beside `cilium-config`: settings that agents take rather, and the directory into which they write their CNI file.

use ovncilium_policy_sdk::cilium::{CiliumConfig, Override, Stream};
use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

use crate::advice::fact;

const OVERRIDDEN: &str = "not-overridden";
const CONF_DIR: &str = "conf-dir";

/// Keys without which Cilium does not chain, or takes Kube-OVN's file away: the same on every node.
const EVERYWHERE: [&str; 9] = [
    "cni-chaining-mode",
    "cni-exclusive",
    "custom-cni-conf",
    "datapath-mode",
    "enable-ipv4-masquerade",
    "enable-ipv6-masquerade",
    "ipam",
    "routing-mode",
    "tunnel",
];
/// More that rules judge; a CiliumNodeConfig may say them for some nodes, as a migration does.
const JUDGED: [&str; 11] = [
    "cluster-pool-ipv4-cidr",
    "cni-chaining-target",
    "devices",
    "enable-identity-mark",
    "enable-ipv6",
    "enable-policy",
    "kube-proxy-replacement",
    "policy-audit-mode",
    "read-cni-conf",
    "unmanaged-pod-watcher-interval",
    "write-cni-conf-when-ready",
];

pub(crate) fn rules() -> Vec<Rule> {
    vec![
        Rule::error(OVERRIDDEN, "nothing stands above cilium-config").help(
            "An agent takes its arguments before its variables, and both before cilium-config; a CiliumNodeConfig changes \
             cilium-config for some nodes. A chart's `extraArgs` and `extraEnv` end up there, and what cilium-config says of the same key counts no more.",
        ),
        Rule::error(CONF_DIR, "agents write their CNI file where Kube-OVN does").help(
            "A runtime loads files of one directory. k3s, RKE2 and MicroK8s have another than /etc/cni/net.d: a file that is \
             written there is loaded by nobody, and pods stay unchained without a word. Set `cni.confPath`.",
        ),
    ]
}

pub(crate) fn check(config: &CiliumConfig, stream: &Stream, context: &Context<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = stream.overrides.iter().filter_map(|one| overridden(config, one)).collect();
    if findings.is_empty() {
        findings.push(Finding::pass(OVERRIDDEN).document(config.document).subject(config.subject.clone()));
    }
    findings.extend(conf_dir(stream, context));
    findings
}

fn overridden(config: &CiliumConfig, one: &Override) -> Option<Finding> {
    let everywhere = EVERYWHERE.contains(&one.key.as_str());
    let judged = everywhere || (!one.of_a_node && JUDGED.contains(&one.key.as_str()));
    if !judged || config.is(&one.key, &one.value) {
        return None;
    }
    let remedy = match one.of_a_node {
        true => "remove the key from its `spec.defaults`",
        false => "say it by the chart's own value for it; take it out of `extraArgs` and `extraEnv`",
    };
    let message = format!("{}, and it counts: {} in cilium-config", one.told, config.told(&one.key));
    Some(Finding::fail(OVERRIDDEN, message).document(one.document).pointer(one.pointer.clone()).remedy(remedy))
}

#[derive(Deserialize)]
struct Installation {
    cni: Cni,
}

#[derive(Deserialize)]
struct Cni {
    conf_dir: String,
}

/// The directory of the agents beside that of Kube-OVN; nothing when documents are judged by themselves.
fn conf_dir(stream: &Stream, context: &Context<'_>) -> Option<Finding> {
    let agent = stream.agent.as_ref()?;
    let (pointer, own) = agent.conf_dir.as_ref()?;
    let place = |finding: Finding| finding.document(agent.document).pointer(pointer.clone());
    let installations: Vec<Installation> = match fact(context, "kube-ovn", "/installations") {
        Ok(installations) => installations?,
        Err(why) => {
            let told = format!("{own}; whether Kube-OVN writes there is not known: {why}");
            return Some(place(Finding::unknown(CONF_DIR, told)));
        }
    };
    let dirs: Vec<&str> = installations.iter().map(|one| one.cni.conf_dir.trim_end_matches('/')).collect();
    let own = own.trim_end_matches('/');
    Some(place(match dirs.iter().find(|dir| **dir != own) {
        None if dirs.is_empty() => return None,
        None => Finding::pass(CONF_DIR).message(own),
        Some(&"") => Finding::unknown(CONF_DIR, format!("{own}; the directory of Kube-OVN's file is not known")),
        Some(dir) => Finding::fail(CONF_DIR, format!("agents write into {own}, Kube-OVN into {dir}"))
            .remedy(format!("--set cni.confPath={dir}")),
    }))
}
