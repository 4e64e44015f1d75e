//! A node of a chained cluster restarts, and the agent comes late: its image cannot be had. Until it runs no pod may get a network.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Stage, person, town};
use crate::{
    error::{Error, Result},
    lab::{Node, runtime},
    verdict::{Tests, expect},
    wait::{self, Seen},
};

/// Node `n2`; on `n1` are OVN's databases.
const NODE: usize = 1;
const CHAINED: &str = "ok kube-ovn=kube-ovn+portmap+cilium-cni";
/// What the kubelet prints when Cilium's plugin has refused a sandbox its network. Its events say the same, but of those it sends no
/// more than 25 for a pod, and Kube-OVN's plugin refuses once a second until its daemon is there.
const REFUSED: [&str; 2] = ["failed to setup network for sandbox", "cilium-cni"];
const KUBELET: &str = "kubelet";
const LATE: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(500);
/// Where a name of an image is kept meanwhile.
const AWAY: &str = "put-away.test/";

impl Stage {
    pub(super) fn restart_with_a_late_agent(&mut self, tests: &mut Tests<'_>) {
        let away = tests.run("the_agents_image_is_put_away", || put_away(self.node(), &self.agents_image()?));
        let Some(away) = away else { return };
        let printed = self.node().printed(KUBELET).len();
        let restarted = tests.run("a_node_restarts", || {
            self.lab.restart(NODE)?;
            // The first answer of a runtime that has just started.
            let state = runtime::ask(&self.node().name, &self.lab.runtime_info(self.node()))?;
            expect(state == CHAINED, || format!("its runtime has loaded `{state}`"))
        });
        if restarted.is_none() {
            return;
        }
        let looks = tests.run("no_pod_gets_a_network_while_the_agent_is_late", || self.nobody_gets_a_network(printed));
        if let Some(looks) = looks {
            tests.note(&format!("{looks} looks at the sandboxes of {} before the agent came", self.node().name));
        }
        tests.run("the_agents_image_is_there_again", || {
            bring_back(self.node(), &away)?;
            self.make_the_agent_again()
        });
        tests.run("every_pod_gets_its_endpoint_when_the_agent_has_come", || self.everybody_has_an_endpoint());
    }

    fn node(&self) -> &Node {
        &self.lab.nodes[NODE]
    }

    fn agents_image(&self) -> Result<String> {
        let agents = self.lab.control_plane.api().find("/apis/apps/v1/namespaces/kube-system/daemonsets/cilium")?;
        let image = agents.as_ref().and_then(|set| set.pointer("/spec/template/spec/containers/0/image"));
        let image = image.and_then(Value::as_str);
        image.map(str::to_owned).ok_or_else(|| Error::Expectation("the agents have no image".to_owned()))
    }

    /// By itself the kubelet would ask for the image again minutes later.
    fn make_the_agent_again(&self) -> Result<()> {
        let api = self.lab.control_plane.api();
        let agents = "labelSelector=k8s-app%3Dcilium";
        let on_node = format!("fieldSelector=spec.nodeName%3D{}", self.node().name);
        for pod in api.list(&format!("/api/v1/namespaces/kube-system/pods?{agents}&{on_node}"))? {
            api.delete(&format!("/api/v1/namespaces/kube-system/pods/{}", town::name(&pod)))?;
        }
        Ok(())
    }

    /// From the restart until Cilium's plugin has refused the kubelet a network, and for a while longer: no sandbox of a pod
    /// with a network of its own is ready. The kubelet's log is read from byte `printed` on. Returns how often was looked.
    fn nobody_gets_a_network(&self, printed: usize) -> Result<usize> {
        let node = self.node();
        let words =
            self.lab.crictl(node, &["pods", "--namespace", town::NAMESPACE, "--state", "ready", "--output", "json"]);
        let (begun, mut refused, mut looks) = (Instant::now(), None::<Instant>, 0);
        while refused.is_none_or(|since| since.elapsed() < LATE) {
            let answer = runtime::answer(&node.name, &words)?;
            let ready: Vec<_> = answer["items"].as_array().into_iter().flatten().map(town::name).collect();
            expect(ready.is_empty(), || format!("{ready:?} have a network without an agent"))?;
            looks += 1;
            if refused.is_none() && self.is_refused(printed) {
                refused = Some(Instant::now());
            }
            if begun.elapsed() > LIMIT {
                let seconds = LIMIT.as_secs();
                let what = "the kubelet is refused a network by Cilium's plugin".to_owned();
                return Err(Error::Timeout { what, seconds, last: "its log does not tell of it".to_owned() });
            }
            thread::sleep(POLL);
        }
        Ok(looks)
    }

    /// Whether the kubelet of the node has told that Cilium's plugin refused it a network.
    fn is_refused(&self, printed: usize) -> bool {
        let log = self.node().printed(KUBELET);
        let new = log.get(printed..).unwrap_or(&log);
        new.lines().any(|line| REFUSED.iter().all(|part| line.contains(part)))
    }

    fn everybody_has_an_endpoint(&self) -> Result<()> {
        let api = self.lab.control_plane.api();
        wait::until("every pod is ready and has its endpoint", LIMIT, || {
            let waiting: Vec<_> = api
                .list(&format!("/api/v1/namespaces/{}/pods", town::NAMESPACE))?
                .iter()
                // A Job's pod has failed with its node; the Job makes another. A static pod that starts behind this Cilium keeps the
                // identity `init`, and its probes are dropped (cilium/cilium#45016).
                .filter(|pod| pod["status"]["phase"] != "Failed" && !is_static(pod) && !town::is_ready(pod))
                .map(|pod| town::name(pod).to_owned())
                .chain(person::uncovered(api)?.into_iter().map(|(_, name)| format!("{name} (no endpoint)")))
                .collect();
            Ok(if waiting.is_empty() { Seen::Ready(()) } else { Seen::NotYet(waiting.join(", ")) })
        })
    }
}

fn is_static(pod: &Value) -> bool {
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string()
}

fn ctr(node: &Node, args: &[&str]) -> Result<String> {
    node.run(&[&["ctr", "--namespace", "k8s.io", "images"], args].concat())
}

/// Takes an image out of the runtime's sight: every name that leads to what it is. Returns the names.
fn put_away(node: &Node, image: &str) -> Result<Vec<String>> {
    let list = ctr(node, &["list", &format!("name=={image}")])?;
    let digest = list.split_whitespace().find(|word| word.starts_with("sha256:"));
    let digest = digest.ok_or_else(|| Error::Expectation(format!("the node has no image {image}:\n{list}")))?;
    let all = ctr(node, &["list", &format!("target.digest=={digest}")])?;
    let names: Vec<String> =
        all.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    expect(names.iter().any(|name| name == image), || format!("{image} is not among {names:?}"))?;
    for (number, name) in names.iter().enumerate() {
        ctr(node, &["tag", name, &format!("{AWAY}{number}:0")])?;
        ctr(node, &["remove", name])?;
    }
    Ok(names)
}

fn bring_back(node: &Node, names: &[String]) -> Result<()> {
    for (number, name) in names.iter().enumerate() {
        ctr(node, &["tag", &format!("{AWAY}{number}:0"), name])?;
    }
    Ok(())
}
