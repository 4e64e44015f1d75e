//! Holds the peers to the verdicts of this program: on the sound stream and on streams that break one rule each. A peer that does
//! not see what is wrong does not do the work it is measured for.

use std::collections::BTreeSet;

use serde_json::Value;

/// A rule that does not hold, and whether that denies.
pub(crate) type Broken = BTreeSet<(bool, String)>;

/// Lines of `cilium-config` that break a rule: the key, what to write in place of its line, and the rule.
const LINES: [(&str, &str, &str); 17] = [
    ("cni-chaining-mode", "cni-chaining-mode: none", "chaining-mode"),
    ("routing-mode", "routing-mode: tunnel", "native-routing"),
    ("routing-mode", "tunnel: vxlan", "native-routing"),
    ("enable-ipv4-masquerade", "enable-ipv4-masquerade: \"true\"", "ipv4-masquerade-off"),
    ("cni-exclusive", "cni-exclusive: \"true\"", "not-exclusive"),
    ("devices", "devices: eth+", "devices"),
    ("unmanaged-pod-watcher-interval", "unmanaged-pod-watcher-interval: 15s", "pod-watcher"),
    ("cluster-pool-ipv4-cidr", "cluster-pool-ipv4-cidr: 10.0.0.0/8", "pool"),
    ("ipam", "ipam: kubernetes", "pool"),
    ("enable-identity-mark", "enable-identity-mark: \"true\"", "identity-mark"),
    ("policy-audit-mode", "policy-audit-mode: \"false\"", "enforcement"),
    // A template that forgot to quote, and keys that are not set.
    ("cni-exclusive", "cni-exclusive: true", "not-exclusive"),
    ("cni-chaining-mode", "# not set", "chaining-mode"),
    ("routing-mode", "# not set", "native-routing"),
    ("devices", "# not set", "devices"),
    ("unmanaged-pod-watcher-interval", "# not set", "pod-watcher"),
    ("policy-audit-mode", "# not set", "enforcement"),
];

/// A policy that only Cilium's proxy could enforce.
const POLICY: &str = "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: web\n  namespace: team\nspec:\n  \
                      egress:\n  - toFQDNs:\n    - matchName: example.org\n  ingress:\n  - toPorts:\n    - rules:\n        http:\n        \
                      - method: GET\n";

/// Streams that break one rule each, which is named, by a change of a sound one. What is not in the stream cannot be changed.
pub(crate) fn broken(sound: &str) -> Vec<(&'static str, String)> {
    let mut streams: Vec<_> =
        LINES.iter().filter_map(|(key, line, rule)| Some((*rule, with(sound, key, line)?))).collect();
    let ipv6 = with(sound, "enable-ipv6", "enable-ipv6: \"true\"");
    let ipv6 = ipv6.and_then(|text| with(&text, "enable-ipv6-masquerade", "enable-ipv6-masquerade: \"true\""));
    streams.extend(ipv6.map(|text| ("ipv6-masquerade-off", text)));
    for (rule, old, new) in [
        ("config-present", "name: \"cilium-config\"", "name: \"renamed\""),
        ("chart-known", "cilium/cilium:v1.20.", "cilium/cilium:v1.21."),
        ("not-exclusive", "cilium/cilium:v1.20.", "cilium/cilium:v1.13."),
    ] {
        streams.extend(sound.contains(old).then(|| (rule, sound.replace(old, new))));
    }
    streams.push(("no-l7-rules", format!("{}\n{POLICY}", sound.trim_end())));
    streams
}

/// The stream with another line in place of that of a key of `cilium-config`.
fn with(stream: &str, key: &str, line: &str) -> Option<String> {
    let at = stream.find(&format!("\n  {key}:"))? + 3;
    let end = at + stream[at..].find('\n')?;
    Some(format!("{}{line}{}", &stream[..at], &stream[end..]))
}

/// What the report of a post-render says.
pub(crate) fn of_report(stderr: &str) -> Broken {
    let rule = |line: &str| {
        let (word, told) = line.trim_start().split_once("  ")?;
        let denies = match word {
            "denied" => true,
            "warning" => false,
            _ => return None,
        };
        Some((denies, told.split_once(':')?.0.split_once('/')?.1.to_owned()))
    };
    stderr.lines().filter_map(rule).collect()
}

/// What conftest says with `--output json`.
pub(crate) fn of_conftest(stdout: &[u8]) -> Option<Broken> {
    let files: Vec<Value> = serde_json::from_slice(stdout).ok()?;
    let mut broken = Broken::new();
    for (denies, list) in [(true, "failures"), (false, "warnings")] {
        let found = files.iter().filter_map(|file| file.get(list)?.as_array()).flatten();
        broken.extend(found.filter_map(|one| Some((denies, rule(one.get("msg")?)?))));
    }
    Some(broken)
}

/// What opa says of `data.rules.findings`.
pub(crate) fn of_opa(stdout: &[u8]) -> Option<Broken> {
    let answer: Value = serde_json::from_slice(stdout).ok()?;
    let findings = answer.pointer("/result/0/expressions/0/value")?;
    let mut broken = Broken::new();
    for (denies, list) in [(true, "denied"), (false, "warned")] {
        broken.extend(findings.get(list)?.as_array()?.iter().filter_map(|one| Some((denies, rule(one)?))));
    }
    Some(broken)
}

/// The rule that a message begins with.
fn rule(message: &Value) -> Option<String> {
    Some(message.as_str()?.split_once(':')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_to_say_it_mean_the_same() {
        let report = "ovncilium: 2 remarks\n\n    denied  chart-chaining/pool: x\n            because  y: z\n   warning  p/devices: x\n";
        let conftest = br#"[{"failures": [{"msg": "pool: x"}], "warnings": [{"msg": "devices: y"}]}]"#;
        let opa = br#"{"result": [{"expressions": [{"value": {"denied": ["pool: x"], "warned": ["devices: y"]}}]}]}"#;
        let wanted = Broken::from([(true, "pool".to_owned()), (false, "devices".to_owned())]);
        assert_eq!(of_report(report), wanted);
        assert_eq!(of_conftest(conftest), Some(wanted.clone()));
        assert_eq!(of_opa(opa), Some(wanted));
        assert_eq!((of_conftest(b""), of_opa(b"{}")), (None, None));
    }

    #[test]
    fn the_made_up_stream_is_broken_in_every_way() {
        let streams = broken(&crate::input::stream());
        assert_eq!(streams.len(), LINES.len() + 5);
        assert!(streams.iter().all(|(_, text)| ovncilium_core::render::Stream::parse(text.as_bytes()).is_ok()));
    }
}
