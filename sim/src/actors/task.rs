//! Task pods of the engine: what their scripts (`engine/scripts/`) would do and answer on a pretend node.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ovncilium_core::facts::conflists::is_loaded;
use ovncilium_core::plan::{Resource, action::TASK_LABEL};
use serde_json::Value;

use super::{Cleanup, Pass, PretendNode};
use crate::objects;

/// Bytes a termination message may have; the probe cuts its answer there.
const MESSAGE_LIMIT: usize = 4_000;
/// Bytes up to which the probe shows the content of a file that a runtime loads.
const CONTENT_LIMIT: usize = 2_048;
/// Annotation of nodes with the name of their OVN controller.
const CHASSIS: &str = "ovn.kubernetes.io/chassis";
/// Seconds a canary whose checks passed stays, unless its environment says otherwise.
const CANARY_STAYS: u64 = 170;

/// From the start of a task's container until its script has done its work.
pub const WORK: Duration = Duration::from_secs(1);

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code of the container.
    pub exit_code: i32,
    /// Its termination message.
    pub message: String,
}

impl Outcome {
    /// Exit code 0 with this message.
    pub fn succeeded(message: String) -> Self {
        Self { exit_code: 0, message }
    }

    fn failed(message: &str) -> Self {
        Self { exit_code: 1, message: message.to_owned() }
    }
}

/// How long the pod of a task stays, ready, after its work: a canary whose checks passed, so that its endpoint can be
/// looked at.
pub fn stays(pod: &Value, outcome: &Outcome) -> Option<Duration> {
    let canary = objects::label(pod, TASK_LABEL) == Some("canary") && outcome.exit_code == 0;
    canary.then(|| Duration::from_secs(environment(pod, "STAY").parse().unwrap_or(CANARY_STAYS)))
}

/// Runs the task of a pod on its node.
pub fn run(pass: &mut Pass<'_>, node: &str, pod: &Value) -> Outcome {
    match objects::label(pod, TASK_LABEL) {
        Some("probe") => Outcome::succeeded(probe(pass.nodes.node(node))),
        Some("retire") => retire(pass.nodes.node(node), environment(pod, "FILE"), environment(pod, "SHA256")),
        Some("canary") => canary(pass, node, pod),
        Some("observe") => observe(pass.nodes.node(node), environment(pod, "SINCE"), pass.now),
        Some("endpoints") => endpoints(pass.nodes.node(node)),
        Some("policies") => policies(pass, pod),
        Some("services") => services(pass, pod, is_served(pass, node)),
        Some("pod-services") => {
            let sandbox = pass.nodes.get(node).and_then(|node| node.sandboxes.get(objects::uid(pod)));
            let chained = sandbox.is_some_and(|sandbox| sandbox.chained);
            services(pass, pod, chained || pass.nodes.ovn.load_balancer || is_served(pass, node))
        }
        Some("replacement") => replacement(pass.nodes.node(node), pod),
        Some("proxy") => proxy(pass.nodes.node(node), pod),
        Some("unproxy") => unproxy(pass.nodes.node(node)),
        Some("rules") => {
            pass.nodes.node(node).cilium_rules = false;
            Outcome::succeeded("cleaned\n".to_owned())
        }
        Some("cleanup") => cleanup(pass.nodes.node(node), &["FILE", "FOUND"].map(|file| environment(pod, file))),
        other => Outcome::failed(&format!("the pretend node has no script for the task {other:?}")),
    }
}

fn environment<'a>(pod: &'a Value, name: &str) -> &'a str {
    let variables = pod.pointer("/spec/containers/0/env").and_then(Value::as_array).into_iter().flatten();
    let mut named = variables.filter(|variable| objects::text(variable, "/name") == name);
    named.next().map_or("", |variable| objects::text(variable, "/value"))
}

