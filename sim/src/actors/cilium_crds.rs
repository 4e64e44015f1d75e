//! The CustomResourceDefinitions Cilium's operator registers: names, scopes and versions of the real ones, any content.

use serde_json::{Value, json};

/// Plural, singular, kind, short names, scope, and whether the status has a subresource.
type Definition = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str, bool);

const DEFINITIONS: &[Definition] = &[
    (
        "ciliumclusterwidenetworkpolicies",
        "ciliumclusterwidenetworkpolicy",
        "CiliumClusterwideNetworkPolicy",
        &["ccnp"],
        "Cluster",
        true,
    ),
    ("ciliumendpoints", "ciliumendpoint", "CiliumEndpoint", &["cep", "ciliumep"], "Namespaced", false),
    ("ciliumidentities", "ciliumidentity", "CiliumIdentity", &["ciliumid"], "Cluster", false),
    ("ciliumnetworkpolicies", "ciliumnetworkpolicy", "CiliumNetworkPolicy", &["cnp", "ciliumnp"], "Namespaced", true),
    ("ciliumnodeconfigs", "ciliumnodeconfig", "CiliumNodeConfig", &[], "Namespaced", false),
    ("ciliumnodes", "ciliumnode", "CiliumNode", &["cn", "ciliumn"], "Cluster", true),
];

/// The definitions as the operator creates them.
pub fn definitions() -> Vec<Value> {
    DEFINITIONS
        .iter()
        .map(|(plural, singular, kind, short, scope, status)| {
            let mut version = json!({
                "name": "v2",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            });
            if *status {
                version["subresources"] = json!({ "status": {} });
            }
            json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {
                    "name": format!("{plural}.cilium.io"),
                    "labels": { "io.cilium.k8s.crd.schema.version": "1.31.11" },
                },
                "spec": {
                    "group": "cilium.io",
                    "names": {
                        "plural": plural,
                        "singular": singular,
                        "kind": kind,
                        "listKind": format!("{kind}List"),
                        "shortNames": short,
                        "categories": ["cilium"],
                    },
                    "scope": scope,
                    "versions": [version],
                },
            })
        })
        .collect()
}
