//! helm played by shell scripts: versions, refusals, and what reaches it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ovncilium_cluster::helm::{Binary, tools};
use ovncilium_cluster::{ChartSource, HelmCli, HelmOptions, PostRenderer};
use ovncilium_engine::world::{Charts, ChartsError};
use serde_json::json;

/// A packed chart of one file.
pub(crate) fn packed(name: &str, version: &str) -> Vec<u8> {
    let text = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, format!("{name}/Chart.yaml"), text.as_bytes()).expect("an entry");
    archive.into_inner().expect("an archive").finish().expect("a stream")
}

fn script(dir: &Path, body: &str) -> PathBuf {
    let path = dir.join("helm");
    std::fs::write(&path, format!("#!/bin/sh\ncd '{}'\n{body}\n", dir.display())).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

fn helm(dir: &Path, body: &str) -> HelmCli {
    let source = ChartSource::Archive { location: "cilium/cilium".into(), bytes: packed("cilium", "1.18.12") };
    let mut options = HelmOptions::new(source);
    options.helm = Some(script(dir, body));
    options.pending_patience = Duration::ZERO;
    let executable = std::env::current_exe().expect("this test");
    options.post_renderer =
        Some(PostRenderer { executable, args: vec!["post-render".into(), "--mode=plan, x".into()] });
    HelmCli::new(options).expect("a helm")
}

/// Answers like helm of `version`, remembers the arguments of each call, and runs `upgrade` for an upgrade.
fn played(version: &str, listed: &str, upgrade: &str) -> String {
    format!(
        r#"echo "$@" >> calls
case "$1" in
version) echo '{version}' ;;
list) echo '{listed}' ;;
status) echo '{{"name":"cilium","config":{{"a":1}},"info":{{"status":"deployed"}},"apply_method":"csa"}}' ;;
upgrade) {upgrade} ;;
uninstall) : ;;
esac"#
    )
}

fn calls(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("calls")).unwrap_or_default()
}

#[test]
fn a_helm_that_is_missing_too_old_or_no_helm_is_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = Binary::find(Some(&dir.path().join("none"))).expect_err("none");
    println!("{missing}");
    assert!(matches!(missing, ChartsError::HelmMissing { .. }));
    for (version, expected) in
        [("v3.8.2", "helm 3.8.2 is too old: 3.9.0 or newer is needed"), ("hello", "helm version failed: ")]
    {
        let error = Binary::find(Some(&script(dir.path(), &format!("echo {version}")))).expect_err("refused");
        println!("{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let found = Binary::find(Some(&script(dir.path(), "echo v4.3.1+g0123"))).expect("a helm");
    assert_eq!((found.version.major, found.path.is_absolute()), (4, true));
    let fact = tools(Some(&script(dir.path(), "echo v3.8.2"))).helm.expect("a helm");
    assert_eq!(fact.version.as_deref(), Some("v3.8.2"));
}

#[test]
fn hands_helm_the_values_by_standard_input_and_the_post_renderer_by_its_dialect() {
    for (version, listed, expected) in [
        ("v3.19.5", "[]", "--post-renderer /"),
        ("v4.2.1", "[]", "--server-side=true --force-conflicts --post-renderer ovncilium-migrate"),
        (
            "v4.2.1",
            r#"[{"name":"cilium","revision":"2","status":"deployed","chart":"cilium-1.18.12"}]"#,
            "--server-side=false --post-renderer ovncilium-migrate",
        ),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let upgrade = r#"cat > values; cp "$HELM_PLUGINS"/*/plugin.yaml . 2>/dev/null; for a in "$@"; do echo "$a"; done > words"#;
        let helm = helm(dir.path(), &played(version, listed, upgrade));
        helm.upgrade("cilium", "kube-system", &json!({ "secret": "x" }), &mut || Ok(())).expect("an upgrade");
        let calls = calls(dir.path());
        assert!(calls.contains(expected), "{calls}");
        assert!(!calls.contains("secret"), "{calls}");
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        assert_eq!(read("values"), r#"{"secret":"x"}"#);
        assert!(read("words").contains("--post-renderer-args=post-render\n--post-renderer-args=--mode=plan, x\n"));
        assert_eq!(read("plugin.yaml").contains("postrenderer/v1"), version.starts_with("v4"));
    }
}

#[test]
fn tells_what_the_post_renderer_wrote_where_helm_swallows_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let upgrade = r#"echo 'denied: cni.exclusive must be false' > "$OVNCILIUM_REPORT"; echo 'Error: plugin exited with error' >&2; exit 1"#;
    let error = helm(dir.path(), &played("v4.2.1", "[]", upgrade))
        .upgrade("c", "n", &json!({}), &mut || Ok(()))
        .expect_err("denied");
    assert_eq!(error.to_string(), "helm upgrade failed: denied: cni.exclusive must be false");
    let upgrade = "echo 'level=WARN x' >&2; echo 'Error: UPGRADE FAILED: no' >&2; exit 1";
    let error = helm(dir.path(), &played("v3.19.5", "[]", upgrade))
        .upgrade("c", "n", &json!({}), &mut || Ok(()))
        .expect_err("failed");
    assert_eq!(error.to_string(), "helm upgrade failed: UPGRADE FAILED: no");
}

#[test]
fn reads_the_newest_revision_and_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let listed = r#"[{"name":"ciliumx","revision":"9","status":"failed","chart":"x-1.0.0"},{"name":"cilium","revision":"3","status":"failed","chart":"cilium-1.18.12"}]"#;
    let found =
        helm(dir.path(), &played("v3.19.5", listed, "")).release("cilium", "n").expect("an answer").expect("a release");
    assert_eq!((found.revision, found.status.as_str(), found.chart_version.as_str()), (3, "failed", "1.18.12"));
    assert_eq!(found.values, json!({ "a": 1 }));
    let helm = helm(dir.path(), &played("v3.19.5", "[]", ""));
    assert_eq!(helm.release("cilium", "n"), Ok(None));
    helm.uninstall("cilium", "n", &mut || Ok(())).expect("nothing to do");
    assert!(!calls(dir.path()).contains("uninstall cilium"));
}