/// `probe.sh`: kernel, devices, files, and then the content of those a runtime loads.
fn probe(node: &PretendNode) -> String {
    let mut answer = format!("kernel {}\n", node.kernel);
    let shown = |device: &&String| {
        device.as_str() == "ovn0"
            || ["genev_sys_", "vxlan_sys_", "stt_sys_", "cilium_"].iter().any(|start| device.starts_with(start))
    };
    for device in node.devices.iter().filter(shown) {
        let _ = writeln!(answer, "device {device}");
    }
    let (hidden, plain): (Vec<&String>, Vec<&String>) = node.fs.files().keys().partition(|name| name.starts_with('.'));
    let names: Vec<&String> = hidden.into_iter().chain(plain).collect();
    for name in &names {
        let _ = writeln!(answer, "file {} {name}", node.fs.sha256(name).unwrap_or_default());
    }
    for name in names.into_iter().filter(|name| is_loaded(name)) {
        let content = node.fs.read(name).unwrap_or_default();
        if content.len() <= CONTENT_LIMIT {
            let _ = writeln!(answer, "content {name} {}", STANDARD.encode(content));
        }
    }
    while answer.len() > MESSAGE_LIMIT {
        answer.pop();
    }
    answer
}

/// `retire.sh`: a rename out of the runtime's sight, if the file is the one that was seen and another remains.
fn retire(node: &mut PretendNode, file: &str, expected: &str) -> Outcome {
    let Some(found) = node.fs.sha256(file) else { return Outcome::succeeded(format!("absent {file}\n")) };
    if found != expected {
        return Outcome::succeeded(format!("refused {file} has sha256 {found}, not {expected}\n"));
    }
    if !node.fs.configurations().any(|other| other != file) {
        return Outcome::succeeded(format!("refused {file} is the only configuration of this node\n"));
    }
    node.fs.rename(file, &format!("{file}.ovncilium-retired"));
    Outcome::succeeded(format!("retired {file}\n"))
}

/// `canary.sh`: whether Services, DNS and another pod answer; failed when one does not.
fn canary(pass: &Pass<'_>, node: &str, pod: &Value) -> Outcome {
    let view = pass.view;
    let sandbox = pass.nodes.get(node).and_then(|node| node.sandboxes.get(objects::uid(pod)));
    let chained = sandbox.is_some_and(|sandbox| sandbox.chained);
    let proxied =
        view.pods_on(node).any(|pod| objects::label(pod, "k8s-app") == Some("kube-proxy") && objects::ready(pod));
    // Cilium translates for pods it manages, OVN for pods of its subnets, kube-proxy for what reaches the host.
    let service = chained || proxied || pass.nodes.ovn.load_balancer;
    let mut names = view.all(&Resource::PODS).iter().filter(|pod| objects::label(pod, "k8s-app") == Some("kube-dns"));
    let dns = service && names.any(|pod| objects::ready(pod));
    let mut checks = vec![("service", service), ("dns", dns)];
    let peer = environment(pod, "PEER");
    if !peer.is_empty() {
        let ip = peer.split(['/', ':']).next().unwrap_or_default();
        let mut pods = view.all(&Resource::PODS).iter();
        checks.push(("pod", pods.any(|pod| objects::text(pod, "/status/podIP") == ip && objects::ready(pod))));
    }
    let line = |(what, ok): &(&str, bool)| format!("check {what} {}\n", if *ok { "ok" } else { "failed" });
    let message = checks.iter().map(line).collect();
    Outcome { exit_code: i32::from(checks.iter().any(|(_, ok)| !ok)), message }
}

/// Whether whoever asks from the node itself is answered.
fn is_served(pass: &Pass<'_>, node: &str) -> bool {
    pass.nodes.get(node).is_some_and(|node| node.proxy_rules || node.replaces)
}

