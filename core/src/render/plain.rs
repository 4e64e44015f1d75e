//! Reads the YAML that charts are mostly made of, without a parser: block mappings and sequences of scalars on one line.
//!
//! It gives up at the first thing that needs more than a look at one line (flow style, escapes, anchors, tags, folded text, a key
//! written twice, bytes beyond ASCII), and at everything that is wrong: then `compose` reads the whole document with the parser,
//! which also tells errors. What is read here means the same there; `core/tests/render/plain.rs` and the fuzz target hold that.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr3};
use serde_json::{Map, Value};

use super::scalar::{self, Scalar};

/// Depth at which the parser takes over.
const DEEP: usize = 64;
/// Longest key.
const KEY: usize = 256;

/// The value of a document; none when it needs the parser.
pub(super) fn read(text: &str) -> Option<Value> {
    Reader::begin(text, None)?.document()
}

/// As [`read`], but with no more than its type for what stands below other keys than `apiVersion`, `kind` and `metadata`: a list
/// is empty, a text null. Both give up at the same documents, since they are one reader.
///
/// Where the head of a document says that it is `wanted`, what follows is kept as well. Tells whether the whole was.
pub(super) fn head(text: &str, wanted: fn(&Map<String, Value>) -> bool) -> Option<(Value, bool)> {
    let mut reader = Reader::begin(text, None)?;
    reader.heads = Some(Heads { wanted, whole: true });
    let value = reader.document()?;
    Some((value, reader.heads?.whole))
}

/// Lines before the value at a JSON pointer, or before the nearest above it; none when the document needs the parser.
pub(super) fn lines_before(text: &str, pointer: &str) -> Option<usize> {
    let steps = match pointer.strip_prefix('/') {
        Some(steps) => steps.split('/').collect(),
        None if pointer.is_empty() => Vec::new(),
        None => return None,
    };
    let mut reader = Reader::begin(text, Some(Way { steps, taken: 0, left: false, at: 0 }))?;
    reader.way.as_mut()?.at = reader.at;
    reader.keeps = false;
    reader.document()?;
    let before = text.as_bytes().get(..reader.way?.at)?;
    Some(before.iter().filter(|byte| **byte == b'\n').count())
}

/// Bytes that may stand in a document that is read here. Looked at in blocks: that is a few instructions for each.
fn is_printable(text: &str) -> bool {
    let fine = |byte: &u8| matches!(byte, b'\n' | b' '..=b'~');
    let (blocks, rest) = text.as_bytes().as_chunks::<64>();
    blocks.iter().all(|block| block.iter().fold(true, |all, byte| all & fine(byte))) && rest.iter().all(fine)
}

/// Whether a byte may stand in a key without quotes.
const IN_KEY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_' | b'.' | b'/');
        byte += 1;
    }
    table
};

/// The way to the value that is looked for, as far as it was found.
struct Way<'p> {
    /// Steps of the pointer, escaped.
    steps: Vec<&'p str>,
    taken: usize,
    /// Whether the last step that was found lies behind: nothing further is on the way.
    left: bool,
    /// Where the value of the last step stands, or its key.
    at: usize,
}

impl Way<'_> {
    /// Takes the step that leads out of a block of this depth, if it is the one.
    fn take(&mut self, depth: usize, at: usize, is_step: impl FnOnce(&str) -> bool) -> bool {
        let next = !self.left && self.taken == depth && self.steps.get(depth).is_some_and(|step| is_step(step));
        if next {
            self.taken += 1;
            self.at = at;
        }
        next
    }
}

/// A key as a step of a JSON pointer.
fn is_step(key: &str, step: &str) -> bool {
    if key.contains(['~', '/']) { key.replace('~', "~0").replace('/', "~1") == step } else { key == step }
}

/// What is kept of a document of which the head is wanted.
struct Heads {
    /// Whether the rest is, too, by what stands before it.
    wanted: fn(&Map<String, Value>) -> bool,
    /// Whether everything was kept so far.
    whole: bool,
}

