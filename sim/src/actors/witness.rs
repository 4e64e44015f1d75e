//! Who watches over the promises while a run lasts: nobody's actor, only a witness.
//!
//! Writes down every node on which nobody serves Services any more, neither kube-proxy nor Cilium, and every pod that a NetworkPolicy selects and on which, at the end of a round, neither OVN nor Cilium enforced it.

use ovncilium_core::plan::Resource;

use super::{Actor, Pass};
use crate::{objects, selector};

/// The witness.
#[derive(Debug, Default)]
pub struct Witness;

impl Actor for Witness {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        unserved(pass);
        if pass.nodes.ovn.network_policy && pass.nodes.ovn.behind.is_empty() {
            return;
        }
        let view = pass.view;
        let mut seen = Vec::new();
        for policy in view.all(&Resource::NETWORK_POLICIES) {
            for pod in view.all(&Resource::PODS) {
                let selected = objects::namespace(pod) == objects::namespace(policy)
                    && selector::matches(pod, &policy["spec"]["podSelector"]);
                let sandbox = pass.nodes.sandbox(objects::uid(pod)).filter(|_| selected);
                let by_ovn = pass.nodes.ovn.enforces_on(objects::text(pod, "/spec/nodeName"));
                if !by_ovn && sandbox.is_some_and(|sandbox| !sandbox.enforced) {
                    seen.push(format!("{} {}/{}", pass.now, objects::namespace(pod), objects::name(pod)));
                }
            }
        }
        pass.nodes.unprotected.extend(seen);
    }
}

/// Nodes that were served once and are not now. Rules without a kube-proxy that keeps them do not count.
fn unserved(pass: &mut Pass<'_>) {
    let now = pass.now;
    let mut seen = Vec::new();
    for (name, node) in pass.nodes.iter_mut() {
        let served = node.kube_proxy && !node.stuck_proxy && node.proxy_rules || node.replaces;
        if node.was_served && !served {
            seen.push(format!("{now} {name}"));
        }
        node.was_served |= served;
    }
    pass.nodes.unserved.extend(seen);
}
