//! Every request that a migration or a rollback makes, and whether we may make it.

use std::collections::BTreeSet;

use ovncilium_core::facts::permissions::{Permission, Permissions};
use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use crate::world::{Cluster, ClusterError};

/// Which namespace a request is made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of them, or none.
    Cluster,
    /// That of Kube-OVN.
    KubeOvn,
    /// That of Cilium's release.
    Release,
    /// That of the Helm release that owns Kube-OVN, if one does.
    OwnerRelease,
    /// That of Kube-OVN, if a Helm release owns it.
    Owned,
    /// All of them, or none, if a Helm release owns Kube-OVN.
    OwnedClusterWide,
    /// Those of the workloads whose ConfigMaps facts are made of: kube-proxy, Multus, an installed Cilium.
    ConfigMaps,
}

/// The namespaces that scopes stand for in a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Namespaces<'n> {
    /// Kube-OVN's; empty when it was not found, which asks for all namespaces.
    pub kube_ovn: &'n str,
    /// That of Cilium's release.
    pub release: &'n str,
    /// That of the Helm release that owns Kube-OVN.
    pub owner_release: Option<&'n str>,
    /// Those of ConfigMaps that facts are made of, each once.
    pub config_maps: &'n BTreeSet<&'n str>,
}

impl<'n> Namespaces<'n> {
    fn of(&self, scope: Scope) -> Vec<&'n str> {
        match scope {
            Scope::Cluster => vec![""],
            Scope::KubeOvn => vec![self.kube_ovn],
            Scope::Release => vec![self.release],
            Scope::OwnerRelease => self.owner_release.into_iter().collect(),
            Scope::Owned => self.owner_release.map(|_| self.kube_ovn).into_iter().collect(),
            Scope::OwnedClusterWide => self.owner_release.map(|_| "").into_iter().collect(),
            Scope::ConfigMaps => self.config_maps.iter().copied().collect(),
        }
    }
}

/// Requests of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural, with a subresource after a slash.
    pub resource: &'static str,
    /// Where.
    pub scope: Scope,
    /// What for.
    pub reason: &'static str,
}

const fn needed(
    verbs: &'static [&'static str],
    group: &'static str,
    resource: &'static str,
    scope: Scope,
    reason: &'static str,
) -> Needed {
    Needed { verbs, group, resource, scope, reason }
}

