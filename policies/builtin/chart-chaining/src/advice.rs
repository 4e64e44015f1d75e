//! What goes with chaining: a warning where the rendered values alone speak, an error where facts show that it hurts.

mod pods;

use std::cell::LazyCell;

use ovncilium_policy_sdk::cidr::Cidr;
use ovncilium_policy_sdk::cilium::CiliumConfig;
use ovncilium_policy_sdk::pool;
use ovncilium_policy_sdk::prelude::*;
use ovncilium_policy_sdk::version::Version;
use serde::Deserialize;

const DEVICES: &str = "devices";
const DEVICES_HURT: &str = "devices-serve-nodeports";
const WATCHER: &str = "pod-watcher";
const WATCHER_HURTS: &str = "pod-watcher-spares-dns";
const POOL: &str = "pool";
const POOL_HURTS: &str = "pool-disjoint";
const MARK: &str = "identity-mark";
const AUDIT: &str = "enforcement";
const AUDIT_HURTS: &str = "enforcement-spares-unmanaged";

/// First chart that reads `clusterPoolIPv4PodCIDRList`.
const SINCE_POOL_LIST: Version = Version::new(1, 11, 0);
/// First chart that reads `forceDeviceDetection`.
const SINCE_DETECTION: Version = Version::new(1, 16, 0);
/// What to do about a list that is none.
const RANGES: &str = "write ranges as 100.65.0.0/16, with commas between them";
/// Ranges Kube-OVN uses unless told otherwise: pods, join network, Services.
const KUBE_OVN_DEFAULTS: [&str; 3] = ["10.16.0.0/16", "100.64.0.0/16", "10.96.0.0/12"];

pub(crate) fn rules() -> Vec<Rule> {
    let devices = "Traffic of node ports and load balancers comes back through ovn0 and Kube-OVN's tunnel device; where \
                   Cilium's programs are not attached to them, replies are reset (kube-ovn#4575, cilium#32714). Set \
                   `devices` to the uplink, ovn0 and the tunnel device (genev_sys_6081, vxlan_sys_4789).";
    let watcher = "Cilium's operator deletes kube-dns pods that have no CiliumEndpoint, one every 15 seconds. Until new \
                   pods are chained on every node that never ends. Set `operator.unmanagedPodWatcher.restart=false`.";
    let pool = "Cilium gives each node addresses of its cluster-pool even when Kube-OVN gives pods theirs. The default \
                10.0.0.0/8 contains Kube-OVN's own defaults; its tests use 100.65.0.0/16.";
    let audit = "Pods that Cilium does not manage yet are `unmanaged` or `world` to it: a policy drops them even where it \
                 would allow the pod. Set `policyAuditMode=true` until every pod is managed.";
    vec![
        Rule::warning(DEVICES, "Cilium is attached to ovn0 and Kube-OVN's tunnel device").help(devices),
        Rule::error(DEVICES_HURT, "with kube-proxy replacement, ovn0 and the tunnel device are among Cilium's devices")
            .help(devices),
        Rule::warning(WATCHER, "the operator does not restart unmanaged pods").help(watcher),
        Rule::error(WATCHER_HURTS, "the operator does not restart DNS pods that cannot become managed").help(watcher),
        Rule::warning(POOL, "Cilium's cluster-pool avoids Kube-OVN's default ranges").help(pool),
        Rule::error(POOL_HURTS, "Cilium's cluster-pool is disjoint from every range in use").help(pool),
        Rule::warning(MARK, "Cilium puts no identity into packet marks").help(
            "Kube-OVN uses the packet mark too and clears it as a whole when it masquerades. Set `enableIdentityMark=false`.",
        ),
        Rule::warning(AUDIT, "policies are audited while pods are unmanaged").help(audit),
        Rule::error(AUDIT_HURTS, "no policy drops pods that are not managed yet").help(audit),
    ]
}

pub(crate) fn check(config: &CiliumConfig, context: &Context<'_>) -> Vec<Finding> {
    let pods = pods::Pods::read(context);
    let mut findings = vec![devices(config, context), watcher(config, &pods)];
    findings.extend(pool(config, context));
    findings.push(mark(config));
    findings.push(enforcement(config, &pods));
    findings
}

