//! Why kube-proxy is not replaced, or not brought back, and what to do about it.

use crate::outcome::{ExitCode, NextStep};

use super::MADE_AGAIN;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoReplacement {
    /// A fact it needs is unknown.
    #[error("no plan: {subject} is unknown: {reason}")]
    Unknown {
        /// The subject.
        subject: &'static str,
        /// Why.
        reason: String,
    },
    /// The migration is not as it was left.
    #[error("no plan: the migration does not hold: {what}")]
    NotSettled {
        /// The first thing that does not.
        what: String,
    },
    /// It is not a DaemonSet.
    #[error("no plan: kube-proxy runs as static pods in {namespace}; nothing was changed")]
    Static {
        /// Their namespace.
        namespace: String,
    },
    /// There is none to be seen.
    #[error("no plan: there is no DaemonSet of kube-proxy")]
    Nowhere,
    /// There are several.
    #[error("no plan: kube-proxy is there more than once: {}", sets.join(", "))]
    Several {
        /// `daemonset namespace/name`.
        sets: Vec<String>,
    },
    /// Somebody would put it back.
    #[error("no plan: {object} belongs to {owner}, who would put it back; nothing was changed")]
    Owned {
        /// The DaemonSet.
        object: String,
        /// Its owner, in words.
        owner: String,
    },
    /// A mode whose cleanup is not proven.
    #[error("no plan: {object} works in mode {mode}, and only iptables is replaced")]
    Mode {
        /// The DaemonSet.
        object: String,
        /// The mode, or that it is not known.
        mode: String,
    },
    /// What is to come back was deleted.
    #[error("no plan: {object} is gone, and nothing else would serve Services in Cilium's place; nothing was changed")]
    Gone {
        /// The DaemonSet.
        object: String,
    },
    /// It would come back in a mode in which it has no rules that can be looked at.
    #[error("no plan: {object} is set to mode {mode} now, and only rules of iptables are proven; nothing was changed")]
    OtherMode {
        /// The DaemonSet.
        object: String,
        /// The mode.
        mode: String,
    },
    /// It does not serve every node now.
    #[error("no plan: {object} is ready on {ready} of {nodes} nodes")]
    NotReady {
        /// The DaemonSet.
        object: String,
        /// Nodes where it is.
        ready: u32,
        /// Nodes.
        nodes: usize,
    },
    /// Nodes that do not answer.
    #[error("no plan: not ready: {}", nodes.join(", "))]
    NodesNotReady {
        /// Their names.
        nodes: Vec<String>,
    },
    /// Virtual machines send packets, and no sockets of their node are theirs.
    #[error("no plan: virtual machines would reach no Service: {}", pods.join(", "))]
    VirtualMachines {
        /// Their pods, `namespace/name`.
        pods: Vec<String>,
    },
    /// Cilium serves no SCTP unless it is told to.
    #[error("no plan: {services} Services have a port of SCTP, which Cilium does not serve as its release is set")]
    Sctp {
        /// How many.
        services: u32,
    },
    /// Agents would not answer where kube-proxy has answered load balancers.
    #[error(
        "no plan: {services} Services have a healthCheckNodePort, on which agents of Cilium {version} do not listen when kube-proxy leaves"
    )]
    HealthChecks {
        /// How many.
        services: u32,
        /// Version of the chart.
        version: String,
    },
    /// Nobody has told the API server's own address.
    #[error("no plan: the API server's own address is not known: {object} does not tell it")]
    NoApiServer {
        /// What kube-proxy is there.
        object: String,
    },
    /// An address that is served by what is being replaced.
    #[error("no plan: {server} is the address of a Service, which agents could not reach before they serve it")]
    ServiceAddress {
        /// Host and port.
        server: String,
    },
    /// The release is not of the chart at hand.
    #[error("no plan: release {release} is of chart {installed}, and the recorded run has {recorded}")]
    OtherChart {
        /// Namespace and name.
        release: String,
        /// What is installed.
        installed: String,
        /// What the journal has.
        recorded: String,
    },
    /// The release cannot be upgraded now.
    #[error("no plan: release {release}: {what}")]
    Release {
        /// Namespace and name.
        release: String,
        /// How it stands.
        what: String,
    },
    /// Nothing is left to do.
    #[error("nothing to do: Cilium serves Services, and kube-proxy runs on no node")]
    Replaced,
    /// Nothing was replaced.
    #[error("nothing to bring back: no replacement of kube-proxy is recorded in this cluster")]
    NeverReplaced,
    /// Nothing was there to be taken away.
    #[error(
        "nothing to bring back: Cilium served Services already when it was taken over, and no kube-proxy was taken away since"
    )]
    FoundReplaced,
}

