//! Why there is no connection, and what to do.

use ovncilium_core::{ExitCode, NextStep};

/// Why there is no connection. Nothing was asked of any server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// No kubeconfig, and we are not in a pod.
    #[error("there is no kubeconfig: looked at {}", looked.join(", "))]
    NoKubeconfig {
        /// Where was looked.
        looked: Vec<String>,
    },
    /// A file that is there cannot be read.
    #[error("kubeconfig {path} cannot be read: {message}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's words.
        message: String,
    },
    /// A file is no kubeconfig.
    #[error("kubeconfig {path}{} is not valid: {message}", line.map(|line| format!(", line {line},")).unwrap_or_default())]
    Invalid {
        /// The file.
        path: String,
        /// The line, from 1.
        line: Option<u64>,
        /// What is wrong.
        message: String,
    },
    /// No context is chosen.
    #[error("the kubeconfig has no current context; it has {}", list(known, "no contexts"))]
    NoContext {
        /// Contexts that are there.
        known: Vec<String>,
    },
    /// There is no such context.
    #[error("there is no context `{name}` in the kubeconfig; there is {}", list(known, "none"))]
    UnknownContext {
        /// The name.
        name: String,
        /// Contexts that are there.
        known: Vec<String>,
    },
    /// There is no such cluster.
    #[error("there is no cluster `{name}` in {}; there is {}", files.join(", "), list(known, "none"))]
    UnknownCluster {
        /// The name.
        name: String,
        /// Clusters that are there.
        known: Vec<String>,
        /// The files.
        files: Vec<String>,
    },
    /// There is no such user.
    #[error("there is no user `{name}` in {}; there is {}", files.join(", "), list(known, "none"))]
    UnknownUser {
        /// The name.
        name: String,
        /// Users that are there.
        known: Vec<String>,
        /// The files.
        files: Vec<String>,
    },
    /// The server's URL is missing or none.
    #[error("`{url}` is not the URL of an API server")]
    NoServer {
        /// What is there.
        url: String,
    },
    /// A certificate, key or token cannot be used.
    #[error("the credentials of the kubeconfig cannot be used: {message}")]
    Credentials {
        /// The cause.
        message: String,
    },
    /// A credential plugin failed.
    #[error("the credential plugin `{command}` failed: {message}")]
    ExecPlugin {
        /// Its command.
        command: String,
        /// What it printed on stderr, or why it did not run.
        message: String,
    },
    /// The service account of the pod we run in cannot be used.
    #[error("the service account of this pod cannot be used: {message}")]
    InCluster {
        /// The cause.
        message: String,
    },
    /// `--request-timeout` is no length of time.
    #[error("`{text}` is not a length of time")]
    Timeout {
        /// What was given.
        text: String,
    },
    /// The machine refused (threads, temporary files).
    #[error("this machine refused: {message}")]
    Machine {
        /// The cause.
        message: String,
    },
}

impl ConnectionError {
    /// What a person can do about it.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::NoKubeconfig { .. } => {
                NextStep::Edit("name a kubeconfig with `--kubeconfig FILE` or `KUBECONFIG`".to_owned())
            }
            Self::Unreadable { path, .. } => NextStep::Command(format!("ls -l {path}")),
            Self::Invalid { path, line: Some(line), .. } => NextStep::Edit(format!("correct {path} at line {line}")),
            Self::Invalid { path, line: None, .. } => NextStep::Edit(format!("correct {path}")),
            Self::NoContext { .. } => NextStep::Command("kubectl config use-context NAME".to_owned()),
            Self::UnknownContext { .. } => NextStep::Command("kubectl config get-contexts".to_owned()),
            Self::UnknownCluster { .. } => NextStep::Command("kubectl config get-clusters".to_owned()),
            Self::UnknownUser { .. } => NextStep::Command("kubectl config get-users".to_owned()),
            Self::NoServer { .. } => NextStep::Edit(
                "give a URL such as `https://10.0.0.1:6443`, by `--server` or in the kubeconfig".to_owned(),
            ),
            // Fails the same way, with kubectl's words, until it is put right.
            Self::Credentials { .. } | Self::ExecPlugin { .. } => NextStep::Command("kubectl auth whoami".to_owned()),
            Self::InCluster { .. } => {
                NextStep::Edit("mount the service account's token into the pod, or name a kubeconfig".to_owned())
            }
            Self::Timeout { .. } => NextStep::Edit("write it as `30s`, `2m` or `0` for no limit".to_owned()),
            Self::Machine { .. } => {
                NextStep::Edit("look at limits of processes and at free space for temporary files".to_owned())
            }
        }
    }

    /// How a command ends with it.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::ExecPlugin { .. } | Self::InCluster { .. } | Self::Machine { .. } => ExitCode::Refused,
            _ => ExitCode::Usage,
        }
    }
}

fn list(names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}
