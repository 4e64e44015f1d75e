//! A cluster of real nodes that Kube-OVN's guide has chained without kube-proxy, and that is taken over while everybody asks Services.

use super::{Play, Scenario, migrate};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "takeover-replaced",
    about: "real nodes without kube-proxy, chained by Kube-OVN's guide: taken over while everybody asks Services, and brought back",
    play: Play::InALab(migrate::take_over_without_kube_proxy),
};
