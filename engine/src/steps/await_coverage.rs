//! Wait until every pod of the cluster has its endpoint.

use serde_json::Value;

use super::support::{some, uncovered};
use super::{Cx, Look, StepError, Work};

/// Joins pods and CiliumEndpoints by namespace, name and address; counts prove nothing.
pub(super) struct AwaitCoverage;

impl Work for AwaitCoverage {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let uncovered = uncovered(cx)?;
        Ok(if uncovered.is_empty() {
            Look::met("every pod has its endpoint")
        } else {
            Look::wait(format!("no endpoint yet: {}", some(&uncovered)))
        })
    }

    fn act(&self, _cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        Ok(())
    }
}
