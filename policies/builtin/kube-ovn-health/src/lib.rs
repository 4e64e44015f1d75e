//! `kube-ovn-health`: Kube-OVN is whole and at rest.
//!
//! Every pod that is made again needs its controller, its CNI server and OVN; a migration makes all of them again.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const COMPONENTS: &str = "components-ready";
const SUBNETS: &str = "subnets-ready";
const VERSIONS: &str = "one-version";
const DEFAULT: &str = "default-network";
/// Workloads that every installation has beside its controller and its CNI server, by the same names in all releases and charts.
const ALWAYS: [(&str, &str); 2] = [("daemonset", "ovs-ovn"), ("deployment", "ovn-central")];

/// The policy; what it holds is told by [`Policy::info`].
pub struct KubeOvnHealth;
export_policy!(KubeOvnHealth);

#[derive(Deserialize)]
struct Installation {
    namespace: String,
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    object: String,
    version: Option<String>,
    desired: u32,
    updated: u32,
    ready: u32,
    observed: bool,
}

#[derive(Deserialize)]
struct Subnet {
    name: String,
    not_ready: Option<String>,
}

impl Policy for KubeOvnHealth {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("kube-ovn-health", env!("CARGO_PKG_VERSION"), "Kube-OVN is whole and at rest")
            .scope(ScopeKind::Cluster)
            .fact("kube-ovn")
            .fact("networks")
            .rule(Rule::error(COMPONENTS, "every component of Kube-OVN is rolled out and ready").help(
                "Pods are made again during a migration, and kube-ovn-controller is restarted once. Both need the controller, \
                 ovn-central, ovs-ovn and kube-ovn-cni on every node.",
            ))
            .rule(Rule::warning(SUBNETS, "every subnet is ready").help(
                "A pod of a subnet that is not ready gets no address when it is made again.",
            ))
            .rule(Rule::warning(VERSIONS, "all components are of one version").help(
                "Different versions are an upgrade that has not ended; finish it first.",
            ))
            .rule(Rule::warning(DEFAULT, "the default VPC is set up and has its default subnet").help(
                "Pods that name no subnet get their address from the default one when they are made again, and every node reaches pods \
                 through the default VPC.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let mut findings = match context.facts.require::<Vec<Installation>>("kube-ovn", "/installations") {
            Ok(installations) => installations.iter().flat_map(of_components).collect(),
            Err(why) => vec![Finding::unknown(COMPONENTS, why.clone()), Finding::unknown(VERSIONS, why)],
        };
        match context.facts.require::<Vec<Subnet>>("networks", "/subnets") {
            Ok(subnets) => findings.extend(of_subnets(&subnets)),
            Err(why) => findings.push(Finding::unknown(SUBNETS, why)),
        }
        findings.push(default_network(context).unwrap_or_else(|why| Finding::unknown(DEFAULT, why)));
        Ok(findings)
    }
}

fn of_components(installation: &Installation) -> Vec<Finding> {
    let components = &installation.components;
    if components.is_empty() {
        let why = format!("how far Kube-OVN in {} is rolled out is not known", installation.namespace);
        return vec![Finding::unknown(COMPONENTS, why.clone()), Finding::unknown(VERSIONS, why)];
    }
    let mut findings: Vec<Finding> = components.iter().filter_map(not_ready).collect();
    for (kind, name) in ALWAYS {
        let object = format!("{kind} {}/{name}", installation.namespace);
        if components.iter().all(|component| component.object != object) {
            let why = "it was not found beside the controller: whether it runs is not known";
            findings.push(Finding::unknown(COMPONENTS, why).subject(object).remedy(format!(
                "look where it is: `kubectl get {kind}s -A | grep {name}`; waive this where OVN runs elsewhere"
            )));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::pass(COMPONENTS).message(format!("{} are ready", count(components.len()))));
    }
    findings.push(of_versions(components));
    findings
}

