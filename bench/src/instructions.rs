//! Instructions that each row executes, counted by callgrind: nearly the same on a busy machine as on an idle one.
//!
//! They are those of valgrind's processor, which has neither SHA instructions nor AVX-512; so they compare two builds of
//! this program, not a row with its wall time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::Case;

/// Growth that is told as a regression, in percent.
const TOLERANCE: u64 = 10;

/// One row of the record.
pub(crate) struct Count {
    pub(crate) row: String,
    pub(crate) instructions: u64,
}

fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.tsv")
}

/// Counts the instructions of one warm run of each case, or of a cold one where the case is cold.
///
/// # Errors
/// valgrind is missing, or a case does not run under it.
pub(crate) fn count(cases: &[&Case], work: &Path) -> Result<Vec<Count>, String> {
    let one = |case: &&Case| {
        let file = work.join("callgrind.out");
        // Compiled code depends on the processor, so valgrind's needs a run of its own to fill the cache.
        for _ in 0..if case.cold { 1 } else { 2 } {
            let failed = |error: std::io::Error| format!("{}: {error}", case.name);
            case.command().map_err(failed)?;
            let mut valgrind = Command::new("valgrind");
            valgrind.args(["--tool=callgrind", "--quiet"]);
            valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(&case.program);
            let mut valgrind = case.wrapped(valgrind);
            // valgrind finds its tools by the path.
            valgrind.env("PATH", std::env::var_os("PATH").unwrap_or_default());
            valgrind.stdin(case.stdin().map_err(failed)?).stdout(Stdio::null());
            let status = valgrind
                .status()
                .map_err(|error| format!("valgrind cannot be run: {error}; install it (Debian: valgrind)"))?;
            if status.code() != Some(0) && status.code() != Some(3) && status.code() != Some(4) {
                return Err(format!("{} does not run under valgrind: {status}", case.name));
            }
        }
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
        let instructions = totals.ok_or_else(|| format!("{}: callgrind told no total", case.name))?;
        Ok(Count { row: case.name.to_owned(), instructions })
    };
    cases.iter().map(one).collect()
}

/// Writes the record.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(counts: &[Count]) -> Result<(), String> {
    let mut text = String::from("row\tinstructions\n");
    for count in counts {
        text.push_str(&format!("{}\t{}\n", count.row, count.instructions));
    }
    fs::write(record(), text).map_err(|error| format!("{}: {error}", record().display()))
}

/// The record.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read() -> Result<Vec<Count>, String> {
    let text = fs::read_to_string(record()).map_err(|error| format!("{}: {error}", record().display()))?;
    let row = |line: &str| {
        let (row, number) = line.split_once('\t')?;
        Some(Count { row: row.to_owned(), instructions: number.parse().ok()? })
    };
    text.lines().skip(1).map(|line| row(line).ok_or_else(|| format!("instructions.tsv: `{line}`"))).collect()
}

/// A line for each row, and whether all are within the tolerance of the record.
pub(crate) fn compare(recorded: &[Count], counted: &[Count]) -> (String, bool) {
    let mut text = String::new();
    let mut held = true;
    for count in counted {
        let before = recorded.iter().find(|other| other.row == count.row);
        let verdict = match before.map(|before| before.instructions) {
            None => {
                held = false;
                "is not in the record".to_owned()
            }
            Some(before) => {
                let change = percent(before, count.instructions);
                let grown = count.instructions > before + before * TOLERANCE / 100;
                held &= !grown;
                format!("{change:+.1} %{}", if grown { ": a regression" } else { "" })
            }
        };
        text.push_str(&format!("{:<28} {:>14}  {verdict}\n", count.row, count.instructions));
    }
    (text, held)
}

#[expect(clippy::cast_precision_loss, reason = "percent with one digit")]
fn percent(before: u64, now: u64) -> f64 {
    (now as f64 / before.max(1) as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::millions;

    fn counts(instructions: u64) -> Vec<Count> {
        vec![Count { row: "version".to_owned(), instructions }]
    }

    /// The table is printed from the record; who writes one anew writes the other.
    #[test]
    fn the_published_table_has_the_recorded_numbers() {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
        let recorded = read().unwrap();
        assert!(recorded.len() > 3, "{} rows", recorded.len());
        for count in recorded {
            let line = page.lines().find(|line| line.starts_with(&format!("| {} |", count.row)));
            let line = line.unwrap_or_else(|| panic!("`{}` is not in the table", count.row));
            let number = format!(" {} ", millions(count.instructions));
            assert!(line.split('|').any(|cell| cell == number), "{line} has not{number}");
        }
    }

    #[test]
    fn growth_beyond_the_tolerance_and_rows_without_a_record_are_told() {
        assert!(compare(&counts(1000), &counts(1100)).1);
        assert!(compare(&counts(1000), &counts(500)).1);
        let (text, held) = compare(&counts(1000), &counts(1101));
        assert!(!held && text.contains("+10.1 %: a regression"), "{text}");
        assert!(!compare(&[], &counts(1)).1);
    }
}
