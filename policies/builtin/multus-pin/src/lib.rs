//! `multus-pin`: Multus does not bypass the chain.
//!
//! Where Multus runs, the runtime loads its file, and Multus calls what it was told: a pinned file of Kube-OVN never reaches Cilium.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const PIN: &str = "not-pinned";
const PRESENT: &str = "restarted-after";
/// How every file of Kube-OVN's ends, after a priority.
const ANY: &str = "-kube-ovn.conflist";

/// The policy; what it holds is told by [`Policy::info`].
pub struct MultusPin;
export_policy!(MultusPin);

#[derive(Deserialize)]
struct Multus {
    object: String,
    told: Vec<String>,
}

#[derive(Deserialize)]
struct Installation {
    cni: Cni,
}

#[derive(Deserialize)]
struct Cni {
    conf_name: String,
}

impl Policy for MultusPin {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("multus-pin", env!("CARGO_PKG_VERSION"), "Multus does not bypass the chain")
            .scope(ScopeKind::Cluster)
            .fact("multus")
            .fact("kube-ovn")
            .rule(Rule::error(PIN, "Multus is not pinned to Kube-OVN's own file").help(
                "A Multus that calls 01-kube-ovn.conflist by name goes on calling it beside 01-cilium.conflist: pods stay unchained.",
            ))
            .rule(Rule::warning(PRESENT, "no Multus keeps a copy of the unchained configuration").help(
                "Multus copies the first file into its own when it starts; the thick one names it there (multusConfigFile=auto). Until it is restarted on a node, new pods there are unchained.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let found: Vec<Multus> = match context.facts.require("multus", "/installations") {
            Ok(found) => found,
            Err(why) => return Ok(vec![Finding::unknown(PIN, why.clone()), Finding::unknown(PRESENT, why)]),
        };
        if found.is_empty() {
            return Ok(vec![Finding::pass(PIN).message("there is no Multus"), Finding::pass(PRESENT)]);
        }
        let files: Vec<String> = match context.facts.require::<Vec<Installation>>("kube-ovn", "/installations") {
            Ok(installations) => installations.into_iter().map(|one| one.cni.conf_name).collect(),
            Err(why) => return Ok(vec![Finding::unknown(PIN, why.clone()), Finding::unknown(PRESENT, why)]),
        };
        Ok(found.iter().flat_map(|multus| [pinned(multus, &files), present(multus)]).collect())
    }
}

fn pinned(multus: &Multus, files: &[String]) -> Finding {
    if files.iter().any(String::is_empty) {
        return Finding::unknown(PIN, "the name of Kube-OVN's file is not known").subject(multus.object.clone());
    }
    if let Some(plugins) = multus.told.iter().find_map(|told| held(told)) {
        return Finding::fail(PIN, format!("it holds a configuration of its own, without Cilium: {plugins}"))
            .subject(multus.object.clone())
            .remedy(
                "remove `delegates` from its configuration, so that it takes the first file, or name 01-cilium.conflist as \
                 clusterNetwork once every node is chained",
            );
    }
    // Whatever it is called now: no release takes a file of another name away.
    let names = |told: &&String| told.contains(ANY) || files.iter().any(|file| told.contains(file.as_str()));
    match multus.told.iter().find(names) {
        None => Finding::pass(PIN).subject(multus.object.clone()),
        Some(told) => Finding::fail(PIN, format!("it was told {told}")).subject(multus.object.clone()).remedy(
            "leave it to Multus to take the first file (multusMasterCNI unset, --multus-conf-file=auto), or name \
                 01-cilium.conflist once every node is chained",
        ),
    }
}

/// The plugins of a configuration that Multus holds itself, if they are Kube-OVN's and not chained.
fn held(told: &str) -> Option<String> {
    let plugins: Vec<&str> = told.strip_prefix("delegates=")?.split('+').collect();
    (plugins.contains(&"kube-ovn") && !plugins.contains(&"cilium-cni")).then(|| plugins.join(", "))
}

fn present(multus: &Multus) -> Finding {
    Finding::fail(PRESENT, "it chose the file, or copied the configuration, of the first interface when it started")
        .subject(multus.object.clone())
        .remedy("restart its pod on each node after that node is chained, and again on the way back")
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::MultusPin>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
