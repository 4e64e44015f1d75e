//! A cluster with everything in it at work: control plane, Kube-OVN, workloads, and actors that play the nodes.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::Value;

use super::super::oracle::OPERATOR;
use super::{
    Stage,
    program::{Helm, Output, Program},
};
use crate::{
    api::Api,
    audit::Audit,
    control_plane::{ControlPlane, Options},
    error::Result,
    fixture::Fixture,
    nodes::NodeSpec,
    players::{self, Players},
    tools::Tools,
    users::Access,
    verdict::expect,
};

/// Who installs and upgrades Kube-OVN where Helm owns it.
pub(super) const KEEPER: &str = "keeper";
const LIMIT: Duration = Duration::from_secs(180);

/// The parts are dropped in this order: the actors before the servers they talk to.
pub(super) struct Town {
    players: Players,
    pub(super) plane: ControlPlane,
}

impl Town {
    /// Starts it and waits until every pod is ready.
    ///
    /// # Errors
    /// Any error of its parts.
    pub(super) fn start(tools: &Tools, nodes: usize, seed: u64) -> Result<Self> {
        Self::people(ControlPlane::start(tools, &Options::default())?, nodes, seed)
    }

    /// Starts it with Kube-OVN installed from a chart by a real helm, as the user [`KEEPER`] with these arguments.
    ///
    /// # Errors
    /// Any error of its parts.
    pub(super) fn by_helm(stage: &Stage<'_>, helm: Helm, nodes: usize, seed: u64, install: &[&str]) -> Result<Self> {
        let mut options = Options::default();
        options.users.push((KEEPER.to_owned(), Access::ClusterAdmin));
        let plane = ControlPlane::start(stage.tools, &options)?;
        let fixture = Fixture { nodes: NodeSpec::fleet(nodes), ..Fixture::default() };
        fixture.apply_around(plane.api(), || {
            let call = stage.program.plain_helm(helm, install).env("KUBECONFIG", plane.kubeconfig(KEEPER)?);
            call.within(LIMIT).run()?.ended_with(&[0]).map(drop)
        })?;
        let players = Players::start(plane.api_as("actors")?, seed)?;
        players::await_all_ready(plane.api(), LIMIT)?;
        Ok(Self { players, plane })
    }

    /// Fills an empty control plane.
    ///
    /// # Errors
    /// Any error of its parts.
    pub(super) fn people(plane: ControlPlane, nodes: usize, seed: u64) -> Result<Self> {
        let fixture = Fixture { nodes: NodeSpec::fleet(nodes), ..Fixture::default() };
        fixture.apply(plane.api())?;
        let players = Players::start(plane.api_as("actors")?, seed)?;
        players::await_all_ready(plane.api(), LIMIT)?;
        Ok(Self { players, plane })
    }

    pub(super) fn api(&self) -> &Api {
        self.plane.api()
    }

    pub(super) fn audit(&self) -> Result<Audit> {
        self.plane.audit()
    }

    /// The kubeconfig of the person at the keyboard.
    ///
    /// # Errors
    /// Never: the user is made at the start.
    pub(super) fn kubeconfig(&self) -> Result<&Path> {
        self.plane.kubeconfig(OPERATOR)
    }

    /// Runs the program as the operator and proves by the audit log that it changed nothing.
    ///
    /// # Errors
    /// [`crate::Error::Expectation`] with the changes.
    pub(super) fn quietly(&self, call: impl FnOnce() -> Result<Output>) -> Result<Output> {
        let before = self.audit()?.len();
        let output = call()?;
        let audit = self.audit()?.since(before);
        let changes: Vec<_> = audit
            .iter()
            .filter(|event| event.changed_something() && !belongs_to_the_cluster(&event.user))
            .map(|event| format!("{} {} {}", event.user, event.verb, event.object()))
            .collect();
        expect(changes.is_empty(), || format!("it changed: {}\n{}", changes.join(", "), output.said()))?;
        Ok(output)
    }

    /// `kubectl ovncilium ARGS` as the operator.
    ///
    /// # Errors
    /// Never: the user is made at the start.
    pub(super) fn call(&self, program: &Program, args: &[&str]) -> Result<super::program::Call> {
        Ok(program.kubectl(self.kubeconfig()?, args))
    }

