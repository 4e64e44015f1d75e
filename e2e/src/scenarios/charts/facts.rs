//! Facts of the pretend cluster in files: as `values` finds it, as the post-renderer does, and clusters that get no values.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ovncilium_core::facts::workloads::{Pod, Unmanaged};
use ovncilium_core::facts::{
    Facts, Known, Source, Subject, addresses::Range, cilium::Endpoint, file, kube_ovn, networks, services,
    services::Provider,
};
use ovncilium_engine::collect;
use ovncilium_sim::SimCluster;

use crate::{
    error::{Error, Result},
    scenarios::spine::write,
    verdict::expect,
};

/// A file of [`write_all`].
pub(super) fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("facts-{name}.json"))
}

/// The cluster as it is before anybody touches it.
pub(super) fn before(dir: &Path, layout: &str) -> PathBuf {
    file(dir, &format!("before-{layout}"))
}

/// Kube-OVN's network policy and load balancer are off, its file has the name that the layout wants; every pod has an endpoint or
/// none.
pub(super) fn after(dir: &Path, layout: &str, managed: bool) -> PathBuf {
    file(dir, &format!("after-{layout}-{managed}"))
}

/// Every range in use in all of them.
///
/// # Errors
/// [`Error::Io`] or [`Error::Json`].
pub(super) fn ranges(dir: &Path) -> Result<Vec<String>> {
    let path = before(dir, "beside");
    let text = std::fs::read(&path).map_err(Error::io("read", &path))?;
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(Error::json("a facts file"))?;
    let ranges = json.pointer("/facts/addresses/value/known/ranges").and_then(serde_json::Value::as_array);
    let ranges: Vec<String> =
        ranges.into_iter().flatten().filter_map(|r| Some(r["cidr"].as_str()?.to_owned())).collect();
    expect(ranges.len() > 3, || format!("only {} ranges are in {}", ranges.len(), path.display()))?;
    Ok(ranges)
}

/// Writes every file.
///
/// # Errors
/// The pretend cluster does not start, or [`Error::Io`].
pub(super) fn write_all(dir: &Path) -> Result<()> {
    let found = example()?;
    let kube_ovn = kube_ovn(&found)?;
    expect(kube_ovn.controller.enable_np && !known(&found.workloads)?.network_policies.is_empty(), || {
        "the pretend cluster enforces nothing; nothing would be proven".to_owned()
    })?;
    for layout in ["beside", "guide"] {
        write_one(&before(dir, layout), &found)?;
        for managed in [false, true] {
            let mut facts = found.clone();
            let installation = installation(&mut facts)?;
            installation.controller.enable_lb = false;
            installation.controller.enable_np = false;
            if layout == "guide" {
                "10-kube-ovn.conflist".clone_into(&mut installation.cni.conf_name);
            }
            if let Known::Known(services) = &mut facts.services.value {
                services.providers.retain(|provider| provider.kind == "kube-proxy");
            }
            if managed {
                let pods = known(&found.workloads)?.pods.iter().filter(|pod| !pod.host_network);
                let endpoint = |pod: &Pod| Endpoint {
                    namespace: pod.namespace.clone(),
                    name: pod.name.clone(),
                    ips: pod.ips.clone(),
                    state: "ready".to_owned(),
                };
                let endpoints = pods.map(endpoint).collect();
                if let Known::Known(cilium) = &mut facts.cilium.value {
                    cilium.endpoints = endpoints;
                }
                if let Known::Known(workloads) = &mut facts.workloads.value {
                    workloads.unmanaged = Some(Unmanaged::default());
                }
            }
            write_one(&after(dir, layout, managed), &facts)?;
        }
    }
    spoilt(dir, &found)
}

/// Clusters that get no values.
fn spoilt(dir: &Path, found: &Facts) -> Result<()> {
    let mut dual = found.clone();
    if let Known::Known(networks::Networks { subnets, .. }) = &mut dual.networks.value {
        for subnet in subnets.iter_mut().filter(|subnet| subnet.name == "ovn-default") {
            "Dual".clone_into(&mut subnet.protocol);
        }
    }
    write_one(&file(dir, "dual"), &dual)?;
    let mut crowded = found.clone();
    if let Known::Known(addresses) = &mut crowded.addresses.value {
        for cidr in ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "198.18.0.0/15"] {
            let range = Range { kind: "pod".to_owned(), user: "subnet big".to_owned(), cidr: cidr.to_owned() };
            addresses.ranges.push(range);
        }
    }
    write_one(&file(dir, "crowded"), &crowded)?;
    let mut unknown = found.clone();
    unknown.addresses = Subject::unknown("nodes may not be listed");
    write_one(&file(dir, "unknown"), &unknown)?;
    let mut replaced = found.clone();
    if let Known::Known(services::Services { providers, .. }) = &mut replaced.services.value {
        providers.retain(|provider| provider.kind != "kube-proxy");
        let object = "daemonset kube-system/cilium".to_owned();
        providers.push(Provider { kind: "cilium".to_owned(), object, ..Provider::default() });
    }
    write_one(&file(dir, "replaced"), &replaced)?;
    let mut old = found.clone();
    let installation = installation(&mut old)?;
    installation.version = Some("v1.9.41".to_owned());
    installation.cni.writer = kube_ovn::ConfWriter::HardCoded;
    write_one(&file(dir, "old"), &old)
}

fn example() -> Result<Facts> {
    let broken = |what: &str| Error::Expectation(format!("the pretend cluster {what}"));
    let sim = SimCluster::example(1).map_err(|error| broken(&format!("does not start: {error}")))?;
    let world = sim.world();
    let options =
        collect::Options { context: None, release_namespace: "kube-system".to_owned(), now: Timestamp::now() };
    let mut facts =
        collect::collect(world.cluster, &options).map_err(|error| broken(&format!("cannot be read: {error}")))?;
    facts.source = Source::Rehearsal;
    Ok(facts)
}

fn known<T>(subject: &Subject<T>) -> Result<&T> {
    subject.value.as_result().map_err(|reason| Error::Expectation(format!("a subject is unknown: {reason}")))
}

fn kube_ovn(facts: &Facts) -> Result<&kube_ovn::Installation> {
    known(&facts.kube_ovn)?.the_one().map_err(|error| Error::Expectation(error.to_string()))
}

fn installation(facts: &mut Facts) -> Result<&mut kube_ovn::Installation> {
    match &mut facts.kube_ovn.value {
        Known::Known(found) => {
            found.installations.first_mut().ok_or_else(|| Error::Expectation("no Kube-OVN".to_owned()))
        }
        Known::Unknown(reason) => Err(Error::Expectation(reason.clone())),
    }
}

fn write_one(path: &Path, facts: &Facts) -> Result<()> {
    let text = file::write(facts).map_err(Error::json("facts"))?;
    write(path, text)
}
