//! `migrate --rehearse`: the same policies, planner and engine on a pretend cluster. Nothing real is touched.

use std::collections::BTreeMap;
use std::time::Duration;

use ovncilium_core::ExitCode;
use ovncilium_core::facts::intent::Action;
use ovncilium_core::facts::{Facts, Source, Subject, tools};
use ovncilium_core::report::{CheckReport, PlanReport, duration};
use ovncilium_core::values::cluster::KUBE_OVN_NETWORK;
use ovncilium_engine::collect;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_sim::SimCluster;

use super::migrate::{CHART, finish, opinion};
use super::plan;
use crate::cli::{Chart, Migrate};
use crate::failure::Failure;
use crate::input::{adopt, facts, policies};
use crate::ui;

/// Show the whole: check, plan, run, report.
pub fn run(args: &Migrate) -> Result<ExitCode, Failure> {
    let sources = policies::Sources::read(&args.policies)?;
    let catalog = sources.catalog()?;
    let sim = match args.choose.adopt {
        false => SimCluster::example(args.seed),
        true => SimCluster::half_guided(args.seed, KUBE_OVN_NETWORK),
    };
    let sim = sim.map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
    let world = sim.world();
    let collect = || -> Result<Facts, Failure> {
        let options = collect::Options {
            context: None,
            release_namespace: args.choose.release_namespace.clone(),
            now: world.clock.now(),
        };
        let mut facts = collect::collect(world.cluster, &options)?;
        facts.source = Source::Rehearsal;
        facts.tools = Subject::known(tools::Tools { helm: Some(pretend_helm()) }, world.clock.now());
        Ok(facts)
    };
    let mut first = collect()?;
    let mut adopting = None;
    if args.choose.adopt {
        facts::look_with(&mut first, world.cluster, world.clock)?;
        adopting = Some(adopt::ask(world.charts, world.cluster, &first, &args.choose)?);
    }
    let nodes = first.nodes.value.known().map_or(0, |nodes| nodes.items.len());
    ui::say(&format!("rehearsal on a pretend cluster of {nodes} nodes, seed {}; nothing real is touched\n", args.seed));
    let chart_args = Chart { cluster_pool: args.chart.cluster_pool.clone(), ..Chart::default() };
    let made = plan::make(first, world.charts, &chart_args, &args.choose, adopting, &catalog, world.clock.now())?;
    ui::say(&CheckReport::new(&made.facts, made.evaluation.clone()).text(&ui::Colour, false));
    plan::gate(&made)?;
    let plan = made.plan?;
    ui::say(&PlanReport::new(&plan).text(&ui::Colour));
    let attachments = BTreeMap::from([(CHART.to_owned(), world.charts.archive()?)]);
    let mut progress = ui::Progress::new();
    let mut tell = |event: ovncilium_engine::events::Event| progress.tell(&event);
    let claim_what = Claim::Begin { plan: &plan, attachments: &attachments };
    let began = world.clock.since_boot();
    let run = claim(world, &plan.settings.namespace, "rehearsal", &claim_what, &mut tell)?;
    let mut gate = || {
        let mut facts = collect().map_err(|failure| failure.message)?;
        let version = Some(plan.settings.chart.version.clone());
        facts::set_intent(&mut facts, Action::Migrate, version, &plan.settings.cluster_pool, world.clock.now());
        opinion(&policies::judge(&catalog, &facts.into(), world.clock.now()))
    };
    let ended = run.carry_out(&mut gate, &mut tell)?;
    if ended != Ended::Done {
        return finish(&ended, None, "migrate --rehearse");
    }
    report(&collect()?, world.clock.since_boot().saturating_sub(began));
    Ok(ExitCode::Done)
}

fn pretend_helm() -> tools::Helm {
    tools::Helm { path: "(pretend)".to_owned(), version: Some("v3.19.5".to_owned()) }
}

fn report(facts: &Facts, took: Duration) {
    let status = ovncilium_core::report::StatusReport::new(None, None, facts).cluster;
    let word = |on: Option<bool>| on.map_or("unknown", |on| if on { "on" } else { "off" });
    ui::data(&format!(
        "\nrehearsal report\n  cilium                    {}\n  agents ready              {} of {}\n  pods with endpoint        {} of {}\n  kube-ovn network policy   {}\n  kube-ovn load balancer    {}\n  pretend time              {}\n",
        status.cilium.as_deref().unwrap_or("not installed"),
        status.agents_ready,
        status.nodes,
        status.pods_with_endpoint,
        status.pods,
        word(status.kube_ovn_network_policy),
        word(status.kube_ovn_load_balancer),
        duration(took),
    ));
    ui::say("\ndone; next: `kubectl ovncilium check` on your own cluster");
}
