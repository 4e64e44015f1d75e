//! `plan`: what a migration would do. Writes nothing to the cluster.

use std::sync::Arc;

use jiff::Timestamp;
use ovncilium_cluster::KubeCluster;
use ovncilium_core::facts::intent::Action;
use ovncilium_core::plan::adopt::Adopting;
use ovncilium_core::plan::migrate::NoPlan;
use ovncilium_core::plan::{Plan, lint, migrate};
use ovncilium_core::policy::{Evaluation, Gate};
use ovncilium_core::report::{CheckReport, PlanReport};
use ovncilium_core::values::own;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_engine::{Charts, kube_ovn_release};

use super::json;
use crate::cli::{Chart, Choose, Connection, Output, PlanArgs};
use crate::failure::Failure;
use crate::input::{adopt, chart, connection as connect, facts, files, policies};
use crate::ui;

/// Plan and show.
pub fn run(args: &PlanArgs, connection: &Connection) -> Result<ExitCode, Failure> {
    let catalog = policies::Sources::read(&args.policies)?.catalog()?;
    let mut facts = match &args.facts {
        Some(file) => facts::from_file(file)?,
        None => facts::live(connection, false, args.chart.helm.as_deref(), &args.choose.release_namespace)?,
    };
    let access = if args.facts.is_some() { None } else { Some(connect::resolve(connection)?) };
    let own_values = chart::own_values(&args.choose.values)?;
    let mut charts = chart::helm_for(&args.chart, own_values, access.as_ref(), None)?;
    let mut adopting = None;
    if let Some(access) = &access {
        let cluster = KubeCluster::connect(access)?;
        if args.choose.adopt {
            let taken = adopt::look(facts, &cluster, access, &*charts, &args.chart, &args.choose)?;
            charts = chart::helm_for(&args.chart, taken.own_values, Some(access), None)?;
            (facts, adopting) = (taken.facts, Some(taken.adopting));
        } else {
            kube_ovn_release::read_into(&mut facts, &cluster, &*charts);
        }
    }
    let made = make(facts, &*charts, &args.chart, &args.choose, adopting, &catalog, Timestamp::now())?;
    if let Err(failure) = gate(&made) {
        ui::say(&CheckReport::new(&made.facts, made.evaluation.clone()).text(&ui::Colour, false));
        return Err(failure);
    }
    let plan = match made.plan {
        Ok(plan) => plan,
        Err(NoPlan::AlreadyChained) => {
            ui::say(&NoPlan::AlreadyChained.to_string());
            return Ok(ExitCode::Done);
        }
        Err(error) => return Err(error.into()),
    };
    let report = PlanReport::new(&plan);
    match args.output {
        Output::Text => ui::data(&report.text(&ui::Colour)),
        Output::Json => ui::data(&json(&report)?),
    }
    if let Some(file) = &args.out {
        files::write(file, &json(&plan)?)?;
        ui::say(&format!(
            "plan written to {0}; next: `kubectl ovncilium migrate --plan {0} --chart …`",
            file.display()
        ));
    }
    Ok(ExitCode::ChangesPending)
}

/// What judging and planning gave.
pub struct Made {
    /// The facts, with the intent of this plan.
    pub facts: Arc<ovncilium_core::facts::Facts>,
    /// What the policies said.
    pub evaluation: Evaluation,
    /// The plan or why there is none.
    pub plan: Result<Plan, NoPlan>,
}

/// Judge first, then plan: from facts and a chart alone.
///
/// # Errors
/// A chart that does not render.
pub fn make(
    mut facts: ovncilium_core::facts::Facts,
    charts: &dyn Charts,
    chart_args: &Chart,
    choose: &Choose,
    adopting: Option<Adopting>,
    catalog: &ovncilium_policy_host::Catalog,
    now: Timestamp,
) -> Result<Made, Failure> {
    let reference = charts.chart()?;
    let release = adopting.as_ref().and_then(|adopting| adopting.release.as_ref());
    let values_now = release.map(|release| release.values.clone());
    let mut choices = chart::choices(chart_args, choose, adopting);
    migrate::check(&facts, &reference)?;
    let settings = match migrate::settings(&facts, &reference, &choices) {
        // Why nothing is taken over says more than what policies make of a plan that there is not.
        Err(error @ (NoPlan::NotAdoptable(_) | NoPlan::Services(_))) => return Err(error.into()),
        settings => settings,
    };
    let pool = match &settings {
        Ok(settings) => settings.cluster_pool.clone(),
        Err(_) => migrate::cluster_pool(&facts, &choices.cluster_pool).unwrap_or_default(),
    };
    facts::set_intent(&mut facts, Action::Migrate, Some(reference.version.clone()), &pool, now);
    let facts = Arc::new(facts);
    let evaluation = policies::judge(catalog, &facts, now);
    let plan = match settings {
        Err(error) => Err(error),
        Ok(settings) => {
            let own_values = own::checked(charts.own_values(), &settings).map_err(|error| {
                let next =
                    NextStep::Edit("take the key out of the file; `kubectl ovncilium values` explains it".to_owned());
                Failure::of(ExitCode::Usage, &error, Some(next))
            })?;
            choices.own_values = own::digest(&own_values);
            let objects = chart::objects(charts, &settings, &own_values, values_now.as_ref())?;
            migrate::migrate(&facts, &reference, &objects, &choices, policies::pins(&evaluation), now)
        }
    };
    Ok(Made { facts, evaluation, plan })
}

/// Whether the policies let this plan through.
///
/// # Errors
/// The gate's exit code.
pub fn gate(made: &Made) -> Result<(), Failure> {
    let gate = made.evaluation.gate();
    if gate == Gate::Open {
        return Ok(());
    }
    let message = if gate == Gate::Denied { "the policies deny it" } else { "the policies could not judge" };
    Err(Failure::new(
        gate.exit_code(),
        format!("{message}; nothing was changed"),
        NextStep::Command("kubectl ovncilium check".to_owned()),
    ))
}

/// A saved plan, refused when it breaks a promise.
///
/// # Errors
/// Not a plan, a newer one, or one that lint refuses.
pub fn read(path: &std::path::Path) -> Result<Plan, Failure> {
    let text = files::read_text(path)?;
    let plan: Plan = serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            format!("{} is no plan of this version: {error}", path.display()),
            NextStep::Command("kubectl ovncilium plan --chart CHART --out FILE".to_owned()),
        )
    })?;
    match lint::lint(&plan).first() {
        None => Ok(plan),
        Some(broken) => Err(Failure::of(
            ExitCode::Usage,
            broken,
            Some(NextStep::Command("kubectl ovncilium plan --chart CHART --out FILE".to_owned())),
        )),
    }
}
