//! `replace-kube-proxy`: have Cilium serve Services instead of kube-proxy, and with `--back` the way back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_cluster::{Access, KubeCluster, SystemClock};
use ovncilium_core::facts::Facts;
use ovncilium_core::facts::services::Provider;
use ovncilium_core::journal::{Header, State};
use ovncilium_core::plan::adopt::FoundRelease;
use ovncilium_core::plan::kube_proxy::{self, Found, NoReplacement};
use ovncilium_core::plan::{Kind, Pace, Plan, Settings, migrate};
use ovncilium_core::report::PlanReport;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_engine::journal::{Loaded, Store};
use ovncilium_engine::own_values::own_values;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::World;
use ovncilium_engine::{Charts, kube_proxy as looked};
use serde_json::Value;

use super::migrate::{CHART, POLICIES, ask, finish, gives_settings, travelled_chart, trustworthy};
use crate::cli::{Chart, Connection, ReplaceKubeProxy};
use crate::failure::Failure;
use crate::input::{chart, connection as connect, facts, policies};
use crate::ui;

/// Plan, show, ask, carry out; or go on with the run that the cluster has recorded.
pub fn run(args: &ReplaceKubeProxy, connection: &Connection) -> Result<ExitCode, Failure> {
    let access = connect::resolve(connection)?;
    let cluster = KubeCluster::connect(&access)?;
    let facts = facts::collect(&cluster, &access, args.helm.as_deref(), facts::RELEASE_NAMESPACE)?;
    let namespace = facts::kube_ovn_namespace(&facts)?;
    let store = Store::new(&cluster, &namespace);
    let Some(loaded) = store.load()? else {
        return Err(Failure::new(
            ExitCode::Usage,
            "no migration of ours is recorded in this cluster: kube-proxy is replaced after one",
            NextStep::Command("kubectl ovncilium migrate --chart CHART".to_owned()),
        ));
    };
    let away = kube_proxy::restore::away_since(&loaded.plan, &loaded.journal, &facts);
    let never = match loaded.plan.settings.serves_alone() {
        true => NoReplacement::FoundReplaced,
        false => NoReplacement::NeverReplaced,
    };
    let way = way(args.back, loaded.journal.header.kind, loaded.journal.header.state, &away, never)?;
    match way {
        Way::GoOn => trustworthy(&loaded.plan, &namespace, &facts)?,
        Way::Replace | Way::BringBack => gives_settings(&loaded.plan, &namespace, &facts)?,
    }
    let job = Job { args, access: &access, cluster: &cluster, store, loaded: &loaded };
    match way {
        Way::GoOn => job.go_on(),
        Way::Replace => job.replace(),
        Way::BringBack => job.bring_back(),
    }
}

/// What is done about the run that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    GoOn,
    Replace,
    BringBack,
}

/// By what is wanted and what is recorded; `away` are nodes that an unfinished way back does not know as such, `never` is why there is nothing
/// to bring back where no replacement is recorded.
fn way(back: bool, kind: Kind, state: State, away: &[String], never: NoReplacement) -> Result<Way, Failure> {
    let unfinished = state != State::Done;
    match (back, kind) {
        (true, Kind::RestoreKubeProxy) if unfinished && !away.is_empty() => {
            ui::say(&format!("not ready since the plan was made: {}; a new one has them last", away.join(", ")));
            Ok(Way::BringBack)
        }
        (true, Kind::RestoreKubeProxy) | (false, Kind::ReplaceKubeProxy) if unfinished => Ok(Way::GoOn),
        (true, Kind::ReplaceKubeProxy) => Ok(Way::BringBack),
        (false, kind) if !unfinished && kind != Kind::Rollback => Ok(Way::Replace),
        (true, _) if !unfinished => Err(never.into()),
        _ => Err(Failure::new(
            ExitCode::Paused,
            format!("a {} is recorded and not finished", kind.noun()),
            NextStep::Command(format!("kubectl ovncilium {}", kind.command())),
        )),
    }
}

/// What every way needs.
struct Job<'j> {
    args: &'j ReplaceKubeProxy,
    access: &'j Access,
    cluster: &'j KubeCluster,
    store: Store<'j>,
    loaded: &'j Loaded,
}

