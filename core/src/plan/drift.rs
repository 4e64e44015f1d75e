//! What must stay true after a migration, held against what is there: settings, agents, endpoints, flags, files of nodes.

use serde::Serialize;

use crate::facts::Facts;
use crate::facts::conflists::{ConfDir, ConfFile};
use crate::facts::derive::NODES_NOT_READ;
use crate::outcome::{ExitCode, NextStep};
use crate::values::cluster::{CHAINED_CONF, KUBE_OVN_NETWORK, devices, installation};

use super::adopt::{untold, without_endpoint};
use super::migrate::{NoPlan, named};
use super::start::{self, Start, agents_object, enforces, setting, some};

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// As the migration left it.
    Holds,
    /// Somebody or something has changed it.
    Drifted,
    /// It could not be read.
    Unknown,
    /// Nobody asked for it.
    NotAsked,
}

/// One thing that must stay true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Stable id, kebab-case.
    pub id: &'static str,
    /// What must be so.
    pub title: &'static str,
    /// Whether it is.
    pub standing: Standing,
    /// What is not so, or what was seen.
    pub told: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Id of what pods tell.
pub(super) const ENDPOINTS: &str = "endpoints";

/// Keys of `cilium-config` and what they must be.
const SETTINGS: [(&str, &str); 6] = [
    ("cni-chaining-mode", "generic-veth"),
    ("cni-chaining-target", KUBE_OVN_NETWORK),
    ("routing-mode", "native"),
    ("enable-ipv4-masquerade", "false"),
    ("enable-ipv6-masquerade", "false"),
    ("enable-identity-mark", "false"),
];

/// Keys that must not be set, or not so.
const NEVER: [(&str, Option<&str>); 3] =
    [("read-cni-conf", None), ("cni-exclusive", Some("true")), ("custom-cni-conf", Some("false"))];

/// Everything that must stay true, in the order in which one thing explains the next. Pods that were left on purpose count as known.
pub fn held(facts: &Facts, left: &[String]) -> Vec<Held> {
    vec![
        release(facts),
        settings(facts),
        agents(facts),
        endpoints(facts, left),
        hand_over(facts),
        services(facts),
        kube_proxy(facts),
        nodes(facts),
    ]
}

/// How a command ends that found this.
pub fn exit_code(all: &[Held]) -> ExitCode {
    let any = |standing| all.iter().any(|one| one.standing == standing);
    match (any(Standing::Drifted), any(Standing::Unknown)) {
        (true, _) => ExitCode::ChangesPending,
        (false, true) => ExitCode::CouldNotJudge,
        (false, false) => ExitCode::Done,
    }
}

impl Held {
    fn of(id: &'static str, title: &'static str, wrong: Vec<String>, seen: String, remedy: NextStep) -> Self {
        match wrong.is_empty() {
            true => Self { id, title, standing: Standing::Holds, told: vec![seen], remedy: None },
            false => Self { id, title, standing: Standing::Drifted, told: wrong, remedy: Some(remedy.line()) },
        }
    }

    fn unknown(id: &'static str, title: &'static str, why: &str) -> Self {
        Self { id, title, standing: Standing::Unknown, told: vec![why.to_owned()], remedy: None }
    }
}

fn release(facts: &Facts) -> Held {
    let (id, title) = ("release", "the release of Cilium writes the chained file, and nothing temporary is left");
    // Labels of ours are told by nodes alone.
    if let Err(why) = facts.nodes.value.as_result() {
        return Held::unknown(id, title, why);
    }
    let next = |start: &Start| start.next_step();
    match start::of(facts) {
        Ok(Start::Settled) => Held::of(id, title, Vec::new(), CHAINED_CONF.to_owned(), next(&Start::Settled)),
        Ok(start) => Held::of(id, title, vec![start.to_string()], String::new(), next(&start)),
        Err(NoPlan::Unknown { reason, .. }) => Held::unknown(id, title, &reason),
        Err(other) => Held::unknown(id, title, &other.to_string()),
    }
}

