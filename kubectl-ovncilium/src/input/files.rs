//! Reading the files that the operator names, and writing those asked for.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use ovncilium_core::{ExitCode, NextStep};

use crate::failure::Failure;

/// Bytes of a file, or of stdin for `-`.
///
/// # Errors
/// The path and the cause.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| unreadable(path, &error))
}

/// A file, or stdin for `-`, to be read as it comes.
///
/// # Errors
/// The path and the cause.
pub fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    match std::fs::File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        ExitCode::Usage,
        format!("{} cannot be read: {error}", path.display()),
        NextStep::Edit("check the path".to_owned()),
    )
}

/// As [`read`], as text.
///
/// # Errors
/// The path and the cause.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            format!("{} is no UTF-8 text: {}", path.display(), error.utf8_error()),
            NextStep::Edit("check that it is the file you mean".to_owned()),
        )
    })
}

/// Names and bytes of files, of stdin for `-`, and of the YAML and JSON files in directories, in the order of names.
///
/// # Errors
/// A path that cannot be read; directories without such a file, which `flag` named.
pub fn read_all(paths: &[PathBuf], flag: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        gather(path, &mut found)?;
    }
    if found.is_empty() {
        return Err(Failure::new(
            ExitCode::Usage,
            "no manifests were found: the directories hold no .yaml, .yml or .json file",
            NextStep::Edit(format!("name files or directories with `{flag}`")),
        ));
    }
    found.iter().map(|path| Ok((path.display().to_string(), read(path)?))).collect()
}

fn gather(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if path == Path::new("-") || !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let unreadable = |error: std::io::Error| {
        Failure::new(
            ExitCode::Usage,
            format!("{} cannot be read: {error}", path.display()),
            NextStep::Edit("check the path".to_owned()),
        )
    };
    let mut entries = std::fs::read_dir(path)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    entries.sort();
    for entry in entries {
        let is_manifest =
            entry.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if entry.is_dir() || is_manifest {
            gather(&entry, found)?;
        }
    }
    Ok(())
}

/// Write a file whole or not at all; `-` is stdout.
///
/// # Errors
/// The path and the cause.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        crate::ui::data(text);
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| {
        let _removed = std::fs::remove_file(&temporary);
        Failure::new(
            ExitCode::Refused,
            format!("{} cannot be written: {error}", path.display()),
            NextStep::Edit("check the directory and its free space".to_owned()),
        )
    })
}
