//! What dies when Kube-OVN's load balancer goes.

use ovncilium_policy_sdk::Finding;
use serde::Deserialize;

use crate::FREE;

#[derive(Deserialize)]
pub(crate) struct Networks {
    subnets: Vec<Subnet>,
    vpc_dnses: Vec<String>,
    switch_lb_rules: Vec<String>,
}

#[derive(Deserialize)]
struct Subnet {
    name: String,
    underlay: bool,
    u2o: bool,
}

#[derive(Deserialize)]
pub(crate) struct Provider {
    kind: String,
    object: String,
    desired: u32,
    ready: u32,
}

pub(crate) fn finding(message: &str, subject: &str) -> Finding {
    Finding::fail(FREE, message).subject(subject)
}

/// Objects of Kube-OVN that are, or need, OVN load balancers.
pub(crate) fn of_networks(networks: &Networks) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in &networks.vpc_dnses {
        findings.push(
            finding("VpcDns answers through an OVN load balancer and stops without it", &format!("vpc-dns/{name}"))
                .remedy("give the VPC another DNS (a Deployment in it) and delete the VpcDns"),
        );
    }
    for name in &networks.switch_lb_rules {
        findings.push(
            finding("SwitchLBRule is an OVN load balancer and goes with it", &format!("switch-lb-rule/{name}"))
                .remedy("replace it by a Service and delete it"),
        );
    }
    for subnet in &networks.subnets {
        let subject = format!("subnet/{}", subnet.name);
        if subnet.underlay {
            findings.push(
                finding("pods of an underlay network reach Services only through it", &subject)
                    .remedy("keep the load balancer on while pods live in it, or move them to an overlay subnet"),
            );
        } else if subnet.u2o {
            findings.push(
                finding("the subnet is joined with an underlay network (u2oInterconnection)", &subject)
                    .remedy(format!(
                        "`kubectl patch subnet {} --type merge --patch '{{\"spec\":{{\"enableLb\":false,\"u2oInterconnection\":false}}}}'` first",
                        subnet.name
                    )),
            );
        }
    }
    findings
}

/// Whether something else serves Services.
pub(crate) fn of_providers(providers: &Result<Vec<Provider>, String>) -> Vec<Finding> {
    let providers = match providers {
        Ok(providers) => providers,
        Err(why) => return vec![Finding::unknown(FREE, why.clone())],
    };
    let others: Vec<_> =
        providers.iter().filter(|provider| matches!(provider.kind.as_str(), "kube-proxy" | "cilium")).collect();
    if others.iter().any(|provider| provider.desired > 0 && provider.ready >= provider.desired) {
        return Vec::new();
    }
    let told: Vec<_> =
        others.iter().map(|p| format!("{} is ready on {} of {}", p.object, p.ready, p.desired)).collect();
    let why = if told.is_empty() { "there is neither kube-proxy nor Cilium".to_owned() } else { told.join("; ") };
    vec![
        Finding::fail(FREE, format!("nothing else serves Services: {why}"))
            .remedy("make kube-proxy, or Cilium's kube-proxy replacement, ready on every node"),
    ]
}
