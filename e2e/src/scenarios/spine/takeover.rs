//! Takeover: somebody follows Kube-OVN's guide with kubectl and helm and stops half way; `migrate --adopt` completes it.

use std::time::Duration;

use ovncilium_core::plan::{Kind, Write};
use serde_json::Value;

use super::super::oracle::{intents, order, plans, recycled};
use super::{
    Stage,
    program::{Call, Helm, Output, temporary, write},
    teller::Teller,
    town::Town,
};
use crate::{
    error::{Error, Result},
    guide,
    verdict::expect,
    wait::{self, Seen},
};

const RUN: Duration = Duration::from_secs(600);
const STILL: Duration = Duration::from_secs(120);
/// The node on which the old file of Kube-OVN was forgotten.
const FORGOTTEN: &str = "worker-2";

/// A value of the operator's own.
const OWN: &str = "podAnnotations.example=kept";

pub(super) fn play(stage: &Stage<'_>, tell: &Teller) {
    let (chart, version) = stage.charts.get("1.18.12", "1.18.99");
    let chart = chart.to_string_lossy().into_owned();
    tell.note(&format!("chart {version}"));
    let Some(town) = tell.timed("cluster_is_at_work", || Town::start(stage.tools, 3, 6)) else { return };
    if tell.timed("half_of_the_guide_is_done", || half_a_guide(stage, &town, &chart)).is_none() {
        return;
    }
    let call =
        |args: &[&str]| -> Result<Call> { Ok(town.call(stage.program, args)?.with_helm(stage.program, Helm::Three)) };
    let quietly = |args: &[&str]| -> Result<Output> { town.quietly(|| call(args)?.run()) };
    tell.run("without_adopt_it_is_told_what_was_found_and_what_to_do", || {
        let words = ["half-done", "cni-configuration", "there is not yet", "--adopt"];
        quietly(&["migrate", "--yes", "--chart", &chart])?.ended_with(&[5])?.names(&words).map(drop)
    });
    tell.run("another_version_of_the_chart_takes_nothing_over", || {
        let other = stage.charts.own("1.20.99");
        let args = ["migrate", "--yes", "--adopt", "--chart", &other.to_string_lossy()];
        call(&args)?.within(RUN).run()?.ended_with(&[2])?.names(&["1.20.99", "changes no version"]).map(drop)
    });
    let (begun, evicted_from) = match town.audit() {
        Ok(audit) => (audit.len(), audit.len()),
        Err(_) => return,
    };
    let shown = tell.timed("plan_shows_what_a_takeover_writes", || {
        let args = ["plan", "--adopt", "--chart", &chart, "--soak", "0", "-o", "json"];
        let output = call(&args)?.within(RUN).run()?.ended_with(&[8])?;
        let list = output.json()?.pointer("/plan/writes").or(output.json()?.get("writes")).cloned().unwrap_or_default();
        serde_json::from_value::<Vec<Write>>(list).map_err(Error::json("the writes of plan -o json"))
    });
    let Some(writes) = shown else { return };
    let taken = tell.timed("takes_over", || {
        let args = ["migrate", "--yes", "--adopt", "--chart", &chart, "--soak", "0"];
        call(&args)?.within(RUN).run()?.ended_with(&[0]).map(drop)
    });
    let migrated = town.audit().map_or(0, |audit| audit.len());
    if taken.is_none() {
        return;
    }
    tell.run("every_pod_is_chained_and_nothing_temporary_is_left", || town.is_chained());
    tell.run("every_node_loads_our_file_and_the_guides_is_gone", || files(&town));
    tell.run("values_of_the_release_are_kept_but_those_that_chained_it", || release(stage, &town));
    tell.run("nothing_has_drifted", || {
        let output = call(&["verify", "--nodes", "-o", "json"])?.within(RUN).run()?.ended_with(&[0])?.json()?;
        let held = output["held"].as_array().into_iter().flatten();
        let all = held.filter(|one| one["standing"] == "holds").count();
        expect(all == 8, || output.to_string())
    });
    tell.run("running_it_again_has_nothing_to_do", || {
        let args = ["migrate", "--yes", "--adopt", "--chart", &chart];
        call(&args)?.within(RUN).run()?.ended_with(&[0])?.names(&["nothing to do"]).map(drop)
    });
    let before_back = town.audit().map_or(0, |audit| audit.len());
    tell.timed("goes_back_to_kube_ovn_alone", || {
        call(&["rollback", "--yes"])?.within(RUN).run()?.ended_with(&[7])?;
        town.await_all_ready()?;
        wait::until("Kube-OVN serves alone", STILL, || alone(&town))
    });
    tell.run("actors_had_no_trouble", || town.actors_had_no_trouble());
    let Some(audit) = tell.run("audit_log_is_complete", || town.audit()) else { return };
    let migration = audit.until(migrated);
    tell.proves("every_change_has_its_intent_before_it", &migration, intents::unannounced_by_the_run);
    tell.proves("nothing_outside_the_plan_is_written", &migration.since(begun), |audit| {
        plans::unlisted(audit, &writes)
    });
    tell.proves("network_policy_goes_off_after_the_last_endpoint", &migration, |audit| order::hand_over(audit, &[]));
    tell.proves("pods_with_an_endpoint_are_left_alone", &migration, |audit| recycled::too_often(audit, evicted_from));
    tell.run("nothing_outside_the_rollback_plan_is_written", || {
        let plan = plans::stored(&audit, Kind::Rollback)?;
        let wrong = plans::unlisted(&audit.since(before_back), &plan.writes);
        expect(wrong.is_empty(), || wrong.join("\n"))
    });
}

