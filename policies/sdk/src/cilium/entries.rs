//! The entries of a mapping, of which a few are asked for: sorting them all would cost more than every search.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Entries in the order in which they came. What is no mapping has none.
#[derive(Debug, Default)]
pub(super) struct Entries(Vec<(String, Value)>);

impl Entries {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self::default())
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("entries")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(entry) = map.next_entry()? {
            self.0.push(entry);
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_entry_and_takes_what_is_no_mapping_for_an_empty_one() {
        let entries: Entries = serde_json::from_str(r#"{"b": "1", "a": true, "c": null}"#).unwrap();
        assert_eq!(entries.get("a"), Some(&Value::Bool(true)));
        assert_eq!(entries.get("c"), Some(&Value::Null));
        assert_eq!(entries.get("d"), None);
        for other in ["[1, {}]", "\"a\"", "true", "1", "-1", "1.5", "null"] {
            assert!(serde_json::from_str::<Entries>(other).unwrap().0.is_empty(), "{other}");
        }
    }
}