fn not_ready(component: &Component) -> Option<Finding> {
    let Component { desired, updated, ready, observed, .. } = *component;
    let why = if !observed {
        "its newest specification was not looked at yet".to_owned()
    } else if desired == 0 {
        "no pod of it is wanted".to_owned()
    } else if updated < desired {
        format!("{updated} of {desired} pods are of its newest specification")
    } else if ready < desired {
        format!("{ready} of {desired} pods are ready")
    } else {
        return None;
    };
    Some(
        Finding::fail(COMPONENTS, why)
            .subject(component.object.clone())
            .remedy(format!("see why: `kubectl rollout status {}`", for_kubectl(&component.object))),
    )
}

fn of_versions(components: &[Component]) -> Finding {
    let known: Vec<(&str, &str)> =
        components.iter().filter_map(|c| Some((c.version.as_deref()?, c.object.as_str()))).collect();
    let Some((first, _)) = known.first() else {
        return Finding::skip(VERSIONS, "no image tag tells a version");
    };
    match known.iter().find(|(version, _)| version != first) {
        None => Finding::pass(VERSIONS).message((*first).to_owned()),
        Some((other, object)) => Finding::fail(VERSIONS, format!("it runs {other}, others run {first}"))
            .subject((*object).to_owned())
            .remedy("finish the upgrade of Kube-OVN first"),
    }
}

fn of_subnets(subnets: &[Subnet]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = subnets
        .iter()
        .filter_map(|subnet| {
            let why = subnet.not_ready.as_ref()?;
            let cause = if why.is_empty() { "it says no reason".to_owned() } else { why.clone() };
            Some(
                Finding::fail(SUBNETS, format!("its condition Ready is False: {cause}"))
                    .subject(format!("subnet/{}", subnet.name))
                    .remedy(format!("`kubectl describe subnet {}`", subnet.name)),
            )
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::pass(SUBNETS));
    }
    findings
}

/// The VPC and the subnet of pods that name none.
fn default_network(context: &Context<'_>) -> Result<Finding, String> {
    let subnets: Vec<Subnet> = context.facts.require("networks", "/subnets")?;
    let flag = |name: &str, absent: &str| {
        let value = context.facts.get::<String>("kube-ovn", &format!("/installations/0/controller/flags/{name}"));
        let value = value.map_err(|error| format!("the fact `kube-ovn` is not known: {error}"))?;
        Ok::<_, String>(value.filter(|value| !value.is_empty()).unwrap_or_else(|| absent.to_owned()))
    };
    let (vpc, subnet) = (flag("cluster-router", "ovn-cluster")?, flag("default-ls", "ovn-default")?);
    let standby: Option<bool> =
        context.facts.get::<Option<bool>>("networks", "/default_vpc_standby").ok().flatten().flatten();
    let describe =
        |kind: &str, name: &str| format!("`kubectl describe {kind} {name}`, and the log of kube-ovn-controller");
    Ok(if subnets.iter().all(|other| other.name != subnet) {
        Finding::fail(DEFAULT, "the default subnet is not there")
            .subject(format!("subnet/{subnet}"))
            .remedy("make it again, or set --default-ls of kube-ovn-controller to the one that is there")
    } else {
        match standby {
            Some(true) => Finding::pass(DEFAULT).message(format!("{subnet} in {vpc}")),
            Some(false) => Finding::fail(DEFAULT, "its status says that it is not set up (standby is false)")
                .subject(format!("vpc/{vpc}"))
                .remedy(describe("vpc", &vpc)),
            None => Finding::unknown(DEFAULT, "there is no such VPC, or it does not tell whether it is set up")
                .subject(format!("vpc/{vpc}"))
                .remedy(describe("vpc", &vpc)),
        }
    })
}

fn count(number: usize) -> String {
    if number == 1 { "1 component".to_owned() } else { format!("{number} components") }
}

/// `daemonset kube-system/kube-ovn-cni` as kubectl takes it.
fn for_kubectl(object: &str) -> String {
    match object.split_once(' ').and_then(|(kind, name)| Some((kind, name.split_once('/')?))) {
        Some((kind, (namespace, name))) => format!("-n {namespace} {kind}/{name}"),
        None => object.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::KubeOvnHealth>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
