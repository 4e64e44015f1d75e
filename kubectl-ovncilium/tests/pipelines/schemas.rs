//! JUnit and SARIF hold to the schemas of those who read them; `cargo xtask schemas` fetches schemas and validators.

use std::path::Path;
use std::process::Command;

use crate::check::SCRIPT;
use crate::lint::DENIED;
use crate::support::{Folder, shared};

/// What the validator says of files, each on a line: `ok FILE` or `FILE: …`.
fn validate(schemas: &Path, kind: &str, files: &[String]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/schemas/validate.py");
    let output = Command::new("python3")
        .arg(script)
        .args([Path::new(kind), schemas])
        .args(files)
        .env("PYTHONPATH", schemas.join("python"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn junit_and_sarif_validate_against_their_schemas() {
    let Some(schemas) = std::env::var_os("OVNCILIUM_SCHEMAS") else {
        eprintln!("skipped: no schemas (run `cargo xtask schemas`, which sets OVNCILIUM_SCHEMAS)");
        return;
    };
    let schemas = Path::new(&schemas);
    let twice = DENIED.replace("data:\n", "data:\n  routing-mode: native\n");
    let folder = Folder::new(&[
        ("denied.yaml", DENIED),
        ("twice.yaml", &twice),
        ("void.yaml", "# nothing\n"),
        ("bad & <b>.yaml", "a: [1\n"),
        ("kube-ovn.yaml", include_str!("../../../core/tests/facts/kube-ovn.yaml")),
        ("install.sh", SCRIPT),
    ]);
    let mut inputs: Vec<String> =
        ["denied.yaml", "twice.yaml", "void.yaml", "bad & <b>.yaml"].map(str::to_owned).to_vec();
    if let Some(recorded) = shared("fixtures/cilium") {
        for stream in ["1.15.5/seed.helm3.yaml", "1.20.0/reset-values.helm4.yaml", "1.18.12/chaining.helm4.yaml"] {
            inputs.extend([recorded.join(stream)].iter().filter(|f| f.is_file()).map(|f| f.display().to_string()));
        }
    }
    for kind in ["sarif", "junit"] {
        let mut files = Vec::new();
        let mut write = |text: &str| {
            let name = format!("{}.{kind}", files.len());
            folder.write(&name, text);
            files.push(folder.path(&name).display().to_string());
        };
        for input in &inputs {
            write(&folder.run(&["lint", "-o", kind, "-f", input]).stdout);
            // A module that cannot run is in the report too.
            write(&folder.run(&["lint", "-o", kind, "-f", input, "--policy", "absent.wasm"]).stdout);
        }
        for input in ["kube-ovn.yaml", "install.sh"] {
            write(&folder.run(&["check", "-o", kind, "--manifests", input]).stdout);
            write(&folder.run(&["check", "-o", kind, "--manifests", input, "--policy", "absent.wasm"]).stdout);
        }
        let expected: Vec<String> = files.iter().map(|file| format!("ok {file}")).collect();
        assert_eq!(validate(schemas, kind, &files), expected);

        // The validator itself: a document that breaks the schema is refused.
        let good = std::fs::read_to_string(&files[0]).unwrap();
        let bad = match kind {
            "sarif" => good.replace("\"startLine\": 12", "\"startLine\": 0"),
            _ => good.replace("<failure", "<failing").replace("</failure", "</failing"),
        };
        assert_ne!(good, bad);
        folder.write("broken", &bad);
        let broken = folder.path("broken").display().to_string();
        let told = validate(schemas, kind, std::slice::from_ref(&broken));
        assert!(told[0].starts_with(&format!("{broken}: ")), "{told:?}");
    }
}
