//! From kubectl's flags to a cluster.

use std::path::PathBuf;

use ovncilium_cluster::kubeconfig::{Token, parse_timeout};
use ovncilium_cluster::{Access, Connection as Flags};

use crate::cli::Connection;
use crate::failure::Failure;

/// Name of the plugin whose command is `helm ovncilium`.
const HELM_PLUGIN: &str = "ovncilium";

/// The flags as the cluster crate knows them. Behind `helm ovncilium` what Helm was told fills what was not said to us.
///
/// # Errors
/// A request timeout that is no duration.
pub fn flags(args: &Connection) -> Result<Flags, Failure> {
    let flags = own_flags(args)?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(if variable("HELM_PLUGIN_NAME").is_some_and(|name| name == HELM_PLUGIN) {
        as_helm(flags, variable)
    } else {
        flags
    })
}

/// The flags when Helm calls us as its post-renderer: it connects by the same variables.
///
/// # Errors
/// As [`flags`].
pub fn flags_of_helm(args: &Connection) -> Result<Flags, Failure> {
    Ok(as_helm(own_flags(args)?, |name| std::env::var(name).ok().filter(|value| !value.is_empty())))
}

/// Helm keeps its flags about the cluster (`--kube-context` and its kin) to itself and hands variables on instead; without them
/// `helm ovncilium migrate --kube-context b` would migrate the current context. A flag of ours counts before a variable.
fn as_helm(flags: Flags, variable: impl Fn(&str) -> Option<String>) -> Flags {
    let groups = || variable("HELM_KUBEASGROUPS").map(|all| all.split(',').map(str::to_owned).collect());
    Flags {
        context: flags.context.or_else(|| variable("HELM_KUBECONTEXT")),
        server: flags.server.or_else(|| variable("HELM_KUBEAPISERVER")),
        token: flags.token.or_else(|| variable("HELM_KUBETOKEN").map(Token)),
        impersonate: flags.impersonate.or_else(|| variable("HELM_KUBEASUSER")),
        impersonate_groups: Some(flags.impersonate_groups)
            .filter(|own| !own.is_empty())
            .or_else(groups)
            .unwrap_or_default(),
        certificate_authority: flags.certificate_authority.or_else(|| variable("HELM_KUBECAFILE").map(PathBuf::from)),
        insecure_skip_tls_verify: flags.insecure_skip_tls_verify
            || variable("HELM_KUBEINSECURE_SKIP_TLS_VERIFY").is_some_and(|value| value == "true"),
        tls_server_name: flags.tls_server_name.or_else(|| variable("HELM_KUBETLS_SERVER_NAME")),
        ..flags
    }
}

fn own_flags(args: &Connection) -> Result<Flags, Failure> {
    Ok(Flags {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        cluster: args.cluster.clone(),
        user: args.user.clone(),
        namespace: None,
        server: args.server.clone(),
        token: args.token.clone().map(Token),
        impersonate: args.as_user.clone(),
        impersonate_groups: args.as_group.clone(),
        impersonate_uid: args.as_uid.clone(),
        certificate_authority: args.certificate_authority.clone(),
        client_certificate: args.client_certificate.clone(),
        client_key: args.client_key.clone(),
        insecure_skip_tls_verify: args.insecure_skip_tls_verify,
        tls_server_name: args.tls_server_name.clone(),
        request_timeout: args.request_timeout.as_deref().map(parse_timeout).transpose()?,
    })
}

/// Which cluster, as whom; nothing is asked yet.
///
/// # Errors
/// No kubeconfig, an unknown context, an unreadable file.
pub fn resolve(args: &Connection) -> Result<Access, Failure> {
    Ok(flags(args)?.open()?)
}

/// Who we are, for the lock: user, machine and process.
pub fn holder() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{machine}, process {}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_was_told_fills_what_was_not_said_to_us() {
        let variable = |name: &str| {
            let value = match name {
                "HELM_KUBECONTEXT" => "b",
                "HELM_KUBEAPISERVER" => "https://b",
                "HELM_KUBETOKEN" => "t",
                "HELM_KUBEASUSER" => "jane",
                "HELM_KUBEASGROUPS" => "g,h",
                "HELM_KUBECAFILE" => "/ca",
                "HELM_KUBEINSECURE_SKIP_TLS_VERIFY" => "true",
                "HELM_KUBETLS_SERVER_NAME" => "name",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let told = Flags {
            context: Some("b".to_owned()),
            server: Some("https://b".to_owned()),
            token: Some(Token("t".to_owned())),
            impersonate: Some("jane".to_owned()),
            impersonate_groups: vec!["g".to_owned(), "h".to_owned()],
            certificate_authority: Some("/ca".into()),
            insecure_skip_tls_verify: true,
            tls_server_name: Some("name".to_owned()),
            ..Flags::default()
        };
        assert_eq!(as_helm(Flags::default(), variable), told);
        let own = Flags { context: Some("a".to_owned()), impersonate_groups: vec!["x".to_owned()], ..Flags::default() };
        let both = as_helm(own.clone(), variable);
        assert_eq!((&both.context, &both.impersonate_groups), (&own.context, &own.impersonate_groups));
        assert_eq!(as_helm(own.clone(), |_| None), own);
    }
}