/// `services.sh`: everybody answers but the dead, or nobody.
fn services(pass: &Pass<'_>, pod: &Value, served: bool) -> Outcome {
    let targets = listed(pod, "TARGETS");
    let mut answer = format!("asked {}\n", targets.len());
    let is_dead = |target: &str| pass.nodes.dead.iter().any(|place| target.starts_with(&format!("{place}/")));
    for target in targets.iter().filter(|target| !served || is_dead(target)) {
        let _ = writeln!(answer, "silent {target}");
    }
    Outcome::succeeded(answer)
}

/// `replacement.sh`: what the agent says of itself.
fn replacement(node: &PretendNode, pod: &Value) -> Outcome {
    let Some(agent) = node.agent.as_ref().filter(|agent| agent.serving) else {
        return Outcome::failed(
            "cilium-dbg ended with 1: dial unix /var/run/cilium/cilium.sock: connect: no such file or directory",
        );
    };
    let on = agent.settings.get("kube-proxy-replacement").is_some_and(|value| value == "true");
    let mode = if on { "True" } else { "False" };
    Outcome::succeeded(format!("mode {mode}\nfrontends {}\n", listed(pod, "WANTED").len()))
}

/// `proxy.sh`: rules for all, or for none.
fn proxy(node: &PretendNode, pod: &Value) -> Outcome {
    let wanted = listed(pod, "WANTED");
    let mut answer = format!("rules {}\n", wanted.len());
    if node.ipvs > 0 {
        let _ = writeln!(answer, "foreign {}", node.ipvs);
    }
    if node.kube_proxy {
        let _ = writeln!(answer, "listens\nsynced {}", if node.stuck_proxy { "no" } else { "yes" });
    }
    for frontend in wanted.iter().filter(|_| !node.proxy_rules) {
        let _ = writeln!(answer, "lacking {frontend}");
    }
    Outcome::succeeded(answer)
}

/// kube-proxy's cleanup, and what `unproxy.sh` tells after it.
fn unproxy(node: &mut PretendNode) -> Outcome {
    let told = match &node.cleanup {
        Cleanup::Fails(words) => return Outcome::failed(words),
        Cleanup::Works => "left 0\n".to_owned(),
        Cleanup::Changes(what) => format!("left 0\nchanged {what}\n"),
    };
    node.proxy_rules = false;
    Outcome::succeeded(told)
}

/// `observe.sh`: what the agent's Hubble remembers, which is gone with the agent.
fn observe(node: &PretendNode, since: &str, now: Timestamp) -> Outcome {
    if node.agent.is_none() {
        return Outcome::failed("rpc error: dial unix /var/run/cilium/hubble.sock: connect: no such file or directory");
    }
    let Some(since) = since.parse().ok() else {
        return Outcome::failed(&format!("failed to parse the since time: {since}"));
    };
    let begin = now - Duration::from_secs(since);
    let remembered = node.would_have_dropped.iter().filter(|(at, _)| *at >= begin).map(|(_, line)| line);
    let lines: Vec<&String> = node.would_drop.iter().chain(remembered).collect();
    let mut answer = format!("audited {}\n", lines.len());
    for line in lines {
        let _ = writeln!(answer, "drop {line}");
    }
    Outcome::succeeded(answer)
}

/// `endpoints.sh`: what the agent says of its endpoints.
fn endpoints(node: &PretendNode) -> Outcome {
    let Some(agent) = node.agent.as_ref().filter(|agent| agent.serving) else {
        return Outcome::failed(
            "cilium-dbg ended with 1: dial unix /var/run/cilium/cilium.sock: connect: no such file or directory",
        );
    };
    let chained = || node.sandboxes.values().filter(|sandbox| sandbox.chained);
    let mut answer = format!("endpoints {}\n", chained().count());
    for sandbox in chained().filter(|sandbox| !sandbox.enforced) {
        let state = if agent.enforces() { "regenerating both" } else { "ready audit-both" };
        let _ = writeln!(answer, "pending {}/{} {state}", sandbox.namespace, sandbox.name);
    }
    Outcome::succeeded(answer)
}

