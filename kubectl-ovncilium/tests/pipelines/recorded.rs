//! Every recorded stream of real charts: the gate of the post-renderer, and lines that hold.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Folder, shared};

fn streams(folder: &Path) -> Vec<PathBuf> {
    let versions = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = versions.flat_map(|version| std::fs::read_dir(version).unwrap().map(|entry| entry.unwrap().path()));
    let mut streams: Vec<PathBuf> = files.filter(|file| !file.ends_with("values.yaml")).collect();
    streams.retain(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.ends_with(".helm3.yaml") || name.ends_with(".helm4.yaml")
    });
    streams.sort();
    streams
}

/// Line of a key below `/data` of `cilium-config`, or of `data:` when the key is not there, or of the document's first line with content:
/// by the eye, from indentation alone, without a YAML reader.
fn look_up(text: &str, pointer: Option<&str>) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let name = lines.iter().position(|line| *line == "  name: cilium-config").unwrap();
    let start = lines[..name].iter().rposition(|line| *line == "---").map_or(0, |at| at + 1);
    let end = lines[name..].iter().position(|line| *line == "---").map_or(lines.len(), |at| name + at);
    let first = |wanted: &dyn Fn(&str) -> bool| (start..end).find(|at| wanted(lines[*at])).map(|at| at + 1);
    // Of a key that is written twice the last one counts.
    let last = |wanted: &dyn Fn(&str) -> bool| (start..end).rfind(|at| wanted(lines[*at])).map(|at| at + 1);
    let content = || first(&|line| !line.is_empty() && !line.starts_with('#')).unwrap();
    let Some(pointer) = pointer else { return content() };
    let key = pointer.strip_prefix("/data/").unwrap();
    last(&|line| line.starts_with(&format!("  {key}:"))).or_else(|| first(&|line| line == "data:")).unwrap()
}

#[test]
fn recorded_streams_get_the_gate_of_the_post_renderer_and_every_line_is_that_of_the_key() {
    let Some(folder) = shared("fixtures/cilium") else { return };
    let here = Folder::new(&[]);
    let (mut findings, mut denied) = (0, 0);
    let streams = streams(&folder);
    for stream in &streams {
        let text = std::fs::read_to_string(stream).unwrap();
        let name = stream.canonicalize().unwrap().display().to_string();
        let post = here.run_with(&["post-render", "--offline"], text.as_bytes(), &[]);
        let lint = here.run(&["lint", "-o", "json", "-f", &name]);
        assert_eq!(post.code, lint.code, "{name}: {}", post.stderr);
        denied += i32::from(lint.code == 3);
        let report = lint.json();
        for finding in report["findings"].as_array().unwrap() {
            // What does not apply to a stream is about no line of it.
            if finding["verdict"] == "skip" {
                assert!(finding["line"].is_null() && finding["pointer"].is_null(), "{name}: {finding}");
                continue;
            }
            let line = look_up(&text, finding["pointer"].as_str());
            assert_eq!(finding["line"], line, "{name}: {finding}");
            assert_eq!(finding["file"], Value::from(name.as_str()));
            findings += 1;
        }
    }
    assert!(streams.len() >= 40 && denied >= 10 && findings >= 400, "{} {denied} {findings}", streams.len());
    eprintln!("{} recorded streams, {denied} denied, {findings} findings", streams.len());
}
