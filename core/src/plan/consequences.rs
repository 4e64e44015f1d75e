//! What a migration costs whoever lives in the cluster, told before it begins.

use crate::compat::cilium::{Behaviour, Chart};
use crate::facts::workloads::Pod;

use super::action::RECYCLE_ANNOTATION;
use super::fate::Fate;
use super::migrate::{fate, named};

/// Pods without endpoint, by their fate, and policies.
pub(super) fn of_pods(pods: &[&Pod], network_policies: &[String]) -> Vec<String> {
    let meet = |wanted: Fate| -> Vec<String> {
        let found = pods.iter().filter(|pod| fate(pod) == wanted);
        found.map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect()
    };
    let (recycled, left, working) = (meet(Fate::MadeAgain).len(), meet(Fate::Stays), meet(Fate::EndsByItself));
    let waiting = meet(Fate::AwaitsOperator);
    let mut lines = vec![
        format!(
            "{recycled} pods are made again once, by eviction; their addresses may change and their open connections end"
        ),
        "a rollback makes the pods of chained nodes again once more; it does not bring old pod addresses back"
            .to_owned(),
        "connections through OVN's load balancers may be reset when kube-ovn-controller hands services over".to_owned(),
    ];
    if !network_policies.is_empty() {
        lines.push(format!(
            "{} network policies move from OVN to Cilium, which also separates namespaces where Kube-OVN does not",
            network_policies.len()
        ));
    }
    if !left.is_empty() {
        lines.push(format!(
            "{} pods stay without endpoint (annotation {RECYCLE_ANNOTATION}, or nobody is known to make them again), outside \
             Cilium's policy: {}",
            left.len(),
            named(&left)
        ));
    }
    if !waiting.is_empty() {
        lines.push(format!(
            "{} pods are not evicted, because their workloads have the update strategy OnDelete; nothing is enforced before you \
             have deleted them (or named them with --leave): {}",
            waiting.len(),
            named(&waiting)
        ));
    }
    if !working.is_empty() {
        lines.push(format!(
            "{} pods of Jobs are not evicted, and nothing is enforced before they have ended: {}",
            working.len(),
            named(&working)
        ));
    }
    lines
}

/// Static pods that a version of Cilium does not know again.
pub(super) fn forgotten(version: &str, pods: &[Pod]) -> Option<String> {
    let statics = pods.iter().filter(|pod| pod.owner_kind == "Node" && !pod.host_network);
    let names: Vec<_> = statics.map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
    let forgets = Chart::of(version).is_ok_and(|chart| chart.does(Behaviour::ForgetsStaticPods));
    (forgets && !names.is_empty()).then(|| {
        format!(
            "{} static pods get the identity `init` when they start again, and may not become ready (cilium#45016, mended in 1.18.9, \
             1.19.3 and 1.20): {}",
            names.len(),
            named(&names)
        )
    })
}
