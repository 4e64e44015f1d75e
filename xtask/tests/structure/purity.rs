//! Deciding crates do no I/O and know no time but what they are given.

use crate::support::{is_test, read, walk, without_tests};

const DECIDING: [&str; 2] = ["core/src", "engine/src"];

/// What must not be written in them, and what to use instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "the binary reads files"),
    ("std::process", "cluster/ runs tools"),
    ("std::thread", "one thread goes through a plan"),
    ("std::env::", "the binary reads the environment"),
    ("SystemTime::now", "trait Clock"),
    ("Instant::now", "trait Clock"),
    ("Timestamp::now", "trait Clock, or a parameter"),
    ("Zoned::now", "trait Clock, or a parameter"),
    ("std::net::Tcp", "trait Cluster"),
    ("std::net::Udp", "trait Cluster"),
    ("std::net::ToSocketAddrs", "trait Cluster"),
    ("std::os::", "cluster/ knows the machine"),
];

/// The forbidden words in a source, by what they break. Addresses (`std::net::IpAddr`) are values and no I/O.
fn found(source: &str) -> Vec<String> {
    let code: String = without_tests(source).lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    // `use std::{fs, process::Command}` says the same as `use std::fs`.
    let packed: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let mut words: Vec<String> = FORBIDDEN
        .iter()
        .filter(|(word, _)| packed.contains(word))
        .map(|(word, instead)| format!("{word} ({instead})"))
        .collect();
    for group in packed.split("std::{").skip(1) {
        let group = group.split(';').next().unwrap_or_default();
        for name in ["fs", "process", "thread", "env", "os"] {
            let member = |before: &str| ["{", ","].iter().any(|end| before.ends_with(end)) || before.is_empty();
            if group.match_indices(name).any(|(at, _)| {
                member(&group[..at])
                    && !group[at + name.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
            }) {
                words.push(format!("std::{name} in a group"));
            }
        }
    }
    words
}

#[test]
fn deciding_crates_touch_nothing_and_read_no_clock() {
    let mut broken = Vec::new();
    for folder in DECIDING {
        let sources = walk(folder, "rs");
        assert!(sources.len() > 20, "{folder} is not where the sources are: mend this test");
        for path in sources.iter().filter(|path| !is_test(path)) {
            broken.extend(found(&read(path)).into_iter().map(|word| format!("{path}: {word}")));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_search_finds_each_way_to_write_it() {
    for source in [
        "use std::fs;",
        "let t = jiff::Timestamp::now();",
        "use std::{\n    collections::BTreeMap,\n    fs,\n};",
        "use std::{fs::File, io};",
        "use std::{io, process::Command};",
        "let s = std :: net :: TcpStream::connect(a);",
    ] {
        assert!(!found(source).is_empty(), "not found in: {source}");
    }
    for source in [
        "// std::fs is not used here",
        "use std::{fmt, io};",
        "let a: std::net::IpAddr = x;",
        "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}",
    ] {
        assert_eq!(found(source), Vec::<String>::new(), "{source}");
    }
}
