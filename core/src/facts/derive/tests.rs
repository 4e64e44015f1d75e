//! A small cluster, and what becomes of it when parts of it are missing.

use serde_json::json;

use super::*;
use crate::facts::kube_ovn::{ConfWriter, Owner};

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn deployment(namespace: &str, container: Value) -> Value {
    json!({
        "metadata": { "name": "kube-ovn-controller", "namespace": namespace },
        "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": "sidecar" }, container] } } },
    })
}

fn controller() -> Value {
    json!({
        "name": "controller", "image": "kubeovn/kube-ovn:v1.14.41",
        "command": ["/kube-ovn/start-controller.sh"], "args": ["--enable-np", "--enable-lb=false"],
    })
}

fn cni(namespace: &str) -> Value {
    json!({
        "metadata": { "name": "kube-ovn-cni", "namespace": namespace },
        "spec": { "template": { "spec": {
            "serviceAccountName": "kube-ovn-cni", "imagePullSecrets": [{ "name": "pull" }],
            "initContainers": [{
                "command": ["/kube-ovn/install-cni.sh", "--cni-conf-name=02-kube-ovn.conflist"],
                "volumeMounts": [{ "mountPath": "/etc/cni/net.d", "name": "conf" }],
            }],
            "containers": [{
                "name": "cni-server", "image": "kubeovn/kube-ovn:v1.14.41",
                "command": ["bash", "/kube-ovn/start-cniserver.sh"],
                "args": ["--iface=", "--network-type", "vxlan", "--mtu=1400", "--cni-conf-name=10-kube-ovn.conflist"],
            }],
            "volumes": [{ "name": "conf", "hostPath": { "path": "/var/lib/rancher/k3s/agent/etc/cni/net.d/" } }],
        } } },
        "status": { "desiredNumberScheduled": 3, "numberReady": 2 },
    })
}

fn kube_proxy(set_args: Value) -> Value {
    json!({
        "metadata": { "name": "kube-proxy", "namespace": "kube-system" },
        "spec": { "template": { "spec": {
            "containers": [{
                "command": set_args,
                "volumeMounts": [{ "mountPath": "/var/lib/kube-proxy", "name": "config" }],
            }],
            "volumes": [{ "name": "config", "configMap": { "name": "kube-proxy" } }],
        } } },
        "status": { "desiredNumberScheduled": 3, "numberReady": 3 },
    })
}

fn config_map(name: &str, data: Value) -> Value {
    json!({ "metadata": { "name": name, "namespace": "kube-system" }, "data": data })
}

/// A cluster whose listings are all complete, and all empty but for the given ones.
fn cluster(listings: Vec<(Resource, Vec<Value>)>) -> Inventory {
    let mut inventory = Inventory::default();
    for resource in Resource::ALL {
        inventory.listings.insert(*resource, Listing::Complete(Vec::new()));
    }
    for (resource, objects) in listings {
        inventory.listings.insert(resource, Listing::Complete(objects));
    }
    inventory
}

fn facts(inventory: &Inventory) -> Facts {
    derive(inventory, Source::Rehearsal, AT)
}

fn reason<T>(subject: &Subject<T>) -> &str {
    subject.value.as_result().err().unwrap_or("(known)")
}

