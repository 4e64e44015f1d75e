//! The objects of a cluster as they were when a round began, read once for all actors.

use std::collections::BTreeMap;
use std::sync::Arc;

use ovncilium_core::plan::Resource;
use ovncilium_engine::ClusterError;
use serde_json::Value;

use crate::objects;
use crate::store::{ActorCluster, Snapshot};

/// Kinds that components of Kube-OVN, Cilium and the kubelets look at.
const COMPONENTS: &[Resource] = &[
    Resource::NODES,
    Resource::PODS,
    Resource::CONFIG_MAPS,
    Resource::CUSTOM_RESOURCES,
    Resource::NETWORK_POLICIES,
    Resource::DAEMON_SETS,
    Resource::SUBNETS,
    Resource::VPCS,
    Resource::CILIUM_ENDPOINTS,
    Resource::CILIUM_NODES,
    Resource::CILIUM_NODE_CONFIGS,
    Resource::CILIUM_NETWORK_POLICIES,
    Resource::CILIUM_CLUSTERWIDE_POLICIES,
];

/// Kinds that only controllers look at.
const CONTROLLERS: &[Resource] = &[
    Resource::DEPLOYMENTS,
    Resource::REPLICA_SETS,
    Resource::STATEFUL_SETS,
    Resource::JOBS,
    Resource::DISRUPTION_BUDGETS,
];

/// The objects, sorted by namespace and name.
#[derive(Debug, Default)]
pub struct View {
    kinds: Vec<Resource>,
    objects: BTreeMap<Resource, Snapshot>,
    pods_by_node: BTreeMap<String, Vec<usize>>,
    pods_by_controller: BTreeMap<String, Vec<usize>>,
}

impl View {
    /// For every actor.
    pub fn of_everything() -> Self {
        Self { kinds: [COMPONENTS, CONTROLLERS].concat(), ..Self::default() }
    }

    /// For actors beside real controllers.
    pub fn of_components() -> Self {
        Self { kinds: COMPONENTS.to_vec(), ..Self::default() }
    }

    /// Reads again what changed.
    ///
    /// # Errors
    /// What the API server answers; the view may be part old, part new.
    pub fn refresh(&mut self, cluster: &dyn ActorCluster) -> Result<(), ClusterError> {
        for kind in &self.kinds {
            let known = self.objects.get(kind).map_or(0, |(revision, _)| *revision);
            let Some((revision, mut objects)) = cluster.snapshot(kind, known)? else { continue };
            objects.sort_by(|a, b| place(a).cmp(&place(b)));
            if *kind == Resource::PODS {
                self.pods_by_node.clear();
                self.pods_by_controller.clear();
                for (at, pod) in objects.iter().enumerate() {
                    self.pods_by_node.entry(objects::node_of(pod).to_owned()).or_default().push(at);
                    if let Some(owner) = objects::controller(pod) {
                        let uid = objects::text(owner, "/uid").to_owned();
                        self.pods_by_controller.entry(uid).or_default().push(at);
                    }
                }
            }
            self.objects.insert(*kind, (revision, objects));
        }
        Ok(())
    }

    /// All objects of a kind.
    pub fn all(&self, resource: &Resource) -> &[Arc<Value>] {
        self.objects.get(resource).map(|(_, objects)| objects.as_slice()).unwrap_or_default()
    }

    /// One object.
    pub fn find(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        let all = self.all(resource);
        let at = all.binary_search_by(|object| place(object).cmp(&(namespace, name))).ok()?;
        all.get(at)
    }

    /// Pods bound to a node; those bound to none for the empty name.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &Arc<Value>> {
        let pods = self.all(&Resource::PODS);
        self.pods_by_node.get(node).into_iter().flatten().filter_map(move |at| pods.get(*at))
    }

    /// Pods controlled by the object with this UID.
    pub fn pods_of(&self, uid: &str) -> Vec<&Arc<Value>> {
        let pods = self.all(&Resource::PODS);
        self.pods_by_controller.get(uid).into_iter().flatten().filter_map(|at| pods.get(*at)).collect()
    }

    /// Whether the CustomResourceDefinition of a kind is there.
    pub fn defined(&self, resource: &Resource) -> bool {
        let name = crate::resources::qualified(resource);
        self.find(&Resource::CUSTOM_RESOURCES, "", &name).is_some()
    }
}

fn place(object: &Value) -> (&str, &str) {
    (objects::namespace(object), objects::name(object))
}
