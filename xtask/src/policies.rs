//! Builds the policy modules: guests for wasm32, wrapped as components, with digests.
//!
//! The bytes are the same on every machine with the toolchain of rust-toolchain.toml: paths are mapped away, a guest
//! crate's dependencies are pinned by Cargo.lock, and nothing of the environment gets in. `--check` holds that.

use std::fs;
use std::path::{Path, PathBuf};

use ovncilium_core::Digest;
use serde::Serialize;

use crate::run::{ChoreError, cargo, output, root, run, say};

const TARGET: &str = "wasm32-unknown-unknown";

/// A folder of guest crates, and where its modules go.
struct Shelf {
    sources: &'static str,
    dist: &'static str,
}

const SHELVES: [Shelf; 2] = [
    Shelf { sources: "policies/builtin", dist: "policies/dist" },
    Shelf { sources: "policies/examples", dist: "policies/dist/examples" },
];

/// `digests.json` beside the modules.
#[derive(Serialize)]
struct Digests {
    toolchain: String,
    modules: Vec<Module>,
}

#[derive(Serialize)]
struct Module {
    id: String,
    version: String,
    sha256: Digest,
    size: usize,
}

/// Builds every module into policies/dist.
pub(crate) fn build() -> Result<(), ChoreError> {
    build_into(&root())?;
    say("policies: built; commit policies/dist");
    Ok(())
}

/// Builds every module elsewhere and compares with policies/dist.
pub(crate) fn check() -> Result<(), ChoreError> {
    let elsewhere = tempfile::tempdir().map_err(|error| ChoreError::File { path: std::env::temp_dir(), error })?;
    build_into(elsewhere.path())?;
    let mut different = Vec::new();
    for shelf in &SHELVES {
        let names = |base: &Path| files(&base.join(shelf.dist));
        let (ours, theirs) = (names(&root())?, names(elsewhere.path())?);
        for name in ours.iter().chain(theirs.iter().filter(|name| !ours.contains(name))) {
            let content = |base: &Path| fs::read(base.join(shelf.dist).join(name)).ok();
            let what = match (content(&root()), content(elsewhere.path())) {
                (Some(ours), Some(theirs)) if ours == theirs => continue,
                (Some(_), Some(_)) => "is not what its source builds",
                (Some(_), None) => "has no source",
                (None, _) => "is missing",
            };
            different.push(format!("{}/{name} {what}", shelf.dist));
        }
    }
    if different.is_empty() {
        say("policies: policies/dist is what the sources build");
        return Ok(());
    }
    different.push("run `cargo xtask policies` and commit policies/dist".to_owned());
    Err(ChoreError::Differs(different.join("\n")))
}

/// Builds every module into the same folders below another root.
fn build_into(base: &Path) -> Result<(), ChoreError> {
    ensure_target()?;
    let toolchain = output("rustc", &["--version"])?;
    for shelf in &SHELVES {
        let sources = root().join(shelf.sources);
        let crates: Vec<String> =
            folders(&sources)?.into_iter().filter(|id| sources.join(id).join("Cargo.toml").is_file()).collect();
        compile(&crates)?;
        let dist = base.join(shelf.dist);
        fs::create_dir_all(&dist).map_err(|error| ChoreError::File { path: dist.clone(), error })?;
        let mut modules = Vec::new();
        for id in &crates {
            let component = component(id)?;
            modules.push(Module {
                id: id.clone(),
                version: version(&sources.join(id))?,
                sha256: Digest::of(&component),
                size: component.len(),
            });
            write(&dist.join(format!("{id}.wasm")), &component)?;
        }
        let digests = Digests { toolchain: toolchain.clone(), modules };
        let mut text = serde_json::to_string_pretty(&digests)
            .map_err(|error| ChoreError::Read { what: "digests".to_owned(), error: error.to_string() })?;
        text.push('\n');
        write(&dist.join("digests.json"), text.as_bytes())?;
        remove_strangers(&dist, &crates)?;
    }
    Ok(())
}