fn small_cluster() -> Inventory {
    let proxy = kube_proxy(json!(["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"]));
    cluster(vec![
        (Resource::DEPLOYMENTS, vec![deployment("net", controller())]),
        (Resource::DAEMON_SETS, vec![cni("net"), proxy, cni("elsewhere")]),
        (Resource::CONFIG_MAPS, vec![config_map("kube-proxy", json!({ "config.conf": "kind: X\nmode: ipvs\n" }))]),
        (
            Resource::NODES,
            vec![json!({
                "metadata": { "name": "a", "uid": "u", "labels": { "node-role.kubernetes.io/control-plane": "" } },
                "spec": { "podCIDRs": ["10.244.0.0/24"], "unschedulable": true },
                "status": {
                    "nodeInfo": { "kernelVersion": "6.1.0" },
                    "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }, { "type": "Hostname", "address": "a" }],
                    "conditions": [{ "type": "Ready", "status": "True" }],
                },
            })],
        ),
        (
            Resource::SUBNETS,
            vec![
                json!({ "metadata": { "name": "ovn-default" },
                    "spec": { "cidrBlock": "10.16.0.0/16,fd00::/64", "vpc": "ovn-cluster", "protocol": "Dual" } }),
                json!({ "metadata": { "name": "join" }, "spec": { "cidrBlock": "100.64.0.0/16" } }),
                json!({ "metadata": { "name": "phys" }, "spec": { "cidrBlock": "10.9.0.0/24", "vlan": "v1", "u2oInterconnection": true } }),
            ],
        ),
        (
            Resource::VPCS,
            vec![
                json!({ "metadata": { "name": "ovn-cluster" }, "status": { "tcpLoadBalancer": "" } }),
                json!({ "metadata": { "name": "tenant" } }),
            ],
        ),
        (
            Resource::SERVICES,
            vec![
                json!({ "metadata": { "name": "kubernetes", "namespace": "default" }, "spec": { "clusterIP": "10.96.0.1" } }),
                json!({ "metadata": { "name": "headless", "namespace": "a" }, "spec": { "clusterIP": "None" } }),
                json!({ "metadata": { "name": "web", "namespace": "a" }, "spec": { "clusterIP": "10.96.0.9", "type": "NodePort" } }),
            ],
        ),
        (
            Resource::PODS,
            vec![json!({
                "metadata": { "name": "web-1", "namespace": "a", "uid": "p", "annotations": { "ovncilium.io/recycle": "never" },
                              "ownerReferences": [{ "kind": "ReplicaSet", "name": "web", "controller": true }] },
                "spec": { "nodeName": "a", "containers": [{ "ports": [{ "containerPort": 80, "hostPort": 8080 }] }] },
                "status": { "phase": "Running", "podIPs": [{ "ip": "10.16.0.5" }] },
            })],
        ),
    ])
}

#[test]
fn finds_kube_ovn_by_what_containers_run() {
    let facts = facts(&small_cluster());
    let installation = facts.kube_ovn.value.known().unwrap().the_one().unwrap();
    assert_eq!((installation.namespace.as_str(), installation.version.as_deref()), ("net", Some("v1.14.41")));
    let controller = &installation.controller;
    assert_eq!(
        (controller.container, controller.container_name.as_str(), controller.replicas),
        (1, "controller", Some(2))
    );
    assert_eq!((controller.flags_in.as_str(), controller.flags_list.len()), ("args", 2));
    assert!(controller.enable_np && !controller.enable_lb && !controller.enable_lb_svc);
    let cni = &installation.cni;
    assert_eq!((cni.writer, cni.conf_name.as_str()), (ConfWriter::InstallCni, "02-kube-ovn.conflist"));
    assert_eq!(cni.conf_dir, "/var/lib/rancher/k3s/agent/etc/cni/net.d");
    assert_eq!((cni.iface.as_deref(), cni.network_type.as_str(), cni.mtu), (None, "vxlan", 1400));
    assert_eq!((cni.image_pull_secrets.as_slice(), cni.non_primary), (["pull".to_owned()].as_slice(), false));
    assert_eq!(cni.service_account, "kube-ovn-cni");
}

#[test]
fn knows_the_rest_of_a_small_cluster() {
    let facts = facts(&small_cluster());
    let node = &facts.nodes.value.known().unwrap().items[0];
    assert!(node.control_plane && node.ready && node.unschedulable && node.kernel.as_deref() == Some("6.1.0"));
    let networks = facts.networks.value.known().unwrap();
    assert_eq!(networks.custom_vpcs, ["tenant"]);
    assert_eq!(networks.default_vpc_load_balancer.as_deref(), Some(""));
    assert!(networks.subnets[2].underlay && networks.subnets[2].u2o && !networks.subnets[1].underlay);
    let ranges = &facts.addresses.value.known().unwrap().ranges;
    let told: Vec<String> = ranges.iter().map(|range| format!("{} {}", range.kind, range.cidr)).collect();
    assert_eq!(
        told,
        [
            "join 100.64.0.0/16",
            "pod 10.16.0.0/16",
            "pod fd00::/64",
            "pod 10.9.0.0/24",
            "service 10.96.0.0/12",
            "node 10.0.0.1/32",
            "node 10.244.0.0/24",
        ]
    );
    let services = facts.services.value.known().unwrap();
    assert_eq!((services.cluster_ip, services.node_port, services.api_server.as_deref()), (2, 1, Some("10.96.0.1")));
    let providers: Vec<String> = services
        .providers
        .iter()
        .map(|p| format!("{} {} {}/{} {}", p.kind, p.object, p.ready, p.desired, p.mode))
        .collect();
    assert_eq!(providers, ["kube-proxy daemonset kube-system/kube-proxy 3/3 ipvs"]);
    let pod = &facts.workloads.value.known().unwrap().pods[0];
    assert!(pod.host_port && pod.recycle.as_deref() == Some("never") && pod.owner_kind == "ReplicaSet");
    let unknown: Vec<&str> = facts.unknowns().iter().map(|(name, _)| *name).collect();
    assert_eq!(unknown, ["permissions", "tools", "conflists", "node-os", "intent"]);
    assert_eq!(facts.nodes.observed_at, Some(AT));
}

