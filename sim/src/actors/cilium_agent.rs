//! Cilium's agents: settings at start, the CNI file before readiness, endpoints for pods made through cilium-cni.
//!
//! Measured on 1.18.2 with real kubelets: the file is written 0.9 s after the start, by rename in the same directory,
//! the API answers after 2.3 s and the endpoints are ready after 3.8 to 4.7 s; the first start waits for the
//! operator's CRDs. Settings are `cilium-config` and, over it, every CiliumNodeConfig of the namespace that selects
//! the node, in the order of their names, as they are when the agent starts; a later change counts from the next
//! start. Without `write-cni-conf-when-ready` the agent writes nothing. A target network that is not there is looked
//! for again every 10 s and the agent is not ready meanwhile. Files that other people edit or remove are restored
//! only with `cni-exclusive`, which also renames the files of others. When an agent stops, its file and its endpoints
//! stay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use ovncilium_core::facts::conflists::is_loaded;
use ovncilium_core::plan::Resource;
use serde_json::{Value, json};

use super::cilium_operator::config;
use super::node_fs::NodeFs;
use super::pretend_node::AgentProcess;
use super::{Actor, Pass};
use crate::{objects, selector};

const WRITES_AFTER: Duration = Duration::from_millis(880);
const SERVES_AFTER: Duration = Duration::from_millis(2_300);
const RETRIES_AFTER: Duration = Duration::from_secs(10);

/// What an agent process remembers beyond what others see of it.
#[derive(Debug, Default)]
struct Memory {
    /// Whether configuration and CRDs were there.
    defined: bool,
    /// The file it wrote, and its content.
    wrote: Option<(String, Vec<u8>)>,
    /// When it last failed to.
    failed: Option<Timestamp>,
}

/// All agents.
#[derive(Debug, Default)]
pub struct CiliumAgents {
    /// By node.
    memory: BTreeMap<String, Memory>,
}

impl Actor for CiliumAgents {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        let mut running: BTreeMap<&str, &Value> = BTreeMap::new();
        for pod in view.all(&Resource::PODS) {
            let agent = objects::label(pod, "k8s-app") == Some("cilium") && !objects::node_of(pod).is_empty();
            if agent && objects::text(pod, "/status/phase") == "Running" && !objects::deleting(pod) {
                running.insert(objects::node_of(pod), pod);
            }
        }
        self.stop_the_gone(pass, &running);
        for (node, pod) in &running {
            if pass.nodes.node(node).silent {
                continue;
            }
            if pass.nodes.node(node).agent.is_none() {
                let settings = settings(pass, node, pod).into();
                pass.nodes.node(node).agent = Some(AgentProcess {
                    pod: objects::uid(pod).to_owned(),
                    since: pass.now,
                    settings,
                    serving: false,
                    ready: false,
                    failure: None,
                });
                self.memory.insert((*node).to_owned(), Memory::default());
            }
            if let Some(memory) = self.memory.get_mut(*node) {
                advance(pass, node, pod, memory);
            }
        }
        if !running.is_empty() && view.defined(&Resource::CILIUM_ENDPOINTS) {
            endpoints(pass);
        }
    }
}

impl CiliumAgents {
    fn stop_the_gone(&mut self, pass: &mut Pass<'_>, running: &BTreeMap<&str, &Value>) {
        for (name, node) in pass.nodes.iter_mut() {
            let Some(agent) = node.agent.as_ref().filter(|_| !node.silent) else { continue };
            if running.get(name.as_str()).is_some_and(|pod| objects::uid(pod) == agent.pod) {
                continue;
            }
            if agent.settings.get("cni-uninstall").is_some_and(|value| value == "true")
                && let Some((file, _)) = self.memory.get(name).and_then(|memory| memory.wrote.as_ref())
            {
                node.fs.remove(file);
            }
            node.agent = None;
            self.memory.remove(name);
        }
    }
}

