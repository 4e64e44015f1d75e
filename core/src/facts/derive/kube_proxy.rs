//! What there is of kube-proxy, and who owns it: for a plan that replaces it, read when one is asked for and part of no snapshot.

use std::collections::BTreeSet;

use serde_json::Value;

use super::command_line::{CommandLine, Runs};
use super::object::{by_name, list, meta, name, namespace, number, pull_secrets, some_text, text, texts};
use super::owner::owner;
use super::services::{self, configuration, is_kube_proxy, is_static_kube_proxy, mode_of};
use crate::plan::action::KUBE_PROXY_LABEL;
use crate::plan::kube_proxy::found::{Distribution, StaticPods};
use crate::plan::kube_proxy::{ApiServer, Found, ProxySet};
use crate::plan::{ObjectRef, Resource};
use crate::render::Stream;

/// ConfigMaps that [`kube_proxy`] wants to see of these DaemonSets.
pub fn kube_proxy_config(sets: &[Value]) -> Vec<ObjectRef> {
    let proxies = sets.iter().filter_map(services::kube_proxy);
    let maps = proxies.filter_map(|(set, proxy)| Some((namespace(set), configuration(set, proxy)?.0)));
    maps.map(|(namespace, map)| Resource::CONFIG_MAPS.named(namespace, map)).collect()
}

/// What there is of kube-proxy, from every DaemonSet, pod, Service and node of a cluster and from the ConfigMaps of
/// [`kube_proxy_config`].
pub fn kube_proxy(sets: &[Value], maps: &[Value], pods: &[Value], services: &[Value], nodes: &[Value]) -> Found {
    let proxies = by_name(sets).into_iter().filter_map(services::kube_proxy);
    let statics = by_name(pods.iter().filter(|pod| is_static_kube_proxy(pod)));
    let count =
        |wanted: &dyn Fn(&&Value) -> bool| u32::try_from(services.iter().filter(wanted).count()).unwrap_or(u32::MAX);
    let distribution = |node: &Value| {
        Distribution::of(text(node, "/status/nodeInfo/kubeletVersion"), text(node, "/status/nodeInfo/osImage"))
    };
    Found {
        sets: proxies.map(|(set, proxy)| of_set(set, proxy, maps)).collect(),
        static_pods: statics.first().map(|pod| of_static_pod(pod)),
        distribution: nodes.iter().find_map(distribution),
        service_addresses: services.iter().flat_map(addresses).collect(),
        local_traffic: count(&|service| text(service, "/spec/externalTrafficPolicy") == "Local"),
        health_checks: count(&|service| number(service, "/spec/healthCheckNodePort") > 0),
        sctp: count(&|service| list(service, "/spec/ports").iter().any(|port| text(port, "/protocol") == "SCTP")),
        affinity: count(&|service| text(service, "/spec/sessionAffinity") == "ClientIP"),
        labelled: nodes
            .iter()
            .filter(|node| meta(node, "labels", KUBE_PROXY_LABEL).is_some())
            .map(|node| name(node).to_owned())
            .collect(),
    }
}

fn of_static_pod(pod: &Value) -> StaticPods {
    let proxy = list(pod, "/spec/containers").iter().find(|container| is_kube_proxy(container));
    StaticPods {
        namespace: namespace(pod).to_owned(),
        image: proxy.map(|proxy| text(proxy, "/image").to_owned()).unwrap_or_default(),
        program: proxy.map(program).unwrap_or_default(),
    }
}

/// Whether a pod runs kube-proxy, whoever has made it.
pub fn runs_kube_proxy(pod: &Value) -> bool {
    list(pod, "/spec/containers").iter().any(is_kube_proxy)
}

