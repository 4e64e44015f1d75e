//! `migrate`: show the plan, ask, carry it out; or go on with the run that the cluster has recorded.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ovncilium_cluster::{Access, KubeCluster, SystemClock};
use ovncilium_core::facts::Facts;
use ovncilium_core::facts::intent::Action;
use ovncilium_core::journal::State;
use ovncilium_core::plan::migrate::NoPlan;
use ovncilium_core::plan::{Kind, Plan, lint, migrate};
use ovncilium_core::policy::{Evaluation, Gate};
use ovncilium_core::report::{CheckReport, PlanReport};
use ovncilium_core::values::own;
use ovncilium_core::{ExitCode, NextStep};
use ovncilium_engine::journal::Store;
use ovncilium_engine::run::{Claim, Ended, claim};
use ovncilium_engine::world::World;
use ovncilium_engine::{Charts, kube_ovn_release};
use ovncilium_policy_host::Catalog;
use serde_json::Value;

use super::plan;
use crate::cli::{Chart, Choose, Connection, Migrate};
use crate::failure::Failure;
use crate::input::{adopt, chart, connection as connect, facts, policies};
use crate::ui;

/// Names of what travels with a plan.
pub const CHART: &str = "chart";
/// The policy modules that are not built in, and the policy file.
pub const POLICIES: &str = "policies";

/// Migrate, or go on.
pub fn run(args: &Migrate, connection: &Connection) -> Result<ExitCode, Failure> {
    let access = connect::resolve(connection)?;
    let cluster = KubeCluster::connect(&access)?;
    let facts = facts::collect(&cluster, &access, args.chart.helm.as_deref(), &args.choose.release_namespace)?;
    let namespace = facts::kube_ovn_namespace(&facts)?;
    if let Some(loaded) = Store::new(&cluster, &namespace).load()?
        && loaded.journal.header.state != State::Done
    {
        trustworthy(&loaded.plan, &namespace, &facts)?;
        let kind = loaded.journal.header.kind;
        if kind != Kind::Migrate {
            return Err(Failure::new(
                ExitCode::Paused,
                format!("a {} is recorded and not finished", kind.noun()),
                NextStep::Command(format!("kubectl ovncilium {}", kind.command())),
            ));
        }
        return resume(args, &access, &cluster, &namespace, loaded.plan, &loaded.journal.header);
    }
    begin(args, &access, &cluster, facts)
}

fn begin(args: &Migrate, access: &Access, cluster: &KubeCluster, collected: Facts) -> Result<ExitCode, Failure> {
    let sources = policies::Sources::read(&args.policies)?;
    let catalog = sources.catalog()?;
    let saved = args.plan.as_deref().map(plan::read).transpose()?;
    let (chart_args, choose) = asked(args, saved.as_ref());
    let own_values = chart::own_values(&args.choose.values)?;
    let run = policies::OfRun { sources: sources.clone(), leave: choose.leave.clone() };
    let mut charts = chart::helm_for(&chart_args, own_values, Some(access), Some(&run))?;
    let (mut collected, mut adopting) = (collected, None);
    if choose.adopt {
        let taken = adopt::look(collected, cluster, access, &*charts, &chart_args, &choose)?;
        charts = chart::helm_for(&chart_args, taken.own_values, Some(access), Some(&run))?;
        (collected, adopting) = (taken.facts, Some(taken.adopting));
    } else {
        kube_ovn_release::read_into(&mut collected, cluster, &*charts);
    }
    let now = Timestamp::now();
    if let Some(saved) = &saved {
        must_fit(saved, &*charts, &collected)?;
    }
    let made = plan::make(collected, &*charts, &chart_args, &choose, adopting, &catalog, now)?;
    // Before the policies, one of which says the same: the cluster refuses, and that has its own exit code.
    migrate::check_permissions(&made.facts)?;
    if let Err(failure) = plan::gate(&made) {
        ui::say(&CheckReport::new(&made.facts, made.evaluation.clone()).text(&ui::Colour, false));
        return Err(failure);
    }
    // A saved plan is only as good as a fresh one: what refuses a plan now refuses it too.
    let plan = match made.plan {
        Ok(fresh) => match saved {
            Some(saved) => match lint::superseded(&saved, &fresh) {
                None => saved,
                Some(broken) => return Err(Failure::of(ExitCode::Paused, &broken, Some(plan_again()))),
            },
            None => fresh,
        },
        Err(NoPlan::AlreadyChained) => {
            ui::say(&NoPlan::AlreadyChained.to_string());
            return Ok(ExitCode::Done);
        }
        Err(error) => return Err(error.into()),
    };
    same_modules(&plan, &catalog)?;
    ui::say(&PlanReport::new(&plan).text(&ui::Colour));
    ask(args.yes, "Carry this plan out?")?;
    let policies = serde_json::to_vec(&sources).map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
    let attachments = BTreeMap::from([(CHART.to_owned(), charts.archive()?), (POLICIES.to_owned(), policies)]);
    let claim = Claim::Begin { plan: &plan, attachments: &attachments };
    carry_out(access, cluster, &*charts, &plan, &catalog, &claim, args)
}

