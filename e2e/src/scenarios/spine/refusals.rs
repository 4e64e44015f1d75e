//! What must not even begin: each ends with its exit code, names the cause, and changes nothing.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use ovncilium_core::facts::{Facts, Subject, file};
use serde_json::{Value, json};

use super::{
    Stage, charts, gate, modules,
    program::{Helm, Output, temporary, write, write_script},
    teller::Teller,
    town::Town,
};
use crate::{
    control_plane::{ControlPlane, Options},
    error::{Error, Result},
    users::Access,
    verdict::expect,
    wait::{self, Seen},
};

const CONTROLLER: &str = "/apis/apps/v1/namespaces/kube-system/deployments/kube-ovn-controller";
/// The namespace of a second Kube-OVN.
const SECOND: &str = "kube-ovn-two";
/// How long the program may try to reach an API server that is not there.
const UNREACHABLE: Duration = Duration::from_secs(15);

pub(super) fn play(stage: &Stage<'_>, tell: &Teller) {
    let (chart, _) = stage.charts.get("1.18.12", "1.18.99");
    let chart = chart.to_string_lossy().into_owned();
    let helm = stage.program.helm_path(Helm::Three).to_string_lossy().into_owned();
    let common = ["--chart", &chart, "--helm", &helm];
    let start = || ControlPlane::start(stage.tools, &Options::default());
    let Some(plane) = tell.timed("control_plane_starts", start) else { return };
    tell.run("a_cluster_without_kube_ovn_is_denied", || {
        let before = plane.audit()?.len();
        for command in [&["check"][..], &["migrate", "--yes"]] {
            let args = [command, &common].concat();
            let output = stage.program.kubectl(plane.kubeconfig("operator")?, &args).run()?;
            output.ended_with(&[3])?.names(&["Kube-OVN"])?;
        }
        let changes = plane.audit()?.since(before).changes_by("operator").count();
        expect(changes == 0, || format!("{changes} changes were made"))
    });
    let Some(mut town) = tell.timed("cluster_is_at_work", || Town::people(plane, 3, 4)) else { return };
    facts(stage, &town, &common, tell);
    modules::play(stage, &town, &common, tell);
    gate::denies_before_the_migration(stage, &town, tell);
    files(stage, &town, &common, tell);
    connection(stage, &mut town, &common, tell);
    tell.run("two_kube_ovns_are_denied", || {
        second_kube_ovn(&town)?;
        let result = migrate(stage, &town, &common);
        town.api().delete(&format!("/api/v1/namespaces/{SECOND}"))?;
        result?.ended_with(&[3])?.names(&[SECOND])?;
        let gone = format!("/apis/apps/v1/namespaces/{SECOND}/daemonsets");
        wait::until("the second Kube-OVN is gone", Duration::from_secs(60), || {
            let left = town.api().list(&gone)?.len();
            Ok(if left == 0 { Seen::Ready(()) } else { Seen::NotYet(format!("{left} DaemonSets")) })
        })
    });
    plans(stage, &town, &common, tell);
    tell.run("actors_had_no_trouble", || town.actors_had_no_trouble());
}

/// `migrate --yes`, which must change nothing.
fn migrate(stage: &Stage<'_>, town: &Town, args: &[&str]) -> Result<Output> {
    town.quietly(|| town.call(stage.program, &[&["migrate", "--yes"], args].concat())?.run())
}

/// Kernels that are too old, and unknown.
fn facts(stage: &Stage<'_>, town: &Town, common: &[&str], tell: &Teller) {
    let with_kernel = |kernel: &str, code: i32, word: &str| -> Result<()> {
        let set = |kernel: &str| {
            let patch = json!({"status": {"nodeInfo": {"kernelVersion": kernel}}});
            town.api().merge("/api/v1/nodes/worker-1/status", &patch)
        };
        set(kernel)?;
        let args = [&["check"], common].concat();
        let result = town.quietly(|| town.call(stage.program, &args)?.run());
        set("6.1.0")?;
        result?.ended_with(&[code])?.names(&["node-kernel", "worker-1", word]).map(drop)
    };
    tell.timed("a_kernel_of_4_18_is_denied", || with_kernel("4.18.0-25-generic", 3, "4.18"));
    tell.run("a_node_without_kernel_version_is_unknown", || with_kernel("", 4, "unknown"));
    tell.run("a_snapshot_is_judged_only_as_it_was_written", || snapshots(stage, town));
}

