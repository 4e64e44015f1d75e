//! Kube-OVN v1.14.41 as its install script leaves it: the objects that matter, with the flags of the real ones.

use serde_json::{Value, json};

const IMAGE: &str = "docker.io/kubeovn/kube-ovn:v1.14.41";

/// Flags of kube-ovn-controller, as the install script of v1.14.41 renders them.
const CONTROLLER: &[&str] = &[
    "/kube-ovn/start-controller.sh",
    "--default-ls=ovn-default",
    "--default-cidr=10.16.0.0/16",
    "--default-gateway=10.16.0.1",
    "--default-gateway-check=true",
    "--cluster-router=ovn-cluster",
    "--node-switch=join",
    "--node-switch-cidr=100.64.0.0/16",
    "--service-cluster-ip-range=10.96.0.0/12",
    "--network-type=geneve",
    "--pod-nic-type=veth-pair",
    "--enable-lb=true",
    "--enable-np=true",
    "--enable-eip-snat=true",
    "--enable-external-vpc=false",
    "--gc-interval=360",
    "--inspect-interval=20",
    "--enable-lb-svc=false",
    "--keep-vm-ip=true",
    "--enable-metrics=true",
    "--secure-serving=false",
    "--enable-anp=false",
    "--image=docker.io/kubeovn/kube-ovn:v1.14.41",
];

/// Definitions of its kinds.
pub(super) fn definitions() -> Vec<Value> {
    let kinds = [
        ("ips", "ip", "IP"),
        ("subnets", "subnet", "Subnet"),
        ("switch-lb-rules", "switch-lb-rule", "SwitchLBRule"),
        ("vpc-dnses", "vpc-dns", "VpcDns"),
        ("vpc-nat-gateways", "vpc-nat-gateway", "VpcNatGateway"),
        ("vpcs", "vpc", "Vpc"),
    ];
    let definition = |(plural, singular, kind): (&str, &str, &str)| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.kubeovn.io") },
            "spec": {
                "group": "kubeovn.io",
                "names": { "plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List") },
                "scope": "Cluster",
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
                }],
            },
        })
    };
    kinds.into_iter().map(definition).collect()
}

pub(super) fn objects() -> Vec<Value> {
    let mut all = vec![
        json!({ "apiVersion": "kubeovn.io/v1", "kind": "Vpc", "metadata": { "name": "ovn-cluster" }, "spec": {} }),
        subnet("ovn-default", "10.16.0.0/16", "10.16.0.1", true),
        subnet("join", "100.64.0.0/16", "100.64.0.1", false),
    ];
    for name in ["kube-ovn-app", "kube-ovn-cni", "ovn", "ovn-ovs"] {
        let metadata = json!({ "name": name, "namespace": "kube-system" });
        all.push(json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
    }
    all.push(controller());
    all.push(central());
    all.push(cni());
    all.push(daemon("ovs-ovn", "ovs", "ovn-ovs", "openvswitch", true));
    all.push(daemon("kube-ovn-pinger", "kube-ovn-pinger", "kube-ovn-app", "pinger", false));
    all
}

fn subnet(name: &str, cidr: &str, gateway: &str, default: bool) -> Value {
    json!({
        "apiVersion": "kubeovn.io/v1",
        "kind": "Subnet",
        "metadata": { "name": name },
        "spec": {
            "vpc": "ovn-cluster", "protocol": "IPv4", "cidrBlock": cidr, "gateway": gateway, "excludeIps": [gateway],
            "default": default, "gatewayType": "distributed", "natOutgoing": default,
            "provider": "ovn", "enableLb": true,
        },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Validated", "status": "True" }] },
    })
}

fn labels(app: &str) -> Value {
    json!({ "app": app, "component": "network", "type": "infra" })
}

fn everywhere() -> Value {
    json!([
        { "effect": "NoSchedule", "operator": "Exists" },
        { "effect": "NoExecute", "operator": "Exists" },
        { "key": "CriticalAddonsOnly", "operator": "Exists" },
    ])
}

fn controller() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "kube-ovn-controller", "namespace": "kube-system",
            "annotations": { "kubernetes.io/description": "kube-ovn controller\n" },
        },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "kube-ovn-controller" } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "0%", "maxUnavailable": "100%" } },
            "template": {
                "metadata": { "labels": labels("kube-ovn-controller") },
                "spec": {
                    "containers": [{
                        "name": "kube-ovn-controller",
                        "image": IMAGE,
                        "args": CONTROLLER,
                        "env": [{ "name": "OVN_DB_IPS", "value": "192.168.10.11" }],
                    }],
                    "hostNetwork": true,
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": "ovn",
                    "tolerations": everywhere(),
                },
            },
        },
    })
}

fn central() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "ovn-central", "namespace": "kube-system" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "ovn-central" } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } },
            "template": {
                "metadata": { "labels": labels("ovn-central") },
                "spec": {
                    "containers": [{
                        "name": "ovn-central", "image": IMAGE, "command": ["bash", "/kube-ovn/start-db.sh"],
                    }],
                    "hostNetwork": true,
                    "nodeSelector": { "kubernetes.io/os": "linux", "kube-ovn/role": "master" },
                    "serviceAccountName": "ovn-ovs",
                    "tolerations": everywhere(),
                },
            },
        },
    })
}

fn cni() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": "kube-ovn-cni", "namespace": "kube-system" },
        "spec": {
            "selector": { "matchLabels": { "app": "kube-ovn-cni" } },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
            "template": {
                "metadata": { "labels": labels("kube-ovn-cni") },
                "spec": {
                    "initContainers": [{
                        "name": "install-cni",
                        "image": IMAGE,
                        "command": [
                            "/kube-ovn/install-cni.sh",
                            "--cni-conf-dir=/etc/cni/net.d",
                            "--cni-conf-file=/kube-ovn/01-kube-ovn.conflist",
                            "--cni-conf-name=01-kube-ovn.conflist",
                        ],
                        "volumeMounts": [
                            { "name": "cni-bin", "mountPath": "/opt/cni/bin" },
                            { "name": "cni-conf", "mountPath": "/etc/cni/net.d" },
                        ],
                    }],
                    "containers": [{
                        "name": "cni-server",
                        "image": IMAGE,
                        "command": ["bash", "/kube-ovn/start-cniserver.sh"],
                        "args": [
                            "--enable-mirror=false",
                            "--node-switch=join",
                            "--service-cluster-ip-range=10.96.0.0/12",
                            "--iface=",
                            "--network-type=geneve",
                            "--enable-metrics=true",
                        ],
                    }],
                    "hostNetwork": true,
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "priorityClassName": "system-node-critical",
                    "serviceAccountName": "kube-ovn-cni",
                    "tolerations": everywhere(),
                    "volumes": [
                        { "name": "host-run-ovs", "hostPath": { "path": "/run/openvswitch" } },
                        { "name": "cni-conf", "hostPath": { "path": "/etc/cni/net.d" } },
                        { "name": "cni-bin", "hostPath": { "path": "/opt/cni/bin" } },
                    ],
                },
            },
        },
    })
}

fn daemon(name: &str, app: &str, account: &str, container: &str, host_network: bool) -> Value {
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": name, "namespace": "kube-system" },
        "spec": {
            "selector": { "matchLabels": { "app": app } },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1 } },
            "template": {
                "metadata": { "labels": labels(app) },
                "spec": {
                    "containers": [{ "name": container, "image": IMAGE }],
                    "nodeSelector": { "kubernetes.io/os": "linux" },
                    "serviceAccountName": account,
                    "tolerations": everywhere(),
                },
            },
        },
    });
    if host_network {
        set["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    }
    set
}
