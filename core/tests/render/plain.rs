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
        (document.value().unwrap().clone(), twice.collect())
    };
    Ok(stream.documents().iter().map(document).collect())
}

/// Whether a document means the same with and without the parser.
fn same(text: &str) -> Result<(), String> {
    let parsed = meaning(&format!("# \u{e9}\n{text}"), 1);
    let read = meaning(text, 0);
    if read == parsed { Ok(()) } else { Err(format!("{text}\nread:   {read:?}\nparsed: {parsed:?}")) }
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

/// A document in which the indents fit, so that most are read.
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
        " |\n@  x: 1\n@\n@   y\n",
        " |-\n@ # x\n\n\n@ z\n",
        " .5\n",
        " -x\n",
        " /a/b: c\n",
        " ~\n",
        " $(X)\n",
        "\n\n# c\n",
    ])
    .prop_map(|text| text.replace("@", "\u{1}"));
    leaf.prop_recursive(5, 48, 5, |inner| {
        let key = prop::sample::select(vec!["a", "b", "c/d.e", "\"f\"", "'g'", "1", "on", "x-y_z"]);
        prop_oneof![
            (prop::collection::vec((key, inner.clone()), 1..5), 1..4usize).prop_map(|(entries, width)| {
                let body: String = entries
                    .into_iter()
                    .map(|(key, value)| format!("\u{1}{}{key}:{value}", " ".repeat(width)))
                    .collect();
                format!("\n{}", deeper(&body, 0))
            }),
            (prop::collection::vec(inner, 1..5), 0..3usize).prop_map(|(items, width)| {
                let body: String = items.into_iter().map(|item| format!("\u{1}{}-{item}", " ".repeat(width))).collect();
                format!("\n{}", deeper(&body, width + 1))
            }),
        ]
    })
    .prop_map(|text| format!("root:{}", text.replace('\u{1}', "")))
}

/// Continuation lines of what is inside go further in.
fn deeper(body: &str, by: usize) -> String {
    let indent = |line: &str| match line.strip_prefix('\u{1}') {
        Some(rest) => format!("\u{1}{}{rest}", " ".repeat(by.min(1))),
        None => line.to_owned(),
    };
    body.split_inclusive('\n').map(indent).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn any_lines_mean_what_the_parser_says(text in document()) {
        same(&text).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn sound_documents_mean_what_the_parser_says(text in sound()) {
        same(&text).map_err(TestCaseError::fail)?;
    }
}
