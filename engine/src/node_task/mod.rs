//! Tasks on a node: short-lived pods of an image that is already there, their scripts and their answers.
//!
//! A task pod is named `ovncilium-<task>-<hash>`, carries the labels `ovncilium.io/task=<task>` and
//! `ovncilium.io/run=<run>`, is bound to its node by `spec.nodeName`, and answers through the termination message of its one
//! container: lines of words, parsed by [`Answer::parse`]. Inputs are environment variables, so that the scripts in
//! `engine/scripts/` run under any POSIX shell and are tested so. A task never writes content that came from the API to a node.
//!
//! | task | script | hostNetwork | input | answer |
//! |---|---|---|---|---|
//! | `probe` | `probe.sh` | yes | `CONF_DIR` (mount of the host's directory, read-only) | `kernel`, `device`, `file`, `content` |
//! | `retire` | `retire.sh` | yes | `CONF_DIR`, `FILE`, `SHA256` | `retired` or `absent`, or `refused <why>` |
//! | `canary` | `canary.sh` | no | `PEER` | `service`, `dns`, `pod` with `ok` or `failed`; it is Ready when all are ok |
//! | `observe` | `observe.sh` (image of Cilium, from `IMAGE`) | yes | `SINCE` and `WATCH` seconds, `NODE` (its addresses) | `audited`, `drop` |
//! | `endpoints` | `endpoints.sh` (image of Cilium, from `IMAGE`) | yes | `WATCH` seconds | `endpoints`, `pending` |
//! | `policies` | `policies.sh` | yes | `NB`, `SB`, `WANTED_0`, …, `CHASSIS_0`, …, `WATCH` seconds | `policies`, `lacking`, `behind` |
//! | `rules` | `rules.sh` | yes | | `cleaned`, `unread` |
//! | `services` | `services.sh` | yes | `TARGETS_0`, … | `asked`, `silent` |
//! | `pod-services` | `services.sh` | no | `TARGETS_0`, … | `asked`, `silent` |
//! | `replacement` | `replacement.sh` (image of Cilium, from `IMAGE`) | yes | `WANTED_0`, …, `WATCH` seconds | `mode`, `frontends`, `lacking` |
//! | `proxy` | `proxy.sh` | yes | `WANTED_0`, …, `EXPECT`, `WATCH` seconds | `rules`, `lacking`, `foreign`, `listens`, `synced` |
//! | `unproxy` | `unproxy.sh`, around kube-proxy's own cleanup (`CLEANUP_IMAGE`, `CLEANUP_COMMAND`) | yes | | `left`, `changed` |
//! | `cleanup` | `cleanup.sh` (image of Cilium, from `IMAGE`) | yes | `CONF_DIR`, `FILE`, `FOUND` | `cleaned` |
//!
//! Answer lines: `kernel <uname -r>` · `device <name>` · `file <sha256> <name>` · `content <name> <base64>` ·
//! `retired <name>` · `absent <name>` · `refused <why>` · `check <what> ok|failed [<why>]` · `cleaned` ·
//! `audited <kinds>` · `drop <count> <direction> <source> <identity> <destination>` ·
//! `endpoints <count>` · `pending <namespace/name> <state> <policy>` ·
//! `policies <count>` · `lacking <name.namespace> <direction>` · `behind <chassis>` ·
//! `unread <program> <table>` · `asked <count>` · `silent <target>` · `mode <mode>` · `frontends <count>` ·
//! `rules <count>` · `foreign <count>` · `listens` · `synced yes|no` · `left <count>` · `changed <what>`.

mod answer;
mod drops;
mod pod;

pub use answer::{Answer, AnswerError, conf_dir, failed_checks, node_os, read_answer, retired};
pub use drops::{Drop, Drops};
pub use pod::{Task, TaskSettings, pod_manifest, pod_name};

use ovncilium_core::plan::{Resource, Settings};

use crate::world::{Cluster, ClusterError};

/// Start a task on a node; one that was started already is left alone.
///
/// # Errors
/// As [`Cluster::create`], but for an object that exists.
pub fn start(
    cluster: &dyn Cluster,
    task: Task,
    node: &str,
    run: &str,
    settings: &Settings,
    env: &[(&str, &str)],
) -> Result<(), ClusterError> {
    let pod = pod_manifest(task, node, run, &TaskSettings::from(settings), env);
    match cluster.create(&Resource::PODS, &pod) {
        Ok(_) | Err(ClusterError::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