/// A fact that hurts or does not; none when documents are judged by themselves.
///
/// # Errors
/// Why it is not known although other facts of the cluster are: then whether it hurts is an open question.
pub(crate) fn fact<T: serde::de::DeserializeOwned>(
    context: &Context<'_>,
    name: &str,
    pointer: &str,
) -> Result<Option<T>, String> {
    // What is not at this place costs nothing to ask for, and tells whether the fact is known.
    let known = |name: &&str| context.facts.get::<serde::de::IgnoredAny>(name, "/-").is_ok();
    match context.facts.require(name, pointer) {
        Ok(value) => Ok(Some(value)),
        Err(_) if !["kube-ovn", "addresses", "workloads", "cilium"].iter().any(known) => Ok(None),
        Err(why) => Err(why),
    }
}

#[derive(Deserialize)]
struct Installation {
    cni: Cni,
}

#[derive(Deserialize)]
struct Cni {
    network_type: String,
    /// `--iface`: names and regular expressions.
    #[serde(default)]
    iface: Option<String>,
}

/// The device of Kube-OVN's tunnel.
fn tunnel_device(network_type: &str) -> Option<&'static str> {
    match network_type {
        "geneve" => Some("genev_sys_6081"),
        "vxlan" => Some("vxlan_sys_4789"),
        "stt" => Some("stt_sys_7471"),
        _ => None,
    }
}

fn devices(config: &CiliumConfig, context: &Context<'_>) -> Finding {
    let key = "devices";
    let replaces = ["true", "strict"].iter().any(|on| config.is("kube-proxy-replacement", on));
    let unknown = |why: String| {
        let rule = if replaces { DEVICES_HURT } else { DEVICES };
        config.place(Finding::unknown(rule, format!("which tunnel Kube-OVN uses is not known: {why}")), key)
    };
    let installations: Option<Vec<Installation>> = match fact(context, "kube-ovn", "/installations") {
        Ok(installations) => installations,
        Err(why) => return unknown(why),
    };
    let kinds = installations.iter().flatten().map(|i| i.cni.network_type.as_str());
    let known = match kinds.map(|kind| tunnel_device(kind).ok_or(kind)).next().transpose() {
        Ok(known) => known,
        Err(kind) => return unknown(format!("its network type is `{kind}`")),
    };
    let listed = config.get(key).unwrap_or_default();
    let listed: Vec<&str> = listed.split([' ', ',']).filter(|device| !device.is_empty()).collect();
    let has = |device: &str| listed.iter().any(|pattern| matches(pattern, device));
    let tunnel = match known {
        Some(device) => has(device),
        None => has("genev_sys_6081") || has("vxlan_sys_4789") || has("stt_sys_7471"),
    };
    let tunnel_name = known.unwrap_or("the tunnel device (genev_sys_6081 or vxlan_sys_4789)");
    let missing: Vec<&str> =
        [(!has("ovn0")).then_some("ovn0"), (!tunnel).then_some(tunnel_name)].into_iter().flatten().collect();
    if missing.is_empty() {
        return config.place(Finding::pass(DEVICES).message(config.told(key)), key);
    }
    let rule = if known.is_some() && replaces { DEVICES_HURT } else { DEVICES };
    let message = if listed.is_empty() {
        format!("devices is not set; whether {} are found is left to chance", missing.join(" and "))
    } else {
        format!("devices is \"{}\", without {}", listed.join(" "), missing.join(" and "))
    };
    let device = known.unwrap_or("genev_sys_6081");
    let uplinks: Vec<String> = installations
        .iter()
        .flatten()
        .flat_map(|installation| installation.cni.iface.iter())
        .flat_map(|list| list.split(','))
        .filter_map(uplink)
        .collect();
    let (uplinks, told) = match uplinks[..] {
        [] => ("UPLINK".to_owned(), ", where UPLINK is the device of the nodes' addresses"),
        _ => (uplinks.join(" "), ""),
    };
    let detects = match config.version {
        Some(version) if version < SINCE_DETECTION => "",
        _ => " --set forceDeviceDetection=true",
    };
    let remedy = format!("--set devices=\"{uplinks} ovn0 {device}\"{detects}{told}");
    config.place(Finding::fail(rule, message).remedy(remedy), key)
}

