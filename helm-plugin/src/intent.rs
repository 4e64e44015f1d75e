//! What the chart is about to do, read from its own documents: the fact `intent` of a post-render.

use ovncilium_core::facts::Known;
use ovncilium_core::facts::intent::{Action, Intent};
use ovncilium_core::render::Stream;
use serde_json::Value;

use crate::Mode;

/// What the start hook of charts before 1.14 writes, which name no file: `cni-install.sh`.
const INSTALLED_CONF: &str = "05-cilium.conf";

/// The intent of a rendered chart. In plan mode what `migrate` already knows is kept; where it says nothing,
/// Kube-OVN's load balancer and network policy count as turned off by the plan.
pub fn intent(stream: &Stream, mode: Mode, known: &Known<Intent>) -> Intent {
    let mut intent = match (mode, known) {
        (Mode::Plan, Known::Known(intent)) => intent.clone(),
        (Mode::Plan, Known::Unknown(_)) => {
            Intent { turns_load_balancer_off: true, turns_network_policy_off: true, ..Intent::default() }
        }
        _ => Intent::default(),
    };
    intent.action = match mode {
        Mode::Plan => Action::Migrate,
        Mode::Gate | Mode::Offline => Action::Install,
    };
    intent.cilium_version = stream.cilium_version().map(str::to_owned).or(intent.cilium_version);
    if let Some(config) = config(stream) {
        let pools =
            ["cluster-pool-ipv4-cidr", "cluster-pool-ipv6-cidr"].into_iter().filter_map(|key| text(config, key));
        intent.cluster_pool = pools.flat_map(str::split_whitespace).map(str::to_owned).collect();
        if let Some(path) = text(config, "write-cni-conf-when-ready") {
            path.rsplit('/').next().unwrap_or_default().clone_into(&mut intent.conf_name);
        } else if text(config, "custom-cni-conf") == Some("false") {
            INSTALLED_CONF.clone_into(&mut intent.conf_name);
        }
    }
    intent
}

fn text<'v>(config: &'v Value, key: &str) -> Option<&'v str> {
    config.get(key).and_then(Value::as_str)
}

/// The settings of the agent, if the stream has any.
pub(crate) fn config(stream: &Stream) -> Option<&Value> {
    stream.objects("ConfigMap", "cilium-config").find_map(|object| object.value.get("data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_version_pool_and_file_name_from_the_documents() {
        let stream = Stream::parse(
            b"kind: ConfigMap\nmetadata: {name: cilium-config}\ndata:\n  cluster-pool-ipv4-cidr: 10.96.0.0/16 10.97.0.0/16\n  write-cni-conf-when-ready: /host/etc/cni/net.d/01-cilium.conflist\n---\nkind: DaemonSet\nmetadata: {name: cilium}\nspec: {template: {spec: {containers: [{name: cilium-agent, image: 'r.io:5000/cilium/cilium:v1.18.12@sha256:00'}]}}}\n",
        )
        .unwrap();
        let unknown = Known::Unknown(String::new());
        let told = intent(&stream, Mode::Gate, &unknown);
        assert_eq!(told.action, Action::Install);
        assert_eq!(told.cilium_version.as_deref(), Some("1.18.12"));
        assert_eq!(told.cluster_pool, ["10.96.0.0/16", "10.97.0.0/16"]);
        assert_eq!(told.conf_name, "01-cilium.conflist");
        assert!(!told.turns_network_policy_off);
        let old = b"kind: ConfigMap\nmetadata: {name: cilium-config}\ndata: {custom-cni-conf: 'false'}\n";
        assert_eq!(intent(&Stream::parse(old).unwrap(), Mode::Gate, &unknown).conf_name, "05-cilium.conf");
        let planned = intent(&stream, Mode::Plan, &unknown);
        assert_eq!((planned.action, planned.turns_load_balancer_off), (Action::Migrate, true));
    }
}
