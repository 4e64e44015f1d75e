//! A patch of one scalar changes that scalar and nothing else.
//!
//! The first byte picks the scalar, the second one its new value, the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ovncilium_core::render::{DocumentPatch, RenderError, Stream};
use serde_json::{Value, json};

/// Pointers of scalars, in the order of the keys.
fn scalars(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                scalars(value, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                scalars(value, &format!("{pointer}/{index}"), found);
            }
        }
        _ => found.push(pointer.to_owned()),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [pick, choice, stream @ ..] = bytes else { return };
    let Ok(before) = Stream::parse(stream) else { return };
    let mut places = Vec::new();
    for document in before.documents() {
        let mut found = Vec::new();
        scalars(document.value().expect("a value"), "", &mut found);
        places.extend(found.into_iter().map(|pointer| (document.index, pointer)));
    }
    if places.is_empty() {
        return;
    }
    let (document, pointer) = places.swap_remove(usize::from(*pick) % places.len());
    let new = match choice % 8 {
        0 => json!("false"),
        1 => json!(true),
        2 => json!(""),
        3 => json!("it's a \"value\": # no comment"),
        4 => json!("two\nlines"),
        5 => json!(12),
        6 => json!("0o17"),
        _ => json!("ж\u{1f600} - x"),
    };
    let operations = json!([{ "op": "replace", "path": pointer, "value": new }]);
    let patch: json_patch::Patch = serde_json::from_value(operations).expect("a patch");
    let mut wanted = before.documents()[document as usize].value().expect("a value").clone();
    json_patch::patch(&mut wanted, &patch.0).expect("the scalar is there");
    let annotation = "/metadata/annotations/postrenderer.helm.sh~1postrender-filename";
    let asked = DocumentPatch { by: "fuzz".to_owned(), document, patch };
    let written = match before.write(std::slice::from_ref(&asked)) {
        Ok(written) => written,
        // Refused, and nothing is written.
        Err(RenderError::Patch { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let after = Stream::parse(&written).expect("what was written is read");
    assert_eq!(before.documents().len(), after.documents().len());
    for (old, new) in before.documents().iter().zip(after.documents()) {
        if old.index != document {
            assert_eq!(old.text(), new.text(), "another document changed");
        } else if pointer != annotation {
            assert_eq!(new.value().ok(), Some(&wanted), "the document means something else");
        }
    }
    // Bytes before and behind the document stay.
    let range = before.documents()[document as usize].range();
    assert!(written.starts_with(&stream[..range.start]));
    assert!(written.ends_with(&stream[range.end..]));
    let twice = after.write(std::slice::from_ref(&asked)).expect("the same once more");
    assert_eq!(twice, written, "the second time changed something");
});