/// `policies.sh`: all of them or, until the controller has built its access lists, none; then who has not taken them over.
fn policies(pass: &Pass<'_>, pod: &Value) -> Outcome {
    let wanted = listed(pod, "WANTED");
    let mut answer = format!("policies {}\n", wanted.len());
    let ovn = &pass.nodes.ovn;
    let lines: Vec<String> = if ovn.network_policy {
        let nodes = pass.view.all(&Resource::NODES).iter().filter(|node| !ovn.behind.contains(objects::name(node)));
        let taken: BTreeSet<&str> = nodes.filter_map(|node| objects::annotation(node, CHASSIS)).collect();
        let behind = listed(pod, "CHASSIS").into_iter().filter(|chassis| !taken.contains(chassis));
        behind.map(|chassis| format!("behind {chassis}\n")).collect()
    } else {
        wanted.into_iter().map(|policy| format!("lacking {policy}\n")).collect()
    };
    for line in lines {
        if answer.len() + line.len() < MESSAGE_LIMIT {
            answer.push_str(&line);
        }
    }
    Outcome::succeeded(answer)
}

/// A list that came in the variables `NAME_0`, `NAME_1`, ….
fn listed<'p>(pod: &'p Value, name: &str) -> Vec<&'p str> {
    let parts = (0..).map(|index| environment(pod, &format!("{name}_{index}"))).take_while(|part| !part.is_empty());
    parts.flat_map(|part| part.split(',')).collect()
}

/// `cleanup.sh`: `cilium-dbg post-uninstall-cleanup`, which refuses beside a running agent, removes devices and does
/// not see the CNI directory nor the firewall; then the files that `retire.sh` set aside.
fn cleanup(node: &mut PretendNode, files: &[&str]) -> Outcome {
    if node.agent.is_some() {
        return Outcome::failed("Agent should not be running when cleaning up\nFound pidfile");
    }
    node.devices.retain(|device| !device.starts_with("cilium_"));
    for file in files.iter().filter(|file| !file.is_empty()) {
        node.fs.remove(&format!("{file}.ovncilium-retired"));
    }
    node.replaces = false;
    Outcome::succeeded("cleaned\n".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> PretendNode {
        let mut node = PretendNode { kernel: "6.1.0".to_owned(), ..PretendNode::default() };
        node.fs.write("01-kube-ovn.conflist", b"{\"name\":\"kube-ovn\",\"plugins\":[]}");
        node
    }

    #[test]
    fn probe_answers_in_the_words_of_its_script() {
        let mut node = node();
        node.fs.write("00-old.conf.cilium_bak", b"x");
        let old = node.fs.sha256("00-old.conf.cilium_bak").unwrap();
        node.devices.extend(["eth0".to_owned(), "ovn0".to_owned()]);
        let digest = node.fs.sha256("01-kube-ovn.conflist").unwrap();
        let expected = format!(
            "kernel 6.1.0\ndevice ovn0\nfile {old} 00-old.conf.cilium_bak\n\
             file {digest} 01-kube-ovn.conflist\n\
             content 01-kube-ovn.conflist eyJuYW1lIjoia3ViZS1vdm4iLCJwbHVnaW5zIjpbXX0=\n"
        );
        assert_eq!(probe(&node), expected);
    }

    #[test]
    fn retire_refuses_another_file_and_the_last_one() {
        let mut node = node();
        let digest = node.fs.sha256("01-kube-ovn.conflist").unwrap();
        assert!(
            retire(&mut node, "01-kube-ovn.conflist", "00").message.starts_with("refused 01-kube-ovn.conflist has")
        );
        let last = "refused 01-kube-ovn.conflist is the only configuration of this node\n";
        assert_eq!(retire(&mut node, "01-kube-ovn.conflist", &digest).message, last);
        assert_eq!(retire(&mut node, "05-x.conflist", &digest).message, "absent 05-x.conflist\n");
    }
}