/// Stands at the first byte of some content, in a column of its line, or at the end.
struct Reader<'t, 'p> {
    text: &'t str,
    at: usize,
    column: usize,
    ended: bool,
    way: Option<Way<'p>>,
    /// Whether no more than the head of the document is wanted.
    heads: Option<Heads>,
    /// Whether what is read is kept.
    keeps: bool,
    /// Keys of the mappings that are read and not kept, from the outermost on.
    keys: Vec<Cow<'t, str>>,
}

impl<'t, 'p> Reader<'t, 'p> {
    /// Stands at the first content.
    fn begin(text: &'t str, way: Option<Way<'p>>) -> Option<Self> {
        if !is_printable(text) {
            return None;
        }
        let mut reader = Self { text, at: 0, column: 0, ended: false, way, heads: None, keeps: true, keys: Vec::new() };
        reader.line();
        (!reader.ended && reader.column == 0).then_some(reader)
    }

    fn document(&mut self) -> Option<Value> {
        let value = self.mapping(0, 0)?;
        self.ended.then_some(value)
    }

    /// Takes a step on the way that is looked for, if it is the next one.
    fn enter(&mut self, depth: usize, at: usize, is_step: impl FnOnce(&str) -> bool) -> bool {
        self.way.as_mut().is_some_and(|way| way.take(depth, at, is_step))
    }

    fn leave_way(&mut self, entered: bool) {
        if let Some(way) = self.way.as_mut().filter(|_| entered) {
            way.left = true;
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Whether a line, or the text, ends here.
    fn ends(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b'\n'))
    }

