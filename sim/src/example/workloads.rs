//! kube-proxy, CoreDNS, and what runs in the namespaces of users.

use serde_json::{Value, json};

pub(super) fn objects() -> Vec<Value> {
    let mut all = system();
    all.extend(shop());
    all.push(logger());
    all
}

fn service(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": namespace, "name": name }, "spec": spec })
}

fn port(name: &str, port: u16) -> Value {
    json!([{ "name": name, "port": port, "protocol": "TCP", "targetPort": port }])
}

fn system() -> Vec<Value> {
    let api = json!({ "type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
        "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443 }] });
    let dns = json!({ "type": "ClusterIP", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"],
        "selector": { "k8s-app": "kube-dns" },
        "ports": [{ "name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53 }] });
    let map = |name: &str, key: &str, text: &str| {
        let metadata = json!({ "namespace": "kube-system", "name": name });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { key: text } })
    };
    vec![
        service("default", "kubernetes", &api),
        json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": { "namespace": "default", "name": "kubernetes" },
            "subsets": [{ "addresses": [{ "ip": "192.168.10.11" }], "ports": [{ "name": "https", "port": 6443 }] }] }),
        service("kube-system", "kube-dns", &dns),
        map("coredns", "Corefile", ".:53 {\n    kubernetes cluster.local\n    forward . /etc/resolv.conf\n}\n"),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": "kube-system", "name": "kube-proxy" },
            "data": {
                "config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: \"iptables\"\n\
                    clientConnection: {kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}\n",
                "kubeconfig.conf": "apiVersion: v1\nkind: Config\nclusters:\n- name: default\n  \
                    cluster: {server: \"https://192.168.10.11:6443\"}\ncontexts:\n- name: default\n  \
                    context: {cluster: default, user: default}\ncurrent-context: default\n",
            },
        }),
        json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": { "namespace": "kube-system", "name": "kube-proxy", "labels": { "k8s-app": "kube-proxy" } },
            "spec": {
                "selector": { "matchLabels": { "k8s-app": "kube-proxy" } },
                "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
                "template": {
                    "metadata": { "labels": { "k8s-app": "kube-proxy" } },
                    "spec": {
                        "containers": [{ "name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v1.34.4",
                            "command": ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"],
                            "volumeMounts": [{ "name": "kube-proxy", "mountPath": "/var/lib/kube-proxy" }] }],
                        "hostNetwork": true,
                        "nodeSelector": { "kubernetes.io/os": "linux" },
                        "tolerations": [{ "operator": "Exists" }],
                        "volumes": [{ "name": "kube-proxy", "configMap": { "name": "kube-proxy" } }],
                    },
                },
            },
        }),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "namespace": "kube-system", "name": "coredns", "labels": { "k8s-app": "kube-dns" } },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "k8s-app": "kube-dns" } },
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": 1 } },
                "template": {
                    "metadata": { "labels": { "k8s-app": "kube-dns" } },
                    "spec": {
                        "containers": [{ "name": "coredns", "image": "registry.k8s.io/coredns/coredns:v1.12.1" }],
                        "nodeSelector": { "kubernetes.io/os": "linux" },
                        "tolerations": [
                            { "key": "CriticalAddonsOnly", "operator": "Exists" },
                            { "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" },
                        ],
                    },
                },
            },
        }),
    ]
}

fn served(kind: &str, ip: &str, selector: &Value, ports: &Value) -> Value {
    json!({ "type": kind, "clusterIP": ip, "clusterIPs": [ip], "selector": selector, "ports": ports })
}

fn budget(name: &str, spec: &Value) -> Value {
    let metadata = json!({ "namespace": "shop", "name": name });
    json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec })
}

fn shop() -> Vec<Value> {
    let web = json!({ "app": "web" });
    let db = json!({ "app": "db" });
    let cluster_ip = served("ClusterIP", "10.100.12.7", &web, &port("http", 8080));
    let mut node_port = served("NodePort", "10.100.12.8", &web, &port("http", 8080));
    node_port["ports"][0]["nodePort"] = json!(30080);
    let headless = served("ClusterIP", "None", &db, &port("sql", 5432));
    vec![
        service("shop", "web", &cluster_ip),
        service("shop", "web-public", &node_port),
        service("shop", "db", &headless),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "namespace": "shop", "name": "web", "labels": { "app": "web" },
                "annotations": { "example.com/on-call": "web team" },
            },
            "spec": {
                "replicas": 6,
                "selector": { "matchLabels": web },
                "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
                "template": {
                    "metadata": { "labels": web, "annotations": { "example.com/scrape": "true" } },
                    "spec": { "containers": [{ "name": "web", "image": "registry.example.com/shop/web:2.4.1",
                        "ports": [{ "containerPort": 8080, "protocol": "TCP" }] }] },
                },
            },
        }),
        budget("web", &json!({ "minAvailable": 4, "selector": { "matchLabels": { "app": "web" } } })),
        json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "namespace": "shop", "name": "db" },
            "spec": {
                "replicas": 3,
                "serviceName": "db",
                "selector": { "matchLabels": db },
                "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
                "template": {
                    "metadata": { "labels": db },
                    "spec": { "containers": [{ "name": "db", "image": "registry.example.com/shop/db:16.4",
                        "ports": [{ "containerPort": 5432, "protocol": "TCP" }] }] },
                },
            },
        }),
        budget("db", &json!({ "maxUnavailable": 1, "selector": { "matchLabels": { "app": "db" } } })),
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "namespace": "shop", "name": "db-from-web" },
            "spec": {
                "podSelector": { "matchLabels": { "app": "db" } },
                "policyTypes": ["Ingress"],
                "ingress": [{
                    "from": [{ "podSelector": { "matchLabels": { "app": "web" } } }],
                    "ports": [{ "port": 5432, "protocol": "TCP" }],
                }],
            },
        }),
    ]
}

fn logger() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "namespace": "logging", "name": "logger" },
        "spec": {
            "selector": { "matchLabels": { "app": "logger" } },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
            "template": {
                "metadata": { "labels": { "app": "logger" } },
                "spec": {
                    "containers": [{ "name": "logger", "image": "registry.example.com/logging/agent:1.9.0" }],
                    "tolerations": [{ "operator": "Exists" }],
                },
            },
        },
    })
}
