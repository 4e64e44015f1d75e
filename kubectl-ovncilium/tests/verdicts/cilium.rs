//! `policies/verdicts/cilium.tsv`: every chart × case × dialect through the post-renderer.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ovncilium_core::facts::{Facts, Source};
use ovncilium_core::policy::{Evaluation, Severity, Verdict};
use ovncilium_helm_plugin::{Mode, post_render};
use ovncilium_policy_host::{BUILTINS, EvaluateOptions, evaluate};

use crate::judge::{catalog, now};
use crate::program::{run, shared};
use crate::renders::{DIALECTS, HOOK, Render, all};
use crate::table::{Table, cell};

const PATH: &str = "policies/verdicts/cilium.tsv";

fn table() -> Table {
    Table::new(&["version", "case", "dialect"], &["exit", "twice"]).with_policies()
}

#[test]
fn our_own_renders_are_judged_as_the_table_says() {
    let mut found = table();
    for render in all() {
        for dialect in DIALECTS {
            found.push(judged(&render, dialect, render.stream(dialect).as_bytes()));
        }
    }
    found.must_be(PATH, "our own renders", true);
}

#[test]
fn recorded_renders_are_judged_as_the_table_says() {
    let Some(folder) = shared("fixtures/cilium") else { return };
    let mut found = table();
    let mut wrong = Vec::new();
    for render in all() {
        for dialect in DIALECTS {
            let file = folder.join(&render.version).join(format!("{}.{dialect}.yaml", render.case));
            let stream = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            wrong.extend(
                drifted(&render, &String::from_utf8_lossy(&stream)).map(|key| format!("{}: {key}", file.display())),
            );
            found.push(judged(&render, dialect, &stream));
        }
    }
    assert!(wrong.is_empty(), "renders.tsv is not what was recorded:\n{}", wrong.join("\n"));
    found.must_be(PATH, "recorded renders", true);
    let recorded =
        std::fs::read_dir(&folder).unwrap().flat_map(|version| std::fs::read_dir(version.unwrap().path()).unwrap());
    let streams = recorded.filter(|file| {
        let name = file.as_ref().unwrap().file_name().to_string_lossy().into_owned();
        DIALECTS.iter().any(|dialect| name.ends_with(&format!(".{dialect}.yaml")))
    });
    assert_eq!(streams.count(), found.rows().len(), "every recorded stream has its row");
}

/// Runs the binary and the same policies in this process, and holds one to the other.
fn judged(render: &Render, dialect: &str, stream: &[u8]) -> Vec<String> {
    let name = format!("{} {} {dialect}", render.version, render.case);
    let output = run(&["post-render", "--offline"], stream, &[]);
    let evaluation = evaluated(stream);
    assert_eq!(concerns_told(&output.stderr), concerns(&evaluation), "{name}: {}", output.stderr);
    let handed_on = if output.code == 0 { stream } else { &[] };
    assert!(output.stdout == handed_on, "{name}: {} bytes came out of {}", output.stdout.len(), stream.len());
    // By a reading of our own, which knows nothing of policies.
    let chains = chains(&String::from_utf8_lossy(stream));
    assert_eq!(
        output.code,
        if chains { 0 } else { 3 },
        "{name}: by its lines it {} chain",
        if chains { "does" } else { "does not" }
    );
    let twice = told_twice(&output.stderr);
    assert_eq!(twice, written_twice(&String::from_utf8_lossy(stream)), "{name}: {}", output.stderr);
    let twice = if twice.is_empty() { "-".to_owned() } else { twice.join(",") };
    let mut row = vec![render.version.clone(), render.case.clone(), dialect.to_owned(), output.code.to_string(), twice];
    row.extend(BUILTINS.iter().map(|policy| cell(&evaluation, policy)));
    row
}

fn evaluated(stream: &[u8]) -> Evaluation {
    let facts = Facts::unknown(Source::Offline, now(), "documents only (--offline)");
    let kept = RefCell::new(Evaluation::default());
    let ask = |facts: &Arc<Facts>, stream: &ovncilium_core::render::Stream| {
        let evaluation = evaluate(catalog(), facts, Some(stream), &EvaluateOptions::at(now()));
        kept.replace(evaluation.clone());
        evaluation
    };
    post_render(stream, facts, Mode::Offline, &ask);
    kept.into_inner()
}