fn plan_again() -> NextStep {
    NextStep::Command("kubectl ovncilium plan --chart CHART --out FILE".to_owned())
}

/// A saved plan must be for this chart and this cluster.
fn must_fit(plan: &Plan, charts: &dyn Charts, facts: &ovncilium_core::facts::Facts) -> Result<(), Failure> {
    if plan.kind != Kind::Migrate {
        return Err(Failure::new(ExitCode::Usage, "the file holds a rollback, not a migration", plan_again()));
    }
    let found = charts.chart()?;
    if found.digest != plan.settings.chart.digest {
        return Err(Failure::new(
            ExitCode::Paused,
            format!(
                "the plan was made for another chart package: {} is planned, {} was given",
                plan.settings.chart.digest, found.digest
            ),
            plan_again(),
        ));
    }
    let cluster = ovncilium_core::plan::migrate::cluster_uid(facts);
    if !plan.cluster.is_empty() && plan.cluster != cluster {
        return Err(
            ovncilium_engine::run::ClaimError::OtherCluster { planned: plan.cluster.clone(), found: cluster }.into()
        );
    }
    let own_values = own::checked(charts.own_values(), &plan.settings)
        .map_err(|error| Failure::of(ExitCode::Usage, &error, None))?;
    if own::digest(&own_values) != plan.settings.own_values {
        return Err(Failure::new(
            ExitCode::Usage,
            "the plan was made with other --values than those given now",
            NextStep::Edit("give the same --values as to `plan`".to_owned()),
        ));
    }
    if let Some(broken) = lint::stale(plan, facts).first() {
        return Err(Failure::of(ExitCode::Paused, broken, Some(plan_again())));
    }
    if Timestamp::now() > plan.expires_at {
        return Err(ovncilium_engine::run::ClaimError::Expired { at: plan.expires_at }.into());
    }
    Ok(())
}

/// The modules that judged a plan must be those that judge its run.
fn same_modules(plan: &Plan, catalog: &Catalog) -> Result<(), Failure> {
    let here: Vec<_> = catalog.digests().into_iter().map(|(_, digest)| digest).collect();
    match plan.modules.iter().find(|pin| !here.contains(&pin.module)) {
        None => Ok(()),
        Some(pin) => Err(Failure::new(
            ExitCode::Paused,
            format!("the plan was judged by `{}` {}, which is not among the modules here", pin.policy, pin.module),
            NextStep::Edit(format!(
                "use ovncilium {} with the same --policy and --config, or make a new plan",
                plan.written_by
            )),
        )),
    }
}

/// What a cluster has recorded is only gone on with if it is a plan of ours for this cluster. One that another version has made may
/// break a promise that this one holds plans to: that is no damage.
pub fn trustworthy(plan: &Plan, namespace: &str, facts: &Facts) -> Result<(), Failure> {
    is_of(plan, namespace, facts)?;
    let Some(broken) = lint::lint(plan).into_iter().next() else { return Ok(()) };
    if is_of_this_version(plan) {
        return Err(damaged(&broken.to_string()));
    }
    Err(Failure::new(
        ExitCode::Paused,
        format!(
            "the plan that is recorded in this cluster was made by ovncilium {}, and {} does not carry it out: {broken}",
            plan.written_by,
            env!("CARGO_PKG_VERSION")
        ),
        NextStep::Edit(match plan.kind {
            Kind::Migrate => back_with_this("rollback", plan),
            Kind::ReplaceKubeProxy => back_with_this("replace-kube-proxy --back", plan),
            kind => format!("go on with ovncilium {}: `kubectl ovncilium {}`", plan.written_by, kind.command()),
        }),
    ))
}

fn back_with_this(command: &str, plan: &Plan) -> String {
    format!("go on with ovncilium {}, or go back with this one: `kubectl ovncilium {command}`", plan.written_by)
}

