//! Two real API servers in one kubeconfig: only the one that is named is asked, and only what it agrees to may go there.
//!
//! Cluster `a` would deny the chart: one kernel is 4.18. It is the kubeconfig's current context, so whoever trusts that judges by it.
//! Cluster `b` allows it. Whom we asked is told by the audit logs of both, by the user agent of our requests.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::{Teller, machine::Machine, packages::Packages};
use crate::{
    audit::Audit,
    control_plane::{ControlPlane, Options},
    error::{Error, Result},
    fixture::Fixture,
    nodes::NodeSpec,
    players::{self, Players},
    program::{Call, Output, write},
    tools::Tools,
    verdict::expect,
    wait::{self, Seen},
};

/// The person who calls helm, in both clusters.
const PERSON: &str = "operator";
const OUR_AGENT: &str = "kubectl-ovncilium/";
const CONTROLLER: &str = "/apis/apps/v1/namespaces/kube-system/deployments/kube-ovn-controller";
const CILIUM_CONFIG: &str = "/api/v1/namespaces/kube-system/configmaps/cilium-config";
const CILIUM_PODS: &str = "/api/v1/namespaces/kube-system/pods?labelSelector=app.kubernetes.io/part-of%3Dcilium";
const READY: Duration = Duration::from_secs(180);

pub(super) struct Clusters {
    // Dropped before the server they talk to.
    players: Players,
    a: ControlPlane,
    b: ControlPlane,
}

impl Clusters {
    /// Starts both, and the nodes of `b`.
    ///
    /// # Errors
    /// Any error of their parts.
    pub(super) fn start(tools: &Tools) -> Result<Self> {
        let a = ControlPlane::start(tools, &Options::default())?;
        let mut nodes = NodeSpec::fleet(2);
        for node in &mut nodes {
            node.kernel = "4.18.0-25-generic".to_owned();
        }
        Fixture { nodes, ..Fixture::default() }.apply(a.api())?;
        let b = ControlPlane::start(tools, &Options::default())?;
        Fixture { nodes: NodeSpec::fleet(2), ..Fixture::default() }.apply(b.api())?;
        retire_kube_ovn_functions(&b)?;
        let players = Players::start(b.api_as("actors")?, 7)?;
        players::await_all_ready(b.api(), READY)?;
        let clusters = Self { players, a, b };
        clusters.write_kubeconfig()?;
        Ok(clusters)
    }

    /// As [`Players::complaints`].
    ///
    /// # Errors
    /// [`Error::Expectation`].
    pub(super) fn actors_had_no_trouble(&self) -> Result<()> {
        let complaints = self.players.complaints();
        expect(complaints.is_empty(), || complaints.join("\n"))
    }

    fn kubeconfig(&self) -> PathBuf {
        self.a.dir().join("two-clusters.kubeconfig")
    }

