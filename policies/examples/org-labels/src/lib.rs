//! Example of an organisation's own policy: every node carries the labels that the settings ask for.
//!
//! Settings: `labels: {owner: [team-a, team-b], site: []}`. An empty list allows any value.

use std::collections::BTreeMap;

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const RULE: &str = "node-labels";

/// The policy; what it holds is told by [`Policy::info`].
pub struct OrgLabels;
export_policy!(OrgLabels);

/// What the organisation asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Label to allowed values.
    labels: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Node {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Policy for OrgLabels {
    type Settings = Settings;

    fn info() -> Info {
        Info::new("org-labels", env!("CARGO_PKG_VERSION"), "nodes carry the organisation's labels")
            .scope(ScopeKind::Cluster)
            .fact("nodes")
            .rule(Rule::error(RULE, "every node carries the labels the organisation asks for").help(
                "Whoever is paged for a node is found by its labels. Add the label before the node's network changes.",
            ))
            .settings_schema(
                r#"{"type":"object","required":["labels"],"additionalProperties":false,"properties":{"labels":{"type":"object","additionalProperties":{"type":"array","items":{"type":"string"}}}}}"#,
            )
    }

    fn validate(settings: &Settings) -> Result<(), Vec<SettingsError>> {
        if settings.labels.is_empty() {
            let message = "name at least one label".to_owned();
            return Err(vec![SettingsError { pointer: "/labels".to_owned(), message }]);
        }
        Ok(())
    }

    fn check(settings: &Settings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let nodes: Vec<Node> = match context.facts.require("nodes", "/items") {
            Ok(nodes) => nodes,
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        let mut findings = Vec::new();
        for node in &nodes {
            for (label, allowed) in &settings.labels {
                let finding = match node.labels.get(label) {
                    None => Finding::fail(RULE, format!("{} has no label {label}", node.name)),
                    Some(value) if !allowed.is_empty() && !allowed.contains(value) => Finding::fail(
                        RULE,
                        format!("{} has {label}={value}; allowed are {}", node.name, allowed.join(", ")),
                    ),
                    Some(_) => continue,
                };
                let value = allowed.first().map_or("VALUE", String::as_str);
                findings.push(
                    finding
                        .subject(format!("node/{}", node.name))
                        .remedy(format!("kubectl label --overwrite node {} {label}={value}", node.name)),
                );
            }
        }
        if findings.is_empty() {
            findings.push(Finding::pass(RULE).message(format!("all {} nodes carry them", nodes.len())));
        }
        Ok(findings)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::OrgLabels>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
