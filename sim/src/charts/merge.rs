//! How Helm merges: values over defaults, and a new manifest over the live object.

use serde_json::{Map, Value};

/// `over` on `base` as Helm coalesces values: maps key by key, null removes, everything else replaces.
pub(super) fn coalesce(base: &Value, over: &Value) -> Value {
    let (Value::Object(base), Value::Object(over)) = (base, over) else { return over.clone() };
    let mut merged = base.clone();
    for (key, value) in over {
        if value.is_null() {
            merged.remove(key);
        } else {
            let below = base.get(key).unwrap_or(&Value::Null);
            merged.insert(key.clone(), coalesce(below, value));
        }
    }
    Value::Object(merged)
}

/// The live object with what the manifest says; fields that only the previous manifest had are removed, fields of
/// others stay.
pub(super) fn three_way(previous: &Value, desired: &Value, live: &Value) -> Value {
    let (Value::Object(desired), Value::Object(live)) = (desired, live) else { return desired.clone() };
    let empty = Map::new();
    let previous = previous.as_object().unwrap_or(&empty);
    let mut merged = live.clone();
    merged.retain(|key, _| desired.contains_key(key) || !previous.contains_key(key));
    for (key, value) in desired {
        let (before, now) = (previous.get(key).unwrap_or(&Value::Null), live.get(key).unwrap_or(&Value::Null));
        merged.insert(key.clone(), three_way(before, value, now));
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_the_previous_manifest_go_and_those_of_others_stay() {
        let merged = three_way(
            &json!({"data": {"a": "1", "b": "1"}}),
            &json!({"data": {"a": "2"}}),
            &json!({"data": {"a": "1", "b": "1", "theirs": "x"}, "status": {}}),
        );
        assert_eq!(merged, json!({"data": {"a": "2", "theirs": "x"}, "status": {}}));
    }

    #[test]
    fn values_merge_map_by_map() {
        let merged = coalesce(&json!({"a": {"b": 1, "c": [1]}}), &json!({"a": {"c": [2], "b": null}}));
        assert_eq!(merged, json!({"a": {"c": [2]}}));
    }
}
