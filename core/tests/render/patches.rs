//! Patches of listed keys change one line; everything else is refused with the policy, the place and what to set instead.

use std::collections::BTreeSet;

use ovncilium_core::render::{DocumentPatch, PATCHABLE, RenderError, Stream};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{HELM4, parse, recorded};

const CONFIG: &str = "# Source: cilium/templates/cilium-configmap.yaml\nkind: ConfigMap # a\nmetadata: {name: cilium-config}\n\
                      data: # b\n\n  # why\n  enable-policy: \"default\"   # quoted\n  enable-ipv6-masquerade: 'true'\n  \
                      enable-identity-mark: off\n  devices: |\n    eth0\n  count: 5\r\n";

fn patch(document: u32, by: &str, operations: Value) -> DocumentPatch {
    DocumentPatch { by: by.to_owned(), document, patch: serde_json::from_value(operations).unwrap() }
}

fn set(document: u32, path: &str, value: &str) -> DocumentPatch {
    patch(document, "p", json!([{"op": "add", "path": path, "value": value}]))
}

fn agent(version: &str) -> String {
    format!(
        "---\nkind: DaemonSet\nmetadata: {{name: cilium}}\nspec: {{template: {{spec: {{containers: [{{name: cilium-agent, image: \
         'r:5000/cilium:v{version}@sha256:00'}}]}}}}}}\n"
    )
}

