//! Nodes: `control-1` and `worker-1` to `worker-4`, the last one cordoned.

use serde_json::{Value, json};

/// Name, address, kernel, operating system.
const NODES: [(&str, &str, &str, &str); 5] = [
    ("control-1", "192.168.10.11", "5.15.0-139-generic", "Ubuntu 22.04.5 LTS"),
    ("worker-1", "192.168.10.21", "5.15.0-139-generic", "Ubuntu 22.04.5 LTS"),
    ("worker-2", "192.168.10.22", "5.15.0-139-generic", "Ubuntu 22.04.5 LTS"),
    ("worker-3", "192.168.10.23", "5.14.0-503.el9.x86_64", "Rocky Linux 9.5 (Blue Onyx)"),
    ("worker-4", "192.168.10.24", "6.1.0-28-amd64", "Debian GNU/Linux 12 (bookworm)"),
];

pub(super) fn objects() -> Vec<Value> {
    NODES.iter().enumerate().map(|(number, node)| object(number, *node)).collect()
}

fn object(number: usize, (name, ip, kernel, system): (&str, &str, &str, &str)) -> Value {
    let cidr = format!("10.244.{number}.0/24");
    let join = format!("100.64.0.{}", number + 2);
    let mut node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kube-ovn/role": if number == 0 { "master" } else { "worker" },
                "example.com/rack": format!("r{}", number % 2 + 1),
            },
            "annotations": {
                "example.com/owner": "platform team",
                "ovn.kubernetes.io/allocated": "true",
                "ovn.kubernetes.io/chassis": format!("6e1b5c3a-0000-4000-8000-{number:012}"),
                "ovn.kubernetes.io/cidr": "100.64.0.0/16",
                "ovn.kubernetes.io/gateway": "100.64.0.1",
                "ovn.kubernetes.io/ip_address": join,
                "ovn.kubernetes.io/logical_switch": "join",
            },
        },
        "spec": { "podCIDR": cidr, "podCIDRs": [cidr] },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": ip }, { "type": "Hostname", "address": name }],
            "allocatable": { "cpu": "4", "memory": "16Gi", "pods": "110" },
            "capacity": { "cpu": "4", "memory": "16Gi", "pods": "110" },
            "conditions": [{ "type": "Ready", "status": "False", "reason": "KubeletNotReady" }],
            "nodeInfo": {
                "architecture": "amd64", "containerRuntimeVersion": "containerd://1.7.24", "kernelVersion": kernel,
                "kubeletVersion": "v1.34.4", "operatingSystem": "linux", "osImage": system,
            },
        },
    });
    if number == 0 {
        node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = json!("");
        node["spec"]["taints"] = json!([{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }]);
    }
    if name == "worker-4" {
        node["spec"]["unschedulable"] = json!(true);
        node["spec"]["taints"] = json!([{ "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" }]);
        node["metadata"]["annotations"]["example.com/cordoned-because"] = json!("disk replacement");
    }
    node
}
