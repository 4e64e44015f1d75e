//! Which kubeconfig files there are, and what they say together.

use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, KubeconfigError};

use super::ConnectionError;
use crate::causes;

/// What was found.
pub(super) struct Files {
    /// The files together; the first that sets a thing wins.
    pub(super) merged: Kubeconfig,
    /// Files that exist, absolute.
    pub(super) paths: Vec<PathBuf>,
    /// Where was looked, for a message.
    pub(super) looked: Vec<String>,
}

impl Files {
    /// Whether nothing in them names a cluster or a context.
    pub(super) fn is_empty(&self) -> bool {
        self.merged.clusters.is_empty() && self.merged.contexts.is_empty() && self.merged.current_context.is_none()
    }

    /// The files as text for a message.
    pub(super) fn names(&self) -> Vec<String> {
        self.paths.iter().map(|path| path.display().to_string()).collect()
    }
}

/// Reads them: the one named by flag must exist; of `KUBECONFIG` and the default, what does not exist counts as empty.
pub(super) fn read(explicit: Option<&Path>) -> Result<Files, ConnectionError> {
    let mut looked = Vec::new();
    let candidates = match explicit {
        Some(path) => {
            looked.push(format!("{} (--kubeconfig)", path.display()));
            vec![path.to_owned()]
        }
        None => usual(&mut looked),
    };
    let mut found = Files { merged: Kubeconfig::default(), paths: Vec::new(), looked };
    for path in candidates {
        let path = std::path::absolute(&path).unwrap_or(path);
        if explicit.is_none() && !path.exists() {
            continue;
        }
        let config = Kubeconfig::read_from(&path).map_err(|error| unreadable(&path, &error))?;
        found.merged = found.merged.merge(config).map_err(|error| unreadable(&path, &error))?;
        found.paths.push(path);
    }
    Ok(found)
}

fn usual(looked: &mut Vec<String>) -> Vec<PathBuf> {
    let listed: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
        .map(|list| std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    if !listed.is_empty() {
        looked.extend(listed.iter().map(|path| format!("{} (KUBECONFIG)", path.display())));
        return listed;
    }
    looked.push("KUBECONFIG (not set)".to_owned());
    match std::env::home_dir().filter(|home| !home.as_os_str().is_empty()) {
        Some(home) => {
            let path = home.join(".kube").join("config");
            looked.push(path.display().to_string());
            vec![path]
        }
        None => {
            looked.push("~/.kube/config (no home directory)".to_owned());
            Vec::new()
        }
    }
}

fn unreadable(path: &Path, error: &KubeconfigError) -> ConnectionError {
    let path = path.display().to_string();
    match error {
        KubeconfigError::ReadConfig(cause, _) => ConnectionError::Unreadable { path, message: causes::chain(cause) },
        // Without the snippet: the line may hold a token.
        KubeconfigError::Parse(cause) => ConnectionError::Invalid {
            path,
            line: cause.location().map(|location| location.line()),
            message: without_place(&causes::clean(&cause.without_snippet().to_string())),
        },
        other => ConnectionError::Invalid { path, line: None, message: causes::chain(other) },
    }
}

/// The parser ends its message with the place, which is told before it.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(words, _)| words).to_owned()
}