fn of_set(set: &Value, proxy: &Value, maps: &[Value]) -> ProxySet {
    let find = |wanted: &str| maps.iter().find(|map| namespace(map) == namespace(set) && name(map) == wanted);
    let selector = set.pointer("/spec/template/spec/nodeSelector");
    ProxySet {
        namespace: namespace(set).to_owned(),
        name: name(set).to_owned(),
        image: text(proxy, "/image").to_owned(),
        image_pull_secrets: pull_secrets(&set["spec"]["template"]["spec"]),
        program: program(proxy),
        mode: mode_of(set, proxy, find),
        owner: Some(owner(set)),
        desired: number(set, "/status/desiredNumberScheduled"),
        ready: number(set, "/status/numberReady"),
        limited: selector.is_some_and(|selector| selector.get(KUBE_PROXY_LABEL).is_some()),
        api_server: api_server(set, proxy, find),
    }
}

/// The words that start it; from within a shell's text, by its name alone.
fn program(proxy: &Value) -> Vec<String> {
    let line = CommandLine::of(proxy);
    match line.runs(&["kube-proxy"]) {
        Runs::Directly => line.program(),
        _ => vec!["kube-proxy".to_owned()],
    }
}

/// The server of the kubeconfig that kube-proxy itself uses, which may lean on no Service: a key of the ConfigMap that holds its
/// configuration, as kubeadm makes it.
fn api_server<'m>(set: &Value, proxy: &Value, maps: impl Fn(&str) -> Option<&'m Value>) -> Option<ApiServer> {
    let (map, key) = configuration(set, proxy)?;
    let data = maps(map)?.get("data")?;
    let read = |key: &str| {
        let stream = Stream::parse(data.get(key)?.as_str()?.as_bytes()).ok()?;
        Some(stream.documents().first()?.objects().first()?.value.clone())
    };
    let path = some_text(&read(&key)?, "/clientConnection/kubeconfig")?;
    let kubeconfig = read(path.rsplit('/').next()?)?;
    let context = text(&kubeconfig, "/current-context");
    let named = |pointer: &str, wanted: &str| list(&kubeconfig, pointer).iter().find(|one| name_of(one) == wanted);
    let cluster = text(named("/contexts", context)?, "/context/cluster");
    ApiServer::of_url(text(named("/clusters", cluster)?, "/cluster/server"))
}

fn name_of(entry: &Value) -> &str {
    text(entry, "/name")
}

