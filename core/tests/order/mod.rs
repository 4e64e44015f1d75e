//! The order of a plan's steps, as tests ask for it.

use ovncilium_core::plan::Plan;

/// Ids of all steps.
pub fn order(plan: &Plan) -> Vec<String> {
    plan.steps().map(|(_, _, step)| step.id.to_string()).collect()
}

/// Every step `earlier…` comes before every step `later…`, and both are there.
pub fn before(plan: &Plan, earlier: &str, later: &str) -> bool {
    let order = order(plan);
    let last = order.iter().rposition(|id| id.starts_with(earlier)).unwrap_or_else(|| panic!("no step {earlier}"));
    let first = order.iter().position(|id| id.starts_with(later)).unwrap_or_else(|| panic!("no step {later}"));
    last < first
}
