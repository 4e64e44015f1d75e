//! What lives in the cluster: a pod of every kind that a migration treats in its own way, and those who ask it.
//!
//! Everybody runs `ovncilium-e2e probe`, this program itself, from a directory that the nodes share with the machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    api::Api,
    error::{Error, Result},
    lab::{Lab, Node, images::WORKLOAD_IMAGE},
    wait::{self, Seen},
};

pub(super) const NAMESPACE: &str = "shop";
/// Where pods answer.
pub(super) const PORT: u16 = 9000;
/// A port of node `n2`.
pub(super) const DOOR: u16 = 30900;
/// A DaemonSet whose pods only their operator deletes.
pub(super) const ON_DELETE: &str = "careful";
/// A Job that works until somebody stops it.
pub(super) const JOB: &str = "work";
/// Pods that no controller makes again.
pub(super) const LEFT: [&str; 2] = ["shop/bare", "shop/static-n2"];
const LIMIT: Duration = Duration::from_secs(120);

/// Where this program is, where answers are written, and the addresses of the Services.
pub(super) struct Town {
    program: PathBuf,
    pub(super) answers: PathBuf,
    db: String,
    pub(super) web: String,
}

impl Town {
    /// Makes all of it and waits until every pod is ready.
    pub(super) fn settle(lab: &Lab, state: &Path) -> Result<Self> {
        let program = env::current_exe().map_err(Error::io("find", "this program"))?;
        let answers = state.join("answers");
        fs::create_dir_all(&answers).map_err(Error::io("create", &answers))?;
        let api = lab.control_plane.api();
        api.create("/api/v1/namespaces", &json!({ "metadata": { "name": NAMESPACE } }))?;
        wait::until("the namespace has its service account", LIMIT, || {
            Ok(match api.find("/api/v1/namespaces/shop/serviceaccounts/default")? {
                Some(_) => Seen::Ready(()),
                None => Seen::NotYet("not there".to_owned()),
            })
        })?;
        let town = Self { program, answers, db: make_service(api, "db")?, web: make_service(api, "web")? };
        for (path, object) in town.objects() {
            api.create(&path, &object)?;
        }
        town.make_static_pod(&lab.nodes[1])?;
        await_pods(api)?;
        Ok(town)
    }

    fn objects(&self) -> Vec<(String, Value)> {
        let of = |group: &str, kind: &str| format!("/{group}/namespaces/{NAMESPACE}/{kind}");
        let workload = |name: &str, more: Value, mut pod: Value| {
            let mut spec = json!({ "selector": { "matchLabels": { "app": name } } });
            for (key, value) in more.as_object().into_iter().flatten() {
                spec[key] = value.clone();
            }
            pod["terminationGracePeriodSeconds"] = json!(1);
            spec["template"] = json!({ "metadata": { "labels": { "app": name } }, "spec": pod });
            json!({ "metadata": { "name": name }, "spec": spec })
        };
        let mut spread = self.server();
        spread["topologySpreadConstraints"] = json!([{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": { "matchLabels": { "app": "db" } },
        }]);
        let mut door = self.server();
        door["nodeSelector"] = json!({ "kubernetes.io/hostname": "n2" });
        door["containers"][0]["ports"] = json!([{ "containerPort": PORT, "hostPort": DOOR }]);
        let mut bare = self.server();
        bare["nodeName"] = json!("n1");
        let mut job = json!({ "metadata": { "labels": { "app": JOB } }, "spec": self.server() });
        job["spec"]["restartPolicy"] = json!("Never");
        job["spec"]["terminationGracePeriodSeconds"] = json!(1);
        let only_clients = json!({
            "podSelector": { "matchLabels": { "app": "db" } }, "policyTypes": ["Ingress"],
            "ingress": [{ "from": [{ "podSelector": { "matchLabels": { "app": "client" } } }] }],
        });
        vec![
            (
                of("apis/apps/v1", "statefulsets"),
                workload(
                    "db",
                    json!({ "serviceName": "db", "replicas": 2, "podManagementPolicy": "Parallel" }),
                    spread,
                ),
            ),
            (of("apis/apps/v1", "deployments"), workload("web", json!({ "replicas": 3 }), self.server())),
            (of("apis/apps/v1", "daemonsets"), workload("everywhere", json!({}), self.server())),
            (
                of("apis/apps/v1", "daemonsets"),
                workload(ON_DELETE, json!({ "updateStrategy": { "type": "OnDelete" } }), self.server()),
            ),
            (of("apis/batch/v1", "jobs"), json!({ "metadata": { "name": JOB }, "spec": { "template": job } })),
            (of("apis/apps/v1", "deployments"), workload("door", json!({ "strategy": { "type": "Recreate" } }), door)),
            (
                of("api/v1", "pods"),
                json!({ "metadata": { "name": "bare", "labels": { "app": "bare" } }, "spec": bare }),
            ),
            (
                of("apis/policy/v1", "poddisruptionbudgets"),
                json!({
                    "metadata": { "name": "web" },
                    "spec": { "minAvailable": 2, "selector": { "matchLabels": { "app": "web" } } },
                }),
            ),
            (
                of("apis/networking.k8s.io/v1", "networkpolicies"),
                json!({ "metadata": { "name": "db" }, "spec": only_clients }),
            ),
        ]
    }

