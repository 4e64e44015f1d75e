//! The peers: built from their Go modules, and given comparable work on the same stream.
//!
//! conftest and opa judge `cilium-config` by what the policy `chart-chaining` calls errors (`peers/rego`); kustomize
//! patches one key of it. opa reads no more than one YAML document, so it gets the stream as a text in JSON and cuts it itself.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ovncilium_core::Digest;

use crate::measure::Case;

/// Name, and the package that is built.
const PEERS: [(&str, &str); 3] = [
    ("conftest", "github.com/open-policy-agent/conftest"),
    ("opa", "github.com/open-policy-agent/opa"),
    ("kustomize", "sigs.k8s.io/kustomize/kustomize/v5"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// A case of every peer; builds those that the cache does not hold.
///
/// # Errors
/// Go is missing, a module does not build, a file cannot be written, or a peer does not judge as it should.
pub(crate) fn cases(work: &Path, stream: &Path) -> Result<Vec<Case>, String> {
    let rego = |file: &str| folder().join("rego").join(file).into_os_string();
    let text = |word: &str| OsString::from(word);
    let inputs = Inputs::write(work, stream)?;
    let mut cases = Vec::new();
    for (name, package) in PEERS {
        let program = build(name, package)?;
        let case = |input: &Input| {
            let arguments = match name {
                "conftest" => vec![
                    text("test"),
                    text("--no-color"),
                    text("--policy"),
                    rego("chaining.rego"),
                    text("--policy"),
                    rego("conftest.rego"),
                    input.yaml.clone().into_os_string(),
                ],
                "opa" => vec![
                    text("eval"),
                    text("--fail-defined"),
                    text("--data"),
                    rego("chaining.rego"),
                    text("--data"),
                    rego("opa.rego"),
                    text("--input"),
                    input.json.clone().into_os_string(),
                    text("data.stream.deny[message]"),
                ],
                _ => vec![text("build"), input.kustomization.clone().into_os_string()],
            };
            Case { name, program: program.clone(), arguments, stdin: None, home: work.join(name), cold: false }
        };
        // A peer that does not see what is wrong does not do the work it is measured for.
        for (input, wanted) in [(&inputs.sound, 0), (&inputs.broken, i32::from(name != "kustomize"))] {
            let exit = case(input).run().map_err(|error| format!("{name}: {error}"))?.exit;
            if exit != Some(wanted) {
                return Err(format!("{name} ended with {exit:?} instead of {wanted}: {:?}", case(input).arguments));
            }
        }
        cases.push(case(&inputs.sound));
    }
    Ok(cases)
}

/// One stream in the forms that the peers read.
struct Input {
    yaml: PathBuf,
    json: PathBuf,
    kustomization: PathBuf,
}

struct Inputs {
    sound: Input,
    /// The same without chaining.
    broken: Input,
}

impl Inputs {
    fn write(work: &Path, stream: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(stream).map_err(|error| format!("{}: {error}", stream.display()))?;
        let broken = text.replace("generic-veth", "none");
        Ok(Self {
            sound: Input::write(&work.join("sound"), &text)?,
            broken: Input::write(&work.join("broken"), &broken)?,
        })
    }
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
