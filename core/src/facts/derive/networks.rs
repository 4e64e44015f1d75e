//! Kube-OVN's networks: subnets, VPCs and what hangs on OVN load balancers.

use serde_json::Value;

use super::object::{is_true, list, name, some_text, text};
use crate::facts::inventory::Inventory;
use crate::facts::kube_ovn::KubeOvn;
use crate::facts::networks::{Networks, Subnet};
use crate::plan::Resource;

/// All networks. `kube_ovn` tells the name of the default VPC, where it was changed.
///
/// # Errors
/// When one of the kinds could not be read completely.
pub(super) fn networks(inventory: &Inventory, kube_ovn: Option<&KubeOvn>) -> Result<Networks, String> {
    let flag = kube_ovn.and_then(|k| k.installations.first()).and_then(|i| i.controller.flags.get("cluster-router"));
    let default_vpc = flag.filter(|name| !name.is_empty()).map_or("ovn-cluster", String::as_str);
    let mut subnets: Vec<Subnet> = inventory.all(Resource::SUBNETS)?.iter().map(subnet).collect();
    subnets.sort_by(|a, b| a.name.cmp(&b.name));
    let vpcs = inventory.all(Resource::VPCS)?;
    let (default, custom): (Vec<&Value>, Vec<&Value>) = vpcs.iter().partition(|vpc| name(vpc) == default_vpc);
    let default_status = default.first().and_then(|vpc| vpc.get("status"));
    let mut gateways = names(inventory.all(Resource::VPC_NAT_GATEWAYS)?);
    gateways.extend(names(inventory.all(Resource::VPC_EGRESS_GATEWAYS)?));
    gateways.sort();
    Ok(Networks {
        subnets,
        custom_vpcs: sorted(custom.into_iter().map(|vpc| name(vpc).to_owned()).collect()),
        default_vpc_load_balancer: default_status.map(|status| text(status, "/tcpLoadBalancer").to_owned()),
        default_vpc_standby: default_status.and_then(|status| status.get("standby")?.as_bool()),
        vpc_dnses: names(inventory.all(Resource::VPC_DNSES)?),
        switch_lb_rules: names(inventory.all(Resource::SWITCH_LB_RULES)?),
        nat_gateways: gateways,
    })
}

fn subnet(object: &Value) -> Subnet {
    let cidrs = text(object, "/spec/cidrBlock").split(',').map(str::trim).filter(|cidr| !cidr.is_empty());
    Subnet {
        name: name(object).to_owned(),
        cidrs: cidrs.map(str::to_owned).collect(),
        underlay: some_text(object, "/spec/vlan").is_some(),
        u2o: is_true(object, "/spec/u2oInterconnection"),
        vpc: text(object, "/spec/vpc").to_owned(),
        protocol: text(object, "/spec/protocol").to_owned(),
        not_ready: not_ready(object),
    }
}

fn not_ready(object: &Value) -> Option<String> {
    let conditions = list(object, "/status/conditions").iter();
    let mut ready = conditions.filter(|condition| text(condition, "/type") == "Ready");
    let condition = ready.find(|condition| text(condition, "/status") == "False")?;
    let words = [text(condition, "/reason"), text(condition, "/message")];
    Some(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": "))
}

fn names(objects: &[Value]) -> Vec<String> {
    sorted(objects.iter().map(super::object::qualified).collect())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
