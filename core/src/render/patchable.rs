//! The published list of what a policy may patch: keys of `cilium-config` that stand in one place of the rendered stream.
//!
//! Where a chart value also reaches a container's arguments or another object, a patch of one key would make the chart
//! contradict itself; there a policy denies and says which value to set. The list was measured: each value was changed alone in
//! Cilium's charts 1.10.5, 1.14.19, 1.15.5, 1.18.12 and 1.20.0, and the renders differed in one line.
//! `docs/post-renderer.md` shows the same table.

use std::fmt;

use json_patch::PatchOperation;

use super::{Document, Stream};

/// The only object a patch may touch, by kind and name.
pub const PATCHABLE_OBJECT: (&str, &str) = ("ConfigMap", "cilium-config");

/// A key of [`PATCHABLE_OBJECT`]'s `data` that may be patched, and the chart value behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchableKey {
    /// The key below `data`.
    pub key: &'static str,
    /// The chart value that renders it, as `--set` takes it.
    pub value: &'static str,
    /// Last minor of Cilium 1 for which it is on the list; all when absent.
    pub through: Option<u64>,
}

const fn key(key: &'static str, value: &'static str, through: Option<u64>) -> PatchableKey {
    PatchableKey { key, value, through }
}

/// Every key that may be patched, by name.
pub const PATCHABLE: &[PatchableKey] = &[
    key("cluster-pool-ipv4-mask-size", "ipam.operator.clusterPoolIPv4MaskSize", Some(18)),
    key("devices", "devices", Some(18)),
    key("enable-identity-mark", "enableIdentityMark", None),
    key("enable-ipv6-masquerade", "enableIPv6Masquerade", None),
    key("enable-policy", "policyEnforcementMode", None),
    key("policy-audit-mode", "policyAuditMode", None),
];

/// Keys that chaining needs and that may not be patched, with the chart value to set instead.
const BY_VALUE: &[(&str, &str)] = &[
    ("cluster-pool-ipv4-cidr", "ipam.operator.clusterPoolIPv4PodCIDRList"),
    ("cni-chaining-mode", "cni.chainingMode"),
    ("cni-chaining-target", "cni.chainingTarget"),
    ("cni-exclusive", "cni.exclusive"),
    ("custom-cni-conf", "cni.customConf"),
    ("enable-ipv4-masquerade", "enableIPv4Masquerade"),
    ("kube-proxy-replacement", "kubeProxyReplacement"),
    ("routing-mode", "routingMode"),
    ("tunnel", "tunnel"),
];

/// Why an operation is refused, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The place it wants to change.
    pub pointer: String,
    /// Why not.
    pub why: String,
    /// What to set instead.
    pub instead: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "may not patch `{}`: {}", self.pointer, self.why)
    }
}

/// The first operation that changes what is not on the list, if there is one. A `test` changes nothing.
pub(super) fn refusal(stream: &Stream, document: &Document, operation: &PatchOperation) -> Option<Box<Refusal>> {
    let (pointer, value) = match operation {
        PatchOperation::Test(_) => return None,
        PatchOperation::Add(add) => (add.path.as_str(), Some(&add.value)),
        PatchOperation::Replace(replace) => (replace.path.as_str(), Some(&replace.value)),
        PatchOperation::Remove(remove) => (remove.path.as_str(), None),
        PatchOperation::Move(moved) => (moved.path.as_str(), None),
        PatchOperation::Copy(copy) => (copy.path.as_str(), None),
    };
    let (kind, name) = PATCHABLE_OBJECT;
    let refused = |why: String, instead: String| Some(Box::new(Refusal { pointer: pointer.to_owned(), why, instead }));
    let data = document.objects().into_iter().find_map(|object| {
        let below = pointer.strip_prefix(&object.pointer())?.strip_prefix("/data/")?;
        (object.kind == kind && object.name == name).then_some(below)
    });
    let Some(wanted) = data else {
        let why = format!("only keys of {kind} {name} may be patched, and this is of {}", document.describe());
        return refused(why, "set in the chart's values what the patch is meant to do".to_owned());
    };
    let text = value.and_then(|value| value.as_str());
    let set = |behind: &str| match text {
        Some(text) => format!("--set {behind}={text}"),
        None => format!("set {behind} in the chart's values"),
    };
    let Some(listed) = PATCHABLE.iter().find(|listed| listed.key == wanted) else {
        let known: Vec<_> = PATCHABLE.iter().map(|listed| listed.key).collect();
        let why = format!("it is no key of the list: {}", known.join(", "));
        let behind = BY_VALUE.iter().find(|(key, _)| *key == wanted);
        let instead =
            behind.map_or_else(|| format!("set the chart value that renders `{wanted}`"), |(_, behind)| set(behind));
        return refused(why, instead);
    };
    if let Some(last) = listed.through {
        match stream.cilium_minor() {
            Some(minor) if minor <= last => {}
            Some(minor) => {
                return refused(
                    format!("it is on the list up to Cilium 1.{last}, this is 1.{minor}"),
                    set(listed.value),
                );
            }
            None => {
                let why =
                    format!("it is on the list up to Cilium 1.{last}, and no image in the stream tells the version");
                return refused(why, set(listed.value));
            }
        }
    }
    if text.is_none() {
        return refused("a patch may add or replace the text of a key, nothing else".to_owned(), set(listed.value));
    }
    None
}
