//! Who runs the cluster: they restart what only they may restart, when nothing else is left to wait for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::town::{self, JOB, NAMESPACE, ON_DELETE, name};
use crate::{api::Api, error::Result, scenarios::oracle::journal};

/// Number of the phase in which old pods are made again.
const RECYCLE: u8 = 4;

/// Whether a pod of this name belongs to a workload that the program must not touch.
pub(super) fn is_theirs(name: &str) -> bool {
    [ON_DELETE, JOB].iter().any(|workload| name.starts_with(&format!("{workload}-")))
}

/// Deletes the pods of the DaemonSet that waits for it and of the Job, once all others have their endpoints.
pub(super) fn restart_what_only_they_may(api: &Api) -> Result<()> {
    if journal::header(api)?.is_none_or(|header| header.phase != RECYCLE) {
        return Ok(());
    }
    let waiting = uncovered(api)?;
    if waiting.iter().all(|(namespace, name)| namespace == NAMESPACE && is_theirs(name)) {
        for (namespace, name) in waiting {
            api.delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}"))?;
        }
    }
    Ok(())
}

/// Pods without an endpoint of their name and address, but for those that are left: namespace and name.
pub(super) fn uncovered(api: &Api) -> Result<Vec<(String, String)>> {
    let key = |object: &Value| {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        (text("namespace"), text("name"))
    };
    let mut addresses: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    if api.find("/apis/cilium.io/v2")?.is_some() {
        for endpoint in api.list("/apis/cilium.io/v2/ciliumendpoints")? {
            let all = endpoint["status"]["networking"]["addressing"].as_array().into_iter().flatten();
            addresses.insert(key(&endpoint), all.map(|one| one["ipv4"].clone()).collect());
        }
    }
    let is_left = |pod: &Value| town::LEFT.iter().any(|left| left.ends_with(&format!("/{}", name(pod))));
    let mut wanting = api.list("/api/v1/pods")?;
    wanting.retain(|pod| {
        let leaving = !pod["metadata"]["deletionTimestamp"].is_null();
        pod["spec"]["hostNetwork"] != true && pod["status"]["phase"] == "Running" && !leaving && !is_left(pod)
    });
    let covered = |pod: &Value| addresses.get(&key(pod)).is_some_and(|known| known.contains(&pod["status"]["podIP"]));
    Ok(wanting.iter().filter(|pod| !covered(pod)).map(key).collect())
}
