//! Releases that somebody else keeps: the chart is taken out of the release, as Helm stores it there, and packed again.
//!
//! A stored chart is `chart.Chart` as JSON (`pkg/chart/chart.go@v3.21.4`, `pkg/chart/v2/chart.go@v4.2.4`): metadata, templates, values,
//! schema and files, but not the charts it depends on. Such a chart cannot be made again, and is refused.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use ovncilium_engine::world::{ChartsError, Heartbeat, Kept};
use serde_json::Value;

use super::process::{self, Invocation};
use super::record::{Record, RecordError};
use super::{HelmCli, machine, release};

/// What helm's history says of our revisions.
const DESCRIPTION: &str = "ovncilium: switches of kube-ovn-controller, nothing else";

/// The newest revision, unpacked.
struct Stored {
    revision: u32,
    release: Value,
}

impl Stored {
    fn read(helm: &HelmCli, name: &str, namespace: &str) -> Result<Option<Self>, ChartsError> {
        let Some(cluster) = &helm.options.cluster else {
            return Err(failed("history", "no cluster was given"));
        };
        let unread = |error: RecordError| failed("history", &format!("release {namespace}/{name}: {error}"));
        let Some((revision, record)) = Record::newest(cluster, name, namespace).map_err(unread)? else {
            return Ok(None);
        };
        Ok(Some(Self { revision, release: record.unpacked().map_err(unread)? }))
    }

    fn text(&self, pointer: &str) -> String {
        self.release.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn map(&self, pointer: &str) -> Value {
        let found = self.release.pointer(pointer).filter(|value| value.is_object());
        found.cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()))
    }

    fn by_server(&self) -> bool {
        self.text("/apply_method") == "ssa"
    }

    /// The chart as a package.
    fn package(&self) -> Result<Vec<u8>, String> {
        let chart = &self.release["chart"];
        let name = self.text("/chart/metadata/name");
        if name.is_empty() {
            return Err("no chart is stored in it".to_owned());
        }
        let dependencies = chart.pointer("/metadata/dependencies").and_then(Value::as_array);
        if dependencies.is_some_and(|dependencies| !dependencies.is_empty()) {
            return Err(format!("its chart {name} depends on other charts, which Helm does not store"));
        }
        let words = |error: std::io::Error| format!("its chart cannot be packed: {error}");
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut add = |path: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("{name}/{path}"), content).map_err(words)
        };
        // JSON is YAML.
        add("Chart.yaml", chart["metadata"].to_string().as_bytes())?;
        add("values.yaml", self.map("/chart/values").to_string().as_bytes())?;
        if let Some(schema) = chart["schema"].as_str().filter(|schema| !schema.is_empty()) {
            add("values.schema.json", &decoded(schema)?)?;
        }
        for list in ["templates", "files"] {
            for file in chart[list].as_array().into_iter().flatten() {
                let path = file["name"].as_str().unwrap_or_default();
                // An empty file has no data.
                add(path, &decoded(file["data"].as_str().unwrap_or_default())?)?;
            }
        }
        archive.into_inner().and_then(GzEncoder::finish).map_err(words)
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("a file of its chart cannot be read: {error}"))
}

/// See [`ovncilium_engine::world::Charts::kept`].
pub(super) fn kept(helm: &HelmCli, name: &str, namespace: &str) -> Result<Option<Kept>, ChartsError> {
    Ok(Stored::read(helm, name, namespace)?.map(|stored| Kept {
        revision: stored.revision,
        status: stored.text("/info/status"),
        chart: stored.text("/chart/metadata/name"),
        chart_version: stored.text("/chart/metadata/version"),
        values: stored.map("/config"),
        defaults: stored.map("/chart/values"),
        manifest: stored.text("/manifest"),
    }))
}

/// See [`ovncilium_engine::world::Charts::render_kept`].
pub(super) fn render(helm: &HelmCli, name: &str, namespace: &str, values: &Value) -> Result<String, ChartsError> {
    let (invocation, _) = upgrade_of(helm, name, namespace, values)?;
    let output = process::run(&invocation.args(["--dry-run=server", "--output", "json"]))?;
    let release: Value = serde_json::from_slice(&output)
        .map_err(|error| failed("upgrade --dry-run", &format!("its answer cannot be read: {error}")))?;
    let manifest = release["manifest"].as_str().filter(|manifest| !manifest.is_empty());
    manifest.map(str::to_owned).ok_or_else(|| failed("upgrade --dry-run", "it rendered nothing"))
}

