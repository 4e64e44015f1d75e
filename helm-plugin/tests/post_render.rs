//! The post-renderer from stdin to stdout and report, with a pretend policy.

#![expect(clippy::unwrap_used, reason = "helpers of tests are outside of #[test] functions")]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use ovncilium_core::facts::{Facts, Source};
use ovncilium_core::policy::{Evaluation, Fault, FaultKind, Finding, ModuleRun, Severity, Verdict};
use ovncilium_core::render::Stream;
use ovncilium_core::{Digest, ExitCode};
use ovncilium_helm_plugin::{
    ClusterChoice, ClusterFlags, Environment, Evaluator, FactsSource, Kubeconfig, Mode, Options, Streams, Trouble,
    post_render, run,
};

const CHAINED: &str = "---\n# Source: cilium/templates/cilium-configmap.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\n  namespace: kube-system\ndata:\n  cni-chaining-mode: generic-veth # kept\n";

fn flat() -> String {
    CHAINED.replace("generic-veth # kept", "none")
}

fn digest() -> Digest {
    Digest::of("module")
}

fn finding(rule: &str, severity: Severity, verdict: Verdict) -> Finding {
    Finding {
        policy: "chart-chaining".into(),
        module: digest(),
        rule: rule.into(),
        title: "Cilium chains with generic-veth".to_owned(),
        severity,
        verdict,
        message: "cni-chaining-mode is not generic-veth".to_owned(),
        subject: None,
        remedy: Some("--set cni.chainingMode=generic-veth".to_owned()),
        document: Some(0),
        source: None,
        pointer: Some("/data/cni-chaining-mode".to_owned()),
        patch: None,
    }
}

fn ran(findings: Vec<Finding>) -> Evaluation {
    let module = ModuleRun { policy: "chart-chaining".into(), version: "0.1.0".into(), module: digest(), fuel: 1 };
    Evaluation { modules: vec![module], findings, faults: vec![] }
}

/// Denies whatever does not chain.
fn chaining(_: &Arc<Facts>, stream: &Stream) -> Evaluation {
    let mode = stream.documents()[0].value().pointer("/data/cni-chaining-mode").cloned();
    let verdict = if mode == Some("generic-veth".into()) { Verdict::Pass } else { Verdict::Fail };
    ran(vec![finding("mode", Severity::Error, verdict)])
}

fn offline() -> Facts {
    Facts::unknown(Source::Offline, Timestamp::UNIX_EPOCH, "documents only (--offline)")
}

#[test]
fn an_allowed_stream_comes_out_byte_for_byte() {
    let out = post_render(CHAINED.as_bytes(), offline(), Mode::Offline, &chaining);
    assert_eq!(out.stdout.as_deref(), Some(CHAINED.as_bytes()));
    assert_eq!(out.exit, ExitCode::Done);
    assert_eq!(
        out.report,
        "facts: none, documents only (--offline); the cluster was not asked\n\
         not seen: hooks and crds/ (Helm 3 shows neither to a post-renderer)\n\
         allowed: 1 document, 1 rule holds\n"
    );
}

#[test]
fn a_denial_gives_helm_nothing_and_a_person_everything() {
    let flat = flat();
    let out = post_render(flat.as_bytes(), offline(), Mode::Offline, &chaining);
    assert_eq!((out.stdout, out.exit), (None, ExitCode::Denied));
    let expected = format!(
        "ovncilium: this chart must not be installed: 1 rule does not hold

    denied  chart-chaining/mode: Cilium chains with generic-veth
            because  cni-chaining-mode is not generic-veth
            document 0 ConfigMap kube-system/cilium-config
            template cilium/templates/cilium-configmap.yaml
            key      /data/cni-chaining-mode (line 9 of the stream)
            found    \"none\"
            set      --set cni.chainingMode=generic-veth
            module   {}

facts: none, documents only (--offline); the cluster was not asked
not seen: hooks and crds/ (Helm 3 shows neither to a post-renderer)
denied: Helm was given nothing, nothing was installed or changed (exit code 3)
next: run the same helm command with the values above; why: `kubectl ovncilium explain chart-chaining`
",
        digest()
    );
    assert_eq!(out.report, expected);
}

