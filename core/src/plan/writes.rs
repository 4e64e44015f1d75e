//! Every write a plan may make. Nothing else is written; the end-to-end test holds the audit log against this list.

use serde::{Deserialize, Serialize};

use super::action::{Action, ReleaseStage};
use super::object::{ObjectRef, Resource};
use super::{Driver, Plan, Settings};

/// Prefix of every object of ours.
pub const OUR_PREFIX: &str = "ovncilium-";
/// Name of the Lease that keeps a second operator out.
pub const LOCK: &str = "ovncilium-lock";

/// Name of the Lease that Cilium's operator makes for itself and leaves (Cilium `operator/cmd/root.go`).
pub const OPERATOR_LOCK: &str = "cilium-operator-resource-lock";

/// One write a plan may make.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Write {
    /// `create`, `update`, `patch`, `delete` or `evict`.
    pub verb: String,
    /// Plural resource and group: `daemonsets.apps`.
    pub resource: String,
    /// Namespace; empty for cluster-wide objects, `*` for any.
    pub namespace: String,
    /// Name; a trailing `*` stands for any ending.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Write {
    fn new(verb: &str, resource: Resource, namespace: &str, name: &str, reason: &str) -> Self {
        let object = resource.named(namespace, name);
        Self::object(verb, &object, reason)
    }

    fn object(verb: &str, object: &ObjectRef, reason: &str) -> Self {
        let group = if object.group.is_empty() { String::new() } else { format!(".{}", object.group) };
        Self {
            verb: verb.to_owned(),
            resource: format!("{}{group}", object.plural),
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone(),
            reason: reason.to_owned(),
        }
    }

    /// Whether a request is this write.
    pub fn covers(&self, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let name_fits = match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => self.name == name,
        };
        self.verb == verb
            && self.resource == resource
            && (self.namespace == "*" || self.namespace == namespace)
            && name_fits
    }
}

/// Every write of `plan`, sorted and without repeats; `chart_objects` are what the chart renders to at any stage.
pub fn of(plan: &Plan, chart_objects: &[ObjectRef]) -> Vec<Write> {
    let settings = &plan.settings;
    let mut writes = Vec::new();
    for verb in ["create", "update", "delete"] {
        writes.push(Write::new(verb, Resource::CONFIG_MAPS, &settings.namespace, "ovncilium-*", "journal"));
        writes.push(Write::new(verb, Resource::LEASES, &settings.namespace, LOCK, "lock"));
    }
    writes.push(Write::new(
        "delete",
        Resource::PODS,
        &settings.namespace,
        "ovncilium-*",
        "task pods of a run that died",
    ));
    for (_, node, step) in plan.steps() {
        let node = node.map(|node| node.as_str()).unwrap_or_default();
        step_writes(&mut writes, settings, node, &step.action, chart_objects);
    }
    writes.sort();
    writes.dedup();
    writes
}