#[test]
fn the_same_cluster_in_another_order_has_the_same_digest() {
    let mut turned = small_cluster();
    for listing in turned.listings.values_mut() {
        if let Listing::Complete(objects) = listing {
            objects.reverse();
        }
    }
    let (a, b) = (facts(&small_cluster()), facts(&turned));
    assert_eq!(a.digest(), b.digest());
    assert_ne!(a.digest(), facts(&cluster(vec![])).digest());
}

#[test]
fn what_is_found_first_does_not_hang_on_the_order_of_a_listing() {
    let proxies = |namespaces: [&str; 2]| {
        let set = |namespace: &str| {
            let mut set = kube_proxy(json!(["kube-proxy"]));
            set["metadata"]["namespace"] = json!(namespace);
            set
        };
        let pod = |namespace: &str| {
            json!({
                "metadata": { "name": "kube-proxy", "namespace": namespace,
                              "ownerReferences": [{ "kind": "Node", "controller": true }] },
                "spec": { "containers": [{ "command": ["kube-proxy"] }] },
            })
        };
        facts(&cluster(vec![
            (Resource::DAEMON_SETS, namespaces.map(set).to_vec()),
            (Resource::PODS, namespaces.map(pod).to_vec()),
        ]))
    };
    let (one, other) = (proxies(["a", "b"]), proxies(["b", "a"]));
    assert_eq!(one, other);
    assert_eq!(one.services.value.known().unwrap().providers[2].object, "static pods of kube-proxy in a");
    let told = |sets: Vec<Value>| {
        let inventory = cluster(vec![
            (Resource::DEPLOYMENTS, vec![deployment("net", controller())]),
            (Resource::CONFIG_MAPS, vec![config_map("cilium-config", json!({}))]),
            (Resource::DAEMON_SETS, sets),
        ]);
        let facts = facts(&inventory);
        (reason(&facts.kube_ovn).to_owned(), reason(&facts.cilium).to_owned())
    };
    let (mut second_cni, mut second_agent) = (cni("net"), agent());
    second_cni["metadata"]["name"] = json!("kube-ovn-cni-dpdk");
    second_agent["metadata"]["name"] = json!("cilium-windows");
    let sets = vec![cni("net"), agent(), second_cni, second_agent];
    let turned: Vec<Value> = sets.iter().rev().cloned().collect();
    assert_eq!(told(sets), told(turned));
}

#[test]
fn manifests_tell_how_kube_ovn_is_installed_and_nothing_else() {
    let mut inventory = small_cluster();
    for listing in inventory.listings.values_mut() {
        if let Listing::Complete(objects) = listing {
            *listing = Listing::Partial(std::mem::take(objects));
        }
    }
    let known = facts(&inventory);
    assert!(known.kube_ovn.value.known().is_some());
    for (name, why) in known.unknowns() {
        assert_ne!(name, "kube-ovn");
        assert!(!why.is_empty(), "{name}");
    }
    assert_eq!(known.unknowns().len(), crate::facts::NAMES.len() - 1);
    assert_eq!(reason(&known.nodes), "nodes are only known as far as the manifests go");
    inventory.listings.insert(Resource::DEPLOYMENTS, Listing::Partial(vec![]));
    assert_eq!(reason(&facts(&inventory).kube_ovn), "no workload in the manifests runs kube-ovn-controller");
}