    /// Whether the policy of the databases lets in what comes from no pod: nodes, whose packets lose their mark in the userspace datapath.
    pub(super) fn let_nodes_in(api: &Api, open: bool) -> Result<()> {
        let mut from = vec![json!({ "podSelector": { "matchLabels": { "app": "client" } } })];
        if open {
            from.push(json!({ "ipBlock": { "cidr": "0.0.0.0/0", "except": ["10.16.0.0/16"] } }));
        }
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/db");
        api.merge(&path, &json!({ "spec": { "ingress": [{ "from": from }] } })).map(drop)
    }

    /// A pod that answers with its name, and that the kubelet probes.
    fn server(&self) -> Value {
        let mut pod = self.pod(&["serve", &PORT.to_string(), "$(NAME)"], "metadata.name");
        pod["containers"][0]["readinessProbe"] =
            json!({ "tcpSocket": { "port": PORT }, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1 });
        pod
    }

    fn pod(&self, args: &[&str], name: &str) -> Value {
        let folder = self.program.parent().unwrap_or(Path::new("/"));
        let program = self.program.to_string_lossy().into_owned();
        let command: Vec<&str> = [program.as_str(), "probe"].into_iter().chain(args.iter().copied()).collect();
        json!({
            "containers": [{
                "name": "probe", "image": WORKLOAD_IMAGE, "command": command,
                "env": [{ "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": name } } }],
                "volumeMounts": [
                    { "name": "program", "mountPath": folder, "readOnly": true },
                    { "name": "answers", "mountPath": self.answers },
                ],
            }],
            "volumes": [
                { "name": "program", "hostPath": { "path": folder, "type": "Directory" } },
                { "name": "answers", "hostPath": { "path": self.answers, "type": "Directory" } },
            ],
        })
    }

    fn make_static_pod(&self, node: &Node) -> Result<()> {
        let manifest = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "static", "namespace": NAMESPACE, "labels": { "app": "static" } },
            "spec": self.server(),
        });
        node.put("/etc/kubernetes/manifests/static.yaml", &manifest.to_string())
    }

    /// Starts everybody who asks: `client` and `stranger` on every node, the nodes themselves, and somebody outside.
    pub(super) fn ask(&self, lab: &Lab) -> Result<()> {
        let api = lab.control_plane.api();
        let mut databases = Vec::new();
        for pod in api.list(&format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3Ddb"))? {
            let text = |pointer| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            databases.push((text("/metadata/name"), text("/status/podIP"), text("/spec/nodeName")));
        }
        databases.sort();
        let Self { db, web, .. } = self;
        let mut of_client = vec![format!("vip=new:{db}:{PORT}"), format!("vip-udp=udp:{db}:{PORT}")];
        let mut of_stranger = vec![format!("web=new:{web}:{PORT}")];
        for (name, address, _) in &databases {
            of_client.push(format!("{name}=new:{address}:{PORT}"));
            of_client.push(format!("{name}-held=held:{address}:{PORT}"));
            of_client.push(format!("{name}-udp=udp:{address}:{PORT}"));
            of_stranger.push(format!("{name}=new:{address}:{PORT}"));
        }
        for (name, targets) in [("client", of_client), ("stranger", of_stranger)] {
            for node in &lab.nodes {
                self.ask_from_pod(lab, name, node, &targets)?;
            }
        }
        for node in &lab.nodes {
            let own = databases.iter().filter(|(_, _, on)| *on == node.name);
            let own = own.map(|(name, address, _)| format!("{name}=new:{address}:{PORT}"));
            let targets: Vec<String> = [format!("vip=new:{web}:{PORT}")].into_iter().chain(own).collect();
            self.ask_from_node("node", node, &targets)?;
        }
        await_pods(api)
    }

    /// Starts one who asks from a pod on a node.
    pub(super) fn ask_from_pod(&self, lab: &Lab, name: &str, node: &Node, targets: &[String]) -> Result<()> {
        let folder = self.folder(name, &node.name)?;
        let mut args = vec!["ask", &folder];
        args.extend(targets.iter().map(String::as_str));
        let mut pod = self.pod(&args, "spec.nodeName");
        pod["nodeSelector"] = json!({ "kubernetes.io/hostname": node.name });
        pod["terminationGracePeriodSeconds"] = json!(1);
        let deployment = json!({
            "metadata": { "name": format!("{name}-{}", node.name) },
            "spec": {
                "replicas": 1, "strategy": { "type": "Recreate" },
                "selector": { "matchLabels": { "app": name, "on": node.name } },
                "template": { "metadata": { "labels": { "app": name, "on": node.name } }, "spec": pod },
            },
        });
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
        lab.control_plane.api().create(&path, &deployment).map(drop)
    }

    /// Starts one who asks from the node itself.
    pub(super) fn ask_from_node(&self, name: &str, node: &Node, targets: &[String]) -> Result<()> {
        let (program, folder) = self.asks(name, &node.name)?;
        let args = [program.as_str(), "probe", "ask", &folder];
        let args: Vec<&str> = args.into_iter().chain(targets.iter().map(String::as_str)).collect();
        node.start(&format!("{name}-asks"), &args)
    }

    /// The program that asks and the folder where it writes, which is made.
    pub(super) fn asks(&self, who: &str, on: &str) -> Result<(String, String)> {
        Ok((self.program.to_string_lossy().into_owned(), self.folder(who, on)?))
    }

    /// Where one of those who ask writes, as text; made.
    fn folder(&self, who: &str, on: &str) -> Result<String> {
        let folder = self.answers.join(who).join(on);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(folder.to_string_lossy().into_owned())
    }
}

