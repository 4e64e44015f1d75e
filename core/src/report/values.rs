//! The report of `values`: YAML for helm with a comment above each key, or JSON.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::SCHEMA;
use crate::facts::Facts;
use crate::values::explained::{Entry, comment};
use crate::values::{Explained, Made};

/// The report of `values`.
#[derive(Debug, Clone, Serialize)]
pub struct ValuesReport {
    /// Version of this format.
    pub schema: u32,
    /// Version of the chart.
    pub chart: String,
    /// `beside` or `guide`.
    pub layout: &'static str,
    /// Policies are enforced by these values, not only audited.
    pub enforces: bool,
    /// When the facts were collected.
    pub facts: jiff::Timestamp,
    /// The values, as helm reads them.
    pub values: Value,
    /// Each value by its path, with its reason.
    pub why: Vec<Entry>,
    /// What has to be done before helm is called, in order.
    pub before: Vec<String>,
    /// What should be known.
    pub warnings: Vec<String>,
    #[serde(skip)]
    explained: Explained,
}

impl ValuesReport {
    /// The report of what was made of these facts.
    pub fn new(facts: &Facts, made: &Made) -> Self {
        let explained = made.values.minimal();
        Self {
            schema: SCHEMA,
            chart: made.chart.version.to_string(),
            layout: made.layout.name(),
            enforces: made.settled,
            facts: facts.collected_at,
            values: explained.whole(),
            why: explained.entries().to_vec(),
            before: made.before.clone(),
            warnings: made.warnings.clone(),
            explained,
        }
    }

    /// YAML for `helm … -f`.
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        let mode = if self.enforces { "policies enforced" } else { "policies audited" };
        let head = format!(
            "Values of chart cilium {}, layout {}, {mode}; made by ovncilium {} of facts of {}.",
            self.chart,
            self.layout,
            env!("CARGO_PKG_VERSION"),
            self.facts
        );
        comment(&mut out, "", &head);
        comment(
            &mut out,
            "",
            "Give all of them at every upgrade: helm forgets the old ones as soon as one new one is given.",
        );
        for warning in &self.warnings {
            comment(&mut out, "", &format!("WARNING: {warning}."));
        }
        if !self.before.is_empty() {
            let _ = writeln!(out, "#\n# Before:");
        }
        for (number, step) in (1..).zip(&self.before) {
            comment(&mut out, "", &format!("{number}. {step}."));
        }
        out.push('\n');
        out.push_str(&self.explained.yaml());
        out
    }
}
