//! What is known of a cluster: one serialisable value, one file per subject.
//!
//! Each subject is [`Known`] or unknown *with a reason*; unknown never passes a policy. Facts come in two tiers:
//! **api** (read-only requests) and **node** ([`conflists`], [`node_os`]; read by short-lived read-only pods). Where they come
//! from (a live API server, a snapshot [`file`], [`manifests`]) is told by [`Source`]; everything right of here
//! runs the same on all of them. [`inventory`] holds raw objects, [`derive`] turns them into facts.
//!
//! A new subject: a file here, a line in the `subjects!` list below, and its derivation in [`derive`].

pub mod addresses;
pub mod cilium;
pub mod conflists;
pub mod derive;
pub mod file;
mod install_script;
pub mod intent;
pub mod inventory;
pub mod kube_ovn;
pub mod manifests;
mod member;
pub mod multus;
pub mod networks;
pub mod node_os;
pub mod nodes;
pub mod permissions;
pub mod release;
pub mod services;
pub mod tools;
pub mod workloads;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Version of the format below. A file with a newer one may not be judged.
pub const SCHEMA: u32 = 1;

/// A value, or the reason why it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known<T> {
    /// Read and complete.
    Known(T),
    /// Not read, or not completely; the text says why: `node facts were not read (--nodes)`.
    Unknown(String),
}

impl Facts {
    /// Pods (`namespace/name`) that their operator has accepted as unmanaged no longer count as such.
    pub fn accept_unmanaged(&mut self, accepted: &[String]) {
        let Known::Known(cilium) = &self.cilium.value else { return };
        let Known::Known(workloads) = &mut self.workloads.value else { return };
        if !accepted.is_empty() && workloads.unmanaged.is_some() {
            workloads.unmanaged = Some(derive::unmanaged_but(workloads, cilium, accepted));
        }
    }
}

impl<T> Known<T> {
    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The value, or the reason why not.
    ///
    /// # Errors
    /// The reason.
    pub fn as_result(&self) -> Result<&T, &str> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Unknown(reason) => Err(reason),
        }
    }
}

/// One subject with the moment it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject<T> {
    /// When the last object of it was read; absent when it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<jiff::Timestamp>,
    /// The value or why it is unknown.
    pub value: Known<T>,
}

impl<T> Subject<T> {
    /// A subject read at `at`.
    pub fn known(value: T, at: jiff::Timestamp) -> Self {
        Self { observed_at: Some(at), value: Known::Known(value) }
    }

    /// A subject that was not read.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { observed_at: None, value: Known::Unknown(reason.into()) }
    }
}

/// Where facts came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Source {
    /// A live API server.
    Live {
        /// Its URL.
        server: String,
        /// The kubeconfig context, when one was named.
        context: Option<String>,
        /// UID of the namespace `kube-system`: tells clusters apart.
        cluster: String,
    },
    /// YAML of a Git repository: what is not in it is unknown.
    Manifests {
        /// Paths as given.
        paths: Vec<String>,
    },
    /// The embedded pretend cluster.
    Rehearsal,
    /// None: documents are judged by themselves.
    Offline,
}

/// What a policy gets when it asks for a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactAnswer {
    /// JSON text without blanks: that of a large cluster is seven times smaller so than as values.
    Json(String),
    /// It is known, and has no such field.
    Nothing,
    /// It is not known, and why.
    Unknown(String),
    /// There is no subject of that name.
    NoSuchFact,
}

