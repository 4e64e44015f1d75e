//! The stream of a post-renderer: split without changing a byte, read as Kubernetes reads it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are outside of #[test] functions")]

#[path = "render/patches.rs"]
mod patches;
#[path = "render/plain.rs"]
mod plain;
#[path = "render/table.rs"]
mod table;

use std::path::PathBuf;

use ovncilium_core::render::{Dialect, Stream};
use proptest::prelude::*;
use serde_json::{Value, json};

const HELM3: &str = include_str!("render/helm3.yaml");
const HELM4: &str = include_str!("render/helm4.yaml");
/// One `{yaml, json}` or `{yaml, error}` per line, written by `YAMLToJSON` of `sigs.k8s.io/yaml` v1.6.0.
const SIGS_YAML: &str = include_str!("render/sigs-yaml.jsonl");

fn parse(text: &str) -> Stream {
    Stream::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        // Beyond 64 bits Go prints all digits of a float.
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn reads_yaml_as_helm_and_kubectl_do() {
    for line in SIGS_YAML.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let yaml = row["yaml"].as_str().unwrap();
        let read = Stream::parse(yaml.as_bytes())
            .map(|stream| stream.documents().first().map_or(Value::Null, |d| d.value().clone()));
        match (read, row.get("json")) {
            (Ok(ours), Some(theirs)) => assert!(same(&ours, theirs), "{yaml:?}: {ours} is not {theirs}"),
            (Err(_), None) => {}
            (Err(error), Some(Value::Array(_))) => assert!(error.to_string().contains("this is a list"), "{error}"),
            (ours, theirs) => panic!("{yaml:?}: {ours:?} is not {theirs:?}"),
        }
    }
}

#[test]
fn tells_what_each_document_is_in_helm_3() {
    let stream = parse(HELM3);
    assert_eq!(stream.dialect(), Dialect::Helm3);
    let told: Vec<_> = stream
        .documents()
        .iter()
        .map(|d| (d.index, d.describe(), d.source.clone().unwrap(), d.first_line(), d.api_version.as_str()))
        .collect();
    let template = |name: &str| format!("shop/templates/{name}.yaml");
    assert_eq!(
        told,
        [
            (0, "ConfigMap web/shop".to_owned(), template("config"), 2, "v1"),
            (1, "List".to_owned(), template("list"), 19, "v1"),
            (2, "ClusterRole shop".to_owned(), template("clusterrole"), 32, "rbac.authorization.k8s.io/v1"),
        ]
    );
    let objects = stream.documents()[1].objects();
    let told: Vec<_> = objects.iter().map(|o| (o.pointer(), o.kind, o.namespace, o.name)).collect();
    assert_eq!(
        told,
        [("/items/0".to_owned(), "Service", Some("web"), "a"), ("/items/1".to_owned(), "Service", None, "b")]
    );
    assert_eq!(stream.documents()[0].line_of("/data/motd"), Some(11));
    assert_eq!(stream.documents()[0].line_of("/data/absent/deep"), Some(9));
    assert_eq!(stream.documents()[1].line_of("/items/1/metadata/name"), Some(28));
}

#[test]
fn tells_what_each_document_is_in_helm_4() {
    let stream = parse(HELM4);
    assert_eq!(stream.dialect(), Dialect::Helm4);
    let told: Vec<_> = stream.documents().iter().map(|d| (d.source.as_deref(), d.is_hook())).collect();
    assert_eq!(told, [(Some("shop/templates/config.yaml"), false), (Some("shop/templates/job.yaml"), true)]);
}

#[test]
fn a_list_is_whatever_has_items_and_items_inherit_their_kind() {
    let text = "apiVersion: x/v1\nkind: FooList\nitems:\n- {metadata: {name: a}}\n- {kind: Bar, apiVersion: y/v1}\n";
    let stream = parse(text);
    let objects = stream.documents()[0].objects();
    assert_eq!((objects[0].api_version, objects[0].kind, objects[0].name), ("x/v1", "Foo", "a"));
    assert_eq!((objects[1].api_version, objects[1].kind), ("y/v1", "Bar"));
    let disguised = parse("kind: ConfigMap\napiVersion: v1\nitems: [{kind: Secret}]\n");
    assert_eq!(disguised.documents()[0].objects()[0].kind, "Secret");
}

