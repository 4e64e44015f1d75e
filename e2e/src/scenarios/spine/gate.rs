//! The post-renderer under real Helm: on documents alone, and against the live cluster.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{
    Stage,
    charts::{Charts, recorded_values},
    program::{Call, Helm, temporary, write},
    teller::Teller,
    town::Town,
};
use crate::{
    error::{Error, Result},
    verdict::expect,
};

/// Sound chaining values, for machines without the recorded ones.
const CHAINING: &str =
    "cni: {chainingMode: generic-veth, customConf: true, configMap: cni-configuration, exclusive: false}
devices: eth0 ovn0 genev_sys_6081
enableIPv4Masquerade: false
enableIPv6Masquerade: false
enableIdentityMark: false
ipam: {operator: {clusterPoolIPv4PodCIDRList: [100.65.0.0/16]}}
operator: {replicas: 1, unmanagedPodWatcher: {restart: false}}
routingMode: native
";
/// The old guide's values, as far as the own chart knows them: they build an overlay of Cilium's own.
const SEED: &str = "cni: {chainingMode: generic-veth, customConf: true, configMap: cni-configuration}
tunnel: disabled
enableIPv4Masquerade: false
enableIdentityMark: false
";

/// Values of a case: recorded ones for a chart version, else our own.
fn values(dir: &tempfile::TempDir, version: &str, case: &str, own: &str) -> Result<String> {
    if let Some(file) = recorded_values(version, case) {
        return Ok(file.to_string_lossy().into_owned());
    }
    let file: PathBuf = dir.path().join(format!("{case}.yaml"));
    write(&file, own)?;
    Ok(file.to_string_lossy().into_owned())
}

/// Plays what needs no cluster, with both majors.
pub(super) fn offline(stage: &Stage<'_>, tell: &Teller) {
    for (helm, chart) in [(Helm::Three, ("1.18.12", "1.18.99")), (Helm::Four, ("1.20.0", "1.20.99"))] {
        tell.run(&format!("{}_renders_sound_values", helm.name()), || {
            let dir = temporary()?;
            let (chart, version) = stage.charts.get(chart.0, chart.1);
            let values = values(&dir, &version, "chaining", CHAINING)?;
            let chart = chart.to_string_lossy();
            let args = ["template", "cilium", &chart, "-n", "kube-system", "-f", &values];
            let without = stage.program.plain_helm(helm, &args).run()?.ended_with(&[0])?;
            let with = stage.program.helm(helm, &args, &["--offline"]).run()?.ended_with(&[0])?;
            same_documents(&without.stdout(), &with.stdout())
        });
        tell.run(&format!("{}_is_denied_the_old_guides_values_and_told_why", helm.name()), || {
            let dir = temporary()?;
            // Newer charts refuse `tunnel` themselves; 1.15.5 is the one that builds an overlay without a word.
            let (chart, version) = match Charts::published("1.15.5") {
                Some(file) => (file, "1.15.5".to_owned()),
                None => stage.charts.get("1.15.5", "1.18.99"),
            };
            let values = values(&dir, &version, "seed", SEED)?;
            let chart = chart.to_string_lossy();
            let args = ["template", "cilium", &chart, "-n", "kube-system", "-f", &values];
            let output = stage.program.helm(helm, &args, &["--offline"]).run()?;
            expect(output.code.is_some_and(|code| code != 0), || format!("helm agreed\n{}", output.said()))?;
            expect(output.stdout.is_empty(), || format!("helm printed manifests\n{}", output.said()))?;
            output.names(&["chart-chaining", "cilium-config", "routing-mode", "routingMode=native"])?;
            Ok(())
        });
    }
}

/// Helm 4 writes every document anew when a post-renderer is used; what they say must not change.
fn same_documents(without: &str, with: &str) -> Result<()> {
    let (without, with) = (documents(without)?, documents(with)?);
    let differs: Vec<_> = without.keys().chain(with.keys()).filter(|key| without.get(*key) != with.get(*key)).collect();
    expect(differs.is_empty() && without.len() > 5, || {
        format!("{} documents; these differ: {differs:?}", without.len())
    })
}

/// Documents by kind and name. Generated certificates differ in every run and are left out.
fn documents(stream: &str) -> Result<BTreeMap<String, Value>> {
    let mut documents = BTreeMap::new();
    for document in serde_yaml::Deserializer::from_str(stream) {
        let yaml = |source| Error::Yaml { file: "what helm rendered".into(), source };
        let mut value = Value::deserialize(document).map_err(yaml)?;
        drop_nulls(&mut value);
        if value["kind"] == "Secret" {
            value["data"] = Value::Null;
        }
        if !value.is_null() {
            documents.insert(format!("{} {}", value["kind"], value["metadata"]["name"]), value);
        }
    }
    Ok(documents)
}

/// A field without value says the same as none; Helm 4 leaves it out.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn live(stage: &Stage<'_>, town: &Town, helm: Helm, args: &[&str]) -> Result<Call> {
    Ok(stage.program.helm(helm, args, &[]).env("KUBECONFIG", town.kubeconfig()?))
}

/// Before the migration Kube-OVN still enforces and balances: the cluster says no to a chart that is sound in itself.
pub(super) fn denies_before_the_migration(stage: &Stage<'_>, town: &Town, tell: &Teller) {
    for (helm, chart) in [(Helm::Three, ("1.18.12", "1.18.99")), (Helm::Four, ("1.20.0", "1.20.99"))] {
        tell.run(&format!("{}_install_is_denied_by_the_live_cluster", helm.name()), || {
            let dir = temporary()?;
            let (chart, version) = stage.charts.get(chart.0, chart.1);
            let (chart, values) = (chart.to_string_lossy(), values(&dir, &version, "chaining", CHAINING)?);
            let args = ["install", "cilium", &chart, "-n", "kube-system", "-f", &values, "--dry-run=server"];
            let output = town.quietly(|| live(stage, town, helm, &args)?.run())?;
            expect(output.code.is_some_and(|code| code != 0), || format!("helm agreed\n{}", output.said()))?;
            output.names(&["kube-ovn-network-policy"])?;
            Ok(())
        });
    }
}

/// After the migration the same gate lets the release's own values through, and still no others.
pub(super) fn allows_after_the_migration(stage: &Stage<'_>, town: &Town, helm: Helm, chart: &str, tell: &Teller) {
    tell.run("upgrade_with_the_same_values_passes_the_gate", || {
        let dir = temporary()?;
        let get = ["get", "values", "cilium", "-n", "kube-system", "-o", "yaml"];
        let values =
            stage.program.plain_helm(helm, &get).env("KUBECONFIG", town.kubeconfig()?).run()?.ended_with(&[0])?;
        let file = dir.path().join("values.yaml");
        write(&file, &values.stdout)?;
        let file = file.to_string_lossy();
        let args = ["upgrade", "cilium", chart, "-n", "kube-system", "-f", &file, "--dry-run=server"];
        town.quietly(|| live(stage, town, helm, &args)?.run()?.ended_with(&[0]))?;
        let args = ["upgrade", "cilium", chart, "-n", "kube-system", "--reset-values", "--dry-run=server"];
        let output = town.quietly(|| live(stage, town, helm, &args)?.run())?;
        expect(output.code.is_some_and(|code| code != 0), || {
            format!("an upgrade without values passed the gate\n{}", output.said())
        })?;
        output.names(&["chart-chaining", "cni-chaining-mode"]).map(drop)
    });
}
