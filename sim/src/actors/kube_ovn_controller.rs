//! kube-ovn-controller: gives pods their addresses, and builds or removes load balancers and access lists when it
//! starts; access lists come last, when it has been available for a while, and each node's OVN controller takes them over by itself.
//!
//! Flags count at start only: the leader's first round collects what they turn off (`pkg/controller/gc.go`), which
//! blanks the load balancer names in the status of the VPC `ovn-cluster`, and builds anew what they turn on. While no
//! controller is ready no pod gets an address: pod creation pauses. Pods of StatefulSets keep their address over a
//! new pod of the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::{Actor, Pass};
use crate::objects;

/// Status fields of a VPC that name its load balancers, and the names Kube-OVN gives them.
const BALANCERS: [(&str, &str); 6] = [
    ("tcpLoadBalancer", "cluster-tcp-loadbalancer"),
    ("tcpSessionLoadBalancer", "cluster-tcp-session-loadbalancer"),
    ("udpLoadBalancer", "cluster-udp-loadbalancer"),
    ("udpSessionLoadBalancer", "cluster-udp-session-loadbalancer"),
    ("sctpLoadBalancer", "cluster-sctp-loadbalancer"),
    ("sctpSessionLoadBalancer", "cluster-sctp-session-loadbalancer"),
];

/// The controller: its leader, and the addresses it gave.
#[derive(Debug, Default)]
pub struct KubeOvnController {
    /// UID of the pod that leads, when it began to, and whether its first round is over.
    leader: Option<(String, Timestamp, bool)>,
    /// It has access lists to build.
    owes_policy: bool,
    /// Addresses in use, and the pod that has each.
    used: BTreeMap<Ipv4Addr, String>,
    /// Addresses kept for pods of StatefulSets, by `namespace/name`.
    kept: BTreeMap<String, Ipv4Addr>,
    /// The same addresses.
    reserved: BTreeSet<Ipv4Addr>,
    /// The address given last.
    cursor: u32,
}

impl Actor for KubeOvnController {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        let candidates: Vec<_> = view
            .all(&Resource::PODS)
            .iter()
            .filter(|pod| objects::label(pod, "app") == Some("kube-ovn-controller") && objects::ready(pod))
            .collect();
        let leads = |uid: &str| candidates.iter().any(|pod| objects::uid(pod) == uid);
        if self.leader.as_ref().is_none_or(|(uid, ..)| !leads(uid)) {
            self.leader = candidates.first().map(|pod| (objects::uid(pod).to_owned(), pass.now, false));
        }
        let Some((uid, since, settled)) = self.leader.clone() else { return };
        let Some(pod) = candidates.iter().find(|pod| objects::uid(pod) == uid) else { return };
        if !settled
            && pass.due(since, pass.jitter.millis(&format!("leader/{uid}"), 1_000, 3_000))
            && first_round(pass, pod)
        {
            self.leader = Some((uid.clone(), since, true));
            self.owes_policy = enabled(pod, "enable-np");
        }
        let built = pass.jitter.millis(&format!("policies/{uid}"), 4_000, 60_000);
        if self.owes_policy && pass.due(since, built) {
            pass.nodes.ovn.network_policy = true;
            pass.nodes.ovn.behind = pass.nodes.iter().map(|(name, _)| name.clone()).collect();
            self.owes_policy = false;
        }
        let behind = std::mem::take(&mut pass.nodes.ovn.behind);
        let late = |pass: &mut Pass<'_>, name: &str| {
            let takes = pass.jitter.millis(&format!("chassis/{name}/{uid}"), 500, 10_000);
            !pass.due(since, built + takes)
        };
        pass.nodes.ovn.behind = behind.into_iter().filter(|name| late(pass, name)).collect();
        self.give_addresses(pass);
    }
}

/// What the leader does at start with what its flags turn on and off; `false` when it must try again.
fn first_round(pass: &mut Pass<'_>, pod: &Value) -> bool {
    let balancer = enabled(pod, "enable-lb");
    let view = pass.view;
    if let Some(vpc) = view.find(&Resource::VPCS, "", "ovn-cluster") {
        let fields = BALANCERS.map(|(field, name)| (field.to_owned(), json!(if balancer { name } else { "" })));
        let mut status = Value::Object(fields.into_iter().collect());
        status["standby"] = json!(true);
        status["default"] = json!(true);
        if pass.status(&Resource::VPCS, vpc, &status).is_none() {
            return false;
        }
    }
    pass.nodes.ovn.load_balancer = balancer;
    if !enabled(pod, "enable-np") {
        pass.nodes.ovn.network_policy = false;
    }
    true
}

