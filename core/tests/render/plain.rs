//! Most documents are read without the parser. A comment beyond ASCII sends one to the parser: it must mean the same.

use ovncilium_core::render::{RenderError, Stream};
use proptest::prelude::*;

use super::{SIGS_YAML, recorded};

type Meaning = Vec<(serde_json::Value, Vec<(String, u32, u32)>)>;

/// Values and keys written twice of every document, or the message and its line; `above` lines are not counted.
fn meaning(text: &str, above: u32) -> Result<Meaning, String> {
    let stream = Stream::parse(text.as_bytes()).map_err(|error| match error {
        RenderError::Yaml { origin, column, message } => format!("{}:{column}: {message}", origin.line - above),
        RenderError::NotAnObject { origin, found } => format!("{}: {found}", origin.line - above),
        other => other.to_string(),
    })?;
    let document = |document: &ovncilium_core::render::Document| {
        let twice = document.duplicate_keys().iter();
        let twice = twice.map(|key| (key.pointer.clone(), key.first_line - above, key.line - above));
        let value = document.value();
        let text = |pointer: &str| value.pointer(pointer).and_then(serde_json::Value::as_str);
        let told = [&document.api_version, &document.kind, &document.name].map(|told| Some(told.as_str()));
        let whole = ["/apiVersion", "/kind", "/metadata/name"].map(|pointer| text(pointer).or(Some("")));
        assert_eq!(told, whole, "the head is that of the document");
        assert_eq!(document.namespace.as_deref(), text("/metadata/namespace"));
        (value.clone(), twice.collect())
    };
    Ok(stream.documents().iter().map(document).collect())
}

/// The head of a document that every judgement of a chart looks into.
const AGENT: &str = "kind: DaemonSet\nmetadata:\n  name: cilium\n";

/// Whether a document means the same with and without the parser, and its values stand on the same lines.
fn same(text: &str) -> Result<(), String> {
    // The second one is kept when its head is read.
    for text in [text, &format!("{AGENT}{text}")] {
        let parsed = meaning(&format!("# \u{e9}\n{text}"), 1);
        let read = meaning(text, 0);
        if read != parsed {
            return Err(format!("{text}\nread:   {read:?}\nparsed: {parsed:?}"));
        }
    }
    for document in Stream::parse(text.as_bytes()).iter().flat_map(Stream::documents) {
        let lines = document.lines();
        let mut all = Vec::new();
        pointers(document.value(), "", &mut all);
        // Of a long document some; each is read for each.
        let some = all.len() / 50 + 1;
        for pointer in all.into_iter().step_by(some) {
            let (found, wanted) = (document.line_of(&pointer), lines.of(&pointer));
            if found != wanted {
                return Err(format!("{text}\n{pointer}: line {found:?} instead of {wanted:?}"));
            }
        }
    }
    Ok(())
}

/// Every pointer into a value, and some that lead nowhere.
fn pointers(value: &serde_json::Value, here: &str, all: &mut Vec<String>) {
    all.extend(["", "/", "/0", "/00", "/a", "/none/b", "~"].map(|end| format!("{here}{end}")));
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
            pointers(value, &format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), all);
        }),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{here}/{index}"), all));
        }
        _ => {}
    }
}

#[test]
fn recorded_and_tabled_documents_mean_what_the_parser_says() {
    for path in recorded() {
        for path in [path.clone(), path.to_string_lossy().replace(".helm3.", ".helm4.").into()] {
            let text = std::fs::read_to_string(&path).unwrap();
            for document in Stream::parse(text.as_bytes()).unwrap().documents() {
                same(document.text()).unwrap();
            }
        }
    }
    for row in SIGS_YAML.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let text = row["yaml"].as_str().unwrap();
        if !text.contains("---") {
            for text in [text.to_owned(), format!("a:\n  - b: {text}\n"), format!("x: {text}")] {
                same(&text).unwrap();
            }
        }
    }
}

