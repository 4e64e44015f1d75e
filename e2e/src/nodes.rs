//! Pretend nodes: objects that the scheduler accepts, with no machine behind them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    api::Api,
    error::Result,
    wait::{self, Seen},
};

/// The annotation that a person is supposed to have made on worker nodes; it has to survive everything.
pub const USER_ANNOTATION: (&str, &str) = ("team.example.org/rack", "r7");

/// One node of the fixture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    pub name: String,
    pub control_plane: bool,
    /// Cordoned by a person before anything of ours ran.
    pub cordoned: bool,
    pub kernel: String,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub os_image: String,
}

impl NodeSpec {
    /// `count` nodes: the first is the control plane, the last is cordoned, all have kernel 6.1.
    pub fn fleet(count: usize) -> Vec<Self> {
        (1..=count)
            .map(|number| Self {
                name: if number == 1 { "cp-1".into() } else { format!("worker-{}", number - 1) },
                control_plane: number == 1,
                cordoned: number > 2 && number == count,
                kernel: "6.1.0".into(),
                os_image: "Debian GNU/Linux 12 (bookworm)".into(),
            })
            .collect()
    }

    /// The object as a kubelet and Kube-OVN would have made it. `index` counts from 0 and decides the addresses.
    fn object(&self, index: usize) -> Value {
        // Room for 200 nodes below .211; more continue in the next /24.
        let (third, fourth) = (77 + index / 200, 11 + index % 200);
        let join = index + 2;
        let mut labels = json!({
            "kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "kube-ovn/role": if self.control_plane { "master" } else { "worker" },
        });
        let mut annotations = json!({
            "ovn.kubernetes.io/allocated": "true",
            "ovn.kubernetes.io/cidr": "100.64.0.0/16",
            "ovn.kubernetes.io/gateway": "100.64.0.1",
            "ovn.kubernetes.io/ip_address": format!("100.64.{}.{}", join / 256, join % 256),
            "ovn.kubernetes.io/logical_switch": "join",
            "ovn.kubernetes.io/port_name": format!("node-{}", self.name),
            "ovn.kubernetes.io/chassis": format!("00000000-0000-4000-8000-{index:012}"),
        });
        let mut taints = Vec::new();
        if self.control_plane {
            labels["node-role.kubernetes.io/control-plane"] = "".into();
            taints.push(json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}));
        } else {
            labels["team.example.org/pool"] = "general".into();
            annotations[USER_ANNOTATION.0] = USER_ANNOTATION.1.into();
        }
        let resources = json!({"cpu": "16", "memory": "64Gi", "pods": "250", "ephemeral-storage": "100Gi"});
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": labels, "annotations": annotations},
            "spec": {"taints": taints, "unschedulable": self.cordoned, "providerID": format!("e2e://{}", self.name)},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": format!("192.168.{third}.{fourth}")},
                    {"type": "Hostname", "address": self.name},
                ],
                "capacity": resources, "allocatable": resources,
                "conditions": [condition("Ready", "True"), condition("MemoryPressure", "False"),
                    condition("DiskPressure", "False"), condition("PIDPressure", "False")],
                "nodeInfo": {
                    "kernelVersion": self.kernel, "osImage": self.os_image, "operatingSystem": "linux",
                    "architecture": "amd64", "kubeletVersion": "v1.34.4", "kubeProxyVersion": "",
                    "containerRuntimeVersion": "containerd://2.1.4", "machineID": self.name, "systemUUID": self.name,
                    "bootID": format!("boot-{}", self.name),
                },
            },
        })
    }
}

fn condition(kind: &str, status: &str) -> Value {
    let now = jiff::Timestamp::now().to_string();
    json!({"type": kind, "status": status, "reason": "Fixture", "message": "", "lastHeartbeatTime": now, "lastTransitionTime": now})
}

/// Makes the nodes and waits until the controller manager has taken the taint away that new nodes get.
///
/// # Errors
/// [`crate::Error::Refused`] or [`crate::Error::Timeout`].
pub(crate) fn create(api: &Api, nodes: &[NodeSpec]) -> Result<()> {
    for (index, node) in nodes.iter().enumerate() {
        api.create("/api/v1/nodes", &node.object(index))?;
    }
    wait::until("no node has the not-ready taint", Duration::from_secs(60), || {
        let tainted: Vec<_> = api.list("/api/v1/nodes")?.iter().filter(|node| is_not_ready(node)).map(name).collect();
        Ok(if tainted.is_empty() { Seen::Ready(()) } else { Seen::NotYet(tainted.join(", ")) })
    })
}

fn is_not_ready(node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array();
    taints.into_iter().flatten().any(|taint| taint["key"] == "node.kubernetes.io/not-ready")
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_has_one_control_plane_and_one_cordoned_worker() {
        let fleet = NodeSpec::fleet(4);
        assert_eq!(
            fleet.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(),
            ["cp-1", "worker-1", "worker-2", "worker-3"]
        );
        assert_eq!(fleet.iter().filter(|n| n.control_plane).count(), 1);
        assert_eq!(fleet.iter().filter(|n| n.cordoned).map(|n| n.name.as_str()).collect::<Vec<_>>(), ["worker-3"]);
        assert!(NodeSpec::fleet(2).iter().all(|n| !n.cordoned), "someone has to be able to run pods");
    }

    #[test]
    fn addresses_differ_in_a_large_fleet() {
        let addresses: std::collections::BTreeSet<_> = NodeSpec::fleet(500)
            .iter()
            .enumerate()
            .map(|(index, node)| node.object(index)["status"]["addresses"][0]["address"].to_string())
            .collect();
        assert_eq!(addresses.len(), 500);
    }
}
