//! What a person or a machine reads: one model per command, all formats from it.
//!
//! Text goes through [`Paint`], which knows labels (good, bad, dim …) and not colours, so that everything is understandable without.

mod check;
mod junit;
mod lint;
mod located;
mod paint;
mod plan;
mod sarif;
mod status;
mod values;
mod verify;

pub use check::CheckReport;
pub use lint::{Duplicate, LintReport, Linted};
pub use located::{Located, Problem, Whereabouts};
pub use paint::{Label, Paint, Plain};
pub use plan::PlanReport;
pub use sarif::RuleText;
pub use status::StatusReport;
pub use values::ValuesReport;
pub use verify::VerifyReport;

/// Version of all JSON reports.
pub const SCHEMA: u32 = 1;

/// A duration as people say it: `45s`, `3m10s`, `2h05m`.
pub fn duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
