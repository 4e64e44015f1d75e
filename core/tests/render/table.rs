//! Everything a stream may look like, in one table: what is in it, or why it is refused.

use ovncilium_core::render::{Dialect, Stream};

use Expect::{Holds, Refused};

enum Expect {
    /// `kind name@line` of each object, and who wrote it; written back it is the same, byte for byte.
    Holds(Dialect, &'static [&'static str]),
    /// The beginning of the error.
    Refused(&'static str),
}

const HELM4: &str = "  annotations:\n    postrenderer.helm.sh/postrender-filename: c/templates/a.yaml\n";

fn rows() -> Vec<(&'static str, Vec<u8>, Expect)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let helm4 = |kind: &str, name: &str, more: &str| format!("kind: {kind}\nmetadata:\n  name: {name}\n{HELM4}{more}");
    vec![
        ("nothing", text(""), Holds(Dialect::Plain, &[])),
        ("blank lines", text("\n \n\t\n"), Holds(Dialect::Plain, &[])),
        ("comments only", text("# a\n---\n# b\n"), Holds(Dialect::Plain, &[])),
        ("separators only", text("---\n---\n---"), Holds(Dialect::Plain, &[])),
        ("a null document", text("---\nnull\n---\nkind: A\n"), Holds(Dialect::Plain, &["A @4"])),
        (
            "helm 3, install order",
            text(
                "---\n# Source: c/templates/sa.yaml\nkind: ServiceAccount\nmetadata:\n  name: a\n---\n# Source: c/templates/ds.yaml\nkind: DaemonSet\nmetadata: {name: b}\n",
            ),
            Holds(Dialect::Helm3, &["ServiceAccount a@3", "DaemonSet b@8"]),
        ),
        (
            "helm 4, by file name, with a hook",
            text(&format!(
                "{}---\n{}",
                helm4("Job", "hook", "    helm.sh/hook: pre-install\n"),
                helm4("ConfigMap", "b", "")
            )),
            Holds(Dialect::Helm4, &["Job hook@1", "ConfigMap b@8"]),
        ),
        (
            "crds first, without a template",
            text(
                "---\n# Source: c/crds/x.yaml\nkind: CustomResourceDefinition\nmetadata: {name: x.cilium.io}\n---\n# Source: c/templates/a.yaml\nkind: A\n",
            ),
            Holds(Dialect::Helm3, &["CustomResourceDefinition x.cilium.io@3", "A @7"]),
        ),
        (
            "a list",
            text(
                "kind: List\nitems:\n- kind: ConfigMap\n  metadata: {name: a}\n-\n  kind: Secret\n  metadata: {name: b}\n",
            ),
            Holds(Dialect::Plain, &["ConfigMap a@3", "Secret b@6"]),
        ),
        (
            "a typed list, whose items have no kind",
            text("apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n"),
            Holds(Dialect::Plain, &["ConfigMap a@4"]),
        ),
        (
            "line ends of Windows",
            text("---\r\nkind: A\r\n# c\r\n---\r\nkind: B\r\n"),
            Holds(Dialect::Plain, &["A @2", "B @5"]),
        ),
        ("a byte order mark", text("\u{feff}---\nkind: A\n"), Holds(Dialect::Plain, &["A @2"])),
        ("no line end at the end", text("kind: A\n---\nkind: B"), Holds(Dialect::Plain, &["A @1", "B @3"])),
        (
            "a separator in a block scalar",
            text("kind: A\nd: |\n  ---\n  kind: X\n---\nkind: B\n"),
            Holds(Dialect::Plain, &["A @1", "B @6"]),
        ),
        ("a comment behind a separator", text("--- # first\nkind: A\n"), Holds(Dialect::Plain, &["A @2"])),
        ("a document end", text("kind: A\n...\n---\nkind: B\n"), Holds(Dialect::Plain, &["A @1", "B @4"])),
        ("flow style", text("{kind: A, metadata: {name: a}, d: [1, 'x']}\n"), Holds(Dialect::Plain, &["A a@1"])),
        ("anchors and aliases", text("kind: A\nx: &x {name: a}\nmetadata: *x\n"), Holds(Dialect::Plain, &["A a@1"])),
        ("a merge", text("kind: A\nx: &x {name: a}\nmetadata:\n  <<: *x\n"), Holds(Dialect::Plain, &["A a@1"])),
        ("a key twice", text("kind: A\nkind: B\n"), Holds(Dialect::Plain, &["B @2"])),
        ("tabs between tokens", text("kind:\tA\t# c\nmetadata: {name:\ta}\n"), Holds(Dialect::Plain, &["A a@1"])),
        ("a name that is a number", text("kind: A\nmetadata: {name: 017}\n"), Holds(Dialect::Plain, &["A @1"])),
        (
            "many levels",
            format!("kind: A\nd: {}1{}\n", "[".repeat(60), "]".repeat(60)).into_bytes(),
            Holds(Dialect::Plain, &["A @1"]),
        ),
        ("a directive", text("%YAML 1.1\n---\nkind: A\n"), Refused("document 0, line 1, column 1: a directive")),
        (
            "a tag directive behind a document",
            text("kind: A\n...\n%TAG ! tag:x,2000:\n---\nkind: B\n"),
            Refused("document 0, line "),
        ),
        ("a tab as indentation", text("kind: A\nmetadata:\n\tname: a\n"), Refused("document 0, line 3, column ")),
        (
            "content behind a separator",
            text("--- {kind: A}\n"),
            Refused("line 1: `--- {kind: A}` is no plain separator"),
        ),
        ("a separator too long", text("kind: A\n----\n"), Refused("line 2: `----` is no plain separator")),
        (
            "a second document behind `...`",
            text("kind: A\n...\nkind: B\n"),
            Refused("document 0, line 3, column 1: a second document"),
        ),
        (
            "a list at the top",
            text("- kind: A\n"),
            Refused("document 0, line 1: a Kubernetes object is a mapping, this is a list"),
        ),
        (
            "a scalar at the top",
            text("---\nhello\n"),
            Refused("document 0, line 2: a Kubernetes object is a mapping, this is a "),
        ),
        ("a mapping as a key", text("{a: 1}: b\n"), Refused("document 0, line 1, column ")),
        ("a string that does not end", text("kind: \"A\n"), Refused("document 0, line ")),
        ("an alias of nothing", text("kind: *x\n"), Refused("document 0, line 1, column ")),
        ("an alias of itself", text("kind: &x [*x]\n"), Refused("document 0, line 1, column ")),
        ("not UTF-8", b"kind: A\nx: \xff\xfe\n".to_vec(), Refused("line 2: byte 11 of the stream is not UTF-8")),
        ("UTF-16", b"\xff\xfek\0i\0".to_vec(), Refused("line 1: byte 0 of the stream is not UTF-8")),
        ("a NUL", text("kind: A\nx: \"\0\"\n"), Refused("document 0, line ")),
        (
            "a carriage return alone",
            text("kind: A\rx: 1\n"),
            Refused("document 0, line 1, column 8: a carriage return"),
        ),
        ("a line end of Unicode", text("kind: A\u{2028}x: 1\n"), Refused("document 0, line 1, column 8: U+2028")),
    ]
}