/// The settings of an agent that starts now.
fn settings(pass: &Pass<'_>, node: &str, pod: &Value) -> BTreeMap<String, String> {
    let namespace = objects::namespace(pod);
    let mut settings = config(pass, namespace);
    let Some(node) = pass.view.find(&Resource::NODES, "", node) else { return settings };
    for overlay in pass.view.all(&Resource::CILIUM_NODE_CONFIGS) {
        if objects::namespace(overlay) != namespace || !selector::matches(node, &overlay["spec"]["nodeSelector"]) {
            continue;
        }
        for (key, value) in overlay["spec"]["defaults"].as_object().into_iter().flatten() {
            settings.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
        }
    }
    settings
}

/// One agent process a little further.
fn advance(pass: &mut Pass<'_>, node_name: &str, pod: &Value, memory: &mut Memory) {
    let Some(agent) = pass.nodes.node(node_name).agent.clone() else { return };
    let known = agent.settings.contains_key("identity-allocation-mode");
    let defined = pass.view.defined(&Resource::CILIUM_NODES) && pass.view.defined(&Resource::CILIUM_ENDPOINTS);
    if !(memory.defined || known && defined) {
        // Without configuration the pod does not start, without CRDs the agent waits for them.
        return;
    }
    memory.defined = true;
    register_node(pass, node_name, &agent);
    if pass.due(agent.since, WRITES_AFTER) {
        write_conf(pass, node_name, pod, memory);
    }
    let Some(agent) = &pass.nodes.node(node_name).agent else { return };
    let (failed, since) = (agent.failure.is_some(), agent.since);
    let replaces = agent.settings.get("kube-proxy-replacement").is_some_and(|value| value == "true");
    let serving = pass.due(since, SERVES_AFTER);
    let ready_after = pass.jitter.millis(&format!("agent/{}", objects::uid(pod)), 3_000, 4_700);
    let ready = pass.due(since, ready_after) && serving && !failed;
    let node = pass.nodes.node(node_name);
    if let Some(agent) = &mut node.agent {
        agent.serving = serving;
        agent.ready = ready;
    }
    if serving {
        node.devices.extend(["cilium_host".to_owned(), "cilium_net".to_owned()]);
        node.cilium_rules = true;
        node.replaces = replaces;
    }
}

/// Writes the file its settings name, and with `cni-exclusive` keeps it and puts away all others.
fn write_conf(pass: &mut Pass<'_>, node_name: &str, pod: &Value, memory: &mut Memory) {
    let Some(agent) = pass.nodes.node(node_name).agent.clone() else { return };
    let setting = |key: &str| agent.settings.get(key).map(String::as_str).unwrap_or_default();
    let Some(file) = setting("write-cni-conf-when-ready").rsplit('/').next().filter(|file| !file.is_empty()) else {
        return;
    };
    let exclusive = setting("cni-exclusive") == "true";
    if memory.wrote.is_none() {
        if memory.failed.is_some_and(|failed| !pass.due(failed, RETRIES_AFTER)) {
            return;
        }
        let source = match setting("read-cni-conf") {
            "" => chained(
                &pass.nodes.node(node_name).fs,
                file,
                setting("cni-chaining-target"),
                setting("cni-chaining-mode"),
            ),
            path => given(pass, pod, path),
        };
        let failure = match source {
            Ok(content) => {
                memory.wrote = Some((file.to_owned(), content));
                None
            }
            Err(failure) => {
                memory.failed = Some(pass.now);
                pass.due(pass.now, RETRIES_AFTER);
                Some(failure)
            }
        };
        let node = pass.nodes.node(node_name);
        if let (None, Some((file, content))) = (&failure, &memory.wrote) {
            node.fs.write(file, content);
        }
        if let Some(agent) = &mut node.agent {
            agent.failure = failure;
        }
    }
    let fs = &mut pass.nodes.node(node_name).fs;
    if exclusive && let Some((file, content)) = &memory.wrote {
        if fs.read(file) != Some(content) {
            fs.write(file, content);
        }
        let others: Vec<String> = fs.configurations().filter(|name| *name != file).cloned().collect();
        for other in others {
            fs.rename(&other, &format!("{other}.cilium_bak"));
        }
    }
}

