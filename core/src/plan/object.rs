//! Names of API resources and objects.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of API object, as requests need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Plural name in URLs.
    pub plural: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

macro_rules! resources {
    ($($name:ident = $group:literal $version:literal $plural:literal $kind:literal $scope:ident;)*) => {
        impl Resource {
            $(#[doc = concat!("`", $plural, "` of `", $group, "/", $version, "`.")]
            pub const $name: Self =
                Self { group: $group, version: $version, plural: $plural, kind: $kind, namespaced: resources!(@ $scope) };)*
            /// Every resource this program reads or writes by name.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
    (@ namespaced) => { true };
    (@ cluster) => { false };
}

resources! {
    NAMESPACES = "" "v1" "namespaces" "Namespace" cluster;
    NODES = "" "v1" "nodes" "Node" cluster;
    PODS = "" "v1" "pods" "Pod" namespaced;
    CONFIG_MAPS = "" "v1" "configmaps" "ConfigMap" namespaced;
    SERVICES = "" "v1" "services" "Service" namespaced;
    SERVICE_ACCOUNTS = "" "v1" "serviceaccounts" "ServiceAccount" namespaced;
    EVENTS = "" "v1" "events" "Event" namespaced;
    DEPLOYMENTS = "apps" "v1" "deployments" "Deployment" namespaced;
    DAEMON_SETS = "apps" "v1" "daemonsets" "DaemonSet" namespaced;
    STATEFUL_SETS = "apps" "v1" "statefulsets" "StatefulSet" namespaced;
    REPLICA_SETS = "apps" "v1" "replicasets" "ReplicaSet" namespaced;
    JOBS = "batch" "v1" "jobs" "Job" namespaced;
    DISRUPTION_BUDGETS = "policy" "v1" "poddisruptionbudgets" "PodDisruptionBudget" namespaced;
    NETWORK_POLICIES = "networking.k8s.io" "v1" "networkpolicies" "NetworkPolicy" namespaced;
    LEASES = "coordination.k8s.io" "v1" "leases" "Lease" namespaced;
    ACCESS_REVIEWS = "authorization.k8s.io" "v1" "selfsubjectaccessreviews" "SelfSubjectAccessReview" cluster;
    CUSTOM_RESOURCES = "apiextensions.k8s.io" "v1" "customresourcedefinitions" "CustomResourceDefinition" cluster;
    SUBNETS = "kubeovn.io" "v1" "subnets" "Subnet" cluster;
    VPCS = "kubeovn.io" "v1" "vpcs" "Vpc" cluster;
    VPC_DNSES = "kubeovn.io" "v1" "vpc-dnses" "VpcDns" cluster;
    SWITCH_LB_RULES = "kubeovn.io" "v1" "switch-lb-rules" "SwitchLBRule" cluster;
    VPC_NAT_GATEWAYS = "kubeovn.io" "v1" "vpc-nat-gateways" "VpcNatGateway" cluster;
    VPC_EGRESS_GATEWAYS = "kubeovn.io" "v1" "vpc-egress-gateways" "VpcEgressGateway" namespaced;
    HELM_CHARTS = "helm.cattle.io" "v1" "helmcharts" "HelmChart" namespaced;
    HELM_CHART_CONFIGS = "helm.cattle.io" "v1" "helmchartconfigs" "HelmChartConfig" namespaced;
    CILIUM_ENDPOINTS = "cilium.io" "v2" "ciliumendpoints" "CiliumEndpoint" namespaced;
    CILIUM_NODES = "cilium.io" "v2" "ciliumnodes" "CiliumNode" cluster;
    CILIUM_NODE_CONFIGS = "cilium.io" "v2" "ciliumnodeconfigs" "CiliumNodeConfig" namespaced;
    CILIUM_NETWORK_POLICIES = "cilium.io" "v2" "ciliumnetworkpolicies" "CiliumNetworkPolicy" namespaced;
    CILIUM_CLUSTERWIDE_POLICIES = "cilium.io" "v2" "ciliumclusterwidenetworkpolicies" "CiliumClusterwideNetworkPolicy" cluster;
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The object of this kind called `name`, in `namespace` if it lives in one.
    pub fn named(&self, namespace: &str, name: &str) -> ObjectRef {
        ObjectRef {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            plural: self.plural.to_owned(),
            kind: self.kind.to_owned(),
            namespace: self.namespaced.then(|| namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// The resource of `kind` in `api_version`, if this program knows it.
    pub fn find(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.kind == kind && r.api_version() == api_version)
    }
}

/// The name of one API object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name in URLs.
    pub plural: String,
    /// Kind.
    pub kind: String,
    /// Namespace, for kinds that live in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// Kinds of charts that live outside namespaces.
const CLUSTER_KINDS: [&str; 14] = [
    "APIService",
    "CSIDriver",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingWebhookConfiguration",
];

impl ObjectRef {
    /// The object that a manifest names. Plural and scope follow from the kind by the API's own naming rules, since a chart
    /// may hold kinds that [`Resource`] does not know.
    pub fn guess(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        if let Some(resource) = Resource::find(api_version, kind) {
            return resource.named(namespace, name);
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let lower = kind.to_lowercase();
        let plural = match lower.as_bytes() {
            [.., b's' | b'x'] if lower != "endpoints" => format!("{lower}es"),
            [.., before, b'y'] if !b"aeiou".contains(before) => format!("{}ies", &lower[..lower.len() - 1]),
            [.., b's'] => lower,
            _ => format!("{lower}s"),
        };
        let namespace = (!CLUSTER_KINDS.contains(&kind)).then(|| namespace.to_owned());
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural,
            kind: kind.to_owned(),
            namespace,
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.to_lowercase())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_follow_the_rules_of_the_api() {
        let plural = |api, kind| ObjectRef::guess(api, kind, "n", "x").plural;
        assert_eq!(plural("networking.k8s.io/v1", "Ingress"), "ingresses");
        assert_eq!(plural("networking.k8s.io/v1", "NetworkPolicy"), "networkpolicies");
        assert_eq!(plural("gateway.networking.k8s.io/v1", "Gateway"), "gateways");
        assert_eq!(plural("v1", "Endpoints"), "endpoints");
        assert_eq!(plural("v1", "Secret"), "secrets");
        assert_eq!(ObjectRef::guess("rbac.authorization.k8s.io/v1", "ClusterRole", "n", "x").namespace, None);
    }
}
