//! `lint`: judge rendered manifests that lie in Git, where no post-renderer can run. Writes nothing.

use std::time::Duration;

use jiff::Timestamp;
use ovncilium_core::facts::Facts;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_helm_plugin::{Mode, Rendered, lint, offline, stale};
use ovncilium_policy_host::{EvaluateOptions, evaluate};

use super::{json, rules};
use crate::cli::{Connection, Lint, ReportOutput};
use crate::failure::Failure;
use crate::input::{facts, files, policies};
use crate::ui;

/// Judge, report, and end with what the gate says.
pub fn run(args: &Lint, connection: &Connection) -> Result<ExitCode, Failure> {
    let catalog = policies::Sources::read(&args.policies)?.catalog()?;
    let now = Timestamp::now();
    let texts = files::read_all(&args.files, "--filename")?;
    let rendered: Vec<Rendered<'_>> = texts.iter().map(|(name, content)| Rendered { name, content }).collect();
    let (mode, facts) = facts(args, connection, now)?;
    let report = lint(&rendered, facts, mode, &|facts, stream| {
        evaluate(&catalog, facts, Some(stream), &EvaluateOptions::at(now))
    });
    match args.output {
        ReportOutput::Text => ui::data(&report.text(&ui::Colour, args.all)),
        ReportOutput::Json => ui::data(&json(&report)?),
        ReportOutput::Junit => ui::data(&report.junit()),
        ReportOutput::Sarif => ui::data(&json(&report.sarif(&rules(&catalog, &report.modules)))?),
    }
    Ok(report.exit())
}

/// None unless a snapshot or a cluster was named: a pipeline must not depend on whatever kubeconfig lies about.
fn facts(args: &Lint, connection: &Connection, now: Timestamp) -> Result<(Mode, Facts), Failure> {
    if let Some(file) = &args.facts {
        let facts = facts::from_file(file)?;
        let max_age = Duration::from_secs(args.max_age.saturating_mul(60));
        return match stale(&facts, file, max_age, now) {
            None => Ok((Mode::Gate, facts)),
            Some(cause) => Err(Failure::new(
                ExitCode::CouldNotJudge,
                cause,
                NextStep::Edit(
                    "collect it anew with `kubectl ovncilium snapshot -f FILE`, or allow more with `--max-age MINUTES`"
                        .to_owned(),
                ),
            )),
        };
    }
    let named = connection.context.is_some() || connection.kubeconfig.is_some() || connection.server.is_some();
    if named {
        return Ok((Mode::Gate, facts::live(connection, false, None, facts::RELEASE_NAMESPACE)?));
    }
    Ok((Mode::Offline, offline(now)))
}
