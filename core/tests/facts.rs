//! Facts from recorded manifests of real Kube-OVN releases, and facts files.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests; clippy knows only test functions")]

use std::path::PathBuf;

use jiff::Timestamp;
use ovncilium_core::Digest;
use ovncilium_core::facts::file::{self, FileError};
use ovncilium_core::facts::kube_ovn::{ConfWriter, Owner};
use ovncilium_core::facts::manifests::{self, File, ManifestError};
use ovncilium_core::facts::{Facts, NAMES, Source};
use ovncilium_core::plan::Resource;

/// The folder of recorded manifests, when this machine has it.
fn recorded() -> Option<PathBuf> {
    let shared = std::env::var_os("OVNCILIUM_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let folder = shared.join("fixtures/kube-ovn");
    if !folder.is_dir() {
        println!("skipped: no recorded Kube-OVN manifests in {}", folder.display());
        return None;
    }
    Some(folder)
}

fn from_manifests(name: &str, content: &[u8]) -> Facts {
    let manifests = manifests::read(&[File { name, content }]).unwrap();
    manifests.facts(Source::Manifests { paths: vec![name.to_owned()] }, Timestamp::UNIX_EPOCH)
}

#[test]
fn reads_recorded_releases() {
    let Some(folder) = recorded() else { return };
    for (file, version, writer) in [
        ("v1.9.41.yaml", "v1.9.41", ConfWriter::HardCoded),
        ("v1.12.35.yaml", "v1.12.35", ConfWriter::CniServer),
        ("v1.14.41.yaml", "v1.14.41", ConfWriter::InstallCni),
        ("v1.15.24-v2.yaml", "v1.15.24", ConfWriter::InstallCni),
        ("v1.16.2.yaml", "v1.16.2", ConfWriter::InstallCni),
    ] {
        let content = std::fs::read_to_string(folder.join(file)).unwrap();
        // The recorded install script of 1.9 ran without a node, which leaves a value that is no YAML.
        let facts = from_manifests(file, content.replace("value: ,\n", "value: 10.0.0.1\n").as_bytes());
        let installation = facts.kube_ovn.value.as_result().unwrap().the_one().unwrap();
        assert_eq!(installation.namespace, "kube-system", "{file}");
        assert_eq!(installation.version.as_deref(), Some(version), "{file}");
        assert_eq!(installation.owner, Owner::Manifest, "{file}");
        let cni = &installation.cni;
        assert_eq!((cni.writer, cni.conf_name.as_str()), (writer, "01-kube-ovn.conflist"), "{file}");
        assert_eq!((cni.name.as_str(), cni.conf_dir.as_str()), ("kube-ovn-cni", "/etc/cni/net.d"), "{file}");
        assert_eq!((cni.network_type.as_str(), cni.mtu, cni.non_primary), ("geneve", 0, false), "{file}");
        let controller = &installation.controller;
        assert_eq!((controller.name.as_str(), controller.flags_in.as_str()), ("kube-ovn-controller", "args"), "{file}");
        assert!(controller.enable_lb && controller.enable_np && !controller.enable_lb_svc, "{file}");
        assert_eq!(controller.flags.get("default-cidr").map(String::as_str), Some("10.16.0.0/16"), "{file}");
        assert_eq!(controller.flags_list.first().map(String::as_str), Some("/kube-ovn/start-controller.sh"), "{file}");
        assert!(cni.image.ends_with(&format!("kube-ovn:{version}")), "{file}: {}", cni.image);
        assert_eq!(facts.unknowns().len(), NAMES.len() - 1, "{file}: only Kube-OVN itself is in manifests");
        println!("{file}: {version}, {} flags, written by {writer:?}", controller.flags.len());
    }
}

fn some_facts() -> Facts {
    let content = include_bytes!("facts/kube-ovn.yaml");
    from_manifests("kube-ovn.yaml", content)
}

#[test]
fn a_facts_file_reads_back_as_written() {
    let facts = some_facts();
    let text = file::write(&facts).unwrap();
    assert!(
        text.starts_with("{\n  \"format\": \"ovncilium-facts\",\n  \"schema\": 1,\n  \"digest\": \"sha256:"),
        "{text}"
    );
    assert_eq!(file::read(&text).unwrap(), facts);
    assert_eq!(file::read_from(text.as_bytes()).unwrap(), facts);
    // Blanks do not matter, nor does it matter that this puts the facts before the schema.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file::read(&value.to_string()).unwrap(), facts);
    assert_eq!(file::read_from(value.to_string().as_bytes()).unwrap(), facts);
    assert_eq!(file::read(&text).unwrap().digest(), facts.digest());
}

fn refused(text: &str) -> String {
    let error = file::read(text).unwrap_err();
    let streamed = file::read_from(text.as_bytes()).unwrap_err();
    // The parser counts columns a little differently when it reads as the file comes.
    let line = |error: &FileError| error.to_string().split(", column").next().map(str::to_owned);
    assert_eq!(line(&streamed), line(&error));
    assert_eq!(std::mem::discriminant(&streamed), std::mem::discriminant(&error), "{streamed}");
    let source = std::error::Error::source(&error).map(|source| format!(" <- {source}")).unwrap_or_default();
    format!("{error}{source} | {}", error.next_step().line())
}

#[test]
fn a_facts_file_that_is_not_whole_is_refused_with_its_reason() {
    let text = file::write(&some_facts()).unwrap();
    let torn = text[..text.len() / 2].trim_end();
    let told = refused(torn);
    assert!(
        told.contains("torn or something else") && told.starts_with(&format!("line {}, ", torn.lines().count())),
        "{told}"
    );
    let edited = text.replace("\"enable_np\": true", "\"enable_np\": false");
    assert!(matches!(file::read(&edited), Err(FileError::Changed { .. })), "{}", refused(&edited));
    let newer = text.replace("\"schema\": 1,\n  \"digest\"", "\"schema\": 9,\n  \"news\": [],\n  \"digest\"");
    let told = refused(&newer);
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        told.starts_with(&format!("written by ovncilium {version} with schema 9; this is schema 1 | upgrade")),
        "{told}"
    );
    let unknown = text.replace("\"enable_np\"", "\"enable_lp\"");
    let told = refused(&unknown);
    assert!(told.contains("not what a facts file of schema 1 holds") && told.contains("enable_lp"), "{told}");
    let more = text.replacen("\"schema\": 1,", "\"schema\": 1,\n  \"more\": {},", 1);
    assert!(refused(&more).contains("unknown field `more`"), "{}", refused(&more));
    let nameless = text.replacen("\"digest\"", "\"dogest\"", 1);
    assert!(refused(&nameless).contains("not what a facts file"), "{}", refused(&nameless));
    // Keys in the order of the alphabet: the facts come first.
    for (from, to, word) in [("1", "9", "with schema 9"), ("1", "0", "schema 0 was never")] {
        let sorted: serde_json::Value = serde_json::from_str(&text).unwrap();
        let moved = sorted.to_string().replace(&format!("\"schema\":{from}}}"), &format!("\"schema\":{to}}}"));
        assert!(refused(&moved).contains(word), "{}", refused(&moved));
    }
    let older = text.replacen("\"schema\": 1", "\"schema\": 0", 1);
    assert!(refused(&older).starts_with("schema 0 was never written"), "{}", refused(&older));
    for other in ["[]", "{}", "{\"kind\": \"List\"}", "7"] {
        assert!(refused(other).contains("--manifests"), "{other}: {}", refused(other));
    }
    assert!(refused("").starts_with("line 1, column 0: not JSON"), "{}", refused(""));
    let digest = Digest::of("another").to_string();
    let start = text.find("sha256:").unwrap();
    let swapped = text.replacen(&text[start..start + digest.len()], &digest, 1);
    assert!(refused(&swapped).contains("were changed"), "{}", refused(&swapped));
}

