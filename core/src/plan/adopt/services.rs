//! A Cilium that serves Services instead of kube-proxy goes on doing so; where kube-proxy serves as well, nothing is taken over.

use super::{Adopting, FoundRelease, NotAdoptable};
use crate::facts::Facts;
use crate::facts::cilium::Installation as Agents;
use crate::plan::KubeProxy;
use crate::plan::kube_proxy::needs;
use crate::plan::migrate::{NoPlan, unknown};
use crate::plan::start::{agents_object, setting};

/// What serves Services in the plan's settings; `None` where kube-proxy does. `hands_over` says that Kube-OVN's load balancer goes off.
///
/// # Errors
/// [`NotAdoptable`] where both serve, [`NoPlan::Services`] where Cilium could not go on alone.
pub(super) fn kept(
    agents: &Agents,
    facts: &Facts,
    release: &FoundRelease,
    adopting: &Adopting,
    hands_over: bool,
) -> Result<Option<KubeProxy>, NoPlan> {
    let object = agents_object(agents);
    match setting(agents, "kube-proxy-replacement") {
        "" | "false" | "disabled" => return Ok(None),
        "true" | "strict" => {}
        mode => return Err(NotAdoptable::ServesInPart { object, mode: mode.to_owned() }.into()),
    }
    let services = facts.services.value.as_result().map_err(|reason| unknown("services", reason))?;
    if let Some(proxy) = services.kube_proxy() {
        return Err(NotAdoptable::BothServe { object, proxy: proxy.object.clone() }.into());
    }
    let found = &adopting.kube_proxy;
    // What OVN serves now must have another who does.
    if hands_over {
        needs::reaches_everybody(facts, &release.values, found)?;
    }
    let server = adopting.api_server.clone().or_else(|| needs::api_server_of(&release.values));
    let named = || format!("Helm release {}/{}", agents.namespace, agents.release.as_deref().unwrap_or_default());
    let api_server = needs::own_address(server, found, named)?;
    Ok(Some(KubeProxy { former: None, api_server, replaced: true, own_values: needs::own_of(&release.values) }))
}