/// Compiles guest crates to core modules in a target folder of their own.
fn compile(ids: &[String]) -> Result<(), ChoreError> {
    let packages: Vec<String> = ids.iter().map(|id| format!("policy-{id}")).collect();
    let target_dir = target_dir();
    let target_dir = target_dir.to_string_lossy();
    let mut arguments = vec![
        "build",
        "--quiet",
        "--locked",
        "--lib",
        "--target",
        TARGET,
        "--profile",
        "guest",
        "--target-dir",
        &target_dir,
    ];
    packages.iter().for_each(|package| arguments.extend(["--package", package]));
    // Encoded flags: a path may contain blanks. They replace RUSTFLAGS, so that nobody's own flags get in.
    let flags = remaps()?.join("\u{1f}");
    cargo(&arguments, &[("CARGO_ENCODED_RUSTFLAGS", flags), ("CARGO_INCREMENTAL", "0".to_owned())])
}

/// Paths of this machine, mapped to names that are the same everywhere.
fn remaps() -> Result<Vec<String>, ChoreError> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sysroot = output("rustc", &["--print", "sysroot"])?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = vec![remap(&root(), "/ovncilium"), remap(Path::new(&sysroot), "/rust")];
    if let Some(home) = home {
        // The folder of a registry is named after a hash of its URL, which a mirror changes.
        let registries = home.join("registry").join("src");
        flags.push(remap(&home, "/cargo"));
        if let Ok(names) = folders(&registries) {
            flags.extend(names.iter().map(|name| remap(&registries.join(name), "/registry")));
        }
    }
    Ok(flags)
}

/// The core module of a guest crate as a component.
fn component(id: &str) -> Result<Vec<u8>, ChoreError> {
    let file = format!("policy_{}.wasm", id.replace('-', "_"));
    let path = target_dir().join(TARGET).join("guest").join(file);
    let core = fs::read(&path).map_err(|error| ChoreError::File { path, error })?;
    let encoded = wit_component::ComponentEncoder::default().validate(true).module(&core).and_then(|e| e.encode());
    encoded.map_err(|error| ChoreError::Component { id: id.to_owned(), error: format!("{error:#}") })
}

fn target_dir() -> PathBuf {
    root().join("target").join("guests")
}

/// The version a guest will tell: its own, or the workspace's.
fn version(folder: &Path) -> Result<String, ChoreError> {
    let own = version_line(&folder.join("Cargo.toml"))?;
    let version = match own {
        Some(version) => Some(version),
        None => version_line(&root().join("Cargo.toml"))?,
    };
    version
        .ok_or_else(|| ChoreError::Read { what: folder.display().to_string(), error: "it has no version".to_owned() })
}

fn version_line(manifest: &Path) -> Result<Option<String>, ChoreError> {
    let text = fs::read_to_string(manifest).map_err(|error| ChoreError::File { path: manifest.to_owned(), error })?;
    let quoted = text.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    Ok(quoted.map(str::to_owned))
}

/// Adds the target when rustup manages the toolchain and has not got it.
fn ensure_target() -> Result<(), ChoreError> {
    let sysroot = output("rustc", &["--print", "sysroot"])?;
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    say(&format!("policies: adding the target {TARGET} with rustup"));
    run("rustup", &["target", "add", TARGET], &[])
}

/// Removes modules whose source is gone.
fn remove_strangers(dist: &Path, ids: &[String]) -> Result<(), ChoreError> {
    for name in files(dist)? {
        let known = name.strip_suffix(".wasm").is_none_or(|id| ids.iter().any(|known| known == id));
        if !known {
            let path = dist.join(&name);
            fs::remove_file(&path).map_err(|error| ChoreError::File { path, error })?;
        }
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), ChoreError> {
    fs::write(path, content).map_err(|error| ChoreError::File { path: path.to_owned(), error })
}

fn files(folder: &Path) -> Result<Vec<String>, ChoreError> {
    entries(folder, |kind| kind.is_file())
}

fn folders(folder: &Path) -> Result<Vec<String>, ChoreError> {
    entries(folder, |kind| kind.is_dir())
}

/// Names in a folder, sorted; none when it is not there.
fn entries(folder: &Path, wanted: impl Fn(&fs::FileType) -> bool) -> Result<Vec<String>, ChoreError> {
    let Ok(listing) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|error| ChoreError::File { path: folder.to_owned(), error })?;
        let kind = entry.file_type().map_err(|error| ChoreError::File { path: entry.path(), error })?;
        if wanted(&kind) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
