//! The report of `status`: where a run stands, from the cluster alone.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Label, Paint, SCHEMA};
use crate::NextStep;
use crate::facts::Facts;
use crate::journal::{Journal, Mark, State};
use crate::plan::{Kind, Plan};

/// The report of `status`.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// Version of this format.
    pub schema: u32,
    /// The recorded run; absent when there is none.
    pub run: Option<RunStatus>,
    /// What is there now.
    pub cluster: ClusterStatus,
}

/// A recorded run.
#[derive(Debug, Clone, Serialize)]
pub struct RunStatus {
    /// Its id.
    pub run: String,
    /// Which way.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// Phase in work: number, id and title.
    pub phase: String,
    /// Stage in work.
    pub stage: String,
    /// Steps done and steps of the plan.
    pub done: usize,
    /// Steps of the plan.
    pub total: usize,
    /// Steps that were begun and are not known to be done.
    pub open: Vec<String>,
    /// Why it is paused.
    pub message: String,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// Its last write.
    pub updated_at: jiff::Timestamp,
    /// Who holds the lock, if anybody.
    pub lock: Option<String>,
    /// The run keeps a Cilium that served Services before it, and brings no kube-proxy back.
    pub no_kube_proxy: bool,
}

/// What is there now.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterStatus {
    /// Cilium's version, when it is there.
    pub cilium: Option<String>,
    /// Agents that are ready.
    pub agents_ready: usize,
    /// Nodes.
    pub nodes: usize,
    /// Pods with their own address, and those of them that Cilium knows.
    pub pods: usize,
    /// Pods with an endpoint of their address.
    pub pods_with_endpoint: usize,
    /// `--enable-np` of kube-ovn-controller.
    pub kube_ovn_network_policy: Option<bool>,
    /// `--enable-lb` of kube-ovn-controller.
    pub kube_ovn_load_balancer: Option<bool>,
}

impl StatusReport {
    /// The report from a journal and facts.
    pub fn new(recorded: Option<(&Journal, &Plan)>, lock: Option<String>, facts: &Facts) -> Self {
        let run = recorded.map(|(journal, plan)| {
            let header = &journal.header;
            let phase = plan.phases.iter().find(|phase| phase.number == header.phase);
            RunStatus {
                run: header.run.to_string(),
                kind: header.kind,
                state: header.state,
                phase: phase.map(|p| format!("{} {}: {}", p.number, p.id, p.title)).unwrap_or_default(),
                stage: header.stage.clone(),
                done: journal.done().max(header.steps_done as usize),
                total: header.steps_total as usize,
                open: journal
                    .records
                    .values()
                    .flat_map(|record| &record.entries)
                    .filter(|entry| entry.mark == Mark::Intent)
                    .map(|entry| entry.step.to_string())
                    .collect(),
                message: header.message.clone(),
                started_at: header.started_at,
                updated_at: header.updated_at,
                lock,
                no_kube_proxy: plan.settings.kube_proxy.as_ref().is_some_and(|proxy| proxy.former.is_none()),
            }
        });
        Self { schema: SCHEMA, run, cluster: cluster(facts) }
    }

