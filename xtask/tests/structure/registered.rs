//! One file per subject, policy, step and command: each is in the lists that make it count.

use std::collections::BTreeSet;

use ovncilium_core::Digest;
use serde_json::Value;

use crate::support::{block, folders, id, kebab, quoted_after, read, root, stems, walk, without};

/// Two sets that must be equal, with what is missing on either side.
fn same(what: &str, expected: &BTreeSet<String>, found: &BTreeSet<String>) {
    let missing: Vec<_> = expected.difference(found).collect();
    let foreign: Vec<_> = found.difference(expected).collect();
    assert!(missing.is_empty(), "{what} lacks {missing:?}");
    assert!(foreign.is_empty(), "{what} has {foreign:?}, which does not exist");
}

#[test]
fn every_file_of_facts_is_a_subject() {
    let files = without(stems("core/src/facts", "rs"), &["mod", "file", "inventory", "manifests", "member", "release"]);
    let module = read("core/src/facts/mod.rs");
    let list = block(&module, "\nsubjects! {", "\n}");
    let mut subjects = BTreeSet::new();
    for line in list.lines().map(str::trim).filter(|line| line.ends_with(';')) {
        // `kube_ovn: kube_ovn::KubeOvn = "kube-ovn";`
        let (field, rest) =
            line.split_once(": ").unwrap_or_else(|| panic!("`{line}` is not understood: mend this test"));
        assert!(rest.starts_with(&format!("{field}::")), "subject `{field}` takes its type from another file: {line}");
        assert!(rest.ends_with(&format!("\"{}\";", id(field))), "subject `{field}` has another name: {line}");
        subjects.insert(field.to_owned());
    }
    same("the list `subjects!` of core/src/facts/mod.rs", &files, &subjects);
}

/// Ids of the built-in policies: their folders.
fn builtins() -> BTreeSet<String> {
    folders("policies/builtin")
}

#[test]
fn every_builtin_policy_is_known_to_the_host_and_has_its_page_and_its_cases() {
    let policies = builtins();
    let catalog = read("policies/host/src/catalog.rs");
    let listed: BTreeSet<String> = block(&catalog, "\nbuiltins! {", "\n}")
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split('"').next())
        .map(str::to_owned)
        .collect();
    same("the list `builtins!` of policies/host/src/catalog.rs", &policies, &listed);
    same("docs/checks", &policies, &stems("docs/checks", "md"));
    let pages = quoted_after(&read("kubectl-ovncilium/src/commands/explain.rs"), "    (");
    same("the list PAGES of kubectl-ovncilium/src/commands/explain.rs", &policies, &pages);
    for policy in &policies {
        let page = read(&format!("docs/checks/{policy}.md"));
        assert!(page.starts_with(&format!("# {policy}\n")), "docs/checks/{policy}.md does not begin with `# {policy}`");
        let manifest = read(&format!("policies/builtin/{policy}/Cargo.toml"));
        assert!(
            manifest.contains(&format!("name = \"policy-{policy}\"")),
            "policies/builtin/{policy} has another name"
        );
        assert!(!stems(&format!("policies/builtin/{policy}/cases"), "yaml").is_empty(), "{policy} has no cases");
    }
}

#[test]
fn every_rule_of_a_builtin_policy_is_on_its_page() {
    for policy in builtins() {
        let sources: String =
            walk(&format!("policies/builtin/{policy}/src"), "rs").iter().map(|path| read(path)).collect();
        let page = read(&format!("docs/checks/{policy}.md"));
        for severity in ["error", "warning", "info"] {
            for rule in quoted_after(&sources, &format!("Rule::{severity}(")) {
                let row = page.lines().find(|line| line.starts_with(&format!("| `{rule}` |")));
                let row = row.unwrap_or_else(|| panic!("docs/checks/{policy}.md has no row for rule `{rule}`"));
                assert!(row.contains(severity), "docs/checks/{policy}.md: `{rule}` is of severity {severity}: {row}");
            }
        }
    }
}

