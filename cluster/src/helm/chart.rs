//! The chart: opened once, digested, and used as exactly those bytes from then on.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ovncilium_core::Digest;
use ovncilium_core::plan::ChartRef;
use ovncilium_engine::world::ChartsError;
use serde::Deserialize;

/// Largest packed chart, in bytes; Cilium's has a quarter of a megabyte.
const PACKED_LIMIT: u64 = 32 << 20;
/// Largest unpacked chart, in bytes.
const UNPACKED_LIMIT: u64 = 256 << 20;

/// Where a chart comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartSource {
    /// A `.tgz` or a directory on this machine, `repo/name`, `oci://…`, or a URL.
    Location {
        /// What the operator gave.
        location: String,
        /// `--version`; the newest when absent.
        version: Option<String>,
        /// `--repo`: URL of the repository that `location` names a chart of.
        repo: Option<String>,
    },
    /// A packed chart that came with a plan or a journal.
    Archive {
        /// Where it came from once, for messages.
        location: String,
        /// The `.tgz`.
        bytes: Vec<u8>,
    },
}

impl ChartSource {
    /// A chart at `location`, newest version.
    pub fn at(location: &str) -> Self {
        Self::Location { location: location.to_owned(), version: None, repo: None }
    }

    pub(super) fn location(&self) -> &str {
        match self {
            Self::Location { location, .. } | Self::Archive { location, .. } => location,
        }
    }
}

/// A chart that was opened.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) reference: ChartRef,
    pub(super) bytes: Vec<u8>,
    /// A private file with these bytes.
    pub(super) file: PathBuf,
}

/// What helm does for a chart that is no packed file.
pub(super) trait Fetch {
    /// `helm package directory -d into`.
    fn package(&self, directory: &Path, into: &Path) -> Result<(), ChartsError>;
    /// `helm pull location -d into`.
    fn pull(&self, location: &str, version: Option<&str>, repo: Option<&str>, into: &Path) -> Result<(), ChartsError>;
}

/// Opens the chart and puts its bytes into a file in `dir`.
pub(super) fn open(source: &ChartSource, dir: &Path, helm: &dyn Fetch) -> Result<Chart, ChartsError> {
    let missing = |message: String| ChartsError::ChartMissing { location: source.location().to_owned(), message };
    let (bytes, wanted) = match source {
        ChartSource::Archive { bytes, .. } => (bytes.clone(), None),
        ChartSource::Location { location, version, repo } => {
            (read(location, version.as_deref(), repo.as_deref(), dir, helm, &missing)?, version.as_deref())
        }
    };
    let metadata = metadata(&bytes).map_err(&missing)?;
    // A range (`^1.18`) was helm's to resolve; an exact version is what it must be.
    let exact =
        wanted.map(|wanted| wanted.trim_start_matches('v')).filter(|wanted| semver::Version::parse(wanted).is_ok());
    if exact.is_some_and(|wanted| wanted != metadata.version.trim_start_matches('v')) {
        return Err(missing(format!("it has version {}, not {}", metadata.version, wanted.unwrap_or_default())));
    }
    let file = dir.join("chart.tgz");
    fs::write(&file, &bytes).map_err(|error| missing(error.to_string()))?;
    let reference = ChartRef {
        location: source.location().to_owned(),
        name: metadata.name,
        version: metadata.version,
        digest: Digest::of(&bytes),
    };
    Ok(Chart { reference, bytes, file })
}

fn read(
    location: &str,
    version: Option<&str>,
    repo: Option<&str>,
    dir: &Path,
    helm: &dyn Fetch,
    missing: &dyn Fn(String) -> ChartsError,
) -> Result<Vec<u8>, ChartsError> {
    let told = |error: ChartsError| match error {
        ChartsError::Failed { message, .. } => missing(message),
        other => other,
    };
    let into = dir.join("fetched");
    let _ = fs::remove_dir_all(&into);
    fs::create_dir_all(&into).map_err(|error| missing(error.to_string()))?;
    let path = Path::new(location);
    if repo.is_none() && path.is_dir() {
        if !path.join("Chart.yaml").is_file() {
            return Err(missing("there is no Chart.yaml in that directory".to_owned()));
        }
        helm.package(path, &into).map_err(told)?;
        return repack(&the_one_in(&into, missing)?).map_err(missing);
    }
    if repo.is_none() && path.is_file() {
        return read_limited(path).map_err(missing);
    }
    let remote = repo.is_some() || location.contains("://") || is_repository_chart(location);
    if !remote || location.starts_with('-') {
        return Err(missing(
            "there is no such file or directory, and it is no `repository/chart` and no `oci://` address".to_owned(),
        ));
    }
    helm.pull(location, version, repo, &into).map_err(told)?;
    the_one_in(&into, missing)
}

/// `cilium/cilium`, but not `./cilium`, `charts/cilium.tgz` or `/charts/cilium`.
fn is_repository_chart(location: &str) -> bool {
    let name = |word: &str| !word.is_empty() && !word.starts_with('.') && !word.starts_with('~');
    location.split_once('/').is_some_and(|(repository, chart)| name(repository) && name(chart) && !chart.contains('/'))
        && !location.ends_with(".tgz")
}

fn the_one_in(dir: &Path, missing: &dyn Fn(String) -> ChartsError) -> Result<Vec<u8>, ChartsError> {
    let entries = fs::read_dir(dir).map_err(|error| missing(error.to_string()))?;
    let packed =
        entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "tgz"));
    match packed {
        Some(path) => read_limited(&path).map_err(missing),
        None => Err(missing("helm made no packed chart of it".to_owned())),
    }
}

fn read_limited(path: &Path) -> Result<Vec<u8>, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(PACKED_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > PACKED_LIMIT {
        return Err(format!("it is larger than {} MiB", PACKED_LIMIT >> 20));
    }
    Ok(bytes)
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

/// Name and version from `<chart>/Chart.yaml` in the archive.
fn metadata(bytes: &[u8]) -> Result<Metadata, String> {
    let no_archive = |error: std::io::Error| format!("it is no packed chart: {error}");
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(UNPACKED_LIMIT));
    for entry in archive.entries().map_err(no_archive)? {
        let mut entry = entry.map_err(no_archive)?;
        let path = entry.path().map_err(no_archive)?.into_owned();
        if path.components().count() == 2 && path.ends_with("Chart.yaml") {
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(no_archive)?;
            return serde_yaml::from_str(&text).map_err(|error| format!("its Chart.yaml is not valid: {error}"));
        }
    }
    Err("there is no Chart.yaml in it".to_owned())
}

/// The same files in a fixed order with fixed times, so that the digest of a directory depends on its contents alone.
fn repack(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let words = |error: std::io::Error| error.to_string();
    let mut files = std::collections::BTreeMap::new();
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(UNPACKED_LIMIT));
    for entry in archive.entries().map_err(words)? {
        let mut entry = entry.map_err(words)?;
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(words)?;
            files.insert(entry.path().map_err(words)?.into_owned(), content);
        }
    }
    let mut packed = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        packed.append_data(&mut header, path, content.as_slice()).map_err(words)?;
    }
    packed.into_inner().and_then(GzEncoder::finish).map_err(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_repository_from_a_path() {
        for (location, remote) in [
            ("cilium/cilium", true),
            ("./cilium", false),
            ("../cilium", false),
            ("/charts/cilium", false),
            ("charts/cilium-1.18.0.tgz", false),
            ("a/b/c", false),
            ("cilium", false),
        ] {
            assert_eq!(is_repository_chart(location), remote, "{location}");
        }
    }
}
