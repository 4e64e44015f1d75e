//! What a node's runtime has loaded, asked by CRI.

use std::process::Command;

use serde_json::Value;

use crate::error::{Error, Result};

/// What [`loaded`] says of a node's runtime now; `info` is [`super::Lab::runtime_info`].
///
/// # Errors
/// [`Error::Expectation`] when the runtime does not answer.
pub(crate) fn ask(node: &str, info: &[String]) -> Result<String> {
    answer(node, info).map(|status| loaded(&status))
}

/// What a node's runtime answers; `words` are [`super::Lab::crictl`], with an output of JSON.
///
/// # Errors
/// As [`ask`].
pub(crate) fn answer(node: &str, words: &[String]) -> Result<Value> {
    let (program, args) = words.split_first().ok_or_else(|| Error::Expectation("no command to ask with".to_owned()))?;
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|source| Error::Spawn { program: program.clone(), source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Expectation(format!("CRI of {node} does not answer: {}", said.trim())));
    }
    serde_json::from_slice(&output.stdout).map_err(Error::json("`crictl`"))
}

/// The CNI configuration in `crictl info`: its load status, then name and plugins of each network but loopback.
fn loaded(status: &Value) -> String {
    let said = status["lastCNILoadStatus"].as_str().unwrap_or("unknown");
    let networks = status.pointer("/cniconfig/Networks").and_then(Value::as_array).into_iter().flatten();
    let mut words = vec![said.to_lowercase()];
    for network in networks {
        let config = &network["Config"];
        let name = config["Name"].as_str().unwrap_or_default();
        if name == "cni-loopback" {
            continue;
        }
        let plugins = config["Plugins"].as_array().into_iter().flatten();
        let types: Vec<_> = plugins.filter_map(|plugin| plugin["Network"]["type"].as_str()).collect();
        words.push(format!("{name}={}", types.join("+")));
    }
    words.join(" ")
}
