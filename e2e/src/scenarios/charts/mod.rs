//! Every chart at hand, with the values that the program prints for it, rendered by real helm 3 and 4 and post-rendered.
//!
//! No control plane: helm, the binary, and facts of the pretend cluster in a file. [`oracle`] says of the rendered text alone whether
//! it chains, audits and keeps out of ranges in use; [`minimal`] that each value is read by its chart and that
//! the version table tells the truth about it; [`facts`] are the cluster before and after Kube-OVN has handed over.

mod facts;
mod minimal;
mod oracle;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use super::spine::{Helm, Program, temporary, write};
use crate::rendered::cilium_config;
use crate::{
    error::{Error, Result},
    fixture::shared_dir,
    tools::Tools,
    verdict::{Tests, expect},
};

pub(super) const SCENARIO: super::Scenario = super::Scenario {
    name: "charts",
    about: "values for every chart at hand, rendered by helm 3 and 4 and post-rendered; no control plane",
    play: super::Play::OnLoopback(play),
};

const HELMS: [Helm; 2] = [Helm::Three, Helm::Four];

/// What all tests share.
struct Stage<'a> {
    program: &'a Program,
    dir: &'a TempDir,
}

/// A packed chart.
struct Chart {
    version: String,
    minor: u64,
    file: PathBuf,
}

impl Chart {
    /// Layouts that this chart can have, as the documents of Cilium say: since 1.14 the agent writes any file.
    fn layouts(&self) -> &'static [&'static str] {
        if self.minor >= 14 { &["beside", "guide"] } else { &["guide"] }
    }
}

fn play(tools: &Tools, tests: &mut Tests<'_>) {
    let Some(program) = tests.run("builds_the_program", || Program::build(tools)) else { return };
    let Some(dir) = tests.run("has_a_directory", temporary) else { return };
    let stage = Stage { program: &program, dir: &dir };
    let Some(charts) = tests.run("has_charts", || charts(&stage)) else { return };
    if tests.run("writes_facts", || facts::write_all(dir.path())).is_none() {
        return;
    }
    tests.run("guide_has_its_config_map", || config_map(&stage));
    tests.run("bad_input_is_told", || refusals(&stage));
    for chart in &charts {
        let name = chart.version.replace(['.', '-'], "_");
        for layout in chart.layouts() {
            for settled in [false, true] {
                let mode = if settled { "settled" } else { "audited" };
                tests.run(&format!("{name}_{layout}_{mode}"), || passes(&stage, chart, layout, settled));
            }
            tests.run(&format!("{name}_{layout}_is_minimal"), || minimal::each_value_counts(&stage, chart, layout));
            tests.run(&format!("{name}_{layout}_enforcing_unmanaged_pods_is_denied"), || denied(&stage, chart, layout));
        }
        tests.run(&format!("{name}_reads_what_the_table_says"), || minimal::table_is_true(&stage, chart));
    }
}

/// Published packages, else the project's own small chart.
fn charts(stage: &Stage<'_>) -> Result<Vec<Chart>> {
    let mut found = Vec::new();
    if let Some(dir) = shared_dir().map(|dir| dir.join("charts")).filter(|dir| dir.is_dir()) {
        for entry in fs::read_dir(&dir).map_err(Error::io("read", &dir))? {
            let file = entry.map_err(Error::io("read", &dir))?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(version) = name.strip_prefix("cilium-").and_then(|rest| rest.strip_suffix(".tgz")) {
                found.push(chart(version, file.clone()));
            }
        }
    }
    if found.is_empty() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("chart/cilium");
        let (source, target) = (source.to_string_lossy(), stage.dir.path().to_string_lossy());
        let version = "1.18.99";
        let args = ["package", &source, "--version", version, "--app-version", version, "--destination", &target];
        stage.program.plain_helm(Helm::Three, &args).run()?.ended_with(&[0])?;
        found.push(chart(version, stage.dir.path().join(format!("cilium-{version}.tgz"))));
    }
    found.sort_by_key(|chart| chart.minor);
    Ok(found)
}

fn chart(version: &str, file: PathBuf) -> Chart {
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default();
    Chart { version: version.to_owned(), minor, file }
}

