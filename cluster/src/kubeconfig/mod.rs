//! From kubectl's flags and kubeconfig files to a connection, as kubectl itself would make it.
//!
//! Order: `--kubeconfig`, else the files of `KUBECONFIG`, else `~/.kube/config`; flags on top; where there is no kubeconfig at
//! all, the service account of the pod we run in. Reads files only: no server is asked, no plugin is run ([`Access`] is the
//! result, [`crate::KubeCluster::connect`] does the rest).

mod error;
mod files;
mod for_helm;

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};

pub use error::ConnectionError;
pub use for_helm::HelmAccess;

use crate::{causes, proxy};

/// Name of the one context that is left when everything is resolved.
const OURS: &str = "ovncilium";
/// How long a request may take unless the operator says otherwise.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A bearer token; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// kubectl's connection flags; everything absent means kubectl's own default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// `--server`.
    pub server: Option<String>,
    /// `--token`.
    pub token: Option<Token>,
    /// `--as`.
    pub impersonate: Option<String>,
    /// `--as-group`, each.
    pub impersonate_groups: Vec<String>,
    /// `--as-uid`.
    pub impersonate_uid: Option<String>,
    /// `--certificate-authority`.
    pub certificate_authority: Option<PathBuf>,
    /// `--client-certificate`.
    pub client_certificate: Option<PathBuf>,
    /// `--client-key`.
    pub client_key: Option<PathBuf>,
    /// `--insecure-skip-tls-verify`.
    pub insecure_skip_tls_verify: bool,
    /// `--tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--request-timeout`, read by [`parse_timeout`]; zero means no limit, absent means [`REQUEST_TIMEOUT`].
    pub request_timeout: Option<Duration>,
}

/// A resolved connection: which server, as whom.
#[derive(Clone)]
pub struct Access {
    pub(crate) config: kube::Config,
    pub(crate) request_timeout: Option<Duration>,
    context: Option<String>,
    helm: HelmAccess,
}

impl Access {
    /// URL of the API server.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    /// Namespace of the flags or of the context; `default` when neither names one.
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// The context; absent for `--server` without kubeconfig and in a pod.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// What helm needs to reach the same server as the same user.
    pub fn for_helm(&self) -> &HelmAccess {
        &self.helm
    }
}

impl Connection {
    /// Resolves the flags. Touches files only.
    ///
    /// # Errors
    /// [`ConnectionError`]: no kubeconfig, an unreadable or torn one, names that are not in it, certificates that cannot be read.
    pub fn open(&self) -> Result<Access, ConnectionError> {
        let files = files::read(self.kubeconfig.as_deref())?;
        if files.is_empty() && self.server.is_none() {
            return self.in_cluster(&files);
        }
        let merged = &files.merged;
        let (context_name, context) = self.pick_context(merged)?;
        let cluster_name = self.cluster.clone().unwrap_or_else(|| context.cluster.clone());
        let mut cluster = named(&merged.clusters, &cluster_name, |c| (&c.name, c.cluster.as_ref()));
        if cluster.is_none() && (self.server.is_none() || self.cluster.is_some()) {
            let known = merged.clusters.iter().map(|c| c.name.clone()).collect();
            return Err(ConnectionError::UnknownCluster { name: cluster_name, known, files: files.names() });
        }
        let user_name = self.user.clone().or_else(|| context.user.clone()).filter(|name| !name.is_empty());
        let mut user = match &user_name {
            Some(name) => named(&merged.auth_infos, name, |u| (&u.name, u.auth_info.as_ref())),
            None => None,
        };
        if user.is_none() && self.user.is_some() {
            let known = merged.auth_infos.iter().map(|u| u.name.clone()).collect();
            let name = user_name.unwrap_or_default();
            return Err(ConnectionError::UnknownUser { name, known, files: files.names() });
        }
        let own_cluster = self.change_cluster(cluster.get_or_insert_default());
        let own_user = self.change_user(user.get_or_insert_default());
        let namespace = self.namespace.clone().or(context.namespace.clone()).filter(|name| !name.is_empty());
        let resolved = Resolved {
            cluster: cluster.unwrap_or_default(),
            user: user.unwrap_or_default(),
            namespace,
            cluster_name: (!own_cluster).then_some(cluster_name),
            user_name: if own_user { None } else { Some(user_name.unwrap_or_default()) },
        };
        self.access(resolved, context_name, files.paths)
    }

