//! Composes parser events into the JSON value that Helm, kubectl and the API server see.
//!
//! Follows `decode.go` of `go.yaml.in/yaml/v2@v2.4.3` where it differs from YAML 1.2: of duplicate keys the last
//! wins, and a merge key `<<` takes effect *where it stands*, so it overrides keys written before it. Aliases are
//! expanded under a budget. Duplicates are remembered, because Helm accepts them silently.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

use super::scalar::{self, Scalar};

/// Nodes that aliases of one document may expand to.
const ALIAS_NODES: usize = 200_000;
/// Bytes of scalars and keys that they may expand to. The API server takes no object of more than three megabytes.
const ALIAS_BYTES: usize = 16 << 20;

const CORE: &str = "tag:yaml.org,2002:";

/// A key that is written twice in one mapping; the later one wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateKey {
    /// JSON pointer of the key.
    pub pointer: String,
    /// Line of the one that is ignored, in the stream, from 1.
    pub first_line: u32,
    /// Line of the one that wins.
    pub line: u32,
}

/// A document that is not the YAML Kubernetes reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// Line in the stream, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

/// One composed document.
#[derive(Debug)]
pub(super) struct Composed {
    /// The value; null for a document without content.
    pub value: Value,
    /// Keys written twice.
    pub duplicates: Vec<DuplicateKey>,
    /// Line of each JSON pointer, when they were asked for.
    pub lines: Option<BTreeMap<String, u32>>,
    /// Scalars that are written on one line without anchor or tag, by JSON pointer, when lines were asked for.
    pub scalars: BTreeMap<String, Written>,
}

/// How a scalar is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Its bytes in the document, quotes included.
    pub range: Range<usize>,
    /// Its quote, if it has one.
    pub quote: Option<char>,
}

/// Where we are in the document, without allocating.
#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key) => parent.pointer() + "/" + &key.replace('~', "~0").replace('/', "~1"),
            Self::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

/// An anchored node, kept for its aliases.
struct Anchored {
    value: Value,
    /// The text a scalar had, for aliases used as keys.
    key: Option<Result<String, String>>,
    size: Size,
}

/// How much of a document there is: nodes, and the bytes of scalars and keys.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    fn since(self, before: Self) -> Self {
        Self { nodes: self.nodes - before.nodes, bytes: self.bytes - before.bytes }
    }
}

struct Composer<P> {
    events: P,
    anchors: HashMap<usize, Anchored>,
    /// What aliases expanded to.
    expanded: Size,
    /// What there is so far, expanded aliases among it.
    size: Size,
    first_line: u32,
    duplicates: Vec<DuplicateKey>,
    lines: Option<BTreeMap<String, u32>>,
    scalars: BTreeMap<String, Written>,
}

type Next<'t> = (Event<'t>, Span);

/// Composes `text`, which starts at line `first_line` of the stream; with `want_lines` each pointer's line is kept.
///
/// # Errors
/// Text that is not YAML, holds a second document after `...`, or uses what JSON cannot express.
pub(super) fn compose(text: &str, first_line: u32, want_lines: bool) -> Result<Composed, YamlError> {
    if !text.is_ascii()
        && let Some((at, break_)) = text.char_indices().find(|(_, c)| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))
    {
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count();
        let message = format!("U+{:04X} ends a line in YAML 1.1 and does not in YAML 1.2", u32::from(break_));
        return Err(at_marker(line, column, first_line, message));
    }
    if let Some((index, _)) = text.lines().enumerate().find(|(_, line)| line.starts_with('%')).filter(|(index, _)| {
        let before = text.lines().take(*index);
        before.clone().all(|line| line.trim().is_empty() || line.starts_with('#'))
    }) {
        let message = "a directive (`%`): Helm and kubectl cut it off the document it belongs to";
        return Err(at_marker(index + 1, 0, first_line, message));
    }
    let lone = |(at, _): &(usize, &str)| text.as_bytes().get(at + 1) != Some(&b'\n');
    if let Some((at, _)) = text.match_indices('\r').find(lone) {
        let before = &text[..at];
        let column = before.chars().rev().take_while(|c| *c != '\n').count();
        let message = "a carriage return without a line feed ends a line in YAML and does not for Helm";
        return Err(at_marker(before.matches('\n').count() + 1, column, first_line, message));
    }
    let composed = read(text, first_line, want_lines)?;
    if composed.duplicates.is_empty() || want_lines {
        return Ok(composed);
    }
    // Where a key stood first is only noted when it is needed.
    let Composed { duplicates, .. } = read(text, first_line, true)?;
    Ok(Composed { duplicates, ..composed })
}

