//! The CNI directory of a node, and which configuration its container runtime has loaded.
//!
//! A runtime loads the first `*.conf`, `*.conflist` or `*.json` in lexical order, and looks again when a file is
//! written, renamed away or removed. Measured on containerd 1.6 and 1.7: a file that is renamed *in* from another
//! directory is not seen until some other event; a file that cannot be parsed takes the node's network down though
//! others are valid.

use std::collections::BTreeMap;

use ovncilium_core::Digest;
use ovncilium_core::facts::conflists::is_loaded;
use serde_json::Value;

use crate::objects;

/// A network as the runtime has it in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedNetwork {
    /// The file it came from.
    pub file: String,
    /// `name` of the network.
    pub network: String,
    /// `type` of its plugins, in order.
    pub plugins: Vec<String>,
}

/// The files, and what is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFs {
    files: BTreeMap<String, Vec<u8>>,
    loaded: Option<LoadedNetwork>,
}

impl NodeFs {
    /// Files by name, in lexical order.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The bytes of a file.
    pub fn read(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// What the runtime has loaded.
    pub fn loaded(&self) -> Option<&LoadedNetwork> {
        self.loaded.as_ref()
    }

    /// Whether pods made now go through cilium-cni.
    pub fn chained(&self) -> bool {
        self.loaded.as_ref().is_some_and(|network| network.plugins.iter().any(|plugin| plugin == "cilium-cni"))
    }

    /// Writes a file by a temporary file of the same directory and a rename.
    pub fn write(&mut self, name: &str, content: &[u8]) {
        self.files.insert(name.to_owned(), content.to_vec());
        self.reload();
    }

    /// Removes a file; `false` when there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        let removed = self.files.remove(name).is_some();
        self.reload();
        removed
    }

    /// Renames a file within the directory; `false` when there is none.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(content) = self.files.remove(from) else { return false };
        self.files.insert(to.to_owned(), content);
        self.reload();
        true
    }

    /// Moves a file in from another directory: it is there, and the runtime has not seen it.
    pub fn move_in(&mut self, name: &str, content: &[u8]) {
        self.files.insert(name.to_owned(), content.to_vec());
    }

    /// SHA-256 of a file in hexadecimal digits.
    pub fn sha256(&self, name: &str) -> Option<String> {
        self.files.get(name).map(|content| Digest::of(content).hex())
    }

    /// Names a runtime would load, in lexical order.
    pub fn configurations(&self) -> impl Iterator<Item = &String> {
        self.files.keys().filter(|name| is_loaded(name))
    }

    fn reload(&mut self) {
        let first = self.configurations().next().cloned();
        self.loaded = first.and_then(|file| parse(&file, self.files.get(&file)?));
    }
}

fn parse(file: &str, content: &[u8]) -> Option<LoadedNetwork> {
    let value: Value = serde_json::from_slice(content).ok()?;
    let plugins = match value.get("plugins") {
        Some(_) => {
            objects::list(&value, "/plugins").iter().map(|plugin| objects::text(plugin, "/type").to_owned()).collect()
        }
        None => vec![objects::text(&value, "/type").to_owned()],
    };
    Some(LoadedNetwork { file: file.to_owned(), network: objects::text(&value, "/name").to_owned(), plugins })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = br#"{"name":"kube-ovn","plugins":[{"type":"kube-ovn"},{"type":"portmap"}]}"#;
    const CHAIN: &[u8] =
        br#"{"name":"kube-ovn","plugins":[{"type":"kube-ovn"},{"type":"portmap"},{"type":"cilium-cni"}]}"#;

    #[test]
    fn the_first_file_in_lexical_order_is_loaded() {
        let mut fs = NodeFs::default();
        fs.write("01-kube-ovn.conflist", PLAIN);
        fs.write("05-cilium.conflist", CHAIN);
        assert!(!fs.chained(), "05 sorts after 01");
        fs.write("01-cilium.conflist", CHAIN);
        assert!(fs.chained(), "01-cilium sorts before 01-kube-ovn");
        assert!(fs.rename("01-cilium.conflist", "01-cilium.conflist.ovncilium-retired"));
        assert!(!fs.chained(), "a retired file is out of sight");
    }

    #[test]
    fn a_file_moved_in_from_elsewhere_is_not_loaded_until_another_event() {
        let mut fs = NodeFs::default();
        fs.write("01-kube-ovn.conflist", PLAIN);
        fs.move_in("01-cilium.conflist", CHAIN);
        assert!(!fs.chained());
        fs.write("nudge", b"");
        assert!(fs.chained());
    }

    #[test]
    fn a_torn_file_that_sorts_first_takes_the_network_down() {
        let mut fs = NodeFs::default();
        fs.write("05-kube-ovn.conflist", PLAIN);
        fs.write("01-torn.conflist", &PLAIN[..20]);
        assert_eq!(fs.loaded(), None);
    }
}
