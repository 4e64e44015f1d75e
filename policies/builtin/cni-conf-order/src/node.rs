//! One node's CNI configuration directory.

use ovncilium_policy_sdk::Finding;
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct ConfDir {
    pub(crate) node: String,
    dir: String,
    files: Vec<ConfFile>,
}

#[derive(Deserialize)]
struct ConfFile {
    name: String,
    network: String,
    plugins: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Silent {
    pub(crate) node: String,
    pub(crate) reason: String,
}

/// A node that gave no answer.
pub(crate) fn silent(rule: &str, node: &str, reason: &str) -> Finding {
    Finding::unknown(rule, format!("{node} did not tell its CNI directory: {reason}")).subject(format!("node/{node}"))
}

/// What is wrong with the order of one node's files. Where nothing says under which name the chained file is written
/// (`conf_name` is empty), nothing but a chained file may sort before Kube-OVN's.
pub(crate) fn order(rule: &str, dir: &ConfDir, conf_name: &str, kube_ovn: &str) -> Vec<Finding> {
    let subject = format!("node/{}", dir.node);
    let fail = |message: String, remedy: String| Finding::fail(rule, message).subject(subject.clone()).remedy(remedy);
    let mut findings = Vec::new();
    for file in dir.files.iter().filter(|file| loaded(&file.name)) {
        let (limit, ours) = if conf_name.is_empty() { (kube_ovn, chained(file)) } else { (conf_name, false) };
        if file.name.as_str() < limit && !is_multus(file) && !ours {
            findings.push(fail(
                format!("{}/{} (network `{}`) sorts before {limit}", dir.dir, file.name, file.network),
                format!("find out whose it is; if nobody's, move it out of {} on {}", dir.dir, dir.node),
            ));
        }
        if file.name == conf_name && !chained(file) {
            findings.push(fail(
                format!("{}/{conf_name} is there but does not chain Cilium behind Kube-OVN", dir.dir),
                format!("it has the plugins {}; find out who wrote it and remove it", file.plugins.join(", ")),
            ));
        }
    }
    match dir.files.iter().find(|file| file.name == kube_ovn) {
        Some(file) if file.plugins.iter().any(|plugin| plugin == "kube-ovn") => {}
        Some(_) => findings.push(fail(
            format!("{}/{kube_ovn} does not name the plugin kube-ovn", dir.dir),
            format!("delete the kube-ovn-cni pod of {} so that the file is written anew", dir.node),
        )),
        None => findings.push(fail(
            format!("Kube-OVN's {kube_ovn} is not in {}", dir.dir),
            format!("delete the kube-ovn-cni pod of {} so that the file is written anew", dir.node),
        )),
    }
    findings
}

/// Files that an older Cilium has set aside.
pub(crate) fn leftovers(rule: &str, dir: &ConfDir) -> Vec<Finding> {
    let set_aside = dir.files.iter().filter(|file| file.name.ends_with(".cilium_bak"));
    set_aside
        .map(|file| {
            Finding::fail(rule, format!("{}/{} was set aside by Cilium (cni.exclusive)", dir.dir, file.name))
                .subject(format!("node/{}", dir.node))
                .remedy(
                    "give it its name back if its owner is still in use, else delete it; and set cni.exclusive=false",
                )
        })
        .collect()
}

/// Whether runtimes look at files of this name.
fn loaded(name: &str) -> bool {
    [".conf", ".conflist", ".json"].iter().any(|end| name.ends_with(end))
}

fn is_multus(file: &ConfFile) -> bool {
    file.name.starts_with("00-multus")
}

fn chained(file: &ConfFile) -> bool {
    let at = |name: &str| file.plugins.iter().position(|plugin| plugin == name);
    at("kube-ovn").zip(at("cilium-cni")).is_some_and(|(kube_ovn, cilium)| kube_ovn < cilium)
}
