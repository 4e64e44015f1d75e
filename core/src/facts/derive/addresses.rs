//! Every address range in use: subnets, Services, nodes, and Kube-OVN's flags where no object tells.

use ipnet::IpNet;

use crate::facts::addresses::{Addresses, Range};
use crate::facts::kube_ovn::{Controller, KubeOvn};
use crate::facts::networks::Networks;
use crate::facts::nodes::Nodes;

// Defaults of kube-ovn-controller's flags (pkg/controller/config.go, all versions).
const DEFAULT_CIDR: (&str, &str) = ("default-cidr", "10.16.0.0/16");
const JOIN_CIDR: (&str, &str) = ("node-switch-cidr", "100.64.0.0/16");
const SERVICE_RANGE: (&str, &str) = ("service-cluster-ip-range", "10.96.0.0/12");
const JOIN_SUBNET: (&str, &str) = ("node-switch", "join");

/// Every range in use.
///
/// # Errors
/// When one of the subjects it is made of is unknown, or a range cannot be read: it could meet any other.
pub(super) fn addresses(
    kube_ovn: Result<&KubeOvn, &str>,
    networks: Result<&Networks, &str>,
    nodes: Result<&Nodes, &str>,
) -> Result<Addresses, String> {
    let (kube_ovn, networks, nodes) = (kube_ovn?, networks?, nodes?);
    let mut ranges = Vec::new();
    let join = kube_ovn.installations.first().map_or(JOIN_SUBNET.1, |i| flag(&i.controller, JOIN_SUBNET).0);
    for subnet in &networks.subnets {
        let kind = if subnet.name == join { "join" } else { "pod" };
        let user = format!("subnet {}", subnet.name);
        ranges.extend(subnet.cidrs.iter().map(|cidr| range(kind, &user, cidr)).collect::<Result<Vec<_>, _>>()?);
    }
    for installation in &kube_ovn.installations {
        let controller = &installation.controller;
        ranges.extend(of_flag(controller, SERVICE_RANGE, "service")?);
        // A flag may be older than the subnets that were made from it.
        for (name, kind) in [(DEFAULT_CIDR, "pod"), (JOIN_CIDR, "join")] {
            if ranges.iter().all(|range| range.kind != kind) {
                ranges.extend(of_flag(controller, name, kind)?);
            }
        }
    }
    for node in &nodes.items {
        let user = format!("node {}", node.name);
        for address in &node.internal_ips {
            ranges.push(range("node", &user, address)?);
        }
        for cidr in &node.pod_cidrs {
            ranges.push(range("node", &format!("{user} (podCIDR)"), cidr)?);
        }
    }
    Ok(Addresses { ranges })
}

/// Value of a flag, or its default; and how to name it.
fn flag<'c>(controller: &'c Controller, (name, default): (&str, &'c str)) -> (&'c str, String) {
    match controller.flags.get(name).filter(|value| !value.is_empty()) {
        Some(value) => (value, format!("flag --{name}")),
        None => (default, format!("default of --{name}")),
    }
}

fn of_flag(controller: &Controller, named: (&str, &str), kind: &str) -> Result<Vec<Range>, String> {
    let (cidrs, user) = flag(controller, named);
    cidrs.split(',').map(str::trim).filter(|cidr| !cidr.is_empty()).map(|cidr| range(kind, &user, cidr)).collect()
}

/// One range; a single address becomes a /32 or /128.
fn range(kind: &str, user: &str, cidr: &str) -> Result<Range, String> {
    let net = match cidr.parse::<std::net::IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => cidr.parse().map_err(|_| format!("{user} has the address range `{cidr}`, which is none"))?,
    };
    Ok(Range { kind: kind.to_owned(), user: user.to_owned(), cidr: net.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::kube_ovn::Installation;
    use crate::facts::networks::Subnet;
    use crate::facts::nodes::Node;

    fn kube_ovn(flags: &[(&str, &str)]) -> KubeOvn {
        let flags = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let controller = Controller { flags, ..Controller::default() };
        KubeOvn { installations: vec![Installation { controller, ..Installation::default() }] }
    }

    fn subnet(name: &str, cidrs: &[&str]) -> Subnet {
        let cidrs = cidrs.iter().map(|cidr| (*cidr).to_owned()).collect();
        Subnet { name: name.to_owned(), cidrs, ..Subnet::default() }
    }

    fn told(kube_ovn: &KubeOvn, networks: &Networks, nodes: &Nodes) -> Vec<String> {
        let all = addresses(Ok(kube_ovn), Ok(networks), Ok(nodes)).unwrap().ranges;
        all.iter().map(|range| format!("{} {} {}", range.kind, range.cidr, range.user)).collect()
    }

    #[test]
    fn subnets_count_before_the_flags_they_were_made_from() {
        let node = Node {
            name: "a".to_owned(),
            internal_ips: vec!["10.0.0.1".to_owned(), "fd00::1".to_owned()],
            pod_cidrs: vec!["10.244.0.0/24".to_owned()],
            ..Node::default()
        };
        let subnets =
            vec![subnet("join", &["100.64.0.0/16"]), subnet("ovn-default", &["10.18.0.0/16", "fd00:18::/64"])];
        assert_eq!(
            told(
                &kube_ovn(&[
                    ("service-cluster-ip-range", "10.96.0.0/12,fd00:96::/112"),
                    ("default-cidr", "10.16.0.0/16")
                ]),
                &Networks { subnets, ..Networks::default() },
                &Nodes { items: vec![node] }
            ),
            [
                "join 100.64.0.0/16 subnet join",
                "pod 10.18.0.0/16 subnet ovn-default",
                "pod fd00:18::/64 subnet ovn-default",
                "service 10.96.0.0/12 flag --service-cluster-ip-range",
                "service fd00:96::/112 flag --service-cluster-ip-range",
                "node 10.0.0.1/32 node a",
                "node fd00::1/128 node a",
                "node 10.244.0.0/24 node a (podCIDR)",
            ]
        );
    }

    #[test]
    fn flags_and_their_defaults_count_where_no_subnet_is() {
        assert_eq!(
            told(&kube_ovn(&[("default-cidr", "10.20.0.0/16")]), &Networks::default(), &Nodes::default()),
            [
                "service 10.96.0.0/12 default of --service-cluster-ip-range",
                "pod 10.20.0.0/16 flag --default-cidr",
                "join 100.64.0.0/16 default of --node-switch-cidr",
            ]
        );
    }

    #[test]
    fn a_range_that_cannot_be_read_makes_all_unknown() {
        let networks =
            Networks { subnets: vec![subnet("x", &["10.18.0.0"]), subnet("y", &["10/8"])], ..Networks::default() };
        let error = addresses(Ok(&kube_ovn(&[])), Ok(&networks), Ok(&Nodes::default())).unwrap_err();
        assert_eq!(error, "subnet y has the address range `10/8`, which is none");
        assert_eq!(addresses(Ok(&kube_ovn(&[])), Err("no"), Ok(&Nodes::default())).unwrap_err(), "no");
    }
}