/// What Cilium is told for one of Kube-OVN's `--iface`: `eth0` as it is, `bond.*` as `bond+`; none for what it has no words for.
fn uplink(iface: &str) -> Option<String> {
    let iface = iface.trim();
    let (name, any) = match iface.strip_suffix(".*").or_else(|| iface.strip_suffix('*')) {
        Some(prefix) => (prefix.trim_start_matches('^'), "+"),
        None => (iface, ""),
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c));
    is_name.then(|| format!("{name}{any}"))
}

/// `eth+` matches every device whose name begins with `eth`.
fn matches(pattern: &str, device: &str) -> bool {
    pattern.strip_suffix('+').map_or(pattern == device, |prefix| device.starts_with(prefix))
}

/// Charts before 1.10.11 and 1.11.5 do not read `operator.unmanagedPodWatcher`.
fn has_no_watcher_value(version: Version) -> bool {
    let eleven = Version::new(1, 11, 0);
    version < Version::new(1, 10, 11) || (version >= eleven && version < Version::new(1, 11, 5))
}

fn watcher(config: &CiliumConfig, pods: &Result<Option<pods::Pods>, String>) -> Finding {
    let key = "unmanaged-pod-watcher-interval";
    if ["0", "0s"].iter().any(|off| config.is(key, off)) {
        return config.place(Finding::pass(WATCHER).message(config.told(key)), key);
    }
    let by_value = "--set operator.unmanagedPodWatcher.restart=false";
    let by_key = "--set-string extraConfig.unmanaged-pod-watcher-interval=0";
    let remedy = match config.version {
        Some(version) if has_no_watcher_value(version) => by_key.to_owned(),
        Some(_) => by_value.to_owned(),
        None => format!("{by_value} (charts before 1.10.11 and 1.11.5: {by_key})"),
    };
    let finding = match pods {
        Err(why) => Finding::unknown(
            WATCHER_HURTS,
            format!("{}, and whether DNS pods are managed is not known: {why}", config.told(key)),
        ),
        Ok(Some(pods)) if !pods.unmanaged_dns.is_empty() => {
            let victims = pods.unmanaged_dns.len();
            let told = config.told(key);
            Finding::fail(WATCHER_HURTS, format!("{told}, and {victims} DNS pods are not managed by Cilium"))
        }
        Ok(_) => {
            Finding::fail(WATCHER, format!("{}: the operator restarts DNS pods that are not managed", config.told(key)))
        }
    };
    config.place(finding.remedy(remedy), key)
}

#[derive(Deserialize)]
struct Range {
    kind: String,
    user: String,
    cidr: String,
}

