//! A real kube-apiserver, where `OVNCILIUM_TEST_KUBECONFIG` names one that may be written to; with real helms, if there are some.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ovncilium_cluster::{Access, ChartSource, Connection, HelmCli, KubeCluster, PostRenderer};
use ovncilium_core::plan::Resource;
use ovncilium_engine::world::{Charts, ChartsError, Cluster, ClusterError, Eviction, Filter};
use serde_json::{Value, json};

use crate::real_helm::{helms, with};

const NAMESPACE: &str = "default";
const SECRETS: Resource = Resource { group: "", version: "v1", plural: "secrets", kind: "Secret", namespaced: true };

fn access() -> Option<Access> {
    let Some(path) = std::env::var_os("OVNCILIUM_TEST_KUBECONFIG") else {
        println!("skipped: OVNCILIUM_TEST_KUBECONFIG is not set");
        return None;
    };
    let connection = Connection { kubeconfig: Some(PathBuf::from(path)), ..Connection::default() };
    Some(connection.open().expect("a connection"))
}

/// A name that no other run uses.
fn unique(word: &str) -> String {
    format!("ovncilium-test-{word}-{}", std::process::id())
}

fn config_map(name: &str, label: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "1" },
        "metadata": { "name": name, "namespace": NAMESPACE, "labels": { "test": label } },
    })
}

#[test]
fn objects_are_made_compared_changed_and_deleted() {
    let Some(access) = access() else { return };
    let cluster = KubeCluster::connect(&access).expect("a client");
    println!("{} {}", cluster.server(), cluster.version().expect("a version"));
    let (name, maps) = (unique("object"), Resource::CONFIG_MAPS);
    let object = maps.named(NAMESPACE, &name);
    let made = cluster.create(&maps, &config_map(&name, &name)).expect("made");
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "ovncilium");
    assert!(matches!(
        cluster.create(&maps, &made),
        Err(ClusterError::Invalid { .. } | ClusterError::AlreadyExists { .. })
    ));
    let again = cluster.create(&maps, &config_map(&name, &name)).expect_err("there");
    assert!(matches!(again, ClusterError::AlreadyExists { .. }), "{again}");

    let mut next = made.clone();
    next["data"]["a"] = json!("2");
    cluster.replace(&maps, &next).expect("replaced");
    let lost = cluster.replace(&maps, &next).expect_err("an old version");
    assert!(matches!(lost, ClusterError::Conflict { .. }), "{lost}");

    let change = |seen: &str| json!([{ "op": "test", "path": "/data/a", "value": seen }, { "op": "replace", "path": "/data/a", "value": "3" }]);
    let lost = cluster.json_patch(&object, &change("1")).expect_err("an old value");
    assert!(matches!(lost, ClusterError::Conflict { .. }), "{lost}");
    assert_eq!(cluster.json_patch(&object, &change("2")).expect("patched")["data"]["a"], "3");
    let invalid = json!([{ "op": "test", "path": "/data/a", "value": "3" }, { "op": "add", "path": "/metadata/labels", "value": { "a": "&" } }]);
    let invalid = cluster.json_patch(&object, &invalid).expect_err("no label");
    assert!(matches!(invalid, ClusterError::Invalid { .. }), "{invalid}");

    assert_eq!(cluster.delete(&object, Some("another")), Ok(false));
    assert_eq!(cluster.delete(&object, made["metadata"]["uid"].as_str()), Ok(true));
    assert_eq!(cluster.delete(&object, None), Ok(false));
    assert_eq!(cluster.get(&object), Ok(None));
    let gone = cluster.json_patch(&object, &change("3")).expect_err("gone");
    assert_eq!(gone, ClusterError::NotFound { object: object.to_string() });
    let nowhere = cluster.create(&maps, &json!({ "metadata": { "name": "x", "namespace": "no-such-namespace" } }));
    println!("{}", nowhere.expect_err("no namespace"));
    let kind = cluster.list(&Resource::SWITCH_LB_RULES, &Filter::all()).expect_err("no CRD");
    assert!(matches!(kind, ClusterError::NotServed { .. }), "{kind}");
}

