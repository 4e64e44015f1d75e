//! The compiled-code cache speeds up, and is never trusted.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ovncilium_policy_host::{Catalog, CompiledCache};

use crate::support::{hostile, run};

fn judge(directory: &Path) {
    let catalog =
        Catalog::empty().with_module(hostile("deny"), "deny.wat", None).with_cache(CompiledCache::at(directory));
    let evaluation = run(&catalog);
    assert_eq!((evaluation.findings.len(), evaluation.faults.len()), (1, 0), "{:?}", evaluation.faults);
}

/// The one file of the cache.
fn cached(directory: &Path) -> PathBuf {
    let only = |directory: &Path| {
        let entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.into_iter().next().unwrap()
    };
    only(&only(directory))
}

/// Which file lies there: another one after it was written anew.
fn identity(file: &Path) -> (u64, i64, i64) {
    let metadata = fs::metadata(file).unwrap();
    (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

#[test]
fn code_is_written_once_for_us_alone_and_read_back() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("compiled");
    judge(&directory);
    let file = cached(&directory);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written = identity(&file);
    judge(&directory);
    assert_eq!(identity(&file), written, "the second run reads what the first wrote");
}

#[test]
fn code_that_was_touched_is_compiled_anew() {
    let home = tempfile::tempdir().unwrap();
    judge(home.path());
    let file = cached(home.path());
    let sound = fs::read(&file).unwrap();
    for spoil in [
        // One flipped bit of machine code, which wasmtime would not notice.
        |bytes: &mut Vec<u8>| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1
        },
        |bytes: &mut Vec<u8>| bytes.truncate(100),
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| bytes.push(0),
    ] {
        let mut bytes = sound.clone();
        spoil(&mut bytes);
        fs::write(&file, &bytes).unwrap();
        judge(home.path());
        assert!(fs::read(&file).unwrap() != bytes, "the file was written anew");
    }
}

#[test]
fn code_that_others_could_have_written_is_compiled_anew() {
    let home = tempfile::tempdir().unwrap();
    judge(home.path());
    let file = cached(home.path());
    let before = identity(&file);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    judge(home.path());
    assert_ne!(identity(&file), before);
    let before = identity(&file);
    fs::set_permissions(file.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    judge(home.path());
    assert_ne!(identity(&file), before);
    // A link to somebody else's file is not followed.
    fs::set_permissions(file.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    let elsewhere = home.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    judge(home.path());
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
}

#[test]
fn a_cache_that_cannot_be_written_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "in the way").unwrap();
    judge(&file);
}