/// A snapshot without cluster: sound, without its nodes, and spoiled.
fn snapshots(stage: &Stage<'_>, town: &Town) -> Result<()> {
    let dir = temporary()?;
    let file = dir.path().join("facts.json");
    let path = file.to_string_lossy();
    let take = || town.call(stage.program, &["snapshot", "--file", &path]);
    town.quietly(|| take()?.with_helm(stage.program, Helm::Three).run()?.ended_with(&[0]))?;
    let check = || town.quietly(|| town.call(stage.program, &["check", "--facts", &path])?.run());
    check()?.ended_with(&[0])?;
    let whole = read(&file)?;
    let mut facts: Facts =
        serde_json::from_value(whole["facts"].clone()).map_err(Error::json("the snapshot's facts"))?;
    facts.nodes = Subject::unknown("taken away by a test");
    write(&file, file::write(&facts).map_err(Error::json("facts"))?)?;
    check()?.ended_with(&[4])?.names(&["node-kernel", "taken away by a test"])?;
    let mut edited = whole.clone();
    edited["facts"]["nodes"]["value"] = json!({"unknown": "edited by hand"});
    let mut newer = whole.clone();
    newer["schema"] = json!(999);
    let text = whole.to_string();
    for (content, word) in [
        (edited.to_string(), "digest"),
        (newer.to_string(), "999"),
        (text[..text.len() / 2].to_owned(), "line"),
        ("{}".to_owned(), "format"),
    ] {
        write(&file, content)?;
        check()?.ended_with(&[2])?.names(&["facts.json", word])?;
    }
    Ok(())
}

/// Charts and tools that are not there, or not known.
fn files(stage: &Stage<'_>, town: &Town, common: &[&str], tell: &Teller) {
    let helm = common[3];
    tell.run("a_chart_that_is_not_there_is_refused", || {
        migrate(stage, town, &["--chart", "/nowhere/cilium.tgz", "--helm", helm])?
            .ended_with(&[2])?
            .names(&["/nowhere/cilium.tgz", "hint"])
            .map(drop)
    });
    tell.run("a_chart_of_an_unknown_version_is_refused", || {
        let chart = stage.charts.own(charts::UNKNOWN);
        migrate(stage, town, &["--chart", &chart.to_string_lossy(), "--helm", helm])?
            .ended_with(&[2])?
            .names(&[charts::UNKNOWN, "hint"])
            .map(drop)
    });
    tell.run("a_missing_helm_is_named_with_what_to_do", || {
        let args = ["migrate", "--yes", "--chart", common[1]];
        let output = town.quietly(|| town.call(stage.program, &args)?.without_tools(stage.program).run())?;
        output.ended_with(&[9])?.names(&["helm", "hint"]).map(drop)
    });
    tell.run("a_helm_that_is_too_old_is_named", || {
        let dir = temporary()?;
        let old = dir.path().join("helm");
        write_script(&old, "#!/bin/sh\necho v3.2.0+g0000000\n")?;
        migrate(stage, town, &["--chart", common[1], "--helm", &old.to_string_lossy()])?
            .ended_with(&[9])?
            .names(&["3.2.0", "hint"])
            .map(drop)
    });
}

/// Users, contexts and servers.
fn connection(stage: &Stage<'_>, town: &mut Town, common: &[&str], tell: &Teller) {
    tell.run("a_wrong_context_is_refused", || {
        migrate(stage, town, &[common, &["--context", "nowhere"]].concat())?
            .ended_with(&[2])?
            .names(&["nowhere", "e2e"])
            .map(drop)
    });
    tell.run("a_kubeconfig_that_is_not_there_is_refused", || {
        migrate(stage, town, &[common, &["--kubeconfig", "/nowhere/config"]].concat())?
            .ended_with(&[2])?
            .names(&["/nowhere/config"])
            .map(drop)
    });
    tell.run("an_api_server_that_is_gone_is_told_in_time", || {
        let dir = temporary()?;
        let file = dir.path().join("kubeconfig");
        let text = fs::read_to_string(town.kubeconfig()?).map_err(Error::io("read", "the kubeconfig"))?;
        let closed = format!("https://127.0.0.1:{}", closed_port()?);
        write(&file, text.replace(town.plane.server(), &closed))?;
        let path = file.to_string_lossy();
        let args = [&["migrate", "--yes", "--kubeconfig", &path], common].concat();
        let output = town.quietly(|| town.call(stage.program, &args)?.run())?.ended_with(&[9])?.names(&[&closed])?;
        expect(output.took < UNREACHABLE, || format!("it took {:?}", output.took))
    });
    for (user, access, words) in [
        ("guest", Access::Nothing, ["forbidden", "get namespaces"]),
        ("viewer", Access::read_only(), ["configmaps", "create"]),
    ] {
        tell.run(&format!("a_{user}_is_told_which_permission_is_missing"), || {
            let kubeconfig = town.plane.add_user(user, &access)?;
            let args = [&["migrate", "--yes"], common].concat();
            let output = town.quietly(|| stage.program.kubectl(&kubeconfig, &args).run())?;
            output.ended_with(&[9])?.names(&words).map(drop)
        });
    }
}

