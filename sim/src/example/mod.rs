//! The built-in example cluster: five nodes, Kube-OVN v1.14 installed by manifest, kube-proxy, and workloads of every
//! class.
//!
//! One node is a control plane, one was cordoned by somebody beforehand; people put labels and annotations of their
//! own on things. Namespace `shop` has a Deployment with a budget, a StatefulSet with a tight one and a
//! NetworkPolicy, `logging` a DaemonSet.

pub mod guide;
mod helm;
mod kube_ovn;
mod nodes;
mod workloads;

use serde_json::{Value, json};

/// Every object, definitions first.
pub fn objects() -> Vec<Value> {
    with(kube_ovn::objects())
}

/// The same with Kube-OVN installed by Helm; `values` are what its owner gave.
pub fn objects_by_helm(values: &Value) -> Vec<Value> {
    with(helm::objects(values))
}

fn with(kube_ovn: Vec<Value>) -> Vec<Value> {
    let mut all = kube_ovn::definitions();
    for name in ["default", "kube-node-lease", "kube-public", "kube-system", "logging", "shop"] {
        let labels = json!({ "kubernetes.io/metadata.name": name });
        all.push(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels },
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" },
        }));
    }
    all.extend(nodes::objects());
    all.extend(kube_ovn);
    all.extend(workloads::objects());
    all
}
