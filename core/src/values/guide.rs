//! Layout `guide`: `05-cilium.conflist` made of a ConfigMap, which is made of Kube-OVN's own file; and that file renamed.

use serde_json::{Value, json};

use crate::compat::cilium::{Chart, ConfWriter};
use crate::compat::kube_ovn;
use crate::facts::Facts;
use crate::facts::conflists::ConfFile;
use crate::facts::kube_ovn::{Installation, Owner};
use crate::outcome::NextStep;

use super::cluster::{KUBE_OVN_NETWORK, NoValues};

/// Name of the ConfigMap, in the namespace of Cilium's release.
pub const CONFIG_MAP: &str = "cni-configuration";
/// Its key, the chart's default.
pub const KEY: &str = "cni-config";
/// The file that agents make of it.
pub const CHAINED_CONF: &str = "05-cilium.conflist";
/// Name of Kube-OVN's file in this layout: it sorts after [`CHAINED_CONF`].
pub const PLAIN_CONF: &str = "10-kube-ovn.conflist";
/// Network name by which Cilium before 1.14 knows what to do; with another it deletes the pod's interface.
const OLD_NETWORK: &str = "generic-veth";

/// Kube-OVN's file, the same in every release since v0.10.
fn released() -> Value {
    json!({
        "name": KUBE_OVN_NETWORK,
        "cniVersion": "0.3.1",
        "plugins": [
            { "type": "kube-ovn", "server_socket": "/run/openvswitch/kube-ovn-daemon.sock" },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

/// Why Kube-OVN's file cannot be the base of the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoChain {
    /// The nodes have another file than the one every release ships, and facts hold no contents.
    #[error("{file} on {node} is not the one that Kube-OVN ships: its plugins are {plugins}")]
    Differs {
        /// The node.
        node: String,
        /// Kube-OVN's file there.
        file: String,
        /// Its plugins, in words.
        plugins: String,
    },
    /// What was given is no conflist of Kube-OVN.
    #[error("the conflist that was given {why}")]
    Unusable {
        /// Its fault, in words.
        why: String,
    },
}

impl NoChain {
    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Differs { file, .. } => NextStep::Edit(format!(
                "copy {file} from a node and give it with `--conflist FILE`; every node needs the same"
            )),
            Self::Unusable { .. } => {
                NextStep::Edit(format!("give `--conflist` a copy of Kube-OVN's own file ({})", kube_ovn::CONF_NAME))
            }
        }
    }
}

/// Where the base of the chain was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// A file that was given.
    Given,
    /// What every release ships; every node that was read has it.
    Compared,
    /// What every release ships; no node was read.
    Released,
}

impl Base {
    /// Where it was taken from, as a sentence.
    pub fn told(self) -> &'static str {
        match self {
            Self::Given => "made of the conflist that was given",
            Self::Compared => "made of the file that Kube-OVN ships; every node that was read has it",
            Self::Released => "made of the file that Kube-OVN ships; `--nodes` compares it with the nodes' own",
        }
    }
}

/// The chained conflist, made of `given` or of what Kube-OVN ships, and where its base was taken from.
///
/// # Errors
/// [`NoChain`].
pub fn conflist(facts: &Facts, chart: &Chart, given: Option<&str>) -> Result<(Value, Base), NoChain> {
    if let Some(text) = given {
        let unusable = |why: String| NoChain::Unusable { why };
        let base: Value = serde_json::from_str(text).map_err(|error| unusable(format!("is no JSON: {error}")))?;
        return Ok((chain(base, chart)?, Base::Given));
    }
    let Some(conflists) = facts.conflists.value.known() else { return Ok((chain(released(), chart)?, Base::Released)) };
    for dir in &conflists.nodes {
        let is_kube_ovn = |file: &&ConfFile| file.name.ends_with("kube-ovn.conflist");
        for file in dir.files.iter().filter(is_kube_ovn) {
            if file.network != KUBE_OVN_NETWORK || file.plugins != ["kube-ovn", "portmap"] {
                let (node, file, plugins) = (dir.node.clone(), file.name.clone(), file.plugins.join(", "));
                return Err(NoChain::Differs { node, file, plugins });
            }
        }
    }
    let base = if conflists.nodes.is_empty() { Base::Released } else { Base::Compared };
    Ok((chain(released(), chart)?, base))
}

/// Kube-OVN's network with cilium-cni behind its plugins. Cilium 1.14 and newer is told its mode, and the network keeps its
/// name, so that host ports and pins of runtimes match; an older one goes by the network's name.
fn chain(mut base: Value, chart: &Chart) -> Result<Value, NoChain> {
    let unusable = |why: &str| NoChain::Unusable { why: why.to_owned() };
    let old = chart.row.conf_writer == ConfWriter::Script;
    let Some(plugins) = base.get_mut("plugins").and_then(Value::as_array_mut) else {
        return Err(unusable("has no list of plugins"));
    };
    let kind = |plugin: &Value| plugin.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if plugins.first().map(kind).as_deref() != Some("kube-ovn") {
        return Err(unusable("does not begin with the plugin kube-ovn"));
    }
    if plugins.iter().any(|plugin| kind(plugin) == "cilium-cni") {
        return Err(unusable("has the plugin cilium-cni already"));
    }
    plugins.push(match old {
        true => json!({ "type": "cilium-cni" }),
        false => json!({ "type": "cilium-cni", "chaining-mode": "generic-veth" }),
    });
    if old {
        base["name"] = json!(OLD_NETWORK);
    }
    Ok(base)
}