/// What a person must look at, as `denied chart-chaining/native-routing`, with how often.
fn concerns(evaluation: &Evaluation) -> BTreeMap<String, usize> {
    let mut concerns = BTreeMap::new();
    for finding in evaluation.concerns() {
        let word = match (finding.severity, finding.verdict) {
            (_, Verdict::Unknown) => "unknown",
            (Severity::Error, _) => "denied",
            (Severity::Warning, _) => "warning",
            (Severity::Info, _) => "info",
        };
        *concerns.entry(format!("{word} {}", finding.id())).or_default() += 1;
    }
    concerns
}

/// The same from what the binary wrote: `    denied  chart-chaining/native-routing: Cilium routes natively`.
fn concerns_told(report: &str) -> BTreeMap<String, usize> {
    let mut concerns = BTreeMap::new();
    for line in report.lines() {
        let mut words = line.split_whitespace();
        let (Some(word), Some(id)) = (words.next(), words.next().and_then(|id| id.strip_suffix(':'))) else { continue };
        if ["unknown", "denied", "warning", "info"].contains(&word) && id.contains('/') {
            *concerns.entry(format!("{word} {id}")).or_default() += 1;
        }
    }
    concerns
}

/// Keys of `cilium-config` of which the binary says that they are written twice.
fn told_twice(report: &str) -> Vec<String> {
    let mut told = Vec::new();
    for said in report.split("\n\n").filter(|said| said.contains("a key is written twice")) {
        let at = said.lines().find_map(|line| line.trim().strip_prefix("key ")).unwrap_or_default().trim();
        let key = at.split(' ').next().and_then(|pointer| pointer.strip_prefix("/data/"));
        told.push(key.unwrap_or_else(|| panic!("no key is named: {said}")).to_owned());
    }
    told
}

/// The same by the lines of the stream.
fn written_twice(stream: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let twice = config_lines(stream).into_iter().filter(|(key, _)| !seen.insert(*key));
    twice.map(|(key, _)| key.to_owned()).collect()
}

/// One-line entries of `data` of the ConfigMap `cilium-config`, as text.
fn config_lines(stream: &str) -> Vec<(&str, &str)> {
    let documents = stream.split("---\n").filter(|document| {
        let mut lines = document.lines();
        lines.any(|line| line == "kind: ConfigMap") && document.lines().any(|line| line == "  name: cilium-config")
    });
    let data = documents.flat_map(|document| document.lines().skip_while(|line| *line != "data:").skip(1));
    let entries = data
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#', '-']))?.split_once(':'));
    entries.map(|(key, value)| (key, value.trim())).collect()
}

/// Whether a stream chains, by five rules and nothing but its lines.
fn chains(stream: &str) -> bool {
    // Of a key that is written twice the last one counts.
    let config: BTreeMap<&str, &str> =
        config_lines(stream).into_iter().map(|(key, value)| (key, value.trim_matches(['"', '\'']))).collect();
    let is = |key: &str, value: &str| config.get(key) == Some(&value);
    let native =
        if config.contains_key("routing-mode") { is("routing-mode", "native") } else { is("tunnel", "disabled") };
    let one_family = !is("enable-ipv6", "true") || is("enable-ipv6-masquerade", "false");
    let alone = is("cni-exclusive", "true");
    is("cni-chaining-mode", "generic-veth") && native && is("enable-ipv4-masquerade", "false") && one_family && !alone
}

/// Keys whose text in a recorded stream is not what `renders.tsv` says.
fn drifted(render: &Render, stream: &str) -> impl Iterator<Item = String> {
    let mut recorded = config_lines(stream);
    let words = stream.split(['"', '\n']).filter_map(|word| word.strip_prefix(HOOK)?.strip_prefix('='));
    recorded.extend(words.map(|value| (HOOK, value)));
    let values = |of: &[(&str, &str)], key: &str| {
        let values: Vec<&str> = of.iter().filter(|(name, _)| *name == key).map(|(_, value)| *value).collect();
        values.join(" + ")
    };
    let ours: Vec<(&str, &str)> = render.keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let keys: Vec<&str> = ours.iter().map(|(key, _)| *key).chain(render.absent.iter().map(String::as_str)).collect();
    let pairs: Vec<(String, String, String)> =
        keys.iter().map(|key| ((*key).to_owned(), values(&ours, key), values(&recorded, key))).collect();
    pairs
        .into_iter()
        .filter(|(_, ours, recorded)| ours != recorded)
        .map(|(key, ours, recorded)| format!("{key} is `{recorded}`, not `{ours}`"))
}