const LIST: &[&str] = &["list"];
/// What helm does to an object of a chart in its life.
const HELM: &[&str] = &["get", "create", "patch", "delete"];
/// What helm does to an object of a release that it upgrades.
const OWNED: &[&str] = &["get", "patch"];
const OWNED_WHY: &str = "helm: objects of Kube-OVN's own release";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Every kind of request, reads first.
pub const NEEDED: &[Needed] = &[
    needed(&["get", "list"], "", "nodes", Scope::Cluster, "to know the nodes"),
    needed(&["get", "list"], "", "pods", Scope::Cluster, "to know which pods have an endpoint"),
    needed(LIST, "", "services", Scope::Cluster, "to know who serves Services"),
    needed(&["get", "list"], "apps", "deployments", Scope::Cluster, "to find Kube-OVN"),
    needed(&["get", "list"], "apps", "daemonsets", Scope::Cluster, "to find Kube-OVN, Cilium and kube-proxy"),
    needed(LIST, "apps", "statefulsets", Scope::Cluster, "to know whose pods only their operator restarts"),
    needed(LIST, "policy", "poddisruptionbudgets", Scope::Cluster, "to honour budgets"),
    needed(LIST, "networking.k8s.io", "networkpolicies", Scope::Cluster, "to say what moves to Cilium"),
    needed(LIST, "apiextensions.k8s.io", "customresourcedefinitions", Scope::Cluster, "to know what is left of Cilium"),
    needed(LIST, "helm.cattle.io", "helmcharts", Scope::Cluster, "to know who makes Kube-OVN's Helm release again"),
    needed(
        LIST,
        "helm.cattle.io",
        "helmchartconfigs",
        Scope::Cluster,
        "to know who makes Kube-OVN's Helm release again",
    ),
    needed(LIST, "kubeovn.io", "subnets", Scope::Cluster, "to know the address ranges"),
    needed(&["get", "list"], "kubeovn.io", "vpcs", Scope::Cluster, "to know the VPCs and their load balancers"),
    needed(LIST, "kubeovn.io", "vpc-dnses", Scope::Cluster, "to know what needs Kube-OVN's load balancer"),
    needed(LIST, "kubeovn.io", "switch-lb-rules", Scope::Cluster, "to know what needs Kube-OVN's load balancer"),
    needed(LIST, "kubeovn.io", "vpc-nat-gateways", Scope::Cluster, "to know the NAT gateways"),
    needed(LIST, "kubeovn.io", "vpc-egress-gateways", Scope::Cluster, "to know the NAT gateways"),
    needed(LIST, "cilium.io", "ciliumendpoints", Scope::Cluster, "to prove that every pod has its endpoint"),
    needed(&["get"], "cilium.io", "ciliumnodes", Scope::Cluster, "to know where an agent has run"),
    needed(LIST, "cilium.io", "ciliumnodeconfigs", Scope::Cluster, "to know nodes that are configured apart"),
    needed(LIST, "cilium.io", "ciliumnetworkpolicies", Scope::Cluster, "to know policies of Cilium"),
    needed(LIST, "cilium.io", "ciliumclusterwidenetworkpolicies", Scope::Cluster, "to know policies of Cilium"),
    needed(&["get"], "", "configmaps", Scope::Release, "to read cilium-config"),
    needed(&["get"], "", "configmaps", Scope::ConfigMaps, "to read how kube-proxy, Multus and Cilium are configured"),
    needed(&["get", "list", "create", "update", "delete"], "", "configmaps", Scope::KubeOvn, "to keep the journal"),
    needed(&["get", "create", "update", "delete"], "coordination.k8s.io", "leases", Scope::KubeOvn, "to hold the lock"),
    needed(
        &["get", "delete"],
        "coordination.k8s.io",
        "leases",
        Scope::Release,
        "to remove the lock of Cilium's operator",
    ),
    needed(&["create", "delete"], "", "pods", Scope::KubeOvn, "to look at nodes with short-lived pods"),
    needed(&["patch"], "", "nodes", Scope::Cluster, "to label nodes: the cutover"),
    needed(&["create"], "", "pods/eviction", Scope::Cluster, "to have old pods made again"),
    needed(&["patch"], "apps", "deployments", Scope::KubeOvn, "to set flags of kube-ovn-controller"),
    needed(
        &["get", "list", "create", "update"],
        "",
        "secrets",
        Scope::OwnerRelease,
        "helm: a revision of Kube-OVN's own release",
    ),
    needed(OWNED, "apps", "deployments", Scope::Owned, OWNED_WHY),
    needed(OWNED, "apps", "daemonsets", Scope::Owned, OWNED_WHY),
    needed(OWNED, "", "services", Scope::Owned, OWNED_WHY),
    needed(OWNED, "", "serviceaccounts", Scope::Owned, OWNED_WHY),
    needed(OWNED, "", "configmaps", Scope::Owned, OWNED_WHY),
    needed(OWNED, RBAC, "roles", Scope::Owned, OWNED_WHY),
    needed(OWNED, RBAC, "rolebindings", Scope::Owned, OWNED_WHY),
    needed(OWNED, RBAC, "clusterroles", Scope::OwnedClusterWide, OWNED_WHY),
    needed(OWNED, RBAC, "clusterrolebindings", Scope::OwnedClusterWide, OWNED_WHY),
    needed(OWNED, "apiextensions.k8s.io", "customresourcedefinitions", Scope::OwnedClusterWide, OWNED_WHY),
    needed(&["get", "create", "update", "delete"], "cilium.io", "ciliumnodeconfigs", Scope::Release, "to chain nodes"),
    needed(&["delete"], "", "pods", Scope::Release, "to restart Cilium's agents"),
    needed(
        &["delete"],
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        Scope::Cluster,
        "to remove Cilium's CRDs again",
    ),
    needed(
        &["get", "list", "create", "update", "patch", "delete"],
        "",
        "secrets",
        Scope::Release,
        "helm: to keep its release, and certificates of the chart",
    ),
    needed(HELM, "", "configmaps", Scope::Release, "helm: objects of the chart"),
    needed(HELM, "", "services", Scope::Release, "helm: objects of the chart"),
    needed(HELM, "", "serviceaccounts", Scope::Release, "helm: objects of the chart"),
    needed(HELM, "apps", "daemonsets", Scope::Release, "helm: objects of the chart"),
    needed(HELM, "apps", "deployments", Scope::Release, "helm: objects of the chart"),
    needed(HELM, "", "namespaces", Scope::Cluster, "helm: objects of the chart"),
    needed(HELM, RBAC, "roles", Scope::Cluster, "helm: objects of the chart, some in namespaces of their own"),
    needed(HELM, RBAC, "rolebindings", Scope::Cluster, "helm: objects of the chart, some in namespaces of their own"),
    needed(HELM, RBAC, "clusterroles", Scope::Cluster, "helm: objects of the chart"),
    needed(HELM, RBAC, "clusterrolebindings", Scope::Cluster, "helm: objects of the chart"),
    needed(
        &["bind", "escalate"],
        RBAC,
        "clusterroles",
        Scope::Cluster,
        "helm: the chart grants more than most users have",
    ),
    needed(&["bind", "escalate"], RBAC, "roles", Scope::Cluster, "helm: the chart grants more than most users have"),
];

