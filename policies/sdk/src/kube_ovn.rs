//! How a switch of Kube-OVN's controller is turned off in a cluster: by whoever owns it.

use serde::Deserialize;
use serde_json::json;

/// What of an installation, a fact of `kube-ovn`, tells who changes its controller.
#[derive(Debug, Deserialize)]
pub struct Installation {
    namespace: String,
    #[serde(default)]
    owner: Owner,
    controller: Controller,
}

#[derive(Debug, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Owner {
    #[default]
    Manifest,
    Helm {
        release: String,
        namespace: String,
    },
    External {
        by: String,
        object: String,
    },
}

#[derive(Debug, Deserialize)]
struct Controller {
    name: String,
    #[serde(default)]
    container: usize,
    /// `command` or `args`.
    #[serde(default)]
    flags_in: String,
    #[serde(default)]
    flags_list: Vec<String>,
}

/// One of the two switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// `--enable-np`.
    NetworkPolicy,
    /// `--enable-lb`.
    LoadBalancer,
}

impl Switch {
    /// The flag of kube-ovn-controller.
    pub fn flag(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "--enable-np",
            Self::LoadBalancer => "--enable-lb",
        }
    }

    /// The value in the charts `kube-ovn` and `kube-ovn-v2`.
    fn values(self) -> [&'static str; 2] {
        match self {
            Self::NetworkPolicy => ["func.ENABLE_NP", "features.enableNetworkPolicies"],
            Self::LoadBalancer => ["func.ENABLE_LB", "features.enableLoadbalancer"],
        }
    }
}

impl Installation {
    /// Turns a switch off: a command where one can be told, else what to change where.
    pub fn turns_off(&self, switch: Switch) -> String {
        let [first, second] = switch.values();
        match &self.owner {
            Owner::Manifest => self.by_patch(switch.flag()),
            // Which of the two charts it is, only a plan looks for.
            Owner::Helm { release, namespace } if !release.is_empty() && !namespace.is_empty() => format!(
                "`helm upgrade {release} CHART --namespace {namespace} --reuse-values --set {first}=false`, with the chart that it has \
                 (kube-ovn-v2: {second}=false)"
            ),
            Owner::Helm { .. } => {
                format!(
                    "set {first} (chart kube-ovn-v2: {second}) to false in the values of the Helm release that made it"
                )
            }
            Owner::External { by, object } => format!(
                "set {first} (chart kube-ovn-v2: {second}), or {}=false of kube-ovn-controller, in the source of {object} and let {by} apply it",
                switch.flag()
            ),
        }
    }

    /// By a patch of the list that holds the flags, which fails where somebody has changed it meanwhile.
    fn by_patch(&self, flag: &str) -> String {
        let Controller { name, container, flags_in, flags_list } = &self.controller;
        let list = if flags_in.is_empty() { "args" } else { flags_in };
        let path = format!("/spec/template/spec/containers/{container}/{list}");
        let off = format!("{flag}=false");
        let is_it = |word: &String| word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='));
        let operations = match flags_list.iter().position(is_it) {
            Some(at) => json!([
                { "op": "test", "path": format!("{path}/{at}"), "value": flags_list[at] },
                { "op": "replace", "path": format!("{path}/{at}"), "value": off },
            ]),
            None if flags_list.is_empty() => return format!("set {off} on deployment {}/{name}", self.namespace),
            None => json!([{ "op": "add", "path": format!("{path}/-"), "value": off }]),
        };
        format!("`kubectl patch deployment {name} --namespace {} --type json --patch '{operations}'`", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn off(installation: &Value, switch: Switch) -> String {
        serde_json::from_value::<Installation>(installation.clone()).unwrap().turns_off(switch)
    }

    fn controller(flags: &[&str]) -> Value {
        json!({ "name": "kube-ovn-controller", "container": 0, "flags_in": "args", "flags_list": flags })
    }

    #[test]
    fn a_manifest_is_patched_where_the_flag_is() {
        let of = |flags: &[&str]| json!({ "namespace": "kube-system", "controller": controller(flags) });
        let begins =
            "`kubectl patch deployment kube-ovn-controller --namespace kube-system --type json --patch '[{\"op\":";
        let told = off(&of(&["/start.sh", "--enable-np=true", "--enable-np-x=1"]), Switch::NetworkPolicy);
        assert!(told.starts_with(begins) && told.contains("args/1\",\"value\":\"--enable-np=false\""), "{told}");
        let told = off(&of(&["/start.sh"]), Switch::LoadBalancer);
        assert!(told.starts_with(begins) && told.contains("args/-\",\"value\":\"--enable-lb=false\""), "{told}");
        assert_eq!(
            off(&of(&[]), Switch::LoadBalancer),
            "set --enable-lb=false on deployment kube-system/kube-ovn-controller"
        );
    }

    #[test]
    fn a_release_is_upgraded_and_what_another_tool_makes_is_changed_in_its_source() {
        let mut installation = json!({ "namespace": "cozy", "controller": controller(&[]),
            "owner": { "kind": "helm", "release": "ovn", "namespace": "cozy" } });
        let told = off(&installation, Switch::NetworkPolicy);
        let command = "`helm upgrade ovn CHART --namespace cozy --reuse-values --set func.ENABLE_NP=false`";
        assert!(
            told.starts_with(command) && told.ends_with("(kube-ovn-v2: features.enableNetworkPolicies=false)"),
            "{told}"
        );
        installation["owner"] = json!({ "kind": "external", "by": "Argo CD", "object": "Application net" });
        let told = off(&installation, Switch::LoadBalancer);
        assert!(told.contains("source of Application net") && told.contains("let Argo CD apply it"), "{told}");
    }
}
