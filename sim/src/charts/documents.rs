//! The objects of the chart besides `cilium-config`.

use ovncilium_core::Digest;
use serde_json::{Map, Value, json};

use super::{CHART_VERSION, config_map, merge};

/// One document of a rendering.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its template, as `# Source:` names it.
    pub source: String,
    /// The object.
    pub object: Value,
}

/// All documents, in the order Helm applies them.
///
/// # Errors
/// What the chart's validation says.
pub(super) fn of(namespace: &str, values: &Value) -> Result<Vec<Document>, String> {
    let on = |pointer: &str, default: bool| match values.pointer(pointer) {
        Some(Value::Bool(on)) => *on,
        Some(Value::String(text)) => text == "true",
        _ => default,
    };
    let (hubble, envoy) = (on("/hubble/enabled", true), on("/envoy/enabled", true));
    let mut all = vec![(
        "cilium-secrets-namespace",
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "cilium-secrets" } }),
    )];
    let named = |version: &str, kind: &str, name: &str| {
        let metadata = json!({ "name": name, "namespace": namespace });
        json!({ "apiVersion": version, "kind": kind, "metadata": metadata })
    };
    all.push(("cilium-agent/serviceaccount", named("v1", "ServiceAccount", "cilium")));
    if envoy {
        all.push(("cilium-envoy/serviceaccount", named("v1", "ServiceAccount", "cilium-envoy")));
    }
    all.push(("cilium-operator/serviceaccount", named("v1", "ServiceAccount", "cilium-operator")));
    if hubble {
        for (source, name) in
            [("cilium-ca-secret", "cilium-ca"), ("hubble/tls-helm/server-secret", "hubble-server-certs")]
        {
            let mut secret = named("v1", "Secret", name);
            secret["data"] = json!({ "ca.crt": "cHJldGVuZA==", "ca.key": "cHJldGVuZA==" });
            all.push((source, secret));
        }
    }
    let mut config = named("v1", "ConfigMap", "cilium-config");
    config["data"] = json!(config_map::data(values)?);
    let checksum = Digest::of(config["data"].to_string()).to_string();
    all.push(("cilium-configmap", config));
    for (name, role_source, binding_source) in [
        ("cilium", "cilium-agent/clusterrole", "cilium-agent/clusterrolebinding"),
        ("cilium-operator", "cilium-operator/clusterrole", "cilium-operator/clusterrolebinding"),
    ] {
        let rbac = "rbac.authorization.k8s.io/v1";
        let labels = json!({ "app.kubernetes.io/part-of": "cilium" });
        let rules = json!([{ "apiGroups": ["cilium.io"], "resources": ["*"], "verbs": ["*"] }]);
        let role = json!({
            "apiVersion": rbac, "kind": "ClusterRole", "metadata": { "name": name, "labels": labels }, "rules": rules,
        });
        let binding = json!({
            "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": { "name": name, "labels": labels },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }],
        });
        all.push((role_source, role));
        all.push((binding_source, binding));
    }
    if hubble {
        let mut service = named("v1", "Service", "hubble-peer");
        service["spec"] = json!({
            "selector": { "k8s-app": "cilium" }, "internalTrafficPolicy": "Local",
            "ports": [{ "name": "peer-service", "port": 443, "protocol": "TCP", "targetPort": 4244 }],
        });
        all.push(("hubble/peer-service", service));
    }
    all.push(("cilium-agent/daemonset", agent(named("apps/v1", "DaemonSet", "cilium"), values)));
    if envoy {
        all.push(("cilium-envoy/daemonset", envoy_set(named("apps/v1", "DaemonSet", "cilium-envoy"))));
    }
    all.push((
        "cilium-operator/deployment",
        operator(named("apps/v1", "Deployment", "cilium-operator"), values, &checksum),
    ));
    Ok(all
        .into_iter()
        .map(|(source, object)| Document { source: format!("cilium/templates/{source}.yaml"), object })
        .collect())
}

/// The value the user gave, over the chart's default, as Helm merges maps.
fn given(values: &Value, pointer: &str, default: Value) -> Value {
    match values.pointer(pointer) {
        Some(value) => merge::coalesce(&default, value),
        None => default,
    }
}

/// `KUBERNETES_SERVICE_HOST` and `_PORT`, when the values name the API server.
fn service_host(values: &Value) -> Vec<Value> {
    let mut environment = Vec::new();
    for (pointer, name) in
        [("/k8sServiceHost", "KUBERNETES_SERVICE_HOST"), ("/k8sServicePort", "KUBERNETES_SERVICE_PORT")]
    {
        match values.pointer(pointer) {
            Some(Value::String(text)) if !text.is_empty() => environment.push(json!({ "name": name, "value": text })),
            Some(Value::Number(number)) => environment.push(json!({ "name": name, "value": number.to_string() })),
            _ => {}
        }
    }
    environment
}

