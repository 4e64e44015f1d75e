//! A cluster of real nodes that Kube-OVN's guide has half chained, and that is taken over.

use super::{Play, Scenario, migrate};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "takeover",
    about: "real nodes that somebody has half chained by Kube-OVN's guide: taken over, and brought back to Kube-OVN alone",
    play: Play::InALab(migrate::take_over),
};
