//! What a condition says, where literals and known variables alone decide.

use super::first_open;
use super::lex::bare;
use super::variables::Variables;

/// Whether something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// Only a run can tell; what it depends on, for a sentence.
    Open(String),
}

impl Answer {
    pub(super) fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, other) => other,
            (open, _) => open,
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            open => open,
        }
    }
}

/// The answer of `[ … ]`, `test …` or `[[ … ]]`; none of another command.
pub(super) fn answer(words: &[String], variables: &mut Variables, line: u32) -> Option<Answer> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let open = format!("a condition ({}:{line})", variables.file);
    match words.as_slice() {
        ["[", inside @ .., "]"] | ["test", inside @ ..] => {
            let expanded: Vec<String> = inside.iter().flat_map(|word| variables.words(word, line)).collect();
            Some(test(&expanded, &open))
        }
        ["[[", inside @ .., "]]"] => {
            if inside.iter().any(|word| glued(word)) {
                return Some(Answer::Open(open));
            }
            let mut any = Answer::No;
            for alternative in inside.split(|word| *word == "||") {
                let mut all = Answer::Yes;
                for comparison in alternative.split(|word| *word == "&&") {
                    all = all.and(double(comparison, variables, line, &open));
                }
                any = any.or(all);
            }
            Some(any)
        }
        _ => None,
    }
}

/// `[ … ]`, by how many words are there: comparisons with `-a` and, weaker, `-o` between them.
fn test(words: &[String], open: &str) -> Answer {
    let mut any = Answer::No;
    if words.len() <= 3 {
        return compare(&words.iter().map(String::as_str).collect::<Vec<_>>(), open);
    }
    if words.iter().any(|word| matches!(word.as_str(), "(" | ")")) {
        return Answer::Open(open.to_owned());
    }
    for alternative in words.split(|word| word == "-o") {
        let mut all = Answer::Yes;
        for comparison in alternative.split(|word| word == "-a") {
            let comparison: Vec<&str> = comparison.iter().map(String::as_str).collect();
            all = all.and(compare(&comparison, open));
        }
        any = any.or(all);
    }
    any
}

/// One comparison of `[[ … ]]`, where nothing is split and the right side of `==` is a pattern unless it is quoted.
fn double(words: &[&str], variables: &mut Variables, line: u32, open: &str) -> Answer {
    let not = words.iter().take_while(|word| **word == "!").count();
    if let [_, "==" | "=" | "!=", right] = &words[not..]
        && bare(right).contains(['*', '?', '[', '$', '`'])
    {
        return Answer::Open(open.to_owned());
    }
    let expanded: Vec<String> = words.iter().map(|word| variables.word(word, line)).collect();
    compare(&expanded.iter().map(String::as_str).collect::<Vec<_>>(), open)
}

/// Whether brackets or operators stand in a word of `[[ … ]]`, with other things or alone.
fn glued(word: &str) -> bool {
    let bare = bare(word);
    bare.contains(['(', ')']) || !matches!(word, "&&" | "||") && bare.contains(['&', '|'])
}

fn compare(words: &[&str], otherwise: &str) -> Answer {
    let open = || Answer::Open(otherwise.to_owned());
    if let Some(told) = words.iter().find_map(|word| first_open(word)) {
        return Answer::Open(told);
    }
    match words {
        [] => Answer::No,
        [word] => Answer::of(!word.is_empty()),
        ["!", rest @ ..] => compare(rest, otherwise).not(),
        ["-n", word] => Answer::of(!word.is_empty()),
        ["-z", word] => Answer::of(word.is_empty()),
        [left, "=" | "==", right] => Answer::of(left == right),
        [left, "!=", right] => Answer::of(left != right),
        [left, operator @ ("-eq" | "-ne" | "-gt" | "-ge" | "-lt" | "-le"), right] => {
            let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) else { return open() };
            Answer::of(match *operator {
                "-eq" => left == right,
                "-ne" => left != right,
                "-gt" => left > right,
                "-ge" => left >= right,
                "-lt" => left < right,
                _ => left <= right,
            })
        }
        _ => open(),
    }
}
