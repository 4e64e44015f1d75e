//! What makes a Cilium chain: five rules that need nothing but the rendered `cilium-config`.

use ovncilium_policy_sdk::cilium::CiliumConfig;
use ovncilium_policy_sdk::prelude::*;
use ovncilium_policy_sdk::version::Version;

const MODE: &str = "chaining-mode";
const ROUTING: &str = "native-routing";
const IPV4: &str = "ipv4-masquerade-off";
const IPV6: &str = "ipv6-masquerade-off";
const EXCLUSIVE: &str = "not-exclusive";
const WRITTEN: &str = "conf-written";
const TARGET: &str = "chaining-target";
const DATAPATH: &str = "veth-datapath";

/// The network of Kube-OVN's own file, in every release.
const NETWORK: &str = "kube-ovn";

/// First chart that reads `routingMode` and whose agent writes the CNI file itself; older ones ignore the one without a word and
/// have a script do the other.
const SINCE_AGENT_WRITES: Version = Version::new(1, 14, 0);

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
             among them, and again whenever they come back. Before Cilium 1.14 a script at the agent's start does that, and \
             writes a file without chaining, unless `cni.customConf=true`.",
        ),
        Rule::error(TARGET, "the network that Cilium chains behind is Kube-OVN's").help(
            "`cni.chainingTarget` names a network. An agent that finds no file of it waits for one, for ever: no node gets a file \
             that chains, and none of its pods an endpoint. Kube-OVN's network is called kube-ovn in every release.",
        ),
        Rule::error(DATAPATH, "Cilium's datapath is that of veth pairs").help(
            "Kube-OVN makes pairs of veth devices, and generic-veth attaches Cilium's programs to them. With `datapath-mode: netkit` \
             agents expect devices of another kind.",
        ),
        Rule::warning(WRITTEN, "the agents write a CNI file that chains").help(
            "With `cni.customConf=true` alone nobody writes a file: new pods stay as they are. A file is made of a ConfigMap \
             (`cni.configMap`), or since Cilium 1.14 of the network that `cni.chainingTarget` names, under the name that \
             `extraConfig.write-cni-conf-when-ready` gives. `kubectl ovncilium values` prints both ways.",
        ),
    ]
}

pub(crate) fn check(config: &CiliumConfig, context: &Context<'_>) -> Vec<Finding> {
    let mut findings =
        vec![mode(config), routing(config), ipv4(config), ipv6(config), exclusive(config), datapath(config)];
    findings.extend(target(config));
    findings.push(written(config, context));
    findings
}

fn target(config: &CiliumConfig) -> Option<Finding> {
    let key = "cni-chaining-target";
    let named = config.get(key).filter(|named| !named.is_empty())?;
    Some(judge(config, TARGET, key, named == NETWORK, "--set cni.chainingTarget=kube-ovn"))
}

fn datapath(config: &CiliumConfig) -> Finding {
    let key = "datapath-mode";
    let holds = config.get(key).is_none_or(|mode| mode == "veth");
    judge(config, DATAPATH, key, holds, "--set bpf.datapathMode=veth")
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
    let old = has_old_keys(config);
    let (key, holds) = if old {
        ("tunnel", config.is("tunnel", "disabled"))
    } else {
        ("routing-mode", config.is("routing-mode", "native"))
    };
    let remedy = if is_old(config) { "--set tunnel=disabled" } else { "--set routingMode=native (and no `tunnel`)" };
    judge(config, ROUTING, key, holds, remedy)
}

/// An old chart has the key `tunnel` and never `routing-mode`; a new one the other way round.
fn has_old_keys(config: &CiliumConfig) -> bool {
    config.get("routing-mode").is_none() && config.get("tunnel").is_some()
}

/// Whether the chart is one of before 1.14: by the agent's image, else by its keys.
pub(crate) fn is_old(config: &CiliumConfig) -> bool {
    config.version.map_or_else(|| has_old_keys(config), |version| version < SINCE_AGENT_WRITES)
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
    if config.is(key, "true") || !is_old(config) {
        return judge(config, EXCLUSIVE, key, !config.is(key, "true"), "--set cni.exclusive=false");
    }
    // The script is a start hook of the agent; with custom-cni-conf it does nothing at all.
    if config.exclusive_hook && !config.is("custom-cni-conf", "true") {
        let told = format!("the agent's start hook has --cni-exclusive=true, and {}", config.told("custom-cni-conf"));
        return config.place(
            Finding::fail(EXCLUSIVE, told).remedy("--set cni.customConf=true --set cni.configMap=cni-configuration"),
            key,
        );
    }
    let key = "custom-cni-conf";
    judge(
        config,
        EXCLUSIVE,
        key,
        config.is(key, "true"),
        "--set cni.customConf=true --set cni.configMap=cni-configuration",
    )
}

/// Who writes the file, and of what.
fn written(config: &CiliumConfig, context: &Context<'_>) -> Finding {
    let key = "write-cni-conf-when-ready";
    let remedy = "take the values that `kubectl ovncilium values` prints for this chart";
    let base = ["read-cni-conf", "cni-chaining-target"].into_iter().find(|base| config.get(base).is_some());
    let action = context.facts.get::<String>("intent", "/action").ok().flatten();
    let finding = match (config.get(key), base) {
        (Some(file), Some(base)) => Finding::pass(WRITTEN).message(format!("{file}, of {base}")),
        (Some(file), None) => Finding::fail(
            WRITTEN,
            format!("{file} is written, but neither of a ConfigMap nor of a network that is named"),
        )
        .remedy(remedy),
        (None, _) if action.as_deref() == Some("migrate") => {
            Finding::pass(WRITTEN).message("a CiliumNodeConfig names the file, node by node")
        }
        (None, _) => {
            Finding::fail(WRITTEN, format!("{}: no agent writes a file, new pods are not chained", config.told(key)))
                .remedy(remedy)
        }
    };
    config.place(finding, key)
}