    /// Names of all contexts, in the order of the files, and of the current one.
    ///
    /// # Errors
    /// As [`Connection::open`] for the files themselves.
    pub fn contexts(&self) -> Result<(Vec<String>, Option<String>), ConnectionError> {
        let merged = files::read(self.kubeconfig.as_deref())?.merged;
        let names = merged.contexts.into_iter().map(|context| context.name).collect();
        Ok((names, merged.current_context.filter(|name| !name.is_empty())))
    }

    fn pick_context(&self, merged: &Kubeconfig) -> Result<(Option<String>, Context), ConnectionError> {
        let known = || -> Vec<String> { merged.contexts.iter().map(|context| context.name.clone()).collect() };
        let wanted = self.context.clone().or_else(|| merged.current_context.clone()).filter(|name| !name.is_empty());
        let Some(name) = wanted else {
            let complete = self.server.is_some() || self.cluster.is_some();
            return if complete {
                Ok((None, Context::default()))
            } else {
                Err(ConnectionError::NoContext { known: known() })
            };
        };
        match named(&merged.contexts, &name, |c| (&c.name, c.context.as_ref())) {
            Some(context) => Ok((Some(name), context)),
            None => Err(ConnectionError::UnknownContext { name, known: known() }),
        }
    }

    /// Puts the flags about the server on `cluster`; whether there were any.
    fn change_cluster(&self, cluster: &mut Cluster) -> bool {
        let before = (self.server.is_some(), self.certificate_authority.is_some(), self.tls_server_name.is_some());
        if let Some(server) = &self.server {
            cluster.server = Some(server.clone());
        }
        if let Some(path) = &self.certificate_authority {
            cluster.certificate_authority = Some(absolute(path));
            cluster.certificate_authority_data = None;
            cluster.insecure_skip_tls_verify = None;
        }
        if self.insecure_skip_tls_verify {
            cluster.insecure_skip_tls_verify = Some(true);
            cluster.certificate_authority = None;
            cluster.certificate_authority_data = None;
        }
        if let Some(name) = &self.tls_server_name {
            cluster.tls_server_name = Some(name.clone());
        }
        before != (false, false, false) || self.insecure_skip_tls_verify
    }

    /// Puts the flags about the user on `user`; whether there were any.
    fn change_user(&self, user: &mut AuthInfo) -> bool {
        let mut changed = false;
        if let Some(Token(token)) = &self.token {
            // A token given by hand wins over every other way to get one.
            *user = AuthInfo {
                token: Some(token.clone().into()),
                token_file: None,
                exec: None,
                auth_provider: None,
                username: None,
                password: None,
                ..std::mem::take(user)
            };
            changed = true;
        }
        if let Some(path) = &self.client_certificate {
            user.client_certificate = Some(absolute(path));
            user.client_certificate_data = None;
            changed = true;
        }
        if let Some(path) = &self.client_key {
            user.client_key = Some(absolute(path));
            user.client_key_data = None;
            changed = true;
        }
        if self.impersonate.is_some() || !self.impersonate_groups.is_empty() || self.impersonate_uid.is_some() {
            user.impersonate = self.impersonate.clone();
            user.impersonate_uid = self.impersonate_uid.clone();
            user.impersonate_groups = (!self.impersonate_groups.is_empty()).then(|| self.impersonate_groups.clone());
            changed = true;
        }
        changed
    }

