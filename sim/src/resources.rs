//! Kinds the pretend API server stores beyond those the engine knows, and what it knows of each.

use ovncilium_core::plan::{ObjectRef, Resource};

macro_rules! more {
    ($($name:ident = $group:literal $version:literal $plural:literal $kind:literal $namespaced:literal;)*) => {
        $(#[doc = concat!("`", $plural, "` of `", $group, "/", $version, "`.")]
        pub const $name: Resource =
            Resource { group: $group, version: $version, plural: $plural, kind: $kind, namespaced: $namespaced };)*
        const MORE: &[Resource] = &[$($name),*];
    };
}

more! {
    SECRETS = "" "v1" "secrets" "Secret" true;
    ENDPOINTS = "" "v1" "endpoints" "Endpoints" true;
    CLUSTER_ROLES = "rbac.authorization.k8s.io" "v1" "clusterroles" "ClusterRole" false;
    CLUSTER_ROLE_BINDINGS = "rbac.authorization.k8s.io" "v1" "clusterrolebindings" "ClusterRoleBinding" false;
    ROLES = "rbac.authorization.k8s.io" "v1" "roles" "Role" true;
    ROLE_BINDINGS = "rbac.authorization.k8s.io" "v1" "rolebindings" "RoleBinding" true;
    KUBE_OVN_IPS = "kubeovn.io" "v1" "ips" "IP" false;
    CILIUM_IDENTITIES = "cilium.io" "v2" "ciliumidentities" "CiliumIdentity" false;
}

/// Groups whose kinds exist only while their CustomResourceDefinition does.
const CUSTOM_GROUPS: &[&str] = &["cilium.io", "helm.cattle.io", "kubeovn.io"];

/// Kinds whose status has a subresource of its own: a write of the object leaves the status as it was.
const WITH_STATUS: &[&str] = &[
    "Namespace",
    "Node",
    "Pod",
    "Service",
    "Deployment",
    "DaemonSet",
    "StatefulSet",
    "ReplicaSet",
    "Job",
    "PodDisruptionBudget",
    "CustomResourceDefinition",
    "Subnet",
    "Vpc",
    "CiliumNode",
    "CiliumNetworkPolicy",
    "CiliumClusterwideNetworkPolicy",
];

/// The kind with this group and plural name, if the pretend API server can store it.
pub fn find(group: &str, plural: &str) -> Option<Resource> {
    all().find(|r| r.group == group && r.plural == plural)
}

/// The kind with this API version and kind, if the pretend API server can store it.
pub fn find_kind(api_version: &str, kind: &str) -> Option<Resource> {
    all().find(|r| r.kind == kind && r.api_version() == api_version)
}

/// Every kind the pretend API server can store.
pub fn all() -> impl Iterator<Item = Resource> {
    Resource::ALL.iter().chain(MORE).copied()
}

/// Whether the kind exists only while its CustomResourceDefinition does.
pub(crate) fn is_custom(resource: &Resource) -> bool {
    CUSTOM_GROUPS.contains(&resource.group)
}

/// Whether the kind's status has a subresource.
pub(crate) fn has_status(resource: &Resource) -> bool {
    WITH_STATUS.contains(&resource.kind)
}

/// `ciliumendpoints.cilium.io`: the name of its CustomResourceDefinition, and of the kind in messages.
pub(crate) fn qualified(resource: &Resource) -> String {
    if resource.group.is_empty() {
        resource.plural.to_owned()
    } else {
        format!("{}.{}", resource.plural, resource.group)
    }
}

/// The kind an object reference belongs to.
pub(crate) fn of(object: &ObjectRef) -> Option<Resource> {
    find(&object.group, &object.plural)
}