#[test]
fn reports_keys_that_are_written_twice() {
    let stream = parse("---\na: 1\n---\nkind: X\nspec:\n  a/b: 1\n  c: 2\n  a/b: 3\nkind: Z\n");
    let duplicates = stream.documents()[1].duplicate_keys();
    let told: Vec<_> = duplicates.iter().map(|d| (d.pointer.as_str(), d.first_line, d.line)).collect();
    assert_eq!(told, [("/spec/a~1b", 6, 8), ("/kind", 4, 9)]);
    assert_eq!(stream.documents()[1].kind, "Z", "the last one wins");
    let merged = parse("x: &x {a: 1}\ny: {<<: *x, a: 2}\n");
    assert!(merged.documents()[0].duplicate_keys().is_empty(), "a merge is no duplicate");
}

#[test]
fn what_is_no_document_is_passed_on_and_not_counted() {
    for text in ["---\n", "# c\n", "---\n---\n# c\n---\n", "null\n", "---\n~\n---\n", "\u{feff}# c", "# c\r\n---\r\n"] {
        let stream = parse(text);
        assert_eq!(stream.documents().len(), 0, "{text:?}");
        assert_eq!(stream.write(&[]).unwrap(), text.as_bytes());
    }
    for text in ["", " \n\t\r\n", "\u{feff}\n"] {
        assert_eq!(parse(text).write(&[]).unwrap(), b"# ovncilium: empty stream\n", "{text:?}");
    }
}

#[test]
fn byte_order_mark_crlf_and_a_missing_last_newline_are_kept() {
    let text = "\u{feff}a: 1\r\n---\r\n# Source: x/y.yaml\r\nb: |\r\n  ---\r\n...\r\n---\r\nc: 3";
    let stream = parse(text);
    let values: Vec<_> = stream.documents().iter().map(|d| d.value().clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"b": "---\n"}), json!({"c": 3})]);
    assert_eq!(stream.documents()[1].source.as_deref(), Some("x/y.yaml"));
    assert_eq!(stream.write(&[]).unwrap(), text.as_bytes());
}

#[test]
fn errors_say_where_and_what() {
    let cases: [(&[u8], &str); 11] = [
        (b"a: 1\nb: \xff\n", "line 2: byte 8 of the stream is not UTF-8"),
        (
            b"a: 1\n--- {b: 1}\n",
            "line 2: `--- {b: 1}` is no plain separator: Helm, kubectl and YAML read it differently",
        ),
        (b"---\na: 1\n---\n# Source: x/y.yaml\nb: [1\nc: 2\n", "document 1 (x/y.yaml), line 6, column 2: "),
        (
            b"a: 1\n...\nb: 2\n",
            "document 0, line 3, column 1: a second document without `---` before it: Helm and kubectl ignore it",
        ),
        (b"# x\n- a\n", "document 0, line 2: a Kubernetes object is a mapping, this is a list"),
        (b"just text\n", "document 0, line 1: a Kubernetes object is a mapping, this is a text"),
        (b"a: .inf\n", "document 0, line 1, column 4: `.inf` has no JSON value"),
        (b"a: !!int x\n", "document 0, line 1, column 10: `x` is not of type !!int"),
        (b"null: x\n", "document 0, line 1, column 1: a mapping key is null"),
        (
            "# c\u{85}kind: X\na: 1\n".as_bytes(),
            "document 0, line 1, column 4: U+0085 ends a line in YAML 1.1 and does not in YAML 1.2",
        ),
        (
            b"%YAML 1.2\n---\na: 1\n",
            "document 0, line 1, column 1: a directive (`%`): Helm and kubectl cut it off the document it belongs to",
        ),
    ];
    for (bytes, message) in cases {
        let error = Stream::parse(bytes).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}\n{message}");
    }
}

#[test]
fn aliases_do_not_explode() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        text += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
    }
    let error = Stream::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("aliases expand to more than 200000 nodes"), "{error}");
    let deep = "a: ".to_owned() + &"[".repeat(5000);
    assert!(Stream::parse(deep.as_bytes()).is_err());
}

/// Few nodes, each of them long: as values, as keys, by way of a merge, and one inside of another.
#[test]
fn aliases_of_long_texts_do_not_explode() {
    let long = "x".repeat(100_000);
    let many = |alias: &str| vec![alias; 200].join(", ");
    for text in [
        format!("a: &a {long}\nb: [{}]\n", many("*a")),
        format!("a: &a \"{long}\"\nb: [{}]\n", many("{*a : 1}")),
        format!("? &a {long}\n: 1\nb: [{}]\n", many("*a")),
        format!("a: &a {{x: {long}}}\nb: [{}]\n", many("{<<: *a}")),
        format!("a: &a\n  ? {long}\n  : 1\nb: &b [*a, *a]\nc: [{}]\n", many("*b")),
    ] {
        let error = Stream::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("aliases expand to more than 16777216 bytes"), "{error}");
        let fewer = text.replace(&long, &long[..100]);
        assert!(Stream::parse(fewer.as_bytes()).is_ok(), "{}", &fewer[..200]);
    }
}

