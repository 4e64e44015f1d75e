//! The Helm release that made Kube-OVN, as far as turning its two switches needs it. No other value of it is kept: values may be
//! secrets.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::ObjectRef;

/// The newest revision of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its number.
    pub revision: u32,
    /// `deployed`, `failed`, `pending-upgrade`, …
    pub status: String,
    /// Name of its chart.
    pub chart: String,
    /// Version of its chart.
    pub chart_version: String,
    /// The switch of network policy.
    pub network_policy: Switch,
    /// The switch of the load balancer.
    pub load_balancer: Switch,
    /// Its objects: helm may patch each of them in an upgrade, whether it changes or not.
    pub objects: Vec<ObjectRef>,
    /// What an upgrade that sets nothing but the switches would change besides the controller's flags, in words.
    pub also_changes: Vec<String>,
}

/// One switch as a value of the chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Its key, dotted: `func.ENABLE_NP`.
    pub key: String,
    /// What the release's own values say, a boolean or such a word; absent where they leave it to the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Value>,
}

impl Switch {
    /// The switch in values of a release.
    ///
    /// # Errors
    /// When they say something that is neither true nor false, which is not ours to keep.
    pub fn read(key: &str, values: &Value) -> Result<Self, String> {
        let given = find(key, values).cloned();
        let is_switch = |given: &Value| given.is_boolean() || matches!(given.as_str(), Some("true" | "false"));
        match given.as_ref().is_none_or(is_switch) {
            true => Ok(Self { key: key.to_owned(), given }),
            false => Err(format!("its value {key} is neither true nor false")),
        }
    }

    /// What `values` say of it.
    pub fn find<'v>(&self, values: &'v Value) -> Option<&'v Value> {
        find(&self.key, values)
    }

    /// `values` with the switch at `to`; `None` leaves it to the chart again.
    pub fn set(&self, values: &Value, to: Option<&Value>) -> Value {
        let path: Vec<&str> = self.key.split('.').collect();
        let values = if values.is_object() { values.clone() } else { Value::Object(serde_json::Map::new()) };
        put(values, &path, to)
    }
}

fn find<'v>(key: &str, values: &'v Value) -> Option<&'v Value> {
    values.pointer(&format!("/{}", key.replace('.', "/"))).filter(|given| !given.is_null())
}

/// Sets or removes what is at `path`; maps on the way are made, and go when they are left empty by a removal.
fn put(value: Value, path: &[&str], to: Option<&Value>) -> Value {
    let Some((key, rest)) = path.split_first() else { return to.cloned().unwrap_or(Value::Null) };
    let mut map = match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    };
    let below = map.remove(*key);
    if rest.is_empty() {
        if let Some(to) = to {
            map.insert((*key).to_owned(), to.clone());
        }
        return Value::Object(map);
    }
    let was_there = below.is_some();
    let below = put(below.unwrap_or(Value::Null), rest, to);
    let is_empty = below.as_object().is_some_and(serde_json::Map::is_empty);
    if !(is_empty && (to.is_none() || !was_there)) {
        map.insert((*key).to_owned(), below);
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_switch_that_was_set_and_put_back_leaves_the_values_as_they_were() {
        for values in [
            json!({}),
            json!({ "func": { "ENABLE_LB": true, "ENABLE_NP": "true" }, "MASTER_NODES": "10.0.0.1" }),
            json!({ "func": { "HW_OFFLOAD": false } }),
        ] {
            let switch = Switch::read("func.ENABLE_NP", &values).unwrap();
            let off = switch.set(&values, Some(&json!(false)));
            assert_eq!(off["func"]["ENABLE_NP"], false, "{off}");
            assert_eq!(switch.set(&off, switch.given.as_ref()), values);
        }
    }

    #[test]
    fn only_a_switch_is_kept() {
        let error = Switch::read("func.ENABLE_NP", &json!({ "func": { "ENABLE_NP": "s3cret" } })).unwrap_err();
        assert!(!error.contains("s3cret") && error.contains("func.ENABLE_NP"), "{error}");
        assert_eq!(Switch::read("func.ENABLE_NP", &json!({ "func": null })).unwrap().given, None);
    }
}
