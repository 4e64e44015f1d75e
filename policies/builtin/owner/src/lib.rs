//! `owner`: what a migration changes is changed by whoever owns it.
//!
//! Helm, Argo CD, Flux, k3s, RKE2 and operators keep the fields of what they own. A flag of kube-ovn-controller that is changed behind their back
//! returns at the next sync, at a moment nobody chose. A migration upgrades the Helm release, and waits for the others; it has to know which.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const FLAGS: &str = "flags-stay";
const CILIUM: &str = "cilium-stays";
/// The flags as values of Kube-OVN's charts.
const VALUES: &str = "func.ENABLE_NP=false and func.ENABLE_LB=false (chart kube-ovn-v2: features.enableNetworkPolicies=false and \
                      features.enableLoadbalancer=false)";

/// The policy; what it holds is told by [`Policy::info`].
pub struct OwnerPolicy;
export_policy!(OwnerPolicy);

#[derive(Deserialize)]
struct Installation {
    namespace: String,
    owner: Owner,
    controller: Controller,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Owner {
    Manifest,
    Helm { release: String, namespace: String },
    External { by: String, object: String },
}

#[derive(Deserialize)]
struct Controller {
    name: String,
    enable_lb: bool,
    enable_np: bool,
}

#[derive(Deserialize)]
struct Cilium {
    namespace: String,
    daemonset: String,
    release: Option<String>,
    owner: Owner,
}

impl Policy for OwnerPolicy {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("owner", env!("CARGO_PKG_VERSION"), "what a migration changes is changed by its owner")
            .scope(ScopeKind::Cluster)
            .fact("intent")
            .fact("kube-ovn")
            .fact("cilium")
            .rule(Rule::error(FLAGS, "the flags of kube-ovn-controller stay as a migration sets them").help(
                "A migration sets them where they are owned: it patches a manifest, upgrades a Helm release, and tells other owners.",
            ))
            .rule(Rule::warning(CILIUM, "an installed Cilium is a Helm release").help(
                "Cilium is upgraded through its release; one that was applied by hand, or by an operator, is not ours to change.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let action = context.facts.require::<String>("intent", "/action");
        let mut findings = match context.facts.require::<Vec<Installation>>("kube-ovn", "/installations") {
            Ok(_) if action.is_err() => {
                action.clone().err().map(|why| Finding::unknown(FLAGS, why)).into_iter().collect()
            }
            _ if action.as_deref() == Ok("install") => {
                vec![Finding::skip(FLAGS, "a plain installation changes no flag of kube-ovn-controller")]
            }
            Ok(installations) => installations.iter().map(of_kube_ovn).collect(),
            Err(why) => vec![Finding::unknown(FLAGS, why)],
        };
        findings.push(match context.facts.get::<Option<Cilium>>("cilium", "/installation") {
            Ok(found) => of_cilium(found.flatten().as_ref()),
            Err(error) => Finding::unknown(CILIUM, format!("the fact `cilium` is not known: {error}")),
        });
        Ok(findings)
    }
}

fn of_kube_ovn(installation: &Installation) -> Finding {
    let controller = &installation.controller;
    let subject = format!("deployment {}/{}", installation.namespace, controller.name);
    let on: Vec<&str> = [("--enable-np", controller.enable_np), ("--enable-lb", controller.enable_lb)]
        .into_iter()
        .filter_map(|(flag, on)| on.then_some(flag))
        .collect();
    let pass = |message: &str| Finding::pass(FLAGS).message(message).subject(subject.clone());
    if on.is_empty() {
        return pass("both flags are off already: nothing is left to change");
    }
    let on = on.join(" and ");
    match &installation.owner {
        Owner::Manifest => pass("it was applied by manifest: a change stays"),
        Owner::Helm { release, namespace } if release.is_empty() || namespace.is_empty() => Finding::fail(
            FLAGS,
            format!("{on} is still on, and a Helm release that its objects do not name would put a change back"),
        )
        .subject(subject)
        .remedy(format!(
            "have helm mark its objects again (`helm upgrade RELEASE CHART`), or turn them off there: {VALUES}"
        )),
        Owner::Helm { release, namespace } => pass(&format!(
            "{on} is turned off by an upgrade of Helm release {namespace}/{release}, with the chart that is stored in it"
        )),
        Owner::External { by, object } => pass(&format!(
            "{on} is for {by} ({object}) to turn off when the hand-over waits for it: {}",
            edit(by, object)
        )),
    }
}

/// What to change where a controller has the last word, by the kind of the object it goes by.
fn edit(by: &str, object: &str) -> String {
    match object.split_once(' ') {
        Some(("HelmChartConfig", name)) => format!("edit `spec.valuesContent` of HelmChartConfig {name}: {VALUES}"),
        Some(("HelmChart", name)) => format!(
            "edit `spec.valuesContent` of HelmChart {name}, or make a HelmChartConfig {name} where a file on the servers makes \
             that chart: {VALUES}"
        ),
        Some(("Addon", name)) => format!(
            "edit the manifest that makes addon {name}, in /var/lib/rancher/k3s/server/manifests (RKE2: \
             /var/lib/rancher/rke2/server/manifests) of every server: --enable-np=false and --enable-lb=false"
        ),
        _ => format!("set ENABLE_NP and ENABLE_LB to false in the source of {object} and let {by} apply it"),
    }
}

fn of_cilium(found: Option<&Cilium>) -> Finding {
    let Some(found) = found else { return Finding::skip(CILIUM, "no Cilium is installed") };
    let subject = format!("daemonset {}/{}", found.namespace, found.daemonset);
    match (&found.owner, &found.release) {
        (Owner::External { by, object }, _) => Finding::fail(
            CILIUM,
            format!("{by} makes it anew from {object}: what an upgrade of its release changes returns"),
        )
        .subject(subject)
        .remedy(format!("change it in the source of {object}")),
        (_, Some(release)) => Finding::pass(CILIUM).message(format!("release {release}")).subject(subject),
        (_, None) => Finding::fail(CILIUM, "it carries no mark of a Helm release")
            .subject(subject)
            .remedy("change it with the tool that installed it; `helm list -A` shows releases"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::OwnerPolicy>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
