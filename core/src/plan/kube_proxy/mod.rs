//! kube-proxy replaced by Cilium, and the way back: a journey of its own, between a migration that is done and its rollback.
//!
//! [`found`] is what there is of kube-proxy, [`needs`] what Cilium needs to serve in its place, [`refusal`] why it is not replaced, [`replace`]
//! and [`restore`] are the two planners, [`rules`] what each of their plans must keep (ADR 11), [`served`] what every other plan must where
//! Cilium serves alone.

pub mod found;
pub(super) mod needs;
mod recorded;
pub mod refusal;
pub mod replace;
pub mod restore;
pub(super) mod rules;
pub(super) mod served;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use found::{Distribution, Found, ProxySet};
pub use refusal::NoReplacement;

/// What a node that asks another's port is not spared while the two differ: Kube-OVN's routing policies send what pods tell a node to that
/// node, past the one that was asked and has to turn the answer round.
const DIFFERING: &str = "until every node has changed, a node (or a pod on its network) that asks the node port of a node unlike itself gets no \
     answer from that node's own pods; larger waves make the time shorter (`--wave-limit`)";

/// What brings a DaemonSet of kube-proxy back that somebody has deleted.
pub const MADE_AGAIN: &str =
    "apply its manifest again (docs/runbook.md, \"Replacing kube-proxy\"); Cilium goes on serving meanwhile";

/// What serves Services in a cluster where Cilium does so, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "recorded::Recorded", into = "recorded::Recorded")]
pub struct KubeProxy {
    /// kube-proxy as its replacement has found it: what a way back brings. None where Cilium served already when it was taken over.
    pub former: Option<Former>,
    /// Where agents find the API server without kube-proxy.
    pub api_server: ApiServer,
    /// Whether Cilium serves Services instead of it.
    pub replaced: bool,
    /// What the operator's own values said of the keys that a replacement sets; null for nothing.
    pub own_values: Value,
}

impl KubeProxy {
    /// Host and port of the API server, where Cilium replaces kube-proxy.
    pub fn replaced_by(&self) -> Option<(String, String)> {
        self.replaced.then(|| (self.api_server.host.clone(), self.api_server.port.to_string()))
    }
}

/// A kube-proxy that was there before its replacement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Former {
    /// Who starts and stops it, where that is not ours to do.
    pub distribution: Option<Distribution>,
    /// Namespace of its DaemonSet or static pods; empty where it is part of another program.
    pub namespace: String,
    /// Name of its DaemonSet; empty where there is none.
    pub name: String,
    /// Its image: the one whose rules are on the nodes. Empty where it is part of another program.
    pub image: String,
    /// Pull secrets of its pods.
    pub image_pull_secrets: Vec<String>,
    /// The words that start it, without flags.
    pub program: Vec<String>,
}

impl Former {
    /// `daemonset kube-system/kube-proxy`, or what it is part of.
    pub fn told(&self) -> String {
        match (self.distribution, self.name.as_str()) {
            (Some(distribution), "") => format!("kube-proxy of {}", distribution.name()),
            (Some(distribution), name) => format!("daemonset {}/{name} of {}", self.namespace, distribution.name()),
            (None, name) => format!("daemonset {}/{name}", self.namespace),
        }
    }
}

/// Where the API server listens itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiServer {
    /// Address or name.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl ApiServer {
    /// From the URL of a kubeconfig: `https://192.0.2.10:6443`.
    pub fn of_url(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://")?;
        Self::parse(rest.split('/').next().unwrap_or_default(), Some(443))
    }

    /// From `HOST:PORT`; without a port only where one is assumed.
    pub fn parse(text: &str, assumed: Option<u16>) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // What is behind the last colon of a bare IPv6 address is no port.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
            _ => (text, assumed?),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

impl std::fmt::Display for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_server_is_read_from_a_url_and_from_host_and_port() {
        let shown = |server: Option<ApiServer>| server.map(|server| server.to_string()).unwrap_or_default();
        for (url, wanted) in [
            ("https://192.0.2.10:6443", "192.0.2.10:6443"),
            ("https://api.example.com", "api.example.com:443"),
            ("https://[2001:db8::1]:6443/x", "[2001:db8::1]:6443"),
            ("http://192.0.2.10:8080", ""),
            ("https://:6443", ""),
        ] {
            assert_eq!(shown(ApiServer::of_url(url)), wanted, "{url}");
        }
        assert_eq!(shown(ApiServer::parse("192.0.2.10:6443", None)), "192.0.2.10:6443");
        for wrong in ["192.0.2.10", "192.0.2.10:", "192.0.2.10:70000", ":6443"] {
            assert_eq!(ApiServer::parse(wrong, None), None, "{wrong}");
        }
    }
}
