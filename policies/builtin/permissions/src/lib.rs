//! `permissions`: whoever runs this may make every request that a migration makes.
//!
//! A refusal in the middle of a run pauses it where nobody wants to stand; it is asked for before.

use ovncilium_policy_sdk::prelude::*;
use serde::Deserialize;

const RULE: &str = "all-allowed";

/// The policy; what it holds is told by [`Policy::info`].
pub struct Permissions;
export_policy!(Permissions);

#[derive(Deserialize)]
struct Permission {
    verb: String,
    group: String,
    resource: String,
    namespace: String,
    allowed: bool,
    needed_for: String,
}

impl Permission {
    /// `pods/eviction`, `daemonsets.apps`.
    fn target(&self) -> String {
        if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) }
    }

    /// The question as `kubectl auth can-i` takes it.
    fn question(&self) -> String {
        let (resource, sub) = self.resource.split_once('/').unwrap_or((&self.resource, ""));
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let sub = if sub.is_empty() { String::new() } else { format!(" --subresource={sub}") };
        let place = if self.namespace.is_empty() { "-A".to_owned() } else { format!("-n {}", self.namespace) };
        format!("kubectl auth can-i {} {resource}{group}{sub} {place}", self.verb)
    }
}

impl Policy for Permissions {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("permissions", env!("CARGO_PKG_VERSION"), "every request of a migration is allowed")
            .scope(ScopeKind::Cluster)
            .fact("intent")
            .fact("permissions")
            .rule(Rule::error(RULE, "the current user may make every request of a migration").help(
                "The API server was asked for each of them (SelfSubjectAccessReview). Add a rule to a ClusterRole, or to a \
                 Role of the namespace named, that this user is bound to; or use another user (--context, --as).",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let action = match context.facts.require::<String>("intent", "/action") {
            Ok(action) => action,
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        if action == "install" {
            return Ok(vec![Finding::skip(RULE, "a plain installation makes other requests than a migration")]);
        }
        let items: Vec<Permission> = match context.facts.require("permissions", "/items") {
            Ok(items) => items,
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        if items.is_empty() {
            return Ok(vec![Finding::unknown(RULE, "no question was asked")]);
        }
        let missing: Vec<Finding> = items.iter().filter(|item| !item.allowed).map(refused).collect();
        if missing.is_empty() {
            return Ok(vec![
                Finding::pass(RULE).message(format!("all {} questions were answered with yes", items.len())),
            ]);
        }
        Ok(missing)
    }
}

fn refused(item: &Permission) -> Finding {
    let place = if item.namespace.is_empty() { "all namespaces".to_owned() } else { item.namespace.clone() };
    let target = item.target();
    Finding::fail(RULE, format!("{} {target} in {place} is refused; it is needed {}", item.verb, item.needed_for))
        .subject(format!("permission/{} {target}", item.verb))
        .remedy(format!(
            "allow it: `apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{}\"]`; then `{}` says yes",
            item.group,
            item.resource,
            item.verb,
            item.question()
        ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::Permissions>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
