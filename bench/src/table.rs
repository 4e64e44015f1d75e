//! The table: Markdown that is read on a terminal as well.

use std::time::Duration;

use crate::instructions::Count;
use crate::measure::Series;

/// What a row may cost.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) wall: Duration,
    /// Bytes.
    pub(crate) memory: Option<u64>,
}

/// How many times as fast as every peer the post-renderer has to be.
pub(crate) const AHEAD: f64 = 10.0;

/// The rows of this program.
pub(crate) fn budgets(rows: &[(&str, Budget, &Series)], counts: &[Count]) -> String {
    let mut text = String::from(
        "| what | budget | min | median | p90 | CPU | memory | instructions | exit | met |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, budget, series) in rows {
        let memory = budget.memory.map(|bytes| format!(", {}", megabytes(bytes))).unwrap_or_default();
        let count = counts.iter().find(|count| count.row == *name);
        let count = count.map_or_else(|| "-".to_owned(), |count| millions(count.instructions));
        let exit = series.exit().map_or_else(|| "differs".to_owned(), |code| code.to_string());
        text.push_str(&format!(
            "| {name} | {}{memory} | {} | {} | {} | {} | {} | {count} | {exit} | {} |\n",
            ms(budget.wall),
            ms(series.wall(0.0)),
            ms(series.wall(0.5)),
            ms(series.wall(0.9)),
            ms(series.cpu()),
            megabytes(series.memory()),
            met(*budget, series),
        ));
    }
    text
}

/// Whether a budget is met: by the median, by the fastest run alone, or not at all.
fn met(budget: Budget, series: &Series) -> &'static str {
    let lean = budget.memory.is_none_or(|memory| series.memory() <= memory);
    match (series.wall(0.5) <= budget.wall, series.wall(0.0) <= budget.wall) {
        (true, _) if lean => "yes",
        (_, true) if lean => "at its best",
        _ => "**no**",
    }
}

/// The rows of the peers, against `own`.
pub(crate) fn peers(own: &Series, rows: &[(&str, &Series)]) -> String {
    let mut text = String::from(
        "| beside it, in turn | min | median | p90 | CPU | memory | times as long | times the CPU | ahead enough |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, series) in rows {
        let times = |time: Duration, own: Duration| time.as_secs_f64() / own.as_secs_f64().max(1e-9);
        let (ratio, work) = (times(series.wall(0.5), own.wall(0.5)), times(series.cpu(), own.cpu()));
        text.push_str(&format!(
            "| {name} | {} | {} | {} | {} | {} | {ratio:.1} | {work:.1} | {} |\n",
            ms(series.wall(0.0)),
            ms(series.wall(0.5)),
            ms(series.wall(0.9)),
            ms(series.cpu()),
            megabytes(series.memory()),
            if ratio >= AHEAD { "yes" } else { "**no**" },
        ));
    }
    text
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub(crate) fn millions(count: u64) -> String {
    format!("{:.1} M", count as f64 / 1e6)
}