#[test]
fn lists_come_in_pages() {
    let Some(access) = access() else { return };
    let cluster = KubeCluster::connect(&access).expect("a client");
    let label = unique("page");
    for number in 0..510 {
        cluster.create(&Resource::CONFIG_MAPS, &config_map(&format!("{label}-{number}"), &label)).expect("made");
    }
    let listed =
        cluster.list(&Resource::CONFIG_MAPS, &Filter::in_namespace(NAMESPACE).labelled(&format!("test={label}")));
    let listed = listed.expect("a list");
    assert_eq!((listed.len(), &listed[509]["kind"]), (510, &json!("ConfigMap")));
    for item in &listed {
        let object = Resource::CONFIG_MAPS.named(NAMESPACE, item["metadata"]["name"].as_str().expect("a name"));
        assert_eq!(cluster.delete(&object, None), Ok(true));
    }
}

#[test]
fn evictions_heed_budgets_and_uids() {
    let Some(access) = access() else { return };
    let cluster = KubeCluster::connect(&access).expect("a client");
    let name = unique("pod");
    let labels = json!({ "test": name });
    let pod = json!({
        "metadata": { "name": name, "namespace": NAMESPACE, "labels": labels },
        "spec": { "nodeName": "nowhere", "containers": [{ "name": "c", "image": "c" }] },
    });
    let made = cluster.create(&Resource::PODS, &pod).expect("a pod");
    let uid = made["metadata"]["uid"].as_str().expect("a uid");
    let object = Resource::PODS.named(NAMESPACE, &name);
    let ready = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
    assert_eq!(cluster.patch_status(&object, &ready).expect("a status")["status"]["phase"], "Running");
    let budget = json!({
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": labels } },
    });
    cluster.create(&Resource::DISRUPTION_BUDGETS, &budget).expect("a budget");
    let refused = cluster.evict(NAMESPACE, &name, uid).expect("an answer");
    println!("{refused:?}");
    assert!(matches!(refused, Eviction::Refused(_)));
    assert_eq!(cluster.evict(NAMESPACE, &name, "another"), Ok(Eviction::Gone));
    assert_eq!(cluster.delete(&Resource::DISRUPTION_BUDGETS.named(NAMESPACE, &name), None), Ok(true));
    assert_eq!(cluster.evict(NAMESPACE, &name, uid), Ok(Eviction::Accepted));
    assert_eq!(cluster.force_delete(&object), Ok(true));
    assert_eq!(cluster.evict(NAMESPACE, &name, uid), Ok(Eviction::Gone));
}

/// A chart with one ConfigMap and, when told, a hook that never ends because nobody runs its Job.
fn small_chart(dir: &Path, name: &str) -> PathBuf {
    let chart = dir.join("small");
    fs::create_dir_all(chart.join("templates")).expect("a directory");
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: small\nversion: 1.2.3-rc.1\n").expect("a file");
    let map =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: \"{{{{ .Values.a }}}}\"}}\n");
    fs::write(chart.join("templates/map.yaml"), map).expect("a file");
    let hook = format!(
        "{{{{ if .Values.hook }}}}\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations: {{helm.sh/hook: \"post-install,post-upgrade\"}}\n\
         spec:\n  template:\n    spec: {{restartPolicy: Never, containers: [{{name: c, image: c}}]}}\n{{{{ end }}}}\n"
    );
    fs::write(chart.join("templates/hook.yaml"), hook).expect("a file");
    chart
}

fn renderer(dir: &Path, name: &str, body: &str) -> PostRenderer {
    let executable = dir.join(name);
    fs::write(&executable, format!("#!/bin/sh\n{body}\n")).expect("a script");
    fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).expect("a mode");
    PostRenderer { executable, args: vec!["post-render".into(), "--mode=plan".into()] }
}