/// Saved plans that may not be run any more.
fn plans(stage: &Stage<'_>, town: &Town, common: &[&str], tell: &Teller) {
    let Ok(dir) = temporary() else { return };
    let file = dir.path().join("plan.json");
    let path = file.to_string_lossy();
    let saved = tell.run("a_plan_is_saved", || {
        let args = [&["plan", "--out", &path], common].concat();
        town.quietly(|| town.call(stage.program, &args)?.run()?.ended_with(&[8]))?;
        read(&file)
    });
    let Some(saved) = saved else { return };
    let run = || migrate(stage, town, &[common, &["--plan", &path]].concat());
    tell.run("a_plan_that_has_expired_is_not_run", || {
        let mut expired = saved.clone();
        for name in ["expires_at", "created_at"] {
            expect(set(&mut expired, name, &json!("2020-01-01T00:00:00Z")) > 0, || format!("no {name} in {saved}"))?;
        }
        write(&file, expired.to_string())?;
        run()?.ended_with(&[5])?.names(&["expired"]).map(drop)
    });
    tell.run("a_plan_whose_guard_no_longer_holds_is_not_run", || {
        write(&file, saved.to_string())?;
        let pointer = "/spec/template/spec/containers/0/args";
        let before = town.api().get(CONTROLLER)?.pointer(pointer).cloned().unwrap_or_default();
        let mut changed = before.clone();
        if let Some(args) = changed.as_array_mut() {
            args.push(json!("--enable-metrics=false"));
        }
        let patch = |value: &Value| {
            town.api().json_patch(CONTROLLER, &json!([{"op": "replace", "path": pointer, "value": value}]))
        };
        patch(&changed)?;
        town.await_all_ready()?;
        let result = run();
        patch(&before)?;
        town.await_all_ready()?;
        result?.ended_with(&[5])?.names(&["kube-ovn-controller"]).map(drop)
    });
}

/// Sets every field of this name; how many there were.
fn set(value: &mut Value, name: &str, to: &Value) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .map(|(key, field)| {
                if key == name {
                    *field = to.clone();
                    1
                } else {
                    set(field, name, to)
                }
            })
            .sum(),
        Value::Array(list) => list.iter_mut().map(|one| set(one, name, to)).sum(),
        _ => 0,
    }
}

fn read(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file).map_err(Error::io("read", file))?;
    serde_json::from_str(&text).map_err(Error::json(file.display().to_string()))
}

/// A port on which nobody listens: one that was just free.
fn closed_port() -> Result<u16> {
    let failed = |source| Error::Spawn { program: "a listener on 127.0.0.1".into(), source };
    Ok(TcpListener::bind("127.0.0.1:0").map_err(failed)?.local_addr().map_err(failed)?.port())
}

/// The workloads of Kube-OVN once more, in another namespace, with nobody running.
fn second_kube_ovn(town: &Town) -> Result<()> {
    let api = town.api();
    api.create("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SECOND}}))?;
    for (plural, name) in [("deployments", "kube-ovn-controller"), ("daemonsets", "kube-ovn-cni")] {
        let mut copy = api.get(&format!("/apis/apps/v1/namespaces/kube-system/{plural}/{name}"))?;
        let metadata = json!({"name": name, "namespace": SECOND, "labels": copy["metadata"]["labels"]});
        copy["metadata"] = metadata;
        copy["status"] = Value::Null;
        if plural == "deployments" {
            copy["spec"]["replicas"] = json!(0);
        }
        copy["spec"]["template"]["spec"]["nodeSelector"] = json!({"nobody": "here"});
        api.create(&format!("/apis/apps/v1/namespaces/{SECOND}/{plural}"), &copy)?;
    }
    Ok(())
}
