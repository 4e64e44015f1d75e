//! What is there of Cilium: the agent's DaemonSet by what it runs, its ConfigMap, its API objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::command_line::{CommandLine, Runs};
use super::object::{by_name, condition, controller, list, meta, name, namespace, qualified, some_text, text};
use super::owner::{made_again, owner};
use super::{config_map, image};
use crate::facts::cilium::{Agent, Cilium, ConfSource, Endpoint, Installation, L7Policy};
use crate::facts::conflists::ConfFile;
use crate::facts::inventory::{Inventory, Listing};
use crate::plan::Resource;

/// Name of the agent's ConfigMap in every version of the chart.
pub(super) const CONFIG: &str = "cilium-config";
/// Name of the volume with the ConfigMap of `cni.configMap` in every version of the chart.
const CONF_VOLUME: &str = "cni-configuration";

/// What is there of Cilium.
///
/// # Errors
/// When one of the kinds could not be read completely, or an agent's configuration could not be found.
pub(super) fn cilium(inventory: &Inventory) -> Result<Cilium, String> {
    let sets = by_name(inventory.all(Resource::DAEMON_SETS)?);
    let mut agents = sets.into_iter().filter_map(agent_container);
    let installation = agents.next().map(|(set, agent)| installation(inventory, set, agent)).transpose()?;
    if let (Some(first), Some((second, _))) = (&installation, agents.next()) {
        let first = format!("{}/{}", first.namespace, first.daemonset);
        return Err(format!("daemonsets {first} and {} both run cilium-agent", qualified(second)));
    }
    let mut crds = Vec::new();
    for crd in inventory.all(Resource::CUSTOM_RESOURCES)? {
        if text(crd, "/spec/group") == "cilium.io" {
            crds.push(name(crd).to_owned());
        }
    }
    crds.sort();
    let mut endpoints: Vec<Endpoint> =
        served(inventory, Resource::CILIUM_ENDPOINTS, &crds)?.iter().map(endpoint).collect();
    endpoints.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let mut node_configs: Vec<String> =
        served(inventory, Resource::CILIUM_NODE_CONFIGS, &crds)?.iter().map(qualified).collect();
    node_configs.sort();
    let mut policies = Vec::new();
    let mut l7_policies = Vec::new();
    for resource in [Resource::CILIUM_NETWORK_POLICIES, Resource::CILIUM_CLUSTERWIDE_POLICIES] {
        let objects = served(inventory, resource, &crds)?;
        for object in objects {
            let named = format!("{} {}", resource.kind, qualified(object));
            let uses = needs_proxy(object);
            if !uses.is_empty() {
                l7_policies.push(L7Policy { object: named.clone(), uses });
            }
            policies.push(named);
        }
    }
    policies.sort();
    l7_policies.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(Cilium { installation, crds, endpoints, node_configs, policies, l7_policies })
}

/// Fields of a policy that only Cilium's proxy can enforce, each once, by name.
fn needs_proxy(policy: &Value) -> Vec<String> {
    let mut found = BTreeSet::new();
    let rules = policy.get("spec").into_iter().chain(list(policy, "/specs"));
    for rule in rules.flat_map(|spec| ["ingress", "egress"].map(|way| list(spec, &format!("/{way}")))).flatten() {
        if !list(rule, "/toFQDNs").is_empty() {
            found.insert("toFQDNs".to_owned());
        }
        for ports in list(rule, "/toPorts") {
            for field in ["terminatingTLS", "originatingTLS", "listener"] {
                if ports.get(field).is_some_and(|value| !value.is_null()) {
                    found.insert(format!("toPorts.{field}"));
                }
            }
            if !list(ports, "/serverNames").is_empty() {
                found.insert("toPorts.serverNames".to_owned());
            }
            let kinds = ports.get("rules").and_then(Value::as_object).into_iter().flatten();
            found.extend(kinds.filter(|(_, value)| !value.is_null()).map(|(kind, _)| format!("toPorts.rules.{kind}")));
        }
    }
    found.into_iter().collect()
}