#[test]
fn a_fault_an_unknown_fact_and_no_module_at_all_give_helm_nothing() {
    let fault = |_: &Arc<Facts>, _: &Stream| {
        let mut evaluation = ran(vec![]);
        evaluation.faults.push(Fault {
            policy: "node-kernel".to_owned(),
            module: None,
            kind: FaultKind::Missing,
            message: "the built-in module is not there".to_owned(),
            remedy: "install ovncilium again".to_owned(),
        });
        evaluation
    };
    let unknown = |_: &Arc<Facts>, _: &Stream| ran(vec![finding("mode", Severity::Error, Verdict::Unknown)]);
    let nothing = |_: &Arc<Facts>, _: &Stream| Evaluation::default();
    let heads = [
        "ovncilium: this chart could not be judged: 1 policy could not run",
        "ovncilium: this chart could not be judged: 1 rule has no answer",
        "ovncilium: this chart could not be judged: no policy module ran",
    ];
    let evaluators: [Evaluator<'_>; 3] = [&fault, &unknown, &nothing];
    for (evaluate, head) in evaluators.into_iter().zip(heads) {
        let out = post_render(CHAINED.as_bytes(), offline(), Mode::Gate, evaluate);
        assert_eq!((out.stdout, out.exit), (None, ExitCode::CouldNotJudge), "{head}");
        assert!(out.report.starts_with(head), "{}", out.report);
        assert!(out.report.contains("could not judge: Helm was given nothing"), "{}", out.report);
    }
}

#[test]
fn a_stream_that_cannot_be_read_gives_helm_nothing() {
    let out = post_render(b"# Source: a/b.yaml\na: [1\nb: 2\n", offline(), Mode::Offline, &chaining);
    assert_eq!((out.stdout, out.exit), (None, ExitCode::CouldNotJudge));
    assert!(out.report.contains("\n  document 0 (a/b.yaml), line 3, column 2: "), "{}", out.report);
}

#[test]
fn empty_input_becomes_a_comment_because_helm_4_wants_output() {
    let never = |_: &Arc<Facts>, _: &Stream| panic!("there is nothing to judge");
    let out = post_render(b" \n", offline(), Mode::Gate, &never);
    assert_eq!(out.stdout.as_deref(), Some(&b"# ovncilium: empty stream\n"[..]));
    let out = post_render(b"# c\n---\n", offline(), Mode::Gate, &never);
    assert_eq!(out.stdout.as_deref(), Some(&b"# c\n---\n"[..]));
}

/// [`chaining`], and a policy that patches.
fn patching(path: &'static str, value: &'static str) -> impl Fn(&Arc<Facts>, &Stream) -> Evaluation {
    move |facts, stream| {
        let mut evaluation = chaining(facts, stream);
        let mut wish = finding("wish", Severity::Warning, Verdict::Fail);
        wish.patch = Some(format!(r#"[{{"op":"add","path":"{path}","value":"{value}"}}]"#));
        let audited = stream.documents()[0].value().pointer("/data/policy-audit-mode").cloned();
        let verdict = if audited == Some("false".into()) { Verdict::Fail } else { Verdict::Pass };
        evaluation.findings.extend([wish, finding("audit", Severity::Error, verdict)]);
        evaluation
    }
}

#[test]
fn a_patched_stream_is_judged_again() {
    let audit = |value| patching("/data/policy-audit-mode", value);
    let out = post_render(CHAINED.as_bytes(), offline(), Mode::Offline, &audit("true"));
    let text = String::from_utf8(out.stdout.unwrap().into_owned()).unwrap();
    assert_eq!(text, CHAINED.replace("\ndata:\n", "\ndata:\n  policy-audit-mode: \"true\"\n"));
    assert!(out.report.ends_with("allowed: 1 document, 2 rules hold, 1 patch\n"), "{}", out.report);
    let out = post_render(CHAINED.as_bytes(), offline(), Mode::Offline, &audit("false"));
    assert_eq!((out.stdout, out.exit), (None, ExitCode::Denied), "the patch breaks what another rule wants");
}

#[test]
fn a_patch_of_anything_else_is_refused_with_the_value_to_set() {
    let out = post_render(CHAINED.as_bytes(), offline(), Mode::Offline, &patching("/data/routing-mode", "native"));
    assert_eq!((out.stdout, out.exit), (None, ExitCode::CouldNotJudge));
    assert_eq!(
        out.report,
        "ovncilium: a policy wants to change the chart and cannot\n\n  document 0 (cilium/templates/cilium-configmap.yaml), \
         line 2: `chart-chaining` may not patch `/data/routing-mode`: it is no key of the list: cluster-pool-ipv4-mask-size, \
         devices, enable-identity-mark, enable-ipv6-masquerade, enable-policy, policy-audit-mode\n\n\
         could not judge: Helm was given nothing, nothing was installed or changed (exit code 4)\n\
         next: --set routingMode=native; then `chart-chaining` has nothing to patch\n"
    );
}

#[test]
fn names_and_values_of_a_chart_cannot_steer_a_terminal() {
    let evil = flat().replace("none", "\"\\e[2J\\u202e\"").replace("kube-system", "\"k\\e[31m\"");
    let out = post_render(evil.as_bytes(), offline(), Mode::Offline, &chaining);
    assert!(!out.report.contains(['\u{1b}', '\u{202e}']), "{:?}", out.report);
}

#[test]
fn a_key_that_is_written_twice_is_told() {
    let twice = CHAINED.to_owned() + "  cni-chaining-mode: none\n";
    let out = post_render(twice.as_bytes(), offline(), Mode::Offline, &chaining);
    assert_eq!(out.exit, ExitCode::Denied, "the last one counts");
    let told = "key      /data/cni-chaining-mode (line 9 of the stream is ignored, line 10 counts)";
    assert!(out.report.contains(told), "{}", out.report);
}

#[test]
fn values_of_secrets_are_not_shown() {
    let secret = "kind: Secret\nmetadata: {name: s}\ndata: {cni-chaining-mode: aHVudGVyMg==}\n";
    let out = post_render(secret.as_bytes(), offline(), Mode::Offline, &chaining);
    assert!(out.report.contains("found    a value (masked, it belongs to a Secret)"), "{}", out.report);
}

struct Pretend {
    contexts: Vec<String>,
    collected_at: Timestamp,
    asked: RefCell<Vec<ClusterChoice>>,
}

impl FactsSource for Pretend {
    fn kubeconfig(&self, _: Option<&Path>) -> Result<Kubeconfig, Trouble> {
        Ok(Kubeconfig { contexts: self.contexts.clone(), current: None })
    }

    fn facts(&self, choice: &ClusterChoice) -> Result<Facts, Trouble> {
        self.asked.borrow_mut().push(choice.clone());
        Ok(Facts::unknown(Source::Rehearsal, self.collected_at, "pretended"))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }
}

/// Exit code, stdout, stderr, report file.
fn ran_with(options: &Options, contexts: &[&str], age: i64, input: &str) -> (ExitCode, String, String, Option<String>) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deep/report.txt");
    let source = Pretend {
        contexts: contexts.iter().map(|c| (*c).to_owned()).collect(),
        collected_at: Timestamp::from_second(1_000_000 - age).unwrap(),
        asked: RefCell::default(),
    };
    let mut environment = Environment::default();
    environment.variables.insert("OVNCILIUM_REPORT".to_owned(), file.to_str().unwrap().to_owned());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streams = Streams { stdin: &mut input.as_bytes(), stdout: &mut stdout, stderr: &mut stderr };
    let exit = run(options, &environment, &source, &chaining, &mut streams);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let report = std::fs::read_to_string(&file).ok();
    let stderr = text(stderr).replace(file.to_str().unwrap(), "REPORT");
    (exit, text(stdout), stderr, report)
}

#[test]
fn two_contexts_are_refused_with_what_to_pass() {
    let (exit, stdout, stderr, report) = ran_with(&Options::default(), &["lab", "prod"], 0, CHAINED);
    assert_eq!((exit, stdout.as_str()), (ExitCode::Usage, ""));
    assert_eq!(
        stderr,
        "ovncilium: it is not clear which cluster this chart is for

  the kubeconfig has 2 contexts and none was named: lab, prod

report: REPORT
stopped: Helm was given nothing, nothing was installed or changed (exit code 2)
next: run `HELM_KUBECONTEXT=lab helm …` (or another of them)
"
    );
    assert_eq!(stderr.replace("report: REPORT\n", ""), report.unwrap());
}

#[test]
fn allowed_streams_leave_no_report_and_denied_ones_no_output() {
    let (exit, stdout, _, report) = ran_with(&Options::default(), &["lab"], 0, CHAINED);
    assert_eq!((exit, stdout.as_str(), report), (ExitCode::Done, CHAINED, None));
    let (exit, stdout, stderr, report) = ran_with(&Options::default(), &["lab"], 0, &flat());
    assert_eq!((exit, stdout.as_str()), (ExitCode::Denied, ""));
    assert!(report.unwrap().contains("chart-chaining/mode") && stderr.contains("\nreport: REPORT\ndenied: "));
}

#[test]
fn facts_of_a_file_must_be_young() {
    let cluster = ClusterFlags { facts: Some("facts.json".into()), ..Default::default() };
    let options = Options { cluster, ..Default::default() };
    assert_eq!(ran_with(&options, &[], 3600, CHAINED).0, ExitCode::Done);
    let (exit, stdout, stderr, _) = ran_with(&options, &[], 3601, CHAINED);
    assert_eq!((exit, stdout.as_str()), (ExitCode::CouldNotJudge, ""));
    assert!(stderr.contains("facts.json was collected 1 h ago, more than the limit of 1 h"), "{stderr}");
    let (exit, _, stderr, _) = ran_with(&options, &[], -7200, CHAINED);
    assert_eq!(exit, ExitCode::CouldNotJudge);
    assert!(stderr.contains("facts.json was collected 2 h in the future"), "{stderr}");
}

#[test]
fn offline_asks_no_cluster() {
    let options = Options { mode: Mode::Offline, ..Default::default() };
    let (exit, stdout, stderr, _) = ran_with(&options, &["lab", "prod"], 0, CHAINED);
    assert_eq!((exit, stdout.as_str()), (ExitCode::Done, CHAINED));
    assert!(stderr.contains("documents only (--offline); the cluster was not asked"), "{stderr}");
}
