//! CNI configuration files of the nodes: which sorts first, whose it is.
//!
//! Node tier. A runtime loads the first file in lexical order.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// CNI configuration directories, by node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conflists {
    /// One directory per node that answered.
    pub nodes: Vec<ConfDir>,
    /// Nodes that did not answer, and why.
    pub silent: Vec<SilentNode>,
}

/// A node that did not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilentNode {
    /// The node.
    pub node: String,
    /// Why.
    pub reason: String,
}

/// The configuration directory of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfDir {
    /// The node.
    pub node: String,
    /// The directory on the host.
    pub dir: String,
    /// Its files in lexical order, whatever their names.
    pub files: Vec<ConfFile>,
}

/// One file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfFile {
    /// File name.
    pub name: String,
    /// `sha256:…` of its bytes.
    pub sha256: String,
    /// `name` of the network it describes; empty when a runtime does not load it or it is no CNI configuration.
    pub network: String,
    /// `type` of its plugins in order; empty as well.
    pub plugins: Vec<String>,
}

/// Whether a runtime loads files of this name: the extension is `.conf`, `.conflist` or `.json` (libcni's `ConfFiles`).
pub fn is_loaded(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| matches!(extension, "conf" | "conflist" | "json"))
}

impl Conflists {
    /// Nodes whose runtime loads Multus.
    pub fn under_multus(&self) -> Vec<String> {
        let under = self.nodes.iter().filter(|dir| dir.effective().is_some_and(ConfFile::is_multus));
        under.map(|dir| dir.node.clone()).collect()
    }
}

impl ConfDir {
    /// The file a runtime loads: the first in byte order that [`is_loaded`].
    pub fn effective(&self) -> Option<&ConfFile> {
        self.files.iter().filter(|file| file.is_loaded()).min_by(|a, b| a.name.cmp(&b.name))
    }

    /// The directory with one file less.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.files.retain(|file| file.name != name);
        self
    }

    /// The first of them that is not Multus's, which calls another one for a pod's first interface: not always this one
    /// ([`crate::facts::multus`]).
    pub fn behind_multus(&self) -> Option<&ConfFile> {
        let others = self.files.iter().filter(|file| file.is_loaded() && !file.is_multus());
        others.min_by(|a, b| a.name.cmp(&b.name))
    }
}

impl ConfFile {
    /// Whether a runtime loads files of this name.
    pub fn is_loaded(&self) -> bool {
        is_loaded(&self.name)
    }

    /// Whether it calls Multus, whatever its name.
    pub fn is_multus(&self) -> bool {
        self.plugins.iter().any(|plugin| matches!(plugin.as_str(), "multus" | "multus-shim"))
    }

    /// Whether it calls Cilium behind Kube-OVN.
    pub fn chains_cilium(&self) -> bool {
        let at = |wanted: &str| self.plugins.iter().position(|plugin| plugin == wanted);
        at("kube-ovn").zip(at("cilium-cni")).is_some_and(|(kube_ovn, cilium)| kube_ovn < cilium)
    }

    /// Whether it calls Kube-OVN and no Cilium.
    pub fn is_plain(&self) -> bool {
        let has = |wanted: &str| self.plugins.iter().any(|plugin| plugin == wanted);
        has("kube-ovn") && !has("cilium-cni")
    }

    /// A file from its content: a network with `plugins`, or one plugin by itself. Content that is neither has no network.
    pub fn read(name: &str, sha256: &str, content: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(content).unwrap_or_default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let plugins = match json.get("plugins").and_then(Value::as_array) {
            Some(plugins) => plugins.iter().map(|plugin| text(plugin, "type")).collect(),
            None => Some(text(&json, "type")).filter(|kind| !kind.is_empty()).into_iter().collect(),
        };
        Self { name: name.to_owned(), sha256: sha256.to_owned(), network: text(&json, "name"), plugins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_networks_and_single_plugins() {
        let list = br#"{"name":"kube-ovn","cniVersion":"0.3.1","plugins":[{"type":"kube-ovn"},{"type":"portmap"}]}"#;
        let file = ConfFile::read("01-kube-ovn.conflist", "sha256:aa", list);
        assert_eq!(
            (file.network.as_str(), file.plugins),
            ("kube-ovn", vec!["kube-ovn".to_owned(), "portmap".to_owned()])
        );
        let single = ConfFile::read("00-multus.conf", "sha256:bb", br#"{"name":"multus-cni-network","type":"multus"}"#);
        assert_eq!((single.network.as_str(), single.plugins), ("multus-cni-network", vec!["multus".to_owned()]));
        let other = ConfFile::read("README", "sha256:cc", b"hello");
        assert_eq!((other.network.as_str(), other.plugins.len()), ("", 0));
    }

    #[test]
    fn the_first_name_in_byte_order_is_loaded_hidden_ones_too() {
        let files = ["10-kube-ovn.conflist", "01-cilium.conflist", "00-x.conf.cilium_bak", "README", "conf"];
        let dir = |names: &[&str]| ConfDir {
            files: names.iter().map(|name| ConfFile { name: (*name).to_owned(), ..ConfFile::default() }).collect(),
            ..ConfDir::default()
        };
        assert_eq!(dir(&files).effective().map(|file| file.name.as_str()), Some("01-cilium.conflist"));
        assert_eq!(dir(&["01-a.conf", ".x.json"]).effective().map(|file| file.name.as_str()), Some(".x.json"));
        assert_eq!(dir(&["README"]).effective(), None);
    }
}
