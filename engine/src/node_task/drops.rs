//! Connections that Cilium would drop if it enforced policy: what a node's audit tells.

use super::Answer;

/// Connections of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drop {
    /// How often they were seen.
    pub count: u64,
    /// `INGRESS` or `EGRESS`, as the pod sees it.
    pub direction: String,
    /// Address they come from.
    pub source: String,
    /// Its identity: a reserved one by name (`world`, `host`, `remote-node`), else `ID:<number>`.
    pub identity: String,
    /// Address and, where there is one, port they go to.
    pub destination: String,
}

impl Drop {
    /// `<count> <direction> <source> <identity> <destination>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [count, direction, source, identity, destination] = words.as_slice() else { return None };
        Some(Self {
            count: count.parse().ok()?,
            direction: (*direction).to_owned(),
            source: (*source).to_owned(),
            identity: (*identity).to_owned(),
            destination: (*destination).to_owned(),
        })
    }

    /// Address they go to, without the port.
    pub fn destination_address(&self) -> &str {
        match self.destination.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None if self.destination.matches(':').count() == 1 => {
                self.destination.split(':').next().unwrap_or_default()
            }
            None => &self.destination,
        }
    }

    /// Whether they come from a node: by its address, or by what Cilium takes it for.
    pub fn is_from_a_node(&self, node_addresses: &[String]) -> bool {
        matches!(self.identity.as_str(), "host" | "remote-node" | "kube-apiserver" | "health" | "ingress")
            || node_addresses.contains(&self.source)
    }
}

/// What one node would drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drops {
    /// Kinds that are told, those with reserved identities first, then by how often they were seen.
    pub told: Vec<Drop>,
    /// Kinds that did not fit into the answer.
    pub untold: usize,
}

impl Drops {
    /// The drops in an answer; `None` when it is not the answer of an audit.
    pub fn of(answer: &[Answer]) -> Option<Self> {
        let kinds = answer.iter().find_map(|line| match line {
            Answer::Audited(kinds) => Some(*kinds),
            _ => None,
        })?;
        let told: Vec<Drop> = answer
            .iter()
            .filter_map(|line| match line {
                Answer::Drop(drop) => Some(drop.clone()),
                _ => None,
            })
            .collect();
        let untold = kinds.saturating_sub(told.len());
        Some(Self { told, untold })
    }

    /// Whether nodes may be among those that are not told: they come first, so only if everything told is reserved.
    pub fn may_hide_nodes(&self) -> bool {
        self.untold > 0 && self.told.iter().all(|drop| !drop.identity.starts_with("ID:"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(text: &str) -> Drop {
        Drop::parse(text).unwrap()
    }

    #[test]
    fn knows_what_comes_from_a_node() {
        let nodes = ["172.30.0.21".to_owned(), "100.64.0.3".to_owned()];
        assert!(drop("4 INGRESS 172.30.0.21 world 10.16.0.5:8080").is_from_a_node(&nodes));
        assert!(drop("4 INGRESS 100.64.0.3 ID:9 10.16.0.5:8080").is_from_a_node(&nodes));
        assert!(drop("4 INGRESS 172.30.0.99 remote-node 10.16.0.5:8080").is_from_a_node(&nodes));
        assert!(!drop("4 INGRESS 172.30.0.99 world 10.16.0.5:8080").is_from_a_node(&nodes));
    }

    #[test]
    fn reads_addresses_of_both_families() {
        assert_eq!(drop("1 INGRESS 10.0.0.1 world 10.16.0.5:8080").destination_address(), "10.16.0.5");
        assert_eq!(drop("1 INGRESS 10.0.0.1 world 10.16.0.5").destination_address(), "10.16.0.5");
        assert_eq!(drop("1 EGRESS fd00::9 ID:7 [fd00::5]:80").destination_address(), "fd00::5");
        assert_eq!(drop("1 EGRESS fd00::9 ID:7 fd00::5").destination_address(), "fd00::5");
        assert_eq!(Drop::parse("1 EGRESS fd00::9"), None);
        assert_eq!(Drop::parse("x EGRESS fd00::9 ID:7 fd00::5"), None);
    }

    #[test]
    fn says_when_nodes_may_be_hidden() {
        let drops = |text: &str| Drops::of(&Answer::parse(text).unwrap()).unwrap();
        assert_eq!(drops("audited 0"), Drops::default());
        assert!(drops("audited 2\ndrop 1 INGRESS 8.8.8.8 world 10.16.0.5").may_hide_nodes());
        assert!(!drops("audited 1\ndrop 1 INGRESS 8.8.8.8 world 10.16.0.5").may_hide_nodes());
        assert!(!drops("audited 2\ndrop 1 INGRESS 10.16.0.9 ID:7 10.16.0.5").may_hide_nodes());
        assert_eq!(Drops::of(&[Answer::Cleaned]), None);
    }
}
