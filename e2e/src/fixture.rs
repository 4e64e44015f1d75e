//! Makes an empty cluster look like one that runs Kube-OVN: nodes, Kube-OVN's workloads and objects, kube-proxy, DNS, workloads.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::Api,
    error::{Error, Result},
    nodes::{self, NodeSpec},
    resources::Resources,
    wait::{self, Seen},
};

const OWN_KUBE_OVN: &str = include_str!("../fixtures/kube-ovn.yaml");
const CLUSTER: &str = include_str!("../fixtures/cluster.yaml");

/// Plural and kind of the resources of `kubeovn.io/v1`, all without a namespace.
const KUBE_OVN_KINDS: [(&str, &str); 8] = [
    ("subnets", "Subnet"),
    ("vpcs", "Vpc"),
    ("ips", "IP"),
    ("vpc-dnses", "VpcDns"),
    ("switch-lb-rules", "SwitchLBRule"),
    ("provider-networks", "ProviderNetwork"),
    ("vlans", "Vlan"),
    ("vpc-nat-gateways", "VpcNatGateway"),
];

/// What the cluster looks like.
#[derive(Debug, Clone)]
pub struct Fixture {
    pub nodes: Vec<NodeSpec>,
    /// The release whose recorded manifest is applied, such as `v1.14.41`; without a record the project's own is.
    pub kube_ovn: String,
}

impl Default for Fixture {
    fn default() -> Self {
        Self { nodes: NodeSpec::fleet(4), kube_ovn: "v1.14.41".into() }
    }
}

impl Fixture {
    /// Makes everything; for an empty cluster. Pods are made by the controllers and run by nobody.
    ///
    /// # Errors
    /// [`Error::Refused`] with the object that the server did not take, [`Error::Yaml`], or [`Error::Timeout`].
    pub fn apply(&self, api: &Api) -> Result<()> {
        let definitions = KUBE_OVN_KINDS.map(|(plural, kind)| definition(plural, kind));
        create_all(api, &definitions)?;
        kube_ovn_is_served(api)?;
        nodes::create(api, &self.nodes)?;
        let (file, text) = self.kube_ovn_manifest()?;
        create_all(api, &documents(&file, &text)?)?;
        create_all(api, &documents(Path::new("fixtures/cluster.yaml"), CLUSTER)?)
    }

    /// The same with a Kube-OVN that `install` brings, its definitions included, once the nodes are there.
    ///
    /// # Errors
    /// As [`Self::apply`], and those of `install`.
    pub(crate) fn apply_around(&self, api: &Api, install: impl FnOnce() -> Result<()>) -> Result<()> {
        nodes::create(api, &self.nodes)?;
        install()?;
        kube_ovn_is_served(api)?;
        create_all(api, &documents(Path::new("fixtures/cluster.yaml"), CLUSTER)?)
    }

    /// Where the Kube-OVN manifest comes from, and its text.
    fn kube_ovn_manifest(&self) -> Result<(PathBuf, String)> {
        let name = format!("fixtures/kube-ovn/{}.yaml", self.kube_ovn);
        if let Some(shared) = shared_dir() {
            let file = shared.join(name);
            if file.is_file() {
                let text = fs::read_to_string(&file).map_err(Error::io("read", &file))?;
                return Ok((file, text));
            }
        }
        Ok((PathBuf::from("fixtures/kube-ovn.yaml"), OWN_KUBE_OVN.to_owned()))
    }
}

fn kube_ovn_is_served(api: &Api) -> Result<()> {
    wait::until("the API of kubeovn.io is served", Duration::from_secs(30), || {
        let known = Resources::discover(api)?;
        let missing = KUBE_OVN_KINDS.iter().find(|(_, kind)| known.find("kubeovn.io/v1", kind).is_err());
        Ok(missing.map_or(Seen::Ready(()), |(plural, _)| Seen::NotYet(format!("no {plural}"))))
    })
}

/// The directory of recorded material (manifests, charts): `$OVNCILIUM_SHARED`, or `../shared` beside the repository; often neither.
pub fn shared_dir() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let dir = env::var_os("OVNCILIUM_SHARED").filter(|value| !value.is_empty()).map_or(beside, PathBuf::from);
    dir.is_dir().then_some(dir)
}

fn definition(plural: &str, kind: &str) -> Value {
    let singular = kind.to_ascii_lowercase();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.kubeovn.io")},
        "spec": {
            "group": "kubeovn.io", "scope": "Cluster",
            "names": {"plural": plural, "singular": singular, "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

/// The objects of a YAML stream; empty documents are left out.
fn documents(file: &Path, text: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = Value::deserialize(document).map_err(|source| Error::Yaml { file: file.to_owned(), source })?;
        if !object.is_null() {
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Creates objects in this order, and their status where a custom object has one (a create drops it).
fn create_all(api: &Api, objects: &[Value]) -> Result<()> {
    let resources = Resources::discover(api)?;
    for object in objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
        let resource = resources.find(text("/apiVersion"), text("/kind"))?;
        api.create(&resource.collection_path(namespace), object)?;
        if resource.group == "kubeovn.io" && object.get("status").is_some() {
            let path = format!("{}/status", resource.object_path(namespace, text("/metadata/name")));
            api.merge(&path, &json!({"status": object["status"]}))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_manifest_has_what_is_read_and_changed_in_a_release() {
        let objects = documents(Path::new("own"), OWN_KUBE_OVN).unwrap();
        let find = |kind: &str, name: &str| {
            objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
        };
        let args =
            find("Deployment", "kube-ovn-controller")["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
        assert!(args.contains("--enable-lb=true") && args.contains("--enable-np=true"), "{args}");
        let cni = &find("DaemonSet", "kube-ovn-cni")["spec"]["template"]["spec"];
        assert_eq!(cni["initContainers"][0]["name"], "install-cni");
        assert!(cni["volumes"].as_array().unwrap().iter().any(|volume| volume["name"] == "cni-conf"));
        for (kind, name) in [("DaemonSet", "ovs-ovn"), ("Deployment", "ovn-central")] {
            find(kind, name);
        }
    }

    #[test]
    fn empty_documents_are_no_objects() {
        assert_eq!(documents(Path::new("f"), "---\n# nothing\n---\na: 1\n---\n").unwrap(), [json!({"a": 1})]);
    }
}
