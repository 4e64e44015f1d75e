//! Compiled code on disk, so that a module is compiled once per machine.
//!
//! The code is only ever run when the file and its directory are ours alone and its checksum holds: wasmtime itself does
//! not notice a flipped bit in it. Everything that is wrong with the cache means compiling
//! again; it never fails a run and never says a word.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ovncilium_core::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

/// First bytes of a file of the cache; the digit is the version of this format.
const MAGIC: &[u8; 8] = b"OVCCODE1";
const HEADER: usize = MAGIC.len() + 64;

/// Largest file read back, in bytes.
const LARGEST: u64 = 1 << 30;

/// Where compiled code is kept, if anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompiledCache {
    directory: Option<PathBuf>,
}

impl CompiledCache {
    /// No cache: every run compiles.
    pub fn none() -> Self {
        Self::default()
    }

    /// A cache in this directory, made with mode 0700 when it is not there.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: Some(directory.into()) }
    }

    /// The user's cache: `$XDG_CACHE_HOME/ovncilium/compiled`, or `$HOME/.cache/ovncilium/compiled`; none without a home.
    pub fn from_env() -> Self {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Self { directory: base.map(|base| base.join("ovncilium").join("compiled")) }
    }

    /// The code of a module from the cache, else compiled and put there.
    ///
    /// # Errors
    /// What wasmtime says about bytes that are no valid component.
    pub(crate) fn load(&self, engine: &Engine, module: &Digest, bytes: &[u8]) -> wasmtime::Result<Component> {
        let Some(file) = self.directory.as_ref().map(|directory| directory.join(key(engine)).join(module.hex())) else {
            return Component::new(engine, bytes);
        };
        if let Some(component) = read(&file).and_then(|file| revive(engine, file.get(HEADER..)?)) {
            return Ok(component);
        }
        let component = Component::new(engine, bytes)?;
        if let Ok(code) = component.serialize() {
            // A full disk or a read-only home is no reason to stop.
            drop(write(&file, &code));
        }
        Ok(component)
    }
}

/// Directory name for everything that compiled code depends on beside the module: wasmtime, target, configuration.
fn key(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("wasmtime-{}-{:016x}", std::env::consts::ARCH, hasher.finish())
}

/// The content of `file`, header and code, when the file and its directory are ours alone and the checksum holds.
fn read(file: &Path) -> Option<Vec<u8>> {
    let directory = fs::symlink_metadata(file.parent()?).ok()?;
    if !directory.is_dir() || !ours_alone(&directory) {
        return None;
    }
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).ok()?;
    let mut opened = OpenOptions::new().read(true).custom_flags(no_follow).open(file).ok()?;
    let metadata = opened.metadata().ok()?;
    if !metadata.is_file() || !ours_alone(&metadata) || metadata.len() > LARGEST {
        return None;
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
    opened.read_to_end(&mut content).ok()?;
    let (header, code) = content.split_at_checked(HEADER)?;
    let checksum = header.strip_prefix(MAGIC.as_slice())?;
    let sound = checksum == Digest::of(code).hex().as_bytes();
    sound.then_some(content)
}

fn ours_alone(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.permissions().mode() & 0o022 == 0
}

/// Writes by rename, so that nobody ever reads half a file.
fn write(file: &Path, code: &[u8]) -> std::io::Result<()> {
    let Some(directory) = file.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut temporary = tempfile::Builder::new().prefix(".writing-").tempfile_in(directory)?;
    let out: &mut File = temporary.as_file_mut();
    out.write_all(MAGIC)?;
    out.write_all(Digest::of(code).hex().as_bytes())?;
    out.write_all(code)?;
    temporary.persist(file).map(drop).map_err(|error| error.error)
}

/// Compiled code as a component; none when it was made by another wasmtime or for another machine.
#[expect(unsafe_code, reason = "wasmtime cannot check machine code; both callers know where it comes from")]
pub(crate) fn revive(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: the bytes are what `write` was given by `Component::serialize`: their checksum holds, and nobody else can
    // write to the file or its directory. Or they are part of this binary, as much as its own code ([`crate::precompile`]).
    // Another wasmtime's output is refused by its header.
    unsafe { Component::deserialize(engine, code) }.ok()
}