fn read(text: &str, first_line: u32, want_lines: bool) -> Result<Composed, YamlError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let events = Parser::new_from_str_with_options(text, options).map(|next| {
        next.map_err(|error| at_marker(error.marker().line(), error.marker().col(), first_line, error.info()))
    });
    let mut composer = Composer {
        events,
        anchors: HashMap::new(),
        expanded: Size::default(),
        size: Size::default(),
        first_line,
        duplicates: Vec::new(),
        lines: want_lines.then(BTreeMap::new),
        scalars: BTreeMap::new(),
    };
    let value = composer.document()?;
    Ok(Composed { value, duplicates: composer.duplicates, lines: composer.lines, scalars: composer.scalars })
}

fn at_marker(line: usize, column: usize, first_line: u32, message: impl Into<String>) -> YamlError {
    let line = u32::try_from(line.saturating_sub(1)).unwrap_or(u32::MAX);
    let column = u32::try_from(column + 1).unwrap_or(u32::MAX);
    YamlError { line: first_line.saturating_add(line), column, message: message.into() }
}

impl<'t, P: Iterator<Item = Result<Next<'t>, YamlError>>> Composer<P> {
    fn next(&mut self) -> Result<Next<'t>, YamlError> {
        match self.events.next() {
            Some(next) => next,
            None => Err(YamlError { line: self.first_line, column: 1, message: "the document ends early".to_owned() }),
        }
    }

    fn error(&self, span: &Span, message: impl Into<String>) -> YamlError {
        at_marker(span.start.line(), span.start.col(), self.first_line, message)
    }

    fn line(&self, span: &Span) -> u32 {
        at_marker(span.start.line(), 0, self.first_line, "").line
    }

    fn document(&mut self) -> Result<Value, YamlError> {
        let mut value = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(value.unwrap_or(Value::Null)),
                Event::DocumentStart(..) if value.is_some() => {
                    return Err(
                        self.error(&span, "a second document without `---` before it: Helm and kubectl ignore it")
                    );
                }
                Event::DocumentStart(..) => {
                    let next = self.next()?;
                    value = Some(self.node(next, &Path::Root)?);
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, (event, span): Next<'t>, path: &Path<'_>) -> Result<Value, YamlError> {
        let before = self.size;
        self.size.nodes += 1;
        if let Some(lines) = &mut self.lines {
            let line = at_marker(span.start.line(), 0, self.first_line, "").line;
            // A key's line was noted before its value.
            lines.entry(path.pointer()).or_insert(line);
        }
        let (anchor, value, key) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.size.bytes += text.len();
                if self.lines.is_some() && anchor == 0 && tag.is_none() {
                    self.note(style, &span, path);
                }
                let scalar = self.scalar(&text, style, tag.as_deref(), &span)?;
                let key = (anchor != 0).then(|| scalar.clone().key(&text));
                let value = match (scalar, tag.as_deref()) {
                    (Scalar::Text, Some(tag)) if is_core(tag, "binary") => binary(&text).map(Value::String),
                    (scalar, _) => scalar.json(&text),
                };
                (anchor, value.map_err(|message| self.error(&span, message))?, key)
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.sequence(path)?, None),
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(path)?, None),
            Event::Alias(anchor) => (0, self.alias(anchor, &span)?, None),
            _ => return Err(self.error(&span, "a value is expected here")),
        };
        if anchor != 0 {
            let size = self.size.since(before);
            self.anchors.insert(anchor, Anchored { value: value.clone(), key, size });
        }
        Ok(value)
    }

    /// Remember where a scalar is written, if it is on one line.
    fn note(&mut self, style: ScalarStyle, span: &Span, path: &Path<'_>) {
        let quote = match style {
            ScalarStyle::Plain => None,
            ScalarStyle::SingleQuoted => Some('\''),
            ScalarStyle::DoubleQuoted => Some('"'),
            _ => return,
        };
        if let Some(range) = span.byte_range().filter(|_| span.start.line() == span.end.line()) {
            self.scalars.insert(path.pointer(), Written { range, quote });
        }
    }

    fn sequence(&mut self, path: &Path<'_>) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                return Ok(Value::Array(items));
            }
            let item = self.node(next, &Path::Item(path, items.len()))?;
            items.push(item);
        }
    }

    fn mapping(&mut self, path: &Path<'_>) -> Result<Value, YamlError> {
        let mut map = Map::new();
        // Keys that came from a merge alone: to write one of them is no duplicate.
        let mut merged = HashSet::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, anchor, tag) => {
                    if is_merge(&text, style, tag.as_deref()) {
                        self.merge(&mut map, &mut merged, path)?;
                        continue;
                    }
                    let scalar = self.scalar(&text, style, tag.as_deref(), &span)?;
                    let key = match tag.as_deref() {
                        Some(tag) if is_core(tag, "binary") => binary(&text),
                        _ => scalar.clone().key(&text),
                    };
                    let key = key.map_err(|message| self.error(&span, message))?;
                    self.size.bytes += text.len();
                    if anchor != 0 {
                        let value = scalar.json(&text).map_err(|message| self.error(&span, message))?;
                        let size = Size { nodes: 1, bytes: text.len() };
                        self.anchors.insert(anchor, Anchored { value, key: Some(Ok(key.clone())), size });
                    }
                    key
                }
                Event::Alias(anchor) => match self.anchors.get(&anchor).map(|a| (a.size, a.key.clone())) {
                    Some((size, Some(key))) => {
                        self.expand(size, &span)?;
                        key.map_err(|message| self.error(&span, message))?
                    }
                    _ => return Err(self.error(&span, "a mapping key must be a scalar")),
                },
                _ => return Err(self.error(&span, "a mapping key must be a scalar")),
            };
            let line = self.line(&span);
            let here = Path::Key(path, &key);
            let again = map.contains_key(&key);
            if again && !merged.contains(&key) {
                let pointer = here.pointer();
                let first_line = self.lines.as_ref().and_then(|lines| lines.get(&pointer).copied()).unwrap_or(line);
                self.duplicates.push(DuplicateKey { pointer, first_line, line });
            }
            if let Some(lines) = &mut self.lines {
                let pointer = here.pointer();
                if again {
                    // The later key wins, with everything below it.
                    remove_below(lines, &pointer);
                    remove_below(&mut self.scalars, &pointer);
                    self.scalars.remove(&pointer);
                }
                lines.insert(pointer, line);
            }
            let next = self.next()?;
            let value = self.node(next, &here)?;
            merged.remove(&key);
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    /// `<<` overrides what stands before it; of several mappings the first one counts.
    fn merge(
        &mut self,
        map: &mut Map<String, Value>,
        merged: &mut HashSet<String>,
        path: &Path<'_>,
    ) -> Result<(), YamlError> {
        let next = self.next()?;
        let span = next.1;
        let written_here = matches!(next.0, Event::SequenceStart(..));
        let here = Path::Key(path, "<<");
        let others = match self.node(next, &here)? {
            Value::Array(others) if written_here => others,
            other => vec![other],
        };
        for other in others.into_iter().rev() {
            let Value::Object(other) = other else {
                return Err(self.error(&span, "`<<` wants a mapping or a list of mappings"));
            };
            merged.extend(other.keys().filter(|key| !map.contains_key(*key)).cloned());
            map.extend(other);
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Value, YamlError> {
        let inside = "an alias inside the node it stands for";
        let Some(size) = self.anchors.get(&anchor).map(|anchored| anchored.size) else {
            return Err(self.error(span, inside));
        };
        self.expand(size, span)?;
        self.anchors.get(&anchor).map(|anchored| anchored.value.clone()).ok_or_else(|| self.error(span, inside))
    }

    /// Count what an alias stands for.
    fn expand(&mut self, by: Size, span: &Span) -> Result<(), YamlError> {
        for size in [&mut self.expanded, &mut self.size] {
            size.nodes = size.nodes.saturating_add(by.nodes);
            size.bytes = size.bytes.saturating_add(by.bytes);
        }
        if self.expanded.nodes > ALIAS_NODES {
            return Err(self.error(span, format!("aliases expand to more than {ALIAS_NODES} nodes")));
        }
        if self.expanded.bytes > ALIAS_BYTES {
            return Err(self.error(span, format!("aliases expand to more than {ALIAS_BYTES} bytes")));
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Scalar, YamlError> {
        let plain = style == ScalarStyle::Plain;
        let Some(tag) = tag else { return Ok(if plain { scalar::resolve(text) } else { Scalar::Text }) };
        if tag.handle() != CORE {
            return Ok(Scalar::Text);
        }
        let wanted = tag.suffix();
        let scalar = match wanted {
            "bool" | "int" | "float" | "null" => scalar::resolve(text),
            _ => return Ok(Scalar::Text),
        };
        match (wanted, scalar) {
            ("bool", scalar @ Scalar::Bool(_))
            | ("null", scalar @ Scalar::Null)
            | ("int", scalar @ (Scalar::Int(_) | Scalar::Uint(_)))
            | ("float", scalar @ Scalar::Float(_)) => Ok(scalar),
            ("float", Scalar::Int(value)) => Ok(Scalar::Float(value as f64)),
            _ => Err(self.error(span, format!("`{text}` is not of type !!{wanted}"))),
        }
    }
}

/// Forget what is below a pointer, in time that depends on how much that is.
fn remove_below<T>(known: &mut BTreeMap<String, T>, pointer: &str) {
    // `0` follows `/`.
    let below: Vec<String> =
        known.range(format!("{pointer}/")..format!("{pointer}0")).map(|(key, _)| key.clone()).collect();
    for key in below {
        known.remove(&key);
    }
}

fn is_core(tag: &Tag, suffix: &str) -> bool {
    tag.handle() == CORE && tag.suffix() == suffix
}

fn is_merge(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> bool {
    text == "<<" && tag.map_or(style == ScalarStyle::Plain, |tag| is_core(tag, "merge"))
}

fn binary(text: &str) -> Result<String, String> {
    let bytes = scalar::base64(text).ok_or("!!binary value is not base64")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
