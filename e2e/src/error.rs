//! One error for everything that can go wrong around a scenario, with the next step beside it.

use std::{io, path::PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("`go` is not on PATH; the control plane is built from Go modules")]
    GoMissing,
    #[error("`go {command}` failed in {module}:\n{tail}", module = module.display())]
    Go { command: String, module: PathBuf, tail: String },
    #[error("cannot make the certificate of {subject}")]
    Certificate { subject: String, source: rcgen::Error },
    #[error("cannot start {program}")]
    Spawn { program: String, source: io::Error },
    #[error("{process} ended with {status} while it was needed; the end of {log}:\n{tail}", log = log.display())]
    Died { process: &'static str, status: String, log: PathBuf, tail: String },
    #[error("{what}: not so after {seconds} s; last seen: {last}")]
    Timeout { what: String, seconds: u64, last: String },
    #[error("cannot talk to the API server")]
    Client { source: Box<kube::Error> },
    #[error("{method} {path} was answered {code} {reason}: {message}")]
    Refused { method: String, path: String, code: u16, reason: String, message: String },
    #[error("{file} is not YAML", file = file.display())]
    Yaml { file: PathBuf, source: serde_yaml::Error },
    #[error("{what} is not the JSON that was expected")]
    Json { what: String, source: serde_json::Error },
    #[error("`kubectl {args}` ended with {status}: {stderr}")]
    Kubectl { args: String, status: String, stderr: String },
    #[error("{what} ended with {status}:\n{tail}")]
    Script { what: String, status: String, tail: String },
    #[error("no user `{name}` was made; there are: {known}")]
    UnknownUser { name: String, known: String },
    #[error("the API server knows no {api_version} {kind}")]
    UnknownKind { api_version: String, kind: String },
    #[error("{0}")]
    Expectation(String),
}

impl Error {
    /// The HTTP status with which the API server refused, if that is what happened.
    pub fn refused_with(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::GoMissing => Some("install Go 1.26 or newer (https://go.dev/dl) and put its bin directory on PATH"),
            Self::Go { .. } => {
                Some("the build needs the Go module proxy (GOPROXY) and about 5 GB under GOCACHE and GOMODCACHE")
            }
            Self::Died { .. } | Self::Timeout { .. } => {
                Some("run again with OVNCILIUM_E2E_KEEP=1 to keep the logs of every process")
            }
            _ => None,
        }
    }

    /// Names a failed file operation.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// Names a JSON document that could not be read or written.
    pub fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        let what = what.into();
        move |source| Self::Json { what, source }
    }
}

/// The message and its causes, each said once, then the next step.
pub fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let said = source.to_string();
        if !text.contains(&said) {
            text.push_str("\n  because: ");
            text.push_str(&said);
        }
        cause = source.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_each_cause_once_and_the_next_step() {
        let error = Error::Spawn { program: "etcd".into(), source: io::Error::other("no such file") };
        assert_eq!(explain(&error), "cannot start etcd\n  because: no such file");
        assert!(explain(&Error::GoMissing).contains("\nhint: install Go"));
    }
}