fn settings(facts: &Facts) -> Held {
    let (id, title) = ("settings", "Cilium's settings are those that chain behind Kube-OVN");
    let remedy = NextStep::Edit(
        "give helm all values of `kubectl ovncilium values --settled --chart CHART`, and restart the agents".to_owned(),
    );
    let cilium = match facts.cilium.value.as_result() {
        Ok(cilium) => cilium,
        Err(why) => return Held::unknown(id, title, why),
    };
    let Some(found) = &cilium.installation else {
        return Held::of(id, title, vec!["no Cilium is installed".to_owned()], String::new(), remedy);
    };
    let shown = |key: &str| match setting(found, key) {
        "" => format!("{key} is not set"),
        value => format!("{key} is {value}"),
    };
    let mut wrong: Vec<String> = SETTINGS
        .iter()
        .filter(|(key, wanted)| setting(found, key) != *wanted)
        .map(|(key, wanted)| format!("{}, not {wanted}", shown(key)))
        .collect();
    let bad = |key: &str, never: Option<&str>| match never {
        None => !setting(found, key).is_empty(),
        Some(never) => setting(found, key) == never,
    };
    wrong.extend(NEVER.iter().filter(|(key, never)| bad(key, *never)).map(|(key, _)| shown(key)));
    if !enforces(found) {
        wrong.push(format!("{}, {}: nothing is enforced", shown("policy-audit-mode"), shown("enable-policy")));
    }
    if setting(found, "set-cilium-node-taints") == "false" {
        wrong.push(format!("{}: pods may start before the agent of their node", shown("set-cilium-node-taints")));
    }
    if let Ok(kube_ovn) = installation(facts) {
        // Which uplinks there are, nodes tell; Kube-OVN's own devices are the same everywhere.
        let (wanted, _) = devices(kube_ovn, &[]);
        let named: Vec<&str> = setting(found, "devices").split([' ', ',']).collect();
        let lacking = wanted.iter().skip_while(|device| *device != "ovn0").filter(|one| !named.contains(&one.as_str()));
        wrong.extend(lacking.map(|device| format!("{}, without {device}", shown("devices"))));
    }
    if !matches!(setting(found, "unmanaged-pod-watcher-interval"), "0" | "0s") {
        wrong.push(format!("{}: DNS pods without endpoint are deleted", shown("unmanaged-pod-watcher-interval")));
    }
    let beside = |config: &&String| config.split('/').next() == Some(found.namespace.as_str());
    let configs: Vec<String> = cilium.node_configs.iter().filter(beside).cloned().collect();
    if wrong.is_empty() && !configs.is_empty() {
        return Held::unknown(
            id,
            title,
            &format!("ciliumnodeconfig {} may say otherwise of its nodes", some(&configs)),
        );
    }
    let seen = format!("configmap {}/cilium-config", found.namespace);
    Held::of(id, title, wrong, seen, remedy)
}

fn agents(facts: &Facts) -> Held {
    let (id, title) = ("agents", "an agent is ready on every node");
    let (cilium, nodes) = match (facts.cilium.value.as_result(), facts.nodes.value.as_result()) {
        (Ok(cilium), Ok(nodes)) => (cilium, nodes),
        (Err(why), _) | (_, Err(why)) => return Held::unknown(id, title, why),
    };
    let found = cilium.installation.as_ref();
    let ready = |node: &str| {
        let agents = found.map(|found| found.agents.as_slice()).unwrap_or_default();
        agents.iter().any(|agent| agent.ready && agent.node == node)
    };
    let without: Vec<String> = nodes.items.iter().map(|node| node.name.clone()).filter(|node| !ready(node)).collect();
    let wrong = if without.is_empty() { Vec::new() } else { vec![format!("none is ready on {}", some(&without))] };
    let object = found.map(agents_object).unwrap_or_default();
    let next = NextStep::Command("kubectl get pods -A -l k8s-app=cilium -o wide".to_owned());
    Held::of(id, title, wrong, format!("{object} on {} nodes", nodes.items.len()), next)
}

