//! Makes the archives of a release: for krew, for `helm ovncilium`, and for the post-renderer of Helm 4; and their digests.
//!
//! | archive | holds |
//! |---|---|
//! | `kubectl-ovncilium-OS-ARCH.tar.gz` | program, licence: what `.krew.yaml` names |
//! | `ovncilium-VERSION-OS-ARCH.tgz` | the CLI plugin, for Helm 3 and 4 |
//! | `ovncilium-post-renderer-VERSION-OS-ARCH.tgz` | the post-renderer plugin, for Helm 4 |
//!
//! The same program gives the same bytes: order, times, owners and modes are fixed. There are no links; Helm refuses them.
//! Helm 3 wants `plugin.yaml` at the top of an archive (and an entry for each folder), Helm 4 in a folder of the plugin's name when
//! it installs a file, so the CLI plugin has both, with the program once.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ovncilium_core::Digest;

use crate::run::{ChoreError, cargo, output, root, say};

/// Of the programs and of both plugins.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROGRAM: &str = "kubectl-ovncilium";
const CLI: &str = "ovncilium";
const POST_RENDERER: &str = "ovncilium-post-renderer";
/// Where plugin.yaml of a checkout finds the launcher.
const LAUNCHER: &str = "$HELM_PLUGIN_DIR/helm-plugin/ovncilium-post-renderer/launch.sh";
/// 2026-01-01T00:00:00Z: tar of today complains about times before 1970.
const TIME: u64 = 1_767_225_600;

/// What a program runs on, in Go's words; krew and Helm use them.
#[derive(Debug, PartialEq, Eq)]
struct Platform {
    os: &'static str,
    arch: &'static str,
    /// `e_machine` of its ELF files.
    machine: u16,
    /// As Rust calls the architecture.
    rust: &'static str,
}

const PLATFORMS: [Platform; 2] = [
    Platform { os: "linux", arch: "amd64", machine: 62, rust: "x86_64" },
    Platform { os: "linux", arch: "arm64", machine: 183, rust: "aarch64" },
];

/// A file or folder of an archive.
struct Entry<'e> {
    path: String,
    /// `None` for a folder.
    content: Option<Cow<'e, [u8]>>,
    executable: bool,
}

impl<'e> Entry<'e> {
    fn file(path: String, content: impl Into<Cow<'e, [u8]>>) -> Self {
        Self { path, content: Some(content.into()), executable: false }
    }

    fn program(path: String, content: impl Into<Cow<'e, [u8]>>) -> Self {
        Self { executable: true, ..Self::file(path, content) }
    }
}

/// What goes into the archives.
struct Parts {
    program: Vec<u8>,
    licence: Vec<u8>,
    launcher: Vec<u8>,
    cli: String,
    post_renderer: String,
}

