//! Services, and what turns their addresses into pods: kube-proxy, Cilium's replacement, OVN's load balancers.

use serde_json::Value;

use super::command_line::{CommandLine, Runs};
use super::config_map;
use super::object::{by_name, condition, controller, list, meta, name, namespace, number, qualified, text};
use crate::facts::cilium::Cilium;
use crate::facts::inventory::Inventory;
use crate::facts::kube_ovn::KubeOvn;
use crate::facts::services::{Provider, Services};
use crate::plan::Resource;
use crate::render::Stream;

/// Services and their providers.
///
/// # Errors
/// When one of the kinds could not be read completely, or what it is made of is unknown.
pub(super) fn services(
    inventory: &Inventory,
    kube_ovn: Result<&KubeOvn, &str>,
    cilium: Result<&Cilium, &str>,
) -> Result<Services, String> {
    let services = inventory.all(Resource::SERVICES)?;
    let sets = by_name(inventory.all(Resource::DAEMON_SETS)?);
    let mut providers = Vec::new();
    for (set, proxy) in sets.iter().copied().filter_map(kube_proxy) {
        providers.push(Provider { kind: "kube-proxy".to_owned(), mode: mode(inventory, set, proxy), ..rollout(set) });
    }
    providers.extend(static_kube_proxies(inventory)?);
    // Where nodes cannot be listed nothing is said of any provider.
    providers.extend(inventory.all(Resource::NODES).ok().and_then(within_k3s));
    if let Some(found) = &cilium?.installation {
        let replaces = found.config.get("kube-proxy-replacement").is_some_and(|v| v == "true" || v == "strict");
        let set = sets.iter().copied().find(|set| namespace(set) == found.namespace && name(set) == found.daemonset);
        if let Some(set) = set.filter(|_| replaces) {
            providers.push(Provider { kind: "cilium".to_owned(), ..rollout(set) });
        }
    }
    for found in kube_ovn?.installations.iter().filter(|found| found.controller.enable_lb) {
        // The load balancers are in OVN, on every node where its CNI is.
        let set = sets.iter().copied().find(|set| namespace(set) == found.namespace && name(set) == found.cni.name);
        let nodes = set.map(rollout).unwrap_or_default();
        providers.push(Provider { kind: "kube-ovn".to_owned(), object: found.controller_object(), ..nodes });
    }
    let has_cluster_ip = |s: &&Value| !matches!(text(s, "/spec/clusterIP"), "" | "None");
    let on_nodes = |s: &&Value| matches!(text(s, "/spec/type"), "NodePort" | "LoadBalancer");
    let api = services.iter().find(|s| namespace(s) == "default" && name(s) == "kubernetes");
    Ok(Services {
        cluster_ip: count(services.iter().filter(has_cluster_ip)),
        node_port: count(services.iter().filter(on_nodes)),
        api_server: api.filter(has_cluster_ip).map(|service| text(service, "/spec/clusterIP").to_owned()),
        providers,
    })
}

fn count<'v>(objects: impl Iterator<Item = &'v Value>) -> u32 {
    u32::try_from(objects.count()).unwrap_or(u32::MAX)
}

/// A DaemonSet as a provider of no kind yet.
fn rollout(set: &Value) -> Provider {
    Provider {
        object: format!("daemonset {}", qualified(set)),
        desired: number(set, "/status/desiredNumberScheduled"),
        ready: number(set, "/status/numberReady"),
        ..Provider::default()
    }
}

/// The DaemonSet and the container of it that runs kube-proxy.
pub(super) fn kube_proxy(set: &Value) -> Option<(&Value, &Value)> {
    let containers = list(set, "/spec/template/spec/containers");
    let proxy = containers.iter().find(|container| is_kube_proxy(container))?;
    Some((set, proxy))
}

/// kube-proxy as static pods (RKE2 and others): one provider for all of them.
fn static_kube_proxies(inventory: &Inventory) -> Result<Option<Provider>, String> {
    let pods = by_name(inventory.all(Resource::PODS)?.iter().filter(|pod| is_static_kube_proxy(pod)));
    let Some(first) = pods.first() else { return Ok(None) };
    Ok(Some(Provider {
        kind: "kube-proxy".to_owned(),
        object: format!("static pods of kube-proxy in {}", namespace(first)),
        desired: count(pods.iter().copied()),
        ready: count(pods.iter().copied().filter(|pod| condition(pod, "Ready"))),
        mode: String::new(),
    }))
}