/// See [`ovncilium_engine::world::Charts::upgrade_kept`].
pub(super) fn upgrade(
    helm: &HelmCli,
    name: &str,
    namespace: &str,
    values: &Value,
    beat: &mut Heartbeat<'_>,
) -> Result<(), ChartsError> {
    // What the caller has let pass as pending is what our own helm left.
    release::settle_pending(helm, name, namespace, beat)?;
    let (mut invocation, by_server) = upgrade_of(helm, name, namespace, values)?;
    if helm.binary()?.has("--server-side") {
        // As before, so that fields keep their owner. The caller has compared: only the switches differ from what is there, and
        // these are ours now, whoever wrote them last.
        invocation = invocation.args(if by_server {
            ["--server-side=true", "--force-conflicts"].as_slice()
        } else {
            ["--server-side=false"].as_slice()
        });
    } else if by_server {
        return Err(failed(
            "upgrade",
            &format!("release {namespace}/{name} was made by Helm 4: give one with `--helm`"),
        ));
    }
    process::run_with(&invocation.args(["--description", DESCRIPTION]), beat).map(drop)
}

/// `helm upgrade` with the stored chart and these values alone; whether the server applies.
fn upgrade_of(helm: &HelmCli, name: &str, namespace: &str, values: &Value) -> Result<(Invocation, bool), ChartsError> {
    let binary = helm.binary()?;
    if !binary.has("--dry-run=server") {
        return Err(ChartsError::HelmTooOld { found: binary.version.to_string(), minimum: "3.13.0".to_owned() });
    }
    let Some(stored) = Stored::read(helm, name, namespace)? else {
        return Err(failed("upgrade", &format!("release {namespace}/{name} is gone")));
    };
    let package = stored.package().map_err(|why| failed("upgrade", &format!("release {namespace}/{name}: {why}")))?;
    let file: PathBuf = helm.dir.path().join("kept-chart.tgz");
    std::fs::write(&file, package).map_err(|error| machine(&error))?;
    let invocation = helm
        .isolated()?
        .args(["upgrade", name])
        .args([&file])
        .args(["--namespace", namespace, "--values", "-", "--reset-values", "--no-hooks", "--history-max", "0"])
        .args(helm.context())
        .stdin(values.to_string().into_bytes());
    Ok((invocation, stored.by_server()))
}

fn failed(command: &str, message: &str) -> ChartsError {
    ChartsError::Failed { command: command.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use serde_json::json;

    use super::*;

    fn stored(metadata: &Value) -> Stored {
        let file = |name: &str, text: &str| json!({ "name": name, "data": STANDARD.encode(text) });
        Stored {
            revision: 3,
            release: json!({
                "config": { "func": { "ENABLE_NP": true } },
                "chart": {
                    "metadata": metadata,
                    "values": { "func": { "ENABLE_NP": true } },
                    "schema": STANDARD.encode("{}"),
                    "templates": [file("templates/x.yaml", "a: 1\n"), { "name": "templates/empty.yaml", "data": null }],
                    "files": [file("README.md", "read me")],
                },
            }),
        }
    }

    #[test]
    fn a_stored_chart_is_packed_with_all_its_files() {
        let package = stored(&json!({ "name": "kube-ovn", "version": "v1.16.2" })).package().unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(package.as_slice()));
        let files: Vec<(String, String)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect();
        let expected = [
            ("kube-ovn/Chart.yaml", r#"{"name":"kube-ovn","version":"v1.16.2"}"#),
            ("kube-ovn/values.yaml", r#"{"func":{"ENABLE_NP":true}}"#),
            ("kube-ovn/values.schema.json", "{}"),
            ("kube-ovn/templates/x.yaml", "a: 1\n"),
            ("kube-ovn/templates/empty.yaml", ""),
            ("kube-ovn/README.md", "read me"),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        assert_eq!(files, expected);
    }

    #[test]
    fn a_chart_that_helm_does_not_store_wholly_is_refused() {
        let metadata = json!({ "name": "net", "version": "1", "dependencies": [{ "name": "kube-ovn" }] });
        assert!(stored(&metadata).package().unwrap_err().contains("depends on other charts"));
        assert!(stored(&Value::Null).package().unwrap_err().contains("no chart is stored"));
    }

    #[test]
    fn a_file_that_would_leave_the_chart_is_refused() {
        let mut stored = stored(&json!({ "name": "kube-ovn", "version": "1" }));
        stored.release["chart"]["files"][0]["name"] = json!("../../etc/passwd");
        assert!(stored.package().is_err());
    }
}