/// The same where another plan is made with the settings of a recorded one. Of another version's plan nothing else is taken: its order is
/// nobody's any more.
pub fn gives_settings(plan: &Plan, namespace: &str, facts: &Facts) -> Result<(), Failure> {
    match is_of_this_version(plan) {
        true => trustworthy(plan, namespace, facts),
        false => is_of(plan, namespace, facts),
    }
}

/// Whether a recorded plan is for this cluster and its Kube-OVN.
fn is_of(plan: &Plan, namespace: &str, facts: &Facts) -> Result<(), Failure> {
    let cluster = migrate::cluster_uid(facts);
    if plan.settings.namespace != namespace {
        let planned = &plan.settings.namespace;
        return Err(damaged(&format!("it is for a Kube-OVN in {planned}, this one is in {namespace}")));
    }
    if plan.cluster != cluster {
        return Err(damaged(&format!("it is for cluster {}, this is {cluster}", plan.cluster)));
    }
    Ok(())
}

/// Whether a plan was made by the planner of this program.
fn is_of_this_version(plan: &Plan) -> bool {
    plan.written_by == env!("CARGO_PKG_VERSION")
}

fn damaged(why: &str) -> Failure {
    Failure::new(
        ExitCode::Refused,
        format!("the plan that is recorded in this cluster cannot be trusted: {why}"),
        NextStep::Read("docs/runbook.md, \"A damaged journal\"".to_owned()),
    )
}

fn resume(
    args: &Migrate,
    access: &Access,
    cluster: &KubeCluster,
    namespace: &str,
    plan: Plan,
    header: &ovncilium_core::journal::Header,
) -> Result<ExitCode, Failure> {
    ui::say(&format!(
        "run {} is recorded and not finished: it goes on ({} steps in all)",
        header.run, header.steps_total
    ));
    let store = Store::new(cluster, namespace);
    let sources: policies::Sources = match store.attachment(header, POLICIES)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::of(ExitCode::Refused, &error, None))?,
        None => policies::Sources::default(),
    };
    let own_values = chart::own_values(&args.choose.values)?;
    let run = policies::OfRun { sources: sources.clone(), leave: plan.settings.leave.clone() };
    let charts = travelled_chart(&store, header, &args.chart, own_values, access, Some(&run))?;
    let catalog = sources.catalog()?;
    same_modules(&plan, &catalog)?;
    ui::say(&PlanReport::new(&plan).text(&ui::Colour));
    ask(args.yes, "Go on with it?")?;
    carry_out(access, cluster, &*charts, &plan, &catalog, &Claim::Resume { run: &header.run }, args)
}

/// The chart of a recorded run: it travelled with the plan.
pub fn travelled_chart(
    store: &Store<'_>,
    header: &ovncilium_core::journal::Header,
    args: &crate::cli::Chart,
    own_values: Value,
    access: &Access,
    run: Option<&policies::OfRun>,
) -> Result<chart::Helm, Failure> {
    match store.attachment(header, CHART)? {
        Some(archive) => chart::helm_with(&archive, own_values, args.helm.as_deref(), access, run),
        None => chart::helm_for(args, own_values, Some(access), run),
    }
}

/// Chart and choices: those of the saved plan where there is one.
fn asked(args: &Migrate, saved: Option<&Plan>) -> (Chart, Choose) {
    let (mut chart, mut choose) = (args.chart.clone(), args.choose.clone());
    if let Some(plan) = saved {
        let settings = &plan.settings;
        if chart.chart.is_none() {
            chart.chart = Some(settings.chart.location.clone());
            chart.chart_version = Some(settings.chart.version.clone());
        }
        chart.cluster_pool.clone_from(&settings.cluster_pool);
        choose = Choose {
            release: settings.release.clone(),
            release_namespace: settings.release_namespace.clone(),
            wave_limit: settings.wave_limit,
            soak: settings.soak_seconds,
            leave: settings.leave.clone(),
            values: choose.values,
            adopt: settings.adopted.is_some(),
            api_server: settings.kube_proxy.as_ref().map(|proxy| proxy.api_server.clone()),
        };
    }
    (chart, choose)
}

/// Ask, unless told not to.
pub fn ask(yes: bool, question: &str) -> Result<(), Failure> {
    let agreed = if yes { Some(true) } else { ui::confirm(question) };
    match agreed {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::new(
            ExitCode::Usage,
            "not confirmed; nothing was changed",
            NextStep::Command("kubectl ovncilium plan --chart CHART --out FILE".to_owned()),
        )),
        None => Err(Failure::new(
            ExitCode::Usage,
            "there is nobody to ask: stdin is no terminal; nothing was changed",
            NextStep::Edit("add `--yes` where a machine runs this".to_owned()),
        )),
    }
}