fn agent(mut set: Value, values: &Value) -> Value {
    let text = |pointer: &str, default: &str| {
        values.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
    };
    let labels =
        json!({ "k8s-app": "cilium", "app.kubernetes.io/name": "cilium-agent", "app.kubernetes.io/part-of": "cilium" });
    let alone = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{
        "labelSelector": { "matchLabels": { "k8s-app": "cilium" } }, "topologyKey": "kubernetes.io/hostname",
    }]}});
    let mut environment = vec![
        json!({ "name": "K8S_NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }),
        json!({ "name": "CILIUM_K8S_NAMESPACE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } }),
    ];
    environment.extend(service_host(values));
    let host_dir = json!({ "path": text("/cni/confPath", "/etc/cni/net.d"), "type": "DirectoryOrCreate" });
    let mut volumes = vec![json!({ "name": "etc-cni-netd", "hostPath": host_dir })];
    let config_map = text("/cni/configMap", "");
    if !config_map.is_empty() {
        volumes.push(json!({ "name": "cni-configuration", "configMap": { "name": config_map } }));
    }
    let strategy = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 2 } });
    let mut annotations = Map::new();
    for (key, value) in values.get("podAnnotations").and_then(Value::as_object).into_iter().flatten() {
        annotations.insert(key.clone(), value.clone());
    }
    set["metadata"]["labels"] = labels.clone();
    set["spec"] = json!({
        "selector": { "matchLabels": { "k8s-app": "cilium" } },
        "updateStrategy": given(values, "/updateStrategy", strategy),
        "template": {
            "metadata": { "labels": labels, "annotations": annotations },
            "spec": {
                "affinity": given(values, "/affinity", alone),
                "containers": [{
                    "name": "cilium-agent",
                    "image": format!("quay.io/cilium/cilium:v{CHART_VERSION}"),
                    "command": ["cilium-agent"],
                    "args": ["--config-dir=/tmp/cilium/config-map"],
                    "env": environment,
                    "volumeMounts": [{
                        "name": "etc-cni-netd",
                        "mountPath": text("/cni/hostConfDirMountPath", "/host/etc/cni/net.d"),
                    }],
                }],
                "hostNetwork": true,
                "nodeSelector": given(values, "/nodeSelector", json!({ "kubernetes.io/os": "linux" })),
                "priorityClassName": "system-node-critical",
                "serviceAccountName": "cilium",
                "terminationGracePeriodSeconds": 1,
                "tolerations": given(values, "/tolerations", json!([{ "operator": "Exists" }])),
                "volumes": volumes,
            },
        },
    });
    set
}

fn envoy_set(mut set: Value) -> Value {
    let labels = json!({ "k8s-app": "cilium-envoy", "app.kubernetes.io/part-of": "cilium" });
    set["metadata"]["labels"] = labels.clone();
    set["spec"] = json!({
        "selector": { "matchLabels": { "k8s-app": "cilium-envoy" } },
        "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 2 } },
        "template": {
            "metadata": { "labels": labels },
            "spec": {
                "containers": [{ "name": "cilium-envoy", "image": "quay.io/cilium/cilium-envoy:v1.34.10" }],
                "hostNetwork": true,
                "serviceAccountName": "cilium-envoy",
                "tolerations": [{ "operator": "Exists" }],
            },
        },
    });
    set
}

fn operator(mut deployment: Value, values: &Value, checksum: &str) -> Value {
    let labels = json!({
        "io.cilium/app": "operator", "name": "cilium-operator",
        "app.kubernetes.io/name": "cilium-operator", "app.kubernetes.io/part-of": "cilium",
    });
    let selector = json!({ "io.cilium/app": "operator", "name": "cilium-operator" });
    let tolerations: Vec<Value> = [
        "node-role.kubernetes.io/control-plane",
        "node-role.kubernetes.io/master",
        "node.kubernetes.io/not-ready",
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cilium.io/agent-not-ready",
    ]
    .iter()
    .map(|key| json!({ "key": key, "operator": "Exists" }))
    .collect();
    // A changed ConfigMap restarts it only so: it reads settings when it starts.
    let mut metadata = json!({ "labels": labels });
    if values.pointer("/operator/rollOutPods") == Some(&Value::Bool(true)) {
        metadata["annotations"] = json!({ "cilium.io/cilium-configmap-checksum": checksum });
    }
    let replicas = given(values, "/operator/replicas", json!(2));
    let missing = if replicas == json!(1) { "100%" } else { "50%" };
    deployment["metadata"]["labels"] = labels.clone();
    deployment["spec"] = json!({
        "replicas": replicas,
        "selector": { "matchLabels": selector },
        "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": missing } },
        "template": {
            "metadata": metadata,
            "spec": {
                "affinity": given(values, "/operator/affinity", json!({ "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [{
                        "labelSelector": { "matchLabels": { "io.cilium/app": "operator" } },
                        "topologyKey": "kubernetes.io/hostname",
                    }],
                }})),
                "containers": [{
                    "name": "cilium-operator",
                    "image": format!("quay.io/cilium/operator-generic:v{CHART_VERSION}"),
                    "command": ["cilium-operator-generic"],
                    "args": ["--config-dir=/tmp/cilium/config-map", "--debug=$(CILIUM_DEBUG)"],
                    "env": service_host(values),
                }],
                "hostNetwork": true,
                "nodeSelector": { "kubernetes.io/os": "linux" },
                "priorityClassName": "system-cluster-critical",
                "serviceAccountName": "cilium-operator",
                "tolerations": given(values, "/operator/tolerations", json!(tolerations)),
            },
        },
    });
    deployment
}
