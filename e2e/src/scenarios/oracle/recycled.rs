//! Every old pod is made again at most once, and no new one is.

use std::collections::{BTreeMap, BTreeSet};

use super::{OPERATOR, asked, text, told};
use crate::audit::Audit;

/// Evictions of a run that began at position `begun` of the log, of pods that were evicted before or were made since.
pub(in crate::scenarios) fn too_often(audit: &Audit, begun: usize) -> Vec<String> {
    let made: BTreeMap<&str, usize> = audit
        .iter()
        .enumerate()
        .filter(|(_, event)| event.resource == "pods" && event.verb == "create" && event.subresource.is_empty())
        .filter_map(|(at, event)| Some((text(event.response_object.as_ref()?, "/metadata/uid"), at)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for event in audit.changes_by(OPERATOR).filter(|event| event.subresource == "eviction") {
        let uid = asked(event, "/deleteOptions/preconditions/uid");
        if !seen.insert(uid) {
            wrong.push(format!("evicted twice: {}", told(event)));
        }
        if made.get(uid).is_none_or(|at| *at >= begun) {
            wrong.push(format!("a pod that was made since: {}", told(event)));
        }
    }
    if seen.is_empty() {
        wrong.push("no pod was evicted, which proves nothing".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::event;
    use super::*;

    #[test]
    fn a_pod_that_was_made_during_the_run_is_not_evicted() {
        let pod = |at, uid: &str| event(at, "kcm", "create", "pods/shop/web", json!({"metadata": {"uid": uid}}));
        let evict = |at, uid: &str| {
            let body = json!({"deleteOptions": {"preconditions": {"uid": uid}}});
            event(at, OPERATOR, "create", "pods/shop/web/eviction", body)
        };
        let log = vec![pod(1, "old"), evict(2, "old"), pod(3, "new")];
        assert!(too_often(&Audit::of(log.clone()), 1).is_empty());
        let again = |uid| [log.clone(), vec![evict(4, uid)]].concat();
        assert_eq!(too_often(&Audit::of(again("new")), 1).len(), 1);
        assert_eq!(too_often(&Audit::of(again("old")), 1).len(), 1);
    }
}
