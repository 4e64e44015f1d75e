//! Multus by what its DaemonSet runs or is named, and what flags and its ConfigMap tell it of the first interface.

use serde_json::Value;

use super::command_line::CommandLine;
use super::config_map;
use super::object::{list, name, namespace, qualified, text};
use crate::facts::inventory::Inventory;
use crate::facts::multus::{Installation, Multus};
use crate::plan::Resource;

/// Flags (thin Multus) and keys of its configuration (thick Multus) that name the configuration of the first interface.
const FLAGS: [&str; 2] = ["multus-conf-file", "multus-master-cni-file-name"];
const KEYS: [&str; 4] = ["clusterNetwork", "defaultNetworks", "multusMasterCNI", "multusConfigFile"];

/// Every Multus.
///
/// # Errors
/// When DaemonSets, or a ConfigMap that one of them is configured by, could not be read.
pub(super) fn multus(inventory: &Inventory) -> Result<Multus, String> {
    let mut installations = Vec::new();
    for set in inventory.all(Resource::DAEMON_SETS)?.iter().filter(|set| is_multus(set)) {
        let mut told = Vec::new();
        for container in list(set, "/spec/template/spec/containers") {
            let flags = CommandLine::of(container).flags();
            told.extend(FLAGS.iter().filter_map(|flag| Some(format!("{flag}={}", flags.get(*flag)?))));
        }
        for map in config_maps(set) {
            let Some(map) = config_map(inventory, namespace(set), map)? else { continue };
            for file in
                map.pointer("/data").and_then(Value::as_object).into_iter().flatten().filter_map(|(_, v)| v.as_str())
            {
                let Ok(config) = serde_json::from_str::<Value>(file) else { continue };
                told.extend(KEYS.iter().filter_map(|key| Some(format!("{key}={}", shown(config.get(key)?)))));
                told.extend(first_delegate(&config));
            }
        }
        told.sort();
        told.dedup();
        installations.push(Installation { object: format!("daemonset {}", qualified(set)), told });
    }
    installations.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(Multus { installations })
}

/// A DaemonSet whose name or one of whose images says so; every distribution of it does one of both.
pub(super) fn is_multus(set: &Value) -> bool {
    let images = list(set, "/spec/template/spec/containers").iter().map(|container| text(container, "/image"));
    name(set).contains("multus")
        || images.into_iter().any(|image| image.rsplit('/').next().is_some_and(|i| i.contains("multus")))
}

/// ConfigMaps that its pods mount.
pub(super) fn config_maps(set: &Value) -> impl Iterator<Item = &str> {
    let volumes = list(set, "/spec/template/spec/volumes").iter();
    volumes.map(|volume| text(volume, "/configMap/name")).filter(|name| !name.is_empty())
}

/// The plugins of the configuration that Multus holds itself for the first interface: `delegates=kube-ovn+portmap`. It counts only
/// where no network is named.
fn first_delegate(config: &Value) -> Option<String> {
    if config.get("clusterNetwork").and_then(Value::as_str).is_some_and(|network| !network.is_empty()) {
        return None;
    }
    let first = config.pointer("/delegates/0")?;
    let plugins = match list(first, "/plugins") {
        [] => std::slice::from_ref(first),
        plugins => plugins,
    };
    Some(format!("delegates={}", plugins.iter().map(|plugin| text(plugin, "/type")).collect::<Vec<_>>().join("+")))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