fn step_writes(writes: &mut Vec<Write>, settings: &Settings, node: &str, action: &Action, chart: &[ObjectRef]) {
    let mut task = |reason: &str| {
        for verb in ["create", "delete"] {
            writes.push(Write::new(verb, Resource::PODS, &settings.namespace, "ovncilium-*", reason));
        }
    };
    match action {
        Action::SetRelease { stage } => release_writes(writes, settings, chart, Some(*stage)),
        Action::RemoveRelease => {
            release_writes(writes, settings, chart, None);
            let namespace = &settings.release_namespace;
            writes.push(Write::new("delete", Resource::LEASES, namespace, OPERATOR_LOCK, "the operator's lock"));
        }
        Action::SetNodeConfig { name, .. } => {
            for verb in ["create", "update"] {
                let namespace = &settings.release_namespace;
                writes.push(Write::new(verb, Resource::CILIUM_NODE_CONFIGS, namespace, name, "node configuration"));
            }
        }
        Action::RemoveNodeConfig { name } => {
            let namespace = &settings.release_namespace;
            writes.push(Write::new("delete", Resource::CILIUM_NODE_CONFIGS, namespace, name, "node configuration"));
        }
        Action::LabelNode { .. } => {
            writes.push(Write::new("patch", Resource::NODES, "", node, "labels of ours"));
        }
        Action::RemoveTaint { key } => {
            writes.push(Write::new("patch", Resource::NODES, "", node, &format!("taint {key}")));
        }
        Action::RestartAgent => {
            writes.push(Write::new("delete", Resource::PODS, &settings.release_namespace, "cilium-*", "agent restart"));
        }
        Action::ProveConf { .. } => task("read a node"),
        Action::Canary { .. } => task("canary"),
        Action::RetireConf => task("retire our file"),
        Action::RetireFound => task("retire the file that chained before"),
        Action::ReviewDrops => task("ask an agent what it would drop"),
        Action::AwaitEnforcement => task("ask an agent what it enforces"),
        Action::AwaitOvnPolicy => task("ask OVN what it enforces"),
        Action::CleanDatapath => task("remove Cilium's programs"),
        Action::ProbeServices { .. } => task("ask Services"),
        Action::ProveKubeProxy => task("read kube-proxy's rules"),
        Action::AwaitSwitch { .. } => task("look whether kube-proxy runs"),
        Action::AwaitReplacement => task("ask an agent what it serves"),
        Action::CleanKubeProxy => task("remove kube-proxy's rules"),
        Action::LimitKubeProxy { .. } => {
            if let Some(former) = settings.kube_proxy.as_ref().and_then(|proxy| proxy.former.as_ref()) {
                let reason = "where kube-proxy runs";
                writes.push(Write::new("patch", Resource::DAEMON_SETS, &former.namespace, &former.name, reason));
            }
        }
        Action::CleanRules => task("remove Cilium's firewall and routing rules"),
        Action::Recycle { .. } => writes.push(Write::new("evict", Resource::PODS, "*", "*", "recycle")),
        Action::SetControllerFlags { .. } => {
            let (namespace, name) = (&settings.namespace, &settings.controller);
            writes.push(Write::new("patch", Resource::DEPLOYMENTS, namespace, name, "flags of kube-ovn-controller"));
        }
        Action::SetReleaseFlags { .. } => owner_release_writes(writes, settings),
        Action::RemoveCrds => {
            writes.push(Write::new("delete", Resource::CUSTOM_RESOURCES, "", "cilium*", "CRDs of Cilium"));
        }
        Action::AwaitAgent
        | Action::AwaitNoAgent
        | Action::AwaitCoverage
        | Action::AwaitFlags { .. }
        | Action::AwaitKubeProxy
        | Action::AwaitNoKubeProxy
        | Action::Verify { .. } => {}
    }
}

/// A new revision of the release that owns Kube-OVN; no earlier one is removed.
fn owner_release_writes(writes: &mut Vec<Write>, settings: &Settings) {
    let Driver::Helm { release, namespace, patched, .. } = &settings.driver else { return };
    let storage = storage(release, namespace);
    for verb in ["create", "update"] {
        writes.push(Write::object(verb, &storage, "a revision of Kube-OVN's own release"));
    }
    let controller = Resource::DEPLOYMENTS.named(&settings.namespace, &settings.controller);
    for object in patched.iter().chain([&controller]) {
        writes.push(Write::object("patch", object, "helm: object of Kube-OVN's own release"));
    }
}

/// Where helm keeps the revisions of a release.
fn storage(release: &str, namespace: &str) -> ObjectRef {
    ObjectRef {
        group: String::new(),
        version: "v1".to_owned(),
        plural: "secrets".to_owned(),
        kind: "Secret".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: format!("sh.helm.release.v1.{release}.v*"),
    }
}

fn release_writes(writes: &mut Vec<Write>, settings: &Settings, chart: &[ObjectRef], stage: Option<ReleaseStage>) {
    let storage = storage(&settings.release, &settings.release_namespace);
    for verb in ["create", "update", "patch", "delete"] {
        writes.push(Write::object(verb, &storage, "helm's release storage"));
    }
    let verbs: &[&str] = if stage.is_some() { &["create", "patch", "update", "delete"] } else { &["delete"] };
    for object in chart {
        for verb in verbs {
            writes.push(Write::object(verb, object, "object of the chart"));
        }
    }
}
