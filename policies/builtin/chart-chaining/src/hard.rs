//! What makes a Cilium chain: five rules that need nothing but the rendered `cilium-config`.

use ovncilium_policy_sdk::prelude::*;
use ovncilium_policy_sdk::version::Version;

use crate::config::CiliumConfig;

const MODE: &str = "chaining-mode";
const ROUTING: &str = "native-routing";
const IPV4: &str = "ipv4-masquerade-off";
const IPV6: &str = "ipv6-masquerade-off";
const EXCLUSIVE: &str = "not-exclusive";

/// First chart that reads `routingMode`; older ones ignore it without a word.
const ROUTING_MODE: Version = Version::new(1, 14, 0);

pub(crate) fn rules() -> Vec<Rule> {
    vec![
        Rule::error(MODE, "Cilium chains as generic-veth").help(
            "Without `cni-chaining-mode: generic-veth` Cilium is a CNI of its own: it gives new pods addresses of its own \
             pool and sets Kube-OVN aside. A second `helm upgrade --set ...` without all values does exactly that.",
        ),
        Rule::error(ROUTING, "Cilium routes natively").help(
            "Kube-OVN carries the pods' traffic; a tunnel of Cilium's would be an overlay inside it. Charts before 1.14 \
             say `tunnel=disabled` and ignore `routingMode`; charts from 1.15 (.0 to .7) and 1.16 (.0 and .1) ignore \
             `tunnel=disabled` and build a VXLAN overlay without a word.",
        ),
        Rule::error(IPV4, "Cilium does not masquerade IPv4").help(
            "Kube-OVN decides which traffic leaves under a node's address. Cilium's masquerading would rewrite sources on \
             top of it, and policies on the other side see nodes instead of pods.",
        ),
        Rule::error(IPV6, "Cilium does not masquerade IPv6, or IPv6 is off").help(
            "As for IPv4. The chart's default is on in every version, so dual-stack clusters must set it.",
        ),
        Rule::error(EXCLUSIVE, "Cilium leaves other CNI files alone").help(
            "With `cni-exclusive: true` the agent renames every other CNI file to *.cilium_bak, Kube-OVN's and Multus' \
             among them, and again whenever they come back. Charts before 1.14 say it in the agent's start hook.",
        ),
    ]
}

pub(crate) fn check(config: &CiliumConfig) -> Vec<Finding> {
    vec![mode(config), routing(config), ipv4(config), ipv6(config), exclusive(config)]
}

fn judge(config: &CiliumConfig, rule: &str, key: &str, holds: bool, remedy: &str) -> Finding {
    let finding = if holds {
        Finding::pass(rule).message(config.told(key))
    } else {
        Finding::fail(rule, config.told(key)).remedy(remedy)
    };
    config.place(finding, key)
}

fn mode(config: &CiliumConfig) -> Finding {
    let key = "cni-chaining-mode";
    judge(config, MODE, key, config.is(key, "generic-veth"), "--set cni.chainingMode=generic-veth")
}

fn routing(config: &CiliumConfig) -> Finding {
    // An old chart has the key `tunnel` and never `routing-mode`; a new one the other way round.
    let old = config.get("routing-mode").is_none() && config.get("tunnel").is_some();
    let by_version = config.version.map(|version| version < ROUTING_MODE);
    let (key, holds) = if old {
        ("tunnel", config.is("tunnel", "disabled"))
    } else {
        ("routing-mode", config.is("routing-mode", "native"))
    };
    let remedy =
        if by_version.unwrap_or(old) { "--set tunnel=disabled" } else { "--set routingMode=native (and no `tunnel`)" };
    judge(config, ROUTING, key, holds, remedy)
}

fn ipv4(config: &CiliumConfig) -> Finding {
    let key = "enable-ipv4-masquerade";
    judge(config, IPV4, key, config.is(key, "false"), "--set enableIPv4Masquerade=false")
}

fn ipv6(config: &CiliumConfig) -> Finding {
    let key = "enable-ipv6-masquerade";
    if !config.is("enable-ipv6", "true") {
        let finding = Finding::pass(IPV6).message(format!("IPv6 is off ({})", config.told("enable-ipv6")));
        return config.place(finding, "enable-ipv6");
    }
    judge(config, IPV6, key, config.is(key, "false"), "--set enableIPv6Masquerade=false")
}

fn exclusive(config: &CiliumConfig) -> Finding {
    let key = "cni-exclusive";
    // Up to 1.13 it is a word of the agent's start hook, which does nothing where the configuration is somebody else's.
    if config.exclusive_hook && config.get(key).is_none() && !config.is("custom-cni-conf", "true") {
        let told = format!("the agent's start hook has --cni-exclusive=true, and {}", config.told("custom-cni-conf"));
        let finding = Finding::fail(EXCLUSIVE, told).remedy("--set cni.exclusive=false");
        return config.place(finding, key);
    }
    judge(config, EXCLUSIVE, key, !config.is(key, "true"), "--set cni.exclusive=false")
}
