//! Read a node's CNI directory and prove which file its runtime loads.

use ovncilium_core::facts::conflists::{ConfDir, ConfFile};
use ovncilium_core::plan::action::Chain;
use ovncilium_core::plan::{Action, Settings};
use serde_json::{Value, json};

use super::support::{remove_task, task_answer, task_name, task_pod, text};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Task};

/// What the runtime must load.
pub(super) struct ProveConf(pub(super) Chain);

/// Whether `file` chains Cilium behind Kube-OVN's network under our name.
pub(super) fn is_chained(file: &ConfFile, settings: &Settings) -> bool {
    let has = |plugin: &str| file.plugins.iter().any(|found| found == plugin);
    file.name == settings.chained_conf && file.network == settings.network && has("kube-ovn") && has("cilium-cni")
}

/// Whether `file` is the one that chained before a takeover.
pub(super) fn is_found(file: &ConfFile, settings: &Settings) -> bool {
    settings.adopted.as_ref().is_some_and(|adopted| adopted.conf == file.name) && file.chains_cilium()
}

/// Name and digest of the file that the node loaded when the run began, where that is none of ours: what it must load again when ours
/// is away. `None` while that is not known.
pub(super) fn found_first<'a>(cx: &'a Cx<'_>) -> Option<(&'a str, &'a str)> {
    let record = cx.record?;
    let node = cx.node.map(|node| &node.name);
    let found = Action::ProveConf { chain: Chain::Found };
    let mut looks = cx.plan.steps().filter(|(_, of, step)| *of == node && step.action == found);
    let (_, _, first) = looks.next().filter(|(_, _, first)| first.id != cx.step.id)?;
    let recorded = &record.entry(&first.id)?.recorded;
    let file = text(recorded, "/file");
    (!file.is_empty() && file != cx.settings().chained_conf).then(|| (file, text(recorded, "/sha256")))
}

/// What a node loads, in words.
pub(super) fn describe(dir: &ConfDir) -> String {
    match dir.effective() {
        Some(file) => format!("{} (network {}, plugins {})", file.name, file.network, file.plugins.join(", ")),
        None => "no configuration".to_owned(),
    }
}

impl Work for ProveConf {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let again = |why: &str| -> Result<Look, StepError> {
            Ok(Look::Act(json!({ "pod": task_name(cx, Task::Probe)?, "node": node, "why": why })))
        };
        let Some(pod) = task_pod(cx, Task::Probe)? else { return again("look") };
        let answer = match task_answer(&pod) {
            None => return Ok(Look::wait(format!("a pod on {node} reads {}", cx.settings().conf_dir))),
            Some(Err(reason)) => return again(&reason),
            Some(Ok(answer)) => answer,
        };
        let dir = node_task::conf_dir(node, &cx.settings().conf_dir, &answer);
        let proven = dir.effective().is_some_and(|file| match self.0 {
            Chain::Chained => is_chained(file, cx.settings()),
            Chain::Plain => file.is_plain(),
            Chain::Found => match found_first(cx) {
                None => file.is_plain() || is_found(file, cx.settings()),
                Some((name, sha256)) => file.name == name && file.sha256 == sha256,
            },
        });
        if !proven {
            return again(&format!("{node} loads {}", describe(&dir)));
        }
        let file = dir.effective().map(|file| json!({ "file": file.name, "sha256": file.sha256 }));
        Ok(Look::Met(format!("loads {}", describe(&dir)), file))
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        if text(intent, "/why") != "look" {
            remove_task(cx, Task::Probe)?;
        }
        node_task::start(cx.world.cluster, Task::Probe, cx.node_name()?, cx.run.as_str(), cx.settings(), &[])?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        remove_task(cx, Task::Probe)
    }
}
