//! The peers: built from their Go modules, and given comparable work on the same stream.
//!
//! conftest and opa judge the documents by every rule of the built-in policies that needs no cluster (`peers/rego`), and must come
//! to the same verdicts; kustomize patches one key. opa reads no more than one YAML document, so it gets the stream as a text in
//! JSON and cuts it itself.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ovncilium_core::Digest;

use crate::measure::Case;
use crate::verdicts::{self, Broken};

const CONFTEST: &str = "conftest";
const OPA: &str = "opa";
const KUSTOMIZE: &str = "kustomize";

/// Name, and the package that is built.
const PEERS: [(&str, &str); 3] = [
    (CONFTEST, "github.com/open-policy-agent/conftest"),
    (OPA, "github.com/open-policy-agent/opa"),
    (KUSTOMIZE, "sigs.k8s.io/kustomize/kustomize/v5"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// A case of every peer; builds those that the cache does not hold. `own` is this program, which judges the same stream.
///
/// # Errors
/// Go is missing, a module does not build, a file cannot be written, a peer does not judge as this program does, or this program
/// does not see what is wrong with a stream that was `made_up`.
pub(crate) fn cases(work: &Path, stream: &Path, made_up: bool, own: &Case) -> Result<Vec<Case>, String> {
    let text = fs::read_to_string(stream).map_err(|error| format!("{}: {error}", stream.display()))?;
    let sound = Input::write(&work.join("sound"), &text)?;
    let programs: Vec<PathBuf> =
        PEERS.iter().map(|(name, package)| build(name, package)).collect::<Result<_, String>>()?;
    let cases = |input: &Input| -> Vec<Case> {
        let peers = PEERS.iter().zip(&programs);
        peers.map(|((name, _), program)| case(name, program.clone(), input, work)).collect()
    };
    let broken = verdicts::broken(&text);
    for (rule, text) in broken.iter().map(|(rule, text)| (Some(*rule), text)).chain([(None, &text)]) {
        let input = Input::write(&work.join("broken"), text)?;
        let own = Case { stdin: Some(input.yaml.clone()), ..own.clone() };
        let wanted = verdicts::of_report(&String::from_utf8_lossy(&output(&own)?.stderr));
        if made_up && rule.is_some_and(|rule| wanted.iter().all(|(_, told)| told != rule)) {
            return Err(format!("{} does not see that `{}` is broken", own.name, rule.unwrap_or_default()));
        }
        for case in cases(&input).iter().filter(|case| case.name != KUSTOMIZE) {
            let stdout = output(case)?.stdout;
            let told = if case.name == CONFTEST { verdicts::of_conftest(&stdout) } else { verdicts::of_opa(&stdout) };
            if told.as_ref() != Some(&wanted) {
                let words =
                    |broken: Option<&Broken>| format!("{:?}", broken.map(|broken| broken.iter().collect::<Vec<_>>()));
                let (told, wanted) = (words(told.as_ref()), words(Some(&wanted)));
                return Err(format!("{} says {told} instead of {wanted}: {:?}", case.name, case.arguments));
            }
        }
    }
    let cases = cases(&sound);
    for case in &cases {
        let exit = case.run().map_err(|error| format!("{}: {error}", case.name))?.exit;
        if exit != Some(0) {
            return Err(format!("{} ended with {exit:?}: {:?}", case.name, case.arguments));
        }
    }
    Ok(cases)
}

fn output(case: &Case) -> Result<Output, String> {
    case.output().map_err(|error| format!("{}: {error}", case.name))
}

/// How a peer is called.
fn case(name: &'static str, program: PathBuf, input: &Input, work: &Path) -> Case {
    let rego = |file: &str| folder().join("rego").join(file).into_os_string();
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let mut arguments = Vec::new();
    match name {
        CONFTEST => {
            arguments.extend(words(&["test", "--no-color", "--output", "json", "--combine"]));
            for file in ["rules.rego", "combined.rego", "conftest.rego"] {
                arguments.extend(["--policy".into(), rego(file)]);
            }
            arguments.push(input.yaml.clone().into());
        }
        OPA => {
            arguments.push("eval".into());
            for file in ["rules.rego", "opa.rego"] {
                arguments.extend(["--data".into(), rego(file)]);
            }
            arguments.extend(["--input".into(), input.json.clone().into(), "data.rules.findings".into()]);
        }
        _ => arguments.extend(["build".into(), input.kustomization.clone().into()]),
    }
    Case { name, program, arguments, stdin: None, home: work.join(name), cold: false }
}

/// One stream in the forms that the peers read.
struct Input {
    yaml: PathBuf,
    json: PathBuf,
    kustomization: PathBuf,
}

impl Input {
    fn write(folder: &Path, text: &str) -> Result<Self, String> {
        let json = serde_json::json!({ "stream": text }).to_string();
        let patch = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\n  namespace: kube-system\n\
                     data:\n  policy-audit-mode: \"true\"\n";
        let kustomization = "resources: [stream.yaml]\npatches: [{path: patch.yaml}]\n";
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for (name, content) in [
            ("stream.yaml", text),
            ("stream.json", json.as_str()),
            ("patch.yaml", patch),
            ("kustomization.yaml", kustomization),
        ] {
            fs::write(folder.join(name), content).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Self {
            yaml: folder.join("stream.yaml"),
            json: folder.join("stream.json"),
            kustomization: folder.to_owned(),
        })
    }
}

/// The program of a peer, from the cache or built into it: `$OVNCILIUM_BENCH_CACHE`, else `~/.cache/ovncilium-bench`.
fn build(name: &str, package: &str) -> Result<PathBuf, String> {
    let module = folder().join(name);
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("OVNCILIUM_BENCH_CACHE")
        .or_else(|| Some(set("HOME")?.join(".cache").join("ovncilium-bench")))
        .ok_or("no cache directory: set OVNCILIUM_BENCH_CACHE or HOME")?;
    let sum = fs::read(module.join("go.sum")).map_err(|error| format!("{}: {error}", module.display()))?;
    let program = cache.join(format!("{name}-{}", Digest::of(sum).short()));
    if program.is_file() {
        return Ok(program);
    }
    crate::say(&format!("building {package} (minutes when nothing is cached)"));
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let status = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&program)
        .arg(package)
        .current_dir(&module)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off")
        .status()
        .map_err(|error| {
            format!("go cannot be run: {error}; install Go (https://go.dev/dl), or measure with --no-peers")
        })?;
    if status.success() { Ok(program) } else { Err(format!("{package} was not built")) }
}
