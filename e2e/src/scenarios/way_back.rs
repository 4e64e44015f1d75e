//! A migration that dies in each of its phases on real nodes, and the way back from there.

use super::{Play, Scenario, migrate};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "way-back",
    about: "a migration of real nodes, killed in each of its phases: rolled back, everything is as it was before",
    play: Play::InALab(migrate::back_from_every_phase),
};
