//! Recorded streams of real charts through the post-renderer, and a verdict of our own beside its.

use std::{collections::BTreeMap, fs};

use super::{Stage, charts::recorded_streams, gate, teller::Teller};
use crate::rendered::cilium_config;
use crate::{
    error::{Error, Result},
    verdict::expect,
};

pub(super) fn play(stage: &Stage<'_>, tell: &Teller) {
    gate::offline(stage, tell);
    let Some(streams) = tell.run("finds_the_recorded_streams", recorded_streams) else { return };
    if streams.is_empty() {
        tell.note("no recorded streams are at hand; left out");
    }
    let mut counts = BTreeMap::new();
    for (version, case, helm, file) in streams {
        let name = format!("{version}_{case}_{helm}").replace(['.', '-'], "_");
        tell.run(&name, || {
            let stream = fs::read(&file).map_err(Error::io("read", &file))?;
            let chains = judge(stage, &stream, matches!(case.as_str(), "chaining" | "kube-proxy-free"))?;
            *counts.entry((case.clone(), chains)).or_insert(0) += 1;
            Ok(())
        });
    }
    tell.note(&format!("streams by case and whether they chain: {counts:?}"));
}

/// Sends a stream through the program; it must come out as it went in, or not at all. Whether it chains.
fn judge(stage: &Stage<'_>, stream: &[u8], must_chain: bool) -> Result<bool> {
    let chains = chains(&String::from_utf8_lossy(stream));
    expect(chains || !must_chain, || "by our own reading this stream does not chain, although it must".to_owned())?;
    let output = stage.program.post_renderer(&["--offline"]).stdin(stream.to_vec()).run()?;
    if chains {
        let output = output.ended_with(&[0])?;
        expect(output.stdout == stream, || {
            format!("it came out with {} of {} bytes", output.stdout.len(), stream.len())
        })?;
    } else {
        let output = output.ended_with(&[3])?;
        expect(output.stdout.is_empty(), || format!("{} bytes came out of a denied stream", output.stdout.len()))?;
        output.names(&["chart-chaining", "cilium-config"])?;
    }
    Ok(chains)
}

/// Whether the rendered `cilium-config` chains, by the five rules and nothing but its lines.
fn chains(stream: &str) -> bool {
    let config = cilium_config(stream);
    let is = |key: &str, value: &str| config.get(key).is_some_and(|found| found == value);
    let native = match config.get("routing-mode") {
        Some(mode) => mode == "native",
        None => is("tunnel", "disabled"),
    };
    is("cni-chaining-mode", "generic-veth")
        && native
        && is("enable-ipv4-masquerade", "false")
        && (is("enable-ipv6-masquerade", "false") || !is("enable-ipv6", "true"))
        && !is("cni-exclusive", "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(data: &str) -> String {
        format!(
            "---\n# Source: cilium/x.yaml\nkind: ConfigMap\nmetadata:\n  name: other\ndata:\n  routing-mode: tunnel\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\n  namespace: kube-system\ndata:\n{data}\n---\nkind: Service\n"
        )
    }

    #[test]
    fn chains_only_when_all_five_rules_hold() {
        let sound = "  # comment\n\n  cni-chaining-mode: generic-veth\n  routing-mode: \"native\"\n  enable-ipv4-masquerade: \"false\"\n  enable-ipv6: \"false\"";
        assert!(chains(&stream(sound)));
        for (from, to) in [
            ("generic-veth", "none"),
            ("\"native\"", "\"tunnel\""),
            ("masquerade: \"false\"", "masquerade: \"true\""),
            ("enable-ipv6: \"false\"", "enable-ipv6: \"true\""),
            ("\n\n", "\n  cni-exclusive: \"true\"\n"),
        ] {
            assert!(sound.contains(from), "{from}");
            assert!(!chains(&stream(&sound.replace(from, to))), "{from} -> {to}");
        }
        assert!(chains(&stream(&sound.replace("routing-mode: \"native\"", "tunnel: \"disabled\""))));
        assert!(!chains("kind: Service\n"));
    }
}
