//! What a rendered chart says, read from its text: no parser of the product's.

use std::collections::BTreeMap;

/// The one-line entries of `data` of the ConfigMap `cilium-config`.
pub(crate) fn cilium_config(stream: &str) -> BTreeMap<String, String> {
    let documents = format!("\n{stream}");
    let document = documents.split("\n---").find(|document| {
        let lines: Vec<_> = document.lines().collect();
        lines.contains(&"kind: ConfigMap") && lines.contains(&"  name: cilium-config")
    });
    let lines = document.unwrap_or_default().lines().skip_while(|line| *line != "data:").skip(1);
    lines
        .take_while(|line| line.is_empty() || line.starts_with([' ', '#']))
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#']))?.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
        .collect()
}
