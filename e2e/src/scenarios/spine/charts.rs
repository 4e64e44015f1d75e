//! Charts of Cilium: the published packages where they are at hand, else the project's own small one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::program::{Helm, Program, temporary};
use crate::{
    error::{Error, Result},
    fixture::shared_dir,
};

/// A version of the own chart that no table knows.
pub(super) const UNKNOWN: &str = "1.99.0";
/// Versions in which the own chart is packed.
const OWN: [&str; 3] = ["1.18.99", "1.20.99", UNKNOWN];

/// Packed charts by version.
pub(super) struct Charts {
    dir: TempDir,
}

impl Charts {
    /// Packs the own chart.
    ///
    /// # Errors
    /// What helm said.
    pub(super) fn prepare(program: &Program) -> Result<Self> {
        let charts = Self { dir: temporary()? };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("chart/cilium");
        let (source, target) = (source.to_string_lossy(), charts.dir.path().to_string_lossy());
        for version in OWN {
            let args = ["package", &source, "--version", version, "--app-version", version, "--destination", &target];
            program.plain_helm(Helm::Three, &args).run()?.ended_with(&[0])?;
        }
        Ok(charts)
    }

    /// The own chart in one of its versions.
    pub(super) fn own(&self, version: &str) -> PathBuf {
        self.dir.path().join(format!("cilium-{version}.tgz"))
    }

    /// The published package, or the own chart of another version.
    pub(super) fn get(&self, published: &str, own: &str) -> (PathBuf, String) {
        match Self::published(published) {
            Some(file) => (file, published.to_owned()),
            None => (self.own(own), own.to_owned()),
        }
    }

    /// The published package of a version.
    pub(super) fn published(version: &str) -> Option<PathBuf> {
        let file = shared_dir()?.join(format!("charts/cilium-{version}.tgz"));
        file.is_file().then_some(file)
    }
}

/// The values with which a stream was recorded; `None` when there is no record.
pub(super) fn recorded_values(version: &str, case: &str) -> Option<PathBuf> {
    let file = shared_dir()?.join(format!("fixtures/cilium/{version}/{case}.values.yaml"));
    file.is_file().then_some(file)
}

/// Every recorded stream: version, case, the helm that made it, and the file.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn recorded_streams() -> Result<Vec<(String, String, String, PathBuf)>> {
    let Some(root) = shared_dir().map(|dir| dir.join("fixtures/cilium")).filter(|dir| dir.is_dir()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for version in children(&root)? {
        for file in children(&version)? {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let [case, helm @ ("helm3" | "helm4"), "yaml"] = name(&file).split('.').collect::<Vec<_>>()[..] {
                found.push((name(&version), case.to_owned(), helm.to_owned(), file));
            }
        }
    }
    Ok(found)
}

fn children(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(Error::io("read", dir))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::io("read", dir))?;
    paths.sort();
    Ok(paths)
}
