//! What is said of a takeover before anyone says yes.

use super::Adopting;
use super::look::pool_of;
use super::phases::hands_back;
use crate::facts::Facts;
use crate::facts::cilium::Installation as Agents;
use crate::facts::kube_ovn::Installation;
use crate::plan::Settings;
use crate::plan::start::{enforces, setting};
use crate::values::own;

/// Settings of the datapath that a run makes `false`, and that a chart sets by itself where no value says so.
const TURNED_OFF: [&str; 2] = ["enable-ipv4-masquerade", "enable-identity-mark"];

/// What a takeover adds to what cannot come back or is noticed.
pub(in crate::plan) fn consequences(
    settings: &Settings,
    facts: &Facts,
    kube_ovn: &Installation,
    adopting: Option<&Adopting>,
) -> Vec<String> {
    let Some(adopted) = &settings.adopted else { return Vec::new() };
    let Some(cilium) = facts.cilium.value.known() else { return Vec::new() };
    let Some(agents) = &cilium.installation else { return Vec::new() };
    let release = format!("{}/{}", settings.release_namespace, settings.release);
    let mut lines = vec![
        format!(
            "a rollback leads to Kube-OVN alone, its network policy and load balancer on, not back to what is here now; \
             revision {} of Helm release {release} keeps the values of today until then",
            adopted.revision
        ),
        format!(
            "{} is retired on every node (renamed, not removed); the agents write {}",
            adopted.conf, settings.chained_conf
        ),
        format!(
            "every agent restarts {}, once more on the canary node; objects of the release that our values do not have go, \
             Envoy's DaemonSet among them",
            if adopted.enforces { "once" } else { "twice" }
        ),
    ];
    if let Some(before) = pool_of(agents).filter(|before| *before != settings.cluster_pool) {
        lines.push(format!(
            "Cilium's cluster-pool {} becomes {}; nodes keep the ranges they have, which Cilium's operator then calls an error \
             in their CiliumNodes",
            before.join(", "),
            settings.cluster_pool.join(", ")
        ));
    }
    let changed = changed_settings(settings, agents, adopting);
    if !changed.is_empty() {
        lines.push(format!("settings of the release change: {}", changed.join(", ")));
    }
    lines.extend(of_services(settings, agents));
    if hands_back(adopted, kube_ovn) {
        lines.push(
            "kube-ovn-controller restarts twice: its network policy is on again until every pod has its endpoint"
                .to_owned(),
        );
    }
    if enforces(agents) && !adopted.enforces && !cilium.policies.is_empty() {
        lines.push(format!(
            "{} policy objects of Cilium are audited, not enforced, until every pod has its endpoint",
            cilium.policies.len()
        ));
    }
    lines
}

/// Where Cilium serves Services already.
fn of_services(settings: &Settings, agents: &Agents) -> Vec<String> {
    let Some(proxy) = settings.kube_proxy.as_ref().filter(|proxy| proxy.replaced) else { return Vec::new() };
    let mut lines = vec![
        format!(
            "Cilium goes on serving Services (kubeProxyReplacement, API server {}): before and after each restart of an agent each node asks \
             which answer",
            proxy.api_server
        ),
        "a rollback begins when a kube-proxy is ready on every node again: none was found, and this run brings none back".to_owned(),
    ];
    if setting(agents, "bpf-lb-external-clusterip") != "true" {
        lines.push(
            "a node answers for the addresses of Services that reach it from outside, as with kube-proxy (bpf.lbExternalClusterIP)"
                .to_owned(),
        );
    }
    lines
}

/// What the release says and our values say otherwise; its pool has a line of its own.
fn changed_settings(settings: &Settings, agents: &Agents, adopting: Option<&Adopting>) -> Vec<String> {
    let release = adopting.and_then(|adopting| adopting.release.as_ref());
    let values = release.and_then(|release| own::changed(&release.values, settings).ok()).unwrap_or_default();
    let is_said = |setting: &str| {
        let bare = setting.replace('-', "");
        values.iter().any(|one| one.key.eq_ignore_ascii_case(&bare))
    };
    let by_chart = TURNED_OFF.iter().filter(|key| setting(agents, key) == "true" && !is_said(key));
    values
        .iter()
        .filter(|one| !one.key.starts_with("ipam."))
        .map(|one| format!("{} {} becomes {}", one.key, one.was, one.becomes))
        .chain(by_chart.map(|key| format!("{key} true becomes false")))
        .collect()
}
