//! Cuts a script into words, operators, redirections and here-documents.

use super::{MARK, Unreadable};

/// A part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word with its quotes.
    Word(String),
    /// `;`, `&&`, `|`, `(`, a line's end …
    Operator(&'static str),
    Redirect(Redirect),
}

/// Where input comes from or output goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// `> FILE`, `< FILE`, `<<< WORD`: the operator, the file descriptor before it, and the word.
    Word { operator: &'static str, fd: Option<u32>, word: String },
    /// `<<EOF`.
    Here(Here),
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Here {
    /// Lines as they stand; tabs at their beginnings are gone if it is `<<-`.
    pub(super) body: String,
    /// Line of its first one in the script, from 1.
    pub(super) line: u32,
    /// Its delimiter has quotes: nothing in it is replaced.
    pub(super) literal: bool,
}

/// Longest first.
const OPERATORS: &[&str] = &[
    "<<<", "<<-", ";;&", "&>>", ";;", ";&", "&&", "||", "|&", "&>", ">>", ">&", ">|", "<<", "<&", "<>", ";", "&", "|",
    "(", ")", "<", ">", "\n",
];

/// Quotes and brackets in one another.
const DEEPEST: u32 = 48;

/// Bytes of `((…))`.
const LONGEST_SUM: usize = 4096;

/// The tokens of a script with their lines; `first` is the number of its first line.
///
/// # Errors
/// A quote, a bracket or a here-document without an end.
pub(super) fn tokens(script: &str, first: u32) -> Result<Vec<(Token, u32)>, Unreadable> {
    if let Some(at) = script.find(MARK) {
        return Err(torn("has a character of its own kind", at).placed(script, first));
    }
    let mut lexer =
        Lexer { script, at: 0, depth: 0, tokens: Vec::new(), announced: Vec::new(), last_word: 0, counted: (0, 0) };
    lexer.read(false).map_err(|torn| torn.placed(script, first))?;
    let (mut line, mut at) = (first, 0);
    let mut placed = Vec::with_capacity(lexer.tokens.len());
    for (token, start) in lexer.tokens {
        line = line.saturating_add(newlines(&script[at..start]));
        at = start;
        let token = match token {
            Token::Redirect(Redirect::Here(here)) => {
                Token::Redirect(Redirect::Here(Here { line: here.line.saturating_add(first), ..here }))
            }
            token => token,
        };
        placed.push((token, line));
    }
    Ok(placed)
}

fn newlines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// What is wrong at an offset.
#[derive(Debug)]
pub(super) struct Torn {
    at: usize,
    what: String,
}

impl Torn {
    fn placed(self, script: &str, first: u32) -> Unreadable {
        Unreadable { line: first.saturating_add(newlines(&script[..self.at])), what: self.what }
    }
}

fn torn(what: &str, at: usize) -> Torn {
    Torn { at, what: what.to_owned() }
}

struct Lexer<'s> {
    script: &'s str,
    at: usize,
    depth: u32,
    tokens: Vec<(Token, usize)>,
    /// Here-documents that follow after this line: index of the token, delimiter, and whether tabs are taken away.
    announced: Vec<(usize, String, bool)>,
    /// Where the last token ended, if it was a word.
    last_word: usize,
    /// An offset, and how many lines end before it.
    counted: (usize, u32),
}