/// The configuration with cilium-cni behind the network `target`.
fn chained(fs: &NodeFs, own: &str, target: &str, mode: &str) -> Result<Vec<u8>, String> {
    let mut entry =
        json!({ "type": "cilium-cni", "enable-debug": false, "log-file": "/var/run/cilium/cilium-cni.log" });
    if target.is_empty() {
        return match mode {
            "" | "none" => {
                Ok(json!({ "cniVersion": "0.3.1", "name": "cilium", "plugins": [entry] }).to_string().into_bytes())
            }
            mode => Err(format!("invalid CNI chaining mode: {mode}")),
        };
    }
    entry["chaining-mode"] = json!(if mode.is_empty() { "generic-veth" } else { mode });
    let named = fs
        .files()
        .iter()
        .filter(|(name, _)| name.as_str() != own && (is_loaded(name) || name.ends_with(".cilium_bak")));
    let found = named
        .filter_map(|(_, content)| serde_json::from_slice::<Value>(content).ok())
        .find(|network| objects::text(network, "/name") == target);
    let Some(mut network) = found else {
        return Err("no matching CNI configurations found (will retry)".to_owned());
    };
    let mut plugins: Vec<Value> = match network.get("plugins").and_then(Value::as_array) {
        Some(plugins) => plugins.clone(),
        None => vec![network.clone()],
    };
    plugins.retain(|plugin| objects::text(plugin, "/type") != "cilium-cni");
    plugins.push(entry);
    network = json!({ "cniVersion": network.get("cniVersion"), "name": target, "plugins": plugins });
    Ok(network.to_string().into_bytes())
}

/// The file of the ConfigMap that is mounted for `read-cni-conf`.
fn given(pass: &Pass<'_>, pod: &Value, path: &str) -> Result<Vec<u8>, String> {
    let volumes = objects::list(pod, "/spec/volumes").iter();
    let map = volumes.filter(|volume| objects::name_of_container(volume) == "cni-configuration").find_map(|volume| {
        pass.view.find(&Resource::CONFIG_MAPS, objects::namespace(pod), objects::text(volume, "/configMap/name"))
    });
    let key = path.rsplit('/').next().unwrap_or_default();
    let content = map.and_then(|map| map.get("data")?.get(key)?.as_str());
    content.map(|text| text.as_bytes().to_vec()).ok_or_else(|| "failed to read source CNI config file".to_owned())
}

fn register_node(pass: &mut Pass<'_>, name: &str, agent: &AgentProcess) {
    let view = pass.view;
    if view.find(&Resource::CILIUM_NODES, "", name).is_some() {
        return;
    }
    let Some(node) = view.find(&Resource::NODES, "", name) else { return };
    // The operator hands out one part of the pool per node; which one does not matter here.
    let pool = agent.settings.get("cluster-pool-ipv4-cidr").map_or("100.65.0.0/16", String::as_str);
    let prefix: Vec<&str> = pool.split('.').take(2).collect();
    let part = view.all(&Resource::CILIUM_NODES).len() % 256;
    let cilium_node = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNode",
        "metadata": {
            "name": name,
            "labels": node["metadata"]["labels"],
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": name, "uid": objects::uid(node) }],
        },
        "spec": {
            "addresses": [
                { "type": "InternalIP", "ip": objects::internal_ip(node) },
                { "type": "CiliumInternalIP", "ip": format!("{}.{part}.1", prefix.join(".")) },
            ],
            "ipam": { "podCIDRs": [format!("{}.{part}.0/24", prefix.join("."))] },
        },
    });
    let answer = pass.cluster.create(&Resource::CILIUM_NODES, &cilium_node);
    pass.attempt(answer);
}

