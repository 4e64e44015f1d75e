//! A Kube-OVN that Helm owns, from its own published chart: handed over by an upgrade of its release, upgraded by its owner to no
//! effect, stopped where somebody puts the flags back, and given its values again.

use std::time::{Duration, Instant};

use ovncilium_core::plan::{Kind, Write};
use serde_json::{Value, json};

use super::super::oracle::{intents, order, plans};
use super::{
    Stage,
    journey::{STILL, listed},
    program::{Call, Helm},
    teller::Teller,
    town::{KEEPER, Town},
};
use crate::{
    audit::Audit,
    error::{Error, Result},
    lab::programs,
    objects::{Snapshot, diff},
    verdict::expect,
    wait::{self, Seen},
};

const RUN: Duration = Duration::from_secs(600);
/// From the write that puts the flags back to the end of the process.
const NOTICED: Duration = Duration::from_secs(30);
const CONTROLLER: &str = "/apis/apps/v1/namespaces/kube-system/deployments/kube-ovn-controller";
/// A value of the owner's that nobody else may see.
const SECRET: &str = "s3cret-of-the-owner";

pub(super) fn play(stage: &Stage<'_>, helm: Helm, tell: &Teller) {
    let Some(kube_ovn) =
        tell.run("has_the_chart_of_kube_ovn", || Ok(programs::kube_ovn_module()?.join("charts/kube-ovn")))
    else {
        return;
    };
    let kube_ovn = kube_ovn.to_string_lossy().into_owned();
    let (chart, version) = stage.charts.get("1.18.12", "1.18.99");
    let chart = chart.to_string_lossy().into_owned();
    tell.note(&format!("kube-ovn {}, cilium {version}", programs::KUBE_OVN));
    let note = format!("registry.password={SECRET}");
    let install =
        ["install", "kube-ovn", &kube_ovn, "-n", "kube-system", "--set", "func.ENABLE_LB=true", "--set", &note];
    let town = tell.timed("cluster_is_at_work", || Town::by_helm(stage, helm, 3, helm as u64 + 21, &install));
    let Some(town) = town else { return };
    let Some(before) = tell.run("objects_stand_still", || still(&town)) else { return };
    let Some(values) = tell.run("release_has_values_of_its_owner", || values(stage, &town, helm)) else { return };
    let call = |args: &[&str]| -> Result<Call> {
        Ok(town.call(stage.program, args)?.with_helm(stage.program, helm).within(RUN))
    };
    let with = |args: &[&str]| call(&[args, &["--chart", &chart]].concat());

    let Some(writes) = tell.timed("plan_announces_a_revision", || {
        let output = town.quietly(|| with(&["plan", "--soak", "0", "-o", "json"])?.run()?.ended_with(&[8]))?;
        expect(!output.stdout().contains(SECRET), || "the plan tells a value of the owner".to_owned())?;
        listed(&output.json()?)
    }) else {
        return;
    };
    let begun = town.audit().map_or(0, |audit| audit.len());
    // The first run meets somebody who puts the flags back.
    tell.timed("stops_where_the_flags_are_put_back", || put_back(&town, with(&["migrate", "--yes", "--soak", "0"])?));
    let again = tell.timed("goes_on_where_nobody_does", || {
        town.await_all_ready()?;
        call(&["migrate", "--yes"])?.run()?.ended_with(&[0])
    });
    if again.is_none() {
        return;
    }
    let migrated = town.audit().map_or(0, |audit| audit.len());
    tell.run("every_pod_is_chained_and_nothing_temporary_is_left", || town.is_chained());
    tell.run("nobody_learns_the_values_of_the_owner", || {
        let maps = town.api().get_text("/api/v1/configmaps")?;
        expect(maps.contains("ovncilium-journal") && !maps.contains(SECRET), || "a ConfigMap tells a value".to_owned())
    });
    tell.timed("an_upgrade_by_its_owner_changes_nothing", || {
        let settled = still(&town)?;
        let args = ["upgrade", "kube-ovn", &kube_ovn, "-n", "kube-system", "--reuse-values"];
        keeper(stage, &town, helm, &args)?;
        town.await_all_ready()?;
        let differences = diff(&settled, &still(&town)?);
        expect(differences.is_empty(), || differences.join("\n"))?;
        town.is_chained()
    });
    tell.timed("rolls_back", || call(&["rollback", "--yes"])?.run()?.ended_with(&[7]));
    tell.run("objects_are_as_before", || as_before(&town, &before));
    tell.run("the_release_says_again_what_it_said", || {
        let now = self::values(stage, &town, helm)?;
        // The owner's upgrade wrote the switches into the defaults of the stored chart (`--reuse-values` does), so both are said now.
        let mut wanted = values.clone();
        wanted["func"]["ENABLE_NP"] = json!(true);
        expect(now == wanted, || format!("wanted: {wanted}\nfound: {now}"))
    });
    tell.run("actors_had_no_trouble", || town.actors_had_no_trouble());
    if let Some(audit) = tell.run("audit_log_is_complete", || town.audit()) {
        verdict(&audit, (begun, migrated), &writes, tell);
    }
}

