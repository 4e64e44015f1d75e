//! `lint` on small hand-made renders.

use serde_json::Value;

use crate::support::Folder;

/// A render that does not chain: line 12 is `routing-mode`, line 10 is `data`.
pub(crate) const DENIED: &str = "\
# Source: cilium/templates/cilium-agent/serviceaccount.yaml
apiVersion: v1
kind: ServiceAccount
metadata: {name: cilium, namespace: kube-system}
---
# Source: cilium/templates/cilium-configmap.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data:
  cni-chaining-mode: generic-veth
  routing-mode: tunnel
  enable-ipv4-masquerade: \"false\"
  enable-ipv6: \"false\"
  cni-exclusive: \"false\"
  word-of-mine: do-not-print-me
";

fn allowed() -> String {
    DENIED.replace("routing-mode: tunnel", "routing-mode: native")
}

fn finding<'r>(report: &'r Value, rule: &str) -> &'r Value {
    report["findings"].as_array().unwrap().iter().find(|f| f["rule"] == rule).unwrap()
}

#[test]
fn a_denial_names_file_line_template_and_key_and_prints_nothing_of_the_stream() {
    let folder = Folder::new(&[("out/rendered.yaml", DENIED)]);
    let ran = folder.run(&["lint", "-f", "out/rendered.yaml"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    let expected = "× out/rendered.yaml:12: Cilium routes natively [chart-chaining/native-routing]\n    \
                    routing-mode is \"tunnel\"\n    ConfigMap kube-system/cilium-config, /data/routing-mode\n    \
                    template cilium/templates/cilium-configmap.yaml\n    hint: --set routingMode=native";
    assert!(ran.stdout.starts_with(expected), "{}", ran.stdout);
    assert!(ran.stdout.contains("\ndenied: 2 documents, "), "{}", ran.stdout);
    for format in ["text", "json", "junit", "sarif"] {
        let ran = folder.run(&["lint", "--all", "-o", format, "-f", "out/rendered.yaml"]);
        assert_eq!(ran.code, 3, "{format}: {}", ran.stderr);
        assert!(
            !ran.stdout.contains("do-not-print-me") && ran.stderr.is_empty(),
            "{format}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

#[test]
fn the_gate_is_that_of_the_post_renderer() {
    let folder = Folder::new(&[]);
    for (stream, code) in [(DENIED, 3), (&allowed(), 0), ("a: [1\n", 4)] {
        let post = folder.run_with(&["post-render", "--offline"], stream.as_bytes(), &[]);
        let lint = folder.run_with(&["lint", "-f", "-"], stream.as_bytes(), &[]);
        assert_eq!((post.code, lint.code), (code, code), "{}\n{}", post.stderr, lint.stdout);
    }
}

#[test]
fn a_chart_split_over_files_is_one_stream_and_each_finding_is_in_its_file() {
    let (account, config) = DENIED.split_once("---\n").unwrap();
    // Without a line end, and after a byte order mark.
    let account = format!("\u{feff}{}", account.trim_end());
    let folder = Folder::new(&[("c/a.yaml", &account), ("c/sub/b.yml", config), ("c/README.md", "no manifest")]);
    let ran = folder.run(&["lint", "-o", "json", "-f", "c"]);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    let report = ran.json();
    assert_eq!(report["files"], serde_json::json!(["c/a.yaml", "c/sub/b.yml"]));
    let routing = finding(&report, "native-routing");
    assert_eq!((&routing["file"], &routing["line"]), (&"c/sub/b.yml".into(), &7.into()));
    // The key is not there: the mapping that lacks it.
    let devices = finding(&report, "devices");
    assert_eq!((&devices["pointer"], &devices["line"]), (&"/data/devices".into(), &5.into()));
    // Without a pointer: the document.
    let present = finding(&report, "config-present");
    assert_eq!((&present["pointer"], &present["line"]), (&Value::Null, &2.into()));
}

#[test]
fn an_item_of_a_list_is_found_at_its_own_line() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n\
                - apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: cilium-config, namespace: cozy}\n  data:\n    routing-mode: tunnel\n";
    let folder = Folder::new(&[("list.yaml", list)]);
    let report = folder.run(&["lint", "-o", "json", "-f", "list.yaml"]).json();
    let routing = finding(&report, "native-routing");
    assert_eq!(
        (&routing["line"], &routing["object"]),
        (&11.into(), &"ConfigMap cozy/cilium-config".into()),
        "{routing}"
    );
}

#[test]
fn what_was_not_there_is_not_passed() {
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n";
    let folder = Folder::new(&[("other.yaml", other), ("void.yaml", "# nothing\n"), ("empty/x.txt", "")]);
    for file in ["other.yaml", "void.yaml"] {
        let ran = folder.run(&["lint", "-f", file]);
        assert_eq!(ran.code, 4, "{}", ran.stdout);
        let told = format!("? there is no ConfigMap cilium-config in {file}: nothing of Cilium was judged");
        assert!(ran.stdout.starts_with(&told), "{}", ran.stdout);
    }
    for (paths, told) in [("absent.yaml", "absent.yaml cannot be read"), ("empty", "no manifests were found")] {
        let ran = folder.run(&["lint", "-f", paths]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    assert_eq!(folder.run(&["lint"]).code, 2);
}

#[test]
fn policies_of_cilium_are_judged_without_a_chart_beside_them() {
    let fqdn = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: egress, namespace: shop}\nspec:\n  \
                egress:\n  - toFQDNs:\n    - matchName: api.example.com\n";
    let plain = "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: plain}\nspec: {}\n";
    let folder = Folder::new(&[("plain.yaml", plain), ("fqdn.yaml", fqdn)]);
    let ran = folder.run(&["lint", "-o", "json", "-f", "plain.yaml", "fqdn.yaml"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    assert_eq!(report["problems"], serde_json::json!([]));
    let findings = report["findings"].as_array().unwrap();
    let void: Vec<_> = findings.iter().filter(|f| f["rule"] == "no-l7-rules" && f["verdict"] == "fail").collect();
    let [void] = void.as_slice() else { panic!("{report}") };
    assert_eq!((&void["file"], &void["line"]), (&"fqdn.yaml".into(), &6.into()), "{void}");
}

#[test]
fn a_file_that_is_no_yaml_is_told_with_its_line_and_leaves_all_unjudged() {
    let folder = Folder::new(&[
        ("good.yaml", DENIED),
        ("bad.yaml", "a: 1\nb: [1\nc: 2\n"),
        ("template.yaml", "kind: X\nmetadata:\n  {{- toYaml . }}\n"),
    ]);
    let report = folder.run(&["lint", "-o", "json", "-f", "good.yaml", "bad.yaml", "template.yaml"]);
    assert_eq!(report.code, 4);
    let report = report.json();
    assert_eq!(report["findings"], serde_json::json!([]));
    let problems = report["problems"].as_array().unwrap();
    assert_eq!((&problems[0]["file"], &problems[0]["line"]), (&"bad.yaml".into(), &3.into()), "{problems:?}");
    assert_eq!((&problems[1]["file"], &problems[1]["line"]), (&"template.yaml".into(), &3.into()), "{problems:?}");
    assert!(problems[1]["remedy"].as_str().unwrap().contains("helm template"), "{problems:?}");
}

#[test]
fn no_cluster_is_asked_unless_it_is_named() {
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n\
                      clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: a, user: {}}]\n";
    let folder = Folder::new(&[("r.yaml", &allowed()), ("k", kubeconfig)]);
    let path = folder.path("k").display().to_string();
    let ran = folder.run_with(&["lint", "-f", "r.yaml"], b"", &[("KUBECONFIG", &path)]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("facts: none, documents alone were judged"), "{}", ran.stdout);
    let ran = folder.run_with(&["lint", "-f", "r.yaml", "--context", "a"], b"", &[("KUBECONFIG", &path)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (9, ""), "{}", ran.stderr);
}

#[test]
fn a_snapshot_that_is_too_old_judges_nothing() {
    let manifests = include_str!("../../../core/tests/facts/kube-ovn.yaml");
    let folder = Folder::new(&[("r.yaml", &allowed()), ("facts.json", &snapshot(manifests, "2026-01-01T00:00:00Z"))]);
    let ran = folder.run(&["lint", "-f", "r.yaml", "--facts", "facts.json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("more than the limit of 1 h"), "{}", ran.stderr);
    let old_enough = ["lint", "-f", "r.yaml", "--facts", "facts.json", "--max-age", "100000000", "-o", "json"];
    let report = folder.run(&old_enough).json();
    assert_eq!(report["source"]["kind"], "manifests");
    let modules = report["modules"].as_array().unwrap();
    assert!(modules.len() > 1, "with facts, policies about the cluster run too: {modules:?}");
}

/// A facts file made from manifests.
fn snapshot(manifests: &str, at: &str) -> String {
    use ovncilium_core::facts::{Source, file, manifests::File, manifests::read};
    let read = read(&[File { name: "k.yaml", content: manifests.as_bytes() }]).unwrap();
    let source = Source::Manifests { paths: vec!["k.yaml".to_owned()] };
    file::write(&read.facts(source, at.parse().unwrap())).unwrap()
}

#[test]
fn sarif_keeps_its_fingerprints_when_lines_move_and_tells_results_by_rule_place_and_object() {
    let folder = Folder::new(&[("a b/r.yaml", DENIED)]);
    let run = || {
        let ran = folder.run(&["lint", "-o", "sarif", "-f", "./a b/r.yaml"]);
        assert_eq!(ran.code, 3);
        ran.json()["runs"][0].clone()
    };
    let first = run();
    let routing = |run: &Value| {
        let results = run["results"].as_array().unwrap();
        results.iter().find(|result| result["ruleId"] == "chart-chaining/native-routing").unwrap().clone()
    };
    let result = routing(&first);
    let physical = &result["locations"][0]["physicalLocation"];
    assert_eq!(physical["artifactLocation"]["uri"], "a%20b/r.yaml");
    assert_eq!(physical["region"]["startLine"], 12);
    assert_eq!(result["level"], "error");
    let names: Vec<&Value> = result["locations"][0]["logicalLocations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| &l["fullyQualifiedName"])
        .collect();
    assert_eq!(
        names,
        ["ConfigMap kube-system/cilium-config", "ConfigMap kube-system/cilium-config#/data/routing-mode"]
    );
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &first["tool"]["driver"]["rules"][index];
    assert_eq!(rule["id"], "chart-chaining/native-routing");
    assert!(rule["help"]["markdown"].as_str().unwrap().starts_with("# chart-chaining\n"), "{rule}");
    assert_ne!(rule["help"]["text"], rule["shortDescription"]["text"]);
    assert!(first["results"].as_array().unwrap().iter().all(|result| result["kind"] != "pass"));

    folder.write("a b/r.yaml", &DENIED.replace("data:\n", "data:\n  # moved\n\n"));
    let moved = routing(&run());
    assert_eq!(moved["locations"][0]["physicalLocation"]["region"]["startLine"], 14);
    assert_eq!(moved["partialFingerprints"], result["partialFingerprints"]);
    let prints = first["results"].as_array().unwrap().iter().map(|r| r["partialFingerprints"].to_string());
    let unlike: std::collections::BTreeSet<String> = prints.collect();
    assert_eq!(unlike.len(), first["results"].as_array().unwrap().len());
}

#[test]
fn a_key_written_twice_is_a_remark_at_the_line_that_counts() {
    let twice = allowed().replace("data:\n", "data:\n  routing-mode: tunnel\n");
    let folder = Folder::new(&[("r.yaml", &twice)]);
    let ran = folder.run(&["lint", "-f", "r.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let told = "‼ r.yaml:13: every key is written once\n    /data/routing-mode is written twice: line 11 is ignored, line 13 counts\n";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    let run = folder.run(&["lint", "-f", "r.yaml", "-o", "sarif"]).json()["runs"][0].clone();
    assert!(run["results"].as_array().unwrap().iter().any(|result| result["ruleId"] == "duplicate-key"));
}

/// The test case of a rule, to its end.
fn case<'r>(junit: &'r str, rule: &str) -> &'r str {
    junit.split("  <testcase ").find(|case| case.contains(rule)).unwrap()
}

#[test]
fn every_format_of_both_commands_names_file_line_and_template_of_the_rendered_document() {
    let folder = Folder::new(&[("r.yaml", DENIED)]);
    let template = "cilium/templates/cilium-configmap.yaml";
    for command in [["lint", "-f"], ["check", "--manifests"]] {
        let ran = |format: &str| folder.run(&[command[0], "-o", format, command[1], "r.yaml"]);
        let text = ran("text").stdout;
        let told = text.lines().any(|line| line.trim() == format!("template {template}"));
        assert!(told && text.contains("r.yaml:12"), "{text}");
        let junit = ran("junit").stdout;
        let case = case(&junit, "chart-chaining/native-routing");
        assert!(case.contains("><failure type=\"fail\">"), "{case}");
        assert!(case.contains(&format!("\nr.yaml:12, /data/routing-mode\ntemplate {template}</failure>")), "{case}");
        let report = ran("json").json();
        let found = finding(&report, "native-routing");
        assert_eq!(
            (&found["file"], &found["line"], &found["source"]),
            (&"r.yaml".into(), &12.into(), &template.into())
        );
        let sarif = ran("sarif").json();
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        let found = results.iter().find(|found| found["ruleId"] == "chart-chaining/native-routing").unwrap();
        let place = &found["locations"][0]["physicalLocation"];
        assert_eq!((&place["artifactLocation"]["uri"], &place["region"]["startLine"]), (&"r.yaml".into(), &12.into()));
        assert!(found.to_string().contains(template), "{found}");
    }
}

#[test]
fn check_of_manifests_judges_what_they_bring_along_by_file_and_line() {
    let fqdn = "# Allows the shop to reach its bank.\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: bank, \
                namespace: shop}\nspec:\n  egress:\n  - toFQDNs:\n    - matchName: bank.example.com\n";
    let policy = r#"{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"NAME"},"spec":{"egress":[{"toFQDNs":[{}]}]}}"#;
    let one = policy.replace("NAME", "one");
    let several = format!("{one}\n{}\n", policy.replace("NAME", "two"));
    let folder = Folder::new(&[("git/fqdn.yaml", fqdn), ("git/several.json", &several)]);
    let ran = folder.run(&["check", "--manifests", "git", "-o", "json"]);
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap();
    let void = findings.iter().filter(|f| f["rule"] == "no-l7-rules" && f["verdict"] == "fail");
    let told: Vec<String> = void.map(|f| format!("{} {}:{}", f["subject"], f["file"], f["line"])).collect();
    let expected = [
        r#""CiliumNetworkPolicy shop/bank" "git/fqdn.yaml":7"#,
        r#""CiliumNetworkPolicy one" "git/several.json":1"#,
        r#""CiliumNetworkPolicy two" "git/several.json":1"#,
    ];
    assert_eq!(told, expected, "{report}");
    let text = folder.run(&["check", "--manifests", "git"]).stdout;
    assert!(text.contains("\n      git/fqdn.yaml:7, /spec/egress/0/toFQDNs\n"), "{text}");
}
