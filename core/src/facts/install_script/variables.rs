//! Values of variables, and what becomes of a text in which they stand.
//!
//! A value may hold marks ([`super::MARK`]) where only a run can tell what stands there.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::lex::{Here, Redirect, unit};
use super::parse::{Node, Simple, parse};
use super::{MARK, MARK_END, first_open, is_open, mark, named};

/// Longest value, and longest here-document: a script that doubles a value over and over has no manifest in it.
const LONGEST: usize = 8 << 20;
/// Functions that print here-documents with functions in them.
const DEEPEST: u32 = 8;
/// Commands whose output is looked for.
const MOST: u32 = 10_000;

/// A text, with the line of the script that each of its lines comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) lines: Vec<u32>,
}

impl Text {
    /// A text that comes from one line of the script, and from those after it if it has more.
    pub(super) fn from_line(text: String, line: u32) -> Self {
        let count = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
        Self { text, lines: (line..line.saturating_add(count)).collect() }
    }

    pub(super) fn append(&mut self, other: &Self) {
        let begun = usize::from(self.goes_on());
        self.text.push_str(&other.text);
        self.lines.extend(other.lines.iter().skip(begun));
    }

    fn goes_on(&self) -> bool {
        !self.text.is_empty() && !self.text.ends_with('\n')
    }

    fn push(&mut self, letter: char, line: u32) {
        if !self.goes_on() {
            self.lines.push(line);
        }
        self.text.push(letter);
    }
}

/// What the script has set so far, and the functions that it has defined.
#[derive(Debug, Clone)]
pub(super) struct Variables {
    /// The script's name, for marks.
    pub(super) file: String,
    values: BTreeMap<String, String>,
    /// Line of something that may have set any variable: `eval`, `source`.
    anything: Option<u32>,
    /// Arguments of the script or of the function that runs; the line that leaves them open.
    pub(super) arguments: Result<Vec<String>, u32>,
    /// By name; none when only a run can tell what one is.
    pub(super) functions: BTreeMap<String, Option<Rc<Vec<Node>>>>,
    depth: u32,
    /// Commands whose output was looked for.
    steps: u32,
}

