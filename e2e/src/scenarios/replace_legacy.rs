//! The same as `replace`, on nodes whose rules are those of iptables-legacy.

use super::{Play, Scenario, migrate};
use crate::lab::Iptables;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "replace-legacy",
    about: "the same as `replace`, on nodes with iptables-legacy",
    play: Play::InALab(|stock, tests| migrate::kube_proxy_replaced(stock, Iptables::Legacy, tests)),
};