/// Whether the controller in this pod was started with the flag on, which an absent one is.
fn enabled(pod: &Value, flag: &str) -> bool {
    let found = objects::list(pod, "/spec/containers").iter().find_map(|c| objects::argument(c, flag));
    found.is_none_or(|value| value != "false")
}

impl KubeOvnController {
    fn give_addresses(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        let pods: Vec<_> = view.all(&Resource::PODS).iter().filter(|pod| wants_address(pod)).collect();
        let present: BTreeSet<&str> = pods.iter().map(|pod| objects::uid(pod)).collect();
        self.used.retain(|_, holder| present.contains(holder.as_str()));
        for pod in &pods {
            if let Ok(ip) = address_of(pod).parse() {
                self.used.insert(ip, objects::uid(pod).to_owned());
            }
        }
        let (subnet, range) = default_subnet(pass);
        for pod in pods {
            if address_of(pod).is_empty()
                && let Some(ip) = self.choose(pod, range)
            {
                let (ip_text, cidr) = (ip.to_string(), range.to_string());
                let gateway = range.hosts().next().unwrap_or(Ipv4Addr::UNSPECIFIED).to_string();
                let [_, b, c, d] = ip.octets();
                let mac = format!("00:00:00:{b:02X}:{c:02X}:{d:02X}");
                let answer = pass.annotate(
                    &Resource::PODS,
                    pod,
                    &[
                        ("ovn.kubernetes.io/allocated", "true"),
                        ("ovn.kubernetes.io/cidr", &cidr),
                        ("ovn.kubernetes.io/gateway", &gateway),
                        ("ovn.kubernetes.io/ip_address", &ip_text),
                        ("ovn.kubernetes.io/logical_router", "ovn-cluster"),
                        ("ovn.kubernetes.io/logical_switch", &subnet),
                        ("ovn.kubernetes.io/mac_address", &mac),
                        ("ovn.kubernetes.io/pod_nic_type", "veth-pair"),
                        ("ovn.kubernetes.io/routed", "true"),
                    ],
                );
                if answer.is_some() {
                    self.used.insert(ip, objects::uid(pod).to_owned());
                }
            }
        }
    }

    fn choose(&mut self, pod: &Value, range: Ipv4Net) -> Option<Ipv4Addr> {
        let sticky = objects::controller(pod).is_some_and(|owner| objects::text(owner, "/kind") == "StatefulSet");
        let key = format!("{}/{}", objects::namespace(pod), objects::name(pod));
        if sticky && let Some(ip) = self.kept.get(&key) {
            return Some(*ip);
        }
        // The first address is the gateway's, and the search goes on where it ended, so that a freed address rests.
        let (first, last) = (u32::from(range.network()) + 2, u32::from(range.broadcast()).saturating_sub(1));
        for _ in first..=last {
            self.cursor = if (first..last).contains(&self.cursor) { self.cursor + 1 } else { first };
            let ip = Ipv4Addr::from(self.cursor);
            if !self.used.contains_key(&ip) && !self.reserved.contains(&ip) {
                if sticky {
                    self.kept.insert(key, ip);
                    self.reserved.insert(ip);
                }
                return Some(ip);
            }
        }
        None
    }
}

/// Whether the pod lives in the pod network and has not ended.
fn wants_address(pod: &Value) -> bool {
    !objects::host_network(pod) && !objects::node_of(pod).is_empty() && !objects::ended(pod)
}

fn address_of(pod: &Value) -> &str {
    objects::annotation(pod, "ovn.kubernetes.io/ip_address").unwrap_or_default()
}

/// Name and range of the default subnet; Kube-OVN's own defaults when there is none.
fn default_subnet(pass: &Pass<'_>) -> (String, Ipv4Net) {
    let subnets = pass.view.all(&Resource::SUBNETS);
    let subnet = subnets.iter().find(|subnet| objects::flag(subnet, "/spec/default"));
    let name = subnet.map_or("ovn-default", |subnet| objects::name(subnet)).to_owned();
    let cidr = subnet.map_or("", |subnet| objects::text(subnet, "/spec/cidrBlock"));
    let first = cidr.split(',').next().unwrap_or_default();
    let fallback = Ipv4Net::new_assert(Ipv4Addr::new(10, 16, 0, 0), 16);
    (name, first.parse().unwrap_or(fallback))
}
