//! Jobs: one pod at a time until one succeeds or too many fail.

use ovncilium_core::plan::Resource;
use serde_json::json;

use super::super::{Actor, Pass};
use super::{active, count, create_pod, generated, pod_of, tell};
use crate::objects;

/// The controller of Jobs.
pub(super) struct Jobs;

impl Actor for Jobs {
    fn tick(&mut self, pass: &mut Pass<'_>) {
        let view = pass.view;
        for job in view.all(&Resource::JOBS) {
            if objects::condition(job, "Complete") || objects::condition(job, "Failed") {
                continue;
            }
            let pods = view.pods_of(objects::uid(job));
            let with_phase = |phase: &str| count(&pods, |pod| objects::text(pod, "/status/phase") == phase);
            let (running, succeeded, failed) = (count(&pods, active), with_phase("Succeeded"), with_phase("Failed"));
            let mut status = json!({ "active": running, "succeeded": succeeded, "failed": failed });
            if succeeded > 0 {
                status["conditions"] = json!([{ "type": "Complete", "status": "True" }]);
                status["completionTime"] = json!(objects::stamp(pass.now));
            } else if failed > objects::number(job, "/spec/backoffLimit", 6) {
                status["conditions"] =
                    json!([{ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" }]);
            } else if running == 0 {
                let name = generated(pass, job, "job");
                let labels = [("batch.kubernetes.io/job-name", objects::name(job)), ("job-name", objects::name(job))];
                create_pod(pass, &pod_of(job, &name, &labels));
            }
            tell(pass, &Resource::JOBS, job, &status);
        }
    }
}
