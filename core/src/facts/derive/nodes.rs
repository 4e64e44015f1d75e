//! Nodes, sorted by name.

use serde_json::Value;

use super::object::{condition, is_true, list, meta, name, some_text, text, texts};
use crate::facts::inventory::Inventory;
use crate::facts::nodes::{Node, Nodes};
use crate::plan::Resource;

/// All nodes.
///
/// # Errors
/// When they could not be read completely.
pub(super) fn nodes(inventory: &Inventory) -> Result<Nodes, String> {
    let mut items: Vec<Node> = inventory.all(Resource::NODES)?.iter().map(node).collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Nodes { items })
}

fn node(object: &Value) -> Node {
    let info = |field: &str| some_text(object, &format!("/status/nodeInfo/{field}"));
    let internal = list(object, "/status/addresses").iter().filter(|address| text(address, "/type") == "InternalIP");
    let role = |role: &str| meta(object, "labels", &format!("node-role.kubernetes.io/{role}")).is_some();
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let labels =
        labels.into_iter().flatten().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
    let mut pod_cidrs = texts(object, "/spec/podCIDRs");
    if pod_cidrs.is_empty() {
        pod_cidrs.extend(some_text(object, "/spec/podCIDR"));
    }
    Node {
        name: name(object).to_owned(),
        uid: text(object, "/metadata/uid").to_owned(),
        kernel: info("kernelVersion"),
        os_image: info("osImage"),
        architecture: info("architecture"),
        container_runtime: info("containerRuntimeVersion"),
        internal_ips: internal.map(|address| text(address, "/address").to_owned()).collect(),
        pod_cidrs,
        control_plane: role("control-plane") || role("master"),
        ready: condition(object, "Ready"),
        unschedulable: is_true(object, "/spec/unschedulable"),
        labels: labels.collect(),
    }
}
