//! Kube-OVN as it is installed, found by structure: which container runs which program with which flags.
//!
//! Fixed names and positions are not relied on: releases differ in `command` and `args`, charts in namespaces and
//! selectors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Known;
use super::release::Release;

/// Every installation found; exactly one is what the rest of the program wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeOvn {
    /// Installations, by namespace.
    pub installations: Vec<Installation>,
}

/// One installation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installation {
    /// Namespace of its controller.
    pub namespace: String,
    /// Version told by the controller's image tag, `v1.14.41`; absent when the tag tells none.
    pub version: Option<String>,
    /// Who owns its objects.
    pub owner: Owner,
    /// The Helm release that owns them, with the chart that is stored in it; absent where it was not looked for, which only a plan does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Known<Release>>,
    /// The workload that runs `kube-ovn-controller`.
    pub controller: Controller,
    /// The DaemonSet that runs the CNI server.
    pub cni: CniDaemon,
    /// Its workloads and how far their rollouts are, by object; none of them when only manifests are known.
    pub components: Vec<Component>,
}

/// A workload of Kube-OVN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// `deployment kube-system/ovn-central`.
    pub object: String,
    /// Its image tag's version; absent when the tag tells none.
    pub version: Option<String>,
    /// Pods wanted.
    pub desired: u32,
    /// Pods of the current template.
    pub updated: u32,
    /// Pods ready.
    pub ready: u32,
    /// Its controller has seen the newest specification.
    pub observed: bool,
}

/// Who owns an object's fields, and so how they are changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Owner {
    /// Applied by hand or by an install script.
    #[default]
    Manifest,
    /// A Helm release.
    Helm {
        /// Its name.
        release: String,
        /// Its namespace.
        namespace: String,
    },
    /// A controller that would revert us.
    External {
        /// Argo CD, Flux, …
        by: String,
        /// The object that manages it.
        object: String,
    },
}

/// The workload that runs `kube-ovn-controller`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// Name of the Deployment.
    pub name: String,
    /// Index of the container.
    pub container: usize,
    /// Name of the container.
    pub container_name: String,
    /// Image of the container.
    pub image: String,
    /// `command` or `args`: the list that holds the flags.
    pub flags_in: String,
    /// The whole list that holds the flags, word by word, as the object has it.
    pub flags_list: Vec<String>,
    /// Flags by name without dashes; a flag without value counts as `true`.
    pub flags: BTreeMap<String, String>,
    /// `--enable-lb`, true when absent.
    pub enable_lb: bool,
    /// `--enable-np`, true when absent.
    pub enable_np: bool,
    /// `--enable-lb-svc`, false when absent.
    pub enable_lb_svc: bool,
    /// Desired replicas; absent when an install script chooses them as it runs.
    pub replicas: Option<u32>,
}

/// The DaemonSet that runs the CNI server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CniDaemon {
    /// Name of the DaemonSet.
    pub name: String,
    /// Image of its main container: already on every node.
    pub image: String,
    /// Pull secrets of the pod template, by name.
    pub image_pull_secrets: Vec<String>,
    /// Service account of the pod template.
    pub service_account: String,
    /// Directory on the host where CNI configuration lives (hostPath of the volume), `/etc/cni/net.d`.
    pub conf_dir: String,
    /// File name it writes, `01-kube-ovn.conflist`.
    pub conf_name: String,
    /// Who writes it, and when.
    pub writer: ConfWriter,
    /// `--iface`, when given.
    pub iface: Option<String>,
    /// `--network-type`: `geneve`, `vxlan` or `stt`.
    pub network_type: String,
    /// `--mtu`, 0 when absent.
    pub mtu: u32,
    /// `--non-primary-cni-mode`.
    pub non_primary: bool,
}

/// Who writes Kube-OVN's CNI configuration file, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfWriter {
    /// The main container at each start, always under the built-in name (v1.9 and older).
    #[default]
    HardCoded,
    /// The main container at each start, under `--cni-conf-name` (v1.10 to v1.12).
    CniServer,
    /// The init container at each start of the pod (v1.13 and newer).
    InstallCni,
}

/// Not exactly one Kube-OVN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOne {
    /// None.
    #[error("this is not a Kube-OVN cluster: no workload runs kube-ovn-controller")]
    None,
    /// More than one.
    #[error("Kube-OVN is installed more than once: {}", controllers.join(" and "))]
    Several {
        /// Their controllers: `deployment kube-system/kube-ovn-controller`.
        controllers: Vec<String>,
    },
}

impl NotOne {
    /// What to do about it.
    pub fn next_step(&self) -> crate::NextStep {
        match self {
            Self::None => crate::NextStep::Edit(
                "name the cluster you mean with `--context`; `kubectl config get-contexts` lists them".to_owned(),
            ),
            Self::Several { .. } => crate::NextStep::Edit(
                "remove the installation that is not in use; two controllers fight over one OVN".to_owned(),
            ),
        }
    }
}

impl Installation {
    /// The controller as messages name it: `deployment kube-system/kube-ovn-controller`.
    pub fn controller_object(&self) -> String {
        format!("deployment {}/{}", self.namespace, self.controller.name)
    }

    /// The CNI DaemonSet as messages name it: `daemonset kube-system/kube-ovn-cni`.
    pub fn cni_object(&self) -> String {
        format!("daemonset {}/{}", self.namespace, self.cni.name)
    }
}

impl KubeOvn {
    /// The one installation.
    ///
    /// # Errors
    /// [`NotOne`] when there is none or more than one.
    pub fn the_one(&self) -> Result<&Installation, NotOne> {
        match self.installations.as_slice() {
            [one] => Ok(one),
            [] => Err(NotOne::None),
            several => {
                Err(NotOne::Several { controllers: several.iter().map(Installation::controller_object).collect() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_both_installations_and_says_what_to_do() {
        let named = |namespace: &str| Installation {
            namespace: namespace.to_owned(),
            controller: Controller { name: "kube-ovn-controller".to_owned(), ..Controller::default() },
            ..Installation::default()
        };
        let one = KubeOvn { installations: vec![named("kube-system")] };
        assert_eq!(one.the_one().map(|one| one.namespace.as_str()), Ok("kube-system"));
        let two = KubeOvn { installations: vec![named("cozy-kubeovn"), named("kube-system")] };
        let error = two.the_one().unwrap_err();
        assert_eq!(
            error.to_string(),
            "Kube-OVN is installed more than once: deployment cozy-kubeovn/kube-ovn-controller \
             and deployment kube-system/kube-ovn-controller"
        );
        assert!(error.next_step().line().starts_with("remove the installation"));
        let none = KubeOvn::default().the_one().unwrap_err();
        assert!(
            none.to_string().starts_with("this is not a Kube-OVN cluster")
                && none.next_step().line().contains("--context")
        );
    }
}
