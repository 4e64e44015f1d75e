//! Reads the YAML that charts are mostly made of, without a parser: block mappings and sequences of scalars on one line.
//!
//! It gives up at the first thing that needs more than a look at one line (flow style, escapes, anchors, tags, folded text, a key
//! written twice, bytes beyond ASCII), and at everything that is wrong: then `compose` reads the whole document with the parser,
//! which also tells errors. What is read here means the same there; `core/tests/render/plain.rs` and the fuzz target hold that.

use std::ops::Range;

use serde_json::{Map, Value};

use super::scalar;

/// Depth at which the parser takes over.
const DEEP: usize = 64;
/// Longest key.
const KEY: usize = 256;

/// The value of a document; none when it needs the parser.
pub(super) fn read(text: &str) -> Option<Value> {
    if !text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')) {
        return None;
    }
    let mut reader = Reader { text, at: 0, column: 0, ended: false };
    reader.line();
    if reader.ended || reader.column != 0 {
        return None;
    }
    let value = reader.mapping(0, 0)?;
    reader.ended.then_some(value)
}

/// Stands at the first byte of some content, in a column of its line, or at the end.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    column: usize,
    ended: bool,
}

impl<'t> Reader<'t> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Whether a line, or the text, ends here.
    fn ends(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b'\n'))
    }

    fn spaces(&self, from: usize) -> usize {
        self.text.as_bytes()[from..].iter().take_while(|byte| **byte == b' ').count()
    }

    /// The end of the line: its line feed or the end of the text.
    fn line_end(&self, from: usize) -> usize {
        self.text.as_bytes()[from..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(self.text.len(), |found| from + found)
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
        let spaces = self.spaces(at);
        let rest = at + spaces;
        let comment = spaces > 0 && self.byte(rest) == Some(b'#');
        if !comment && !self.ends(rest) {
            return None;
        }
        self.at = (self.line_end(rest) + 1).min(self.text.len());
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
        while !self.ended && self.column >= indent {
            if self.column > indent || depth > DEEP {
                return None;
            }
            let (key, behind) = self.key()?;
            self.at = behind;
            let value = match self.byte(behind + self.spaces(behind)) {
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
                Some(_) => self.inline(behind + self.spaces(behind), indent)?,
            };
            if map.insert(key, value).is_some() {
                return None;
            }
        }
        Some(Value::Object(map))
    }

    fn sequence(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        while !self.ended && self.column == indent && self.is_item() {
            if depth > DEEP {
                return None;
            }
            let behind = self.at + 1;
            let spaces = self.spaces(behind);
            let item = match self.byte(behind + spaces) {
                None | Some(b'\n' | b'#') => {
                    self.leave(behind)?;
                    if !self.ended && self.column > indent { self.block(depth + 1)? } else { Value::Null }
                }
                Some(_) => {
                    self.at = behind + spaces;
                    self.column = indent + 1 + spaces;
                    if self.is_item() || self.key().is_some() {
                        self.block(depth + 1)?
                    } else {
                        self.inline(self.at, indent)?
                    }
                }
            };
            items.push(item);
        }
        Some(Value::Array(items))
    }

    /// The key that stands here, and the byte behind its colon.
    fn key(&self) -> Option<(String, usize)> {
        let (text, end, plain) = match self.byte(self.at)? {
            b'"' | b'\'' => {
                let inner = self.quoted(self.at)?;
                (&self.text[inner.clone()], inner.end + 1, false)
            }
            first if first.is_ascii_alphanumeric() => {
                let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
                let length = self.text.as_bytes()[self.at..].iter().take_while(|byte| is_key(byte)).count();
                (&self.text[self.at..self.at + length], self.at + length, true)
            }
            _ => return None,
        };
        let colon = self.byte(end) == Some(b':') && (self.ends(end + 1) || self.byte(end + 1) == Some(b' '));
        if !colon || text.is_empty() || text.len() > KEY {
            return None;
        }
        let key = if plain { scalar::resolve(text).key(text).ok()? } else { text.to_owned() };
        Some((key, end + 1))
    }

    /// What is between two quotes on this line, when it is written as it is meant.
    fn quoted(&self, at: usize) -> Option<Range<usize>> {
        let quote = self.byte(at)?;
        let stops = |byte: &u8| *byte == quote || matches!(byte, b'\n' | b'\\');
        let length = self.text.as_bytes()[at + 1..].iter().position(stops)?;
        let end = at + 1 + length;
        let doubled = quote == b'\'' && self.byte(end + 1) == Some(b'\'');
        (self.byte(end) == Some(quote) && !doubled).then_some(at + 1..end)
    }

    /// A value that begins at `at` in a block of this indent. What follows it is no deeper: it would go on with the value.
    fn inline(&mut self, at: usize, indent: usize) -> Option<Value> {
        let (value, end) = match (self.byte(at)?, self.byte(at + 1)) {
            (b'"' | b'\'', _) => {
                let inner = self.quoted(at)?;
                (Value::String(self.text[inner.clone()].to_owned()), inner.end + 1)
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
                (scalar::resolve(text).json(text).ok()?, at + text.len())
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

    /// A scalar without quotes: to the end of the line or a comment.
    fn plain(&self, at: usize) -> Option<&'t str> {
        let line = &self.text[at..self.line_end(at)];
        let bytes = line.as_bytes();
        let mut end = bytes.len();
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                b':' if matches!(bytes.get(index + 1), None | Some(b' ')) => return None,
                b'#' if bytes[index - 1] == b' ' => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        Some(line[..end].trim_end_matches(' '))
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
            } else {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

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
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
