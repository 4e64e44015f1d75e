//! Which crate may depend on which. The table is the architecture; `ARCHITECTURE.md` draws it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::{read, root};

/// Crate, and the crates of this repository it may use; those with `dev:` in tests alone.
const ARROWS: &[(&str, &[&str])] = &[
    ("ovncilium-core", &[]),
    ("ovncilium-policy-sdk", &[]),
    ("ovncilium-policy-host", &["ovncilium-core", "dev:ovncilium-policy-sdk"]),
    ("ovncilium-engine", &["ovncilium-core", "ovncilium-policy-host", "dev:ovncilium-sim"]),
    ("ovncilium-cluster", &["ovncilium-core", "ovncilium-policy-host", "ovncilium-engine"]),
    ("ovncilium-sim", &["ovncilium-core", "ovncilium-policy-host", "ovncilium-engine"]),
    ("ovncilium-helm-plugin", &["ovncilium-core", "ovncilium-policy-host"]),
    (
        "kubectl-ovncilium",
        &[
            "ovncilium-core",
            "ovncilium-policy-host",
            "ovncilium-engine",
            "ovncilium-cluster",
            "ovncilium-sim",
            "ovncilium-helm-plugin",
            "dev:ovncilium-policy-sdk",
        ],
    ),
    // Plays clusters with the actors of the simulation; judges by the plan's words and the audit log.
    ("ovncilium-e2e", &["ovncilium-core", "ovncilium-engine", "ovncilium-sim"]),
    ("ovncilium-bench", &["ovncilium-core"]),
    ("xtask", &["ovncilium-core"]),
];

/// Guests know the SDK and nothing else: what they can do, an organisation's own module can do.
const OF_GUESTS: &[&str] = &["ovncilium-policy-sdk"];

/// Crates that decide; and what of the outside world must not be in reach of them, at any distance.
const DECIDES: &[(&str, &[&str])] = &[
    ("ovncilium-core", &["tokio", "kube", "kube-client", "wasmtime", "hyper", "reqwest", "mio", "which"]),
    ("ovncilium-engine", &["tokio", "kube", "kube-client", "hyper", "reqwest", "mio", "which"]),
    ("ovncilium-policy-sdk", &["tokio", "kube", "kube-client", "wasmtime", "hyper", "mio", "tempfile"]),
];

struct Package {
    name: String,
    /// Names of dependencies; `dev:` before those of tests.
    dependencies: BTreeSet<String>,
}

/// What cargo says of the packages of this workspace.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dependency = |value: &Value| {
        let prefix = if value["kind"] == "dev" { "dev:" } else { "" };
        format!("{prefix}{}", text(&value["name"]))
    };
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            dependencies: package["dependencies"].as_array().unwrap().iter().map(dependency).collect(),
        })
        .collect()
}

#[test]
fn crates_depend_on_each_other_as_the_table_says() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let table: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for package in &packages {
        let allowed = match table.get(package.name.as_str()) {
            Some(allowed) => *allowed,
            None if package.name.starts_with("policy-") => OF_GUESTS,
            None => panic!("crate `{}` is not in the table of this test: decide what it may use", package.name),
        };
        for dependency in &package.dependencies {
            let name = dependency.strip_prefix("dev:").unwrap_or(dependency);
            let may = allowed.contains(&name) || allowed.contains(&dependency.as_str());
            assert!(!ours.contains(name) || may, "{} must not depend on {dependency}", package.name);
        }
    }
    for name in table.keys() {
        assert!(ours.contains(name), "`{name}` is in the table of this test and not in the workspace");
    }
}

#[test]
fn crates_that_decide_have_no_outside_world_in_reach() {
    let lock = Lock::read();
    for (name, forbidden) in DECIDES {
        let reached = lock.reached(name);
        for package in *forbidden {
            assert!(!reached.contains(*package), "{name} reaches {package}: {}", lock.way(name, package).join(" -> "));
        }
    }
    // The search itself finds what is there.
    assert!(lock.reached("kubectl-ovncilium").contains("wasmtime"), "Cargo.lock is read wrongly: mend this test");
}

/// Cargo.lock: dependencies by package name, all versions of a name taken together.
struct Lock(BTreeMap<String, BTreeSet<String>>);

impl Lock {
    fn read() -> Self {
        let text = read("Cargo.lock");
        let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in text.split("[[package]]").skip(1) {
            let name = package.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
            let list =
                package.split("dependencies = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
            // `"name"`, or `"name version"` where there are several.
            let names = list.split('"').skip(1).step_by(2).filter_map(|word| word.split(' ').next());
            packages.entry(name.to_owned()).or_default().extend(names.map(str::to_owned));
        }
        Self(packages)
    }

    fn of<'l>(&'l self, name: &str) -> impl Iterator<Item = &'l String> {
        self.0.get(name).into_iter().flatten()
    }

    fn reached(&self, from: &str) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from.to_owned()];
        while let Some(next) = open.pop() {
            open.extend(self.of(&next).filter(|name| reached.insert((*name).clone())).cloned());
        }
        reached
    }

    /// One way from a package to another, for the message.
    fn way(&self, from: &str, to: &str) -> Vec<String> {
        let mut ways = std::collections::VecDeque::from([vec![from.to_owned()]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            let last = way.last().unwrap();
            if last == to {
                return way;
            }
            for next in self.of(last).filter(|name| seen.insert((*name).clone())) {
                ways.push_back([way.clone(), vec![next.clone()]].concat());
            }
        }
        Vec::new()
    }
}