impl Job<'_> {
    fn header(&self) -> &Header {
        &self.loaded.journal.header
    }

    fn sources(&self) -> Result<policies::Sources, Failure> {
        match self.store.attachment(self.header(), POLICIES)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::of(ExitCode::Refused, &error, None)),
            None => Ok(policies::Sources::default()),
        }
    }

    /// Helm with the chart that is installed. What it renders is judged; going back, by its documents alone.
    fn helm(&self, kind: Kind) -> Result<chart::Helm, Failure> {
        let run = policies::OfRun { sources: self.sources()?, leave: self.loaded.plan.settings.leave.clone() };
        let run = Some(&run).filter(|_| !kind.goes_back());
        let flags = Chart { helm: self.args.helm.clone(), chart: self.args.chart.clone(), ..Chart::default() };
        match &flags.chart {
            Some(_) => chart::helm_for(&flags, Value::Null, Some(self.access), run),
            None => travelled_chart(&self.store, self.header(), &flags, Value::Null, self.access, run),
        }
    }

    /// Facts, and kube-proxy as it is; every request of the run must be allowed.
    fn look(&self) -> Result<(Facts, Found), Failure> {
        let namespace = &self.loaded.plan.settings.release_namespace;
        let facts = facts::collect(self.cluster, self.access, self.args.helm.as_deref(), namespace)?;
        migrate::check_permissions(&facts)?;
        let found = looked::look(self.cluster)?;
        migrate::all_allowed(looked::not_allowed(self.cluster, &found)?.iter())?;
        Ok((facts, found))
    }

    /// The recorded settings, with the chart that was named now.
    fn settings(&self, charts: &dyn Charts) -> Result<Settings, Failure> {
        let mut settings = self.loaded.plan.settings.clone();
        if self.args.chart.is_some() {
            settings.chart = charts.chart()?;
        }
        Ok(settings)
    }

    /// That of the migration, or as it was asked for now.
    fn pace(&self) -> Pace {
        let recorded = self.loaded.plan.settings.pace();
        Pace {
            wave_limit: self.args.wave_limit.unwrap_or(recorded.wave_limit),
            soak_seconds: self.args.soak.unwrap_or(recorded.soak_seconds),
        }
    }

    fn replace(&self) -> Result<ExitCode, Failure> {
        let (facts, found) = self.look()?;
        if self.loaded.plan.settings.serves_alone() && serves_alone(&facts) {
            ui::say(&NoReplacement::Replaced.to_string());
            return Ok(ExitCode::Done);
        }
        let charts = self.helm(Kind::ReplaceKubeProxy)?;
        let recorded = self.settings(&*charts)?;
        let release = release(&*charts, &recorded)?;
        let given = self.args.api_server.clone();
        let settings = kube_proxy::replace::settings(&facts, &recorded, &found, release.as_ref(), given)?;
        let now = release.as_ref().map(|release| &release.values);
        let objects = objects(&*charts, &settings, Kind::ReplaceKubeProxy, now)?;
        let modules = self.loaded.plan.modules.clone();
        let (pace, now) = (self.pace(), Timestamp::now());
        let plan = kube_proxy::replace::replace(&facts, settings, &found, pace, &objects, modules, now)?;
        self.begin(&*charts, &plan)
    }

    fn bring_back(&self) -> Result<ExitCode, Failure> {
        let (facts, found) = self.look()?;
        let charts = self.helm(Kind::RestoreKubeProxy)?;
        let recorded = self.settings(&*charts)?;
        let settings = kube_proxy::restore::settings(&recorded)?;
        let release = release(&*charts, &settings)?;
        kube_proxy::replace::same_chart(&settings, release.as_ref())?;
        let now = release.as_ref().map(|release| &release.values);
        let objects = objects(&*charts, &settings, Kind::RestoreKubeProxy, now)?;
        let modules = self.loaded.plan.modules.clone();
        let (pace, now) = (self.pace(), Timestamp::now());
        let plan = kube_proxy::restore::restore(&facts, &recorded, &found, pace, &objects, modules, now)?;
        self.begin(&*charts, &plan)
    }

    fn begin(&self, charts: &dyn Charts, plan: &Plan) -> Result<ExitCode, Failure> {
        let report = PlanReport::new(plan).text(&ui::Colour);
        if self.args.dry_run {
            ui::data(&report);
            return Ok(ExitCode::ChangesPending);
        }
        ui::say(&report);
        ask(self.args.yes, "Carry this plan out?")?;
        let sources =
            serde_json::to_vec(&self.sources()?).map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
        let attachments = BTreeMap::from([(CHART.to_owned(), charts.archive()?), (POLICIES.to_owned(), sources)]);
        self.carry_out(charts, plan, &Claim::Begin { plan, attachments: &attachments })
    }

    fn go_on(&self) -> Result<ExitCode, Failure> {
        let (plan, header) = (&self.loaded.plan, self.header());
        ui::say(&format!("{} {} is recorded and not finished: it goes on", plan.kind.noun(), header.run));
        let charts = self.helm(plan.kind)?;
        let report = PlanReport::new(plan).text(&ui::Colour);
        if self.args.dry_run {
            ui::data(&report);
            return Ok(ExitCode::ChangesPending);
        }
        ui::say(&report);
        let args = self.args;
        if args.api_server.is_some() || args.wave_limit.is_some() || args.soak.is_some() {
            ui::say(
                "--api-server, --wave-limit and --soak are those of the recorded plan; for others: `kubectl ovncilium replace-kube-proxy \
                 --back`, then a new one",
            );
        }
        ask(self.args.yes, "Go on with it?")?;
        self.carry_out(&*charts, plan, &Claim::Resume { run: &header.run })
    }

    fn carry_out(&self, charts: &dyn Charts, plan: &Plan, what: &Claim<'_>) -> Result<ExitCode, Failure> {
        let clock = SystemClock::new().map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
        let world = World { cluster: self.cluster, charts, clock: &clock };
        let mut progress = ui::Progress::new();
        let mut tell = |event: ovncilium_engine::events::Event| progress.tell(&event);
        let run = claim(world, &plan.settings.namespace, &connect::holder(), what, &mut tell)?;
        let ended = run.carry_out(&mut || Ok(()), &mut tell)?;
        match (&ended, plan.kind) {
            (Ended::Done, Kind::ReplaceKubeProxy) => {
                let former = plan.settings.kube_proxy.as_ref().and_then(|proxy| proxy.former.as_ref());
                ui::say(match former.is_some_and(|former| former.distribution.is_some()) {
                    false => {
                        "\ndone: Cilium serves Services on every node; kube-proxy's DaemonSet fits no node, its rules are gone"
                    }
                    true => "\ndone: Cilium serves Services on every node; kube-proxy runs on none",
                });
                ui::say(
                    "next: `kubectl ovncilium verify`; the way back: `kubectl ovncilium replace-kube-proxy --back`",
                );
                Ok(ExitCode::Done)
            }
            (Ended::Done, _) => {
                ui::say("\ndone: kube-proxy serves Services on every node, as before");
                ui::say("next: `kubectl ovncilium verify`");
                Ok(ExitCode::RolledBack)
            }
            (Ended::Paused(reason), kind) => {
                let back = match kind {
                    Kind::ReplaceKubeProxy => "; or `kubectl ovncilium replace-kube-proxy --back`",
                    _ => "",
                };
                Err(Failure::new(
                    ExitCode::Paused,
                    format!("paused: {reason}"),
                    NextStep::Edit(format!(
                        "mend the cause and run `kubectl ovncilium {}` again: it goes on from here{back}",
                        kind.command()
                    )),
                ))
            }
            (Ended::Stopped, kind) => finish(&ended, clock.stopped_by(), kind.command()),
        }
    }
}