#[test]
fn every_policy_module_is_built_and_has_its_digest() {
    for (sources, dist) in [("policies/builtin", "policies/dist"), ("policies/examples", "policies/dist/examples")] {
        let policies = folders(sources);
        same(dist, &policies, &stems(dist, "wasm"));
        let digests: Value = serde_json::from_str(&read(&format!("{dist}/digests.json"))).unwrap();
        let modules = digests["modules"].as_array().unwrap();
        let named = modules.iter().map(|module| module["id"].as_str().unwrap().to_owned()).collect();
        same(&format!("{dist}/digests.json"), &policies, &named);
        for module in modules {
            let name = module["id"].as_str().unwrap();
            let bytes = std::fs::read(root().join(dist).join(format!("{name}.wasm"))).unwrap();
            assert_eq!(
                module["sha256"],
                Digest::of(&bytes).to_string(),
                "{dist}/{name}.wasm: run `cargo xtask policies`"
            );
        }
    }
}

#[test]
fn every_hostile_module_is_tried() {
    let tests: String = walk("policies/host/tests", "rs").iter().map(|path| read(path)).collect();
    for module in stems("policies/hostile", "wat") {
        assert!(tests.contains(&module), "policies/hostile/{module}.wat is in no test of policies/host");
    }
}

#[test]
fn every_step_has_its_action_and_its_line() {
    let files = without(stems("engine/src/steps", "rs"), &["mod", "flags"]);
    let actions = read("core/src/plan/action.rs");
    let variants: BTreeSet<String> = block(&actions, "\npub enum Action {", "\n}")
        .lines()
        .filter(|line| line.starts_with("    ") && !line.starts_with("     "))
        .filter_map(|line| line.trim().split([' ', ',', '{']).next())
        .filter(|word| word.starts_with(char::is_uppercase))
        .map(str::to_owned)
        .collect();
    let ids: BTreeSet<String> = files.iter().map(|stem| id(stem)).collect();
    same("enum Action of core/src/plan/action.rs", &ids, &variants.iter().map(|variant| kebab(variant)).collect());
    same("Action::name of core/src/plan/action.rs", &ids, &quoted_after(block(&actions, "fn name(", "\n    }"), "=> "));
    let module = read("engine/src/steps/mod.rs");
    let work = block(&module, "\npub fn work(", "\n}");
    for (stem, variant) in files.iter().flat_map(|stem| variants.iter().map(move |variant| (stem, variant))) {
        if kebab(variant) == id(stem) {
            // An arm may go over several lines.
            let arm = work.split("\n        Action::").find(|arm| arm.starts_with(&format!("{variant} ")));
            let line = arm.unwrap_or_else(|| panic!("`work` of engine/src/steps/mod.rs has no arm for {variant}"));
            assert!(
                line.contains(&format!("{stem}::{variant}")),
                "{variant} is not done by engine/src/steps/{stem}.rs: {line}"
            );
        }
    }
}

/// Commands of the command line, kebab-case.
pub(crate) fn commands() -> BTreeSet<String> {
    let cli = read("kubectl-ovncilium/src/cli.rs");
    block(&cli, "\npub enum Command {", "\n}")
        .lines()
        .filter_map(|line| line.trim().strip_suffix("),")?.split('(').next())
        .map(kebab)
        .collect()
}

#[test]
fn every_command_has_its_file_and_is_documented() {
    // `rehearse` is `migrate --rehearse`.
    let files = without(stems("kubectl-ovncilium/src/commands", "rs"), &["mod", "rehearse"]);
    let commands = commands();
    same("enum Command of kubectl-ovncilium/src/cli.rs", &files.iter().map(|stem| id(stem)).collect(), &commands);
    let reference = read("docs/reference/cli.md");
    let manual = read("README.md") + &read("docs/runbook.md") + &read("docs/post-renderer.md");
    for command in commands {
        assert!(reference.contains(&format!("\n## `{command}`\n")), "run `cargo xtask gen`: {command} is not in it");
        assert!(
            manual.contains(&format!("kubectl ovncilium {command}")),
            "nobody is told of `kubectl ovncilium {command}`"
        );
    }
}

#[test]
fn every_decision_is_numbered_and_listed() {
    let architecture = read("ARCHITECTURE.md");
    let records = stems("docs/adr", "md");
    for (index, record) in records.iter().enumerate() {
        assert!(
            record.starts_with(&format!("{:04}-", index + 1)),
            "docs/adr/{record}.md: its number is not {}",
            index + 1
        );
        assert!(read(&format!("docs/adr/{record}.md")).contains("\nStatus: "), "docs/adr/{record}.md has no status");
        assert!(
            architecture.contains(&format!("docs/adr/{record}.md")),
            "ARCHITECTURE.md does not list docs/adr/{record}.md"
        );
    }
}
