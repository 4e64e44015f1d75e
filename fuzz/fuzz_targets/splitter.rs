//! A stream that is read gives its bytes back, and says of every document where it stands.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ovncilium_core::render::Stream;

fuzz_target!(|bytes: &[u8]| {
    let Ok(stream) = Stream::parse(bytes) else { return };
    let written = stream.write(&[]).expect("a stream without patches is written");
    if stream.is_blank() {
        assert!(stream.documents().is_empty());
        return;
    }
    assert_eq!(written, bytes, "untouched bytes changed");
    let mut end = 0;
    for (index, document) in stream.documents().iter().enumerate() {
        assert_eq!(document.index as usize, index);
        let range = document.range();
        assert!(range.start >= end && range.end <= bytes.len(), "documents overlap");
        end = range.end;
        assert_eq!(document.text().as_bytes(), &bytes[range.clone()]);
        // Counted here: a separator is nowhere inside, and the line is that of the first byte.
        let line = 1 + bytes[..range.start].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(document.first_line() as usize, line);
        assert!(!document.text().lines().any(|line| line == "---"), "a separator inside a document");
        assert!(range.start == 0 || bytes[..range.start].ends_with(b"\n") || bytes.starts_with(b"\xef\xbb\xbf"));
        let value = document.value();
        assert!(value.is_object());
        assert_eq!(value.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default(), document.kind, "its head and the rest");
        let last = line + document.text().matches('\n').count();
        let lines = document.lines();
        for key in value.as_object().expect("an object").keys() {
            let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let at = document.line_of(&pointer).expect("a key has a line");
            assert_eq!(lines.of(&pointer), Some(at), "the parser finds `{pointer}` elsewhere");
            assert!((line..=last).contains(&(at as usize)), "line {at} is not in {line}..={last}");
        }
        for double in document.duplicate_keys() {
            assert!(double.first_line <= double.line);
        }
        // A comment beyond ASCII sends it to the parser, which reads the same.
        let parsed = Stream::parse(format!("# \u{e9}\n{}", document.text()).as_bytes()).expect("the parser reads it too");
        assert_eq!(parsed.documents()[0].value(), value, "read in two ways");
        assert_eq!(parsed.documents()[0].duplicate_keys().len(), document.duplicate_keys().len());
        let _ = (document.objects(), document.is_hook(), document.describe());
    }
    let _ = stream.dialect();
    // Read again, it is the same.
    let again = Stream::parse(&written).expect("what was written is read");
    let values = |stream: &Stream| stream.documents().iter().map(|d| d.value().clone()).collect::<Vec<_>>();
    assert_eq!(values(&stream), values(&again));
});