/// Runs `values` for a chart; what it printed.
fn values(stage: &Stage<'_>, chart: &Chart, layout: &str, more: &[&str]) -> Result<String> {
    let (file, facts) = (chart.file.to_string_lossy(), facts::before(stage.dir.path(), layout));
    let facts = facts.to_string_lossy();
    let args = ["values", "--chart", &file, "--facts", &facts, "--layout", layout];
    let output = stage.program.kubectl(Path::new("/dev/null"), &[&args, more].concat()).run()?.ended_with(&[0])?;
    Ok(output.stdout())
}

/// Renders with helm alone.
fn render(stage: &Stage<'_>, helm: Helm, chart: &Chart, values: &Path, more: &[&str]) -> Result<String> {
    let (file, values) = (chart.file.to_string_lossy(), values.to_string_lossy());
    let args = ["template", "cilium", &file, "-n", "kube-system", "-f", &values];
    Ok(stage.program.plain_helm(helm, &[&args, more].concat()).run()?.ended_with(&[0])?.stdout())
}

/// The values of one chart and layout, all the way.
fn passes(stage: &Stage<'_>, chart: &Chart, layout: &str, settled: bool) -> Result<()> {
    let printed = values(stage, chart, layout, if settled { &["--settled"] } else { &[] })?;
    every_key_has_a_reason(&printed)?;
    let file = stage.dir.path().join(format!("{}-{layout}-{settled}.yaml", chart.version));
    write(&file, &printed)?;
    for helm in HELMS {
        let rendered = render(stage, helm, chart, &file, &[])?;
        let config = cilium_config(&rendered);
        oracle::chains(&config)?;
        oracle::audits(&config, !settled)?;
        oracle::keeps_out(&config, &facts::ranges(stage.dir.path())?)?;
        oracle::writes(&config, layout)?;
        let (chart_file, values) = (chart.file.to_string_lossy(), file.to_string_lossy());
        let args = ["template", "cilium", &chart_file, "-n", "kube-system", "-f", &values];
        let facts = format!("--facts={}", facts::after(stage.dir.path(), layout, settled).display());
        for judged_by in ["--offline", &facts] {
            let output = stage.program.helm(helm, &args, &[judged_by]).run()?.ended_with(&[0])?;
            let passed = cilium_config(&output.stdout());
            expect(passed == config, || format!("{} {judged_by}: cilium-config was changed", helm.name()))?;
        }
    }
    Ok(())
}

/// Settled values while pods have no endpoint and a policy exists.
fn denied(stage: &Stage<'_>, chart: &Chart, layout: &str) -> Result<()> {
    let file = stage.dir.path().join(format!("{}-{layout}-true.yaml", chart.version));
    let (chart_file, values) = (chart.file.to_string_lossy(), file.to_string_lossy());
    let args = ["template", "cilium", &chart_file, "-n", "kube-system", "-f", &values];
    let facts = format!("--facts={}", facts::after(stage.dir.path(), layout, false).display());
    for helm in HELMS {
        let output = stage.program.helm(helm, &args, &[&facts]).run()?;
        expect(output.code.is_some_and(|code| code != 0), || format!("{} agreed\n{}", helm.name(), output.said()))?;
        output.names(&["policyAuditMode=true"])?;
    }
    Ok(())
}

/// Above each line with a value stands a comment.
fn every_key_has_a_reason(yaml: &str) -> Result<()> {
    let lines: Vec<&str> = yaml.lines().collect();
    for pair in lines.windows(2) {
        let is_value = pair[1].trim_start().split_once(": ").is_some() && !pair[1].trim_start().starts_with('#');
        expect(!is_value || pair[0].trim_start().starts_with("# "), || format!("no reason above `{}`", pair[1]))?;
    }
    expect(lines.len() > 40, || format!("only {} lines:\n{yaml}", lines.len()))
}

