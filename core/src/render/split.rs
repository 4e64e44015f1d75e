//! Cuts a stream at its `---` lines, without touching a byte.
//!
//! A separator is a line that is `---` from its first column, and after it only blanks or a comment. Indented text
//! (block scalars) never is. A line that starts with `---` and goes on is refused: Helm 3 cuts right there
//! (`(?:^|\s*\n)---\s*`), kubectl drops the rest of the line, YAML reads a key or a value.

use std::ops::Range;

use memchr::memchr_iter;

use super::RenderError;

/// The text between two separators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Bytes in the stream.
    pub range: Range<usize>,
    /// Line of its first byte, from 1.
    pub line: u32,
}

/// Cuts `text`; chunks are in order and may be blank or hold comments only. A byte order mark belongs to none.
///
/// # Errors
/// [`RenderError::Separator`].
pub(super) fn split(text: &str) -> Result<Vec<Chunk>, RenderError> {
    let mut chunks = Vec::new();
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let (mut start, mut start_line) = (bom, 1);
    let mut at = bom;
    let ends = memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
    for (number, end) in (1..).zip(ends.chain([text.len()])) {
        let line = &text[at..end];
        if let Some(rest) = line.strip_prefix("---") {
            let rest = rest.trim_end_matches(['\n', '\r']);
            let blank = rest.trim_start_matches([' ', '\t']);
            let plain = blank.is_empty() || (blank.starts_with('#') && blank.len() < rest.len());
            if !plain {
                let text = line.trim_end().chars().take(40).collect();
                return Err(RenderError::Separator { line: number, text });
            }
            chunks.push(Chunk { range: start..at, line: start_line });
            start = at + line.len();
            start_line = number + 1;
        }
        at = end;
    }
    chunks.push(Chunk { range: start..at, line: start_line });
    Ok(chunks)
}

/// Whether there is nothing but blanks and comments.
pub(super) fn is_void(chunk: &str) -> bool {
    chunk.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    })
}

/// The template Helm 3 names in the comments before the content.
pub(super) fn source(chunk: &str) -> Option<String> {
    leading(chunk).lines().find_map(|line| line.strip_prefix("# Source: ")).map(|path| path.trim().to_owned())
}

/// Comments and blank lines before the content.
pub(super) fn leading(chunk: &str) -> &str {
    let mut end = 0;
    for line in chunk.split_inclusive('\n') {
        let blank = line.trim_start();
        if !blank.is_empty() && !blank.starts_with('#') {
            break;
        }
        end += line.len();
    }
    &chunk[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(&str, u32)> {
        split(text).unwrap().into_iter().map(|c| (&text[c.range], c.line)).collect()
    }

    #[test]
    fn cuts_at_separators_and_nowhere_else() {
        assert_eq!(cut(""), [("", 1)]);
        assert_eq!(cut("a: 1"), [("a: 1", 1)]);
        assert_eq!(cut("---\na: 1\n--- # x\nb: 2\n---"), [("", 1), ("a: 1\n", 2), ("b: 2\n", 4), ("", 6)]);
        assert_eq!(cut("a: 1\r\n---\r\nb: 2\r\n"), [("a: 1\r\n", 1), ("b: 2\r\n", 3)]);
        assert_eq!(cut("a: |\n  ---\n ---\n# ---\n"), [("a: |\n  ---\n ---\n# ---\n", 1)]);
        assert_eq!(cut("\u{feff}---\na: 1"), [("", 1), ("a: 1", 2)]);
        assert_eq!(cut("a: 1\n---\t\n...\n"), [("a: 1\n", 1), ("...\n", 3)]);
    }

    #[test]
    fn refuses_a_separator_that_goes_on() {
        for (text, line) in
            [("a: 1\n--- {b: 1}\n", 2), ("---x: 1\n", 1), ("----\n", 1), ("---#x\n", 1), ("--- !t\n", 1)]
        {
            match split(text) {
                Err(RenderError::Separator { line: found, .. }) => assert_eq!(found, line, "{text}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn finds_the_template_before_the_content_only() {
        assert_eq!(source("# Source: a/b.yaml\na: 1\n").as_deref(), Some("a/b.yaml"));
        assert_eq!(source("\n# x\r\n# Source: a/b.yaml\r\n").as_deref(), Some("a/b.yaml"));
        assert_eq!(source("a: 1\n# Source: a/b.yaml\n"), None);
        assert_eq!(leading("# x\n\na: 1\n# y\n"), "# x\n\n");
        assert!(is_void("# x\n \n") && !is_void("# x\na"));
    }
}
