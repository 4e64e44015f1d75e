//! kube-ovn-cni: writes Kube-OVN's CNI file when its pod starts, and makes the node's devices.
//!
//! Who writes, and when, differs by version and is told by structure, as in Kube-OVN's `cmd/daemon/cniserver.go`:
//! from v1.13 the init container `install-cni` writes the file named by its `--cni-conf-name`, and from v1.13.15 and
//! v1.14.5 only if there is none; from v1.10 the main container writes it at each start under the name of its own
//! flag; before that always as `01-kube-ovn.conflist`. No version ever removes a file of an older name.

use std::collections::BTreeSet;

use ovncilium_core::plan::Resource;
use semver::Version;
use serde_json::Value;

use super::{Actor, Pass};
use crate::objects;

/// The file, the same in every release from v0.10 on.
pub const CONFLIST: &str = r#"{
    "name":"kube-ovn",
    "cniVersion":"0.3.1",
    "plugins":[
        {
            "type":"kube-ovn",
            "server_socket":"/run/openvswitch/kube-ovn-daemon.sock"
        },
        {
            "type":"portmap",
            "capabilities":{
                "portMappings":true
            }
        }
    ]
}
"#;

const DEFAULT_NAME: &str = "01-kube-ovn.conflist";

/// All pods of kube-ovn-cni.
#[derive(Debug, Default)]
pub struct KubeOvnCni {
    /// UIDs of pods whose start was seen.
    started: BTreeSet<String>,
}

impl Actor for KubeOvnCni {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        let mut serving = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for pod in view.all(&Resource::PODS).iter().filter(|pod| is_cni(pod)) {
            let node_name = objects::node_of(pod);
            if node_name.is_empty() || objects::deleting(pod) || objects::text(pod, "/status/phase") != "Running" {
                continue;
            }
            let uid = objects::uid(pod).to_owned();
            if !self.started.contains(&uid) {
                start(pass, node_name, pod);
            }
            seen.insert(uid);
            if objects::ready(pod) {
                serving.insert(node_name);
            }
        }
        self.started = seen;
        for (name, node) in pass.nodes.iter_mut() {
            node.cni_server = serving.contains(name.as_str());
        }
    }
}

fn start(pass: &mut Pass<'_>, node_name: &str, pod: &Value) {
    let node = pass.nodes.node(node_name);
    let (name, keeps) = writes(pod);
    if !(keeps && node.fs.read(&name).is_some()) {
        node.fs.write(&name, CONFLIST.as_bytes());
    }
    let tunnel = objects::list(pod, "/spec/containers")
        .iter()
        .find_map(|container| objects::argument(container, "network-type"))
        .map_or("genev_sys_6081", |kind| match kind {
            "vxlan" => "vxlan_sys_4789",
            "stt" => "stt_sys_7471",
            _ => "genev_sys_6081",
        });
    node.devices.extend(["eth0".to_owned(), "ovn0".to_owned(), tunnel.to_owned()]);
}

/// The file name this pod writes, and whether it leaves an existing file alone.
fn writes(pod: &Value) -> (String, bool) {
    let init = objects::list(pod, "/spec/initContainers");
    if let Some(container) = init.iter().find(|container| objects::name_of_container(container) == "install-cni")
        && let Some(name) = objects::argument(container, "cni-conf-name")
    {
        return (name.to_owned(), keeps_existing(objects::text(container, "/image")));
    }
    let main = objects::list(pod, "/spec/containers");
    let name = main.iter().find_map(|container| objects::argument(container, "cni-conf-name"));
    (name.unwrap_or(DEFAULT_NAME).to_owned(), false)
}

/// Whether `install-cni` of this image skips an existing file.
fn keeps_existing(image: &str) -> bool {
    let tag = image.split('@').next().unwrap_or_default().rsplit(':').next().unwrap_or_default();
    let Ok(version) = Version::parse(tag.trim_start_matches('v')) else { return true };
    match version.minor {
        minor if version.major > 1 || minor > 14 => true,
        14 => version.patch >= 5,
        13 => version.patch >= 15,
        _ => false,
    }
}

/// Whether the pod is one of kube-ovn-cni.
fn is_cni(pod: &Value) -> bool {
    objects::label(pod, "app") == Some("kube-ovn-cni")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_writer_is_told_by_structure() {
        let init = json!({"spec": {"initContainers": [{"name": "install-cni", "image": "kube-ovn:v1.14.41",
            "command": ["/kube-ovn/install-cni.sh", "--cni-conf-name=01-kube-ovn.conflist"]}]}});
        assert_eq!(writes(&init), ("01-kube-ovn.conflist".to_owned(), true));
        let main = json!({"spec": {"containers": [{"args": ["--cni-conf-name=10-kube-ovn.conflist"]}]}});
        assert_eq!(writes(&main), ("10-kube-ovn.conflist".to_owned(), false));
        assert_eq!(writes(&json!({})), ("01-kube-ovn.conflist".to_owned(), false));
        assert!(!keeps_existing("docker.io/kubeovn/kube-ovn:v1.14.4"));
        assert!(keeps_existing("reg:5000/kubeovn/kube-ovn:v1.16.2@sha256:00"));
    }
}
