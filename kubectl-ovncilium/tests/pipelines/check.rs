//! `check --manifests`: every output names file and line of the object that a finding is about.

use serde_json::{Value, json};

use crate::support::Folder;

const YAML: &str = include_str!("../../../core/tests/facts/kube-ovn.yaml");
/// An install script in the shape of Kube-OVN's.
pub(crate) const SCRIPT: &str = include_str!("../../../core/tests/facts/install.sh");

/// A text with something else in place of what stands in it once.
fn with(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

/// Line of the script's here-document with the controller, which comes first in it.
fn here(script: &str) -> usize {
    script.lines().position(|line| line == "cat <<EOF > kube-ovn.yaml").unwrap() + 2
}

fn finding<'r>(findings: &'r Value, key: &str, value: &str) -> &'r Value {
    findings.as_array().unwrap().iter().find(|finding| finding[key] == value).unwrap()
}

#[test]
fn every_output_names_file_and_line_of_the_object() {
    let nic = "--pod-nic-type=internal-port";
    let yaml = with(YAML, "--enable-lb=true", &format!("{nic}, --enable-lb=true"));
    // The document starts with a comment.
    let yaml = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: a}}\n---\n{yaml}");
    let script = with(SCRIPT, "- --enable-lb=$", &format!("- {nic}\n          - --enable-lb=$"));
    let files = [("k/kube-ovn.yaml", yaml.as_str(), 6), ("k/install.sh", script.as_str(), here(&script))];
    let folder = Folder::new(&files.map(|(name, text, _)| (name, text)));
    for (file, _, line) in files {
        let ran = |format: &str| folder.run(&["check", "-o", format, "--manifests", file]);
        let text = ran("text");
        assert_eq!(text.code, 3, "{}{}", text.stdout, text.stderr);
        let told = format!("      deployment kube-system/kube-ovn-controller ({file}:{line}): ");
        assert!(text.stdout.contains(&told), "{told}\n{}", text.stdout);

        let report = ran("json").json();
        let found = finding(&report["findings"], "rule", "default-veth");
        assert_eq!((&found["verdict"], &found["file"], &found["line"]), (&"fail".into(), &file.into(), &line.into()));
        let other = finding(&report["findings"], "rule", "kernel-minimum");
        assert!(other.get("file").is_none(), "about no object of the manifests: {other}");

        let junit = ran("junit").stdout;
        let case = junit.split("  <testcase ").find(|case| case.contains("veth-only/default-veth")).unwrap();
        assert!(case.contains(&format!("\n{file}:{line}</failure>")), "{case}");

        let sarif = ran("sarif");
        assert_eq!(sarif.code, 3, "{}", sarif.stderr);
        let run = &sarif.json()["runs"][0];
        assert_eq!(run["automationDetails"]["id"], "ovncilium/check/");
        let found = finding(&run["results"], "ruleId", "veth-only/default-veth");
        let place = json!({
            "artifactLocation": { "uri": file, "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": line },
        });
        assert_eq!(found["locations"][0]["physicalLocation"], place);
    }
}

#[test]
fn a_script_comes_through_stdin_and_what_it_leaves_open_is_unknown() {
    let folder = Folder::new(&[]);
    let open = SCRIPT.replace("ENABLE_NP=${ENABLE_NP:-true}", "ENABLE_NP=$(kubectl get cm np -o name)");
    let ran = folder.run_with(&["check", "-o", "json", "--manifests", "-"], open.as_bytes(), &[]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let at = open.lines().position(|line| line.starts_with("ENABLE_NP=")).unwrap() + 1;
    let reason = format!(
        "deployment kube-system/kube-ovn-controller (-:{}) has $ENABLE_NP (-:{at}), which is known only when the script runs",
        here(&open)
    );
    let report = ran.json();
    assert_eq!(finding(&report["unknown"], "subject", "kube-ovn")["reason"], reason);
    let torn = folder.run_with(&["check", "--manifests", "-"], b"#!/bin/sh\ncat <<EOF > a.yaml\n", &[]);
    assert_eq!(torn.code, 2, "{}", torn.stdout);
    assert!(
        torn.stderr.contains("-, line 2: this line of the script starts a here-document that never ends"),
        "{}",
        torn.stderr
    );
}
