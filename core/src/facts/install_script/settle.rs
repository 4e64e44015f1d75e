//! What of Kube-OVN is sure, whatever a run of the script brings.

use serde_json::Value;

use super::{first_open, is_open};
use crate::facts::kube_ovn::KubeOvn;
use crate::plan::Resource;

/// Kube-OVN as it may be instead, or why nobody can tell.
pub(in crate::facts) struct Case {
    /// Why, as a sentence.
    pub(in crate::facts) why: String,
    /// What there is in that case; none when it cannot be told.
    pub(in crate::facts) kube_ovn: Option<Result<KubeOvn, String>>,
}

/// Kube-OVN, if no open value is in it and no case changes it. `holder` names the object that holds an open value.
///
/// # Errors
/// Why it is not sure.
pub(in crate::facts) fn settle(
    kube_ovn: Result<KubeOvn, String>,
    cases: Vec<Case>,
    holder: &dyn Fn(&str) -> Option<String>,
) -> Result<KubeOvn, String> {
    let open = match &kube_ovn {
        Ok(known) => serde_json::to_string(known).ok().and_then(|known| first_open(&known)),
        Err(reason) => first_open(reason),
    };
    if let Some(open) = open {
        let holder = holder(&open).unwrap_or_else(|| "Kube-OVN".to_owned());
        return Err(format!("{holder} has {open}, which is known only when the script runs"));
    }
    match cases.into_iter().find(|case| case.kube_ovn.as_ref() != Some(&kube_ovn)) {
        Some(case) => Err(case.why),
        None => kube_ovn,
    }
}

/// An open value that decides what an object is, or where facts compare and do not copy: they would not carry its mark.
pub(in crate::facts) fn shape(resource: Option<Resource>, object: &Value) -> Option<String> {
    let open = |pointer: &str| object.pointer(pointer).and_then(|value| first_open(&value.to_string()));
    if let Some(open) = ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"].into_iter().find_map(open) {
        return Some(open);
    }
    if !matches!(resource, Some(Resource::DEPLOYMENTS | Resource::DAEMON_SETS)) {
        return None;
    }
    open("/metadata").or_else(|| compared(object, false))
}

/// An open key, name or program; `words` is whether this stands in a list of words.
fn compared(value: &Value, words: bool) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| {
            let named = matches!(key.as_str(), "name" | "mountPath").then_some(value).and_then(Value::as_str);
            first_open(key)
                .or_else(|| named.and_then(first_open))
                .or_else(|| compared(value, matches!(key.as_str(), "command" | "args")))
        }),
        Value::Array(items) => items.iter().find_map(|item| compared(item, words)),
        Value::String(text) => {
            // The program may be anything, or stand among other words in a shell's text.
            let program = words && (!text.starts_with('-') || text.contains(char::is_whitespace));
            (program && is_open(text)).then(|| first_open(text)).flatten()
        }
        _ => None,
    }
}
