//! Manifests inside an install script, read without running it.
//!
//! Kube-OVN's `install.sh` holds its manifests in here-documents (`cat <<EOF > kube-ovn.yaml`), with variables that it sets at its
//! top (`ENABLE_LB=${ENABLE_LB:-true}`), and gives the files to `kubectl apply`. It is read as if it ran to its end, without
//! arguments and without variables of its caller. In reading order: [`lex`] and [`parse`] make commands of the text, [`variables`]
//! knows values, [`condition`] answers `[ … ]`, [`run`] goes through the commands, [`programs`] and [`kubectl`] know what single ones do
//! with texts ([`flow`]); [`settle`] makes unknown what then is not sure.
//!
//! Nothing is guessed. What only a run can tell (`$(kubectl …)`, a loop, an argument) leaves a mark in the text; a text that may
//! not be applied says on what that depends; a change of objects that is not followed is a doubt about all of them.

mod condition;
mod flow;
mod kubectl;
mod lex;
mod parse;
mod programs;
mod run;
mod settle;
mod variables;

pub(super) use settle::{Case, settle, shape};

use crate::render::Stream;

/// A script that is no shell script, or more than is followed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Line, from 1.
    pub(super) line: u32,
    /// What the line does: `opens a quote that is never closed`.
    pub(super) what: String,
}

/// What a script gives to `kubectl`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Applied {
    /// In order.
    pub(super) pieces: Vec<Piece>,
    /// What changes objects and is not followed, as sentences.
    pub(super) doubts: Vec<String>,
}

/// Manifests that are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The text; what is open stands in marks ([`first_open`]).
    pub(super) text: String,
    /// Line of the script that each line of the text comes from, from 1.
    pub(super) lines: Vec<u32>,
    /// On what it depends whether this text is applied at all.
    pub(super) unless: Option<String>,
}

impl Piece {
    /// The script's line of a line of the text.
    pub(super) fn line(&self, line: u32) -> u32 {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        self.lines.get(index).or(self.lines.last()).copied().unwrap_or(1)
    }

    /// An open value that stands where YAML has more than a value: alone on a line, or so that nothing makes sense of it.
    pub(super) fn hole(&self) -> Option<String> {
        let alone = |line: &&str| {
            let line = line.trim();
            line.starts_with(MARK) && line.ends_with(MARK_END) && line.matches(MARK).count() == 1
        };
        let hole = self.text.lines().find(alone).and_then(first_open);
        hole.or_else(|| first_open(&self.text).filter(|_| Stream::parse(self.text.as_bytes()).is_err()))
    }
}

/// What a script applies. `file` is its name, for what stays open.
///
/// # Errors
/// A quote, a block or a here-document without an end.
pub(super) fn read(file: &str, script: &str) -> Result<Applied, Unreadable> {
    Ok(run::run(file, &parse::parse(script, 1)?))
}

/// Starts the mark of an open value; from the private use area, where no manifest has anything.
const MARK: char = '\u{e000}';
/// Ends it.
const MARK_END: char = '\u{e001}';

/// An open value as it stands in a text, told in words; hexadecimal, so that it means nothing to YAML.
fn mark(told: &str) -> String {
    format!("{MARK}{}{MARK_END}", hex::encode(told))
}

/// A variable in words: `$NAME (install.sh:12)`.
fn named(file: &str, name: &str, line: u32) -> String {
    format!("${name} ({file}:{line})")
}

fn is_open(text: &str) -> bool {
    text.contains(MARK)
}

/// A text with its marks in words; none when it has none.
pub(super) fn told(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        let (mark, more) = after.split_once(MARK_END)?;
        let words = hex::decode(mark).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
        out.push_str(before);
        out.push_str(&words);
        rest = more;
    }
    out.push_str(rest);
    is_open(text).then_some(out)
}

/// What a text leaves open first, in words.
pub(super) fn first_open(text: &str) -> Option<String> {
    let start = text.find(MARK)?;
    let end = text[start..].find(MARK_END)? + start + MARK_END.len_utf8();
    told(&text[start..end])
}
