//! From kubectl's flags to a cluster.

use ovncilium_cluster::kubeconfig::{Token, parse_timeout};
use ovncilium_cluster::{Access, Connection as Flags};

use crate::cli::Connection;
use crate::failure::Failure;

/// The flags as the cluster crate knows them.
///
/// # Errors
/// A request timeout that is no duration.
pub fn flags(args: &Connection) -> Result<Flags, Failure> {
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
