//! Reads a rendered `cilium-config` line by line and says whether it chains; nothing of the program is used.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::{
    error::{Error, Result},
    verdict::expect,
};

/// Data of a ConfigMap.
pub(super) type Config = BTreeMap<String, String>;

fn has(config: &Config, key: &str, value: &str) -> Result<()> {
    let found = config.get(key).map(String::as_str);
    expect(found == Some(value), || format!("{key} is {found:?}, not {value:?}"))
}

fn hasnt(config: &Config, key: &str, value: &str) -> Result<()> {
    expect(config.get(key).is_none_or(|found| found != value), || format!("{key} is {value:?}"))
}

/// Cilium chains behind Kube-OVN: the rules of its own documents, and what people learned since.
pub(super) fn chains(config: &Config) -> Result<()> {
    has(config, "cni-chaining-mode", "generic-veth")?;
    match config.get("routing-mode") {
        Some(_) => has(config, "routing-mode", "native")?,
        None => has(config, "tunnel", "disabled")?,
    }
    has(config, "enable-ipv4-masquerade", "false")?;
    has(config, "enable-ipv6-masquerade", "false")?;
    has(config, "enable-identity-mark", "false")?;
    has(config, "custom-cni-conf", "true")?;
    hasnt(config, "cni-exclusive", "true")?;
    hasnt(config, "enable-bpf-masquerade", "true")?;
    let interval = config.get("unmanaged-pod-watcher-interval").map(|text| text.trim_end_matches('s'));
    expect(interval == Some("0"), || format!("the watcher of unmanaged pods runs every {interval:?}"))?;
    let devices: Vec<&str> = config.get("devices").map(|text| text.split(' ').collect()).unwrap_or_default();
    for device in ["ovn0", "genev_sys_6081"] {
        expect(devices.contains(&device), || format!("{device} is not among {devices:?}"))?;
    }
    let replaces = config.get("kube-proxy-replacement").map(String::as_str);
    expect(matches!(replaces, Some("false" | "disabled")), || format!("kube-proxy-replacement is {replaces:?}"))
}

/// Policies are audited, or not.
pub(super) fn audits(config: &Config, audited: bool) -> Result<()> {
    if audited { has(config, "policy-audit-mode", "true") } else { hasnt(config, "policy-audit-mode", "true") }
}

/// Cilium's own ranges meet none of `used`.
pub(super) fn keeps_out(config: &Config, used: &[String]) -> Result<()> {
    has(config, "ipam", "cluster-pool")?;
    let own: Vec<&str> = config.get("cluster-pool-ipv4-cidr").map(|text| text.split(' ').collect()).unwrap_or_default();
    expect(!own.is_empty(), || "there is no range of its own".to_owned())?;
    for pool in own {
        let (first, last) = bounds(pool)?;
        for range in used.iter().filter(|range| !range.contains("::")) {
            let (other_first, other_last) = bounds(range)?;
            expect(last < other_first || other_last < first, || format!("{pool} meets {range}"))?;
        }
    }
    Ok(())
}

/// First and last address.
fn bounds(cidr: &str) -> Result<(u32, u32)> {
    let parsed = cidr.split_once('/').and_then(|(address, length)| {
        let (address, length): (Ipv4Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
        let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
        let first = u32::from(address) & !hosts;
        (length <= 32).then_some((first, first | hosts))
    });
    parsed.ok_or_else(|| Error::Expectation(format!("`{cidr}` is no range of IPv4")))
}

/// Who writes which file: of the network that is named, or of the ConfigMap that is mounted.
pub(super) fn writes(config: &Config, layout: &str) -> Result<()> {
    match layout {
        "beside" => {
            has(config, "write-cni-conf-when-ready", "/host/etc/cni/net.d/01-cilium.conflist")?;
            has(config, "cni-chaining-target", "kube-ovn")?;
            expect(!config.contains_key("read-cni-conf"), || "a ConfigMap would win over the target".to_owned())
        }
        _ => {
            has(config, "write-cni-conf-when-ready", "/host/etc/cni/net.d/05-cilium.conflist")?;
            has(config, "read-cni-conf", "/tmp/cni-configuration/cni-config")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Config {
        [
            ("cni-chaining-mode", "generic-veth"),
            ("routing-mode", "native"),
            ("enable-ipv4-masquerade", "false"),
            ("enable-ipv6-masquerade", "false"),
            ("enable-identity-mark", "false"),
            ("custom-cni-conf", "true"),
            ("unmanaged-pod-watcher-interval", "0s"),
            ("devices", "eth+ ovn0 genev_sys_6081"),
            ("kube-proxy-replacement", "false"),
            ("ipam", "cluster-pool"),
            ("cluster-pool-ipv4-cidr", "100.65.0.0/16"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn every_rule_can_fail() {
        assert!(chains(&sound()).is_ok());
        for (key, value) in [
            ("cni-chaining-mode", "none"),
            ("routing-mode", "tunnel"),
            ("enable-ipv4-masquerade", "true"),
            ("enable-ipv6-masquerade", "true"),
            ("enable-identity-mark", "true"),
            ("custom-cni-conf", "false"),
            ("cni-exclusive", "true"),
            ("enable-bpf-masquerade", "true"),
            ("unmanaged-pod-watcher-interval", "15"),
            ("devices", "eth+ ovn0"),
            ("kube-proxy-replacement", "strict"),
        ] {
            let mut config = sound();
            config.insert(key.to_owned(), value.to_owned());
            assert!(chains(&config).is_err(), "{key}={value}");
        }
        let used = |cidr: &str| keeps_out(&sound(), &["10.16.0.0/16".to_owned(), cidr.to_owned()]);
        assert!(used("100.64.0.0/16").is_ok() && used("fd00::/8").is_ok());
        assert!(used("100.65.255.255/32").is_err() && used("0.0.0.0/0").is_err() && used("100.64.0.0/10").is_err());
        assert!(audits(&sound(), true).is_err() && audits(&sound(), false).is_ok());
        assert!(writes(&sound(), "beside").is_err() && writes(&sound(), "guide").is_err());
    }
}