impl Lexer<'_> {
    /// Reads to the end, or to the bracket that closes what is `inside` of `$(…)`.
    fn read(&mut self, inside: bool) -> Result<(), Torn> {
        let start = self.at;
        let mut open = 0_u32;
        loop {
            let rest = &self.script[self.at..];
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
            self.at += blank;
            let rest = &self.script[self.at..];
            if rest.is_empty() {
                if inside {
                    return Err(torn("opens a bracket that is never closed", start));
                }
                return self
                    .announced
                    .first()
                    .map_or(Ok(()), |(token, delimiter, _)| Err(self.endless(*token, delimiter)));
            }
            if rest.starts_with("\\\n") {
                self.at += 2;
            } else if rest.starts_with('#') {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("((")
                && let Ok(end) = arithmetic(self.script, self.at)
            {
                self.push_word(end);
            } else if rest.starts_with("<(") || rest.starts_with(">(") {
                let end = nested(self.script, self.at + 2, self.depth)?;
                self.push_word(end);
            } else if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
                if inside && *operator == ")" && open == 0 {
                    return Ok(());
                }
                match *operator {
                    "(" => open += 1,
                    ")" => open = open.saturating_sub(1),
                    _ => {}
                }
                self.operator(operator)?;
            } else {
                let end = word(self.script, self.at, self.depth)?;
                if &self.script[self.at..end] == "[[" { self.brackets(end)? } else { self.push_word(end) }
            }
        }
    }

    fn push_word(&mut self, end: usize) {
        let text = self.script[self.at..end].replace("\\\n", "");
        self.tokens.push((Token::Word(text), self.at));
        (self.at, self.last_word) = (end, end);
    }

    /// `[[ … ]]`, in which `(`, `<` and `&&` are words.
    fn brackets(&mut self, end: usize) -> Result<(), Torn> {
        let start = self.at;
        self.push_word(end);
        loop {
            let rest = &self.script[self.at..];
            self.at += rest.len() - rest.trim_start().len();
            let mut end = self.at;
            while self.script[end..].chars().next().is_some_and(|letter| !letter.is_whitespace()) {
                end = unit(self.script, end, self.depth)?;
                if matches!(&self.script[self.at..end], "]]") {
                    break;
                }
            }
            if end == self.at {
                return Err(torn("has `[[` without `]]`", start));
            }
            let done = &self.script[self.at..end] == "]]";
            self.push_word(end);
            if done {
                return Ok(());
            }
        }
    }

    fn operator(&mut self, operator: &'static str) -> Result<(), Torn> {
        let start = self.at;
        self.at += operator.len();
        if operator == "\n" {
            self.tokens.push((Token::Operator("\n"), start));
            return self.bodies();
        }
        if !matches!(operator, "<" | ">" | ">>" | ">|" | ">&" | "<&" | "<>" | "<<<" | "&>" | "&>>" | "<<" | "<<-") {
            self.tokens.push((Token::Operator(operator), start));
            return Ok(());
        }
        let fd = match self.tokens.last() {
            Some((Token::Word(digits), _)) if self.last_word == start && digits.bytes().all(|b| b.is_ascii_digit()) => {
                let fd = digits.parse().ok();
                self.tokens.pop();
                fd
            }
            _ => None,
        };
        let rest = &self.script[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let end = match &self.script[self.at..] {
            rest if rest.starts_with("<(") || rest.starts_with(">(") => nested(self.script, self.at + 2, self.depth)?,
            _ => word(self.script, self.at, self.depth)?,
        };
        if end == self.at {
            return Err(torn(&format!("has `{operator}` without a word after it"), start));
        }
        let text = self.script[self.at..end].to_owned();
        self.at = end;
        let redirect = if matches!(operator, "<<" | "<<-") {
            let delimiter: String = text.chars().filter(|letter| !matches!(letter, '\'' | '"' | '\\')).collect();
            let literal = delimiter != text;
            self.announced.push((self.tokens.len(), delimiter, operator == "<<-"));
            Redirect::Here(Here { body: String::new(), line: 0, literal })
        } else {
            Redirect::Word { operator, fd, word: text }
        };
        self.tokens.push((Token::Redirect(redirect), start));
        Ok(())
    }

    /// The here-documents that were announced on the line before.
    fn bodies(&mut self) -> Result<(), Torn> {
        for (token, delimiter, strip_tabs) in std::mem::take(&mut self.announced) {
            let (from, before) = self.counted;
            let first = before.saturating_add(newlines(&self.script[from..self.at]));
            self.counted = (self.at, first);
            let mut body = String::new();
            loop {
                let rest = &self.script[self.at..];
                if rest.is_empty() {
                    return Err(self.endless(token, &delimiter));
                }
                let end = rest.find('\n').map_or(rest.len(), |end| end + 1);
                let raw = if strip_tabs { rest[..end].trim_start_matches('\t') } else { &rest[..end] };
                self.at += end;
                if raw.strip_suffix('\n').unwrap_or(raw) == delimiter {
                    break;
                }
                body.push_str(raw);
            }
            if let Some((Token::Redirect(Redirect::Here(here)), _)) = self.tokens.get_mut(token) {
                (here.body, here.line) = (body, first);
            }
        }
        Ok(())
    }

    fn endless(&self, token: usize, delimiter: &str) -> Torn {
        let at = self.tokens.get(token).map_or(self.at, |(_, at)| *at);
        torn(&format!("starts a here-document that never ends: no line is `{delimiter}` alone"), at)
    }
}

/// End of the word at an offset.
fn word(script: &str, start: usize, depth: u32) -> Result<usize, Torn> {
    let mut at = start;
    while let Some(byte) = script.as_bytes().get(at) {
        at = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b')' | b'<' | b'>' => break,
            // `NAME=(…)`, and the patterns `@(…)`.
            b'(' if script[start..at].ends_with(['=', '@', '?', '*', '+', '!']) => nested(script, at + 1, depth)?,
            b'(' => break,
            _ => unit(script, at, depth)?,
        };
    }
    Ok(at)
}