#[test]
fn a_key_written_twice_takes_its_lines_along_and_no_others() {
    let stream = parse("a: {b: 1}\na0: {b: 1}\na-: {b: 1}\na/b: 1\na:\n  c: 1\n  c: 2\n");
    let lines = stream.documents()[0].lines();
    let told = ["/a", "/a/c", "/a0/b", "/a-/b", "/a~1b"].map(|pointer| lines.of(pointer));
    assert_eq!(told, [5, 7, 2, 3, 4].map(Some));
    assert_eq!(lines.of("/a/b"), Some(5), "it is gone: the line of the mapping that lacks it");
}

/// In the time that its size takes: when every duplicate looked at every line, this was a matter of many minutes.
#[test]
fn many_duplicate_keys_among_many_keys_are_read_in_time() {
    let mut text: String = (0..100_000).map(|at| format!("k{at}: 1\n")).collect();
    text.push_str(&"a: {b: 1}\n".repeat(50_000));
    let start = std::time::Instant::now();
    let stream = parse(&text);
    let duplicates = stream.documents()[0].duplicate_keys();
    let last = duplicates.last().unwrap();
    assert_eq!((duplicates.len(), last.first_line, last.line), (49_999, 149_999, 150_000));
    assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
}

/// The recorded streams of the real chart, when they are at hand.
fn recorded() -> Vec<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    let shared = std::env::var_os("OVNCILIUM_SHARED").map_or_else(beside, PathBuf::from);
    let versions = std::fs::read_dir(shared.join("fixtures/cilium")).into_iter().flatten().flatten();
    let files = versions.flat_map(|version| std::fs::read_dir(version.path()).into_iter().flatten().flatten());
    let mut paths: Vec<_> = files.map(|file| file.path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".helm3.yaml"));
    paths.sort();
    paths
}

#[test]
fn recorded_streams_pass_byte_for_byte_and_both_dialects_hold_the_same_objects() {
    for path in recorded() {
        let text = std::fs::read_to_string(&path).unwrap();
        let four = std::fs::read_to_string(path.to_string_lossy().replace(".helm3.", ".helm4.")).unwrap();
        let mut known = Vec::new();
        for (text, dialect) in [(text, Dialect::Helm3), (four, Dialect::Helm4)] {
            let stream = parse(&text);
            assert_eq!(stream.write(&[]).unwrap(), text.as_bytes(), "{path:?}");
            assert_eq!(stream.dialect(), dialect, "{path:?}");
            // Helm 4 re-writes values on the way (empty ones vanish), so only what the objects are is compared.
            let mut objects: Vec<_> =
                stream.documents().iter().map(|d| (d.source.clone().unwrap(), d.describe())).collect();
            objects.sort();
            known.push(objects);
        }
        assert_eq!(known[0], known[1], "{path:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn whatever_can_be_read_is_written_byte_for_byte(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "---\n", "--- # c\n", "---", "\n", "# c\n", "# Source: a/b.yaml\n", "a: 1\n", "kind: X\r\n", "b: |\n  ---\n",
                "...\n", "  ", "{x: [1, 2]}\n", "---\r\n", "\u{feff}", "c: &x {d: 1}\n", "e: \"f\n  g\"\n", "ü: é\n",
            ]),
            0..12,
        )
    ) {
        let text = pieces.concat();
        if let Ok(stream) = Stream::parse(text.as_bytes()) && !stream.is_blank() {
            prop_assert_eq!(stream.write(&[]).unwrap(), text.as_bytes());
            for document in stream.documents() {
                prop_assert_eq!(&text[document.range()], document.text());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Stream::parse(&bytes);
    }

}

#[test]
fn a_carriage_return_alone_is_refused_with_its_place() {
    let error = Stream::parse(b"a: 1\r\nb: 2\rc: 3\n").unwrap_err().to_string();
    assert!(error.starts_with("document 0, line 2, column 5: a carriage return without a line feed"), "{error}");
}