/// The ConfigMap of layout guide is Kube-OVN's file with one more plugin, under the name that each Cilium goes by.
fn config_map(stage: &Stage<'_>) -> Result<()> {
    let facts = facts::before(stage.dir.path(), "guide");
    let facts = facts.to_string_lossy();
    for (version, network, mode) in [("1.13.18", "generic-veth", None), ("1.20.0", "kube-ovn", Some("generic-veth"))] {
        let args = ["values", "--cilium-version", version, "--facts", &facts, "--layout", "guide", "--config-map"];
        let output = stage.program.kubectl(Path::new("/dev/null"), &args).run()?.ended_with(&[0])?;
        let map: Value = serde_yaml::from_str(&output.stdout())
            .map_err(|source| Error::Yaml { file: "the ConfigMap".into(), source })?;
        let text = map["data"]["cni-config"].as_str().unwrap_or_default();
        let conflist: Value = serde_json::from_str(text).map_err(Error::json("the conflist of the ConfigMap"))?;
        let kinds: Vec<_> =
            conflist["plugins"].as_array().into_iter().flatten().map(|plugin| &plugin["type"]).collect();
        expect(kinds == ["kube-ovn", "portmap", "cilium-cni"], || format!("{version}: plugins {kinds:?}"))?;
        expect(conflist["name"] == network, || format!("{version}: the network is called {}", conflist["name"]))?;
        let said = conflist["plugins"][2]["chaining-mode"].as_str();
        expect(said == mode, || format!("{version}: chaining-mode {said:?}"))?;
    }
    Ok(())
}

/// Wrong input: exit code and the words that help.
fn refusals(stage: &Stage<'_>) -> Result<()> {
    let dir = stage.dir.path();
    let fine = facts::before(dir, "beside");
    let path = |file: &Path| file.to_string_lossy().into_owned();
    let other = dir.join("other");
    fs::create_dir_all(&other).map_err(Error::io("create", &other))?;
    write(&other.join("Chart.yaml"), "apiVersion: v2\nname: other\nversion: 1.0.0\n")?;
    let (fine, other) = (path(&fine), path(&other));
    let [dual, crowded, unknown, replaced, old] =
        ["dual", "crowded", "unknown", "replaced", "old"].map(|name| path(&facts::file(dir, name)));
    let cases: [(&[&str], i32, &[&str]); 13] = [
        (&["--facts", &fine], 2, &["no chart was named", "--cilium-version"]),
        (&["--facts", &fine, "--chart", "/nowhere.tgz"], 2, &["/nowhere.tgz", "hint"]),
        (&["--facts", &fine, "--chart", &other], 2, &["`other`, not `cilium`"]),
        (&["--facts", &fine, "--cilium-version", "1.9.18"], 2, &["1.9.18", "1.10 to 1.20"]),
        (&["--facts", &fine, "--cilium-version", "1.13.18", "--layout", "beside"], 2, &["--layout guide"]),
        (&["--facts", &fine, "--cilium-version", "1.20.0", "--cluster-pool", "10.0.0.0/8"], 2, &["10.16.0.0/16"]),
        (&["--facts", &fine, "--cilium-version", "1.20.0", "--config-map"], 2, &["--layout guide"]),
        (&["--facts", &dual, "--cilium-version", "1.20.0"], 3, &["only IPv4", "ovn-default (Dual)"]),
        (&["--facts", &crowded, "--cilium-version", "1.20.0"], 2, &["--cluster-pool CIDR"]),
        (&["--facts", &unknown, "--cilium-version", "1.20.0"], 4, &["addresses is unknown"]),
        (&["--facts", &replaced, "--cilium-version", "1.20.0"], 2, &["--api-server HOST:PORT"]),
        (&["--facts", &old, "--cilium-version", "1.10.5"], 3, &["layout guide does not last", "v1.9.41"]),
        (&["--cilium-version", "1.20.0"], 2, &["kubeconfig", "--facts FILE"]),
    ];
    for (args, code, words) in cases {
        let all = [&["values"], args].concat();
        // A chart that is a directory is packed by helm.
        let call = stage.program.kubectl(&dir.join("no-kubeconfig"), &all).with_helm(stage.program, Helm::Three);
        let output = call.run()?.ended_with(&[code])?;
        expect(output.stdout.is_empty(), || format!("{args:?} printed values"))?;
        output.names(words)?;
    }
    let args = ["values", "--facts", &fine, "--cilium-version", "1.21.0"];
    let newer = stage.program.kubectl(&dir.join("no-kubeconfig"), &args).run()?.ended_with(&[0])?;
    expect(newer.stdout().contains("1.21.0 is newer than this release knows"), || newer.said())
}