    /// Both clusters for the same person; `a` is current.
    fn write_kubeconfig(&self) -> Result<()> {
        let mut merged = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [], "users": [], "contexts": []});
        for (name, plane) in [("a", &self.a), ("b", &self.b)] {
            let file = plane.kubeconfig(PERSON)?;
            let text = fs::read_to_string(file).map_err(Error::io("read", file))?;
            let own: Value = serde_json::from_str(&text).map_err(Error::json(file.display().to_string()))?;
            let lists = [
                ("clusters", json!({"name": name, "cluster": own["clusters"][0]["cluster"]})),
                ("users", json!({"name": name, "user": own["users"][0]["user"]})),
                ("contexts", json!({"name": name, "context": {"cluster": name, "user": name}})),
            ];
            for (list, entry) in lists {
                if let Some(entries) = merged[list].as_array_mut() {
                    entries.push(entry);
                }
            }
        }
        write(&self.kubeconfig(), merged.to_string())
    }

    pub(super) fn play(&self, machine: &Machine<'_>, packages: &Packages, tell: &mut Teller<'_, '_>) {
        let (chart, values) = (packages.chart(), packages.values("chaining"));
        let (chart, values) = (chart.to_string_lossy(), values.to_string_lossy());
        // The bare flag asks the server in old versions, and only the new ones know the other.
        let dry_run = if machine.version() >= (3, 13, 0) { "--dry-run=server" } else { "--dry-run" };
        let real = ["upgrade", "--install", "cilium", &chart, "-n", "kube-system", "-f", &values];
        let upgrade = |more: &[&str]| {
            let post_renderer = ["--post-renderer", "ovncilium-post-renderer"];
            machine.helm(&[&real, &post_renderer[..], more].concat()).env("KUBECONFIG", self.kubeconfig())
        };
        tell.run("no_context_named_is_refused_and_nobody_is_asked", || {
            let (output, asked) = self.watched(upgrade(&[]))?;
            output.ended_with(&[1])?.names(&["2 contexts and none was named: a, b", "HELM_KUBECONTEXT=a"])?;
            asked.ours("a", 0)?;
            asked.ours("b", 0)
        });
        for (name, call) in [
            ("flag", upgrade(&[dry_run, "--kube-context", "b"])),
            ("variable", upgrade(&[dry_run]).env("HELM_KUBECONTEXT", "b")),
        ] {
            tell.run(&format!("b_named_by_{name}_agrees_and_a_is_not_asked"), || {
                let (output, asked) = self.watched(call)?;
                output.ended_with(&[0])?;
                asked.nothing_at_all("a")?;
                asked.ours("b", 5)
            });
        }
        tell.run("a_named_by_flag_denies_and_b_is_not_asked", || {
            let (output, asked) = self.watched(upgrade(&["--kube-context", "a"]))?;
            output.ended_with(&[1])?.names(&["node-kernel", "4.18.0-25-generic"])?;
            asked.nothing_at_all("b")?;
            asked.ours("a", 5)
        });
        tell.run("helm_ovncilium_goes_where_helm_was_told_to", || {
            let facts = machine.home().join("facts.json");
            let facts = facts.to_string_lossy();
            let args = ["ovncilium", "snapshot", "--file", &facts, "--kube-context", "b"];
            let (output, asked) = self.watched(machine.helm(&args).env("KUBECONFIG", self.kubeconfig()))?;
            output.ended_with(&[0])?;
            asked.nothing_at_all("a")?;
            asked.ours("b", 5)?;
            let (output, asked) = self.watched(machine.helm(&["ovncilium", "check", "--facts", &facts]))?;
            if machine.hands_on_arguments() {
                output.ended_with(&[0])?.names(&["node-kernel"])?;
            } else {
                // The helm that calls us is the one that a migration would run.
                output.ended_with(&[3])?.names(&["3.9.0 or newer"])?;
            }
            asked.nothing_at_all("b")?;
            // Before the plugin's name Helm takes its own flags as well.
            let args = ["--kube-context", "a", "ovncilium", "check"];
            let (output, asked) = self.watched(machine.helm(&args).env("KUBECONFIG", self.kubeconfig()))?;
            output.ended_with(&[3])?.names(&["node-kernel", "4.18.0-25-generic"])?;
            asked.nothing_at_all("b")
        });
        tell.run("b_is_installed_to_for_real_and_a_later_tunnel_is_kept_out", || {
            self.really(&upgrade)?;
            let args = ["uninstall", "cilium", "-n", "kube-system", "--kube-context", "b"];
            machine.helm(&args).env("KUBECONFIG", self.kubeconfig()).run()?.ended_with(&[0])?;
            // For the next Helm the cluster is as it was.
            wait::until("no pod of Cilium is left", READY, || {
                let left = self.b.api().list(CILIUM_PODS)?.len();
                Ok(if left == 0 { Seen::Ready(()) } else { Seen::NotYet(format!("{left} pods")) })
            })
        });
        if !machine.hands_on_arguments() {
            return;
        }
        for (name, more, words) in [
            (
                "helm_was_told_another",
                &["--kube-context", "a"][..],
                "helm's --kube-context says `a`, --context says `b`",
            ),
            ("helm_goes_to_the_current_one", &[], "to which helm installs, says `a`, --context says `b`"),
        ] {
            tell.run(&format!("b_for_us_alone_is_refused_when_{name}"), || {
                let args = [more, &["--post-renderer-args=--context=b"]].concat();
                let (output, asked) = self.watched(upgrade(&args))?;
                output.ended_with(&[1])?.names(&[words])?;
                asked.ours("a", 0)?;
                asked.ours("b", 0)
            });
        }
    }

    /// Installs the sound values into `b`, then tries a tunnel.
    fn really(&self, upgrade: &impl Fn(&[&str]) -> Call) -> Result<()> {
        let before = [self.a.audit()?.len(), self.b.audit()?.len()];
        upgrade(&["--kube-context", "b"]).run()?.ended_with(&[0])?;
        let installed = self.b.api().get(CILIUM_CONFIG)?;
        let data = &installed["data"];
        expect(data["cni-chaining-mode"] == "generic-veth" && data["routing-mode"] == "native", || {
            format!("what is in the cluster does not chain: {data}")
        })?;
        let by_helm = self.b.audit()?.since(before[1]);
        let changed: Vec<_> = by_helm.changes_by(PERSON).map(|event| event.object()).collect();
        expect(changed.iter().any(|object| object.starts_with("daemonsets.apps/kube-system/cilium")), || {
            format!("no agents among {changed:?}")
        })?;
        expect(by_helm.changes_by(PERSON).all(|event| !event.user_agent.starts_with(OUR_AGENT)), || {
            "the post-renderer changed something itself".to_owned()
        })?;
        let (output, asked) = self.watched(upgrade(&["--kube-context", "b", "--set", "routingMode=tunnel"]))?;
        output.ended_with(&[1])?.names(&["chart-chaining", "routing-mode"])?;
        asked.nothing_at_all("a")?;
        let kept = self.b.api().get(CILIUM_CONFIG)?;
        expect(kept == installed, || format!("{installed}\nbecame\n{kept}"))?;
        let a = self.a.audit()?.since(before[0]);
        let changes: Vec<_> = a.changes_by(PERSON).map(|event| event.object()).collect();
        expect(changes.is_empty(), || format!("in a it changed {changes:?}"))
    }

    /// Runs helm; what was asked of both clusters meanwhile, where nothing may have been changed.
    fn watched(&self, call: Call) -> Result<(Output, Asked)> {
        let before = [self.a.audit()?.len(), self.b.audit()?.len()];
        let output = call.run()?;
        let asked = Asked { a: self.a.audit()?.since(before[0]), b: self.b.audit()?.since(before[1]) };
        for audit in [&asked.a, &asked.b] {
            let changes: Vec<_> = audit.changes_by(PERSON).map(|event| event.object()).collect();
            expect(changes.is_empty(), || format!("it changed {changes:?}\n{}", output.said()))?;
        }
        Ok((output, asked))
    }
}

