//! Another language, time zone, home or working directory changes no byte of what the binary says.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ovncilium_core::facts::{Facts, NAMES, file};
use serde_json::{Value, json};

use crate::program::{Run, root, run, scratch};
use crate::renders::all;
use crate::start::{example, full};

/// Ways in which two machines differ.
fn places() -> Vec<Vec<(&'static str, String)>> {
    let home = |name: &str| {
        let home = scratch().join(name);
        std::fs::create_dir_all(&home).unwrap();
        home.display().to_string()
    };
    vec![
        vec![("LC_ALL", "C".to_owned()), ("TZ", "UTC".to_owned())],
        vec![
            ("LC_ALL", "tr_TR.UTF-8".to_owned()),
            ("LANG", "tr_TR.UTF-8".to_owned()),
            ("LC_NUMERIC", "de_DE".to_owned()),
        ],
        vec![("TZ", "Pacific/Kiritimati".to_owned())],
        vec![
            ("TZ", "America/St_Johns".to_owned()),
            ("COLUMNS", "30".to_owned()),
            ("TERM", "xterm-256color".to_owned()),
        ],
        vec![("HOME", home("another home")), ("XDG_CACHE_HOME", home("another cache"))],
        vec![("HOME", "/nonexistent".to_owned()), ("USER", "nobody".to_owned())],
    ]
}

fn write(name: &str, content: &str) -> PathBuf {
    let path = scratch().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn snapshot(name: &str, facts: &Facts) -> String {
    write(name, &file::write(facts).unwrap()).display().to_string()
}

/// What a run gave, without the moments at which it happened and the digests over them.
fn told(run: &Run) -> String {
    let stdout = String::from_utf8_lossy(&run.stdout).into_owned();
    let stdout = match serde_json::from_str::<Value>(&stdout) {
        Ok(mut json) if json.get("plan").is_some() => {
            json["digest"] = Value::Null;
            for moment in ["created_at", "expires_at"] {
                json["plan"][moment] = Value::Null;
            }
            // Facts judged now hold the moment in no value, so their digest stays.
            json.to_string()
        }
        _ => stdout,
    };
    format!("{}\n{}\n{}", run.code, momentless(&stdout), run.stderr)
}

/// A text without a plan's digest, which is over the moment it was made: `(plan 5d234bc8f677)`.
fn momentless(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once(" (plan ").map_or(line, |(before, _)| before));
    lines.collect::<Vec<_>>().join("\n")
}

