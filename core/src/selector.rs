//! Label selectors as Kubernetes objects hold them (`LabelSelector` of `meta/v1`).

use serde_json::Value;

/// Whether `labels` (an object of strings, or null) match a LabelSelector: `matchLabels` and `matchExpressions`. An empty selector
/// matches everything; an operator that is not known matches nothing.
pub fn matches(labels: &Value, selector: &Value) -> bool {
    let pairs = selector.get("matchLabels").and_then(Value::as_object);
    let terms = selector.get("matchExpressions").and_then(Value::as_array);
    pairs.is_none_or(|pairs| pairs.iter().all(|(key, value)| labels.get(key) == Some(value)))
        && terms.into_iter().flatten().all(|term| meets(labels, term))
}

/// Whether `labels` meet one `{key, operator, values}`.
pub fn meets(labels: &Value, term: &Value) -> bool {
    let word = |name: &str| term.get(name).and_then(Value::as_str).unwrap_or_default();
    let found = labels.get(word("key"));
    let listed = || {
        let values = term.get("values").and_then(Value::as_array);
        values.into_iter().flatten().any(|value| Some(value) == found)
    };
    match word("operator") {
        "In" => found.is_some() && listed(),
        "NotIn" => found.is_none() || !listed(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_match_as_the_api_server_matches_them() {
        let labels = json!({ "app": "db", "tier": "back" });
        let term = |operator: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": "app", "operator": operator, "values": values }] });
        for (selector, expected) in [
            (json!({}), true),
            (json!({ "matchLabels": { "app": "db" } }), true),
            (json!({ "matchLabels": { "app": "db", "tier": "front" } }), false),
            (json!({ "matchLabels": { "zone": "a" } }), false),
            (term("In", &["db", "web"]), true),
            (term("In", &["web"]), false),
            (term("NotIn", &["web"]), true),
            (term("NotIn", &["db"]), false),
            (term("Exists", &[]), true),
            (term("DoesNotExist", &[]), false),
            (term("Like", &["db"]), false),
        ] {
            assert_eq!(matches(&labels, &selector), expected, "{selector}");
        }
        assert!(matches(&Value::Null, &json!({ "matchExpressions": [{ "key": "a", "operator": "DoesNotExist" }] })));
        assert!(!matches(&Value::Null, &json!({ "matchLabels": { "a": "b" } })));
    }
}
