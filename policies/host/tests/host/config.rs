//! The policy file: what is wrong is told with file, line and the known keys.

use ovncilium_core::Digest;
use ovncilium_core::policy::{FaultKind, Gate};
use ovncilium_policy_host::{Catalog, ConfigError, PolicyConfig};

use crate::support::{builtin, file, hostile, run};

const HEAD: &str = "apiVersion: ovncilium.io/v1alpha1\nkind: PolicyConfig\n";

fn parse(rest: &str) -> Result<PolicyConfig, ConfigError> {
    PolicyConfig::parse("org.yaml", &format!("{HEAD}{rest}"), |path| match path {
        "deny.wat" => Ok(hostile("deny")),
        "org-labels.wasm" => Ok(file("dist/examples/org-labels.wasm")),
        other => Err(format!("{other}: No such file or directory (os error 2)")),
    })
}

fn told(rest: &str) -> String {
    parse(rest).unwrap_err().to_string()
}

#[test]
fn modules_of_a_policy_file_run_with_their_settings() {
    let config =
        parse("policies:\n- {id: org-labels, file: org-labels.wasm, settings: {labels: {owner: []}}}\n").unwrap();
    let evaluation = run(&Catalog::empty().with_config(config));
    assert_eq!(evaluation.faults, []);
    assert_eq!(evaluation.findings[0].message, "the fact `nodes` is not known: it was not read");
    assert_eq!(evaluation.gate(), Gate::CouldNotJudge);
}

#[test]
fn mistakes_are_told_with_file_line_and_what_is_known() {
    let mistakes = [
        told("polices: []\n"),
        told("policies:\n- {file: deny.wat, sha265: x}\n"),
        told("policies:\n- file: deny.wat\n  sha256: abc\n"),
        told("settings:\n  node-kernal: {}\n"),
        told("waivers:\n- {policy: a, rule: b, expires: 2026-01-01}\n"),
        told("waivers:\n- {policy: a, rule: b, reason: ' ', expires: 2026-01-01}\n"),
        told("waivers:\n- {policy: a, rule: b, reason: x, expires: soon}\n"),
        told("policies: {"),
    ];
    let other = PolicyConfig::parse("org.yaml", "apiVersion: v1\nkind: ConfigMap\n", |_| Ok(vec![])).unwrap_err();
    let expected = "\
org.yaml:3: unknown field `polices`, expected one of `apiVersion`, `kind`, `policies`, `settings`, `waivers`
org.yaml:4: policies[0]: unknown field `sha265`, expected one of `id`, `file`, `sha256`, `settings`, `mutate`
org.yaml:4: policies[0]: `abc` is not a digest: expected `sha256:` and 64 hexadecimal digits
org.yaml:4: settings for `node-kernal`, which is not built in; built in are helm-version, node-kernel, service-provider, kube-ovn-load-balancer, kube-ovn-network-policy, cni-conf-order, address-plan, chart-chaining, owner, kube-ovn-health, permissions, ip-family, veth-only, multus-pin, nat-gateway, l7-policy-void
org.yaml:4: waivers[0]: missing field `reason`
org.yaml:4: waivers[0]: a waiver needs a reason
";
    let all = mistakes.join("\n");
    assert!(all.starts_with(expected), "{all}");
    assert_eq!(mistakes[6], "org.yaml:4: waivers[0]: `soon` is no day; write it like 2026-12-31");
    assert!(mistakes[7].starts_with("org.yaml:"), "{}", mistakes[7]);
    assert_eq!(
        other.to_string(),
        "org.yaml:1: it is a `ConfigMap` of `v1`; expected a `PolicyConfig` of `ovncilium.io/v1alpha1`"
    );
}

#[test]
fn settings_are_judged_by_the_module_they_are_for() {
    let config = parse("policies:\n- {file: org-labels.wasm, settings: {label: owner}}\n").unwrap();
    let fault = &run(&Catalog::empty().with_config(config)).faults[0];
    assert_eq!((fault.policy.as_str(), fault.kind), ("org-labels", FaultKind::Settings));
    assert!(fault.message.contains("unknown field `label`, expected `labels`"), "{}", fault.message);

    let config = parse("policies:\n- {file: org-labels.wasm, settings: {labels: {}}}\n").unwrap();
    let fault = &run(&Catalog::empty().with_config(config)).faults[0];
    assert!(fault.message.contains("/labels: name at least one label"), "{}", fault.message);

    let config = parse("settings:\n  node-kernel: {minimum: 6.1}\n").unwrap();
    let faults = run(&builtin().with_config(config)).faults;
    assert_eq!((faults[0].policy.as_str(), faults[0].kind), ("node-kernel", FaultKind::Settings));
}

#[test]
fn a_module_that_is_not_there_or_not_the_expected_one_is_a_fault() {
    let config = parse("policies:\n- {file: gone.wasm}\n").unwrap();
    let fault = &run(&Catalog::empty().with_config(config)).faults[0];
    assert_eq!((fault.policy.as_str(), fault.kind), ("gone.wasm", FaultKind::Missing));

    let config = parse("policies:\n- {id: org-labels, file: deny.wat}\n").unwrap();
    let fault = &run(&Catalog::empty().with_config(config)).faults[0];
    assert_eq!((fault.policy.as_str(), fault.kind), ("deny.wat", FaultKind::BadAnswer));
    assert!(fault.message.contains("is the policy `wat-deny`, not `org-labels`"), "{}", fault.message);

    let pin = Digest::of("another");
    let config = parse(&format!("policies:\n- {{file: deny.wat, sha256: '{pin}'}}\n")).unwrap();
    assert_eq!(run(&Catalog::empty().with_config(config)).faults[0].kind, FaultKind::WrongDigest);
}