    fn in_cluster(&self, files: &files::Files) -> Result<Access, ConnectionError> {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            return Err(ConnectionError::NoKubeconfig { looked: files.looked.clone() });
        }
        let config =
            kube::Config::incluster().map_err(|error| ConnectionError::InCluster { message: causes::chain(&error) })?;
        let mut cluster = Cluster {
            server: Some(config.cluster_url.to_string().trim_end_matches('/').to_owned()),
            certificate_authority: config.root_cert_file.as_ref().map(|path| path.display().to_string()),
            ..Cluster::default()
        };
        let mut user = AuthInfo { token_file: config.auth_info.token_file.clone(), ..AuthInfo::default() };
        self.change_cluster(&mut cluster);
        self.change_user(&mut user);
        let namespace = Some(self.namespace.clone().unwrap_or(config.default_namespace));
        let resolved = Resolved { cluster, user, namespace, cluster_name: None, user_name: None };
        self.access(resolved, None, Vec::new())
    }

    fn access(
        &self,
        resolved: Resolved,
        context: Option<String>,
        paths: Vec<PathBuf>,
    ) -> Result<Access, ConnectionError> {
        check_server(&resolved.cluster)?;
        let own_proxy = resolved.cluster.proxy_url.as_ref().is_some_and(|url| !url.is_empty());
        let mut config = kube::Config::try_from(resolved.kubeconfig())
            .map_err(|error| ConnectionError::Credentials { message: causes::chain(&error) })?;
        if !own_proxy && let Some(host) = config.cluster_url.host() {
            let no_proxy =
                ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
            if proxy::is_direct(host, config.cluster_url.port_u16(), &no_proxy.unwrap_or_default()) {
                config.proxy_url = None;
            }
        }
        let request_timeout = self.request_timeout.unwrap_or(REQUEST_TIMEOUT);
        Ok(Access {
            helm: HelmAccess::new(&resolved, paths)?,
            config,
            request_timeout: (!request_timeout.is_zero()).then_some(request_timeout),
            context,
        })
    }
}

/// One cluster, one user; names are kept where the files' own entries can be used as they are.
struct Resolved {
    cluster: Cluster,
    user: AuthInfo,
    namespace: Option<String>,
    cluster_name: Option<String>,
    user_name: Option<String>,
}

impl Resolved {
    fn kubeconfig(&self) -> Kubeconfig {
        let context = Context {
            cluster: OURS.to_owned(),
            user: Some(OURS.to_owned()),
            namespace: self.namespace.clone(),
            ..Context::default()
        };
        Kubeconfig {
            kind: Some("Config".to_owned()),
            api_version: Some("v1".to_owned()),
            current_context: Some(OURS.to_owned()),
            contexts: vec![NamedContext { name: OURS.to_owned(), context: Some(context), ..NamedContext::default() }],
            clusters: vec![NamedCluster {
                name: OURS.to_owned(),
                cluster: Some(self.cluster.clone()),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: OURS.to_owned(),
                auth_info: Some(self.user.clone()),
                ..NamedAuthInfo::default()
            }],
            ..Kubeconfig::default()
        }
    }
}

fn check_server(cluster: &Cluster) -> Result<(), ConnectionError> {
    let url = cluster.server.clone().unwrap_or_default();
    let known = url
        .parse::<http::Uri>()
        .is_ok_and(|uri| matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some());
    if known { Ok(()) } else { Err(ConnectionError::NoServer { url }) }
}

fn named<T, V: Clone>(items: &[T], name: &str, parts: impl Fn(&T) -> (&String, Option<&V>)) -> Option<V> {
    items.iter().map(parts).find(|(item, _)| *item == name).and_then(|(_, value)| value.cloned())
}

fn absolute(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Reads `--request-timeout` as kubectl does: `30`, `30s`, `2m`, `1h30m`; `0` means no limit.
///
/// # Errors
/// [`ConnectionError::Timeout`] for anything else.
pub fn parse_timeout(text: &str) -> Result<Duration, ConnectionError> {
    let invalid = || ConnectionError::Timeout { text: text.to_owned() };
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0).ok_or_else(invalid)?;
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(invalid()),
        };
        let factor = u32::try_from(number).map_err(|_| invalid())?;
        total = unit.checked_mul(factor).and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
        rest = &rest[unit_end..];
    }
    if text.is_empty() { Err(invalid()) } else { Ok(total) }
}
