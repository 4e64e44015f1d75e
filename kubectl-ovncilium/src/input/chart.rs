//! The chart, and the helm that drives it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ovncilium_cluster::helm::{ChartSource, HelmCli, HelmOptions, PostRenderer};
use ovncilium_cluster::{Access, KubeCluster};
use ovncilium_core::plan::adopt::Adopting;
use ovncilium_core::plan::{ChartRef, ObjectRef, ReleaseStage, Settings, migrate, values};
use ovncilium_core::render::Stream;
use ovncilium_core::values::own;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_engine::Charts;
use serde_json::Value;

use super::policies::OfRun;
use crate::cli::{Chart, Choose};
use crate::failure::Failure;

/// Helm with one chart, and what it needs on disk while it lives.
pub struct Helm {
    cli: HelmCli,
    _directory: tempfile::TempDir,
}

impl std::ops::Deref for Helm {
    type Target = HelmCli;

    fn deref(&self) -> &HelmCli {
        &self.cli
    }
}

/// Helm for the chart that the flags name, with the operator's own values; what it renders for a run is judged by the
/// built-in modules and those of `run`.
///
/// # Errors
/// No chart was named; no temporary directory.
pub fn helm_for(
    args: &Chart,
    own_values: Value,
    access: Option<&Access>,
    run: Option<&OfRun>,
) -> Result<Helm, Failure> {
    let Some(location) = &args.chart else {
        return Err(Failure::new(
            ExitCode::Usage,
            "no chart was named",
            NextStep::Edit("give `--chart` a package of Cilium's chart, such as cilium-1.18.12.tgz".to_owned()),
        ));
    };
    let source = ChartSource::Location { location: location.clone(), version: args.chart_version.clone(), repo: None };
    open_helm(source, own_values, args.helm.as_deref(), access, run)
}

/// As [`helm_for`], where nothing is installed.
///
/// # Errors
/// As [`helm_for`].
pub fn helm(args: &Chart, access: Option<&Access>) -> Result<Helm, Failure> {
    helm_for(args, Value::Null, access, None)
}

/// Helm for a chart that travelled with a plan.
///
/// # Errors
/// No temporary directory.
pub fn helm_with(
    archive: &[u8],
    own_values: Value,
    helm: Option<&Path>,
    access: &Access,
    run: Option<&OfRun>,
) -> Result<Helm, Failure> {
    let source = ChartSource::Archive { location: "the recorded run".to_owned(), bytes: archive.to_vec() };
    open_helm(source, own_values, helm, Some(access), run)
}

fn open_helm(
    source: ChartSource,
    own_values: Value,
    helm: Option<&Path>,
    access: Option<&Access>,
    run: Option<&OfRun>,
) -> Result<Helm, Failure> {
    let mut options = HelmOptions::new(source);
    options.helm = helm.map(Path::to_owned);
    options.own_values = own_values;
    let directory = private_directory()?;
    if let Some(access) = access {
        let cluster = KubeCluster::connect(access)?;
        options.access = Some(access.for_helm().clone());
        options.kube_version = Some(cluster.version()?);
        options.cluster = Some(cluster);
        options.post_renderer = Some(post_renderer(run, helm, directory.path())?);
    }
    Ok(Helm { cli: HelmCli::new(options)?, _directory: directory })
}

/// Ourselves as the post-renderer of what a run installs; the organisation's modules, and the pods that it leaves, go along in a private file.
fn post_renderer(run: Option<&OfRun>, helm: Option<&Path>, directory: &Path) -> Result<PostRenderer, Failure> {
    let executable = std::env::current_exe().map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
    // The way back must not hang on the health of what it leaves: there the documents alone are judged.
    let mode = if run.is_some() { "--mode=plan" } else { "--offline" };
    let mut args = vec!["post-render".to_owned(), mode.to_owned()];
    args.extend(helm.map(|helm| format!("--helm={}", helm.display())));
    if let Some(run) = run {
        let file = directory.join("run.json");
        let text = serde_json::to_string(run).map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
        super::files::write(&file, &text)?;
        args.push(format!("--run={}", file.display()));
    }
    Ok(PostRenderer { executable, args })
}

fn private_directory() -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new()
        .prefix("ovncilium-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .tempdir()
        .map_err(|error| Failure::of(ExitCode::Refused, &error, None))
}

/// The chart alone, opened.
///
/// # Errors
/// As [`helm`]; a chart that cannot be read.
pub fn open(args: &Chart, access: Option<&Access>) -> Result<ChartRef, Failure> {
    Ok(helm(args, access)?.chart()?)
}

/// The operator's own values from the files of `--values`; what a later file says wins. `Null` without files.
///
/// # Errors
/// A file that cannot be read, or that is not one map.
pub fn own_values(files: &[PathBuf]) -> Result<Value, Failure> {
    let mut all = Value::Null;
    for file in files {
        let bytes = super::files::read(file)?;
        let wrong = |why: String| {
            Failure::new(
                ExitCode::Usage,
                format!("{}: {why}", file.display()),
                NextStep::Edit("write values as for `helm --values`".to_owned()),
            )
        };
        let stream = Stream::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
        for document in stream.documents() {
            let value = document.value();
            if !value.is_object() {
                return Err(wrong("these are no values: a map is needed".to_owned()));
            }
            all = own::merged(&all, value);
        }
    }
    Ok(own::pruned(all))
}

/// What the command line chooses.
pub fn choices(chart: &Chart, choose: &Choose, adopt: Option<Adopting>) -> migrate::Choices {
    migrate::Choices {
        release: choose.release.clone(),
        release_namespace: choose.release_namespace.clone(),
        cluster_pool: chart.cluster_pool.clone(),
        wave_limit: choose.wave_limit,
        soak_seconds: choose.soak,
        leave: choose.leave.clone(),
        own_values: None,
        adopt,
    }
}

/// Everything the chart makes at any stage of a run with the operator's own values, and of those that a release has `now`.
///
/// # Errors
/// The chart does not render.
pub fn objects(
    charts: &dyn Charts,
    settings: &Settings,
    own_values: &Value,
    now: Option<&Value>,
) -> Result<Vec<ObjectRef>, Failure> {
    let mut all: Vec<Value> = now.cloned().into_iter().collect();
    for stage in [ReleaseStage::Staged, ReleaseStage::Everywhere, ReleaseStage::Settled] {
        let ours = values::values(settings, stage).map_err(|error| Failure::of(ExitCode::Usage, &error, None))?;
        all.push(own::merged(own_values, &ours));
    }
    let mut objects = BTreeSet::new();
    for values in all {
        let text = charts.render(&settings.release, &settings.release_namespace, &values)?;
        let stream = Stream::parse(text.as_bytes()).map_err(|error| Failure::of(ExitCode::Refused, &error, None))?;
        for document in stream.documents() {
            for object in document.objects() {
                let namespace = object.namespace.unwrap_or(&settings.release_namespace);
                objects.insert(ObjectRef::guess(object.api_version, object.kind, namespace, object.name));
            }
        }
    }
    Ok(objects.into_iter().collect())
}
