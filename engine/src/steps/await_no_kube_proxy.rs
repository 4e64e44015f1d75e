//! Wait until no kube-proxy is left on a node, or on any.

use ovncilium_core::plan::Resource;
use serde_json::Value;

use super::support::{key, kube_proxy, kube_proxy_pods, some};
use super::{Cx, Look, StepError, Work};

/// On the lane's node; on every node, where the lane has none.
pub(super) struct AwaitNoKubeProxy;

impl Work for AwaitNoKubeProxy {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node.map(|node| node.name.as_str());
        let pods = kube_proxy_pods(cx, node)?;
        if !pods.is_empty() {
            let names: Vec<String> = pods.iter().map(key).collect();
            return Ok(Look::wait(format!("kube-proxy ends: {}", some(&names))));
        }
        let proxy = kube_proxy(cx)?;
        if node.is_none() && proxy.distribution.is_none() {
            let set = cx.world.cluster.get(&Resource::DAEMON_SETS.named(&proxy.namespace, &proxy.name))?;
            let wanted = set.as_ref().and_then(|set| set.pointer("/status/desiredNumberScheduled")?.as_u64());
            if wanted.is_some_and(|wanted| wanted > 0) {
                return Ok(Look::wait(format!("daemonset {}/{} fits a node", proxy.namespace, proxy.name)));
            }
        }
        Ok(Look::met("no kube-proxy is left"))
    }

    fn act(&self, _cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        Ok(())
    }
}
