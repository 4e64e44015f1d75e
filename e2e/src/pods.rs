//! Pods without kubelets: what a scenario does itself where no actor plays the node.

use serde_json::{Value, json};

use crate::{api::Api, error::Result};

/// Says about every bound pod that is still pending that it runs and is ready; returns how many were told so.
///
/// # Errors
/// [`crate::Error::Refused`].
pub fn run_pending(api: &Api) -> Result<usize> {
    let pods = api.list("/api/v1/pods")?;
    let pending = pods.iter().filter(|pod| pod["status"]["phase"] == "Pending" && pod["spec"]["nodeName"].is_string());
    let mut count = 0;
    for (index, pod) in pending.enumerate() {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let path = format!("/api/v1/namespaces/{}/pods/{}/status", text("/metadata/namespace"), text("/metadata/name"));
        api.merge(&path, &json!({"status": running(pod, index)}))?;
        count += 1;
    }
    Ok(count)
}

fn running(pod: &Value, index: usize) -> Value {
    let now = jiff::Timestamp::now().to_string();
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let address = format!("10.16.{}.{}", 1 + index / 200, 10 + index % 200);
    json!({
        "phase": "Running",
        "startTime": now,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": conditions,
        "containerStatuses": containers.map(|container| json!({
            "name": container["name"], "image": container["image"], "imageID": "", "ready": true, "started": true,
            "restartCount": 0, "state": {"running": {"startedAt": now}},
        })).collect::<Vec<_>>(),
    })
}