/// Makes a Service over the pods of its own name and answers with its address. The server chooses it: it passes over an address that
/// turns out to be taken, where it refuses one that it was asked for.
fn make_service(api: &Api, name: &str) -> Result<String> {
    let ports =
        ["TCP", "UDP"].map(|protocol| json!({ "name": protocol.to_lowercase(), "port": PORT, "protocol": protocol }));
    let service = json!({ "metadata": { "name": name }, "spec": { "selector": { "app": name }, "ports": ports } });
    let made = api.create(&format!("/api/v1/namespaces/{NAMESPACE}/services"), &service)?;
    match made.pointer("/spec/clusterIP").and_then(Value::as_str) {
        Some(address) => Ok(address.to_owned()),
        None => Err(Error::Expectation(format!("Service {NAMESPACE}/{name} was made without an address"))),
    }
}

/// Waits until every pod of the town is ready and none is being replaced.
pub(super) fn await_pods(api: &Api) -> Result<()> {
    wait::until("every pod of the town is ready", LIMIT, || {
        let pods = api.list(&format!("/api/v1/namespaces/{NAMESPACE}/pods"))?;
        let ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
        // A Deployment that was just made has no pods yet.
        let deployments = api.list(&format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments"))?;
        let waiting = pods.iter().filter(|pod| !is_ready(pod) && !ended(pod));
        let waiting: Vec<_> = waiting
            .chain(deployments.iter().filter(|one| !has_its_pods(one)))
            .map(|one| name(one).to_owned())
            .collect();
        Ok(match (pods.len() < 10, waiting.is_empty()) {
            (false, true) => Seen::Ready(()),
            (true, _) => Seen::NotYet(format!("only {} pods", pods.len())),
            (_, false) => Seen::NotYet(waiting.join(", ")),
        })
    })
}

/// Whether the controller has seen the Deployment, and as many pods are ready as there are to be.
fn has_its_pods(deployment: &Value) -> bool {
    deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]
        && deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"]
}

/// Ready, and not being deleted.
pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
