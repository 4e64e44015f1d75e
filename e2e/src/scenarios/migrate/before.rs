//! What nodes and objects were before a migration, and what is different later.
//!
//! Read by programs of the node itself: files with their digests, firewall rules, routing rules and routes, programs on
//! interfaces, devices. What moves by itself is taken out: counters, addresses and devices of pods.

use std::collections::BTreeMap;

use crate::{
    error::Result,
    lab::{Lab, Node},
    objects::Snapshot,
};

/// A question to a node and the command that answers it.
const LOOKS: [(&str, &str); 8] = [
    ("files of the CNI directory", "cd /etc/cni/net.d && stat -c '%a %n' -- * && sha256sum -- *"),
    (
        "firewall rules",
        // A table that is empty, and a chain of the kernel's own that lets all through, are as if they were not there.
        "for ip in iptables ip6tables; do $ip-save | sed -E 's/\\[[0-9]+:[0-9]+\\]//' | \
         awk -v ip=$ip '/^\\*/ { table = $1 } /^[*#]|^COMMIT/ { next } { print ip, table, $0 }'; done | \
         grep -vE 'CNI-|KUBE-SE[PV]|:[A-Z]+ ACCEPT *$' | sort",
    ),
    ("sets", "ipset list -n | sort"),
    ("routing rules", "for family in -4 -6; do ip $family rule | sed \"s/^/$family /\"; done"),
    (
        "routes",
        "for family in -4 -6; do ip $family route show table all | sed \"s/^/$family /\"; done | grep -vE '^-[46] (broadcast|local|multicast|anycast)|_h ' | sort",
    ),
    ("programs on interfaces", "bpftool net show | sed -E '/^$/d; /^(xdp|tc|flow_dissector|netfilter):$/d'"),
    ("pinned programs and maps", "find /sys/fs/bpf -mindepth 1 | sort"),
    ("devices", "ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/\\1/' | grep -vE '_h$' | sort"),
];

/// Everything at one moment.
pub(super) struct Before {
    pub(super) objects: Snapshot,
    /// By node and question.
    nodes: BTreeMap<String, BTreeMap<&'static str, String>>,
}

impl Before {
    pub(super) fn take(lab: &Lab) -> Result<Self> {
        Ok(Self { objects: lab.control_plane.settled_objects()?, nodes: nodes(lab)? })
    }

    /// Every line that a node has now and had not, or had and has not.
    pub(super) fn differences(&self, lab: &Lab) -> Result<Vec<String>> {
        let now = nodes(lab)?;
        let mut differences = Vec::new();
        for (node, looks) in &self.nodes {
            for (what, before) in looks {
                let after = now.get(node).and_then(|looks| looks.get(what)).map_or("", String::as_str);
                let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line));
                let new = after.lines().filter(|line| !before.lines().any(|other| other == *line));
                differences.extend(gone.map(|line| format!("{node}, {what}: gone: {line}")));
                differences.extend(new.map(|line| format!("{node}, {what}: new: {line}")));
            }
        }
        Ok(differences)
    }
}

fn nodes(lab: &Lab) -> Result<BTreeMap<String, BTreeMap<&'static str, String>>> {
    lab.nodes.iter().map(|node| Ok((node.name.clone(), looks(node)?))).collect()
}

fn looks(node: &Node) -> Result<BTreeMap<&'static str, String>> {
    LOOKS.iter().map(|(what, command)| Ok((*what, node.run(&["bash", "-o", "pipefail", "-c", command])?))).collect()
}
