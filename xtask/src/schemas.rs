//! Holds the reports for pipelines to the schemas of those who read them. Schemas and validators are not ours, so they are fetched:
//! SARIF's from a crate, Jenkins's for JUnit from a source archive of PyPI, the validators from PyPI, all pinned.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{ChoreError, cargo, cargo_program, output, root, run, say};

/// What is pinned, and the validator.
const PINS: &str = "xtask/schemas";

/// Fetches what is missing and runs the tests that need it.
pub(crate) fn check() -> Result<(), ChoreError> {
    let folder = root().join("target/schemas");
    std::fs::create_dir_all(&folder).map_err(|error| ChoreError::File { path: folder.clone(), error })?;
    fetch(&folder)?;
    say(&format!("schemas: {} has them", folder.display()));
    let schemas = [("OVNCILIUM_SCHEMAS", folder.display().to_string())];
    cargo(&["test", "--package", "kubectl-ovncilium", "--test", "pipelines", "schemas::"], &schemas)
}

fn fetch(folder: &Path) -> Result<(), ChoreError> {
    copy(&sarif()?, &folder.join("sarif-2.1.0.json"))?;
    let (python, pins) = (folder.join("python"), |name: &str| format!("{PINS}/{name}"));
    let text = |path: &Path| path.display().to_string();
    let pip = |arguments: &[&str]| {
        let quiet = ["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"];
        run("python3", &[&quiet, arguments].concat(), &[("PIP_ROOT_USER_ACTION", "ignore".to_owned())])
    };
    if !python.join("jsonschema").is_dir() || !python.join("xmlschema").is_dir() {
        pip(&["install", "--target", &text(&python), "--upgrade", "--requirement", &pins("requirements.txt")])?;
    }
    let schema = folder.join("junit-10.xsd");
    if !schema.is_file() {
        let sources = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--dest"];
        pip(&[&["download"], &sources[..], &[&text(folder), "--requirement", &pins("jenkins.txt")]].concat())?;
        let unpack = "import sys, tarfile, glob; archive = tarfile.open(glob.glob(sys.argv[1] + '/pytest-*.tar.gz')[0]); \
                      name = next(n for n in archive.getnames() if n.endswith('/junit-10.xsd')); \
                      open(sys.argv[2], 'wb').write(archive.extractfile(name).read())";
        run("python3", &["-c", unpack, &text(folder), &text(&schema)], &[])?;
    }
    Ok(())
}

/// The schema of SARIF in the sources of the pinned crate, which cargo fetches and nobody builds.
fn sarif() -> Result<PathBuf, ChoreError> {
    let manifest = format!("{PINS}/Cargo.toml");
    let metadata =
        output(&cargo_program(), &["metadata", "--format-version", "1", "--locked", "--manifest-path", &manifest])?;
    let unread = |error: String| ChoreError::Read { what: "cargo metadata of xtask/schemas".to_owned(), error };
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| unread(error.to_string()))?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let package = packages.iter().find(|package| package["name"] == "serde-sarif");
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = manifest.ok_or_else(|| unread("serde-sarif is not in it".to_owned()))?;
    Ok(Path::new(manifest).with_file_name("src").join("schema.json"))
}

fn copy(from: &Path, to: &Path) -> Result<(), ChoreError> {
    std::fs::copy(from, to).map(drop).map_err(|error| ChoreError::File { path: from.to_owned(), error })
}
