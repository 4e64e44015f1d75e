//! Tables of verdicts: tab-separated, reviewed by hand, compared cell by cell. Nothing writes them but a person.

use std::collections::BTreeMap;
use std::fmt::Write;

use ovncilium_core::policy::{Evaluation, Severity, Verdict};
use ovncilium_policy_host::BUILTINS;

use crate::program::{root, scratch};

/// Rows of named cells; the first `keys` columns name the row.
pub(crate) struct Table {
    keys: usize,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(keys: &[&str], columns: &[&str]) -> Self {
        let columns = keys.iter().chain(columns).map(|column| (*column).to_owned()).collect();
        Self { keys: keys.len(), columns, rows: Vec::new() }
    }

    /// With a column for every built-in policy.
    pub(crate) fn with_policies(mut self) -> Self {
        self.columns.extend(BUILTINS.iter().map(|id| (*id).to_owned()));
        self
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.columns.len(), "{row:?} does not fit {:?}", self.columns);
        self.rows.push(row);
    }

    /// A table of a file below the repository; lines that begin with `#` are remarks.
    pub(crate) fn read(path: &str, keys: usize) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        let columns = cells(lines.next().unwrap_or_else(|| panic!("{path} has no header")));
        let rows: Vec<Vec<String>> = lines.map(cells).collect();
        for row in &rows {
            assert_eq!(row.len(), columns.len(), "{path}: the row {row:?} has {} cells", row.len());
        }
        Self { keys, columns, rows }
    }

    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    fn by_key(&self) -> BTreeMap<String, BTreeMap<&str, &str>> {
        let mut rows = BTreeMap::new();
        for row in &self.rows {
            let cells = self.columns.iter().map(String::as_str).zip(row.iter().map(String::as_str)).collect();
            let key = row[..self.keys].join(" ");
            assert!(rows.insert(key.clone(), cells).is_none(), "the row `{key}` is there twice");
        }
        rows
    }

    fn text(&self) -> String {
        let mut text = self.columns.join("\t") + "\n";
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.join("\t"));
        }
        text
    }

    /// Every cell that is not what the reviewed table says; `whole` when this has all rows of it. What was found is then written
    /// to a file for a person to look at.
    ///
    /// # Panics
    /// With all differences together.
    pub(crate) fn must_be(&self, path: &str, origin: &str, whole: bool) {
        let reviewed = Self::read(path, self.keys);
        let mut wrong = Vec::new();
        for (column, in_table, here) in [("lacks", &reviewed, self), ("has", self, &reviewed)] {
            for missing in here.columns.iter().filter(|name| !in_table.columns.contains(name)) {
                wrong.push(format!("{path} {column} the column `{missing}`"));
            }
        }
        let (expected, found) = (reviewed.by_key(), self.by_key());
        for (key, cells) in &found {
            let Some(row) = expected.get(key) else {
                wrong.push(format!("{path} has no row `{key}`"));
                continue;
            };
            for (column, cell) in cells {
                if let Some(other) = row.get(column).filter(|other| *other != cell) {
                    wrong.push(format!("{path}: row `{key}`, column `{column}`: expected `{other}`, found `{cell}`"));
                }
            }
        }
        for key in expected.keys().filter(|key| whole && !found.contains_key(*key)) {
            wrong.push(format!("{path}: nothing gives the row `{key}`"));
        }
        if wrong.is_empty() {
            return;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let file = scratch().join(format!("{}.{name}", origin.replace(' ', "-")));
        std::fs::write(&file, self.text()).unwrap();
        panic!("{origin}: {} differences; found is {}:\n{}", wrong.len(), file.display(), wrong.join("\n"));
    }
}

/// What one policy said, as a cell: `denied:a,b*3 warned:c pass:8 skip:1`, where `b` was said three times. Rules that hold are
/// counted; rules that do not are named, by what follows. A policy that was not asked is `-`.
pub(crate) fn cell(evaluation: &Evaluation, policy: &str) -> String {
    if let Some(fault) = evaluation.faults.iter().find(|fault| fault.policy == policy) {
        return format!("fault:{:?}", fault.kind);
    }
    if evaluation.modules.iter().all(|module| module.policy.as_str() != policy) {
        return "-".to_owned();
    }
    let mine = || evaluation.findings.iter().filter(|finding| finding.policy.as_str() == policy);
    let mut parts = Vec::new();
    for (word, severity, verdict) in [
        ("denied", Severity::Error, Verdict::Fail),
        ("unknown", Severity::Error, Verdict::Unknown),
        ("warned", Severity::Warning, Verdict::Fail),
        ("unsure", Severity::Warning, Verdict::Unknown),
        ("told", Severity::Info, Verdict::Fail),
        ("untold", Severity::Info, Verdict::Unknown),
    ] {
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in mine().filter(|finding| finding.severity == severity && finding.verdict == verdict) {
            *rules.entry(finding.rule.as_str()).or_default() += 1;
        }
        let named = |(rule, times): (&str, usize)| if times == 1 { rule.to_owned() } else { format!("{rule}*{times}") };
        if !rules.is_empty() {
            parts.push(format!("{word}:{}", rules.into_iter().map(named).collect::<Vec<_>>().join(",")));
        }
    }
    for (word, verdict) in [("pass", Verdict::Pass), ("skip", Verdict::Skip)] {
        match mine().filter(|finding| finding.verdict == verdict).count() {
            0 => {}
            count => parts.push(format!("{word}:{count}")),
        }
    }
    parts.join(" ")
}