/// Lines as they could stand in a document, right or wrong.
fn document() -> impl Strategy<Value = String> {
    let content = prop::sample::select(vec![
        "a:",
        "a: b",
        "b: \"c\"",
        "'c': 'd' # e",
        "d: |",
        "e: |-",
        "- x",
        "- a: b",
        "-",
        "- - y",
        "-   c: 1",
        "- |",
        "# c",
        "",
        "text",
        "f: {}",
        "g: [] # x",
        "h: yes",
        "1: 017",
        "on: ~",
        "i: a#b: c",
        "j: \"x\\n\"",
        "k: a:b",
        "l: [x]",
        "m: &x 1",
        "n: *x",
        "- *x",
        "o: !!str 1",
        "p: >-",
        "q: 'it''s'",
        "r:  -1  ",
        "s: - 1",
        "t: ---",
        "u: a, b] }",
        "<<: {z: 1}",
        "\"v\" : 1",
        "w: .5",
        "- {y: 1}",
        "x: \"\"",
        "\"\": 1",
        "y: a #",
        "z: #",
        "- \"a: b\"",
        "- 'k': v",
        "- k : v",
        "? a",
        ": b",
        "-a",
        "a:b",
        "...",
        "k: ~ x",
        "a: b ",
    ]);
    let line = (0..6usize, content, prop::sample::select(vec!["\n", "\n", "\n", "\n", "\n\n", "\n  \n", "\r\n", ""]));
    prop::collection::vec(line, 0..9)
        .prop_map(|lines| lines.into_iter().map(|(indent, text, end)| " ".repeat(indent) + text + end).collect())
}

/// A value of a sound document. In a leaf `@` stands for the indent of its lines.
#[derive(Debug, Clone)]
enum Node {
    Leaf(&'static str),
    Map(Vec<(&'static str, Node)>, usize),
    List(Vec<Node>, usize),
}

impl Node {
    /// What follows `key:` or `-` in that column.
    fn write(&self, column: usize, in_list: bool, out: &mut String) {
        match self {
            Self::Leaf(text) => out.push_str(&text.replace('@', &" ".repeat(column + 2))),
            Self::Map(entries, width) => {
                let compact = in_list && width % 2 == 0;
                let column = if compact { column + 2 } else { column + width };
                out.push_str(if compact { " " } else { "\n" });
                for (index, (key, value)) in entries.iter().enumerate() {
                    let indent = if compact && index == 0 { 0 } else { column };
                    out.push_str(&format!("{}{key}:", " ".repeat(indent)));
                    value.write(column, false, out);
                }
            }
            Self::List(items, width) => {
                let column = column + width - usize::from(!in_list);
                out.push('\n');
                for item in items {
                    out.push_str(&format!("{}-", " ".repeat(column)));
                    item.write(column, true, out);
                }
            }
        }
    }
}

/// A document that is YAML, most often without anything that needs the parser.
fn sound() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        " b\n",
        " \"c d\"\n",
        " 'x' # c\n",
        "\n",
        " # c\n",
        " 1\n",
        " yes\n",
        " {}\n",
        " a:b#c\n",
        " |\n@x: 1\n\n@  y\n",
        " |-\n@# x\n\n\n@z\n",
        " .5\n",
        " -x # c\n",
        " /a/b, c] # \n",
        " ~\n",
        " $(X)  \n",
        "\n\n# c\n",
        " \"a: b\"\n",
        " [] # c\n",
        " \"#\"\n",
        " <x>\n",
    ])
    .prop_map(Node::Leaf);
    let keys = || prop::sample::select(vec!["a", "b", "c/d.e", "\"f\"", "'g'", "1", "on", "x-y_z", "h", "i", "j", "k"]);
    let node = leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            (prop::collection::vec((keys(), inner.clone()), 1..5), 1..4usize)
                .prop_map(|(map, width)| Node::Map(map, width)),
            (prop::collection::vec(inner, 1..5), 1..4usize).prop_map(|(list, width)| Node::List(list, width)),
        ]
    });
    node.prop_map(|node| {
        let mut text = "root:".to_owned();
        node.write(0, false, &mut text);
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn any_lines_mean_what_the_parser_says(text in document()) {
        same(&text).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn sound_documents_mean_what_the_parser_says(text in sound()) {
        prop_assert!(Stream::parse(text.as_bytes()).is_ok(), "{}", text);
        same(&text).map_err(TestCaseError::fail)?;
    }
}
