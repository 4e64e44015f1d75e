//! Why a Cilium is not taken over, and what to do about it.

use crate::outcome::{ExitCode, NextStep};
use crate::plan::start::some;
use crate::values::cluster::KUBE_OVN_NETWORK;
use crate::values::own::NotYours;

/// Why a Cilium is not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdoptable {
    /// There is none.
    #[error("there is nothing to take over: no Cilium is here")]
    Nothing,
    /// Nobody can upgrade what is no release.
    #[error("{object} cannot be taken over: it belongs to no Helm release")]
    NoRelease {
        /// The agents' DaemonSet.
        object: String,
    },
    /// Its owner would give it its old values back.
    #[error("Helm release {release} cannot be taken over: {by} makes it again ({owner})")]
    Managed {
        /// Namespace and name.
        release: String,
        /// Flux, Argo CD, …
        by: String,
        /// The object that it is made of.
        owner: String,
    },
    /// What a release makes is looked for in its own namespace.
    #[error("{object} cannot be taken over: its Helm release {release} is in another namespace")]
    Elsewhere {
        /// The agents' DaemonSet.
        object: String,
        /// Namespace and name.
        release: String,
    },
    /// Helm was stopped in the middle, or failed.
    #[error("Helm release {release} cannot be taken over: its revision {revision} is {status}, not deployed")]
    Release {
        /// Namespace and name.
        release: String,
        /// Its newest revision.
        revision: u32,
        /// Its status.
        status: String,
    },
    /// Its chart cannot have layout `beside`.
    #[error("Helm release {release} cannot be taken over: chart cilium {version} is not one of 1.16 to 1.20")]
    Version {
        /// Namespace and name.
        release: String,
        /// Version of its chart.
        version: String,
    },
    /// Two changes at once: nobody could tell which one did harm.
    #[error(
        "Helm release {release} has chart cilium {installed}, and {given} was given: a takeover changes no version"
    )]
    OtherChart {
        /// Namespace and name.
        release: String,
        /// Version of its chart.
        installed: String,
        /// Version of the chart that was given.
        given: String,
    },
    /// Values that a run could not keep.
    #[error("Helm release {release} cannot be taken over")]
    Values {
        /// Namespace and name.
        release: String,
        /// The first of them.
        source: NotYours,
    },
    /// Two serve, and which of them answers is nobody's choice.
    #[error("{object} cannot be taken over: it serves Services, and so does {proxy}")]
    BothServe {
        /// The agents' DaemonSet.
        object: String,
        /// What there is of kube-proxy.
        proxy: String,
    },
    /// A run leaves the whole of it on or off.
    #[error("{object} cannot be taken over: it replaces a part of kube-proxy (kube-proxy-replacement {mode})")]
    ServesInPart {
        /// The agents' DaemonSet.
        object: String,
        /// The setting.
        mode: String,
    },
    /// Nodes that are cut over and nodes that are not would not reach each other's pods.
    #[error(
        "{object} cannot be taken over: its routing-mode is {mode}, and a run that goes node by node would make it native"
    )]
    Tunnels {
        /// The agents' DaemonSet.
        object: String,
        /// The setting.
        mode: String,
    },
    /// Cilium has no change of it in a live cluster.
    #[error("{object} cannot be taken over: its ipam is {mode}, and a run would make it cluster-pool")]
    OtherIpam {
        /// The agents' DaemonSet.
        object: String,
        /// The setting.
        mode: String,
    },
    /// They beat what a run sets, on the nodes that they select.
    #[error("{object} cannot be taken over: its agents read settings from ciliumnodeconfig {}", some(configs))]
    NodeConfigs {
        /// The agents' DaemonSet.
        object: String,
        /// CiliumNodeConfigs that are not ours, as `namespace/name`.
        configs: Vec<String>,
    },
    /// It moves other people's files.
    #[error(
        "{object} cannot be taken over: with cni-exclusive its agents rename the CNI files of others, Kube-OVN's among them"
    )]
    Exclusive {
        /// The agents' DaemonSet.
        object: String,
    },
    /// After the hand-over nobody would enforce.
    #[error(
        "{object} cannot be taken over: with enable-policy never it would enforce nothing when Kube-OVN has handed policy over"
    )]
    NeverEnforces {
        /// The agents' DaemonSet.
        object: String,
    },
    /// What lies there is not known.
    #[error("the CNI directory of {} is not known: {reason}", some(nodes))]
    Silent {
        /// The nodes.
        nodes: Vec<String>,
        /// What the first of them said.
        reason: String,
    },
    /// What was done by hand was not done everywhere alike.
    #[error("nodes chain differently: {one}, but {other}")]
    NodesDiffer {
        /// A node and its file.
        one: String,
        /// Another one and its file.
        other: String,
    },
    /// What Multus calls cannot be proven by the order of names.
    #[error("{} load Multus, whose choice of the first interface a takeover does not follow", some(nodes))]
    Multus {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// Agents make our file of the one that chains; once that is retired, they make it of Kube-OVN's.
    #[error("{conf} chains {}, and {plain} of Kube-OVN on {node} has {}", before.join(", "), alone.join(", "))]
    OtherPlugins {
        /// The node.
        node: String,
        /// The file that chains.
        conf: String,
        /// Its plugins without Cilium's.
        before: Vec<String>,
        /// Kube-OVN's own file.
        plain: String,
        /// Its plugins.
        alone: Vec<String>,
    },
    /// There would be no way back.
    #[error("there is no CNI file of Kube-OVN alone on {}: nothing could be gone back to", some(nodes))]
    NoPlainFile {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// Kube-OVN must enforce for the time of a run, and its flags belong to somebody else's tool.
    #[error(
        "{object} is owned by {owner}, and not every pod is known to Cilium: its network policy would have to be on again meanwhile"
    )]
    Owned {
        /// The controller.
        object: String,
        /// Who.
        owner: String,
    },
    /// portmap finds its rules by the name of the network (containernetworking/plugins#752).
    #[error(
        "the chained network is called {network}, not {KUBE_OVN_NETWORK}: once it has its name again, the hostPort rules of {} would stay behind for ever",
        some(pods)
    )]
    HostPorts {
        /// Name of the network that chains.
        network: String,
        /// Pods that were made under it, as `namespace/name`.
        pods: Vec<String>,
    },
}

