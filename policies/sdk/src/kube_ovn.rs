//! How a switch of Kube-OVN's controller is turned off in a cluster: by whoever owns it.

use serde::Deserialize;
use serde_json::{Value, json};

/// What of an installation, a fact of `kube-ovn`, tells who changes its controller.
#[derive(Debug, Deserialize)]
pub struct Installation {
    namespace: String,
    #[serde(default)]
    owner: Owner,
    /// The Helm release, where it was looked for: `{"known": …}`.
    #[serde(default)]
    release: Option<Value>,
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

    /// The field of the release's facts.
    fn field(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "network_policy",
            Self::LoadBalancer => "load_balancer",
        }
    }
}

impl Installation {
    /// Turns a switch off: a command where one can be told, else what to change where.
    pub fn turns_off(&self, switch: Switch) -> String {
        let [first, second] = switch.values();
        match &self.owner {
            Owner::Manifest => self.by_patch(switch.flag()),
            Owner::Helm { release, namespace } if !release.is_empty() && !namespace.is_empty() => {
                let stored = |field: &str| {
                    let found = self.release.as_ref()?.pointer(&format!("/known/{field}"))?;
                    found.as_str().map(str::to_owned)
                };
                let key = stored(&format!("{}/key", switch.field()));
                let keys = key.map_or_else(
                    || format!("--set {first}=false (chart kube-ovn-v2: {second})"),
                    |key| format!("--set {key}=false"),
                );
                let version =
                    stored("chart_version").map(|version| format!(" --version {version}")).unwrap_or_default();
                let chart = stored("chart").unwrap_or_else(|| "CHART".to_owned());
                format!("`helm upgrade {release} {chart}{version} --namespace {namespace} --reuse-values {keys}`")
            }
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
    fn a_release_is_upgraded_with_the_key_of_its_own_chart() {
        let mut release = json!({ "namespace": "cozy", "owner": { "kind": "helm", "release": "ovn", "namespace": "cozy" },
            "controller": controller(&[]) });
        let told = off(&release, Switch::NetworkPolicy);
        assert!(told.contains("func.ENABLE_NP=false (chart kube-ovn-v2: features.enableNetworkPolicies)"), "{told}");
        release["release"] = json!({ "known": { "chart": "kube-ovn-v2", "chart_version": "v1.15.24",
            "network_policy": { "key": "features.enableNetworkPolicies" } } });
        assert_eq!(
            off(&release, Switch::NetworkPolicy),
            "`helm upgrade ovn kube-ovn-v2 --version v1.15.24 --namespace cozy --reuse-values --set features.enableNetworkPolicies=false`"
        );
        release["owner"] = json!({ "kind": "external", "by": "Argo CD", "object": "Application net" });
        let told = off(&release, Switch::LoadBalancer);
        assert!(told.contains("source of Application net") && told.contains("let Argo CD apply it"), "{told}");
    }
}