#[test]
fn what_cannot_be_read_is_unknown_and_so_is_what_follows_from_it() {
    let mut inventory = small_cluster();
    inventory.listings.insert(Resource::DAEMON_SETS, Listing::Unreadable("forbidden".to_owned()));
    inventory.listings.insert(Resource::VPC_DNSES, Listing::NotServed);
    let known = facts(&inventory);
    let unreadable = "daemonsets could not be read: forbidden";
    assert_eq!(reason(&known.kube_ovn), unreadable);
    assert_eq!(reason(&known.cilium), unreadable);
    assert_eq!(reason(&known.services), unreadable);
    assert_eq!(reason(&known.addresses), unreadable);
    assert_eq!(reason(&known.networks), "(known)");
    inventory.listings.remove(&Resource::NODES);
    assert_eq!(reason(&facts(&inventory).nodes), "nodes were not read");
}

#[test]
fn an_installation_that_cannot_be_understood_is_unknown_not_guessed() {
    let with = |container: Value, sets: Vec<Value>| {
        let inventory =
            cluster(vec![(Resource::DEPLOYMENTS, vec![deployment("net", container)]), (Resource::DAEMON_SETS, sets)]);
        reason(&facts(&inventory).kube_ovn).to_owned()
    };
    assert_eq!(
        with(json!({ "command": ["sh", "-c", "/kube-ovn/start-controller.sh --enable-np=false"] }), vec![cni("net")]),
        "deployment net/kube-ovn-controller starts kube-ovn-controller from a shell text, where its flags cannot be read"
    );
    assert_eq!(
        with(json!({ "args": ["/kube-ovn/start-controller.sh", "--enable-np=$(NP)"] }), vec![cni("net")]),
        "deployment net/kube-ovn-controller has --enable-np=$(NP), which is neither true nor false"
    );
    assert_eq!(
        with(controller(), vec![cni("other")]),
        "deployment net/kube-ovn-controller runs kube-ovn-controller, but no DaemonSet beside it runs kube-ovn-daemon"
    );
    let mut unmounted = cni("net");
    unmounted["spec"]["template"]["spec"]["volumes"] = json!([]);
    assert_eq!(
        with(controller(), vec![unmounted]),
        "daemonset net/kube-ovn-cni mounts no directory of the host for CNI configuration"
    );
    assert!(with(controller(), vec![cni("net"), cni("net")]).ends_with("both run kube-ovn-daemon"));
}

#[test]
fn no_installation_is_known_to_be_none() {
    let facts = facts(&cluster(vec![]));
    assert!(facts.kube_ovn.value.known().is_some_and(|kube_ovn| kube_ovn.the_one().is_err()));
    assert!(facts.cilium.value.known().is_some_and(|cilium| cilium.installation.is_none()));
}

fn agent() -> Value {
    json!({
        "metadata": { "name": "cilium", "namespace": "kube-system", "annotations": { "meta.helm.sh/release-name": "cilium" } },
        "spec": { "template": { "spec": { "containers": [
            { "command": ["cilium-agent"], "args": ["--config-dir=/tmp/x"], "image": "quay.io/cilium/cilium:v1.18.2@sha256:aa" },
        ] } } },
        "status": { "desiredNumberScheduled": 3, "numberReady": 1 },
    })
}