/// The guide, by its own words, but for one node whose file was forgotten and pods that nobody restarted.
fn half_a_guide(stage: &Stage<'_>, town: &Town, chart: &str) -> Result<()> {
    let api = town.api();
    guide::rename_kube_ovns_file(api)?;
    guide::policy_and_load_balancer_off(api)?;
    wait::until("every node has Kube-OVN's file under its new name", STILL, || {
        let configurations = town.configurations();
        let late = configurations.iter().find(|(_, (files, _))| !files.iter().any(|file| file.starts_with("10-")));
        Ok(late.map_or(Seen::Ready(()), |(node, (files, _))| Seen::NotYet(format!("{node}: {files:?}"))))
    })?;
    town.await_all_ready()?;
    for node in town.configurations().keys().filter(|node| *node != FORGOTTEN) {
        town.removes_conf(node, "01-kube-ovn.conflist");
    }
    let dir = temporary()?;
    let map = dir.path().join("chaining.yaml");
    write(&map, guide::CONFIG_MAP)?;
    town.plane.kubectl().run(&["apply", "-f", &map.to_string_lossy()])?;
    let mut args = vec!["install", "cilium", chart, "--namespace", "kube-system"];
    args.extend(guide::VALUES.iter().chain([&OWN]).flat_map(|value| ["--set", *value]));
    let helm = stage.program.plain_helm(Helm::Three, &args).env("KUBECONFIG", town.plane.kubeconfig("admin")?);
    helm.within(RUN).run()?.ended_with(&[0])?;
    wait::until("agents chain where the old file was not forgotten", STILL, || {
        let configurations = town.configurations();
        let wrong =
            configurations.iter().find(|(node, (_, loaded))| (loaded == "05-cilium.conflist") == (*node == FORGOTTEN));
        Ok(wrong.map_or(Seen::Ready(()), |(node, (_, loaded))| Seen::NotYet(format!("{node} loads {loaded}"))))
    })?;
    // Somebody restarted one workload, and left it there.
    town.plane.kubectl().run(&["rollout", "restart", "deployment/web", "--namespace", "shop"])?;
    town.await_all_ready()
}

fn files(town: &Town) -> Result<()> {
    let configurations = town.configurations();
    let right = |node: &str, (files, loaded): &(Vec<String>, String)| {
        let kept = if node == FORGOTTEN { 3 } else { 2 };
        loaded == "01-cilium.conflist" && files.len() == kept && !files.iter().any(|file| file.starts_with("05-"))
    };
    expect(configurations.iter().all(|(node, found)| right(node, found)), || format!("{configurations:?}"))
}

/// The operator's own value is there, those of the guide are not.
fn release(stage: &Stage<'_>, town: &Town) -> Result<()> {
    let get = ["get", "values", "cilium", "--namespace", "kube-system", "-o", "json"];
    let helm = stage.program.plain_helm(Helm::Three, &get).env("KUBECONFIG", town.plane.kubeconfig("admin")?);
    let values = helm.run()?.ended_with(&[0])?.json()?;
    let kept = values["podAnnotations"]["example"] == "kept" && values["cni"]["configMap"].is_null();
    expect(kept && values["extraConfig"]["write-cni-conf-when-ready"].is_string(), || values.to_string())
}

/// Kube-OVN's own file is loaded everywhere, its policy and load balancer are on, and of Cilium only what people made is left.
fn alone(town: &Town) -> Result<Seen<()>> {
    for (node, (files, loaded)) in town.configurations() {
        if !loaded.contains("kube-ovn") || files.iter().any(|file| file.contains("cilium")) {
            return Ok(Seen::NotYet(format!("{node} loads {loaded} of {files:?}")));
        }
    }
    let controller =
        town.api().get(guide::CONTROLLER)?.pointer("/spec/template/spec/containers/0/args").map(Value::to_string);
    let on = controller.unwrap_or_default();
    if !on.contains("--enable-np=true") || !on.contains("--enable-lb=true") {
        return Ok(Seen::NotYet(on));
    }
    let crds = town.api().list("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")?;
    let left: Vec<&Value> =
        crds.iter().map(|crd| &crd["spec"]["group"]).filter(|group| *group == "cilium.io").collect();
    let sets = town.api().list("/apis/apps/v1/namespaces/kube-system/daemonsets")?;
    let cilium = sets.iter().any(|set| set["metadata"]["name"] == "cilium");
    Ok(if left.is_empty() && !cilium {
        Seen::Ready(())
    } else {
        Seen::NotYet(format!("{} CRDs, {cilium}", left.len()))
    })
}