/// Kills a helm of the test's own while it waits for its hook, as a power cut does.
fn leave_pending(helm: &Path, release: &str, chart: &Path, charts: &HelmCli) {
    let kubeconfig = std::env::var_os("OVNCILIUM_TEST_KUBECONFIG").expect("a kubeconfig");
    let mut child = Command::new(helm)
        .args(["upgrade", "--install", release, "--namespace", NAMESPACE, "--set", "hook=true"])
        .arg(chart)
        .env("KUBECONFIG", kubeconfig)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a helm");
    let started = Instant::now();
    while !charts
        .release(release, NAMESPACE)
        .expect("an answer")
        .is_some_and(|found| found.status.starts_with("pending"))
    {
        assert!(started.elapsed() < Duration::from_secs(60), "it never became pending");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
}

#[test]
fn helm_installs_is_denied_survives_a_kill_and_uninstalls() {
    let Some(access) = access() else { return };
    let cluster = KubeCluster::connect(&access).expect("a client");
    for (number, helm) in helms().iter().enumerate() {
        let dir = tempfile::tempdir().expect("a directory");
        let release = unique(&format!("h{number}"));
        let chart = small_chart(dir.path(), &release);
        let map = Resource::CONFIG_MAPS.named(NAMESPACE, &release);
        let value = || cluster.get(&map).expect("an answer").map(|map| map["data"]["a"].clone());
        let open = |name: &str, body: &str| {
            let mut options = with(helm, ChartSource::at(&chart.display().to_string()));
            options.access = Some(access.for_helm().clone());
            options.cluster = Some(cluster.clone());
            options.post_renderer = Some(renderer(dir.path(), name, body));
            options.pending_patience = Duration::ZERO;
            HelmCli::new(options).expect("a helm")
        };
        let judged = open("post renderer", r#"[ "$1 $2" = "post-render --mode=plan" ] || exit 9; sed 's/one/judged/'"#);
        assert_eq!(judged.release(&release, NAMESPACE), Ok(None));
        judged.uninstall(&release, NAMESPACE, &mut || Ok(())).expect("nothing to do");

        // Killed in the first install, then gone on with.
        leave_pending(helm, &release, &chart, &judged);
        judged.upgrade(&release, NAMESPACE, &json!({ "a": "one" }), &mut || Ok(())).expect("installed");
        assert_eq!(value(), Some(json!("judged")));
        let found = judged.release(&release, NAMESPACE).expect("an answer").expect("a release");
        assert_eq!(
            (found.revision, found.status.as_str(), found.chart_version.as_str()),
            (2, "deployed", "1.2.3-rc.1")
        );
        assert_eq!(found.values, json!({ "a": "one" }));

        let denied = open(
            "no",
            r#"cat > /dev/null; echo "denied by chart-chaining: set cni.exclusive" | tee "$OVNCILIUM_REPORT" >&2; exit 3"#,
        );
        let error = denied.upgrade(&release, NAMESPACE, &json!({ "a": "two" }), &mut || Ok(())).expect_err("denied");
        assert_eq!(error.to_string(), "helm upgrade failed: denied by chart-chaining: set cni.exclusive");
        assert_eq!(value(), Some(json!("judged")));

        // Killed in an upgrade; somebody else's field; then gone on with.
        leave_pending(helm, &release, &chart, &judged);
        let theirs = json!([{ "op": "replace", "path": "/data/a", "value": "theirs" }]);
        cluster.json_patch(&map, &theirs).expect("patched");
        judged.upgrade(&release, NAMESPACE, &json!({ "a": "three" }), &mut || Ok(())).expect("upgraded");
        assert_eq!(value(), Some(json!("three")));

        judged.uninstall(&release, NAMESPACE, &mut || Ok(())).expect("removed");
        assert_eq!((judged.release(&release, NAMESPACE), value()), (Ok(None), None));
        let left =
            cluster.list(&SECRETS, &Filter::in_namespace(NAMESPACE).labelled(&format!("owner=helm,name={release}")));
        assert_eq!(left.expect("a list"), Vec::<Value>::new());
        assert_eq!(cluster.delete(&Resource::JOBS.named(NAMESPACE, &release), None), Ok(true));
    }
}

#[test]
fn helm_acts_as_whom_the_flags_say() {
    let Some(path) = std::env::var_os("OVNCILIUM_TEST_KUBECONFIG") else { return };
    let connection = Connection {
        kubeconfig: Some(PathBuf::from(path)),
        impersonate: Some("nobody-special".into()),
        impersonate_groups: vec!["a".into()],
        ..Connection::default()
    };
    let access = connection.open().expect("a connection");
    let error =
        KubeCluster::connect(&access).expect("a client").list(&Resource::PODS, &Filter::all()).expect_err("forbidden");
    assert!(matches!(&error, ClusterError::Forbidden { message, .. } if message.contains("nobody-special")), "{error}");
    for helm in helms() {
        let mut options = with(&helm, ChartSource::at("unused"));
        options.access = Some(access.for_helm().clone());
        let error = HelmCli::new(options).expect("a helm").release("cilium", NAMESPACE).expect_err("forbidden");
        assert!(
            matches!(&error, ChartsError::Failed { message, .. } if message.contains("\"nobody-special\"")),
            "{error}"
        );
    }
}