macro_rules! subjects {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $name:literal;)*) => {
        /// Everything known of a cluster.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Facts {
            /// [`SCHEMA`] of the writer.
            pub schema: u32,
            /// Version of the writer.
            pub written_by: String,
            /// When collection ended.
            pub collected_at: jiff::Timestamp,
            /// Where from.
            pub source: Source,
            $($(#[$doc])* pub $field: Subject<$type>,)*
        }

        #[cfg(test)]
        impl Facts {
            /// Facts in which every subject is known and empty.
            fn empty() -> Self {
                let mut facts = Self::unknown(Source::Offline, jiff::Timestamp::UNIX_EPOCH, "");
                $(facts.$field.value = Known::Known(Default::default());)*
                facts
            }
        }

        /// Names of all subjects, as policies declare them.
        pub const NAMES: &[&str] = &[$($name),*];

        impl Facts {
            /// Facts in which every subject is unknown for the same reason.
            pub fn unknown(source: Source, at: jiff::Timestamp, reason: &str) -> Self {
                Self {
                    schema: SCHEMA,
                    written_by: env!("CARGO_PKG_VERSION").to_owned(),
                    collected_at: at,
                    source,
                    $($field: Subject::unknown(reason),)*
                }
            }

            /// The subject called `name`, as policies see it: the whole, or a field of it, which costs nothing of the others.
            pub fn answer(&self, name: &str, field: Option<&str>) -> FactAnswer {
                let written = match name {
                    $($name => match (&self.$field.value, field) {
                        (Known::Known(value), None) => serde_json::to_string(value).map(Some),
                        (Known::Known(value), Some(field)) => member::member(value, field),
                        (Known::Unknown(reason), _) => return FactAnswer::Unknown(reason.clone()),
                    },)*
                    _ => return FactAnswer::NoSuchFact,
                };
                match written {
                    Ok(json) => json.map_or(FactAnswer::Nothing, FactAnswer::Json),
                    Err(error) => FactAnswer::Unknown(format!("cannot be written as JSON: {error}")),
                }
            }

            /// Subjects that are not known, with the reasons.
            pub fn unknowns(&self) -> Vec<(&'static str, &str)> {
                let mut unknowns = Vec::new();
                $(if let Known::Unknown(reason) = &self.$field.value {
                    unknowns.push(($name, reason.as_str()));
                })*
                unknowns
            }

            /// When the oldest of what is known was read; when collection ended, if nothing is known or no subject says it.
            pub fn oldest(&self) -> jiff::Timestamp {
                let read = [$(self.$field.value.known().and(self.$field.observed_at)),*];
                read.into_iter().flatten().fold(self.collected_at, jiff::Timestamp::min)
            }

            /// Digest of the values alone: the same cluster read twice gives the same digest.
            pub fn digest(&self) -> Digest {
                let values = [$(($name, Digest::of_json(&self.$field.value).ok())),*];
                Digest::of_json(&values).unwrap_or_else(|_| Digest::of(""))
            }
        }
    };
}

subjects! {
    /// Nodes and their kernels.
    nodes: nodes::Nodes = "nodes";
    /// Kube-OVN's workloads and flags.
    kube_ovn: kube_ovn::KubeOvn = "kube-ovn";
    /// Kube-OVN's networks.
    networks: networks::Networks = "networks";
    /// What is there of Cilium.
    cilium: cilium::Cilium = "cilium";
    /// Every address range in use.
    addresses: addresses::Addresses = "addresses";
    /// Services and what serves them.
    services: services::Services = "services";
    /// Multus, and which configuration it calls.
    multus: multus::Multus = "multus";
    /// Pods in a slim form, disruption budgets, network policies.
    workloads: workloads::Workloads = "workloads";
    /// What we may do.
    permissions: permissions::Permissions = "permissions";
    /// Tools beside us.
    tools: tools::Tools = "tools";
    /// CNI configuration files of the nodes (node tier).
    conflists: conflists::Conflists = "conflists";
    /// Kernel and distribution as the node itself tells them (node tier).
    node_os: node_os::NodeOs = "node-os";
    /// What is asked for: the target, and what the plan will change itself.
    intent: intent::Intent = "intent";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_a_subject_is_what_it_is_in_the_whole() {
        let facts = Facts::empty();
        for name in NAMES {
            let FactAnswer::Json(whole) = facts.answer(name, None) else { panic!("{name}") };
            let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&whole).unwrap();
            assert!(!whole.is_empty(), "{name}");
            for (field, value) in whole {
                assert_eq!(facts.answer(name, Some(&field)), FactAnswer::Json(value.to_string()), "{name}/{field}");
            }
            assert_eq!(facts.answer(name, Some("-")), FactAnswer::Nothing, "{name}");
        }
        assert_eq!(facts.answer("none", Some("-")), FactAnswer::NoSuchFact);
    }
}