    /// From now on the agent of this node would drop these connections if it enforced.
    pub(super) fn would_drop(&self, node: &str, lines: &[&str]) {
        self.players.would_drop(node, lines);
    }

    /// A person removes a CNI file from a node.
    pub(super) fn removes_conf(&self, node: &str, file: &str) {
        self.players.removes_conf(node, file);
    }

    /// The configurations of every node and which one its runtime has loaded.
    pub(super) fn configurations(&self) -> BTreeMap<String, (Vec<String>, String)> {
        let nodes = self.players.nodes();
        nodes
            .iter()
            .map(|(name, node)| {
                let loaded = node.fs.loaded().map(|network| network.file.clone()).unwrap_or_default();
                (name.clone(), (node.fs.configurations().cloned().collect(), loaded))
            })
            .collect()
    }

    /// The actors were refused nothing but races, and no node lost its network or Kube-OVN's own file.
    ///
    /// # Errors
    /// [`crate::Error::Expectation`].
    pub(super) fn actors_had_no_trouble(&self) -> Result<()> {
        let complaints = self.players.complaints();
        expect(complaints.is_empty(), || complaints.join("\n"))
    }

    /// Waits until every pod is ready again.
    ///
    /// # Errors
    /// [`crate::Error::Timeout`].
    pub(super) fn await_all_ready(&self) -> Result<()> {
        players::await_all_ready(self.api(), LIMIT)
    }

    /// What a finished migration must look like in the objects.
    ///
    /// # Errors
    /// [`crate::Error::Expectation`] with everything that is not so.
    pub(super) fn is_chained(&self) -> Result<()> {
        let mut wrong = self.traces()?;
        let controller = self.api().get("/apis/apps/v1/namespaces/kube-system/deployments/kube-ovn-controller")?;
        for flag in ["--enable-np=false", "--enable-lb=false"] {
            let words = controller.pointer("/spec/template/spec/containers/0/args").map(Value::to_string);
            if !words.unwrap_or_default().contains(flag) {
                wrong.push(format!("kube-ovn-controller runs without {flag}"));
            }
        }
        let endpoints: BTreeMap<String, String> = self
            .api()
            .list("/apis/cilium.io/v2/ciliumendpoints")?
            .iter()
            .map(|endpoint| (key(endpoint), text(endpoint, "/status/networking/addressing/0/ipv4").to_owned()))
            .collect();
        for pod in self.api().list("/api/v1/pods")? {
            let ends = matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed");
            let own_address = pod["spec"]["hostNetwork"] != Value::Bool(true) && !ends;
            if own_address && endpoints.get(&key(&pod)).map(String::as_str) != Some(text(&pod, "/status/podIP")) {
                wrong.push(format!("pod {} has no endpoint with its address", key(&pod)));
            }
        }
        let config = self.api().get("/api/v1/namespaces/kube-system/configmaps/cilium-config")?;
        if text(&config, "/data/policy-audit-mode") == "true" {
            wrong.push("cilium-config is still in audit mode".to_owned());
        }
        expect(wrong.is_empty(), || wrong.join("\n"))
    }

    /// Labels, pods and node configurations of ours that are left.
    fn traces(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for node in self.api().list("/api/v1/nodes")? {
            let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
            left.extend(
                labels
                    .filter(|(label, _)| label.starts_with("ovncilium.io/"))
                    .map(|(label, _)| format!("node {} has the label {label}", text(&node, "/metadata/name"))),
            );
        }
        let pods = self.api().list("/api/v1/namespaces/kube-system/pods")?;
        left.extend(
            pods.iter().map(key).filter(|pod| pod.contains("/ovncilium-")).map(|pod| format!("pod {pod} is left")),
        );
        let configs = "/apis/cilium.io/v2/ciliumnodeconfigs";
        for config in self.api().find(configs)?.iter().flat_map(|list| list["items"].as_array().into_iter().flatten()) {
            left.push(format!("ciliumnodeconfig {} is left", key(config)));
        }
        Ok(left)
    }
}

/// Users that are part of every cluster, those who play nodes, and this test itself.
fn belongs_to_the_cluster(user: &str) -> bool {
    user.starts_with("system:") || matches!(user, "actors" | "e2e-admin")
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn key(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}