/// Makes the archives of `binary` (else of a release build) in `out` (else target/dist).
///
/// # Errors
/// A program for a platform that is not released, or of another version; manifests that do not fit; the disk.
pub(crate) fn build(binary: Option<&Path>, out: Option<&Path>) -> Result<(), ChoreError> {
    let binary = match binary {
        Some(path) => path.to_owned(),
        None => release()?,
    };
    let out = out.map_or_else(|| root().join("target/dist"), Path::to_owned);
    let parts = Parts::read(&binary)?;
    let platform = platform_of(&parts.program).map_err(|words| refused(&binary, &words))?;
    check_version(&binary, platform)?;
    check_krew(&text(".krew.yaml")?)?;
    fs::create_dir_all(&out).map_err(at(&out))?;
    for (name, entries) in parts.archives(platform) {
        let file = out.join(&name);
        fs::write(&file, pack(&entries).map_err(at(&file))?).map_err(at(&file))?;
        say(&format!("dist: {}", file.display()));
    }
    let sums = out.join("SHA256SUMS");
    fs::write(&sums, digests(&out)?).map_err(at(&sums))?;
    say(&format!("dist: {} (check with `sha256sum -c`)", sums.display()));
    Ok(())
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> ChoreError {
    let path = path.to_owned();
    move |error| ChoreError::File { path: path.clone(), error }
}

fn refused(file: &Path, words: &str) -> ChoreError {
    ChoreError::Differs(format!("{}: {words}", file.display()))
}

fn text(path: &str) -> Result<String, ChoreError> {
    let path = root().join(path);
    fs::read_to_string(&path).map_err(at(&path))
}

/// Builds the program as it is released.
fn release() -> Result<PathBuf, ChoreError> {
    cargo(&["build", "--release", "--locked", "--package", PROGRAM], &[])?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release").join(PROGRAM))
}

impl Parts {
    fn read(binary: &Path) -> Result<Self, ChoreError> {
        let cli = text("plugin.yaml")?;
        let post_renderer = text("helm-plugin/ovncilium-post-renderer/plugin.yaml")?;
        for (file, manifest) in [("plugin.yaml", &cli), ("the post-renderer's plugin.yaml", &post_renderer)] {
            if !manifest.lines().any(|line| line == format!("version: {VERSION}")) {
                return Err(refused(Path::new(file), &format!("its version is not {VERSION}")));
            }
        }
        if !cli.contains(LAUNCHER) {
            return Err(refused(Path::new("plugin.yaml"), &format!("it does not name {LAUNCHER}")));
        }
        Ok(Self {
            program: fs::read(binary).map_err(at(binary))?,
            licence: text("LICENSE")?.into_bytes(),
            launcher: text("helm-plugin/ovncilium-post-renderer/launch.sh")?.into_bytes(),
            cli,
            post_renderer,
        })
    }

    /// Every archive of a platform, by its file name.
    fn archives(&self, platform: &Platform) -> Vec<(String, Vec<Entry<'_>>)> {
        let [krew, cli, post_renderer] = names(platform);
        let manifest = |launcher: &str| self.cli.replace(LAUNCHER, launcher).into_bytes();
        let mut both = self.plugin(CLI, manifest("$HELM_PLUGIN_DIR/launch.sh"));
        both.push(Entry::file("plugin.yaml".to_owned(), manifest(&format!("$HELM_PLUGIN_DIR/{CLI}/launch.sh"))));
        let program = Entry::program(PROGRAM.to_owned(), &self.program);
        vec![
            (krew, vec![Entry::file("LICENSE".to_owned(), &self.licence), program]),
            (cli, both),
            (post_renderer, self.plugin(POST_RENDERER, self.post_renderer.as_bytes())),
        ]
    }

    /// A plugin in a folder of its name.
    fn plugin<'p>(&'p self, name: &str, manifest: impl Into<Cow<'p, [u8]>>) -> Vec<Entry<'p>> {
        let path = |file: &str| format!("{name}/{file}");
        vec![
            Entry { path: path(""), content: None, executable: true },
            Entry::file(path("LICENSE"), &self.licence),
            Entry::program(path(PROGRAM), &self.program),
            Entry::program(path("launch.sh"), &self.launcher),
            Entry::file(path("plugin.yaml"), manifest),
        ]
    }
}

/// File names of a platform's archives: krew, CLI plugin, post-renderer. Helm takes a plugin's folder from what is before `-VERSION`.
fn names(platform: &Platform) -> [String; 3] {
    let Platform { os, arch, .. } = platform;
    [
        format!("{PROGRAM}-{os}-{arch}.tar.gz"),
        format!("{CLI}-{VERSION}-{os}-{arch}.tgz"),
        format!("{POST_RENDERER}-{VERSION}-{os}-{arch}.tgz"),
    ]
}

/// The archive's bytes: nothing but `entries` decides them.
fn pack(entries: &[Entry<'_>]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for entry in entries {
        let content = entry.content.as_deref().unwrap_or_default();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(if entry.content.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        header.set_mode(if entry.executable { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        header.set_mtime(TIME);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, &entry.path, content)?;
    }
    archive.into_inner()?.finish()
}

/// The platform of an ELF program.
fn platform_of(program: &[u8]) -> Result<&'static Platform, String> {
    let known = || PLATFORMS.iter().map(|p| format!("{}/{}", p.os, p.arch)).collect::<Vec<_>>().join(", ");
    match program {
        // Magic, 64 bits, little-endian; then the machine's number.
        [0x7f, b'E', b'L', b'F', 2, 1, ..] if program.len() > 20 => {
            let machine = u16::from_le_bytes([program[18], program[19]]);
            let found = PLATFORMS.iter().find(|platform| platform.machine == machine);
            found.ok_or_else(|| format!("it is for ELF machine {machine}; released are {}", known()))
        }
        _ => Err(format!("it is no 64-bit ELF program; released are {}", known())),
    }
}

/// A program that runs here must say that it is of this version.
fn check_version(binary: &Path, platform: &Platform) -> Result<(), ChoreError> {
    if (std::env::consts::OS, std::env::consts::ARCH) != (platform.os, platform.rust) {
        say(&format!("dist: {} does not run here, its version was not asked", binary.display()));
        return Ok(());
    }
    let said = output(&binary.to_string_lossy(), &["--version"])?;
    if said.split(' ').next_back() == Some(VERSION) {
        return Ok(());
    }
    Err(refused(binary, &format!("it says `{said}`, the plugins are of version {VERSION}")))
}

/// `.krew.yaml` names the krew archive of every platform, and no other.
fn check_krew(template: &str) -> Result<(), ChoreError> {
    for platform in &PLATFORMS {
        let [archive, ..] = names(platform);
        let selector = format!("os: {}\n        arch: {}\n", platform.os, platform.arch);
        let after = template.split(&selector).nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
        if !after.contains(&format!("/{archive}\"")) {
            return Err(refused(Path::new(".krew.yaml"), &format!("it does not name {archive} for that platform")));
        }
    }
    let found = template.matches("{{addURIAndSha ").count();
    if found == PLATFORMS.len() {
        return Ok(());
    }
    Err(refused(Path::new(".krew.yaml"), &format!("it has {found} archives, {} are made", PLATFORMS.len())))
}

/// Lines for `sha256sum -c`, of every archive of this version that is in `out`: platforms may be made one after another.
fn digests(out: &Path) -> Result<String, ChoreError> {
    let mut lines = String::new();
    for name in PLATFORMS.iter().flat_map(names) {
        let file = out.join(&name);
        if file.is_file() {
            let digest = Digest::of(fs::read(&file).map_err(at(&file))?);
            lines.push_str(&format!("{}  {name}\n", digest.hex()));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    /// The head of a program for a machine.
    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes
    }

    fn parts() -> Parts {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("program");
        fs::write(&file, elf(62)).unwrap();
        Parts::read(&file).unwrap()
    }

    #[test]
    fn archives_are_the_same_bytes_each_time_with_programs_that_run_and_no_links() {
        let (one, other) = (parts(), parts());
        for ((name, entries), (_, again)) in one.archives(&PLATFORMS[0]).iter().zip(&other.archives(&PLATFORMS[0])) {
            let bytes = pack(entries).unwrap();
            assert_eq!(bytes, pack(again).unwrap(), "{name}");
            assert_eq!(bytes[4..8], [0; 4], "{name}: gzip's own time");
            let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
            let mut folders = vec![String::new()];
            for entry in archive.entries().unwrap() {
                let entry = entry.unwrap();
                let (header, path) = (entry.header(), entry.path().unwrap().to_string_lossy().into_owned());
                assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (TIME, 0, 0));
                let runs = [PROGRAM, "launch.sh", ""].iter().any(|end| path.rsplit('/').next() == Some(end));
                assert_eq!(header.mode().unwrap(), if runs { 0o755 } else { 0o644 }, "{name}: {path}");
                let folder = path.rfind('/').map_or(String::new(), |end| path[..=end].to_owned());
                if header.entry_type().is_dir() {
                    folders.push(path);
                } else {
                    assert!(header.entry_type().is_file(), "{name}: {path}");
                    assert!(folders.contains(&folder), "{name}: {path} comes before its folder");
                }
            }
        }
    }

    #[test]
    fn every_plugin_in_an_archive_names_a_launcher_that_is_there() {
        let parts = parts();
        let mut manifests = 0;
        for (name, entries) in parts.archives(&PLATFORMS[1]) {
            let bytes = pack(&entries).unwrap();
            let mut files = BTreeMap::new();
            for entry in tar::Archive::new(GzDecoder::new(bytes.as_slice())).entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                files.insert(entry.path().unwrap().to_string_lossy().into_owned(), content);
            }
            for (path, content) in files.iter().filter(|(path, _)| path.ends_with("plugin.yaml")) {
                manifests += 1;
                let manifest = String::from_utf8_lossy(content);
                let launchers: Vec<&str> =
                    manifest.split(['"', ' ']).filter(|word| word.ends_with("/launch.sh")).collect();
                assert!(!launchers.is_empty(), "{name}: {path}");
                for launcher in launchers {
                    let folder = path.trim_end_matches("plugin.yaml");
                    let file = folder.to_owned() + launcher.split_once('/').unwrap().1;
                    assert!(files.contains_key(&file), "{name}: {path} names {launcher}");
                    assert!(files.contains_key(&file.replace("launch.sh", PROGRAM)), "{name}: no program at {file}");
                }
            }
        }
        assert_eq!(manifests, 3);
    }

    #[test]
    fn only_programs_of_released_platforms_are_packed() {
        assert_eq!(platform_of(&elf(62)).unwrap().arch, "amd64");
        assert_eq!(platform_of(&elf(183)).unwrap().arch, "arm64");
        let refused = platform_of(&elf(243)).unwrap_err();
        assert_eq!(refused, "it is for ELF machine 243; released are linux/amd64, linux/arm64");
        for other in [b"#!/bin/sh\n".as_slice(), b"", b"\x7fELF"] {
            assert!(platform_of(other).unwrap_err().starts_with("it is no 64-bit ELF program"));
        }
    }

    #[test]
    fn the_krew_manifest_names_the_archives_that_are_made() {
        let template = text(".krew.yaml").unwrap();
        check_krew(&template).unwrap();
        for (from, to) in [
            ("kubectl-ovncilium-linux-arm64.tar.gz", "kubectl-ovncilium-linux-amd64.tar.gz"),
            ("arch: arm64", "arch: riscv64"),
            ("{{addURIAndSha ", "{{addURIAndSha x}} {{addURIAndSha "),
        ] {
            assert!(check_krew(&template.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
    }
}