/// All objects of a kind; one whose CRD is there but not served in the version we read is not empty, it is unknown.
fn served<'i>(inventory: &'i Inventory, resource: Resource, crds: &[String]) -> Result<&'i [Value], String> {
    let crd = format!("{}.{}", resource.plural, resource.group);
    if matches!(inventory.listings.get(&resource), Some(Listing::NotServed)) && crds.contains(&crd) {
        return Err(format!("{crd} is served in other versions than {}", resource.version));
    }
    inventory.all(resource)
}

/// The DaemonSet and the container of it that runs `cilium-agent`.
pub(super) fn agent_container(set: &Value) -> Option<(&Value, &Value)> {
    let containers = list(set, "/spec/template/spec/containers");
    let agent = containers.iter().find(|c| CommandLine::of(c).runs(&["cilium-agent"]) != Runs::No)?;
    Some((set, agent))
}

fn installation(inventory: &Inventory, set: &Value, agent: &Value) -> Result<Installation, String> {
    let config = config_map(inventory, namespace(set), CONFIG)?;
    let config = config.ok_or_else(|| format!("daemonset {} has no configmap {CONFIG} beside it", qualified(set)))?;
    let data = config.pointer("/data").and_then(Value::as_object).into_iter().flatten();
    let config: BTreeMap<String, String> =
        data.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    let mut agents: Vec<Agent> = inventory
        .all(Resource::PODS)?
        .iter()
        .filter(|pod| namespace(pod) == namespace(set) && controller(pod) == Some(("DaemonSet", name(set))))
        .map(|pod| Agent { node: text(pod, "/spec/nodeName").to_owned(), ready: condition(pod, "Ready") })
        .collect();
    agents.sort_by(|a, b| a.node.cmp(&b.node));
    let conf_source = conf_map(set).map(|map| conf_source(inventory, set, map, &config)).transpose()?;
    Ok(Installation {
        conf_source,
        namespace: namespace(set).to_owned(),
        daemonset: name(set).to_owned(),
        owner: made_again(inventory, owner(set)),
        release: meta(set, "annotations", "meta.helm.sh/release-name").map(str::to_owned),
        version: image::version(text(agent, "/image")).map(|version| version.trim_start_matches('v').to_owned()),
        config,
        agents,
    })
}

/// Name of the ConfigMap that the agents' pods mount as their CNI configuration.
pub(super) fn conf_map(set: &Value) -> Option<&str> {
    let volumes = list(set, "/spec/template/spec/volumes").iter();
    let mut named = volumes.filter(|volume| text(volume, "/name") == CONF_VOLUME);
    named.next().map(|volume| text(volume, "/configMap/name")).filter(|map| !map.is_empty())
}

fn conf_source(
    inventory: &Inventory,
    set: &Value,
    map: &str,
    config: &BTreeMap<String, String>,
) -> Result<ConfSource, String> {
    let key = config.get("read-cni-conf").and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let object = config_map(inventory, namespace(set), map)?;
    let content = object.and_then(|object| object.get("data")?.get(key)?.as_str());
    let file = ConfFile::read(key, "", content.unwrap_or_default().as_bytes());
    Ok(ConfSource {
        config_map: format!("{}/{map}", namespace(set)),
        found: content.is_some(),
        network: file.network,
        plugins: file.plugins,
    })
}

fn endpoint(object: &Value) -> Endpoint {
    let addresses = list(object, "/status/networking/addressing").iter();
    let ips = addresses.flat_map(|address| [some_text(address, "/ipv4"), some_text(address, "/ipv6")]).flatten();
    Endpoint {
        namespace: namespace(object).to_owned(),
        name: name(object).to_owned(),
        ips: ips.collect(),
        state: text(object, "/status/state").to_owned(),
    }
}
