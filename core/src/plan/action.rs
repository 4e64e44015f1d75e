//! What a step can do: the whole vocabulary of plans. Each action has its file in the engine.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::flags;

/// Label of nodes where Cilium's agent may run while a run lasts.
pub const AGENT_LABEL: &str = "ovncilium.io/agent";
/// Label of nodes whose pods are chained: the cutover of a node.
pub const CHAINED_LABEL: &str = "ovncilium.io/chained";
/// Label of nodes where Cilium enforces policy while others still audit.
pub const ENFORCE_LABEL: &str = "ovncilium.io/enforce";
/// Annotation of pods (through their template): `never` keeps them from being recycled.
pub const RECYCLE_ANNOTATION: &str = "ovncilium.io/recycle";
/// Label of nodes where kube-proxy may run while it is being replaced.
pub const KUBE_PROXY_LABEL: &str = "ovncilium.io/kube-proxy";
/// Label of pods that do a task on a node for us; the value is the task.
pub const TASK_LABEL: &str = "ovncilium.io/task";
/// Label of everything we make in a cluster; the value is the run's id.
pub const RUN_LABEL: &str = "ovncilium.io/run";
/// Taint of nodes whose agent is not ready, where `agent-not-ready-taint-key` names no other.
pub const AGENT_TAINT: &str = "node.cilium.io/agent-not-ready";
/// Name of the CiliumNodeConfig that chains the nodes with [`CHAINED_LABEL`].
pub const CHAIN_CONFIG: &str = "ovncilium-chain";
/// Name of the CiliumNodeConfig that enforces on the nodes with [`ENFORCE_LABEL`].
pub const ENFORCE_CONFIG: &str = "ovncilium-enforce";

/// Which values the Cilium release has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseStage {
    /// Audit mode, agents only on labelled nodes, nothing restarted by itself.
    Staged,
    /// As staged, agents on every node.
    Everywhere,
    /// The values that stay, but no agent restarts by itself.
    Held,
    /// The values that stay.
    Settled,
}

/// Which of two questions a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Which Services answer before something is changed.
    Before,
    /// Whether those that answered before still do.
    After,
}

/// Which CNI configuration a node must load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chain {
    /// Kube-OVN's own file.
    Plain,
    /// Kube-OVN's network with cilium-cni behind it.
    Chained,
    /// What a takeover has found: the file that chained before, or Kube-OVN's own where there is none.
    Found,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Install or upgrade the Cilium release with the values of a stage.
    SetRelease {
        /// The stage.
        stage: ReleaseStage,
    },
    /// Remove the Cilium release.
    RemoveRelease,
    /// Make a CiliumNodeConfig.
    SetNodeConfig {
        /// Its name.
        name: String,
        /// Label that selects its nodes.
        label: String,
        /// Agent settings it overrides.
        defaults: BTreeMap<String, String>,
    },
    /// Remove a CiliumNodeConfig.
    RemoveNodeConfig {
        /// Its name.
        name: String,
    },
    /// Set (`Some`) and remove (`None`) labels of ours on the lane's node.
    LabelNode {
        /// Labels by name.
        labels: BTreeMap<String, Option<String>>,
    },
    /// Take a taint of Cilium's operator from the lane's node.
    RemoveTaint {
        /// Its key.
        key: String,
    },
    /// Wait until the agent on the lane's node is ready.
    AwaitAgent,
    /// Wait until no agent is left on the lane's node.
    AwaitNoAgent,
    /// Delete the agent pod on the lane's node once and wait for its successor to be ready.
    RestartAgent,
    /// Read the node's CNI directory and prove which file its runtime loads.
    ProveConf {
        /// What it must be.
        chain: Chain,
    },
    /// Start a pod on the lane's node, prove its address, endpoint, pod, service and DNS connections, remove it.
    Canary {
        /// What the pod must be.
        chain: Chain,
    },
    /// Take the chained file on the lane's node out of the runtime's sight.
    RetireConf,
    /// Take the file that chained before a takeover out of the runtime's sight.
    RetireFound,
    /// Have every old pod on the lane's node made again, by eviction under its budgets.
    Recycle {
        /// What the new pods will be.
        chain: Chain,
    },
    /// Wait until every pod of the cluster has its endpoint.
    AwaitCoverage,
    /// Ask the lane's agent what it would drop if it enforced; goes on only if that is nothing, or accepted.
    ReviewDrops,
    /// Wait until the lane's agent enforces for every endpoint it has, not only for new ones.
    AwaitEnforcement,
    /// Set flags of kube-ovn-controller in one restart and wait until it has settled.
    SetControllerFlags {
        /// Flags without dashes, and their values.
        flags: BTreeMap<String, String>,
    },
    /// Wait until OVN enforces every NetworkPolicy on every node.
    AwaitOvnPolicy,
    /// The same by an upgrade of the Helm release that owns the controller, with the chart that is stored in it.
    SetReleaseFlags {
        /// Flags without dashes, and their values.
        flags: BTreeMap<String, String>,
    },
    /// The same by whoever owns the controller: print the change, and wait for it.
    AwaitFlags {
        /// Flags without dashes, and their values.
        flags: BTreeMap<String, String>,
    },
    /// Remove Cilium's programs and interfaces from the lane's node.
    CleanDatapath,
    /// Remove Cilium's firewall and routing rules from the lane's node, which its own cleanup leaves.
    CleanRules,
    /// Remove the CRDs of Cilium with what is in them, unless a policy object exists.
    RemoveCrds,
    /// Ask Services from the lane's node and from a pod on it.
    ProbeServices {
        /// Before something is changed, or after.
        moment: Moment,
    },
    /// Read kube-proxy's rules on the lane's node and prove that each Service has its own.
    ProveKubeProxy,
    /// Wait until the lane's agent says that it replaces kube-proxy and serves each Service.
    AwaitReplacement,
    /// Have kube-proxy run where nodes carry [`KUBE_PROXY_LABEL`] alone, or again where it ran before.
    LimitKubeProxy {
        /// To labelled nodes, or no more.
        limited: bool,
    },
    /// Wait until kube-proxy is ready on the lane's node.
    AwaitKubeProxy,
    /// Wait until no kube-proxy is left on the lane's node, or on any.
    AwaitNoKubeProxy,
    /// Wait until whoever starts kube-proxy has stopped it on the lane's node, or started it again: the switch is printed.
    AwaitSwitch {
        /// Started, not stopped.
        on: bool,
    },
    /// Remove kube-proxy's rules from the lane's node, by its own cleanup.
    CleanKubeProxy,
    /// Look at everything once more.
    Verify {
        /// What the cluster must be.
        chain: Chain,
    },
}

