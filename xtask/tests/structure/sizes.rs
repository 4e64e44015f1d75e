//! No file grows past what one can hold in the head.

use crate::support::{is_test, read, walk, without_tests};

const LIMIT: usize = 600;

#[test]
fn no_source_is_longer_than_600_lines_without_its_tests() {
    let sources = walk("", "rs");
    assert!(sources.len() > 100, "the sources are not found: mend this test");
    let long: Vec<String> = sources
        .iter()
        .filter(|path| !is_test(path))
        .map(|path| (path, without_tests(&read(path)).lines().count()))
        .filter(|(_, lines)| *lines > LIMIT)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "split these:\n{}", long.join("\n"));
}