/// The ConfigMap as YAML.
pub fn config_map(namespace: &str, conflist: &Value, base: Base) -> String {
    let text = serde_json::to_string_pretty(conflist).unwrap_or_default();
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "# {}.\n# Agents read it when they start, and never again.\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {CONFIG_MAP}\n  namespace: {namespace}\ndata:\n  {KEY}: |\n{indented}",
        base.told()
    )
}

/// What has to be done besides installing with the values, in order.
///
/// # Errors
/// [`NoValues::NameIsBuiltIn`] where Kube-OVN cannot be told another name for its file.
pub fn before(
    installation: &Installation,
    facts: &Facts,
    chart: &Chart,
    namespace: &str,
) -> Result<Vec<String>, NoValues> {
    let mut steps = vec![format!(
        "apply ConfigMap {namespace}/{CONFIG_MAP}: the same command with --config-map, piped to `kubectl apply -f -`; without it agents do not start"
    )];
    steps.extend(rename(installation)?);
    if chart.row.conf_writer == ConfWriter::Script {
        let pods =
            facts.workloads.value.known().map(|workloads| workloads.pods.iter().filter(|pod| pod.host_port).count());
        let count = pods.map_or_else(|| "pods".to_owned(), |pods| format!("{pods} pods"));
        steps.push(format!(
            "restart {count} with a hostPort before the network's name changes to {OLD_NETWORK}, or their port rules stay behind (containernetworking/plugins#752)"
        ));
    }
    Ok(steps)
}

fn rename(installation: &Installation) -> Result<Vec<String>, NoValues> {
    let cni = &installation.cni;
    if cni.conf_name.as_str() > CHAINED_CONF {
        return Ok(Vec::new());
    }
    let judged = installation.version.as_deref().and_then(|version| kube_ovn::nearest(version).ok());
    let flag = match &judged {
        Some(judged) => judged.row.name_flag,
        None => kube_ovn::name_flag(cni.writer),
    };
    let Some(place) = flag else {
        let version = installation.version.clone().unwrap_or_else(|| "version unknown".to_owned());
        return Err(NoValues::NameIsBuiltIn {
            object: installation.cni_object(),
            version,
            file: cni.conf_name.clone(),
        });
    };
    let how = match &installation.owner {
        Owner::Manifest => format!("set --cni-conf-name={PLAIN_CONF} in the {place} of {}", installation.cni_object()),
        Owner::Helm { release, namespace } => format!(
            "upgrade Helm release {namespace}/{release} with cni_conf.CNI_CONFIG_PRIORITY=\"10\" (chart kube-ovn-v2: cni.configPriority=\"10\"), a quoted text"
        ),
        Owner::External { by, object } => format!(
            "in the source of {by} ({object}): --cni-conf-name={PLAIN_CONF} in the {place}, or cni_conf.CNI_CONFIG_PRIORITY=\"10\" of its chart"
        ),
    };
    Ok(vec![
        how,
        format!(
            "on every node, once {PLAIN_CONF} is there: remove {}/{} (Kube-OVN never does, and it would still sort first)",
            cni.conf_dir, cni.conf_name
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugins(conflist: &Value) -> Vec<&str> {
        conflist["plugins"].as_array().unwrap().iter().map(|plugin| plugin["type"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_new_cilium_is_told_its_mode_and_an_old_one_goes_by_the_networks_name() {
        let made = |version: &str| chain(released(), &Chart::of(version).unwrap()).unwrap();
        let new = made("1.18.12");
        assert_eq!(
            (new["name"].as_str(), plugins(&new)),
            (Some("kube-ovn"), vec!["kube-ovn", "portmap", "cilium-cni"])
        );
        assert_eq!(new["plugins"][2]["chaining-mode"], "generic-veth");
        let old = made("1.13.18");
        assert_eq!(
            (old["name"].as_str(), plugins(&old)),
            (Some("generic-veth"), vec!["kube-ovn", "portmap", "cilium-cni"])
        );
        assert_eq!(old["plugins"][2].get("chaining-mode"), None);
    }

    #[test]
    fn keeps_plugins_that_somebody_added_and_refuses_what_is_no_base() {
        let chart = Chart::of("1.20.0").unwrap();
        let facts = Facts::unknown(crate::facts::Source::Offline, jiff::Timestamp::UNIX_EPOCH, "not read");
        let given = |text: &str| conflist(&facts, &chart, Some(text));
        let tuned = r#"{"name":"kube-ovn","plugins":[{"type":"kube-ovn"},{"type":"portmap"},{"type":"tuning"}]}"#;
        let (made, base) = given(tuned).unwrap();
        assert_eq!((plugins(&made), base), (vec!["kube-ovn", "portmap", "tuning", "cilium-cni"], Base::Given));
        for bad in [
            "no json",
            "{}",
            r#"{"plugins":[{"type":"portmap"},{"type":"kube-ovn"}]}"#,
            r#"{"plugins":[{"type":"kube-ovn"},{"type":"cilium-cni"}]}"#,
        ] {
            assert!(matches!(given(bad), Err(NoChain::Unusable { .. })), "{bad}");
        }
    }

    #[test]
    fn the_config_map_holds_the_conflist_as_text() {
        let (conflist, _) = (released(), ());
        let read: Value = serde_saphyr::from_str(&config_map("cilium", &conflist, Base::Released)).unwrap();
        assert_eq!(read["metadata"], json!({"name": "cni-configuration", "namespace": "cilium"}));
        let inner: Value = serde_json::from_str(read["data"]["cni-config"].as_str().unwrap()).unwrap();
        assert_eq!(inner, conflist);
    }
}