impl NoReplacement {
    /// How a command ends with it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unknown { .. } => ExitCode::CouldNotJudge,
            Self::Replaced => ExitCode::Done,
            Self::NoApiServer { .. }
            | Self::ServiceAddress { .. }
            | Self::OtherChart { .. }
            | Self::NeverReplaced
            | Self::FoundReplaced => ExitCode::Usage,
            _ => ExitCode::Paused,
        }
    }

    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        let edit = |text: String| NextStep::Edit(text);
        match self {
            Self::Unknown { .. } => NextStep::Command("kubectl ovncilium check".to_owned()),
            Self::NotSettled { .. } => NextStep::Command("kubectl ovncilium verify".to_owned()),
            Self::Static { .. } => edit(
                "whoever writes their manifests removes them, after Cilium serves Services: docs/runbook.md, \"Replacing kube-proxy\""
                    .to_owned(),
            ),
            Self::Nowhere => edit(
                "where kube-proxy is part of another program, that program has the switch: docs/runbook.md, \"Replacing kube-proxy\""
                    .to_owned(),
            ),
            Self::Several { .. } => edit("remove those that serve nothing".to_owned()),
            Self::Owned { object, .. } => {
                edit(format!("have its owner let {object} go (an exclusion, another release), then run this again"))
            }
            Self::Mode { mode, .. } if mode == "ipvs" => edit(
                "`kube-proxy --cleanup` would flush every IPVS service of a node, also those of others; set `mode: iptables`, restart it node \
                 by node, then run this again"
                    .to_owned(),
            ),
            Self::Mode { .. } => edit("set `mode: iptables` in its configuration, restart it, then run this again".to_owned()),
            Self::Gone { .. } => edit(format!("{MADE_AGAIN}; then run this again")),
            Self::OtherMode { .. } => edit(
                "set `mode: iptables` in its configuration, restart its pods where it has some, then run this again; the other mode when it has ended"
                    .to_owned(),
            ),
            Self::NotReady { object, .. } => {
                let words = object.split_once(' ').and_then(|(kind, name)| Some((kind, name.split_once('/')?)));
                NextStep::Command(match words {
                    Some((kind, (namespace, name))) => format!("kubectl describe -n {namespace} {kind} {name}"),
                    None => "kubectl get daemonsets --all-namespaces".to_owned(),
                })
            }
            Self::NodesNotReady { .. } => edit("repair or remove these nodes".to_owned()),
            Self::VirtualMachines { .. } => edit(
                "have Cilium look at their packets: `socketLB.hostNamespaceOnly=true` among the values of its release, then run this again"
                    .to_owned(),
            ),
            Self::Sctp { .. } => edit(
                "have Cilium serve it: `sctp.enabled=true` among the values of its release, then run this again".to_owned(),
            ),
            Self::HealthChecks { .. } => edit("upgrade Cilium to 1.18 or newer, then run this again".to_owned()),
            Self::NoApiServer { .. } => {
                edit("name it: `--api-server HOST:PORT`, as every node reaches it without a Service".to_owned())
            }
            Self::ServiceAddress { .. } => edit(
                "name an address that no Service has: a control plane's, a load balancer's outside the cluster, or one on every node"
                    .to_owned(),
            ),
            Self::OtherChart { installed, .. } => {
                edit(format!("give the chart that is installed: `--chart cilium-{installed}.tgz`"))
            }
            Self::Release { release, .. } => {
                let (namespace, name) = release.split_once('/').unwrap_or(("", release));
                NextStep::Command(format!("helm history {name} -n {namespace}"))
            }
            Self::Replaced => NextStep::Command("kubectl ovncilium verify".to_owned()),
            Self::NeverReplaced => NextStep::Command("kubectl ovncilium status".to_owned()),
            Self::FoundReplaced => edit(
                "to go back to Kube-OVN alone, install a kube-proxy, wait until it is ready on every node, and run `kubectl ovncilium \
                 rollback`: docs/runbook.md, \"Replacing kube-proxy\""
                    .to_owned(),
            ),
        }
    }
}