/// Endpoints of pods that went through cilium-cni, made and removed by the agent of their node.
fn endpoints(pass: &mut Pass<'_>) {
    let view = pass.view;
    let mut live = BTreeSet::new();
    let mut missing = Vec::new();
    for (node_name, node) in pass.nodes.iter() {
        let serving = node.agent.as_ref().filter(|agent| agent.serving);
        for (uid, sandbox) in node.sandboxes.iter().filter(|(_, sandbox)| sandbox.chained) {
            live.insert(uid.clone());
            if serving.is_some() {
                missing.push((node_name.clone(), uid.clone(), sandbox.clone()));
            }
        }
    }
    for endpoint in view.all(&Resource::CILIUM_ENDPOINTS) {
        let owner = objects::list(endpoint, "/metadata/ownerReferences").first();
        let orphan = owner.is_some_and(|owner| !live.contains(objects::text(owner, "/uid")));
        if orphan && agent_of(pass, endpoint).is_some() {
            let object = Resource::CILIUM_ENDPOINTS.named(objects::namespace(endpoint), objects::name(endpoint));
            let answer = pass.cluster.delete(&object, Some(objects::uid(endpoint)));
            pass.attempt(answer);
        }
    }
    for (node_name, uid, sandbox) in missing {
        let Some(node) = view.find(&Resource::NODES, "", &node_name) else { continue };
        if view.find(&Resource::CILIUM_ENDPOINTS, &sandbox.namespace, &sandbox.name).is_some() {
            take_over(pass, &node_name, &uid);
            continue;
        }
        if !pass.due(sandbox.made_at, pass.jitter.millis(&format!("endpoint/{uid}"), 200, 1_300)) {
            continue;
        }
        let endpoint = endpoint(pass, &uid, &sandbox, objects::internal_ip(node));
        let answer = pass.cluster.create(&Resource::CILIUM_ENDPOINTS, &endpoint);
        pass.attempt(answer);
    }
}

/// A restarted agent makes the programs of an older endpoint again, some time after it is ready; until then they do what they did.
fn take_over(pass: &mut Pass<'_>, node: &str, uid: &str) {
    let Some(agent) = pass.nodes.node(node).agent.clone() else { return };
    let after = pass.jitter.millis(&format!("regenerate/{}/{uid}", agent.pod), 5_000, 25_000);
    if pass.due(agent.since, after)
        && let Some(sandbox) = pass.nodes.node(node).sandboxes.get_mut(uid)
    {
        sandbox.enforced = agent.enforces();
    }
}

/// The serving agent of the node an endpoint is on.
fn agent_of<'a>(pass: &'a Pass<'_>, endpoint: &Value) -> Option<&'a AgentProcess> {
    let address = objects::text(endpoint, "/status/networking/node");
    let node = pass.view.all(&Resource::NODES).iter().find(|node| objects::internal_ip(node) == address)?;
    pass.nodes.get(objects::name(node))?.agent.as_ref().filter(|agent| agent.serving)
}

fn endpoint(pass: &Pass<'_>, uid: &str, sandbox: &super::Sandbox, node_ip: &str) -> Value {
    let pod = pass.view.find(&Resource::PODS, &sandbox.namespace, &sandbox.name);
    let labels = pod.and_then(|pod| pod["metadata"].get("labels").cloned()).unwrap_or_else(|| json!({}));
    let bits = pass.jitter.bits(&format!("identity/{labels}"));
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumEndpoint",
        "metadata": {
            "name": sandbox.name,
            "namespace": sandbox.namespace,
            "labels": labels,
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": sandbox.name, "uid": uid }],
        },
        "status": {
            "id": pass.jitter.bits(&format!("endpoint-id/{uid}")) % 4_000 + 1,
            "identity": { "id": bits % 60_000 + 256, "labels": [] },
            "networking": { "addressing": [{ "ipv4": sandbox.ip }], "node": node_ip },
            "state": "ready",
        },
    })
}
