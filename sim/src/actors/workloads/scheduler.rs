//! The scheduler: nodes that fit, then the one with the fewest pods of the same owner, then the fewest pods.

use std::collections::BTreeMap;

use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::super::{Actor, Pass, View};
use super::active;
use crate::{objects, selector};

/// The scheduler.
pub(super) struct Scheduler;

/// Nodes in the order of their names, and the pods on each.
struct Placed<'a> {
    nodes: Vec<&'a Value>,
    at: BTreeMap<&'a str, usize>,
    pods: Vec<Vec<&'a Value>>,
    /// Number of pods of an owner on each node.
    kin: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Placed<'a> {
    fn of(view: &'a View) -> Self {
        let nodes: Vec<&Value> = view.all(&Resource::NODES).iter().map(|node| &**node).collect();
        let at = nodes.iter().enumerate().map(|(at, node)| (objects::name(node), at)).collect();
        let pods = vec![Vec::new(); nodes.len()];
        let mut placed = Self { nodes, at, pods, kin: BTreeMap::new() };
        for pod in view.all(&Resource::PODS).iter().filter(|pod| !objects::ended(pod)) {
            if let Some(at) = placed.at.get(objects::node_of(pod)) {
                placed.add(*at, pod);
            }
        }
        placed
    }

    fn add(&mut self, at: usize, pod: &'a Value) {
        self.pods[at].push(pod);
        self.kin.entry(owner_of(pod)).or_insert_with(|| vec![0; self.nodes.len()])[at] += 1;
    }

    fn choose(&self, pod: &Value) -> Option<usize> {
        let kin = Some(owner_of(pod)).filter(|owner| !owner.is_empty()).and_then(|owner| self.kin.get(owner));
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        // The sort keeps the order of names among equals.
        order.sort_by_key(|at| (kin.map_or(0, |kin| kin[*at]), self.pods[*at].len()));
        let spec = &pod["spec"];
        order.into_iter().find(|at| {
            let node = self.nodes[*at];
            selector::selects_node(spec, node) && !selector::repels(spec, node) && !crowded(pod, &self.pods[*at])
        })
    }
}

impl Actor for Scheduler {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        let waiting: Vec<_> = view.pods_on("").filter(|pod| active(pod)).collect();
        if waiting.is_empty() {
            return;
        }
        let mut placed = Placed::of(view);
        for pod in waiting {
            let Some(at) = placed.choose(pod) else { continue };
            let node = objects::name(placed.nodes[at]);
            let operation = json!({ "op": "add", "path": "/spec/nodeName", "value": node });
            if pass.patch(&Resource::PODS, pod, vec![operation]).is_some() {
                placed.add(at, pod);
            }
        }
    }
}

/// UID of the pod's controller, empty for a bare pod.
fn owner_of(pod: &Value) -> &str {
    objects::controller(pod).map_or("", |owner| objects::text(owner, "/uid"))
}

/// Whether the pod's required anti-affinity forbids a node with these pods.
fn crowded(pod: &Value, there: &[&Value]) -> bool {
    let terms = objects::list(pod, "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    terms.iter().filter(|term| objects::text(term, "/topologyKey") == "kubernetes.io/hostname").any(|term| {
        there.iter().any(|other| {
            objects::namespace(other) == objects::namespace(pod) && selector::matches(other, &term["labelSelector"])
        })
    })
}
