//! `explain`: what a policy wants, why, and how to get there.

use ovncilium_core::{ExitCode, NextStep};
use ovncilium_policy_host::{Catalog, CompiledCache};

use crate::cli::Explain;
use crate::failure::Failure;
use crate::ui;

/// The pages of docs/checks, inside the binary.
const PAGES: &[(&str, &str)] = &[
    ("address-plan", include_str!("../../../docs/checks/address-plan.md")),
    ("chart-chaining", include_str!("../../../docs/checks/chart-chaining.md")),
    ("cni-conf-order", include_str!("../../../docs/checks/cni-conf-order.md")),
    ("helm-version", include_str!("../../../docs/checks/helm-version.md")),
    ("ip-family", include_str!("../../../docs/checks/ip-family.md")),
    ("kube-ovn-health", include_str!("../../../docs/checks/kube-ovn-health.md")),
    ("kube-ovn-load-balancer", include_str!("../../../docs/checks/kube-ovn-load-balancer.md")),
    ("kube-ovn-network-policy", include_str!("../../../docs/checks/kube-ovn-network-policy.md")),
    ("l7-policy-void", include_str!("../../../docs/checks/l7-policy-void.md")),
    ("multus-pin", include_str!("../../../docs/checks/multus-pin.md")),
    ("nat-gateway", include_str!("../../../docs/checks/nat-gateway.md")),
    ("node-kernel", include_str!("../../../docs/checks/node-kernel.md")),
    ("owner", include_str!("../../../docs/checks/owner.md")),
    ("permissions", include_str!("../../../docs/checks/permissions.md")),
    ("service-provider", include_str!("../../../docs/checks/service-provider.md")),
    ("veth-only", include_str!("../../../docs/checks/veth-only.md")),
];

/// The page of a built-in policy.
pub(super) fn page(policy: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == policy).map(|(_, page)| *page)
}

/// One page, or the list.
pub fn run(args: &Explain) -> Result<ExitCode, Failure> {
    let Some(wanted) = &args.policy else {
        for policy in Catalog::builtin().with_cache(CompiledCache::from_env()).describe().iter().flatten() {
            ui::data(&format!("{:<26} {}\n", policy.id, policy.title));
        }
        return Ok(ExitCode::Done);
    };
    let id = wanted.split('/').next().unwrap_or_default();
    match page(id) {
        Some(page) => {
            ui::data(page);
            Ok(ExitCode::Done)
        }
        None => {
            let known: Vec<&str> = PAGES.iter().map(|(id, _)| *id).collect();
            Err(Failure::new(
                ExitCode::Usage,
                format!("there is no policy `{wanted}`"),
                NextStep::Edit(format!("known: {}", known.join(", "))),
            ))
        }
    }
}