impl Variables {
    pub(super) fn of(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            values: BTreeMap::new(),
            anything: None,
            arguments: Ok(Vec::new()),
            functions: BTreeMap::new(),
            depth: 0,
            steps: 0,
        }
    }

    /// Sets a variable. What a command left open in the value is told by the variable's name from here on.
    pub(super) fn set(&mut self, name: &str, value: &str, line: u32) {
        let open = named(&self.file, name, line);
        let value = match value.len() > LONGEST {
            true => mark(&open),
            false => told_by(value, &open),
        };
        self.values.insert(name.to_owned(), value);
    }

    /// Only a run can tell what the variable has.
    pub(super) fn open(&mut self, name: &str, line: u32) {
        self.values.insert(name.to_owned(), mark(&named(&self.file, name, line)));
    }

    /// Puts back what a variable had.
    pub(super) fn put(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => drop(self.values.insert(name.to_owned(), value)),
            None => drop(self.values.remove(name)),
        }
    }

    /// What a variable has, if something has set it.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// Any variable may have another value from here on.
    pub(super) fn forget(&mut self, line: u32) {
        self.values.clear();
        self.anything = Some(line);
    }

    fn get(&self, name: &str, line: u32) -> Option<String> {
        let open = |line| Some(mark(&named(&self.file, name, line)));
        match (name, &self.arguments) {
            ("?" | "$" | "!" | "-" | "_" | "0" | "RANDOM" | "SECONDS" | "LINENO", _) => open(line),
            ("#", Ok(arguments)) => Some(arguments.len().to_string()),
            ("@" | "*", Ok(arguments)) => Some(arguments.join(" ")),
            (digits, arguments)
                if digits == "#" || digits == "@" || digits == "*" || digits.bytes().all(|b| b.is_ascii_digit()) =>
            {
                match arguments {
                    Ok(arguments) => {
                        digits.parse::<usize>().ok().and_then(|at| arguments.get(at.checked_sub(1)?).cloned())
                    }
                    Err(line) => open(*line),
                }
            }
            _ => match (self.values.get(name), self.anything) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(line)) => open(line),
                (None, None) => None,
            },
        }
    }

    /// The words that a word of a command on `line` becomes: without quotes, and split where the shell splits.
    pub(super) fn words(&mut self, word: &str, line: u32) -> Vec<String> {
        if matches!(word, "\"$@\"" | "$@" | "$*" | "\"${@}\"" | "${@}")
            && let Ok(arguments) = &self.arguments
        {
            return arguments.clone();
        }
        let value = self.word(word, line);
        if word.contains(['"', '\'', '\\']) || !word.contains(['$', '`']) {
            return vec![value];
        }
        // Split by something else than blanks.
        if self.values.contains_key("IFS") {
            return vec![self.marked("words that `IFS` makes", line)];
        }
        value.split_whitespace().map(str::to_owned).collect()
    }

    /// The value of a word where nothing is split.
    pub(super) fn word(&mut self, word: &str, line: u32) -> String {
        let (mut out, mut at) = (String::new(), 0);
        while at < word.len() && out.len() <= LONGEST {
            let end = unit(word, at, 0).unwrap_or(word.len());
            let part = &word[at..end];
            match part.as_bytes() {
                [b'\'', inside @ .., b'\''] => out.push_str(&String::from_utf8_lossy(inside)),
                [b'"', .., b'"'] if part.len() > 1 => {
                    out.push_str(&self.text(&part[1..part.len() - 1], "$`\"\\", line).text);
                }
                [b'\\', ..] => out.push_str(&part[1..]),
                [b'$', b'\'', ..] => out.push_str(&mark(&format!("a text with escapes ({}:{line})", self.file))),
                [b'$' | b'`', ..] => {
                    let (value, end) = self.expansion(word, at, line);
                    out.push_str(&value);
                    at = end;
                    continue;
                }
                _ => out.push_str(part),
            }
            at = end;
        }
        out
    }

    /// A here-document as it would be written.
    pub(super) fn here(&mut self, here: &Here) -> Text {
        if here.literal {
            return Text::from_line(here.body.clone(), here.line);
        }
        self.text(&here.body, "$`\\", here.line)
    }

    /// A text with its expansions replaced; a backslash escapes the letters of `escapes`.
    fn text(&mut self, text: &str, escapes: &str, first: u32) -> Text {
        let mut out = Text::default();
        let (mut at, mut line) = (0, first);
        while let Some(letter) = text[at..].chars().next() {
            if out.text.len() > LONGEST {
                let open = self.marked("a text longer than this program follows", line);
                return Text { text: open, lines: vec![first] };
            }
            let mut end = at + letter.len_utf8();
            match letter {
                '\\' => match text[end..].chars().next() {
                    Some('\n') => end += 1,
                    Some(next) if escapes.contains(next) => {
                        out.push(next, line);
                        end += next.len_utf8();
                    }
                    _ => out.push('\\', line),
                },
                '$' | '`' => {
                    let value;
                    (value, end) = self.expansion(text, at, line);
                    // All lines of a value stand where it is named.
                    value.chars().for_each(|letter| out.push(letter, line));
                }
                _ => out.push(letter, line),
            }
            line = line.saturating_add(u32::try_from(text[at..end].matches('\n').count()).unwrap_or(u32::MAX));
            at = end;
        }
        out
    }

    /// The value of the expansion at an offset, and where it ends.
    fn expansion(&mut self, text: &str, at: usize, line: u32) -> (String, usize) {
        let whole = || unit(text, at, 0).unwrap_or(text.len());
        match &text.as_bytes()[at..] {
            [b'$', b'(', b'(', ..] => (self.marked("a sum", line), whole()),
            [b'$', b'(', ..] => {
                let end = whole();
                (self.output(text.get(at + 2..end - 1).unwrap_or_default(), line), end)
            }
            [b'`', ..] => (self.marked("a command's output", line), whole()),
            [b'$', b'{', ..] => {
                let end = whole();
                (self.braces(text.get(at + 2..end - 1).unwrap_or_default(), line), end)
            }
            _ => {
                let after = &text[at + 1..];
                let length = match after.chars().next() {
                    Some(first) if first.is_ascii_digit() || "@*#?$!-".contains(first) => 1,
                    _ => name_length(after),
                };
                match &after[..length] {
                    "" => ("$".to_owned(), at + 1),
                    name => (self.named(name, line), at + 1 + length),
                }
            }
        }
    }

    fn marked(&self, what: &str, line: u32) -> String {
        mark(&format!("{what} ({}:{line})", self.file))
    }

    /// `$(…)`: known if it prints one here-document or one text and does nothing else.
    fn output(&mut self, script: &str, line: u32) -> String {
        let open = self.marked("a command's output", line);
        self.steps = self.steps.saturating_add(1);
        if self.depth >= DEEPEST || self.steps > MOST {
            return open;
        }
        let Ok(nodes) = parse(script, line) else { return open };
        let [Node::Simple(command)] = nodes.as_slice() else { return open };
        self.depth += 1;
        let values = self.values.clone();
        let printed = match self.printed(command) {
            Some(text) => Some(text),
            None => match command.words.as_slice() {
                [name] if command.redirects.is_empty() => {
                    let body = self.functions.get(name).cloned().flatten();
                    match body.as_deref().map(Vec::as_slice) {
                        Some([Node::Simple(body)]) => self.printed(body),
                        _ => None,
                    }
                }
                _ => None,
            },
        };
        self.depth -= 1;
        self.values = values;
        printed.map_or(open, |text| text.text.trim_end_matches('\n').to_owned())
    }

    /// What `cat <<EOF` prints.
    fn printed(&mut self, command: &Simple) -> Option<Text> {
        match (command.words.as_slice(), command.redirects.as_slice()) {
            ([cat], [Redirect::Here(here)]) if cat == "cat" => Some(self.here(here)),
            _ => None,
        }
    }

    /// `$NAME`. One that nothing has set may come from the caller: it is not known to be empty.
    fn named(&self, name: &str, line: u32) -> String {
        let unset = || mark(&named(&self.file, name, line));
        self.get(name, line).unwrap_or_else(|| match name.bytes().all(|b| b.is_ascii_digit()) {
            true => String::new(),
            false => unset(),
        })
    }

    /// The inside of `${…}`: a name, and perhaps what to take when it is not set.
    fn braces(&mut self, inside: &str, line: u32) -> String {
        let length = match inside.chars().next() {
            Some('@' | '*') => 1,
            _ => name_length(inside),
        };
        let (name, rest) = inside.split_at(length);
        if name.is_empty() {
            return self.marked("an expansion", line);
        }
        let value = self.get(name, line);
        let colon = rest.starts_with(':');
        let operator = rest[usize::from(colon)..].chars().next();
        let word = rest.get(usize::from(colon) + 1..).unwrap_or_default().to_owned();
        let open = value.as_deref().is_some_and(is_open);
        let set = value.as_deref().is_some_and(|text| !(colon && text.is_empty()));
        match (operator, value) {
            (None, _) if rest.is_empty() => self.named(name, line),
            // It may be empty or not: what stands here is as open as it is.
            (Some('-' | '=' | '+' | '?'), Some(value)) if open => value,
            (Some('-' | '=' | '?'), Some(value)) if set => value,
            (Some('-'), _) => self.quoted_or_not(&word, line),
            (Some('='), _) => {
                let value = self.quoted_or_not(&word, line);
                self.set(name, &value, line);
                value
            }
            (Some('+'), _) if set => self.quoted_or_not(&word, line),
            (Some('+'), _) => String::new(),
            (_, Some(value)) if open => value,
            _ => mark(&named(&self.file, name, line)),
        }
    }

    fn quoted_or_not(&mut self, word: &str, line: u32) -> String {
        self.depth += 1;
        let value = if self.depth > DEEPEST { self.marked("an expansion", line) } else { self.word(word, line) };
        self.depth -= 1;
        value
    }
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// A value in which the marks that name no variable are told otherwise.
fn told_by(value: &str, open: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let (Some(at), Some(told)) = (rest.find(MARK), first_open(rest)) {
        let end = rest[at..].find(MARK_END).map_or(rest.len(), |end| at + end + MARK_END.len_utf8());
        out.push_str(&rest[..at]);
        out.push_str(&mark(if told.starts_with('$') { &told } else { open }));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}
