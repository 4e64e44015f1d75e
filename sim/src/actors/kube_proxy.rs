//! kube-proxy: its rules are on a node as soon as it runs there, and stay when it goes, as on a real one.

use std::collections::BTreeSet;

use ovncilium_core::plan::Resource;
use serde_json::Value;

use super::{Actor, Pass};
use crate::objects;

/// All of them.
#[derive(Debug, Default)]
pub struct KubeProxies;

impl Actor for KubeProxies {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        let running: BTreeSet<&str> = view
            .all(&Resource::PODS)
            .iter()
            .filter(|pod| is_one(pod) && objects::ready(pod))
            .map(|pod| objects::node_of(pod))
            .collect();
        for node in view.all(&Resource::NODES) {
            let name = objects::name(node);
            let here = pass.nodes.node(name);
            if here.silent {
                continue;
            }
            here.kube_proxy = running.contains(name) || here.embedded_proxy;
            here.proxy_rules |= here.kube_proxy && !here.stuck_proxy;
        }
    }
}

/// As kubeadm labels them, or RKE2.
fn is_one(pod: &Value) -> bool {
    ["k8s-app", "component"].iter().any(|key| objects::label(pod, key) == Some("kube-proxy"))
}
