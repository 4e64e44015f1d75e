//! Nothing outside a plan's list is written. Plans are read back from the requests that stored them.

use std::io::Read;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use ovncilium_core::plan::{Kind, Plan, Write};

use super::{OPERATOR, asked, name, resource, told};
use crate::{
    audit::{Audit, Event},
    error::{Error, Result},
};

/// The last plan of this kind that was stored in the cluster.
pub(in crate::scenarios) fn stored(audit: &Audit, kind: Kind) -> Result<Plan> {
    let stores = audit.changes_by(OPERATOR).rev().filter(|event| {
        event.resource == "configmaps" && event.verb == "create" && name(event).starts_with("ovncilium-plan-")
    });
    for event in stores {
        let plan = decode(asked(event, "/binaryData/plan"))?;
        if plan.kind == kind {
            return Ok(plan);
        }
    }
    Err(Error::Expectation(format!("no plan of kind {kind:?} was stored")))
}

fn decode(text: &str) -> Result<Plan> {
    let no_gzip = |why: String| Error::Expectation(format!("a stored plan cannot be unpacked: {why}"));
    let bytes = STANDARD.decode(text).map_err(|error| no_gzip(error.to_string()))?;
    let mut plan = Vec::new();
    GzDecoder::new(bytes.as_slice()).read_to_end(&mut plan).map_err(|error| no_gzip(error.to_string()))?;
    serde_json::from_slice(&plan).map_err(Error::json("a stored plan"))
}

/// Changes of the operator that no write of the list covers.
pub(in crate::scenarios) fn unlisted(audit: &Audit, writes: &[Write]) -> Vec<String> {
    let listed = |event: &Event| {
        let verb = match (event.verb.as_str(), event.subresource.as_str()) {
            ("create", "eviction") => "evict",
            (verb, "") => verb,
            // Nothing of ours writes another subresource.
            _ => return false,
        };
        // The audit log puts a namespace into itself.
        let namespace = if event.resource == "namespaces" { "" } else { event.namespace.as_str() };
        writes.iter().any(|write| write.covers(verb, &resource(event), namespace, name(event)))
    };
    audit.changes_by(OPERATOR).filter(|event| !listed(event)).map(told).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::event;
    use super::*;

    fn write(verb: &str, resource: &str, namespace: &str, name: &str) -> Write {
        let [verb, resource, namespace, name] = [verb, resource, namespace, name].map(str::to_owned);
        Write { verb, resource, namespace, name, reason: String::new() }
    }

    #[test]
    fn a_change_is_compared_with_the_list_as_it_was_asked_for() {
        let list = [
            write("evict", "pods", "*", "*"),
            write("patch", "deployments.apps", "kube-system", "kube-ovn-controller"),
            write("create", "namespaces", "", "cilium-secrets"),
        ];
        let unlisted = |verb: &str, path: &str| {
            super::unlisted(&Audit::of(vec![event(1, OPERATOR, verb, path, json!({}))]), &list).len()
        };
        assert_eq!(unlisted("create", "pods/shop/web/eviction"), 0);
        assert_eq!(unlisted("create", "namespaces/cilium-secrets/cilium-secrets"), 0);
        assert_eq!(unlisted("patch", "deployments.apps/kube-system/kube-ovn-controller"), 0);
        assert_eq!(unlisted("patch", "deployments.apps/kube-system/coredns"), 1);
        assert_eq!(unlisted("delete", "pods/shop/web"), 1);
        assert_eq!(unlisted("patch", "deployments.apps/kube-system/kube-ovn-controller/scale"), 1);
    }
}
