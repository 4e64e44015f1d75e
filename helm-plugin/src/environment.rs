//! What the process was given: variables, Helm's own command line, whether somebody types on stdin.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use crate::HelmCommand;

/// What the process was given, as a value, so that every decision from it can be tested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Environment variables that are UTF-8.
    pub variables: BTreeMap<String, String>,
    /// The flags of the helm that called us, where they can be seen (Linux).
    pub helm: Option<HelmCommand>,
    /// Nobody pipes a stream into us.
    pub stdin_is_terminal: bool,
}

impl Environment {
    /// Reads it all. Never fails: what cannot be read is absent.
    pub fn current() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: variables.collect(), helm: calling_helm(), stdin_is_terminal: std::io::stdin().is_terminal() }
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether Helm 4 called us: it names the plugin, and throws our stderr away. As a CLI plugin (`helm ovncilium`)
    /// we have a stderr, and `HELM_BIN` is set.
    pub fn stderr_is_swallowed(&self) -> bool {
        self.get("HELM_PLUGIN_NAME").is_some_and(|name| name != "ovncilium") && self.get("HELM_PLUGIN_DIR").is_some()
    }
}

#[cfg(target_os = "linux")]
fn calling_helm() -> Option<HelmCommand> {
    let parent = std::os::unix::process::parent_id();
    let line = std::fs::read(format!("/proc/{parent}/cmdline")).ok()?;
    let words: Vec<_> = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    HelmCommand::read(&words)
}

#[cfg(not(target_os = "linux"))]
fn calling_helm() -> Option<HelmCommand> {
    None
}