fn release(charts: &dyn Charts, settings: &Settings) -> Result<Option<FoundRelease>, Failure> {
    Ok(charts.release(&settings.release, &settings.release_namespace)?.map(FoundRelease::from))
}

/// Whether Cilium serves, and kube-proxy is known to run nowhere.
fn serves_alone(facts: &Facts) -> bool {
    let serves = |one: &Provider| one.kind == "cilium" && one.desired > 0;
    facts
        .services
        .value
        .known()
        .is_some_and(|services| services.providers.iter().any(serves) && services.kube_proxy().is_none())
}

/// Everything the chart makes at any stage of this way, and of what it leaves.
fn objects(
    charts: &dyn Charts,
    settings: &Settings,
    kind: Kind,
    now: Option<&Value>,
) -> Result<Vec<ovncilium_core::plan::ObjectRef>, Failure> {
    let own = own_values(charts, settings, kind).map_err(|error| Failure::of(ExitCode::Refused, &error, None))?;
    chart::objects(charts, settings, &own, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_the_same_way_goes_on_and_a_way_back_begins_at_any_point_of_a_replacement() {
        use Kind::{Migrate, ReplaceKubeProxy, RestoreKubeProxy, Rollback};
        use State::{Done, Paused, Running};
        let chosen = |back, kind, state| {
            way(back, kind, state, &[], NoReplacement::NeverReplaced).map_err(|failure| failure.exit)
        };
        for state in [Running, Paused] {
            assert_eq!(chosen(false, ReplaceKubeProxy, state), Ok(Way::GoOn));
            assert_eq!(chosen(true, RestoreKubeProxy, state), Ok(Way::GoOn));
            assert_eq!(chosen(true, ReplaceKubeProxy, state), Ok(Way::BringBack));
            for (back, kind) in [(false, RestoreKubeProxy), (false, Migrate), (true, Migrate), (true, Rollback)] {
                assert_eq!(chosen(back, kind, state), Err(ExitCode::Paused), "{back} {kind:?}");
            }
        }
        for kind in [Migrate, ReplaceKubeProxy, RestoreKubeProxy] {
            assert_eq!(chosen(false, kind, Done), Ok(Way::Replace));
        }
        assert_eq!(chosen(true, ReplaceKubeProxy, Done), Ok(Way::BringBack));
        for kind in [Migrate, RestoreKubeProxy, Rollback] {
            assert_eq!(chosen(true, kind, Done), Err(ExitCode::Usage), "{kind:?}");
        }
        let away = ["worker-1".to_owned()];
        assert_eq!(way(true, RestoreKubeProxy, Paused, &away, NoReplacement::NeverReplaced).ok(), Some(Way::BringBack));
        assert_eq!(
            way(false, ReplaceKubeProxy, Paused, &away, NoReplacement::NeverReplaced).ok(),
            Some(Way::GoOn),
            "the way there waits"
        );
    }
}