/// Every address at which a Service is reached.
fn addresses(service: &Value) -> BTreeSet<String> {
    let ingress = list(service, "/status/loadBalancer/ingress").iter();
    let mut all: BTreeSet<String> =
        ingress.flat_map(|one| [text(one, "/ip"), text(one, "/hostname")]).map(str::to_owned).collect();
    all.extend(texts(service, "/spec/clusterIPs"));
    all.extend(texts(service, "/spec/externalIPs"));
    all.insert(text(service, "/spec/clusterIP").to_owned());
    all.insert(text(service, "/spec/loadBalancerIP").to_owned());
    all.retain(|address| !matches!(address.as_str(), "" | "None"));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> Value {
        json!({
            "metadata": { "namespace": "kube-system", "name": "kube-proxy" },
            "spec": { "template": { "spec": {
                "nodeSelector": { "kubernetes.io/os": "linux" },
                "containers": [{
                    "name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v1.34.4",
                    "command": ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"],
                    "volumeMounts": [{ "name": "kube-proxy", "mountPath": "/var/lib/kube-proxy" }],
                }],
                "volumes": [{ "name": "kube-proxy", "configMap": { "name": "kube-proxy" } }],
            } } },
            "status": { "desiredNumberScheduled": 2, "numberReady": 2 },
        })
    }

    fn map() -> Value {
        json!({
            "metadata": { "namespace": "kube-system", "name": "kube-proxy" },
            "data": {
                "config.conf": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: \"\"\n\
                    clientConnection:\n  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf\n",
                "kubeconfig.conf": "apiVersion: v1\nkind: Config\nclusters:\n- name: other\n  cluster: {server: https://10.0.0.9:1}\n\
                    - name: default\n  cluster: {server: https://192.0.2.10:6443}\ncontexts:\n- name: c\n  context: {cluster: default}\n\
                    current-context: c\n",
            },
        })
    }

    #[test]
    fn a_kube_proxy_of_kubeadm_tells_its_mode_and_its_api_server() {
        let found = kube_proxy(&[set()], &[map()], &[], &[], &[]);
        let one = &found.sets[0];
        assert_eq!(kube_proxy_config(&[set()]), [Resource::CONFIG_MAPS.named("kube-system", "kube-proxy")]);
        assert_eq!((one.object().as_str(), one.mode.as_str()), ("daemonset kube-system/kube-proxy", "iptables"));
        assert_eq!(one.program, ["/usr/local/bin/kube-proxy"]);
        assert_eq!(one.api_server.as_ref().map(ToString::to_string).as_deref(), Some("192.0.2.10:6443"));
        assert!(!one.limited);
        let mut by_shell = set();
        by_shell["spec"]["template"]["spec"]["containers"][0]["command"] =
            json!(["sh", "-c", "kube-proxy --v=2 1>>/var/log/kube-proxy.log 2>&1"]);
        assert_eq!(kube_proxy(&[by_shell], &[map()], &[], &[], &[]).sets[0].program, ["kube-proxy"]);
        let unread = kube_proxy(&[set()], &[], &[], &[], &[]);
        assert_eq!((unread.sets[0].mode.as_str(), &unread.sets[0].api_server), ("", &None));
    }

    #[test]
    fn a_static_pod_tells_its_image_and_is_told_from_others() {
        let container =
            json!({ "image": "rancher/hardened-kube-proxy:v1.34.4", "command": ["kube-proxy"], "args": ["--v=2"] });
        let pod = |owner: &str| {
            json!({
                "metadata": { "namespace": "kube-system", "name": "kube-proxy-n1", "ownerReferences": [{ "kind": owner, "name": "n1", "controller": true }] },
                "spec": { "containers": [{ "image": "x", "command": ["sleep"] }, container.clone()] },
            })
        };
        let found = kube_proxy(&[], &[], &[pod("Node")], &[], &[]).static_pods.unwrap();
        assert_eq!(
            (found.image.as_str(), found.program),
            ("rancher/hardened-kube-proxy:v1.34.4", vec!["kube-proxy".to_owned()])
        );
        assert_eq!(kube_proxy(&[], &[], &[pod("DaemonSet")], &[], &[]).static_pods, None);
        assert!(runs_kube_proxy(&pod("DaemonSet")));
        assert!(!runs_kube_proxy(&json!({ "spec": { "containers": [{ "command": ["sleep"] }] } })));
    }

    #[test]
    fn services_and_nodes_are_looked_at_as_a_whole() {
        let services = [
            json!({ "spec": { "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "externalIPs": ["192.0.2.1"] } }),
            json!({
                "spec": { "clusterIP": "None", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000 },
                "status": { "loadBalancer": { "ingress": [{ "hostname": "lb.example.com" }] } },
            }),
        ];
        let nodes = [
            json!({ "metadata": { "name": "n1", "labels": { KUBE_PROXY_LABEL: "true" } } }),
            json!({ "metadata": { "name": "n2" }, "status": { "nodeInfo": { "kubeletVersion": "v1.34.4+k3s1" } } }),
        ];
        let found = kube_proxy(&[], &[], &[], &services, &nodes);
        let addresses: Vec<&str> = found.service_addresses.iter().map(String::as_str).collect();
        assert_eq!(addresses, ["10.96.0.1", "192.0.2.1", "lb.example.com"]);
        assert_eq!((found.local_traffic, found.health_checks, found.affinity), (1, 1, 0));
        assert_eq!(found.labelled, BTreeSet::from(["n1".to_owned()]));
        assert_eq!(found.distribution, Some(Distribution::K3s));
    }
}
