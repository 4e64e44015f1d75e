//! `check`: judge a cluster, a snapshot or manifests by the policies. Writes nothing.

use std::sync::Arc;

use jiff::Timestamp;
use ovncilium_core::ExitCode;
use ovncilium_core::facts::intent::Action;
use ovncilium_core::facts::manifests::{self, Places};
use ovncilium_core::plan::migrate;
use ovncilium_core::report::CheckReport;
use ovncilium_policy_host::{EvaluateOptions, evaluate};

use super::{json, rules};
use crate::cli::{Check, Connection, ReportOutput};
use crate::failure::Failure;
use crate::input::{chart, documents, facts, files, policies};
use crate::ui;

/// Judge, report, and end with what the gate says.
pub fn run(args: &Check, connection: &Connection) -> Result<ExitCode, Failure> {
    let catalog = policies::Sources::read(&args.policies)?.catalog()?;
    let now = Timestamp::now();
    let version = match (&args.chart.chart, &args.cilium_version) {
        (Some(_), _) => Some(chart::open(&args.chart, None)?.version),
        (None, version) => version.clone(),
    };
    let texts = match args.manifests.as_slice() {
        [] => Vec::new(),
        paths => files::read_all(paths, "--manifests")?,
    };
    let (mut facts, places) = match (&args.facts, args.manifests.as_slice()) {
        (Some(file), _) => (facts::from_file(file)?, Places::default()),
        (None, []) => {
            let helm = args.chart.helm.as_deref();
            (facts::live(connection, args.nodes, helm, facts::RELEASE_NAMESPACE)?, Places::default())
        }
        (None, paths) => facts::from_manifests(paths, &texts, now)?,
    };
    if let Some(kube_ovn) = facts.kube_ovn.value.known() {
        kube_ovn.the_one().map_err(migrate::NoPlan::from)?;
    }
    // What cannot be chosen stays open, and the policy that needs it says so.
    let pool = migrate::cluster_pool(&facts, &args.chart.cluster_pool).unwrap_or_default();
    facts::set_intent(&mut facts, Action::Check, version, &pool, now);
    let facts = Arc::new(facts);
    let is_script = |(name, content): &(String, Vec<u8>)| manifests::File { name, content }.is_script();
    let texts: Vec<_> = texts.into_iter().filter(|text| !is_script(text)).collect();
    let report = if texts.is_empty() {
        CheckReport::new(&facts, policies::judge(&catalog, &facts, now))
    } else {
        // What a file brings along is judged with the facts it tells: policies of Cilium, a rendered chart.
        let (evaluation, whereabouts) =
            documents::judge(&texts, &|stream| evaluate(&catalog, &facts, Some(stream), &EvaluateOptions::at(now)))?;
        CheckReport::new(&facts, evaluation).located(whereabouts)
    };
    let report = report.at(&places);
    match args.output {
        ReportOutput::Text => ui::data(&report.text(&ui::Colour, args.all)),
        ReportOutput::Json => ui::data(&json(&report)?),
        ReportOutput::Junit => ui::data(&report.junit()),
        ReportOutput::Sarif => ui::data(&json(&report.sarif(&rules(&catalog, &report.modules)))?),
    }
    Ok(report.exit())
}