fn endpoints(facts: &Facts, left: &[String]) -> Held {
    let (id, title) = (ENDPOINTS, "every pod with an address of its own has its CiliumEndpoint");
    let (cilium, workloads) = match (facts.cilium.value.as_result(), facts.workloads.value.as_result()) {
        (Ok(cilium), Ok(workloads)) => (cilium, workloads),
        (Err(why), _) | (_, Err(why)) => return Held::unknown(id, title, why),
    };
    let named = without_endpoint(&workloads.pods, cilium).map(|pod| format!("{}/{}", pod.namespace, pod.name));
    let without: Vec<String> = named.filter(|pod| !left.contains(pod)).collect();
    let wrong = match without.len() {
        0 => Vec::new(),
        count => vec![format!("{count} pods have none: {}", some(&without))],
    };
    let next = NextStep::Edit("have these pods made again; if it lasts, read the nodes with `--nodes`".to_owned());
    Held::of(id, title, wrong, format!("{} endpoints", cilium.endpoints.len()), next)
}

fn hand_over(facts: &Facts) -> Held {
    let (id, title) = ("hand-over", "Kube-OVN's network policy and load balancer are off");
    let kube_ovn = match facts.kube_ovn.value.as_result() {
        Ok(kube_ovn) => kube_ovn,
        Err(why) => return Held::unknown(id, title, why),
    };
    let installation = match kube_ovn.the_one() {
        Ok(installation) => installation,
        Err(error) => return Held::unknown(id, title, &error.to_string()),
    };
    let controller = &installation.controller;
    let flags = [("enable-np", controller.enable_np), ("enable-lb", controller.enable_lb)];
    let wrong = flags.iter().filter(|(_, on)| *on).map(|(flag, _)| format!("--{flag} is on again")).collect();
    let next = NextStep::Edit(format!(
        "set the flags of {} off again, and in the manifest that turned them on",
        installation.controller_object()
    ));
    Held::of(id, title, wrong, installation.controller_object(), next)
}

fn services(facts: &Facts) -> Held {
    let (id, title) = ("services", "Services are served on every node");
    let services = match facts.services.value.as_result() {
        Ok(services) => services,
        Err(why) => return Held::unknown(id, title, why),
    };
    // Kube-OVN's load balancer is off after a hand-over; where it is not, that is told there.
    let providers: Vec<_> = services.providers.iter().filter(|provider| provider.kind != "kube-ovn").collect();
    let whole = providers.iter().find(|provider| provider.desired > 0 && provider.ready >= provider.desired);
    let wrong = match (whole, providers.first()) {
        (Some(_), _) => Vec::new(),
        (None, Some(one)) => vec![format!("{} is ready on {} of {} nodes", one.object, one.ready, one.desired)],
        (None, None) => vec!["there is neither kube-proxy nor a Cilium in its place".to_owned()],
    };
    let seen = whole.map(|provider| provider.object.clone()).unwrap_or_default();
    Held::of(id, title, wrong, seen, NextStep::Command("kubectl ovncilium explain service-provider".to_owned()))
}

/// Id of what [`kube_proxy`] holds.
pub(super) const KUBE_PROXY: &str = "kube-proxy";

/// One serves Services, not two: a kube-proxy beside its replacement writes rules that nobody takes away.
fn kube_proxy(facts: &Facts) -> Held {
    let (id, title) = (KUBE_PROXY, "kube-proxy and Cilium do not both serve Services");
    let services = match facts.services.value.as_result() {
        Ok(services) => services,
        Err(why) => return Held::unknown(id, title, why),
    };
    let serves = |kind: &str| services.providers.iter().find(|one| one.kind == kind && one.desired > 0);
    let (wrong, seen) = match (serves("kube-proxy"), serves("cilium")) {
        (Some(proxy), Some(cilium)) => {
            (vec![format!("{} and {} both serve", proxy.object, cilium.object)], String::new())
        }
        (Some(one), None) | (None, Some(one)) => (Vec::new(), format!("{} alone", one.object)),
        (None, None) => (Vec::new(), "neither does".to_owned()),
    };
    Held::of(id, title, wrong, seen, NextStep::Command("kubectl ovncilium replace-kube-proxy".to_owned()))
}

