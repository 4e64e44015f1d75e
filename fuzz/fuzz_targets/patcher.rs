//! A patch of a listed key changes one line and what it says; a patch of another key is refused.
//!
//! The first byte picks the place, the second one the new value, the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ovncilium_core::render::{DocumentPatch, PATCHABLE, PATCHABLE_OBJECT, RenderError, Stream};
use serde_json::json;

/// A key that is not on the list.
const UNLISTED: &str = "routing-mode";

const VALUES: [&str; 12] = [
    "false", "true", "", "it's a \"value\": # no comment", "two\nlines", "12", "0o17", "ж\u{1f600} - x", "<<", "---", " x ", "{a}",
];

/// The longest common beginning and end of two texts, in lines.
fn apart<'t>(old: &'t [u8], new: &'t [u8]) -> (Vec<&'t [u8]>, Vec<&'t [u8]>) {
    let old: Vec<_> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let new: Vec<_> = new.split_inclusive(|byte| *byte == b'\n').collect();
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    (old[same..old.len() - tail].to_vec(), new[same..new.len() - tail].to_vec())
}

fuzz_target!(|bytes: &[u8]| {
    let [pick, choice, stream @ ..] = bytes else { return };
    let Ok(before) = Stream::parse(stream) else { return };
    let mut places = Vec::new();
    for document in before.documents() {
        for object in document.objects() {
            let ours = (object.kind, object.name) == PATCHABLE_OBJECT;
            let listed = PATCHABLE.iter().map(|listed| (listed.key, ours.then_some(listed)));
            for (key, listed) in listed.chain([(UNLISTED, None)]) {
                places.push((document.index, format!("{}/data/{key}", object.pointer()), listed));
            }
        }
    }
    if places.is_empty() {
        return;
    }
    let (document, pointer, listed) = places.swap_remove(usize::from(*pick) % places.len());
    let new = VALUES[usize::from(*choice) % VALUES.len()];
    let operations = json!([{ "op": "add", "path": pointer, "value": new }]);
    let patch: json_patch::Patch = serde_json::from_value(operations).expect("a patch");
    let asked = DocumentPatch { by: "fuzz".to_owned(), document, patch };
    let written = match before.write(std::slice::from_ref(&asked)) {
        Ok(written) => written,
        Err(RenderError::NotPatchable { .. }) => {
            assert!(listed.is_none_or(|listed| listed.through.is_some()), "`{pointer}` is on the list");
            return;
        }
        // The value does not stand alone on one line.
        Err(RenderError::Patch { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    assert!(listed.is_some(), "`{pointer}` is not on the list");
    let mut wanted = before.documents()[document as usize].value().clone();
    json_patch::patch(&mut wanted, &asked.patch.0).expect("was applied");
    let after = Stream::parse(&written).expect("what was written is read");
    assert_eq!(before.documents().len(), after.documents().len());
    for (old, new) in before.documents().iter().zip(after.documents()) {
        if old.index == document {
            assert_eq!(new.value(), &wanted, "the document means something else");
        } else {
            assert_eq!(old.text(), new.text(), "another document changed");
        }
    }
    let (gone, come) = apart(stream, &written);
    assert!(gone.len() <= 1 && come.len() == gone.len().max(usize::from(written != stream)), "more than a line changed");
    let twice = after.write(std::slice::from_ref(&asked)).expect("the same once more");
    assert_eq!(twice, written, "the second time changed something");
});
