//! Actors: what kubelets, controllers, Kube-OVN and Cilium do to the objects of a cluster, with the behaviour
//! measured on the real ones.
//!
//! Each actor has one file and one method, [`Actor::tick`]: it looks at the cluster as it is, does what is due, and
//! keeps only what a process or a node would remember. All of them work through [`ActorCluster`], so that the same
//! actors play in the pretend cluster and on a real kube-apiserver, where real controllers do the part of
//! [`workloads`]. A write that fails is tried again in the next round, since the round looks at everything anew.

pub mod cilium_agent;
pub mod cilium_crds;
pub mod cilium_operator;
pub mod kube_ovn_cni;
pub mod kube_ovn_controller;
pub mod kube_proxy;
pub mod kubelet;
pub mod node_fs;
pub mod pretend_node;
pub mod task;
pub mod view;
pub mod witness;
pub mod workloads;

use std::time::Duration;

use jiff::Timestamp;
use ovncilium_core::plan::Resource;
use ovncilium_engine::ClusterError;
use serde_json::{Value, json};

use crate::jitter::Jitter;
use crate::objects;
use crate::store::ActorCluster;

pub use pretend_node::{AgentProcess, Cleanup, Ovn, PretendNode, PretendNodes, Sandbox};
pub use view::View;

/// One round of all actors.
pub struct Pass<'a> {
    /// The API server.
    pub cluster: &'a dyn ActorCluster,
    /// Its objects as they were when the round began.
    pub view: &'a View,
    /// What is on the nodes and in OVN.
    pub nodes: &'a mut PretendNodes,
    /// Now.
    pub now: Timestamp,
    /// Differences between pods.
    pub jitter: Jitter,
    /// When something is due next, if nobody writes before.
    wake: Option<Timestamp>,
    errors: Vec<ClusterError>,
}

impl Pass<'_> {
    /// Whether `after` has passed since `since`; if not, a round is due then.
    pub fn due(&mut self, since: Timestamp, after: Duration) -> bool {
        let at = since + after;
        if at <= self.now {
            return true;
        }
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
        false
    }

    /// The answer to a write. A failed one is tried again by the next round; failures that are no races are reported.
    pub fn attempt<T>(&mut self, result: Result<T, ClusterError>) -> Option<T> {
        match result {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.wake = Some(self.now);
                let race = matches!(
                    error,
                    ClusterError::Conflict { .. }
                        | ClusterError::NotFound { .. }
                        | ClusterError::AlreadyExists { .. }
                        | ClusterError::NotServed { .. }
                );
                if !race {
                    self.errors.push(error);
                }
                None
            }
        }
    }

    /// Changes fields of an object as seen in the view, unless it changed since.
    pub fn patch(&mut self, resource: &Resource, object: &Value, mut operations: Vec<Value>) -> Option<Value> {
        let version = objects::text(object, "/metadata/resourceVersion");
        operations.insert(0, json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }));
        let reference = resource.named(objects::namespace(object), objects::name(object));
        let answer = self.cluster.json_patch(&reference, &Value::Array(operations));
        self.attempt(answer)
    }

    /// Sets annotations of an object.
    pub fn annotate(&mut self, resource: &Resource, object: &Value, annotations: &[(&str, &str)]) -> Option<Value> {
        let mut merged = object["metadata"]["annotations"].clone();
        for (key, value) in annotations {
            merged[*key] = json!(value);
        }
        let operation = json!({ "op": "add", "path": "/metadata/annotations", "value": merged });
        self.patch(resource, object, vec![operation])
    }

    /// Merges `status` into the status of an object.
    pub fn status(&mut self, resource: &Resource, object: &Value, status: &Value) -> Option<Value> {
        let reference = resource.named(objects::namespace(object), objects::name(object));
        let answer = self.cluster.patch_status(&reference, &json!({ "status": status }));
        self.attempt(answer)
    }
}

/// Something that changes objects by itself.
pub trait Actor: Send {
    /// Looks at the cluster and does what is due.
    fn tick(&mut self, pass: &mut Pass<'_>);
}

/// All actors of a cluster, with the nodes they share.
pub struct Actors {
    actors: Vec<Box<dyn Actor>>,
    view: View,
    nodes: PretendNodes,
    jitter: Jitter,
    wake: Option<Timestamp>,
}

impl Actors {
    /// For the pretend cluster: everything.
    pub fn pretend(seed: u64) -> Self {
        let mut actors = workloads::all();
        actors.extend(Self::components(false));
        actors.push(Box::new(witness::Witness));
        Self::of(actors, View::of_everything(), seed)
    }

    /// For a real kube-apiserver beside a real controller manager and scheduler: kubelets with heartbeats, Kube-OVN
    /// and Cilium. Node objects are read from the API; the files of the nodes live in here, so keep it as long as the
    /// cluster.
    pub fn for_real(seed: u64) -> Self {
        Self::of(Self::components(true), View::of_components(), seed)
    }

    fn of(actors: Vec<Box<dyn Actor>>, view: View, seed: u64) -> Self {
        Self { actors, view, nodes: PretendNodes::default(), jitter: Jitter(seed), wake: None }
    }

    fn components(heartbeats: bool) -> Vec<Box<dyn Actor>> {
        vec![
            Box::new(kube_ovn_cni::KubeOvnCni::default()),
            Box::new(kube_ovn_controller::KubeOvnController::default()),
            Box::new(cilium_operator::CiliumOperator::default()),
            Box::new(cilium_agent::CiliumAgents::default()),
            Box::new(kubelet::Kubelets::new(heartbeats)),
            Box::new(kube_proxy::KubeProxies),
        ]
    }

    /// One round. Call it every half second or so of the cluster's time.
    ///
    /// # Errors
    /// What the API server refused, other than races that the next round settles; the round was finished all the same.
    pub fn tick(&mut self, cluster: &dyn ActorCluster, now: Timestamp) -> Result<(), Vec<ClusterError>> {
        self.view.refresh(cluster).map_err(|error| vec![error])?;
        let mut pass = Pass {
            cluster,
            view: &self.view,
            nodes: &mut self.nodes,
            now,
            jitter: self.jitter,
            wake: None,
            errors: Vec::new(),
        };
        for actor in &mut self.actors {
            actor.tick(&mut pass);
        }
        self.wake = pass.wake;
        if pass.errors.is_empty() { Ok(()) } else { Err(pass.errors) }
    }

    /// When a round is due even if no object changes; `None` when nothing is under way.
    pub fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    /// What is on the nodes and in OVN.
    pub fn nodes(&self) -> &PretendNodes {
        &self.nodes
    }

    /// The same, to be meddled with: by a person or by a fault.
    pub fn nodes_mut(&mut self) -> &mut PretendNodes {
        &mut self.nodes
    }
}