/// Lines of `old` that are gone and lines of `new` that were not there.
fn changed(old: &str, new: &str) -> (Vec<String>, Vec<String>) {
    let (old, new): (Vec<_>, Vec<_>) = (old.split('\n').collect(), new.split('\n').collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let middle = |lines: &[&str]| lines[same..lines.len() - tail].iter().map(|line| (*line).to_owned()).collect();
    (middle(&old), middle(&new))
}

fn written(text: &str, patch: DocumentPatch) -> String {
    String::from_utf8(parse(text).write(&[patch]).unwrap()).unwrap()
}

#[test]
fn a_patch_changes_the_value_on_its_line_and_nothing_else() {
    for (key, value, line) in [
        ("enable-policy", "always", "  enable-policy: \"always\"   # quoted"),
        ("enable-policy", "a\n\"b\"", "  enable-policy: \"a\\n\\\"b\\\"\"   # quoted"),
        ("enable-ipv6-masquerade", "it's", "  enable-ipv6-masquerade: 'it''s'"),
        ("enable-identity-mark", "on", "  enable-identity-mark: \"on\""),
        ("enable-identity-mark", "never", "  enable-identity-mark: never"),
        ("enable-identity-mark", "#x", "  enable-identity-mark: \"#x\""),
    ] {
        for op in ["add", "replace"] {
            let pointer = format!("/data/{key}");
            let operations = json!([{"op": "test", "path": "/kind", "value": "ConfigMap"}, {"op": op, "path": pointer, "value": value}]);
            let (old, new) = changed(CONFIG, &written(CONFIG, patch(0, "p", operations)));
            assert_eq!((old.len(), new), (1, vec![line.to_owned()]), "{op} {key} {value}");
        }
    }
}

#[test]
fn an_absent_key_gets_a_line_below_the_one_that_opens_its_mapping() {
    let out = written(CONFIG, set(0, "/data/policy-audit-mode", "true"));
    assert_eq!(out, CONFIG.replace("# b\n", "# b\n  policy-audit-mode: \"true\"\n"));
    let dos = CONFIG.replace("\r\n", "\n").replace('\n', "\r\n");
    let out = written(&dos, set(0, "/data/policy-audit-mode", "true"));
    assert_eq!(out, dos.replace("# b\r\n", "# b\r\n  policy-audit-mode: \"true\"\r\n"));
    let list = "kind: List\nitems:\n- {kind: Secret}\n- kind: ConfigMap\n  metadata: {name: cilium-config}\n  data:\n    a: b\n";
    let both = json!([{"op": "add", "path": "/items/1/data/enable-policy", "value": "always"},
                      {"op": "add", "path": "/items/1/data/policy-audit-mode", "value": "true"}]);
    let out = written(list, patch(0, "p", both));
    assert_eq!(
        changed(list, &out).1.iter().map(|line| line.trim()).collect::<BTreeSet<_>>(),
        BTreeSet::from(["enable-policy: \"always\"", "policy-audit-mode: \"true\"",])
    );
    for no_place in ["data: {}", "data: {a: b}", "data:\n"] {
        let text = format!("kind: ConfigMap\nmetadata: {{name: cilium-config}}\n{no_place}\n");
        assert!(parse(&text).write(&[set(0, "/data/policy-audit-mode", "true")]).is_err(), "{no_place}");
    }
}

#[test]
fn what_is_not_on_the_list_is_refused_with_what_to_set_instead() {
    let refused = |text: &str, operation: Value| match parse(text).write(&[patch(0, "org", json!([operation]))]) {
        Err(error @ RenderError::NotPatchable { .. }) => {
            let RenderError::NotPatchable { refusal, .. } = &error else { unreachable!() };
            format!("{error}; {}", refusal.instead)
        }
        other => panic!("{operation}: {other:?}"),
    };
    let add = |path: &str, value: &str| json!({"op": "add", "path": path, "value": value});
    let at = "document 0 (cilium/templates/cilium-configmap.yaml), line 1: `org` may not patch";
    let known = "it is no key of the list: cluster-pool-ipv4-mask-size, devices, enable-identity-mark, \
                 enable-ipv6-masquerade, enable-policy, policy-audit-mode";
    assert_eq!(
        refused(CONFIG, add("/data/routing-mode", "native")),
        format!("{at} `/data/routing-mode`: {known}; --set routingMode=native")
    );
    assert_eq!(
        refused(CONFIG, add("/data/count", "6")),
        format!("{at} `/data/count`: {known}; set the chart value that renders `count`")
    );
    let object = format!(
        "{at} `/metadata/labels`: only keys of ConfigMap cilium-config may be patched, and this is of ConfigMap cilium-config; "
    );
    assert!(refused(CONFIG, add("/metadata/labels", "x")).starts_with(&object));
    let other = refused(&CONFIG.replace("cilium-config}", "other}"), add("/data/enable-policy", "x"));
    assert!(other.contains("and this is of ConfigMap other; set in the chart's values"), "{other}");
    for operation in [
        json!({"op": "remove", "path": "/data/enable-policy"}),
        json!({"op": "replace", "path": "/data/enable-policy", "value": {"a": 1}}),
        json!({"op": "copy", "from": "/data/count", "path": "/data/enable-policy"}),
        json!({"op": "move", "from": "/data/count", "path": "/data/enable-policy"}),
    ] {
        let told = refused(CONFIG, operation);
        assert!(told.ends_with("nothing else; set policyEnforcementMode in the chart's values"), "{told}");
    }
}

#[test]
fn a_key_of_older_charts_needs_a_version_that_shows() {
    let plain = CONFIG.replace("|\n    eth0\n", "eth0\n");
    let written = |version: &str| parse(&(plain.clone() + version)).write(&[set(0, "/data/devices", "eth0 ovn0")]);
    assert!(String::from_utf8(written(&agent("1.18.12")).unwrap()).unwrap().contains("devices: \"eth0 ovn0\"\n"));
    for (version, why) in [
        (agent("1.20.0"), "it is on the list up to Cilium 1.18, this is 1.20"),
        (agent("2.0.0"), "no image in the stream tells the version"),
        (String::new(), "no image in the stream tells the version"),
    ] {
        let error = written(&version).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_value_that_does_not_stand_alone_on_its_line_is_refused() {
    let text = |data: &str| format!("kind: ConfigMap\nmetadata: {{name: cilium-config}}\n{data}");
    for (data, why) in [
        ("data:\n  enable-policy: |\n    default\n", "does not stand alone on one line"),
        ("data:\n  a: &x one\n  enable-policy: *x\n", "does not stand alone on one line"),
        ("data:\n  enable-policy: &x one\n  a: *x\n", "does not stand alone on one line"),
        ("data:\n  enable-policy: one\n  b:\n", "none"),
        ("x: &d {enable-policy: one}\ndata:\n  <<: *d\n", "does not stand alone on one line"),
        ("data:\n  enable-policy: one\n  <<: {enable-policy: two}\n", "the document would mean something else"),
    ] {
        let result = parse(&text(data)).write(&[set(0, "/data/enable-policy", "always")]);
        match why {
            "none" => assert!(result.is_ok(), "{data}"),
            why => assert!(result.unwrap_err().to_string().contains(why), "{data}"),
        }
    }
    // Of a key that is written twice the later one counts, and is the one that is changed.
    let twice = text("data:\n  enable-policy: one\n  enable-policy: two\n");
    assert_eq!(written(&twice, set(0, "/data/enable-policy", "always")), twice.replace("two", "always"));
}

#[test]
fn refuses_patches_that_do_not_fit() {
    let stream = parse(CONFIG);
    let by = |by: &str, operation: Value| patch(0, by, json!([operation]));
    let error = |patches: &[DocumentPatch]| stream.write(patches).unwrap_err().to_string();
    let origin = "document 0 (cilium/templates/cilium-configmap.yaml), line 1";
    let add = json!({"op": "add", "path": "/data/enable-policy", "value": "x"});
    let all = json!({"op": "add", "path": "/data", "value": {}});
    assert_eq!(
        error(&[by("a", all), by("b", add.clone())]),
        format!("{origin}: `a` and `b` both patch `/data/enable-policy`")
    );
    assert_eq!(error(&[patch(7, "a", json!([]))]), "`a` patches document 7, but there are only 1");
    let lost = error(&[by("a", json!({"op": "replace", "path": "/data/policy-audit-mode", "value": "x"}))]);
    assert!(lost.starts_with(&format!("{origin}: the patch of `a` does not apply: ")), "{lost}");
    let unmet = json!([{"op": "test", "path": "/kind", "value": "Secret"}, add]);
    assert!(error(&[patch(0, "a", unmet)]).contains("does not apply"));
    assert!(stream.write(&[by("a", add.clone()), by("a", add)]).is_ok());
    assert_eq!(parse(HELM4).write(&[patch(0, "a", json!([]))]).unwrap(), HELM4.as_bytes());
}

/// Charts whose recorded streams are at hand: each listed key changes one line of them, or adds one.
#[test]
fn a_listed_key_is_one_line_of_every_recorded_stream() {
    for path in recorded() {
        let three = std::fs::read_to_string(&path).unwrap();
        let four = std::fs::read_to_string(path.to_string_lossy().replace(".helm3.", ".helm4.")).unwrap();
        let old = !path.to_string_lossy().contains("1.20.");
        for text in [three, four] {
            let stream = parse(&text);
            let config =
                stream.documents().iter().find(|d| d.kind == "ConfigMap" && d.name == "cilium-config").unwrap();
            for listed in PATCHABLE {
                let pointer = format!("/data/{}", listed.key);
                let result = stream.write(&[set(config.index, &pointer, "new value")]);
                if !old && listed.through.is_some() {
                    assert!(matches!(result, Err(RenderError::NotPatchable { .. })), "{path:?} {pointer}");
                    continue;
                }
                let out = String::from_utf8(result.unwrap_or_else(|error| panic!("{path:?}: {error}"))).unwrap();
                let (gone, come) = changed(&text, &out);
                let there = config.value().pointer(&pointer).is_some();
                assert_eq!((gone.len(), come.len()), (usize::from(there), 1), "{path:?} {pointer}: {gone:?} {come:?}");
                assert!(come[0].starts_with(&format!("  {}: ", listed.key)), "{path:?}: {come:?}");
                let mut wanted = config.value().clone();
                wanted["data"][listed.key] = json!("new value");
                assert_eq!(parse(&out).document(config.index).unwrap().value(), &wanted);
            }
        }
    }
}

#[test]
fn the_documents_show_the_list() {
    let page = include_str!("../../../docs/post-renderer.md");
    let rows: Vec<String> = page.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let row = |key: &ovncilium_core::render::PatchableKey| {
        let charts = key.through.map_or("all".to_owned(), |minor| format!("up to 1.{minor}"));
        format!("| `{}` | `{}` | {charts} |", key.key, key.value)
    };
    let listed: Vec<_> = PATCHABLE.iter().map(row).collect();
    let shown: Vec<_> = rows.into_iter().filter(|line| line.contains("policy") || listed.contains(line)).collect();
    assert_eq!(shown, listed);
    assert!(PATCHABLE.is_sorted_by_key(|listed| listed.key));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_patched_document_means_what_was_asked_for(
        value in prop_oneof![
            "\\PC{0,12}", "[ -~\n\t]{0,24}",
            prop::sample::select(vec!["yes", "0777", "~", "", " x", "x ", "1:30", "<<", "- a", "a: b", "#", "\u{85}", "---"])
                .prop_map(str::to_owned),
        ],
        written in prop::sample::select(vec!["on", "'on'", "\"on\"", "5", "plain # c"]),
        key in prop::sample::select(vec!["enable-policy", "policy-audit-mode"]),
    ) {
        let text = format!("kind: ConfigMap\nmetadata: {{name: cilium-config}}\ndata:\n  enable-policy: {written}\n");
        let mut wanted = parse(&text).documents()[0].value().clone();
        wanted["data"][key] = json!(value);
        let asked = [set(0, &format!("/data/{key}"), &value)];
        match parse(&text).write(&asked) {
            Ok(out) => {
                let again = Stream::parse(&out).unwrap();
                prop_assert_eq!(again.documents().len(), 1);
                prop_assert_eq!(again.documents()[0].value(), &wanted);
                prop_assert_eq!(again.write(&asked).unwrap(), out, "a second time changed something");
            }
            // Line ends that YAML 1.1 and 1.2 do not agree on cannot be written in single quotes.
            Err(error) => prop_assert!(value.contains(['\u{85}', '\u{2028}', '\u{2029}']), "{value:?}: {error}"),
        }
    }
}
