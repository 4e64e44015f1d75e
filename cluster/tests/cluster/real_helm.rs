//! Real helms with real charts, where there are some: `OVNCILIUM_HELM3`, `OVNCILIUM_HELM4` or `helm` on PATH; charts in
//! `$OVNCILIUM_SHARED/charts` or `../shared/charts` beside the repository, else a chart of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use ovncilium_cluster::{ChartSource, HelmCli, HelmOptions};
use ovncilium_engine::world::{Charts, ChartsError};
use serde_json::json;

/// helms of this machine; prints a line for each that is not there.
pub(crate) fn helms() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in ["OVNCILIUM_HELM3", "OVNCILIUM_HELM4"] {
        match std::env::var_os(name) {
            Some(path) => found.push(PathBuf::from(path)),
            None => println!("skipped: {name} is not set"),
        }
    }
    if found.is_empty() {
        match which::which("helm") {
            Ok(path) => found.push(path),
            Err(_) => println!("skipped: there is no helm on PATH"),
        }
    }
    found
}

/// A published chart of Cilium.
pub(crate) fn chart(version: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("OVNCILIUM_SHARED").map_or(beside, PathBuf::from);
    let path = shared.join(format!("charts/cilium-{version}.tgz"));
    if !path.is_file() {
        println!("skipped: there is no chart of Cilium {version} at hand");
        return None;
    }
    Some(path)
}

pub(crate) fn with(helm: &Path, source: ChartSource) -> HelmOptions {
    let mut options = HelmOptions::new(source);
    options.helm = Some(helm.to_owned());
    options
}

/// A chart as a directory with one template.
fn directory(dir: &Path, template: &str) -> PathBuf {
    let chart = dir.join("small");
    fs::create_dir_all(chart.join("templates")).expect("a directory");
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: small\nversion: 1.2.3\n").expect("a file");
    fs::write(chart.join("values.yaml"), "a: 1\n").expect("a file");
    fs::write(chart.join("templates/x.yaml"), template).expect("a file");
    chart
}

#[test]
fn renders_published_charts_with_the_values_given() {
    for helm in helms() {
        for version in ["1.14.19", "1.18.12", "1.20.0"] {
            let Some(path) = chart(version) else { continue };
            let mut options = with(&helm, ChartSource::at(&path.display().to_string()));
            options.kube_version = Some("v1.34.1".into());
            let charts = HelmCli::new(options).expect("a helm");
            let reference = charts.chart().expect("a chart");
            assert_eq!((reference.name.as_str(), reference.version.as_str()), ("cilium", version));
            let documents =
                charts.render("cilium", "kube-system", &json!({ "cni": { "chainingMode": "generic-veth" } }));
            let documents = documents.expect("documents");
            assert!(
                documents.contains("cni-chaining-mode: generic-veth")
                    || documents.contains("cni-chaining-mode: \"generic-veth\"")
            );
        }
    }
}

#[test]
fn a_directory_has_one_digest_however_often_it_is_packed_and_travels_as_bytes() {
    for helm in helms() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = directory(
            dir.path(),
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: \"{{ .Values.a }}\"}\n",
        );
        let open = || HelmCli::new(with(&helm, ChartSource::at(&path.display().to_string()))).expect("a helm");
        let (one, other) = (open(), open());
        let reference = one.chart().expect("a chart");
        let touched = fs::File::options().append(true).open(path.join("values.yaml")).expect("a file");
        touched.set_modified(std::time::UNIX_EPOCH).expect("a time");
        assert_eq!(reference, other.chart().expect("a chart"));
        let bytes = one.archive().expect("bytes");
        let source = ChartSource::Archive { location: reference.location.clone(), bytes };
        let travelled = HelmCli::new(with(&helm, source)).expect("a helm");
        assert_eq!(travelled.chart().expect("a chart"), reference);
        let documents = travelled.render("r", "n", &json!({ "a": 7 })).expect("documents");
        assert!(documents.contains("a: \"7\""), "{documents}");
    }
}

#[test]
fn a_chart_that_does_not_render_is_told_in_helms_words() {
    for helm in helms() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = directory(dir.path(), "{{ fail \"set k8sServiceHost\" }}\n");
        let charts = HelmCli::new(with(&helm, ChartSource::at(&path.display().to_string()))).expect("a helm");
        let error = charts.render("r", "n", &json!({})).expect_err("it fails");
        println!("{error}");
        assert!(
            matches!(&error, ChartsError::Failed { command, message } if command == "template" && message.contains("set k8sServiceHost"))
        );
    }
}