fn carry_out(
    access: &Access,
    cluster: &KubeCluster,
    charts: &dyn Charts,
    plan: &Plan,
    catalog: &Catalog,
    what: &Claim<'_>,
    args: &Migrate,
) -> Result<ExitCode, Failure> {
    let clock = SystemClock::new().map_err(|error| Failure::of(ExitCode::Internal, &error, None))?;
    let world = World { cluster, charts, clock: &clock };
    let mut progress = ui::Progress::new();
    let mut tell = |event: ovncilium_engine::events::Event| progress.tell(&event);
    let run =
        claim(world, &plan.settings.namespace, &connect::holder(), what, &mut tell)?.accepting_drops(args.accept_drops);
    let helm = args.chart.helm.as_deref();
    let mut gate = || {
        let namespace = &plan.settings.release_namespace;
        let mut facts = facts::collect(cluster, access, helm, namespace).map_err(|failure| failure.message)?;
        let pool = &plan.settings.cluster_pool;
        let now = Timestamp::now();
        facts::set_intent(&mut facts, Action::Migrate, Some(plan.settings.chart.version.clone()), pool, now);
        opinion(&policies::judge(catalog, &facts.into(), now))
    };
    let ended = run.carry_out(&mut gate, &mut tell)?;
    if ended == Ended::Done && plan.settings.serves_alone() {
        ui::say("\ndone: every node is chained, every pod has its endpoint, Cilium serves policy and Services");
        ui::say(
            "next: `kubectl ovncilium verify`; the way back begins with a kube-proxy: docs/runbook.md, \"Replacing kube-proxy\"",
        );
        return Ok(ExitCode::Done);
    }
    finish(&ended, clock.stopped_by(), "migrate")
}

/// What the policies think of going on.
pub fn opinion(evaluation: &Evaluation) -> Result<(), String> {
    if evaluation.gate() == Gate::Open {
        return Ok(());
    }
    let why: Vec<String> = evaluation
        .findings
        .iter()
        .filter(|f| f.denies() || f.is_open())
        .map(|f| format!("{}: {}", f.id(), f.message))
        .chain(evaluation.faults.iter().map(|fault| format!("{}: {}", fault.policy, fault.message)))
        .take(3)
        .collect();
    Err(format!("the policies stop it: {}", why.join("; ")))
}

