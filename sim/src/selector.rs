//! Label selectors, field selectors, node affinity and taints, as the API server and the scheduler understand them.

use serde_json::Value;

use crate::objects::{flag, label, list, text};

/// Whether `object` matches the selector text of a list request: `a=b,c!=d,e,!f,g in (h,i)`.
pub fn matches_labels(object: &Value, selector: &str) -> bool {
    split(selector).into_iter().all(|term| {
        let term = term.trim();
        if term.is_empty() {
            true
        } else if let Some((key, values)) = set_term(term, " notin ") {
            !label(object, key).is_some_and(|value| values.contains(&value))
        } else if let Some((key, values)) = set_term(term, " in ") {
            label(object, key).is_some_and(|value| values.contains(&value))
        } else if let Some((key, value)) = term.split_once("!=") {
            label(object, key.trim()) != Some(value.trim())
        } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            label(object, key.trim()) == Some(value.trim())
        } else if let Some(key) = term.strip_prefix('!') {
            label(object, key.trim()).is_none()
        } else {
            label(object, term).is_some()
        }
    })
}

/// Splits at commas outside parentheses.
fn split(selector: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, letter) in selector.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[start..]);
    terms
}

fn set_term<'a>(term: &'a str, operator: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (key, values) = term.split_once(operator)?;
    let values = values.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some((key.trim(), values.split(',').map(str::trim).collect()))
}

/// Whether `object` matches the field selector of a list request: `spec.nodeName=a,metadata.name!=b`.
pub fn matches_fields(object: &Value, selector: &str) -> bool {
    selector.split(',').filter(|term| !term.trim().is_empty()).all(|term| {
        let (path, value, equal) = match term.split_once("!=") {
            Some((path, value)) => (path, value, false),
            None => match term.split_once('=') {
                Some((path, value)) => (path, value.trim_start_matches('='), true),
                None => return false,
            },
        };
        let pointer = format!("/{}", path.trim().replace('.', "/"));
        (text(object, &pointer) == value.trim()) == equal
    })
}

/// Whether `object` matches a LabelSelector (`matchLabels`, `matchExpressions`); an empty one matches everything.
pub fn matches(object: &Value, selector: &Value) -> bool {
    ovncilium_core::selector::matches(labels(object), selector)
}

fn labels(object: &Value) -> &Value {
    object.pointer("/metadata/labels").unwrap_or(&Value::Null)
}

/// Whether a pod of `spec` may run on `node` by its nodeSelector and its required node affinity.
pub fn selects_node(spec: &Value, node: &Value) -> bool {
    let by_selector = spec
        .get("nodeSelector")
        .and_then(Value::as_object)
        .is_none_or(|pairs| pairs.iter().all(|(key, value)| label(node, key) == value.as_str()));
    let required = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = list(spec, required);
    let by_affinity = terms.is_empty()
        || terms.iter().any(|term| {
            list(term, "/matchExpressions").iter().all(|one| ovncilium_core::selector::meets(labels(node), one))
                && list(term, "/matchFields").iter().all(|one| {
                    text(one, "/key") == "metadata.name"
                        && list(one, "/values").iter().any(|value| value.as_str() == Some(crate::objects::name(node)))
                })
        });
    by_selector && by_affinity
}

/// Whether a pod of `spec` tolerates the taint.
pub fn tolerates(spec: &Value, key: &str, value: &str, effect: &str) -> bool {
    list(spec, "/tolerations").iter().any(|one| {
        let wanted = text(one, "/effect");
        let same_effect = wanted.is_empty() || wanted == effect;
        let wanted = text(one, "/key");
        let exists = text(one, "/operator") == "Exists";
        let same_key = wanted == key || (wanted.is_empty() && exists);
        same_effect && same_key && (exists || text(one, "/value") == value)
    })
}

/// Taints of `node` that keep a pod of `spec` away, cordon and unreadiness included, as the scheduler sees them.
pub fn repels(spec: &Value, node: &Value) -> bool {
    let repelled = |key: &str, value: &str, effect: &str| {
        matches!(effect, "NoSchedule" | "NoExecute") && !tolerates(spec, key, value, effect)
    };
    list(node, "/spec/taints").iter().any(|t| repelled(text(t, "/key"), text(t, "/value"), text(t, "/effect")))
        || (flag(node, "/spec/unschedulable") && repelled("node.kubernetes.io/unschedulable", "", "NoSchedule"))
        || (!crate::objects::condition(node, "Ready") && repelled("node.kubernetes.io/not-ready", "", "NoSchedule"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects_by_labels_as_kubectl_does() {
        let object = json!({"metadata": {"name": "x", "labels": {"a": "1", "b": "2"}}, "spec": {"nodeName": "n"}});
        for (selector, expected) in [
            ("a=1", true),
            ("a==1,b=2", true),
            ("a=2", false),
            ("a!=2", true),
            ("c", false),
            ("!c,a", true),
            ("a in (0,1),b", true),
            ("a notin (1)", false),
            ("", true),
        ] {
            assert_eq!(matches_labels(&object, selector), expected, "{selector}");
        }
        assert!(matches_fields(&object, "spec.nodeName=n,metadata.name!=y"));
        assert!(!matches_fields(&object, "spec.nodeName=m"));
    }

    #[test]
    fn a_cordoned_node_repels_what_does_not_tolerate_it() {
        let node =
            json!({"spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert!(repels(&json!({}), &node));
        assert!(!repels(&json!({"tolerations": [{"operator": "Exists"}]}), &node));
    }
}