#[test]
fn finds_cilium_with_its_configuration_agents_and_endpoints() {
    let inventory = cluster(vec![
        (Resource::DAEMON_SETS, vec![agent()]),
        (Resource::CONFIG_MAPS, vec![config_map("cilium-config", json!({ "kube-proxy-replacement": "strict" }))]),
        (
            Resource::PODS,
            vec![json!({
                "metadata": { "name": "cilium-x", "namespace": "kube-system",
                              "ownerReferences": [{ "kind": "DaemonSet", "name": "cilium", "controller": true }] },
                "spec": { "nodeName": "a" }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            })],
        ),
        (
            Resource::CUSTOM_RESOURCES,
            vec![
                json!({ "metadata": { "name": "ciliumnodes.cilium.io" }, "spec": { "group": "cilium.io" } }),
                json!({ "metadata": { "name": "subnets.kubeovn.io" }, "spec": { "group": "kubeovn.io" } }),
            ],
        ),
        (
            Resource::CILIUM_ENDPOINTS,
            vec![json!({
                "metadata": { "name": "web-1", "namespace": "a" },
                "status": { "state": "ready", "networking": { "addressing": [{ "ipv4": "10.16.0.5", "ipv6": "fd00::5" }] } },
            })],
        ),
        (Resource::CILIUM_CLUSTERWIDE_POLICIES, vec![json!({ "metadata": { "name": "deny" } })]),
    ]);
    let facts = facts(&inventory);
    let cilium = facts.cilium.value.known().unwrap();
    let found = cilium.installation.as_ref().unwrap();
    assert_eq!((found.version.as_deref(), found.release.as_deref()), (Some("1.18.2"), Some("cilium")));
    assert_eq!(found.owner, Owner::Helm { release: "cilium".to_owned(), namespace: String::new() });
    assert!(found.agents.len() == 1 && found.agents[0].ready && found.agents[0].node == "a");
    assert_eq!(cilium.crds, ["ciliumnodes.cilium.io"]);
    assert_eq!(cilium.endpoints[0].ips, ["10.16.0.5", "fd00::5"]);
    assert_eq!(cilium.policies, ["CiliumClusterwideNetworkPolicy deny"]);
    let provider = &facts.services.value.known().unwrap().providers[0];
    assert_eq!((provider.kind.as_str(), provider.ready, provider.desired), ("cilium", 1, 3));
}

