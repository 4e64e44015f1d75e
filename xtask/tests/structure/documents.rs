//! Documents are true: links resolve, commands exist, messages that say "see …" name a heading that is there.

use std::collections::BTreeSet;

use crate::registered::commands;
use crate::support::{is_test, read, root, walk};

/// Every document of the repository.
fn documents() -> Vec<String> {
    let documents = walk("", "md");
    assert!(documents.len() > 10, "the documents are not found: mend this test");
    documents
}

/// Every source of what is shipped.
fn sources() -> Vec<String> {
    walk("", "rs").into_iter().filter(|path| !is_test(path)).collect()
}

#[test]
fn every_link_of_a_document_resolves() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read(&document);
        let folder = root().join(&document).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, whole) = if path.is_empty() {
                (root().join(&document), document.clone())
            } else {
                (folder.join(path), path.to_owned())
            };
            if !file.exists() {
                broken.push(format!("{document}: there is no {target}"));
            } else if !anchor.is_empty() && !headings(&std::fs::read_to_string(&file).unwrap()).contains(anchor) {
                broken.push(format!("{document}: {whole} has no heading #{anchor}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Anchors of a document's headings.
fn headings(text: &str) -> BTreeSet<String> {
    titles(text)
        .map(|title| {
            let kept = title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

fn titles(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim())
}

#[test]
fn every_document_that_a_message_names_is_there_with_its_heading() {
    let mut broken = Vec::new();
    for source in sources() {
        let text = read(&source);
        for rest in text.split("docs/").skip(1) {
            let Some((name, rest)) = rest.split_once(".md") else { continue };
            if !name
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '/'))
            {
                continue;
            }
            let path = format!("docs/{name}.md");
            if !root().join(&path).is_file() {
                broken.push(format!("{source}: there is no {path}"));
                continue;
            }
            // `docs/runbook.md, \"A damaged journal\"`
            if let Some(heading) = rest.strip_prefix(", \\\"").and_then(|rest| rest.split("\\\"").next())
                && !titles(&read(&path)).any(|title| title == heading)
            {
                broken.push(format!("{source}: {path} has no heading \"{heading}\""));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_command_that_is_named_exists() {
    let known = commands();
    let mut broken = Vec::new();
    for path in documents().into_iter().chain(sources()) {
        for rest in read(&path).split("kubectl ovncilium ").skip(1) {
            let word: String =
                rest.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '-').collect();
            let is_command = !word.is_empty() && !word.starts_with('-') && word != "help";
            if is_command && !known.contains(&word) {
                broken.push(format!("{path}: `kubectl ovncilium {word}`"));
            }
        }
    }
    assert!(broken.is_empty(), "these commands are not offered:\n{}", broken.join("\n"));
}

#[test]
fn every_exit_code_is_in_the_runbook() {
    let runbook = read("docs/runbook.md");
    for code in ovncilium_core::ExitCode::ALL {
        let row = format!("| {} |", code as u8);
        assert!(runbook.lines().any(|line| line.starts_with(&row)), "docs/runbook.md has no row `{row}`");
    }
}