/// Load balancer and network policy of Kube-OVN are off, as after a migration.
fn retire_kube_ovn_functions(plane: &ControlPlane) -> Result<()> {
    let pointer = "/spec/template/spec/containers/0/args";
    let mut args = plane.api().get(CONTROLLER)?.pointer(pointer).cloned().unwrap_or_default();
    if let Some(args) = args.as_array_mut() {
        let of = |arg: &Value, flag: &str| arg.as_str().is_some_and(|arg| arg.starts_with(flag));
        args.retain(|arg| !of(arg, "--enable-lb=") && !of(arg, "--enable-np="));
        args.extend([json!("--enable-lb=false"), json!("--enable-np=false")]);
    }
    plane.api().json_patch(CONTROLLER, &json!([{"op": "replace", "path": pointer, "value": args}])).map(drop)
}

/// What was asked of each cluster.
struct Asked {
    a: Audit,
    b: Audit,
}

impl Asked {
    fn of(&self, cluster: &str) -> &Audit {
        if cluster == "a" { &self.a } else { &self.b }
    }

    /// Our own requests to a cluster: none for 0, else at least so many.
    ///
    /// # Errors
    /// [`Error::Expectation`] with them.
    fn ours(&self, cluster: &str, at_least: usize) -> Result<()> {
        let ours: Vec<_> = self.of(cluster).iter().filter(|event| event.user_agent.starts_with(OUR_AGENT)).collect();
        let holds = if at_least == 0 { ours.is_empty() } else { ours.len() >= at_least };
        expect(holds, || {
            let asked: Vec<_> = ours.iter().map(|event| event.uri.as_str()).collect();
            format!("{} requests of ours to {cluster}: {asked:?}", ours.len())
        })
    }

    /// Neither helm nor we asked anything.
    ///
    /// # Errors
    /// [`Error::Expectation`] with the requests.
    fn nothing_at_all(&self, cluster: &str) -> Result<()> {
        let asked: Vec<_> = self.of(cluster).iter().filter(|event| event.user == PERSON).map(|e| &e.uri).collect();
        expect(asked.is_empty(), || format!("{cluster} was asked {asked:?}"))
    }
}
