//! `rollback`: a second plan, back to Kube-OVN alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_cluster::{Access, KubeCluster, SystemClock};
use ovncilium_core::facts::Facts;
use ovncilium_core::facts::services::Provider;
use ovncilium_core::journal::State;
use ovncilium_core::plan::{Kind, Plan, Settings, migrate, rollback};
use ovncilium_core::report::PlanReport;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_engine::journal::{Loaded, Store};
use ovncilium_engine::own_values::own_values;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::World;
use ovncilium_engine::{Charts, kube_ovn_release};
use serde_json::Value;

use super::migrate::{CHART, ask, finish, gives_settings, travelled_chart, trustworthy};
use crate::cli::{Chart, Connection, Rollback};
use crate::failure::Failure;
use crate::input::{chart, connection as connect, facts};
use crate::ui;

/// Plan the way back from what is there now, ask, carry it out; or go on with it.
pub fn run(args: &Rollback, connection: &Connection) -> Result<ExitCode, Failure> {
    let access = connect::resolve(connection)?;
    let cluster = KubeCluster::connect(&access)?;
    let facts = facts::collect(&cluster, &access, args.helm.as_deref(), facts::RELEASE_NAMESPACE)?;
    let namespace = facts::kube_ovn_namespace(&facts)?;
    let Some(loaded) = Store::new(&cluster, &namespace).load()? else {
        return Err(Failure::new(
            ExitCode::Usage,
            "no run of ours is recorded in this cluster: there is nothing to roll back",
            NextStep::Command("kubectl ovncilium status".to_owned()),
        ));
    };
    must_have_kube_proxy(&loaded)?;
    match loaded.plan.kind {
        Kind::Rollback => trustworthy(&loaded.plan, &namespace, &facts)?,
        _ => gives_settings(&loaded.plan, &namespace, &facts)?,
    }
    let store = Store::new(&cluster, &namespace);
    let header = loaded.journal.header.clone();
    let flags = Chart { helm: args.helm.clone(), ..Chart::default() };
    let charts = travelled_chart(&store, &header, &flags, Value::Null, &access, None)?;
    if header.kind == Kind::Rollback && header.state != State::Done {
        ui::say(&format!("rollback {} is recorded and not finished: it goes on", header.run));
        ask(args.yes, "Go on with it?")?;
        return carry_out(&cluster, &*charts, &loaded.plan, &Claim::Resume { run: &header.run });
    }
    if header.kind == Kind::Rollback {
        store.clean(None)?;
        ui::say("the last rollback was finished; its journal is removed now");
        return Ok(ExitCode::RolledBack);
    }
    let plan = make(&access, &cluster, &*charts, &loaded, args)?;
    ui::say(&PlanReport::new(&plan).text(&ui::Colour));
    ask(args.yes, "Carry this plan out?")?;
    let attachments = BTreeMap::from([(CHART.to_owned(), charts.archive()?)]);
    carry_out(&cluster, &*charts, &plan, &Claim::Begin { plan: &plan, attachments: &attachments })
}

/// Nothing of Cilium goes while it serves Services instead of kube-proxy, or may do so on some node.
fn must_have_kube_proxy(loaded: &Loaded) -> Result<(), Failure> {
    let header = &loaded.journal.header;
    let what = match (header.kind, header.state) {
        (Kind::ReplaceKubeProxy, State::Done) => "Cilium serves Services instead of kube-proxy",
        (Kind::ReplaceKubeProxy, _) => "kube-proxy is being replaced",
        (Kind::RestoreKubeProxy, State::Running | State::Paused) => "kube-proxy is not wholly back yet",
        _ => return Ok(()),
    };
    Err(Failure::new(
        ExitCode::Paused,
        format!("{what}: without Cilium nobody would serve them; nothing was changed"),
        NextStep::Command("kubectl ovncilium replace-kube-proxy --back".to_owned()),
    ))
}

/// The same where somebody else has replaced kube-proxy, before a takeover or by hand: the facts tell, and where they do not, the plan.
fn must_not_serve_alone(facts: &Facts, recorded: &Settings) -> Result<(), Failure> {
    let services = facts.services.value.known();
    let providers = services.map(|services| services.providers.as_slice()).unwrap_or_default();
    let is_everywhere = |provider: &Provider| {
        provider.kind == "kube-proxy" && provider.desired > 0 && provider.ready >= provider.desired
    };
    let serves = match services {
        Some(_) => providers.iter().any(|provider| provider.kind == "cilium"),
        None => recorded.serves_alone(),
    };
    if !serves || providers.iter().any(is_everywhere) {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Paused,
        "Cilium serves Services, and no kube-proxy is ready on every node: without Cilium nobody would serve them; nothing was changed",
        NextStep::Edit(
            "start a kube-proxy first, until it is ready on every node, then run this again: docs/runbook.md, \"Replacing kube-proxy\""
                .to_owned(),
        ),
    ))
}

fn make(
    access: &Access,
    cluster: &KubeCluster,
    charts: &dyn Charts,
    loaded: &Loaded,
    args: &Rollback,
) -> Result<Plan, Failure> {
    let settings = loaded.plan.settings.clone();
    let mut facts = facts::collect(cluster, access, args.helm.as_deref(), &settings.release_namespace)?;
    kube_ovn_release::read_into(&mut facts, cluster, charts);
    migrate::check_permissions(&facts)?;
    let modules = loaded.plan.modules.clone();
    // A run of kube-proxy follows a migration that is done.
    let migrates = loaded.plan.kind == Kind::Migrate;
    if settings.adopted.is_some() && migrates && !loaded.journal.has_changed(&loaded.plan) {
        return Ok(rollback::forget(&facts, settings, modules, Timestamp::now()));
    }
    must_not_serve_alone(&facts, &settings)?;
    let own_values =
        own_values(charts, &settings, Kind::Rollback).map_err(|error| Failure::of(ExitCode::Refused, &error, None))?;
    // A release that is taken over may still have what our values leave out.
    let found = match &settings.adopted {
        Some(_) => charts.release(&settings.release, &settings.release_namespace)?,
        None => None,
    };
    let now = found.as_ref().map(|release| &release.values);
    let objects = chart::objects(charts, &settings, &own_values, now)?;
    Ok(rollback::rollback(&facts, settings, &objects, modules, Timestamp::now())?)
}

fn carry_out(cluster: &KubeCluster, charts: &dyn Charts, plan: &Plan, what: &Claim<'_>) -> Result<ExitCode, Failure> {
    let clock = SystemClock::new().map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
    let world = World { cluster, charts, clock: &clock };
    let mut progress = ui::Progress::new();
    let mut tell = |event: ovncilium_engine::events::Event| progress.tell(&event);
    let run = claim(world, &plan.settings.namespace, &connect::holder(), what, &mut tell)?;
    let ended = run.carry_out(&mut || Ok(()), &mut tell)?;
    if ended == Ended::Done && plan.phases.is_empty() {
        ui::say("\nforgotten: the run had changed nothing, and the Cilium that is here stays as it is");
        ui::say("next: `kubectl ovncilium plan --adopt --chart CHART`");
        return Ok(ExitCode::RolledBack);
    }
    if ended == Ended::Done {
        ui::say("\nrolled back: Kube-OVN alone serves pods, policy and services, as before");
        ui::say("next: `kubectl ovncilium check`");
        return Ok(ExitCode::RolledBack);
    }
    finish(&ended, clock.stopped_by(), "rollback")
}
