//! Who owns an object's fields, as its labels, annotations and owners tell.

use serde_json::Value;

use super::object::{controller, list, meta, text};
use crate::facts::kube_ovn::Owner;

/// The owner of an object. A controller that would revert us comes before the Helm release it may use itself.
pub(super) fn owner(object: &Value) -> Owner {
    let label = |key: &str| meta(object, "labels", key);
    let annotation = |key: &str| meta(object, "annotations", key);
    let external = |by: &str, object: String| Owner::External { by: by.to_owned(), object };
    let flux = |kind: &str, group: &str| {
        let name = label(&format!("{group}/name"))?;
        let namespace = label(&format!("{group}/namespace")).unwrap_or_default();
        Some(external("Flux", format!("{kind} {namespace}/{name}")))
    };
    if let Some(owner) = argo(object) {
        return owner;
    }
    if let Some(owner) =
        flux("HelmRelease", "helm.toolkit.fluxcd.io").or_else(|| flux("Kustomization", "kustomize.toolkit.fluxcd.io"))
    {
        return owner;
    }
    if let Some((kind, name)) = controller(object) {
        return external(kind, format!("{kind} {name}"));
    }
    let namespace = annotation("meta.helm.sh/release-namespace").unwrap_or_default().to_owned();
    if let Some(release) = annotation("meta.helm.sh/release-name") {
        return Owner::Helm { release: release.to_owned(), namespace };
    }
    if label("app.kubernetes.io/managed-by") == Some("Helm") {
        let release = label("app.kubernetes.io/instance").unwrap_or_default().to_owned();
        return Owner::Helm { release, namespace };
    }
    Owner::Manifest
}

/// Argo CD by its tracking annotation (`app:group/kind:namespace/name`), its label, or any other mark of it.
fn argo(object: &Value) -> Option<Owner> {
    let tracked = meta(object, "annotations", "argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let labelled = meta(object, "labels", "argocd.argoproj.io/instance");
    let marks = ["labels", "annotations"].iter().any(|of| {
        let map = object.get("metadata").and_then(|meta| meta.get(of)).and_then(Value::as_object);
        map.is_some_and(|map| map.keys().any(|key| key.starts_with("argocd.argoproj.io/")))
    });
    let manages = list(object, "/metadata/managedFields").iter().any(|f| text(f, "/manager").starts_with("argocd"));
    if tracked.is_none() && labelled.is_none() && !marks && !manages {
        return None;
    }
    // By default Argo CD marks its objects with the common label, which others use as well.
    let name = tracked.or(labelled).or_else(|| meta(object, "labels", "app.kubernetes.io/instance"));
    Some(Owner::External { by: "Argo CD".to_owned(), object: format!("Application {}", name.unwrap_or("(unknown)")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(labels: Value, annotations: Value) -> String {
        match owner(&json!({ "metadata": { "labels": labels, "annotations": annotations } })) {
            Owner::Manifest => "manifest".to_owned(),
            Owner::Helm { release, namespace } => format!("helm {namespace}/{release}"),
            Owner::External { by, object } => format!("{by}: {object}"),
        }
    }

    #[test]
    fn knows_owners_by_their_marks() {
        let release =
            json!({ "meta.helm.sh/release-name": "kube-ovn", "meta.helm.sh/release-namespace": "kube-system" });
        let helm = json!({ "app.kubernetes.io/managed-by": "Helm" });
        assert_eq!(shown(json!({}), json!({})), "manifest");
        assert_eq!(shown(helm.clone(), release.clone()), "helm kube-system/kube-ovn");
        assert_eq!(shown(helm, json!({})), "helm /");
        assert_eq!(
            shown(json!({}), json!({ "argocd.argoproj.io/tracking-id": "net:apps/Deployment:kube-system/x" })),
            "Argo CD: Application net"
        );
        assert_eq!(
            shown(json!({ "app.kubernetes.io/instance": "net" }), json!({ "argocd.argoproj.io/sync-wave": "1" })),
            "Argo CD: Application net"
        );
        assert_eq!(shown(json!({ "app.kubernetes.io/instance": "net" }), json!({})), "manifest");
        let flux = json!({ "helm.toolkit.fluxcd.io/name": "ovn", "helm.toolkit.fluxcd.io/namespace": "cozy-kubeovn" });
        assert_eq!(shown(flux, release), "Flux: HelmRelease cozy-kubeovn/ovn");
        let flux = json!({ "kustomize.toolkit.fluxcd.io/name": "infra", "kustomize.toolkit.fluxcd.io/namespace": "flux-system" });
        assert_eq!(shown(flux, json!({})), "Flux: Kustomization flux-system/infra");
    }

    #[test]
    fn an_operator_that_controls_the_object_owns_it() {
        let owners = json!([{ "kind": "KubeOVN", "name": "cluster", "controller": true }]);
        let object = json!({ "metadata": { "ownerReferences": owners } });
        assert!(matches!(owner(&object), Owner::External { by, .. } if by == "KubeOVN"));
    }
}
