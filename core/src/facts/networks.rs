//! Kube-OVN's networks: API objects, shared by all installations since they are cluster-wide.
//!
//! A subject of its own, because manifests tell how Kube-OVN is installed but never which networks a cluster has.

use serde::{Deserialize, Serialize};

/// Kube-OVN's networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// Subnets, by name.
    pub subnets: Vec<Subnet>,
    /// VPCs beyond the default one.
    pub custom_vpcs: Vec<String>,
    /// `status.tcpLoadBalancer` of the default VPC: absent when it could not be read, empty when load balancing is off.
    pub default_vpc_load_balancer: Option<String>,
    /// `status.standby` of the default VPC, whether its router is set up: absent when there is no such VPC, or it does not tell.
    pub default_vpc_standby: Option<bool>,
    /// VpcDns objects.
    pub vpc_dnses: Vec<String>,
    /// SwitchLBRule objects.
    pub switch_lb_rules: Vec<String>,
    /// VPC NAT gateways and VPC egress gateways.
    pub nat_gateways: Vec<String>,
}

/// One subnet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// Name.
    pub name: String,
    /// `spec.cidrBlock`, split at the comma of dual stack.
    pub cidrs: Vec<String>,
    /// `spec.vlan` is set: an underlay network.
    pub underlay: bool,
    /// `spec.u2oInterconnection`.
    pub u2o: bool,
    /// `spec.vpc`.
    pub vpc: String,
    /// `spec.protocol`: `IPv4`, `IPv6` or `Dual`.
    pub protocol: String,
    /// Why its condition Ready is False; absent when it is not, or when nobody has told yet.
    pub not_ready: Option<String>,
}
