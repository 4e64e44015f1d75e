//! Remove Cilium's firewall and routing rules from a node.
//!
//! `cilium-dbg post-uninstall-cleanup` leaves them (Cilium `cilium-dbg/cmd/post_uninstall_cleanup.go`): chains that go on marking
//! packets, and the kernel's rule for local addresses moved from priority 0 to 100.

use serde_json::{Value, json};

use super::support::asking::{Asked, ask_again, asked, last_reason, stop_asking};
use super::support::{NEVER_HERE, has_run_here};
use super::{Cx, Look, StepError, Work};
use crate::node_task::{self, Answer, Task};

/// Runs in Kube-OVN's own image, which has the tools.
pub(super) struct CleanRules;

impl Work for CleanRules {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        if !has_run_here(cx)? {
            return Ok(Look::met(NEVER_HERE));
        }
        Ok(match asked(cx, Task::Rules, node)? {
            Asked::Answered(answer) => {
                let unread = answer.iter().filter_map(|line| match line {
                    Answer::Unread(what) => Some(what.clone()),
                    _ => None,
                });
                let unread: Vec<String> = unread.collect();
                // Nothing that is left there holds a rollback up: it is told, for a person with another iptables.
                Look::met(if unread.is_empty() {
                    "no rule of Cilium is left".to_owned()
                } else {
                    format!(
                        "tables of another iptables could not be read, look for chains CILIUM_*: {}",
                        unread.join(", ")
                    )
                })
            }
            Asked::InVain(why) => Look::Act(ask_again(cx, Task::Rules, node, &why)),
            Asked::Waits => Look::wait(format!("a pod on {node} removes Cilium's rules")),
            Asked::Not => {
                let pod = node_task::pod_name(Task::Rules, node, cx.run.as_str());
                Look::Act(json!({ "pod": pod, "node": node, "after": last_reason(cx) }))
            }
        })
    }

    fn act(&self, cx: &Cx<'_>, intent: &Value) -> Result<(), StepError> {
        let node = cx.node_name()?;
        if intent.get("again").is_some() {
            return stop_asking(cx, Task::Rules, node);
        }
        node_task::start(cx.world.cluster, Task::Rules, node, cx.run.as_str(), cx.settings(), &[])?;
        Ok(())
    }

    fn tidy(&self, cx: &Cx<'_>) -> Result<(), StepError> {
        stop_asking(cx, Task::Rules, cx.node_name()?)
    }

    fn attempts(&self) -> u32 {
        12
    }
}
