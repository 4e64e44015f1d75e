//! `values`: the complete, minimal values of the Cilium chart for a cluster. Writes nothing to it.

use ovncilium_core::compat::cilium::{Chart, Layout};
use ovncilium_core::report::ValuesReport;
use ovncilium_core::values::{self, Choices, Request, cluster};
use ovncilium_core::{ExitCode, NextStep};

use super::json;
use crate::cli::{Connection, LayoutChoice, Output, Values};
use crate::failure::Failure;
use crate::input::{chart, facts, files};
use crate::ui;

/// Make and print.
pub fn run(args: &Values, connection: &Connection) -> Result<ExitCode, Failure> {
    let chart = target(args)?;
    let facts = match &args.facts {
        Some(file) => facts::from_file(file)?,
        None => facts::live(connection, args.nodes, args.chart.helm.as_deref(), &args.release_namespace)
            .map_err(or_from_a_file)?,
    };
    let request = Request {
        layout: args.layout.map(|layout| match layout {
            LayoutChoice::Beside => Layout::Beside,
            LayoutChoice::Guide => Layout::Guide,
        }),
        settled: args.settled,
        namespace: args.release_namespace.clone(),
        choices: Choices {
            cluster_pool: args.chart.cluster_pool.clone(),
            uplinks: args.uplink.clone(),
            api_server: args.api_server.clone(),
            replace_kube_proxy: args.replace_kube_proxy,
        },
        conflist: args.conflist.as_deref().map(files::read_text).transpose()?,
    };
    let made = values::make(&facts, chart, &request)?;
    let report = ValuesReport::new(&facts, &made);
    let text = match (args.config_map, &made.config_map, args.output) {
        (true, Some(map), _) => map.clone(),
        (true, None, _) => {
            return Err(Failure::new(
                ExitCode::Usage,
                "layout beside has no ConfigMap: agents find Kube-OVN's network by its name",
                NextStep::Edit("leave `--config-map` away, or ask for `--layout guide`".to_owned()),
            ));
        }
        (false, _, Output::Text) => report.yaml(),
        (false, _, Output::Json) => json(&report)?,
    };
    files::write(&args.file, &text)?;
    for warning in &report.warnings {
        ui::say(&format!("warning: {warning}"));
    }
    if args.file != std::path::Path::new("-") && !args.config_map {
        let file = args.file.display();
        ui::say(&format!(
            "{file} written; next: `helm upgrade --install cilium CHART -n {} -f {file} --post-renderer ovncilium-post-renderer`",
            args.release_namespace
        ));
    }
    Ok(ExitCode::Done)
}

/// A cluster that cannot be read may be known from a snapshot.
fn or_from_a_file(mut failure: Failure) -> Failure {
    let hint = failure.next.as_ref().map(|next| format!("{}; or ", next.line())).unwrap_or_default();
    failure.next =
        Some(NextStep::Edit(format!("{hint}give `--facts FILE`, which `kubectl ovncilium snapshot -f FILE` writes")));
    failure
}

/// The chart that the values are for.
fn target(args: &Values) -> Result<Chart, Failure> {
    match (&args.chart.chart, &args.cilium_version) {
        (Some(_), _) => Ok(cluster::chart_of(&chart::open(&args.chart, None)?)?),
        (None, Some(version)) => Ok(Chart::of(version).map_err(values::NoValues::from)?),
        (None, None) => Err(Failure::new(
            ExitCode::Usage,
            "no chart was named; its version decides which values it reads",
            NextStep::Edit("give `--chart cilium-1.18.12.tgz`, or `--cilium-version 1.18.12`".to_owned()),
        )),
    }
}