#[test]
fn every_stream_of_the_table_is_read_as_it_says() {
    let mut wrong = Vec::new();
    for (name, bytes, expected) in rows() {
        let found = match Stream::parse(&bytes) {
            Ok(stream) => {
                let written = stream.write(&[]).unwrap();
                let blank = String::from_utf8_lossy(&bytes).trim().is_empty();
                if written != bytes && !blank {
                    wrong.push(format!("{name}: it is not written back as it was"));
                }
                let objects: Vec<String> = stream
                    .documents()
                    .iter()
                    .flat_map(|document| {
                        document.objects().into_iter().map(|object| {
                            let line = document.line_of(&format!("{}/kind", object.pointer()));
                            format!("{} {}@{}", object.kind, object.name, line.unwrap_or_default())
                        })
                    })
                    .collect();
                Ok((stream.dialect(), objects))
            }
            Err(error) => Err(error.to_string()),
        };
        let fits = match (&found, &expected) {
            (Ok((dialect, objects)), Holds(wanted, list)) => dialect == wanted && objects == list,
            (Err(error), Refused(beginning)) => error.starts_with(beginning),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A chart's biggest plausible stream: 20 MB of documents, and one of them with a value of 20 MB.
#[test]
fn big_streams_are_read_and_written_back() {
    let one = format!(
        "---\n# Source: c/t.yaml\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: |\n{}",
        "    text\n".repeat(100)
    );
    let many = one.repeat(20_000_000 / one.len());
    let long = format!("kind: Secret\nmetadata: {{name: b}}\nx: \"{}\"\n", "y".repeat(20_000_000));
    for (text, documents) in [(&many, 20_000_000 / one.len()), (&long, 1)] {
        let stream = Stream::parse(text.as_bytes()).unwrap();
        assert_eq!(stream.documents().len(), documents);
        assert!(stream.write(&[]).unwrap() == text.as_bytes());
    }
}
