//! Kube-OVN's installations, found by what containers run.
//!
//! Releases differ in `command` and `args`, in which container writes the CNI configuration, and in where the
//! directory is mounted; what cannot be told makes the whole subject unknown.

use std::collections::BTreeMap;

use serde_json::Value;

use super::command_line::{CommandLine, Runs, parse_bool};
use super::object::{by_name, list, name, namespace, number, pull_secrets, qualified, text};
use super::owner::{made_again, owner};
use super::{image, known};
use crate::compat::kube_ovn;
use crate::compat::kube_ovn::CONF_NAME;
use crate::facts::inventory::Inventory;
use crate::facts::kube_ovn::{CniDaemon, Component, ConfWriter, Controller, Installation, KubeOvn};
use crate::plan::Resource;

const CONTROLLER: &[&str] = &["start-controller.sh", "kube-ovn-controller"];
const CNI_SERVER: &[&str] = &["start-cniserver.sh", "kube-ovn-daemon"];
const INSTALL_CNI: &[&str] = &["install-cni.sh", "kube-ovn-daemon"];
/// Where every release mounts the directory in its container.
const CONF_MOUNT: &str = "/etc/cni/net.d";

/// All installations, by namespace.
///
/// # Errors
/// When workloads could not be read, the manifests hold none, or one of them cannot be understood.
pub(super) fn kube_ovn(inventory: &Inventory) -> Result<KubeOvn, String> {
    let (deployments, complete) = known(inventory, Resource::DEPLOYMENTS)?;
    let (daemon_sets, _) = known(inventory, Resource::DAEMON_SETS)?;
    let daemon_sets = by_name(daemon_sets);
    let mut installations = Vec::new();
    let deployments = by_name(deployments);
    for &deployment in &deployments {
        for (index, container) in list(deployment, "/spec/template/spec/containers").iter().enumerate() {
            match CommandLine::of(container).runs(CONTROLLER) {
                Runs::No => {}
                Runs::Directly => {
                    let mut found = installation(deployment, index, container, &daemon_sets)?;
                    found.owner = made_again(inventory, found.owner);
                    if complete {
                        found.components = components(&found, &deployments, &daemon_sets);
                    }
                    installations.push(found);
                }
                Runs::FromShellText => {
                    return Err(format!(
                        "deployment {} starts kube-ovn-controller from a shell text, where its flags cannot be read",
                        qualified(deployment)
                    ));
                }
            }
        }
    }
    if installations.is_empty() && !complete {
        return Err("no workload in the manifests runs kube-ovn-controller".to_owned());
    }
    installations.sort_by(|a, b| (&a.namespace, &a.controller.name).cmp(&(&b.namespace, &b.controller.name)));
    Ok(KubeOvn { installations })
}

fn installation(deployment: &Value, index: usize, container: &Value, sets: &[&Value]) -> Result<Installation, String> {
    let controller = controller(deployment, index, container)?;
    let version = image::version(&controller.image);
    let beside = sets.iter().filter(|set| namespace(set) == namespace(deployment));
    let mut servers = beside.filter_map(|set| {
        let containers = list(set, "/spec/template/spec/containers");
        let server = containers.iter().find(|c| CommandLine::of(c).runs(CNI_SERVER) != Runs::No)?;
        Some((*set, server))
    });
    let Some((set, server)) = servers.next() else {
        return Err(format!(
            "deployment {} runs kube-ovn-controller, but no DaemonSet beside it runs kube-ovn-daemon",
            qualified(deployment)
        ));
    };
    if let Some((other, _)) = servers.next() {
        return Err(format!("daemonsets {} and {} both run kube-ovn-daemon", qualified(set), qualified(other)));
    }
    Ok(Installation {
        namespace: namespace(deployment).to_owned(),
        owner: owner(deployment),
        release: None,
        cni: cni(set, server, version.as_deref())?,
        controller,
        version,
        components: Vec::new(),
    })
}

/// Names of Kube-OVN's other workloads, the same in every release and chart.
const COMPONENTS: [&str; 2] = ["ovn-central", "ovs-ovn"];

fn components(found: &Installation, deployments: &[&Value], sets: &[&Value]) -> Vec<Component> {
    let ours = |object: &&&Value| {
        let known = [found.controller.name.as_str(), found.cni.name.as_str()];
        namespace(object) == found.namespace && (known.contains(&name(object)) || COMPONENTS.contains(&name(object)))
    };
    // The container that counts is known of two of them; the others have one that is their own.
    let main_image = |object: &Value| match name(object) {
        it if it == found.controller.name => found.controller.image.clone(),
        it if it == found.cni.name => found.cni.image.clone(),
        _ => text(object, "/spec/template/spec/containers/0/image").to_owned(),
    };
    let component = |kind: &str, object: &Value, desired: u32, updated: &str, ready: &str| Component {
        object: format!("{kind} {}", qualified(object)),
        version: image::version(&main_image(object)),
        desired,
        updated: number(object, updated),
        ready: number(object, ready),
        observed: number(object, "/status/observedGeneration") >= number(object, "/metadata/generation"),
    };
    let replicas = |deployment: &Value| match deployment.pointer("/spec/replicas") {
        Some(_) => number(deployment, "/spec/replicas"),
        None => 1,
    };
    let deployments = deployments.iter().filter(ours).map(|deployment| {
        component("deployment", deployment, replicas(deployment), "/status/updatedReplicas", "/status/readyReplicas")
    });
    let sets = sets.iter().filter(ours).map(|set| {
        let desired = number(set, "/status/desiredNumberScheduled");
        component("daemonset", set, desired, "/status/updatedNumberScheduled", "/status/numberReady")
    });
    let mut all: Vec<Component> = deployments.chain(sets).collect();
    all.sort_by(|a, b| a.object.cmp(&b.object));
    all
}

