//! What YAML may look like, read by the program as helm and the API server read it, and handed on byte for byte.

use std::fmt::Write as _;

use crate::lint::DENIED;
use crate::support::Folder;

fn verdict(stream: &str, rule: &str) -> String {
    let ran = Folder::new(&[]).run_with(&["lint", "--all", "-o", "json", "-f", "-"], stream.as_bytes(), &[]);
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap();
    let of_rule = findings.iter().find(|finding| finding["rule"] == rule).unwrap_or_else(|| panic!("{report:#}"));
    of_rule["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn words_and_digits_are_what_yaml_1_1_takes_them_for() {
    let masquerade = "enable-ipv4-masquerade: ";
    let interval = "unmanaged-pod-watcher-interval: ";
    for (key, rule, value, expected) in [
        (masquerade, "ipv4-masquerade-off", "off", "pass"),
        (masquerade, "ipv4-masquerade-off", "No", "pass"),
        (masquerade, "ipv4-masquerade-off", "\"off\"", "fail"),
        (masquerade, "ipv4-masquerade-off", "oFF", "fail"),
        (masquerade, "ipv4-masquerade-off", "on", "fail"),
        (interval, "pod-watcher", "0o0", "pass"),
        (interval, "pod-watcher", "00", "pass"),
        (interval, "pod-watcher", "0x0", "pass"),
        (interval, "pod-watcher", "017", "fail"),
        (interval, "pod-watcher", "\"0o0\"", "fail"),
    ] {
        let stream: String =
            DENIED.lines().filter(|line| !line.trim().starts_with(key)).fold(String::new(), |mut stream, line| {
                let _ = writeln!(stream, "{line}");
                stream
            });
        assert_eq!(verdict(&format!("{stream}  {key}{value}\n"), rule), expected, "{key}{value}");
    }
}

/// What is not ours is not read into anything on its way through.
#[test]
fn the_post_renderer_hands_on_octals_booleans_and_twenty_megabytes_as_they_are() {
    let chained = DENIED.replace("routing-mode: tunnel", "routing-mode: native");
    let mount = "---\n# Source: other/templates/mount.yaml\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec:\n  hostNetwork: yes\n  \
                 volumes: [{name: c, configMap: {name: d, defaultMode: 0644}}]\n";
    let mut stream = chained.clone() + mount;
    let filler = "x".repeat(1_000);
    for number in 0..19_500 {
        let _ = write!(
            stream,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{number}}}\ndata: {{on: 0o17, text: {filler}}}\n"
        );
    }
    assert!(stream.len() > 20_000_000, "{}", stream.len());
    let ran = Folder::new(&[]).run_with(&["post-render", "--offline"], stream.as_bytes(), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout == stream, "{} bytes became {}", stream.len(), ran.stdout.len());
}