#[test]
fn manifests_come_as_documents_lists_and_json() {
    let yaml = b"kind: Namespace\napiVersion: v1\nmetadata: {name: a}\n---\n# nothing\n---\nreplicas: 3\n---\n\
        apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: worker}}\n\
        - {apiVersion: example.com/v1, kind: Other, metadata: {name: o}}\n";
    let json =
        br#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Node","metadata":{"name":"m"}}]}"#;
    let files = [File { name: "a.yaml", content: yaml }, File { name: "b.json", content: json }];
    let manifests::Manifests { inventory, places, .. } = manifests::read(&files).unwrap();
    assert_eq!(inventory.some(Resource::NODES).len(), 2);
    let place = |object: &str| places.of(object).unwrap().to_string();
    assert_eq!(
        (place("namespace a"), place("node worker"), place("node m")),
        ("a.yaml:1".into(), "a.yaml:12".into(), "b.json:1".into())
    );
    assert_eq!(inventory.some(Resource::NAMESPACES).len(), 1);
    assert!(inventory.all(Resource::NODES).is_err());
    assert!(inventory.all(Resource::PODS).is_err());
}

#[test]
fn manifests_that_cannot_be_read_name_file_line_and_next_step() {
    let refuse = |files: &[(&str, &str)]| {
        let files: Vec<File<'_>> = files.iter().map(|(name, text)| File { name, content: text.as_bytes() }).collect();
        let error: ManifestError = manifests::read(&files).unwrap_err();
        format!("{error} | {}", error.next_step().line())
    };
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: worker}\n";
    let told = refuse(&[("a.yaml", "kind: Node\n---\na: [1\n")]);
    assert!(told.starts_with("a.yaml: document 1, line "), "{told}");
    let told = refuse(&[("a.yaml", node), ("b.yaml", node)]);
    assert_eq!(told, "node worker is in a.yaml:1 and again in b.yaml:1 | name only the one that is applied");
    let told = refuse(&[("b.json", "{\"a\":\n 1,}")]);
    assert!(told.starts_with("b.json, line 2, column 4: not JSON"), "{told}");
    let told = refuse(&[("install.sh", "cat <<EOF > /usr/local/bin/kubectl-ko\nEOF\n")]);
    assert!(told.starts_with("install.sh: this script gives `kubectl apply` no Kubernetes object"), "{told}");
    let told = refuse(&[("t/x.yaml", "kind: X\nmetadata:\n  {{- toYaml . }}\n")]);
    assert!(told.starts_with("t/x.yaml, line 3: this is a template") && told.contains("helm template"), "{told}");
    assert!(refuse(&[("values.yaml", "a: 1\n")]).starts_with("no Kubernetes objects that matter here in values.yaml"));
    assert!(refuse(&[]).starts_with("no Kubernetes objects that matter here in (no files)"));
}