#[test]
fn a_pending_release_that_cannot_be_cleared_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let listed = r#"[{"name":"cilium","revision":"1","status":"pending-install","chart":"cilium-1.18.12"}]"#;
    let error = helm(dir.path(), &played("v3.19.5", listed, ""))
        .upgrade("cilium", "n", &json!({}), &mut || Ok(()))
        .expect_err("stuck");
    println!("{error}");
    assert!(error.to_string().contains("left pending-install at revision 1"), "{error}");
}

#[test]
fn finishes_a_removal_before_it_installs() {
    let dir = tempfile::tempdir().expect("a directory");
    // Uninstalling until `helm uninstall` was called.
    let body = played("v3.19.5", "[]", "").replace(
        "list) echo '[]'",
        r#"list) if grep -q ^uninstall calls; then echo '[]'; else echo '[{"name":"cilium","revision":"1","status":"uninstalling","chart":"cilium-1.18.12"}]'; fi"#,
    );
    helm(dir.path(), &body).upgrade("cilium", "n", &json!({}), &mut || Ok(())).expect("an upgrade");
    let calls = calls(dir.path());
    let (removed, installed) = (calls.find("uninstall cilium"), calls.find("upgrade --install cilium"));
    assert!(removed.is_some() && removed < installed, "{calls}");
}

#[test]
fn a_helm_that_never_ends_is_stopped_with_its_children() {
    let dir = tempfile::tempdir().expect("a directory");
    let source = ChartSource::Archive { location: "x".into(), bytes: packed("cilium", "1.18.12") };
    let mut options = HelmOptions::new(source);
    options.helm = Some(script(dir.path(), "case $1 in version) echo v3.19.5;; *) echo $$ > pid; sleep 3600;; esac"));
    options.time_limit = Duration::from_millis(300);
    let error = HelmCli::new(options).expect("a helm").render("c", "n", &json!({})).expect_err("stopped");
    assert!(error.to_string().contains("it took longer than 0 s, and it was stopped"), "{error}");
    let pid = std::fs::read_to_string(dir.path().join("pid")).expect("a pid");
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}

#[test]
fn the_lock_is_kept_while_helm_works_and_helm_ends_when_it_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let upgrade = "trap 'echo \"Error: interrupted\" >&2; exit 1' TERM; for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done";
    let helm = helm(dir.path(), &played("v3.19.5", "[]", upgrade));
    let mut beats = 0;
    let error = helm
        .upgrade("c", "n", &json!({}), &mut || {
            beats += 1;
            if beats < 2 { Ok(()) } else { Err("the lock is held by somebody".to_owned()) }
        })
        .expect_err("stopped");
    assert_eq!(beats, 2);
    let expected = "helm upgrade failed: the lock is held by somebody, and it was stopped: interrupted";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn charts_that_are_none_say_why() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("x.tgz"), "no archive").expect("a file");
    std::fs::write(dir.path().join("good.tgz"), packed("cilium", "1.18.12")).expect("a file");
    let at = |name: &str| dir.path().join(name).display().to_string();
    let open = |source| HelmCli::new(HelmOptions::new(source)).expect("a helm").chart();
    for location in [at("x.tgz"), at("none.tgz"), at(""), "-x/y".to_owned()] {
        let error = open(ChartSource::at(&location)).expect_err("no chart");
        println!("{error}");
        assert!(matches!(error, ChartsError::ChartMissing { .. }), "{error}");
    }
    let wrong = ChartSource::Location { location: at("good.tgz"), version: Some("1.18.11".into()), repo: None };
    let error = open(wrong).expect_err("another version");
    assert!(error.to_string().ends_with("it has version 1.18.12, not 1.18.11"), "{error}");
    let good = open(ChartSource::at(&at("good.tgz"))).expect("a chart");
    assert_eq!((good.name.as_str(), good.version.as_str()), ("cilium", "1.18.12"));
    assert_eq!(good.digest, ovncilium_core::Digest::of(packed("cilium", "1.18.12")));
}
