//! JSON pointers (RFC 6901) into JSON text, which is never made into values: facts of a large cluster stay small.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The part of `text` that `pointer` points at; none when nothing is there. `text` is JSON as this program writes it.
pub(crate) fn at<'t>(text: &'t str, pointer: &str) -> Option<&'t str> {
    if pointer.is_empty() {
        return Some(text);
    }
    let steps = pointer.strip_prefix('/')?.split('/').map(unescaped);
    steps.into_iter().try_fold(text, |here, step| {
        let mut found = None;
        let mut parser = serde_json::Deserializer::from_str(here);
        // A container is left as soon as the value was found, which the parser takes for an error.
        let _left = parser.deserialize_any(Step { wanted: &step, found: &mut found });
        found
    })
}

/// A step as the key or index it means.
pub(crate) fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// One step: a key of an object or an index of an array.
struct Step<'s, 't> {
    wanted: &'s str,
    found: &'s mut Option<&'t str>,
}

impl<'t> Visitor<'t> for Step<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'t>>()? {
            if key.0 == self.wanted {
                *self.found = Some(map.next_value::<&'t RawValue>()?.get());
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<(), A::Error> {
        let plain = self.wanted == "0" || !self.wanted.starts_with(['0', '+']);
        let index: usize = self.wanted.parse().ok().filter(|_| plain).ok_or_else(|| A::Error::custom("no index"))?;
        for _ in 0..index {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        *self.found = items.next_element::<&'t RawValue>()?.map(RawValue::get);
        Ok(())
    }
}

/// A key, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::at;

    /// Every pointer into `value`, with some that lead nowhere.
    fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
        all.extend(["", "/", "/0", "/00", "/+1", "/01", "/-", "/none", "/99"].map(|end| format!("{here}{end}")));
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                pointers(value, &format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), all);
            }),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{here}/{index}"), all));
            }
            _ => {}
        }
    }

    #[test]
    fn points_where_serde_json_points() {
        let value = json!({
            "items": [{"name": "a", "labels": {"kubernetes.io/os": "linux", "x~y": null, "": 1}}, [], [1, [2, "]}"]], {}],
            "quoted \"key\"": "\\\" \u{1}\u{e4}", "number": -1.5e3, "flag": false, "nothing": null, "~1": {"/": "~"},
        });
        let mut all = Vec::new();
        pointers(&value, "", &mut all);
        let text = value.to_string();
        for pointer in &all {
            let found = at(&text, pointer).map(|part| serde_json::from_str::<Value>(part).unwrap());
            assert_eq!(found.as_ref(), value.pointer(pointer), "{pointer}");
        }
        assert!(all.len() > 100 && at("[1,2]", "1").is_none());
    }
}