/// End of one unit of a word: an escape, a quoted part, an expansion with all that is in it, or a letter.
pub(super) fn unit(script: &str, at: usize, depth: u32) -> Result<usize, Torn> {
    let next = |start: usize| start + script[start..].chars().next().map_or(0, char::len_utf8);
    match &script.as_bytes()[at..] {
        [b'\\', ..] => Ok(next(at + 1)),
        [b'\'', ..] => match script[at + 1..].find('\'') {
            Some(end) => Ok(at + 1 + end + 1),
            None => Err(torn("opens a quote that is never closed", at)),
        },
        [b'$', b'(', b'(', ..] => arithmetic(script, at + 1).or_else(|_| nested(script, at + 2, depth)),
        [b'$', b'(', ..] => nested(script, at + 2, depth),
        [b'$', b'{', ..] => closed(script, at, at + 2, b'}', depth),
        [b'$', b'\'', ..] => {
            let mut end = at + 2;
            while let Some(byte) = script.as_bytes().get(end) {
                match byte {
                    b'\'' => return Ok(end + 1),
                    b'\\' => end = next(end + 1),
                    _ => end = next(end),
                }
            }
            Err(torn("opens a quote that is never closed", at))
        }
        [quote @ (b'"' | b'`'), ..] => closed(script, at, at + 1, *quote, depth),
        _ => Ok(next(at)),
    }
}

/// What of a word stands outside of quotes; of an expansion, its first letter.
pub(super) fn bare(word: &str) -> String {
    let (mut out, mut at) = (String::new(), 0);
    while let Some(letter) = word[at..].chars().next() {
        if !matches!(letter, '"' | '\'' | '\\') {
            out.push(letter);
        }
        at = unit(word, at, 0).unwrap_or(word.len());
    }
    out
}

/// Commands that run when a text is replaced, each with what stands before its bracket (`$`, `` ` ``, `<`, `>`) and how many lines
/// end before it. `quoted` is whether the text is one of double quotes, as a here-document is.
pub(super) fn substitutions(text: &str, quoted: bool) -> Vec<(char, String, u32)> {
    let (mut found, mut at, mut double) = (Vec::new(), 0, quoted);
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let next = at + letter.len_utf8();
        let inside = |from: usize, end: usize| text.get(from..end - 1).unwrap_or_default().to_owned();
        let end = match letter {
            '"' if !quoted => {
                double = !double;
                None
            }
            '\\' => unit(text, at, 0).ok(),
            '\'' if !double => unit(text, at, 0).ok(),
            '$' if rest.starts_with("$'") && !double => unit(text, at, 0).ok(),
            '$' if rest.starts_with("$((") && arithmetic(text, at + 1).is_ok() => Some(at + 3),
            '$' if rest.starts_with("$(") => unit(text, at, 0).ok().inspect(|end| {
                found.push(('$', inside(at + 2, *end), newlines(&text[..at])));
            }),
            '`' => unit(text, at, 0).ok().inspect(|end| {
                let escaped = inside(at + 1, *end);
                let script = escaped.replace("\\`", "`").replace("\\$", "$").replace("\\\\", "\\");
                found.push(('`', script, newlines(&text[..at])));
            }),
            '<' | '>' if !double && rest[1..].starts_with('(') => nested(text, at + 2, 0).ok().inspect(|end| {
                found.push((letter, inside(at + 2, *end), newlines(&text[..at])));
            }),
            _ => None,
        };
        at = end.unwrap_or(next);
    }
    found
}

/// End of what a byte closes, with quotes and brackets inside.
fn closed(script: &str, opened: usize, start: usize, end: u8, depth: u32) -> Result<usize, Torn> {
    if depth > DEEPEST {
        return Err(torn("has more brackets in one another than this program follows", opened));
    }
    let mut at = start;
    while let Some(byte) = script.as_bytes().get(at) {
        if *byte == end {
            return Ok(at + 1);
        }
        at = match byte {
            // A quote is a letter inside of double quotes; what is inside of backquotes is looked at by nobody.
            b'\'' if end == b'"' => at + 1,
            b'"' | b'\'' | b'$' if end == b'`' => at + 1,
            _ => unit(script, at, depth + 1)?,
        };
    }
    Err(torn(
        if end == b'}' { "opens a bracket that is never closed" } else { "opens a quote that is never closed" },
        opened,
    ))
}

/// End of `$(…)` whose inside starts here.
fn nested(script: &str, start: usize, depth: u32) -> Result<usize, Torn> {
    if depth > DEEPEST {
        return Err(torn("has more brackets in one another than this program follows", start));
    }
    let mut lexer = Lexer {
        script,
        at: start,
        depth: depth + 1,
        tokens: Vec::new(),
        announced: Vec::new(),
        last_word: 0,
        counted: (0, 0),
    };
    lexer.read(true)?;
    Ok(lexer.at + 1)
}

/// End of `((…))` at an offset.
fn arithmetic(script: &str, start: usize) -> Result<usize, Torn> {
    let mut open = 0_u32;
    for (at, byte) in script.bytes().enumerate().skip(start).take(LONGEST_SUM) {
        match byte {
            b'(' => open += 1,
            b')' if open == 2 && script.as_bytes().get(at + 1) != Some(&b')') => break,
            b')' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return Ok(at + 1);
        }
    }
    Err(torn("opens a bracket that is never closed", start))
}
