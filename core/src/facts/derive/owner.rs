//! Who owns an object's fields, as its labels, annotations and owners tell.

use serde_json::Value;

use super::object::{by_name, controller, list, meta, name, namespace, qualified, text};
use crate::facts::inventory::Inventory;
use crate::facts::kube_ovn::Owner;
use crate::plan::Resource;

const HELM_CONTROLLER: &str = "helm-controller of k3s or RKE2";

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
    if let Some(owner) = argo(object).or_else(|| rancher(object)) {
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

/// Whoever makes a Helm release again: helm-controller of k3s and RKE2, told by an object of the release's name. Objects of such a
/// release carry the marks of Helm alone. Of the two kinds a HelmChartConfig has the last word on values.
///
/// Where these kinds could not be read, the release stays Helm's: it is not ours either way.
pub(super) fn made_again(inventory: &Inventory, owner: Owner) -> Owner {
    let Owner::Helm { release, namespace: of_release } = &owner else { return owner };
    let target = |chart: &Value| match text(chart, "/spec/targetNamespace") {
        "" => namespace(chart).to_owned(),
        target => target.to_owned(),
    };
    let charts = by_name(inventory.some(Resource::HELM_CHARTS));
    let Some(chart) = charts.into_iter().find(|chart| name(chart) == release && target(chart) == *of_release) else {
        return owner;
    };
    let configs = inventory.some(Resource::HELM_CHART_CONFIGS);
    let configured = configs.iter().any(|config| qualified(config) == qualified(chart));
    let kind = if configured { "HelmChartConfig" } else { "HelmChart" };
    Owner::External { by: HELM_CONTROLLER.to_owned(), object: format!("{kind} {}", qualified(chart)) }
}

/// A manifest that k3s or RKE2 deploys from a directory of its servers, by the annotations of the library they apply with; Rancher
/// uses the same for objects of its own.
fn rancher(object: &Value) -> Option<Owner> {
    let part = |key: &str| meta(object, "annotations", &format!("objectset.rio.cattle.io/owner-{key}"));
    // `k3s.cattle.io/v1, Kind=Addon`
    let (_, kind) = part("gvk")?.split_once("Kind=")?;
    let name = [part("namespace"), part("name")].into_iter().flatten().filter(|part| !part.is_empty());
    let by = if kind == "Addon" { "k3s or RKE2" } else { "Rancher" };
    Some(Owner::External { by: by.to_owned(), object: format!("{kind} {}", name.collect::<Vec<_>>().join("/")) })
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
    use crate::facts::inventory::Listing;
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
    fn knows_manifests_that_k3s_deploys_and_objects_of_rancher() {
        let marks = |gvk: &str| {
            json!({
                "objectset.rio.cattle.io/owner-gvk": gvk,
                "objectset.rio.cattle.io/owner-namespace": "kube-system",
                "objectset.rio.cattle.io/owner-name": "kube-ovn",
            })
        };
        assert_eq!(shown(json!({}), marks("k3s.cattle.io/v1, Kind=Addon")), "k3s or RKE2: Addon kube-system/kube-ovn");
        assert_eq!(shown(json!({}), marks("catalog.cattle.io/v1, Kind=App")), "Rancher: App kube-system/kube-ovn");
        assert_eq!(shown(json!({}), json!({ "objectset.rio.cattle.io/id": "" })), "manifest");
    }

    #[test]
    fn a_helm_chart_of_its_name_makes_a_release_again() {
        let of = |kind: &str, namespace: &str, target: Option<&str>| json!({ "kind": kind, "metadata": { "name": "kube-ovn", "namespace": namespace }, "spec": { "targetNamespace": target } });
        let release = || Owner::Helm { release: "kube-ovn".to_owned(), namespace: "net".to_owned() };
        let told = |charts: Listing, configs: Listing| {
            let listings = [(Resource::HELM_CHARTS, charts), (Resource::HELM_CHART_CONFIGS, configs)];
            match made_again(&Inventory { listings: listings.into() }, release()) {
                Owner::External { by, object } => format!("{by}: {object}"),
                other => format!("{other:?}"),
            }
        };
        let helm = format!("{:?}", release());
        let chart = of("HelmChart", "kube-system", Some("net"));
        let complete = Listing::Complete;
        let controller = "helm-controller of k3s or RKE2";
        assert_eq!(
            told(complete(vec![chart.clone()]), Listing::NotServed),
            format!("{controller}: HelmChart kube-system/kube-ovn")
        );
        assert_eq!(
            told(complete(vec![chart.clone()]), complete(vec![of("HelmChartConfig", "kube-system", None)])),
            format!("{controller}: HelmChartConfig kube-system/kube-ovn")
        );
        // Without a target it is the chart's own namespace.
        let at_home = complete(vec![of("HelmChart", "net", None)]);
        assert_eq!(told(at_home, complete(vec![])), format!("{controller}: HelmChart net/kube-ovn"));
        let elsewhere = of("HelmChart", "kube-system", None);
        assert_eq!(told(complete(vec![elsewhere]), complete(vec![])), helm);
        let elsewhere = of("HelmChart", "net", Some("kube-system"));
        assert_eq!(told(complete(vec![elsewhere]), complete(vec![])), helm);
        assert_eq!(told(Listing::NotServed, complete(vec![of("HelmChartConfig", "net", None)])), helm);
        assert_eq!(told(Listing::Unreadable("forbidden".to_owned()), Listing::NotServed), helm);
    }

    #[test]
    fn an_operator_that_controls_the_object_owns_it() {
        let owners = json!([{ "kind": "KubeOVN", "name": "cluster", "controller": true }]);
        let object = json!({ "metadata": { "ownerReferences": owners } });
        assert!(matches!(owner(&object), Owner::External { by, .. } if by == "KubeOVN"));
    }
}