    fn spaces(&self, from: usize) -> usize {
        let rest = &self.text.as_bytes()[from..];
        rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len())
    }

    /// The end of the line: its line feed or the end of the text.
    fn line_end(&self, from: usize) -> usize {
        memchr(b'\n', &self.text.as_bytes()[from..]).map_or(self.text.len(), |found| from + found)
    }

    /// From the first byte of a line to the next content; blank lines and comments are none.
    fn line(&mut self) {
        loop {
            self.column = self.spaces(self.at);
            let content = self.at + self.column;
            match self.byte(content) {
                None => {
                    self.ended = true;
                    return;
                }
                Some(b'\n') => self.at = content + 1,
                Some(b'#') => self.at = (self.line_end(content) + 1).min(self.text.len()),
                Some(_) => {
                    self.at = content;
                    return;
                }
            }
        }
    }

    /// From `at`, behind a value, to the next content: there is nothing more on this line but a comment.
    fn leave(&mut self, at: usize) -> Option<()> {
        let rest = at + self.spaces(at);
        self.at = match self.byte(rest) {
            None => rest,
            Some(b'\n') => rest + 1,
            Some(b'#') if rest > at => (self.line_end(rest) + 1).min(self.text.len()),
            Some(_) => return None,
        };
        self.line();
        Some(())
    }

    fn is_item(&self) -> bool {
        self.byte(self.at) == Some(b'-') && (self.ends(self.at + 1) || self.byte(self.at + 1) == Some(b' '))
    }

    fn block(&mut self, depth: usize) -> Option<Value> {
        if self.is_item() { self.sequence(self.column, depth) } else { self.mapping(self.column, depth) }
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        let (keeps, outer) = (self.keeps, self.keys.len());
        while !self.ended && self.column >= indent {
            if self.column > indent || depth > DEEP {
                return None;
            }
            let key = self.key()?;
            let (behind, name) = (key.behind, key.name()?);
            let entered = self.enter(depth, self.at, |step| is_step(&name, step));
            self.at = behind;
            if let Some(heads) = self.heads.as_mut().filter(|_| depth == 0) {
                self.keeps = matches!(&*name, "apiVersion" | "kind" | "metadata") || (heads.wanted)(&map);
                heads.whole &= self.keeps;
            }
            let content = behind + self.spaces(behind);
            let value = match self.byte(content) {
                None | Some(b'\n' | b'#') => {
                    self.leave(behind)?;
                    if !self.ended && self.column > indent {
                        self.block(depth + 1)?
                    } else if !self.ended && self.column == indent && self.is_item() {
                        self.sequence(indent, depth + 1)?
                    } else {
                        Value::Null
                    }
                }
                Some(_) => self.inline(content, indent)?,
            };
            self.leave_way(entered);
            self.keeps = keeps;
            if !keeps {
                self.keys.push(name);
            } else if map.insert(name.into_owned(), value).is_some() {
                return None;
            }
        }
        let keys = &mut self.keys[outer..];
        keys.sort_unstable();
        let twice = keys.array_windows().any(|[one, next]| one == next);
        self.keys.truncate(outer);
        (!twice).then_some(Value::Object(map))
    }

    fn sequence(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let (mut items, mut index) = (Vec::new(), 0_usize);
        while !self.ended && self.column == indent && self.is_item() {
            if depth > DEEP {
                return None;
            }
            let behind = self.at + 1;
            let spaces = self.spaces(behind);
            let alone = matches!(self.byte(behind + spaces), None | Some(b'\n' | b'#'));
            if alone {
                self.leave(behind)?;
            } else {
                self.at = behind + spaces;
                self.column = indent + 1 + spaces;
            }
            let is_null = alone && (self.ended || self.column <= indent);
            // The parser says that a literal stands where its text does.
            let stands = if self.byte(self.at) == Some(b'|') { self.line_end(self.at) + 1 } else { self.at };
            let entered = self.enter(depth, stands, |step| step == index.to_string());
            let item = match (is_null, alone) {
                // Where nothing stands is for the parser to say.
                (true, _) if entered => return None,
                (true, _) => Value::Null,
                (false, true) => self.block(depth + 1)?,
                (false, false) if self.is_item() || self.key().is_some() => self.block(depth + 1)?,
                (false, false) => self.inline(self.at, indent)?,
            };
            self.leave_way(entered);
            index += 1;
            if self.keeps {
                items.push(item);
            }
        }
        Some(Value::Array(items))
    }

    /// The key that stands here.
    fn key(&self) -> Option<Key<'t>> {
        let (text, end, plain) = match self.byte(self.at)? {
            b'"' | b'\'' => {
                let inner = self.quoted(self.at)?;
                (&self.text[inner.clone()], inner.end + 1, false)
            }
            first if first.is_ascii_alphanumeric() => {
                let rest = &self.text.as_bytes()[self.at..];
                let length = rest.iter().position(|byte| !IN_KEY[usize::from(*byte)]).unwrap_or(rest.len());
                (&self.text[self.at..self.at + length], self.at + length, true)
            }
            _ => return None,
        };
        let colon = self.byte(end) == Some(b':') && (self.ends(end + 1) || self.byte(end + 1) == Some(b' '));
        let fits = colon && !text.is_empty() && text.len() <= KEY;
        fits.then_some(Key { text, plain, behind: end + 1 })
    }

    /// What is between two quotes on this line, when it is written as it is meant.
    fn quoted(&self, at: usize) -> Option<Range<usize>> {
        let quote = self.byte(at)?;
        let length = memchr3(quote, b'\n', b'\\', &self.text.as_bytes()[at + 1..])?;
        let end = at + 1 + length;
        let doubled = quote == b'\'' && self.byte(end + 1) == Some(b'\'');
        (self.byte(end) == Some(quote) && !doubled).then_some(at + 1..end)
    }

    /// A value that begins at `at` in a block of this indent. What follows it is no deeper: it would go on with the value.
    fn inline(&mut self, at: usize, indent: usize) -> Option<Value> {
        let (value, end) = match (self.byte(at)?, self.byte(at + 1)) {
            (b'"' | b'\'', _) => {
                let inner = self.quoted(at)?;
                (self.kept(&self.text[inner.clone()]), inner.end + 1)
            }
            (b'{', Some(b'}')) => (Value::Object(Map::new()), at + 2),
            (b'[', Some(b']')) => (Value::Array(Vec::new()), at + 2),
            (b'|', _) => {
                let text = self.literal(at, indent)?;
                (Value::String(text), self.at)
            }
            (b'-', Some(b' ' | b'\n') | None) => return None,
            (first, _)
                if first.is_ascii_alphanumeric() || matches!(first, b'-' | b'/' | b'.' | b'_' | b'~' | b'$' | b'(') =>
            {
                let text = self.plain(at)?;
                let value = match scalar::resolve(text) {
                    Scalar::Text => self.kept(text),
                    typed => typed.json(text).ok()?,
                };
                (value, at + text.len())
            }
            _ => return None,
        };
        if self.byte(at) == Some(b'|') {
            self.line();
        } else {
            self.leave(end)?;
        }
        (self.ended || self.column <= indent).then_some(value)
    }

    fn kept(&self, text: &str) -> Value {
        if self.keeps { Value::String(text.to_owned()) } else { Value::Null }
    }

    /// A scalar without quotes: to the end of the line or a comment.
    fn plain(&self, at: usize) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        let mut from = at;
        let end = loop {
            let Some(found) = memchr3(b'\n', b':', b'#', &bytes[from..]) else { break bytes.len() };
            let index = from + found;
            match bytes[index] {
                b'\n' => break index,
                b':' if matches!(bytes.get(index + 1), None | Some(b' ' | b'\n')) => return None,
                b'#' if bytes[at..index].last() == Some(&b' ') => break index,
                _ => from = index + 1,
            }
        };
        let blanks = bytes[at..end].iter().rev().take_while(|byte| **byte == b' ').count();
        Some(&self.text[at..end - blanks])
    }

    /// Text after `|` or `|-`; stands at the line behind it afterwards.
    fn literal(&mut self, at: usize, indent: usize) -> Option<String> {
        let strip = self.byte(at + 1) == Some(b'-');
        let header = at + 1 + usize::from(strip);
        if self.byte(header) != Some(b'\n') {
            return None;
        }
        let mut at = header + 1;
        let own = self.spaces(at);
        if own <= indent || self.ends(at + own) {
            return None;
        }
        let mut text = String::new();
        let mut blank = 0;
        while let Some(first) = self.byte(at) {
            let (spaces, end) = (self.spaces(at), self.line_end(at));
            if end == self.text.len() {
                return None;
            }
            if first == b'\n' {
                blank += 1;
            } else if at + spaces == end || (indent < spaces && spaces < own) {
                // Blanks on an empty line may belong to the text; a line between the indents is no YAML.
                return None;
            } else if spaces < own {
                break;
            } else if self.keeps {
                text.extend(std::iter::repeat_n('\n', blank));
                blank = 0;
                text.push_str(&self.text[at + own..=end]);
            }
            at = end + 1;
        }
        self.at = at;
        if strip {
            text.pop();
        }
        Some(text)
    }
}