fn pool(config: &CiliumConfig, context: &Context<'_>) -> Vec<Finding> {
    if config.get("ipam").is_some_and(|mode| mode != "cluster-pool") {
        let key = "ipam";
        let finding = Finding::fail(POOL, config.told(key)).remedy("--set ipam.mode=cluster-pool");
        return vec![config.place(finding, key)];
    }
    let key = "cluster-pool-ipv4-cidr";
    let listed = config.get(key).unwrap_or_default();
    let listed: Vec<&str> = listed.split([' ', ',']).filter(|range| !range.is_empty()).collect();
    let pool: Vec<Cidr> = match listed.iter().map(|range| range.parse().map_err(|_| *range)).collect() {
        Ok(pool) => pool,
        Err(range) => {
            let told = format!("{}, and `{range}` is no range", config.told(key));
            return vec![config.place(Finding::fail(POOL_HURTS, told).remedy(RANGES), key)];
        }
    };
    if pool.is_empty() {
        return vec![config.place(Finding::skip(POOL, "no IPv4 pool is set"), key)];
    }
    let meets = |other: &Cidr| pool.iter().any(|own| own.overlaps(other));
    let ranges: Option<Vec<Range>> = match fact(context, "addresses", "/ranges") {
        Ok(ranges) => ranges,
        Err(why) => {
            let told = format!("{}; whether it meets a range in use is not known: {why}", config.told(key));
            return vec![config.place(Finding::unknown(POOL_HURTS, told), key)];
        }
    };
    let in_use: Vec<&str> = match &ranges {
        Some(ranges) => ranges.iter().map(|range| range.cidr.as_str()).collect(),
        None => KUBE_OVN_DEFAULTS.to_vec(),
    };
    let remedy = LazyCell::new(|| match (pool::free(in_use), config.version) {
        (Ok(free), Some(version)) if version < SINCE_POOL_LIST => {
            format!("--set ipam.operator.clusterPoolIPv4PodCIDR={free}")
        }
        (Ok(free), _) => format!("--set ipam.operator.clusterPoolIPv4PodCIDRList={{{free}}}"),
        (Err(why), _) => pool::none(&why),
    });
    let judge = |range: &Range| match range.cidr.parse::<Cidr>() {
        Ok(other) if !meets(&other) => None,
        Ok(_) => {
            let told = format!("{}, which overlaps the {} range {}", config.told(key), range.kind, range.cidr);
            Some(Finding::fail(POOL_HURTS, format!("{told} of {}", range.user)).remedy(remedy.as_str()))
        }
        Err(error) => {
            let told = format!("the {} range of {} cannot be read: {error}", range.kind, range.user);
            Some(Finding::unknown(POOL_HURTS, told))
        }
    };
    let findings: Vec<Finding> = match &ranges {
        Some(ranges) => ranges.iter().filter_map(judge).collect(),
        None => {
            let met: Vec<&str> = KUBE_OVN_DEFAULTS
                .into_iter()
                .filter(|range| range.parse::<Cidr>().is_ok_and(|range| meets(&range)))
                .collect();
            let told = format!("{}, which overlaps Kube-OVN's defaults {}", config.told(key), met.join(", "));
            if met.is_empty() { Vec::new() } else { vec![Finding::fail(POOL, told).remedy(remedy.as_str())] }
        }
    };
    let pass = || Finding::pass(if ranges.is_some() { POOL_HURTS } else { POOL }).message(config.told(key));
    let findings = if findings.is_empty() { vec![pass()] } else { findings };
    findings.into_iter().map(|finding| config.place(finding, key)).collect()
}

fn mark(config: &CiliumConfig) -> Finding {
    let key = "enable-identity-mark";
    let finding = if config.is(key, "false") {
        Finding::pass(MARK).message(config.told(key))
    } else {
        Finding::fail(MARK, format!("{}, which means that it is on", config.told(key)))
            .remedy("--set enableIdentityMark=false")
    };
    config.place(finding, key)
}

fn enforcement(config: &CiliumConfig, pods: &Result<Option<pods::Pods>, String>) -> Finding {
    let key = "policy-audit-mode";
    if config.is(key, "true") || config.is("enable-policy", "never") {
        return config.place(Finding::pass(AUDIT).message("nothing is dropped"), key);
    }
    let always = config.is("enable-policy", "always");
    let remedy = "--set policyAuditMode=true, until every pod is managed";
    let finding = match pods {
        Err(why) => Finding::unknown(
            AUDIT_HURTS,
            format!("{}, and whether pods are managed is not known: {why}", config.told(key)),
        )
        .remedy(remedy),
        Ok(Some(pods)) if pods.unmanaged == 0 && always && pods.policies == 0 => {
            Finding::fail(AUDIT, "enable-policy is \"always\", and there is no policy that would let anything through")
                .remedy("--set policyEnforcementMode=default")
        }
        Ok(Some(pods)) if pods.unmanaged == 0 => Finding::pass(AUDIT).message("every pod is managed"),
        Ok(Some(pods)) if always || pods.policies > 0 => {
            let what = match always {
                true => "what no policy allows would be dropped (enable-policy is \"always\")".to_owned(),
                false => format!("{} policies would be enforced", pods.policies),
            };
            Finding::fail(AUDIT_HURTS, format!("{} pods are not managed by Cilium, and {what}", pods.unmanaged))
                .remedy(remedy)
        }
        Ok(Some(pods)) => {
            Finding::fail(AUDIT, format!("{} pods are not managed, and policies are enforced", pods.unmanaged))
                .remedy(remedy)
        }
        Ok(None) => {
            Finding::fail(AUDIT, format!("{}; whether pods are managed is not known", config.told(key))).remedy(remedy)
        }
    };
    config.place(finding, key)
}