fn controller(deployment: &Value, index: usize, container: &Value) -> Result<Controller, String> {
    let line = CommandLine::of(container);
    let flags = line.flags();
    let object = format!("deployment {}", qualified(deployment));
    let switch = |name, absent| switch(&flags, &object, name, absent);
    let (flags_in, flags_list) = line.flags_in(&["enable-lb", "enable-np"]);
    Ok(Controller {
        name: name(deployment).to_owned(),
        container: index,
        container_name: name_of(container),
        image: text(container, "/image").to_owned(),
        flags_in: flags_in.to_owned(),
        flags_list,
        enable_lb: switch("enable-lb", true)?,
        enable_np: switch("enable-np", true)?,
        enable_lb_svc: switch("enable-lb-svc", false)?,
        replicas: match deployment.pointer("/spec/replicas") {
            None | Some(Value::Null) => Some(1),
            Some(replicas) => replicas.as_u64().and_then(|replicas| u32::try_from(replicas).ok()),
        },
        flags,
    })
}

fn name_of(container: &Value) -> String {
    text(container, "/name").to_owned()
}

fn switch(flags: &BTreeMap<String, String>, object: &str, name: &str, absent: bool) -> Result<bool, String> {
    match flags.get(name) {
        None => Ok(absent),
        Some(value) => {
            parse_bool(value).ok_or_else(|| format!("{object} has --{name}={value}, which is neither true nor false"))
        }
    }
}

fn cni(set: &Value, server: &Value, version: Option<&str>) -> Result<CniDaemon, String> {
    let pod = set.pointer("/spec/template/spec").unwrap_or(&Value::Null);
    let object = format!("daemonset {}", qualified(set));
    let flags = CommandLine::of(server).flags();
    let (writer, conf_name, dir_flag, by) = writer(pod, server, &flags, version);
    let conf_dir = conf_dir(pod, by, dir_flag.as_deref())
        .ok_or_else(|| format!("{object} mounts no directory of the host for CNI configuration"))?;
    let mtu = match flags.get("mtu").map(String::as_str).unwrap_or_default() {
        "" => 0,
        mtu => mtu.parse().map_err(|_| format!("{object} has --mtu={mtu}, which is no number"))?,
    };
    Ok(CniDaemon {
        name: name(set).to_owned(),
        image: text(server, "/image").to_owned(),
        image_pull_secrets: pull_secrets(pod),
        service_account: text(pod, "/serviceAccountName").to_owned(),
        conf_dir,
        conf_name,
        writer,
        iface: flags.get("iface").filter(|iface| !iface.is_empty()).cloned(),
        network_type: flags
            .get("network-type")
            .filter(|kind| !kind.is_empty())
            .map_or("geneve", String::as_str)
            .to_owned(),
        mtu,
        non_primary: switch(&flags, &object, "non-primary-cni-mode", false)?,
    })
}

/// Who writes the file, under which name, what its `--cni-conf-dir` says, and the writing container.
///
/// By capability: since v1.13 only the init container mounts the directory, and the flag in the main container, where
/// Kube-OVN's own guide wants it, does nothing.
fn writer<'o>(
    pod: &'o Value,
    server: &'o Value,
    server_flags: &BTreeMap<String, String>,
    version: Option<&str>,
) -> (ConfWriter, String, Option<String>, &'o Value) {
    let named = |flags: &BTreeMap<String, String>| {
        flags.get("cni-conf-name").filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| CONF_NAME.to_owned())
    };
    let dir = |flags: &BTreeMap<String, String>| flags.get("cni-conf-dir").cloned();
    let installers = list(pod, "/initContainers").iter().map(|init| (init, CommandLine::of(init)));
    for (init, line) in installers.filter(|(_, line)| line.runs(INSTALL_CNI) != Runs::No) {
        let flags = line.flags();
        if flags.contains_key("cni-conf-name") || conf_dir(pod, init, dir(&flags).as_deref()).is_some() {
            return (ConfWriter::InstallCni, named(&flags), dir(&flags), init);
        }
    }
    let (by_version, name) = kube_ovn::built_in(version.and_then(image::minor));
    if server_flags.contains_key("cni-conf-name") || by_version != ConfWriter::HardCoded {
        // A pod without an init container that writes cannot be what v1.13 and newer ship: its main container writes.
        return (ConfWriter::CniServer, named(server_flags), dir(server_flags), server);
    }
    (ConfWriter::HardCoded, name.to_owned(), None, server)
}

/// Directory on the host that a container mounts for CNI configuration: at `--cni-conf-dir`, at the usual place (charts of
/// 1.12 to 1.14 gave the flag the host's directory), or from the volume of that name.
fn conf_dir(pod: &Value, container: &Value, flag: Option<&str>) -> Option<String> {
    let mounts = list(container, "/volumeMounts");
    let at =
        |path: &str| mounts.iter().find(|m| text(m, "/mountPath").trim_end_matches('/') == path.trim_end_matches('/'));
    let mount = flag
        .and_then(at)
        .or_else(|| at(CONF_MOUNT))
        .or_else(|| mounts.iter().find(|mount| text(mount, "/name") == "cni-conf"))?;
    let volume = list(pod, "/volumes").iter().find(|volume| text(volume, "/name") == text(mount, "/name"))?;
    match text(volume, "/hostPath/path") {
        "" => None,
        "/" => Some("/".to_owned()),
        path => Some(path.trim_end_matches('/').to_owned()),
    }
}
