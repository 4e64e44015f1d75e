//! The report of `plan`, and what `migrate` shows before it asks.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Label, Paint, SCHEMA};
use crate::Digest;
use crate::plan::{Kind, Phase, Plan};

/// The report of `plan`.
#[derive(Debug, Clone, Serialize)]
pub struct PlanReport<'a> {
    /// Version of this format.
    pub schema: u32,
    /// Digest of the plan.
    pub digest: Option<Digest>,
    /// The plan.
    pub plan: &'a Plan,
}

impl<'a> PlanReport<'a> {
    /// The report of one plan.
    pub fn new(plan: &'a Plan) -> Self {
        Self { schema: SCHEMA, digest: plan.digest().ok(), plan }
    }

    /// The report for people.
    pub fn text(&self, paint: &dyn Paint) -> String {
        let plan = self.plan;
        let mut out = String::new();
        let title = match plan.kind {
            Kind::Migrate if plan.settings.adopted.is_some() => format!(
                "take over Cilium {}, which is chained behind Kube-OVN already, to layout beside",
                plan.settings.chart.version
            ),
            Kind::Migrate => format!("bring Cilium {} in behind Kube-OVN, layout beside", plan.settings.chart.version),
            Kind::Rollback => "go back to Kube-OVN alone".to_owned(),
            Kind::ReplaceKubeProxy => {
                format!("have Cilium {} serve Services instead of kube-proxy", plan.settings.chart.version)
            }
            Kind::RestoreKubeProxy => "bring kube-proxy back, and have it serve Services again".to_owned(),
        };
        let digest = self.digest.map(|digest| digest.short()).unwrap_or_default();
        let _ = writeln!(
            out,
            "{} {}",
            paint.paint(Label::Title, &title),
            paint.paint(Label::Dim, &format!("(plan {digest})"))
        );
        let settings = &plan.settings;
        let _ = writeln!(out, "  release      {}/{}", settings.release_namespace, settings.release);
        let _ = writeln!(out, "  chained file {}/{}", settings.conf_dir, settings.chained_conf);
        let _ = writeln!(out, "  devices      {}", settings.devices.join(" "));
        let _ = writeln!(out, "  own range    {}", settings.cluster_pool.join(" "));
        if let Some(proxy) = &settings.kube_proxy {
            let told = match &proxy.former {
                None => "none; Cilium serves Services".to_owned(),
                Some(former) if former.image.is_empty() => former.told(),
                Some(former) => format!("{}, {}", former.told(), former.image),
            };
            let _ = writeln!(out, "  kube-proxy   {told}");
            let _ = writeln!(out, "  API server   {}", proxy.api_server);
        }
        let _ = writeln!(out, "  nodes        {} in {} waves", plan.nodes.len(), waves(plan));
        let _ = writeln!(out);
        for phase in &plan.phases {
            phase_text(&mut out, paint, phase);
        }
        let _ = writeln!(out, "\n{}", paint.paint(Label::Title, "what cannot come back, or is noticed"));
        for line in &plan.consequences {
            let _ = writeln!(out, "  {} {line}", paint.paint(Label::Warn, "‼"));
        }
        let _ = writeln!(
            out,
            "\n{} steps, {} kinds of writes; nothing else is written (`-o json` lists them)",
            plan.steps().count(),
            plan.writes.len()
        );
        out
    }
}

fn waves(plan: &Plan) -> usize {
    plan.nodes.iter().map(|node| node.wave).max().map_or(0, |last| last as usize + 1)
}

fn phase_text(out: &mut String, paint: &dyn Paint, phase: &Phase) {
    let _ = writeln!(out, "{} {:<10} {}", paint.paint(Label::Title, &phase.number.to_string()), phase.id, phase.title);
    let _ = writeln!(out, "  {}", paint.paint(Label::Dim, &format!("pods notice: {}", phase.notices)));
    for stage in &phase.stages {
        let nodes: Vec<&str> =
            stage.lanes.iter().filter_map(|lane| lane.node.as_ref()).map(|node| node.as_str()).collect();
        let whom = match nodes.as_slice() {
            [] => String::new(),
            few if few.len() <= 4 => format!(" on {}", few.join(", ")),
            many => format!(" on {}, … ({} nodes)", many[..3].join(", "), many.len()),
        };
        let _ = writeln!(out, "  - {}{whom}", stage.title);
        for step in stage.lanes.first().map(|lane| lane.steps.as_slice()).unwrap_or_default() {
            let _ = writeln!(out, "      {}", step.action);
        }
    }
}
