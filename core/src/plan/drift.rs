//! What must stay true after a migration, held against what is there: settings, agents, endpoints, flags, files of nodes.

use serde::Serialize;

use crate::facts::Facts;
use crate::facts::conflists::{ConfDir, ConfFile};
use crate::outcome::{ExitCode, NextStep};
use crate::values::cluster::{CHAINED_CONF, KUBE_OVN_NETWORK};

use super::adopt::uncovered;
use super::migrate::NoPlan;
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
    vec![release(facts), settings(facts), agents(facts), endpoints(facts, left), hand_over(facts), nodes(facts)]
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
    let remedy =
        NextStep::Command("kubectl ovncilium values --settled --chart CHART (give helm all of them)".to_owned());
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
    if !matches!(setting(found, "unmanaged-pod-watcher-interval"), "0" | "0s") {
        wrong.push(format!("{}: DNS pods without endpoint are deleted", shown("unmanaged-pod-watcher-interval")));
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
    let (id, title) = ("endpoints", "every pod with an address of its own has its CiliumEndpoint");
    let (cilium, workloads) = match (facts.cilium.value.as_result(), facts.workloads.value.as_result()) {
        (Ok(cilium), Ok(workloads)) => (cilium, workloads),
        (Err(why), _) | (_, Err(why)) => return Held::unknown(id, title, why),
    };
    let named = uncovered(&workloads.pods, cilium).map(|pod| format!("{}/{}", pod.namespace, pod.name));
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

fn nodes(facts: &Facts) -> Held {
    let (id, title) = ("nodes", "every node loads the chained file, and Kube-OVN's own is there");
    let conflists = match facts.conflists.value.as_result() {
        Ok(conflists) => conflists,
        Err(why) => {
            let told = vec![why.to_owned()];
            return Held { id, title, standing: Standing::NotAsked, told, remedy: None };
        }
    };
    let mut wrong: Vec<String> = conflists.nodes.iter().filter_map(fault).collect();
    if wrong.is_empty()
        && let Some(silent) = conflists.silent.first()
    {
        return Held::unknown(id, title, &format!("{}: {}", silent.node, silent.reason));
    }
    wrong.truncate(20);
    let next = NextStep::Command("kubectl ovncilium explain cni-conf-order".to_owned());
    Held::of(id, title, wrong, format!("{} nodes were read", conflists.nodes.len()), next)
}

/// What is wrong in a node's directory; the first thing only.
fn fault(dir: &ConfDir) -> Option<String> {
    // Multus comes first, and calls the file that follows it.
    let own = dir.files.iter().filter(|file| file.is_loaded() && !file.name.starts_with("00-multus"));
    let loaded = own.min_by(|a, b| a.name.cmp(&b.name));
    let right = |file: &ConfFile| file.name == CHAINED_CONF && file.network == KUBE_OVN_NETWORK && file.chains_cilium();
    let words = match loaded {
        Some(file) if right(file) => None,
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
