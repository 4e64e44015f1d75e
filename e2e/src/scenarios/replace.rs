//! kube-proxy on real nodes, replaced by Cilium while everybody asks Services, brought back, and then the migration rolled back.

use super::{Play, Scenario, migrate};
use crate::lab::Iptables;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "replace",
    about: "a chained cluster of real nodes: kube-proxy replaced under traffic, brought back, and everything rolled back",
    play: Play::InALab(|stock, tests| migrate::kube_proxy_replaced(stock, Iptables::Nft, tests)),
};