/// What a replacement of kube-proxy asks for besides; the scope is the namespace of its DaemonSet.
pub const NEEDED_FOR_KUBE_PROXY: &[Needed] =
    &[needed(&["patch"], "apps", "daemonsets", Scope::KubeOvn, "to take kube-proxy from nodes, and to bring it back")];

/// Asks for each request of a migration.
///
/// # Errors
/// When the API server does not answer such questions.
pub fn ask(cluster: &dyn Cluster, namespaces: Namespaces<'_>) -> Result<Permissions, ClusterError> {
    ask_for(cluster, NEEDED, namespaces)
}

/// Asks for each of these requests.
///
/// # Errors
/// When the API server does not answer such questions.
pub fn ask_for(
    cluster: &dyn Cluster,
    requests: &[Needed],
    namespaces: Namespaces<'_>,
) -> Result<Permissions, ClusterError> {
    let mut items = Vec::new();
    for needed in requests {
        for namespace in namespaces.of(needed.scope) {
            for verb in needed.verbs {
                let answer = cluster.create(&Resource::ACCESS_REVIEWS, &review(verb, needed, namespace))?;
                items.push(Permission {
                    verb: (*verb).to_owned(),
                    group: needed.group.to_owned(),
                    resource: needed.resource.to_owned(),
                    namespace: namespace.to_owned(),
                    allowed: answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or_default(),
                    needed_for: needed.reason.to_owned(),
                });
            }
        }
    }
    Ok(Permissions { items })
}

fn review(verb: &str, needed: &Needed, namespace: &str) -> Value {
    let (resource, subresource) = needed.resource.split_once('/').unwrap_or((needed.resource, ""));
    json!({
        "apiVersion": Resource::ACCESS_REVIEWS.api_version(),
        "kind": Resource::ACCESS_REVIEWS.kind,
        "metadata": {},
        "spec": { "resourceAttributes": {
            "verb": verb,
            "group": needed.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": namespace,
        } },
    })
}