impl Action {
    /// Whether it leaves nothing behind that a rollback would have to take away.
    pub fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::AwaitAgent
                | Self::AwaitNoAgent
                | Self::ProveConf { .. }
                | Self::Canary { .. }
                | Self::AwaitCoverage
                | Self::ReviewDrops
                | Self::AwaitEnforcement
                | Self::AwaitOvnPolicy
                | Self::ProbeServices { .. }
                | Self::ProveKubeProxy
                | Self::AwaitReplacement
                | Self::AwaitKubeProxy
                | Self::AwaitNoKubeProxy
                | Self::AwaitSwitch { .. }
                | Self::Verify { .. }
        )
    }

    /// Kebab-case name, as in step ids and in the engine's file names.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetRelease { .. } => "set-release",
            Self::RemoveRelease => "remove-release",
            Self::SetNodeConfig { .. } => "set-node-config",
            Self::RemoveNodeConfig { .. } => "remove-node-config",
            Self::LabelNode { .. } => "label-node",
            Self::RemoveTaint { .. } => "remove-taint",
            Self::AwaitAgent => "await-agent",
            Self::AwaitNoAgent => "await-no-agent",
            Self::RestartAgent => "restart-agent",
            Self::ProveConf { .. } => "prove-conf",
            Self::Canary { .. } => "canary",
            Self::RetireConf => "retire-conf",
            Self::RetireFound => "retire-found",
            Self::Recycle { .. } => "recycle",
            Self::AwaitCoverage => "await-coverage",
            Self::ReviewDrops => "review-drops",
            Self::AwaitEnforcement => "await-enforcement",
            Self::SetControllerFlags { .. } => "set-controller-flags",
            Self::AwaitOvnPolicy => "await-ovn-policy",
            Self::SetReleaseFlags { .. } => "set-release-flags",
            Self::AwaitFlags { .. } => "await-flags",
            Self::CleanDatapath => "clean-datapath",
            Self::CleanRules => "clean-rules",
            Self::RemoveCrds => "remove-crds",
            Self::ProbeServices { .. } => "probe-services",
            Self::ProveKubeProxy => "prove-kube-proxy",
            Self::AwaitReplacement => "await-replacement",
            Self::LimitKubeProxy { .. } => "limit-kube-proxy",
            Self::AwaitKubeProxy => "await-kube-proxy",
            Self::AwaitNoKubeProxy => "await-no-kube-proxy",
            Self::AwaitSwitch { .. } => "await-switch",
            Self::CleanKubeProxy => "clean-kube-proxy",
            Self::Verify { .. } => "verify",
        }
    }

    /// Flags of kube-ovn-controller that it sets, whichever way.
    pub fn controller_flags(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::SetControllerFlags { flags } | Self::SetReleaseFlags { flags } | Self::AwaitFlags { flags } => {
                Some(flags)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetRelease { stage: ReleaseStage::Staged } => {
                f.write_str("helm: Cilium in audit mode, agents only on labelled nodes")
            }
            Self::SetRelease { stage: ReleaseStage::Everywhere } => {
                f.write_str("helm: agents on every node, not yet settled")
            }
            Self::SetRelease { stage: ReleaseStage::Held } => {
                f.write_str("helm: the values that stay; no agent restarts by itself")
            }
            Self::SetRelease { stage: ReleaseStage::Settled } => f.write_str("helm: the values that stay"),
            Self::RemoveRelease => f.write_str("helm: remove the release"),
            Self::SetNodeConfig { name, label, .. } => write!(f, "CiliumNodeConfig {name} for nodes with {label}"),
            Self::RemoveNodeConfig { name } => write!(f, "remove CiliumNodeConfig {name}"),
            Self::LabelNode { labels } => {
                let words: Vec<String> = labels
                    .iter()
                    .map(|(name, value)| match value {
                        Some(value) => format!("{name}={value}"),
                        None => format!("{name}-"),
                    })
                    .collect();
                write!(f, "label node {}", words.join(" "))
            }
            Self::RemoveTaint { key } => write!(f, "take taint {key} from the node"),
            Self::AwaitAgent => f.write_str("wait for Cilium's agent"),
            Self::AwaitNoAgent => f.write_str("wait until Cilium's agent is gone"),
            Self::RestartAgent => f.write_str("restart Cilium's agent"),
            Self::ProveConf { chain: Chain::Chained } => f.write_str("prove that the chained configuration is loaded"),
            Self::ProveConf { chain: Chain::Plain } => f.write_str("prove that Kube-OVN's configuration is loaded"),
            Self::ProveConf { chain: Chain::Found } => {
                f.write_str("prove that the configuration that was found is loaded")
            }
            Self::Canary { chain: Chain::Chained } => f.write_str("canary pod, chained"),
            Self::Canary { chain: Chain::Plain } => f.write_str("canary pod, not chained"),
            Self::Canary { chain: Chain::Found } => f.write_str("canary pod, as the node was found"),
            Self::RetireConf => f.write_str("retire the chained configuration file"),
            Self::RetireFound => f.write_str("retire the file that chained before"),
            Self::Recycle { .. } => f.write_str("recycle old pods"),
            Self::AwaitCoverage => f.write_str("every pod has its endpoint"),
            Self::ReviewDrops => f.write_str("review what enforcement would drop"),
            Self::AwaitEnforcement => f.write_str("every endpoint of the node enforces"),
            Self::AwaitOvnPolicy => f.write_str("OVN enforces every network policy"),
            Self::SetControllerFlags { flags } => {
                write!(f, "kube-ovn-controller {}", flags::words(flags))
            }
            Self::SetReleaseFlags { flags } => {
                write!(f, "helm: Kube-OVN's own release, kube-ovn-controller {}", flags::words(flags))
            }
            Self::AwaitFlags { flags } => {
                write!(f, "wait until its owner has set kube-ovn-controller {}", flags::words(flags))
            }
            Self::CleanDatapath => f.write_str("remove Cilium's programs from the node"),
            Self::CleanRules => f.write_str("remove Cilium's firewall and routing rules from the node"),
            Self::RemoveCrds => f.write_str("remove Cilium's CRDs"),
            Self::ProbeServices { moment: Moment::Before } => f.write_str("note which Services answer"),
            Self::ProbeServices { moment: Moment::After } => f.write_str("Services answer as before"),
            Self::ProveKubeProxy => f.write_str("kube-proxy has a rule for every Service"),
            Self::AwaitReplacement => f.write_str("the agent replaces kube-proxy and serves every Service"),
            Self::LimitKubeProxy { limited: true } => write!(f, "kube-proxy only on nodes with {KUBE_PROXY_LABEL}"),
            Self::LimitKubeProxy { limited: false } => f.write_str("kube-proxy on every node, as before"),
            Self::AwaitKubeProxy => f.write_str("wait for kube-proxy"),
            Self::AwaitNoKubeProxy => f.write_str("wait until kube-proxy is gone"),
            Self::AwaitSwitch { on: false } => f.write_str("kube-proxy is switched off, by its owner"),
            Self::AwaitSwitch { on: true } => f.write_str("kube-proxy is switched on again, by its owner"),
            Self::CleanKubeProxy => f.write_str("remove kube-proxy's rules by `kube-proxy --cleanup`"),
            Self::Verify { .. } => f.write_str("verify the whole cluster"),
        }
    }
}

/// What must still hold before a step writes: the few fields it relies on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rely-on", rename_all = "kebab-case")]
pub enum Guard {
    /// Nothing beyond the step's own look.
    #[default]
    Nothing,
    /// The node is the same node.
    NodeUid {
        /// UID when the plan was made.
        uid: String,
    },
    /// kube-ovn-controller runs with these flags or already with those the step sets.
    ControllerFlags {
        /// Flags when the plan was made, in order.
        flags: Vec<String>,
    },
    /// The Helm release is at this revision, or the step has begun to change it.
    Release {
        /// Revision when the plan was made.
        revision: u32,
    },
    /// Both: the first change of a takeover must not be made for a release that its second would refuse.
    Untouched {
        /// As of [`Guard::ControllerFlags`].
        flags: Vec<String>,
        /// As of [`Guard::Release`].
        revision: u32,
    },
}