fn nodes(facts: &Facts) -> Held {
    let (id, title) = ("nodes", "every node loads the chained file, and Kube-OVN's own is there");
    let conflists = match facts.conflists.value.as_result() {
        Ok(conflists) => conflists,
        Err(why) if why == NODES_NOT_READ => {
            let told = vec![why.to_owned()];
            return Held { id, title, standing: Standing::NotAsked, told, remedy: None };
        }
        Err(why) => return Held::unknown(id, title, why),
    };
    let all = match facts.nodes.value.as_result() {
        Ok(nodes) => nodes,
        Err(why) => return Held::unknown(id, title, why),
    };
    let wrong: Vec<String> = conflists.nodes.iter().filter_map(fault).collect();
    if wrong.is_empty()
        && let Some((nodes, reason)) = untold(all, conflists)
    {
        return Held::unknown(id, title, &format!("{}: {reason}", some(&nodes)));
    }
    // A long answer of a node is cut off.
    let untold = |dir: &&ConfDir| dir.behind_multus().is_some_and(|file| file.plugins.is_empty());
    if wrong.is_empty()
        && let Some(dir) = conflists.nodes.iter().find(untold)
    {
        return Held::unknown(id, title, &format!("{}: what it loads was not told", dir.node));
    }
    let multus = conflists.under_multus();
    if wrong.is_empty() && !multus.is_empty() && !calls_ours(facts) {
        let why = format!("{} load Multus, and it is not known to call {CHAINED_CONF}", some(&multus));
        return Held::unknown(id, title, &why);
    }
    let wrong = if wrong.is_empty() { wrong } else { vec![named(&wrong)] };
    let next = NextStep::Command("kubectl ovncilium explain cni-conf-order".to_owned());
    Held::of(id, title, wrong, format!("{} nodes were read", conflists.nodes.len()), next)
}

/// Whether every Multus was told to call the chained file, or holds a copy of it.
fn calls_ours(facts: &Facts) -> bool {
    let ours = |told: &String| {
        let (setting, value) = told.split_once('=').unwrap_or_default();
        match setting {
            "delegates" => value.split('+').any(|plugin| plugin == "cilium-cni"),
            _ => value.rsplit('/').next() == Some(CHAINED_CONF),
        }
    };
    let installations = facts.multus.value.known().map(|multus| multus.installations.as_slice()).unwrap_or_default();
    !installations.is_empty() && installations.iter().all(|one| one.told.iter().any(ours))
}

/// What is wrong in a node's directory; the first thing only.
fn fault(dir: &ConfDir) -> Option<String> {
    let right = |file: &ConfFile| file.name == CHAINED_CONF && file.network == KUBE_OVN_NETWORK && file.chains_cilium();
    let words = match dir.behind_multus() {
        Some(file) if right(file) || file.plugins.is_empty() => None,
        Some(file) => Some(format!("loads {} (network {})", file.name, file.network)),
        None => Some("loads nothing".to_owned()),
    };
    let plain = dir.files.iter().any(|file| file.is_loaded() && file.is_plain());
    let set_aside = dir.files.iter().find(|file| file.name.ends_with(".cilium_bak"));
    let words = words
        .or_else(|| (!plain).then(|| "has no file of Kube-OVN alone".to_owned()))
        .or_else(|| set_aside.map(|file| format!("has {}, set aside by Cilium", file.name)))?;
    Some(format!("{} {words}", dir.node))
}