#[test]
fn whoever_makes_the_release_of_cilium_again_owns_it() {
    let chart = json!({ "metadata": { "name": "cilium", "namespace": "kube-system" } });
    let mut set = agent();
    set["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = json!("kube-system");
    let inventory = cluster(vec![
        (Resource::DAEMON_SETS, vec![set]),
        (Resource::CONFIG_MAPS, vec![config_map("cilium-config", json!({}))]),
        (Resource::HELM_CHARTS, vec![chart]),
    ]);
    let facts = facts(&inventory);
    let owner = facts.cilium.value.known().unwrap().installation.as_ref().unwrap().owner.clone();
    assert!(matches!(&owner, Owner::External { object, .. } if object == "HelmChart kube-system/cilium"), "{owner:?}");
}

#[test]
fn the_configmap_that_agents_make_their_file_of_is_asked_for_by_name_and_read() {
    let mut set = agent();
    set["spec"]["template"]["spec"]["volumes"] =
        json!([{ "name": "cni-configuration", "configMap": { "name": "cni-configuration" } }]);
    let config = config_map("cilium-config", json!({ "read-cni-conf": "/tmp/cni-configuration/cni-config" }));
    let chain = r#"{"name":"generic-veth","plugins":[{"type":"kube-ovn"},{"type":"portmap"},{"type":"cilium-cni"}]}"#;
    let with = |maps: Vec<Value>| {
        let inventory = cluster(vec![(Resource::DAEMON_SETS, vec![set.clone()]), (Resource::CONFIG_MAPS, maps)]);
        let names: Vec<String> = config_maps(&inventory).into_iter().map(|map| map.name).collect();
        assert_eq!(names, ["cilium-config", "cni-configuration"]);
        let facts = facts(&inventory);
        facts.cilium.value.known().unwrap().installation.clone().unwrap().conf_source.unwrap()
    };
    let source = with(vec![config.clone(), config_map("cni-configuration", json!({ "cni-config": chain }))]);
    assert_eq!((source.config_map.as_str(), source.found), ("kube-system/cni-configuration", true));
    assert_eq!((source.network.as_str(), source.plugins.len()), ("generic-veth", 3));
    assert!(!with(vec![config.clone()]).found);
    assert!(!with(vec![config, config_map("cni-configuration", json!({ "other": chain }))]).found);
}

#[test]
fn cilium_without_its_configuration_or_in_other_versions_is_unknown() {
    let mut inventory = cluster(vec![(Resource::DAEMON_SETS, vec![agent()])]);
    assert_eq!(
        reason(&facts(&inventory).cilium),
        "daemonset kube-system/cilium has no configmap cilium-config beside it"
    );
    assert_eq!(config_maps(&inventory), [Resource::CONFIG_MAPS.named("kube-system", "cilium-config")]);
    inventory.listings.insert(Resource::CONFIG_MAPS, Listing::Unreadable("forbidden".to_owned()));
    assert!(reason(&facts(&inventory).cilium).ends_with("cilium-config could not be read: forbidden"));
    let old = json!({ "metadata": { "name": "ciliumnodeconfigs.cilium.io" }, "spec": { "group": "cilium.io" } });
    let mut inventory = cluster(vec![(Resource::CUSTOM_RESOURCES, vec![old])]);
    inventory.listings.insert(Resource::CILIUM_NODE_CONFIGS, Listing::NotServed);
    assert_eq!(reason(&facts(&inventory).cilium), "ciliumnodeconfigs.cilium.io is served in other versions than v2");
}

#[test]
fn the_mode_of_kube_proxy_comes_from_where_it_reads_it() {
    let mode = |args: Value, maps: Vec<Value>| {
        let inventory = cluster(vec![(Resource::DAEMON_SETS, vec![kube_proxy(args)]), (Resource::CONFIG_MAPS, maps)]);
        facts(&inventory).services.value.known().unwrap().providers[0].mode.clone()
    };
    assert_eq!(mode(json!(["kube-proxy", "--proxy-mode", "nftables"]), vec![]), "nftables");
    assert_eq!(mode(json!(["kube-proxy"]), vec![]), "iptables");
    let from_file = json!(["kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--proxy-mode=ipvs"]);
    assert_eq!(
        mode(from_file.clone(), vec![config_map("kube-proxy", json!({ "config.conf": "mode: \"\"\n" }))]),
        "iptables"
    );
    assert_eq!(mode(from_file, vec![]), "");
}

#[test]
fn static_pods_of_kube_proxy_are_one_provider() {
    let pod = |name: &str, ready: &str| {
        json!({
            "metadata": { "name": name, "namespace": "kube-system", "ownerReferences": [{ "kind": "Node", "controller": true }] },
            "spec": { "containers": [{ "command": ["kube-proxy"] }] },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        })
    };
    let inventory = cluster(vec![(Resource::PODS, vec![pod("kube-proxy-a", "True"), pod("kube-proxy-b", "False")])]);
    let facts = facts(&inventory);
    let provider = &facts.services.value.known().unwrap().providers[0];
    assert_eq!((provider.kind.as_str(), provider.ready, provider.desired), ("kube-proxy", 1, 2));
}

/// The first interface is that of provider `ovn`, unless Multus gives it to another network; a pod that has ended has none.
#[test]
fn only_first_interfaces_of_running_pods_count() {
    let pod = |name: &str, phase: &str, host: bool, annotations: serde_json::Value| {
        json!({
            "metadata": { "name": name, "namespace": "a", "annotations": annotations },
            "spec": { "hostNetwork": host, "containers": [] }, "status": { "phase": phase },
        })
    };
    let first = || json!({ "ovn.kubernetes.io/pod_nic_type": "internal-port" });
    let further = || json!({ "net1.a.ovn.kubernetes.io/pod_nic_type": "offload-port", "ovn.kubernetes.io/pod_nic_type": "veth-pair" });
    let given = json!({ "net1.a.ovn.kubernetes.io/pod_nic_type": "offload-port", "v1.multus-cni.io/default-network": "a/net1" });
    let inventory = cluster(vec![(
        Resource::PODS,
        vec![
            pod("running", "Running", false, first()),
            pod("pending", "Pending", false, first()),
            pod("done", "Succeeded", false, first()),
            pod("failed", "Failed", false, first()),
            pod("host", "Running", true, first()),
            pod("further", "Running", false, further()),
            pod("given", "Running", false, given),
        ],
    )]);
    let facts = facts(&inventory);
    let others = &facts.workloads.value.known().unwrap().other_interfaces;
    let told: Vec<String> = others.iter().map(|other| format!("{} {}", other.pod, other.kind)).collect();
    assert_eq!(told, ["a/given offload-port", "a/pending internal-port", "a/running internal-port"]);
}

#[test]
fn multus_that_holds_a_configuration_itself_is_told_by_its_plugins() {
    let told = |config: serde_json::Value| {
        let set = json!({
            "metadata": { "name": "kube-multus-ds", "namespace": "kube-system" },
            "spec": { "template": { "spec": { "containers": [{}], "volumes": [{ "configMap": { "name": "multus" } }] } } },
        });
        let map = config_map("multus", json!({ "cni-conf.json": config.to_string() }));
        let inventory = cluster(vec![(Resource::DAEMON_SETS, vec![set]), (Resource::CONFIG_MAPS, vec![map])]);
        facts(&inventory).multus.value.known().unwrap().installations[0].told.clone()
    };
    let chain = || json!({ "name": "kube-ovn", "plugins": [{ "type": "kube-ovn" }, { "type": "portmap" }] });
    assert_eq!(
        told(json!({ "type": "multus", "delegates": [chain(), { "type": "macvlan" }] })),
        ["delegates=kube-ovn+portmap"]
    );
    assert_eq!(told(json!({ "type": "multus", "delegates": [{ "type": "kube-ovn" }] })), ["delegates=kube-ovn"]);
    let named = json!({ "type": "multus", "clusterNetwork": "/etc/cni/net.d/x.conflist", "delegates": [chain()] });
    assert_eq!(told(named), ["clusterNetwork=/etc/cni/net.d/x.conflist"]);
    assert_eq!(told(json!({ "type": "multus", "delegates": [] })), Vec::<String>::new());
    assert_eq!(told(json!({ "multusConfigFile": "auto" })), ["multusConfigFile=auto"]);
}

#[test]
fn the_default_vpc_tells_whether_it_is_set_up() {
    let standby = |vpcs: Vec<serde_json::Value>| {
        let facts = facts(&cluster(vec![(Resource::VPCS, vpcs)]));
        facts.networks.value.known().unwrap().default_vpc_standby
    };
    let vpc = |name: &str, status: serde_json::Value| json!({ "metadata": { "name": name }, "status": status });
    let other = || vpc("tenant", json!({ "standby": true }));
    assert_eq!(standby(vec![other(), vpc("ovn-cluster", json!({ "standby": true }))]), Some(true));
    assert_eq!(standby(vec![other(), vpc("ovn-cluster", json!({ "standby": false }))]), Some(false));
    assert_eq!(standby(vec![other(), vpc("ovn-cluster", json!({}))]), None);
    assert_eq!(standby(vec![other()]), None);
}

#[test]
fn pods_without_an_endpoint_of_their_name_are_unmanaged() {
    let pod = |namespace: &str, name: &str, phase: &str, host: bool| {
        json!({
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "hostNetwork": host, "containers": [] }, "status": { "phase": phase },
        })
    };
    let pods = vec![
        pod("a", "web", "Running", false),
        pod("b", "web", "Running", false),
        pod("a", "starting", "Pending", false),
        pod("a", "silent", "", false),
        pod("a", "done", "Succeeded", false),
        pod("a", "failed", "Failed", false),
        pod("kube-system", "etcd", "Running", true),
        pod("kube-system", "coredns-abc", "Running", false),
        pod("kube-system", "kube-dns-x", "Succeeded", false),
    ];
    let endpoint = json!({ "metadata": { "name": "web", "namespace": "a" } });
    let mut inventory = cluster(vec![(Resource::PODS, pods), (Resource::CILIUM_ENDPOINTS, vec![endpoint])]);
    let unmanaged = |inventory: &Inventory| facts(inventory).workloads.value.known().unwrap().unmanaged.clone();
    let found = unmanaged(&inventory).unwrap();
    assert_eq!((found.pods, found.dns), (4, vec!["coredns-abc".to_owned()]));
    let mut accepted = facts(&inventory);
    accepted.accept_unmanaged(&["b/web".to_owned(), "a/web".to_owned(), "a/gone".to_owned()]);
    assert_eq!(accepted.workloads.value.known().unwrap().unmanaged.as_ref().unwrap().pods, 3);
    inventory.listings.insert(Resource::CILIUM_ENDPOINTS, Listing::Unreadable("forbidden".to_owned()));
    assert_eq!(unmanaged(&inventory), None);
}