/// The last lines, and the exit code.
pub fn finish(ended: &Ended, signal: Option<ExitCode>, command: &str) -> Result<ExitCode, Failure> {
    match ended {
        Ended::Done => {
            ui::say(
                "\ndone: every node is chained, every pod has its endpoint, Kube-OVN handed policy and services over",
            );
            ui::say("next: `kubectl ovncilium verify`; the way back: `kubectl ovncilium rollback`");
            Ok(ExitCode::Done)
        }
        Ended::Paused(reason) => Err(Failure::new(
            ExitCode::Paused,
            format!("paused: {reason}"),
            NextStep::Edit(format!(
                "mend the cause and run `kubectl ovncilium {command}` again: it goes on from here; or `kubectl ovncilium rollback`"
            )),
        )),
        Ended::Stopped => Err(Failure::new(
            signal.unwrap_or(ExitCode::Interrupted),
            "stopped; the journal is intact",
            NextStep::Command(format!("kubectl ovncilium {command}")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use ovncilium_core::facts::{Subject, tools};
    use ovncilium_core::plan::{self, Resource};
    use ovncilium_engine::collect;
    use ovncilium_engine::world::Cluster as _;
    use ovncilium_sim::SimCluster;

    use super::*;

    fn read(sim: &SimCluster) -> Facts {
        let world = sim.world();
        let options =
            collect::Options { context: None, release_namespace: "kube-system".into(), now: world.clock.now() };
        let mut facts = collect::collect(world.cluster, &options).unwrap();
        let helm = tools::Helm { path: "helm".to_owned(), version: Some("v3.19.5".to_owned()) };
        facts.tools = Subject::known(tools::Tools { helm: Some(helm) }, world.clock.now());
        facts
    }

    #[test]
    fn where_kube_proxy_is_not_or_goes_kube_ovn_goes_on_serving() {
        let sim = SimCluster::example(1).unwrap();
        let world = sim.world();
        let catalog = policies::Sources::default().catalog().unwrap();
        let chart = world.charts.chart().unwrap();
        let choices = migrate::Choices { soak_seconds: 0, ..migrate::Choices::default() };
        let plan = migrate::migrate(&read(&sim), &chart, &[], &choices, vec![], world.clock.now()).unwrap();
        let asked = |sim: &SimCluster| {
            let (mut facts, now) = (read(sim), sim.world().clock.now());
            let version = Some(chart.version.clone());
            facts::set_intent(&mut facts, Action::Migrate, version, &plan.settings.cluster_pool, now);
            opinion(&policies::judge(&catalog, &facts.into(), now))
        };
        assert_eq!(asked(&sim), Ok(()));
        let nothing = BTreeMap::new();
        let what = Claim::Begin { plan: &plan, attachments: &nothing };
        let run = claim(world, "kube-system", "somebody", &what, &mut |_| {}).unwrap();
        // It goes when the first nodes are chained.
        let (mut stages, set) = (0, Resource::DAEMON_SETS.named("kube-system", "kube-proxy"));
        let mut gate = || {
            stages += 1;
            if stages == 3 {
                sim.person().delete(&set, None).unwrap();
            }
            asked(&sim)
        };
        let ended = run.carry_out(&mut gate, &mut |_| {}).unwrap();
        let Ended::Paused(reason) = ended else { panic!("it went on: {ended:?}") };
        assert!(reason.contains("service-provider/provider-ready"), "{reason}");
        assert!(sim.nodes().ovn.load_balancer, "nobody else serves");
        let again = asked(&sim).unwrap_err();
        assert!(again.contains("only Kube-OVN's own load balancer serves Services"), "{again}");
    }

    /// A plan for the pretend cluster in which agents enforce before anybody has looked at what they would drop.
    fn unreviewed() -> (Plan, Facts) {
        let sim = SimCluster::example(1).unwrap();
        let (world, facts) = (sim.world(), read(&sim));
        let chart = world.charts.chart().unwrap();
        let choices = migrate::Choices::default();
        let mut plan = migrate::migrate(&facts, &chart, &[], &choices, vec![], world.clock.now()).unwrap();
        assert!(trustworthy(&plan, "kube-system", &facts).is_ok());
        for lane in plan.phases.iter_mut().flat_map(|phase| &mut phase.stages).flat_map(|stage| &mut stage.lanes) {
            lane.steps.retain(|step| step.action != plan::Action::ReviewDrops);
        }
        (plan, facts)
    }

    #[test]
    fn a_recorded_plan_that_breaks_a_promise_is_damaged_if_this_version_has_made_it() {
        let (plan, facts) = unreviewed();
        let failure = trustworthy(&plan, "kube-system", &facts).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Refused);
        assert!(failure.message.contains("cannot be trusted"), "{}", failure.message);
    }

    #[test]
    fn a_recorded_plan_of_another_version_is_told_as_such_with_the_two_ways_on() {
        let (mut plan, facts) = unreviewed();
        plan.written_by = "0.0.9".into();
        let failure = trustworthy(&plan, "kube-system", &facts).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Paused);
        assert!(failure.message.contains("was made by ovncilium 0.0.9"), "{}", failure.message);
        let next = failure.next.unwrap().line();
        assert!(next.contains("ovncilium 0.0.9") && next.contains("kubectl ovncilium rollback"), "{next}");
        let elsewhere = trustworthy(&plan, "other", &facts).unwrap_err();
        assert_eq!(elsewhere.exit, ExitCode::Refused, "another cluster's is never gone on with");
        // The way back of each is a plan of this version.
        plan.kind = Kind::ReplaceKubeProxy;
        let next = trustworthy(&plan, "kube-system", &facts).unwrap_err().next.unwrap().line();
        assert!(next.contains("kubectl ovncilium replace-kube-proxy --back"), "{next}");
    }

    #[test]
    fn a_way_back_takes_the_settings_of_a_plan_that_another_version_has_made() {
        let (mut plan, facts) = unreviewed();
        let refused = gives_settings(&plan, "kube-system", &facts).unwrap_err();
        assert!(refused.message.contains("cannot be trusted"), "it is damaged: {}", refused.message);
        plan.written_by = "0.0.9".into();
        assert!(gives_settings(&plan, "kube-system", &facts).is_ok());
        assert_eq!(gives_settings(&plan, "other", &facts).unwrap_err().exit, ExitCode::Refused);
        plan.cluster = "another".into();
        assert_eq!(gives_settings(&plan, "kube-system", &facts).unwrap_err().exit, ExitCode::Refused);
    }
}
