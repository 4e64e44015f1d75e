//! Kube-OVN's guide to Cilium, as somebody follows it by hand with kubectl and helm.

use serde_json::{Value, json};

use crate::{
    api::Api,
    error::{Error, Result},
    verdict::expect,
};

const CNI: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-ovn-cni";
pub(crate) const CONTROLLER: &str = "/apis/apps/v1/namespaces/kube-system/deployments/kube-ovn-controller";

/// The ConfigMap of the guide; the network in it kept its name.
pub(crate) const CONFIG_MAP: &str = r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: cni-configuration
  namespace: kube-system
data:
  cni-config: |-
    {
      "name": "kube-ovn",
      "cniVersion": "0.3.1",
      "plugins": [
        {
          "type": "kube-ovn",
          "server_socket": "/run/openvswitch/kube-ovn-daemon.sock",
          "ipam": {"type": "kube-ovn", "server_socket": "/run/openvswitch/kube-ovn-daemon.sock"}
        },
        {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}},
        {"type": "cilium-cni", "chaining-mode": "generic-veth"}
      ]
    }
"#;

/// What the guide gives helm.
pub(crate) const VALUES: [&str; 7] = [
    "cni.chainingMode=generic-veth",
    "cni.customConf=true",
    "cni.configMap=cni-configuration",
    "routingMode=native",
    "enableIPv4Masquerade=false",
    "enableIdentityMark=false",
    "devices=eth+ ovn0 genev_sys_6081 vxlan_sys_4789",
];

/// Has Kube-OVN write its file under the name that sorts after Cilium's; the old one is still there.
pub(crate) fn rename_kube_ovns_file(api: &Api) -> Result<()> {
    // From v1.13 on it is the init container that writes the file; the flag elsewhere has no effect.
    let set = api.get(CNI)?;
    let inits = set.pointer("/spec/template/spec/initContainers").and_then(Value::as_array).into_iter().flatten();
    let writer = inits.into_iter().position(|init| init["name"] == "install-cni");
    let writer = writer.ok_or_else(|| Error::Expectation("kube-ovn-cni has no install-cni".to_owned()))?;
    let pointer = format!("/spec/template/spec/initContainers/{writer}/command");
    let renamed = ("--cni-conf-name=01-kube-ovn.conflist", "--cni-conf-name=10-kube-ovn.conflist");
    let words = replaced(&set, &pointer, &[renamed])?;
    api.json_patch(CNI, &json!([{"op": "replace", "path": pointer, "value": words}])).map(drop)
}

/// Turns Kube-OVN's network policy and load balancer off.
pub(crate) fn policy_and_load_balancer_off(api: &Api) -> Result<()> {
    let pointer = "/spec/template/spec/containers/0/args";
    let off = [("--enable-np=true", "--enable-np=false"), ("--enable-lb=true", "--enable-lb=false")];
    let words = replaced(&api.get(CONTROLLER)?, pointer, &off)?;
    api.json_patch(CONTROLLER, &json!([{"op": "replace", "path": pointer, "value": words}])).map(drop)
}

fn replaced(object: &Value, pointer: &str, pairs: &[(&str, &str)]) -> Result<Vec<String>> {
    let list = object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let words: Vec<String> = list
        .filter_map(Value::as_str)
        .map(|word| pairs.iter().find(|(old, _)| *old == word).map_or(word, |(_, new)| *new).to_owned())
        .collect();
    let all = pairs.iter().all(|(_, new)| words.iter().any(|word| word == new));
    expect(all, || format!("{pointer} is {words:?}"))?;
    Ok(words)
}
