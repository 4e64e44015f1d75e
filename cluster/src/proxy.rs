//! Which servers are reached without a proxy: `NO_PROXY` as Go's programs read it, so that kubectl, helm and we agree.
//!
//! kube-rs 5.0 compares `NO_PROXY` with the address of the proxy instead of the server's.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whether `host` is reached directly, given the value of `NO_PROXY`. Loopback addresses always are.
pub(crate) fn is_direct(host: &str, port: Option<u16>, no_proxy: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    no_proxy
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .any(|entry| matches(&host, address, port, entry))
}

fn matches(host: &str, address: Option<IpAddr>, port: Option<u16>, entry: &str) -> bool {
    let entry = entry.to_ascii_lowercase();
    if entry == "*" {
        return true;
    }
    if let (Ok(net), Some(address)) = (entry.parse::<IpNet>(), address) {
        return net.contains(&address);
    }
    if let Ok(only) = entry.parse::<IpAddr>() {
        return address == Some(only);
    }
    let (name, only_port) = match entry.rsplit_once(':') {
        Some((name, digits)) if digits.parse::<u16>().is_ok() => (name, digits.parse().ok()),
        _ => (entry.as_str(), None),
    };
    if only_port.is_some() && only_port != port {
        return false;
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    match name.strip_prefix('.') {
        // `.example.org` is for names below it, `example.org` for it and names below it.
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_no_proxy_as_go_does() {
        for (host, no_proxy, direct) in [
            ("127.0.0.1", "", true),
            ("[::1]", "", true),
            ("10.1.2.3", "", false),
            ("10.1.2.3", "192.168.0.0/16, 10.0.0.0/8", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.30", "10.1.2.3", false),
            ("api.example.org", "example.org", true),
            ("badexample.org", "example.org", false),
            ("example.org", ".example.org", false),
            ("API.example.org", "*.example.org", true),
            ("api.example.org", "example.org:6443", true),
            ("api.example.org", "example.org:443", false),
            ("api.example.org", "*", true),
        ] {
            assert_eq!(is_direct(host, Some(6443), no_proxy), direct, "{host} with NO_PROXY={no_proxy}");
        }
    }
}