    /// The report for people.
    pub fn text(&self, paint: &dyn Paint) -> String {
        let mut out = String::new();
        match &self.run {
            None => {
                let _ = writeln!(out, "no run is recorded in this cluster");
            }
            Some(run) => {
                let (label, word) = match (run.state, &run.lock) {
                    (State::Done, _) => (Label::Good, "done".to_owned()),
                    (State::Running, Some(holder)) => (Label::Good, format!("in work, by {holder}")),
                    (State::Running, None) => (Label::Warn, "left in the middle; nobody holds the lock".to_owned()),
                    (State::Paused, _) => (Label::Warn, "paused".to_owned()),
                };
                let kind = run.kind.noun();
                let _ = writeln!(out, "{kind} {} {}", run.run, paint.paint(label, &word));
                let _ = writeln!(out, "  phase  {}", run.phase);
                let _ = writeln!(out, "  stage  {}", run.stage);
                let _ = writeln!(out, "  steps  {} of {}", run.done, run.total);
                for step in &run.open {
                    let _ = writeln!(out, "  open   {step}");
                }
                if !run.message.is_empty() {
                    let _ = writeln!(out, "  why    {}", run.message);
                }
                let _ = writeln!(out, "  began  {}   last write {}", run.started_at, run.updated_at);
            }
        }
        let cluster = &self.cluster;
        let _ = writeln!(out, "  cilium {}", cluster.cilium.as_deref().unwrap_or("not installed"));
        let _ = writeln!(out, "  agents {} ready on {} nodes", cluster.agents_ready, cluster.nodes);
        let _ = writeln!(out, "  pods   {} of {} have an endpoint", cluster.pods_with_endpoint, cluster.pods);
        let word = |flag: Option<bool>| flag.map_or("unknown", |on| if on { "on" } else { "off" });
        let _ = writeln!(
            out,
            "  kube-ovn network policy {}, load balancer {}",
            word(cluster.kube_ovn_network_policy),
            word(cluster.kube_ovn_load_balancer)
        );
        if let Some(next) = self.next() {
            let _ = writeln!(out, "{} {}", paint.paint(Label::Dim, "next:"), next.line());
        }
        out
    }

    fn next(&self) -> Option<NextStep> {
        let command = match &self.run {
            None => "kubectl ovncilium check",
            Some(run) if run.state == State::Done && run.kind == Kind::Migrate && run.no_kube_proxy => {
                "kubectl ovncilium rollback (to go back, when a kube-proxy is ready on every node)"
            }
            Some(run) if run.state == State::Done => match run.kind {
                Kind::Migrate | Kind::RestoreKubeProxy => "kubectl ovncilium rollback (to go back)",
                Kind::ReplaceKubeProxy => "kubectl ovncilium replace-kube-proxy --back (to go back)",
                Kind::Rollback => return None,
            },
            Some(run) if run.lock.is_some() => return None,
            Some(run) => match run.kind {
                Kind::Migrate => "kubectl ovncilium migrate (to go on) or kubectl ovncilium rollback",
                Kind::Rollback => "kubectl ovncilium rollback (to go on)",
                Kind::ReplaceKubeProxy => {
                    "kubectl ovncilium replace-kube-proxy (to go on), with --back for the way back"
                }
                Kind::RestoreKubeProxy => "kubectl ovncilium replace-kube-proxy --back (to go on)",
            },
        };
        Some(NextStep::Command(command.to_owned()))
    }
}

fn cluster(facts: &Facts) -> ClusterStatus {
    let cilium = facts.cilium.value.known();
    let installation = cilium.and_then(|cilium| cilium.installation.as_ref());
    let controller = facts.kube_ovn.value.known().and_then(|k| k.the_one().ok()).map(|one| &one.controller);
    let pods: Vec<_> = facts
        .workloads
        .value
        .known()
        .map(|workloads| {
            workloads.pods.iter().filter(|p| !p.host_network && !p.ips.is_empty() && p.phase == "Running").collect()
        })
        .unwrap_or_default();
    let endpoints = cilium.map(|cilium| cilium.endpoints.as_slice()).unwrap_or_default();
    let known: std::collections::BTreeMap<(&str, &str), &[String]> =
        endpoints.iter().map(|e| ((e.namespace.as_str(), e.name.as_str()), e.ips.as_slice())).collect();
    ClusterStatus {
        cilium: installation.map(|found| found.version.clone().unwrap_or_else(|| "of unknown version".to_owned())),
        agents_ready: installation.map_or(0, |found| found.agents.iter().filter(|agent| agent.ready).count()),
        nodes: facts.nodes.value.known().map_or(0, |nodes| nodes.items.len()),
        pods: pods.len(),
        pods_with_endpoint: pods
            .iter()
            .filter(|pod| {
                known
                    .get(&(pod.namespace.as_str(), pod.name.as_str()))
                    .is_some_and(|ips| pod.ips.iter().any(|ip| ips.contains(ip)))
            })
            .count(),
        kube_ovn_network_policy: controller.map(|controller| controller.enable_np),
        kube_ovn_load_balancer: controller.map(|controller| controller.enable_lb),
    }
}