/// Whether a pod is a static one of kube-proxy.
pub(super) fn is_static_kube_proxy(pod: &Value) -> bool {
    controller(pod).is_some_and(|(kind, _)| kind == "Node") && list(pod, "/spec/containers").iter().any(is_kube_proxy)
}

pub(super) fn is_kube_proxy(container: &Value) -> bool {
    CommandLine::of(container).runs(&["kube-proxy"]) != Runs::No
}

/// kube-proxy as a part of k3s: no object tells of it but the nodes, on which k3s notes how it was started. One provider for all of them,
/// where every server tells that it is not disabled.
fn within_k3s(nodes: &[Value]) -> Option<Provider> {
    let of_k3s: Vec<&Value> =
        nodes.iter().filter(|node| text(node, "/status/nodeInfo/kubeletVersion").contains("+k3s")).collect();
    let servers: Vec<bool> = of_k3s.iter().filter_map(|node| kube_proxy_disabled(node)).collect();
    if servers.is_empty() || servers.contains(&true) {
        return None;
    }
    Some(Provider {
        kind: "kube-proxy".to_owned(),
        object: "kube-proxy within k3s".to_owned(),
        desired: count(of_k3s.iter().copied()),
        ready: count(of_k3s.iter().copied().filter(|node| condition(node, "Ready"))),
        mode: String::new(),
    })
}

/// Whether a server of k3s or RKE2 was told to start no kube-proxy, by what it has noted of its command line and configuration file on
/// its node; `None` on nodes that are no server.
pub fn kube_proxy_disabled(node: &Value) -> Option<bool> {
    let noted = ["k3s.io/node-args", "rke2.io/node-args"].into_iter().find_map(|key| meta(node, "annotations", key))?;
    let words: Vec<String> = serde_json::from_str(noted).ok()?;
    if words.first().is_none_or(|word| word != "server") {
        return None;
    }
    let flag =
        words.iter().position(|word| word.trim_start_matches('-').split('=').next() == Some("disable-kube-proxy"));
    Some(flag.is_some_and(|at| {
        // The value stands behind an equals sign, or is the next word.
        let value = words[at].split_once('=').map(|(_, value)| value).or_else(|| words.get(at + 1).map(String::as_str));
        value != Some("false")
    }))
}

/// ConfigMap and key that hold kube-proxy's configuration file, when its container mounts one.
pub(super) fn configuration<'o>(set: &'o Value, proxy: &'o Value) -> Option<(&'o str, String)> {
    let path = CommandLine::of(proxy).flags().get("config")?.clone();
    let (dir, file) = path.rsplit_once('/')?;
    let mounts = list(proxy, "/volumeMounts").iter();
    let mount = mounts.into_iter().find(|mount| text(mount, "/mountPath").trim_end_matches('/') == dir)?;
    let volumes = list(set, "/spec/template/spec/volumes").iter();
    let volume = volumes.into_iter().find(|volume| text(volume, "/name") == text(mount, "/name"))?;
    let item = list(volume, "/configMap/items").iter().find(|item| text(item, "/path") == file);
    let key = item.map_or(file, |item| text(item, "/key")).to_owned();
    Some((text(volume, "/configMap/name"), key)).filter(|(name, _)| !name.is_empty())
}

/// Its mode: flag, file, or the default of Linux; empty when the file cannot be read.
fn mode(inventory: &Inventory, set: &Value, proxy: &Value) -> String {
    mode_of(set, proxy, |map| config_map(inventory, namespace(set), map).ok()?)
}

/// The same; `maps` finds a ConfigMap of its namespace.
pub(super) fn mode_of<'m>(set: &Value, proxy: &Value, maps: impl Fn(&str) -> Option<&'m Value>) -> String {
    let flags = CommandLine::of(proxy).flags();
    let told = match flags.get("config") {
        // With a file, flags do not count.
        Some(_) => configuration(set, proxy).and_then(|(map, key)| {
            let map = maps(map)?;
            let stream = Stream::parse(map.get("data")?.get(&key)?.as_str()?.as_bytes()).ok()?;
            Some(text(stream.documents().first()?.objects().first()?.value, "/mode").to_owned())
        }),
        None => Some(flags.get("proxy-mode").cloned().unwrap_or_default()),
    };
    match told.as_deref() {
        None => String::new(),
        Some("") => "iptables".to_owned(),
        Some(mode) => mode.to_owned(),
    }
}
