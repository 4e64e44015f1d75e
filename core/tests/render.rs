//! The stream of a post-renderer: split without changing a byte, read as Kubernetes reads it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are outside of #[test] functions")]

#[path = "render/table.rs"]
mod table;

use std::path::PathBuf;

use ovncilium_core::render::{Dialect, DocumentPatch, Stream};
use proptest::prelude::*;
use serde_json::{Value, json};

const HELM3: &str = include_str!("render/helm3.yaml");
const HELM4: &str = include_str!("render/helm4.yaml");
/// One `{yaml, json}` or `{yaml, error}` per line, written by `YAMLToJSON` of `sigs.k8s.io/yaml` v1.6.0.
const SIGS_YAML: &str = include_str!("render/sigs-yaml.jsonl");

fn parse(text: &str) -> Stream {
    Stream::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn value(text: &str) -> Value {
    parse(text).documents()[0].value().unwrap().clone()
}

fn patch(document: u32, by: &str, operations: Value) -> DocumentPatch {
    DocumentPatch { by: by.to_owned(), document, patch: serde_json::from_value(operations).unwrap() }
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
            .map(|stream| stream.documents().first().map_or(Value::Null, |d| d.value().unwrap().clone()));
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
    let values: Vec<_> = stream.documents().iter().map(|d| d.value().unwrap().clone()).collect();
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

#[test]
fn patches_rewrite_their_document_and_no_other() {
    let stream = parse(HELM3);
    let patches = [patch(0, "p", json!([{"op": "replace", "path": "/data/open", "value": "no"}]))];
    let out = String::from_utf8(stream.write(&patches).unwrap()).unwrap();
    let expected = "---\n# Source: shop/templates/config.yaml\n# Copyright the shop\napiVersion: v1\n";
    assert!(out.starts_with(expected), "{out}");
    assert!(out.ends_with(&HELM3[HELM3.find("---\n# Source: shop/templates/empty").unwrap()..]), "{out}");
    assert_eq!(value(&out)["data"], json!({"open": "no", "motd": "---\nWelcome\n--- to the shop\n"}));
    assert_eq!(parse(&out).documents().len(), 3);
}

#[test]
fn the_annotation_of_helm_4_survives_a_patch() {
    let stream = parse(HELM4);
    let out = stream.write(&[patch(1, "p", json!([{"op": "remove", "path": "/metadata/annotations"}]))]).unwrap();
    let again = Stream::parse(&out).unwrap();
    assert_eq!(again.documents()[1].source.as_deref(), Some("shop/templates/job.yaml"));
    assert!(!again.documents()[1].is_hook());
}

#[test]
fn refuses_patches_that_do_not_fit() {
    let stream = parse(HELM4);
    let set = |by: &str, path: &str| patch(0, by, json!([{"op": "add", "path": path, "value": {}}]));
    let error = |patches: &[DocumentPatch]| stream.write(patches).unwrap_err().to_string();
    let origin = "document 0 (shop/templates/config.yaml), line 1";
    assert_eq!(error(&[set("a", "/data"), set("b", "/data/x")]), format!("{origin}: `a` and `b` both patch `/data/x`"));
    assert_eq!(error(&[patch(7, "a", json!([]))]), "`a` patches document 7, but there are only 2");
    let lost = error(&[patch(0, "a", json!([{"op": "remove", "path": "/nope"}]))]);
    assert!(lost.starts_with(&format!("{origin}: the patch of `a` does not apply: ")), "{lost}");
    assert!(stream.write(&[set("a", "/data"), set("a", "/data/x"), set("b", "/datum")]).is_ok());
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

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(|f| json!((f * 8.0).round() / 8.0 + 0.0625)),
        prop::sample::select(vec![
            "yes", "on", "0777", "1_000", "~", "", " x", "x ", "1:30", "=", "<<", "- a", "a: b", "#", "0b-1", ".5_0"
        ])
        .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[ -~\n\t]{0,24}".prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[ -~]{1,8}|yes|1|0777|a\nb", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
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

    #[test]
    fn a_patched_document_means_what_was_asked_for(tree in tree()) {
        let stream = parse("kind: X\n");
        let wanted = json!({"kind": "X", "spec": tree});
        let out = stream.write(&[patch(0, "p", json!([{"op": "add", "path": "/spec", "value": tree}]))]).unwrap();
        let out = String::from_utf8(out).unwrap();
        let again = Stream::parse(out.as_bytes()).map_err(|e| TestCaseError::fail(format!("{e}\n{out}")))?;
        prop_assert_eq!(again.documents().len(), 1, "{}", out);
        let read = again.documents()[0].value().unwrap();
        prop_assert!(same(read, &wanted), "{}\n{}\n{}", out, read, wanted);
    }
}

#[test]
fn a_scalar_that_is_patched_is_all_that_changes() {
    let text = "# Source: c/t.yaml\nkind: ConfigMap # a\ndata:\n  # why\n  cni-exclusive: \"true\"   # quoted\n  mode: 'veth'\n  \
                audit: off\n  count: 5\r\n  open: |\n    text\n";
    let set = |pointer: &str, value: Value| {
        let stream = Stream::parse(text.as_bytes()).unwrap();
        let operations = json!([{"op": "test", "path": "/kind", "value": "ConfigMap"}, {"op": "replace", "path": pointer, "value": value}]);
        String::from_utf8(stream.write(&[patch(0, "p", operations)]).unwrap()).unwrap()
    };
    for (pointer, value, line) in [
        ("/data/cni-exclusive", json!("false"), "  cni-exclusive: \"false\"   # quoted"),
        ("/data/cni-exclusive", json!("a\n\"b\""), "  cni-exclusive: \"a\\n\\\"b\\\"\"   # quoted"),
        ("/data/mode", json!("it's"), "  mode: 'it''s'"),
        ("/data/audit", json!("on"), "  audit: \"on\""),
        ("/data/audit", json!("generic-veth"), "  audit: generic-veth"),
        ("/data/audit", json!("#x"), "  audit: \"#x\""),
        ("/data/count", json!(17), "  count: 17\r"),
        ("/data/count", Value::Null, "  count: null\r"),
    ] {
        let out = set(pointer, value.clone());
        let changed: Vec<(&str, &str)> =
            text.split('\n').zip(out.split('\n')).filter(|(old, new)| old != new).collect();
        assert_eq!(changed.iter().map(|(_, new)| *new).collect::<Vec<_>>(), [line], "{pointer} {value}");
        assert_eq!(text.split('\n').count(), out.split('\n').count());
    }
    // More than one line, or more than a scalar: the document is written anew and means what was asked for.
    for (pointer, value) in [("/data/open", json!("x")), ("/data/mode", json!({"a": 1}))] {
        let out = set(pointer, value.clone());
        assert!(out.starts_with("# Source: c/t.yaml\n") && !out.contains("# why"), "{out}");
        assert_eq!(
            Stream::parse(out.as_bytes()).unwrap().documents()[0].value().unwrap().pointer(pointer),
            Some(&value)
        );
    }
}

#[test]
fn what_an_alias_or_a_later_key_hides_is_not_edited_in_place() {
    for (text, pointer) in [
        ("a: &x one\nb: *x\n", "/b"),
        ("a: {k: &y 1}\nb:\n  <<: {c: 2}\n", "/b/c"),
        ("a: one\na: two\n", "/a"),
        ("base: &b {c: 1}\nuse:\n  <<: *b\n", "/base/c"),
    ] {
        let stream = Stream::parse(text.as_bytes()).unwrap();
        let mut wanted = stream.documents()[0].value().unwrap().clone();
        *wanted.pointer_mut(pointer).unwrap() = json!("new");
        let operations = json!([{"op": "replace", "path": pointer, "value": "new"}]);
        let out = stream.write(&[patch(0, "p", operations)]).unwrap();
        let again = Stream::parse(&out).unwrap();
        assert_eq!(again.documents()[0].value().unwrap(), &wanted, "{text}");
    }
}

#[test]
fn a_carriage_return_alone_is_refused_with_its_place() {
    let error = Stream::parse(b"a: 1\r\nb: 2\rc: 3\n").unwrap_err().to_string();
    assert!(error.starts_with("document 0, line 2, column 5: a carriage return without a line feed"), "{error}");
}