/// A key as it is written, and the byte behind its colon.
struct Key<'t> {
    text: &'t str,
    plain: bool,
    behind: usize,
}

impl<'t> Key<'t> {
    /// What it is called in JSON; none when it is nothing there.
    fn name(&self) -> Option<Cow<'t, str>> {
        match scalar::resolve(self.text) {
            typed if self.plain && typed != Scalar::Text => typed.key(self.text).ok().map(Cow::Owned),
            _ => Some(Cow::Borrowed(self.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::read;

    /// The head of a document of which nothing more is wanted.
    fn head(text: &str) -> Option<Value> {
        super::head(text, |_| false).map(|(head, _)| head)
    }

    #[test]
    fn reads_what_charts_are_made_of() {
        let text = "# c\nkind: A # c\n\"a/b\": 'x'\n\n  # c\nlist:\n- name: m\n  on: [] # c\n-   - 017\n    - -1\n-\n- x: |\n    # a\n\n     b\n\n  # c\n\
                    deep:\n  - a#b\n  e:\n";
        assert_eq!(read(text), None, "a key behind items of the same indent");
        let text = text.replace("  e:\n", "e: {}\nf: |-\n  1: 2\n");
        let wanted = json!({
            "kind": "A", "a/b": "x", "list": [{"name": "m", "true": []}, [15, -1], null, {"x": "# a\n\n b\n"}],
            "deep": ["a#b"], "e": {}, "f": "1: 2",
        });
        assert_eq!(read(&text), Some(wanted));
    }

    #[test]
    fn the_head_is_what_tells_an_object_and_the_types_of_the_rest() {
        let text = "apiVersion: v1\nkind: 'List'\nmetadata:\n  labels: {}\n  a: [] # c\n  b: |\n    c\nitems:\n- a: b\n- 1\ndata:\n  a: b\n\
                    text: |-\n  a\n\n  b\nplain: a\nnumber: 017\n";
        let wanted = json!({
            "apiVersion": "v1", "kind": "List", "metadata": {"labels": {}, "a": [], "b": "c\n"}, "items": [], "data": {}, "text": "",
            "plain": null, "number": 15,
        });
        assert_eq!(head(text), Some(wanted));
        for twice in [
            "a: {b: c}\n",
            "kind: a\nkind: b\n",
            "a: b\na: c\n",
            "a:\n  b:\n    c: d\n    e: f\n    c: g\n",
            "a:\n- b: c\n  on: d\n  true: e\n",
        ] {
            assert_eq!(head(twice), None, "{twice:?}");
        }
        assert!(head("a:\n  b:\n    c: d\n  c:\n    b: e\nb:\n  a: f\n").is_some(), "the same key in another mapping");
    }

    #[test]
    fn what_is_wanted_is_kept_where_the_head_stands_before_it() {
        let wanted: fn(&Map<String, Value>) -> bool = |head| head.get("kind").is_some_and(|kind| kind == "A");
        let text = "kind: A\nmetadata:\n  name: a\nspec:\n  b: [] # c\n  d:\n  - e: f\n";
        assert_eq!(super::head(text, wanted), read(text).map(|value| (value, true)));
        assert_eq!(super::head("spec:\n  a: b\nkind: A\n", wanted), Some((json!({"spec": {}, "kind": "A"}), false)));
        assert_eq!(super::head("kind: B\na: b\n", wanted), Some((json!({"kind": "B", "a": null}), false)));
        assert_eq!(super::head("kind: B\nmetadata: {}\n", wanted), Some((json!({"kind": "B", "metadata": {}}), true)));
        assert_eq!(super::head("kind: A\na: b\na: c\n", wanted), None, "written twice");
    }

    #[test]
    fn gives_up_at_everything_else() {
        for text in [
            "",
            "# c\n",
            " a: b\n",
            "- a\n",
            "a\n",
            "a: b: c\n",
            "a: b\n  c\n",
            "a: 'b\n  c'\n",
            "a: \"\\n\"\n",
            "a: 'it''s'\n",
            "a: [b]\n",
            "a: &x b\n",
            "a: *x\n",
            "a: !!str b\n",
            "a: >\n  b\n",
            "a: |2\n  b\n",
            "a: |+\n  b\n",
            "a: |\n\n  b\n",
            "a: |\n  b\n \n",
            "a: |\n  b",
            "a: |\nb: c\n",
            "a: |\n   b\n  c\n",
            "a:\tb\n",
            "a: b\r\n",
            "\u{e4}: b\n",
            "a: b\na: c\n",
            "~: b\n",
            "<<: {}\n",
            "? a\n: b\n",
            "a : b\n",
            "a: b\n...\n",
            "a: - b\n",
            "a: @\n",
            "a: 'b' c\n",
            "a: b\n- c\n",
            "a:\n  b: c\n d: e\n",
        ] {
            assert_eq!((read(text), head(text)), (None, None), "{text:?}");
        }
    }
}
