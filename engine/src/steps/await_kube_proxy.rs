//! Wait until kube-proxy is ready on a node.

use ovncilium_core::plan::Resource;
use ovncilium_core::plan::kube_proxy::MADE_AGAIN;
use serde_json::Value;

use super::support::{condition, kube_proxy, kube_proxy_pods, not_ready, trouble};
use super::{Cx, Look, StepError, Work};

/// Its DaemonSet starts it.
pub(super) struct AwaitKubeProxy;

impl Work for AwaitKubeProxy {
    fn look(&self, cx: &Cx<'_>) -> Result<Look, StepError> {
        let node = cx.node_name()?;
        let pods = kube_proxy_pods(cx, Some(node))?;
        if pods.iter().any(|pod| condition(pod, "Ready")) {
            return Ok(Look::met("kube-proxy is ready"));
        }
        let proxy = kube_proxy(cx)?;
        if cx.world.cluster.get(&Resource::DAEMON_SETS.named(&proxy.namespace, &proxy.name))?.is_none() {
            return Ok(Look::Blocked(format!("{} is gone: {MADE_AGAIN}", proxy.told())));
        }
        if let Some(why) = not_ready(cx)? {
            return Ok(Look::wait(why));
        }
        Ok(Look::wait(match pods.iter().find_map(trouble) {
            Some(why) => format!("kube-proxy on {node} does not start: {why}"),
            None => format!("kube-proxy on {node} starts"),
        }))
    }

    fn act(&self, _cx: &Cx<'_>, _intent: &Value) -> Result<(), StepError> {
        Ok(())
    }
}