fn same_everywhere(what: &str, args: &[&str], stdin: &[u8], code: i32) {
    let mut first: Option<String> = None;
    for place in places() {
        let extra: Vec<(&str, &str)> = place.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let run = run(args, stdin, &extra);
        assert_eq!(run.code, code, "{what}: {}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        let told = told(&run);
        let expected = first.get_or_insert_with(|| told.clone());
        let line = expected.lines().zip(told.lines()).find(|(a, b)| a != b);
        assert!(*expected == told, "{what} in {place:?}: {line:?}");
    }
}

#[test]
fn check_says_the_same_everywhere() {
    for (facts, code) in [(snapshot("example.json", &example()), 0), (snapshot("full.json", &full()), 3)] {
        for output in ["json", "text", "junit", "sarif"] {
            let args = ["check", "--facts", &facts, "--cilium-version", "1.18.12", "--all", "-o", output];
            same_everywhere(&format!("check -o {output} of {facts}"), &args, b"", code);
        }
    }
    let manifests = root().join("kubectl-ovncilium/tests/verdicts/kube-ovn/v1.14.41.yaml").display().to_string();
    same_everywhere("check --manifests", &["check", "--manifests", &manifests, "-o", "json"], b"", 4);
}

#[test]
fn lint_says_the_same_everywhere() {
    let stream = all().into_iter().find(|render| (render.version.as_str(), render.case.as_str()) == ("1.15.5", "seed"));
    let stream = stream.unwrap().stream("helm3");
    for output in ["json", "text", "junit", "sarif"] {
        same_everywhere(
            &format!("lint -o {output}"),
            &["lint", "--all", "-o", output, "-f", "-"],
            stream.as_bytes(),
            3,
        );
    }
}

#[test]
fn values_says_the_same_everywhere() {
    let facts = snapshot("for-values.json", &example());
    for layout in ["beside", "guide"] {
        let args = ["values", "--facts", &facts, "--cilium-version", "1.18.12", "--layout", layout];
        same_everywhere(&format!("values --layout {layout}"), &args, b"", 0);
    }
}

#[test]
fn the_post_renderer_says_the_same_everywhere() {
    for render in all().iter().filter(|render| render.version == "1.15.5") {
        let stream = render.stream("helm4");
        let code = if matches!(render.case.as_str(), "seed" | "reset-values") { 3 } else { 0 };
        let report = scratch().join("report.txt").display().to_string();
        same_everywhere(&render.case, &["post-render", "--offline", "--report", &report], stream.as_bytes(), code);
    }
}

/// A helm that renders one of our own streams whatever it is told.
fn pretend_helm(folder: &Path) -> (PathBuf, PathBuf) {
    let chart = folder.join("cilium");
    std::fs::create_dir_all(&chart).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: cilium\nversion: 1.18.12\n").unwrap();
    let render = all().into_iter().find(|render| render.version == "1.18.12").unwrap();
    std::fs::write(folder.join("stream.yaml"), render.stream("helm3")).unwrap();
    let helm = folder.join("helm");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\nversion) echo v3.19.5 ;;\npackage) tar -C '{0}' -czf \"$4/cilium-1.18.12.tgz\" cilium ;;\n\
         template) cat '{0}/stream.yaml' ;;\n*) echo \"Error: $1 is not played\" >&2; exit 1 ;;\nesac\n",
        folder.display()
    );
    std::fs::write(&helm, script).unwrap();
    std::fs::set_permissions(&helm, std::fs::Permissions::from_mode(0o755)).unwrap();
    (helm, chart)
}

#[test]
fn plan_says_the_same_everywhere() {
    let folder = scratch().join("helm");
    std::fs::create_dir_all(&folder).unwrap();
    let (helm, chart) = pretend_helm(&folder);
    let facts = snapshot("for-plan.json", &example());
    let (helm, chart) = (helm.display().to_string(), chart.display().to_string());
    for output in ["json", "text"] {
        let args = ["plan", "--facts", &facts, "--chart", &chart, "--helm", &helm, "-o", output];
        same_everywhere(&format!("plan -o {output}"), &args, b"", 8);
    }
}

/// The post-renderer acts on facts; one subject that is too old is too old, however young the file is.
#[test]
fn the_post_renderer_refuses_facts_of_which_one_is_too_old() {
    let now = jiff::Timestamp::now();
    let young = |name: Option<&str>| {
        let mut json = serde_json::to_value(example()).unwrap();
        json["collected_at"] = json!(now);
        for subject in NAMES {
            let age = if name == Some(*subject) { 61 } else { 1 };
            json[&subject.replace('-', "_")]["observed_at"] = json!(now - jiff::SignedDuration::from_mins(age));
        }
        let facts: Facts = serde_json::from_value(json).unwrap();
        snapshot(&format!("aged-{}.json", name.unwrap_or("none")), &facts)
    };
    let render = all().into_iter().find(|render| render.version == "1.18.12").unwrap();
    let judge = |facts: &str| run(&["post-render", "--facts", facts], render.stream("helm3").as_bytes(), &[]);
    let judged = judge(&young(None));
    assert!(!judged.stderr.contains("the facts are not of now"), "{}", judged.stderr);
    for subject in NAMES {
        let refused = judge(&young(Some(subject)));
        assert_eq!((refused.code, refused.stdout.len()), (4, 0), "{subject}: {}", refused.stderr);
        assert!(refused.stderr.contains("the facts are not of now"), "{subject}: {}", refused.stderr);
    }
}
