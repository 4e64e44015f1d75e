//! Walking the repository and reading its sources as text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> String {
    let whole = root().join(path);
    fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder that ends in `.extension`, as a path from the root; build output and hidden folders apart.
pub(crate) fn walk(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// Names of the files of one folder with this extension, without it.
pub(crate) fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    entries(folder)
        .iter()
        .filter(|path| path.is_file() && path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

/// Names of the folders in a folder.
pub(crate) fn folders(folder: &str) -> BTreeSet<String> {
    entries(folder)
        .iter()
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let listing = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    listing.map(|entry| entry.unwrap().path()).collect()
}

/// `set` without `names`, each of which must be in it: an exception that is gone must leave the list too.
pub(crate) fn without(mut set: BTreeSet<String>, names: &[&str]) -> BTreeSet<String> {
    for name in names {
        assert!(set.remove(*name), "`{name}` is an exception of this test and does not exist");
    }
    set
}

/// The text from `start` to the first `end` behind it, both included.
pub(crate) fn block<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let from = text.find(start).unwrap_or_else(|| panic!("`{start}` is not there any more: mend this test"));
    let length = text[from..].find(end).unwrap_or_else(|| panic!("`{start}` has no end `{end}`: mend this test"));
    &text[from..from + length + end.len()]
}

/// Every text in double quotes that follows `before`.
pub(crate) fn quoted_after(text: &str, before: &str) -> BTreeSet<String> {
    text.split(before).skip(1).filter_map(|rest| rest.strip_prefix('"')?.split('"').next()).map(str::to_owned).collect()
}

/// `AwaitAgent` as `await-agent`.
pub(crate) fn kebab(variant: &str) -> String {
    let mut name = String::new();
    for (index, letter) in variant.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// A file name as a kebab-case id.
pub(crate) fn id(stem: &str) -> String {
    stem.replace('_', "-")
}

/// A source without its unit tests, which stand at its end in `mod tests`.
pub(crate) fn without_tests(source: &str) -> &str {
    source.find("#[cfg(test)]\nmod tests {").map_or(source, |at| &source[..at])
}

/// Whether a path is of a test and not of what is shipped.
pub(crate) fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}