/// Helm as the owner of Kube-OVN; what it prints.
fn keeper(stage: &Stage<'_>, town: &Town, helm: Helm, args: &[&str]) -> Result<String> {
    let call = stage.program.plain_helm(helm, args).env("KUBECONFIG", town.plane.kubeconfig(KEEPER)?);
    Ok(call.run()?.ended_with(&[0])?.stdout())
}

fn values(stage: &Stage<'_>, town: &Town, helm: Helm) -> Result<Value> {
    let text = keeper(stage, town, helm, &["get", "values", "kube-ovn", "-n", "kube-system", "-o", "json"])?;
    let values: Value = serde_json::from_str(&text).map_err(Error::json("the values of the release"))?;
    expect(values["registry"]["password"] == SECRET, || format!("these are not its values: {values}"))?;
    Ok(values)
}

/// The objects without the history of Kube-OVN's release, which only grows.
fn still(town: &Town) -> Result<Snapshot> {
    Ok(town.plane.settled_objects()?.without(|key, _| key.contains("/sh.helm.release.v1.kube-ovn.")))
}

fn as_before(town: &Town, before: &Snapshot) -> Result<()> {
    town.await_all_ready()?;
    wait::until("the objects are as they were before", STILL, || {
        let differences = diff(before, &still(town)?);
        Ok(if differences.is_empty() { Seen::Ready(()) } else { Seen::NotYet(differences.join("\n")) })
    })
}

/// The words of the controller's container.
fn words(town: &Town) -> Result<Vec<String>> {
    let controller = town.api().get(CONTROLLER)?;
    let words = controller.pointer("/spec/template/spec/containers/0/args").cloned().unwrap_or_default();
    serde_json::from_value(words).map_err(Error::json("the words of kube-ovn-controller"))
}

/// Runs the migration until it has set the flags, puts them back as an operator of somebody's would, and sees it stop for that.
fn put_back(town: &Town, migrate: Call) -> Result<()> {
    let mut running = migrate.start()?;
    wait::until("the flags are off", RUN, || {
        expect(!running.has_ended(), || "it ended before it had set the flags".to_owned())?;
        let off = words(town)?.iter().any(|word| word == "--enable-np=false");
        Ok(if off { Seen::Ready(()) } else { Seen::NotYet("they are on".to_owned()) })
    })?;
    let on = |word: String| {
        word.replace("--enable-np=false", "--enable-np=true").replace("--enable-lb=false", "--enable-lb=true")
    };
    let words: Vec<String> = words(town)?.into_iter().map(on).collect();
    let patch =
        json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/args", "value": words }]).to_string();
    let target = ["patch", "deployment", "kube-ovn-controller", "-n", "kube-system", "--type=json"];
    let as_operator = ["--field-manager=net-operator", "--patch", &patch];
    town.plane.kubectl_as(KEEPER)?.run(&[&target[..], &as_operator].concat())?;
    let put_back = Instant::now();
    running.wait()?.ended_with(&[5])?.names(&["net-operator put the flags of", "kube-ovn-controller"])?;
    let took = put_back.elapsed();
    expect(took <= NOTICED, || format!("it was noticed after {took:?}"))
}

/// `parts` is where the migration begins and ends in the log.
fn verdict(audit: &Audit, (begun, migrated): (usize, usize), writes: &[Write], tell: &Teller) {
    let migration = audit.until(migrated);
    tell.proves("every_change_has_its_intent_before_it", audit, intents::unannounced);
    tell.proves("nothing_outside_the_plan_is_written", &migration.since(begun), |audit| plans::unlisted(audit, writes));
    tell.run("nothing_outside_the_rollback_plan_is_written", || {
        let plan = plans::stored(audit, Kind::Rollback)?;
        let wrong = plans::unlisted(&audit.since(migrated), &plan.writes);
        expect(wrong.is_empty(), || wrong.join("\n"))
    });
    tell.proves("network_policy_goes_off_after_the_last_endpoint", &migration, |audit| order::hand_over(audit, &[]));
}
