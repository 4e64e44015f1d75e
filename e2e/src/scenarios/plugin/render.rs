//! A chart judged by its documents alone: `helm template … --post-renderer ovncilium-post-renderer`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::{Teller, machine::Machine, packages::Packages};
use crate::{
    error::{Error, Result},
    program::{Call, write_script},
    verdict::expect,
};

pub(super) fn play(machine: &Machine<'_>, packages: &Packages, tell: &mut Teller<'_, '_>) {
    let (chart, chaining) = (packages.chart(), packages.values("chaining"));
    let (chart, chaining) = (chart.to_string_lossy(), chaining.to_string_lossy());
    tell.run("renders_sound_values", || {
        let args = ["template", "cilium", &chart, "-n", "kube-system", "-f", &chaining];
        let without = machine.helm(&args).run()?.ended_with(&[0])?.stdout();
        let with = offline(machine, &args)?.run()?.ended_with(&[0])?.stdout();
        if machine.is_helm4() {
            // It writes every document anew when there is a post-renderer.
            let (without, with) = (documents(&without)?, documents(&with)?);
            expect(without == with && with.len() > 5, || format!("{without:?}\nbecame\n{with:?}"))
        } else {
            expect(without == with && !with.is_empty(), || format!("{without}\nbecame\n{with}"))
        }
    });
    tell.run("is_denied_an_overlay_and_told_why", || {
        let values = packages.values("overlay");
        let args = ["template", "cilium", &chart, "-n", "kube-system", "-f", &values.to_string_lossy()];
        let output = offline(machine, &args)?.run()?.ended_with(&[1])?;
        expect(output.stdout.is_empty(), || format!("helm printed manifests\n{}", output.said()))?;
        output.names(&["chart-chaining", "cilium-config", "routing-mode", "routingMode=native"]).map(drop)
    });
}

/// With `--offline`, which a Helm before 3.9 cannot hand on: there a script of one line does it.
fn offline(machine: &Machine<'_>, args: &[&str]) -> Result<Call> {
    if machine.hands_on_arguments() {
        let post_renderer = ["--post-renderer", "ovncilium-post-renderer", "--post-renderer-args=--offline"];
        return Ok(machine.helm(&[args, &post_renderer].concat()));
    }
    let script = machine.own_programs().join("judge-documents");
    write_script(&script, "#!/bin/sh\nexec ovncilium-post-renderer --offline\n")?;
    Ok(machine.helm(&[args, &["--post-renderer", "judge-documents"]].concat()))
}

/// Kind and name of every document.
fn documents(stream: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for document in serde_yaml::Deserializer::from_str(stream) {
        let yaml = |source| Error::Yaml { file: "what helm rendered".into(), source };
        let value = Value::deserialize(document).map_err(yaml)?;
        if !value.is_null() {
            found.insert(format!("{} {}", value["kind"], value["metadata"]["name"]));
        }
    }
    Ok(found)
}
