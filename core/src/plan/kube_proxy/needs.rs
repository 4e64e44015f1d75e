//! What Cilium needs to serve Services alone: the API server's own address, and clients that its programs see.

use serde_json::Value;

use crate::facts::Facts;
use crate::values::own;

use super::found::Found;
use super::{ApiServer, NoReplacement};

/// Keys that a replacement sets and a migration does not.
const KEYS: [&[&str]; 4] =
    [&["k8sServiceHost"], &["k8sServicePort"], &["hostPort", "enabled"], &["bpf", "lbExternalClusterIP"]];

/// Nobody loses Services that Cilium serves otherwise than kube-proxy or OVN, or not at all.
///
/// # Errors
/// [`NoReplacement::VirtualMachines`], [`NoReplacement::Sctp`], [`NoReplacement::Unknown`].
pub(in crate::plan) fn reaches_everybody(facts: &Facts, values: &Value, found: &Found) -> Result<(), NoReplacement> {
    // Whether agents look at the packets of pods, and at sockets of nodes alone.
    if !is_on(values, "socketLB", "hostNamespaceOnly") {
        let pods = virtual_machines(facts)?;
        if !pods.is_empty() {
            return Err(NoReplacement::VirtualMachines { pods });
        }
    }
    if found.sctp > 0 && !is_on(values, "sctp", "enabled") {
        return Err(NoReplacement::Sctp { services: found.sctp });
    }
    Ok(())
}

/// The API server's address, if there is one that agents reach without a Service; `object` is what has not told it.
///
/// # Errors
/// [`NoReplacement::NoApiServer`], [`NoReplacement::ServiceAddress`].
pub(in crate::plan) fn own_address(
    server: Option<ApiServer>,
    found: &Found,
    object: impl FnOnce() -> String,
) -> Result<ApiServer, NoReplacement> {
    let Some(server) = server else { return Err(NoReplacement::NoApiServer { object: object() }) };
    if found.service_addresses.contains(&server.host) || is_service_name(&server.host) {
        return Err(NoReplacement::ServiceAddress { server: server.to_string() });
    }
    Ok(server)
}

/// Where values of a release say the API server is.
pub(in crate::plan) fn api_server_of(values: &Value) -> Option<ApiServer> {
    let host = values.get("k8sServiceHost")?.as_str().filter(|host| !matches!(*host, "" | "auto"))?;
    let port = match values.get("k8sServicePort")? {
        Value::String(text) => text.parse().ok()?,
        number => u16::try_from(number.as_u64()?).ok()?,
    };
    Some(ApiServer { host: host.to_owned(), port })
}

/// What values of a release say of the keys that a replacement sets, as a map of its own.
pub(in crate::plan) fn own_of(values: &Value) -> Value {
    let mut all = Value::Null;
    for path in KEYS {
        let found = path.iter().try_fold(values, |value, key| value.get(key));
        let Some(found) = found.filter(|found| !found.is_null()) else { continue };
        let one = path.iter().rev().fold(found.clone(), |value, key| serde_json::json!({ *key: value }));
        all = own::merged(&all, &one);
    }
    all
}

fn is_on(values: &Value, map: &str, key: &str) -> bool {
    let given = values.get(map).and_then(|map| map.get(key));
    given.is_some_and(|given| given == &Value::Bool(true) || given == "true")
}

fn virtual_machines(facts: &Facts) -> Result<Vec<String>, NoReplacement> {
    let workloads = facts.workloads.value.as_result();
    let workloads =
        workloads.map_err(|reason| NoReplacement::Unknown { subject: "workloads", reason: reason.to_owned() })?;
    let machines = workloads.pods.iter().filter(|pod| pod.owner_kind == "VirtualMachineInstance");
    Ok(machines.map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect())
}

fn is_service_name(host: &str) -> bool {
    host == "kubernetes.default" || host.ends_with(".svc") || host.contains(".svc.")
}