impl NotAdoptable {
    /// How a command ends that does not take over.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Silent { .. } => ExitCode::CouldNotJudge,
            Self::Nothing | Self::OtherChart { .. } => ExitCode::Usage,
            _ => ExitCode::Paused,
        }
    }

    /// What to do about it.
    pub fn next_step(&self) -> NextStep {
        NextStep::Edit(match self {
            Self::Nothing => "run it without `--adopt`".to_owned(),
            Self::NoRelease { .. } => {
                "remove that Cilium the way it was installed, then run `kubectl ovncilium migrate`".to_owned()
            }
            Self::Managed { by, owner, .. } => {
                format!("suspend {by} for {owner}, take its labels and annotations from the release's objects, and give it the new values afterwards")
            }
            Self::Elsewhere { .. } => {
                "remove that Cilium the way it was installed, then run `kubectl ovncilium migrate`".to_owned()
            }
            Self::Release { release, .. } => {
                format!(
                    "bring it to rest: `helm rollback` or `helm upgrade` of {release}; `helm history` tells its revisions"
                )
            }
            Self::Version { .. } => {
                "upgrade that release to a chart of 1.16 to 1.20 first, with its complete values".to_owned()
            }
            Self::OtherChart { installed, .. } => format!("give `--chart` the package of cilium {installed}"),
            Self::Values { .. } => "take that value out of the release with `helm upgrade` first".to_owned(),
            Self::BothServe { .. } => {
                "take kube-proxy away once every agent serves each Service (docs/runbook.md, \"Replacing kube-proxy\", \"By hand\"), or set \
                 kubeProxyReplacement=false in that release and restart the agents; after the takeover `kubectl ovncilium \
                 replace-kube-proxy` does it node by node"
                    .to_owned()
            }
            Self::ServesInPart { .. } => {
                "set kubeProxyReplacement=true or =false in that release, restart the agents, and run it again".to_owned()
            }
            Self::Tunnels { .. } => {
                "set routingMode=native in that release and restart every agent, at a time when nodes may lose each other's \
                 pods; then run it again"
                    .to_owned()
            }
            Self::OtherIpam { .. } => {
                "remove that Cilium the way it was installed, then run `kubectl ovncilium migrate`".to_owned()
            }
            Self::NodeConfigs { .. } => {
                "remove them, or say what they say by values of the release; restart the agents they select, and run it again"
                    .to_owned()
            }
            Self::Exclusive { .. } => {
                "set cni.exclusive=false, give files ending in .cilium_bak their names back, and run it again"
                    .to_owned()
            }
            Self::NeverEnforces { .. } => {
                "set policyAuditMode=true in place of policyEnforcementMode=never, and run it again".to_owned()
            }
            Self::Silent { .. } => "see why a pod cannot run there; every node has to be read".to_owned(),
            Self::NodesDiffer { .. } => {
                "restart the agent of the node that is behind, so that both have what the ConfigMap says now; of two files on one \
                 node, rename the one that sorts last"
                    .to_owned()
            }
            Self::Multus { .. } => {
                "remove that Cilium the way it was installed, then run `kubectl ovncilium migrate`; `kubectl ovncilium explain \
                 multus-pin` tells what it wants of Multus"
                    .to_owned()
            }
            Self::OtherPlugins { .. } => {
                "give both the same plugins, in the ConfigMap of the guide or in Kube-OVN's file, and run it again".to_owned()
            }
            Self::NoPlainFile { .. } => {
                "delete the kube-ovn-cni pods of these nodes, one after the other: they write the file anew".to_owned()
            }
            Self::Owned { .. } => {
                "have its owner set `--enable-np=true`, and run it again; the run asks for it to be off when all is known"
                    .to_owned()
            }
            Self::HostPorts { .. } => {
                "scale the workloads of these pods to zero, take over, and scale them up again".to_owned()
            }
        })
    }
}
