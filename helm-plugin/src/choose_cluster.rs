//! Which cluster the facts come from. Helm does not tell a post-renderer, so whatever is ambiguous is refused.
//!
//! Helm 3 and 4 hand on their environment but not their flags (`--kube-context` and `--kubeconfig` stay invisible). On
//! Linux the flags of the calling helm can be read; they name the cluster, or contradict what the environment names.
//! The kubeconfig's current context alone names nothing once there are two.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Environment;

/// What the command line says about the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterFlags {
    /// `--context`.
    pub context: Option<String>,
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--facts`.
    pub facts: Option<PathBuf>,
}

/// Flags of the helm that called us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HelmCommand {
    /// `--kube-context`.
    pub context: Option<String>,
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--kube-apiserver`.
    pub server: Option<String>,
    /// `helm install` or `helm upgrade`: what passes goes to a cluster.
    pub installs: bool,
}

impl HelmCommand {
    /// Reads a command line; `None` when it is not helm's.
    pub fn read(words: &[String]) -> Option<Self> {
        let name = Path::new(words.first()?).file_name()?.to_str()?;
        if !name.starts_with("helm") {
            return None;
        }
        let flag = |flag: &str| {
            let mut found = None;
            for (at, word) in words.iter().enumerate().skip(1) {
                if word == flag {
                    found = words.get(at + 1).cloned();
                } else if let Some(value) = word.strip_prefix(flag).and_then(|rest| rest.strip_prefix('=')) {
                    found = Some(value.to_owned());
                }
            }
            found.filter(|value| !value.is_empty())
        };
        Some(Self {
            context: flag("--kube-context"),
            kubeconfig: flag("--kubeconfig").map(PathBuf::from),
            server: flag("--kube-apiserver"),
            // The first of these words is the command, short of a namespace of that name before it.
            installs: words
                .iter()
                .skip(1)
                .find(|word| matches!(word.as_str(), "install" | "upgrade" | "template"))
                .is_some_and(|word| word != "template"),
        })
    }
}

/// The contexts of a kubeconfig.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubeconfig {
    /// Names of all contexts.
    pub contexts: Vec<String>,
    /// `current-context`: where helm goes when it is told nothing else.
    pub current: Option<String>,
}

/// The cluster that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterChoice {
    /// A file of facts; no cluster is asked.
    Facts(PathBuf),
    /// A context of a kubeconfig.
    Context {
        /// Its name.
        context: String,
        /// The kubeconfig, when it is not the usual one.
        kubeconfig: Option<PathBuf>,
        /// The API server, when it is not the context's.
        server: Option<String>,
    },
    /// No kubeconfig, but an API server (`HELM_KUBEAPISERVER`, with `HELM_KUBETOKEN` and its kin).
    Server(String),
    /// No kubeconfig: the service account of the pod we run in.
    InCluster,
}

/// Why no cluster was chosen, with what to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ambiguous {
    /// Several contexts, and none was named.
    Several {
        /// The contexts.
        contexts: Vec<String>,
    },
    /// A context was named that is not there.
    Missing {
        /// The name.
        context: String,
        /// Who named it.
        by: &'static str,
        /// The contexts that are there.
        contexts: Vec<String>,
    },
    /// Two names that do not agree.
    Contradiction {
        /// The first, with who named it.
        one: (String, &'static str),
        /// The second, with who named it.
        other: (String, &'static str),
    },
    /// No kubeconfig, no API server, no file.
    Nothing,
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Several { contexts } => {
                write!(f, "the kubeconfig has {} contexts and none was named: {}", contexts.len(), contexts.join(", "))
            }
            Self::Missing { context, by, contexts } if contexts.is_empty() => {
                write!(f, "{by} names the context `{context}`, but there is no kubeconfig with contexts")
            }
            Self::Missing { context, by, contexts } => {
                write!(f, "{by} names the context `{context}`; there are {}", contexts.join(", "))
            }
            Self::Contradiction { one, other } => {
                write!(f, "{} says `{}`, {} says `{}`", one.1, one.0, other.1, other.0)
            }
            Self::Nothing => f.write_str("there is no kubeconfig, and no cluster was named"),
        }
    }
}

impl std::error::Error for Ambiguous {}

impl Ambiguous {
    /// What to pass instead, as one line.
    ///
    /// The variable names the cluster to helm and to us at once, on every system and with every version of Helm.
    pub fn remedy(&self) -> String {
        match self {
            Self::Several { contexts } | Self::Missing { contexts, .. } if !contexts.is_empty() => {
                format!("run `HELM_KUBECONTEXT={} helm …` (or another of them)", contexts[0])
            }
            Self::Contradiction { .. } => {
                "name the cluster once, to helm itself: `HELM_KUBECONTEXT=… helm …`; leave the other name out".to_owned()
            }
            _ => "add `--post-renderer-args=--facts=FILE`, or `--post-renderer-args=--offline` to judge the documents alone"
                .to_owned(),
        }
    }
}

/// The kubeconfig that counts, when it is not the usual one: ours, or else the one of the calling helm.
///
/// # Errors
/// When both are given and differ.
pub(crate) fn kubeconfig(flags: &ClusterFlags, environment: &Environment) -> Result<Option<PathBuf>, Ambiguous> {
    let helm = environment.helm.as_ref().and_then(|helm| helm.kubeconfig.clone());
    match (&flags.kubeconfig, helm) {
        (Some(ours), Some(theirs)) if *ours != theirs => Err(Ambiguous::Contradiction {
            one: (theirs.display().to_string(), "helm's --kubeconfig"),
            other: (ours.display().to_string(), "--kubeconfig"),
        }),
        (ours, theirs) => Ok(ours.clone().or(theirs)),
    }
}

/// The cluster whose facts judge the chart.
///
/// In this order: `--facts`; `--context`, the calling helm's `--kube-context` and `HELM_KUBECONTEXT`, which must
/// not contradict each other (a flag of helm beats the variable, as it does in helm); the only context of the
/// kubeconfig; without a kubeconfig, `HELM_KUBEAPISERVER` or the pod's service account. A `--context` that a helm about to install
/// was not told is refused where the kubeconfig's current context is another: what one cluster agreed to must not go to another.
///
/// # Errors
/// Whatever leaves a doubt.
pub fn choose_cluster(
    flags: &ClusterFlags,
    environment: &Environment,
    config: &Kubeconfig,
) -> Result<ClusterChoice, Ambiguous> {
    if let Some(facts) = &flags.facts {
        return match &flags.context {
            Some(context) => Err(Ambiguous::Contradiction {
                one: (facts.display().to_string(), "--facts"),
                other: (context.clone(), "--context"),
            }),
            None => Ok(ClusterChoice::Facts(facts.clone())),
        };
    }
    let helm = environment.helm.clone().unwrap_or_default();
    let server = helm.server.or_else(|| environment.get("HELM_KUBEAPISERVER").map(str::to_owned));
    let helms = match helm.context {
        Some(context) => Some((context, "helm's --kube-context")),
        None => environment.get("HELM_KUBECONTEXT").map(|context| (context.to_owned(), "HELM_KUBECONTEXT")),
    };
    let named = match (&flags.context, helms) {
        (Some(ours), Some(theirs)) if *ours != theirs.0 => {
            return Err(Ambiguous::Contradiction { one: theirs, other: (ours.clone(), "--context") });
        }
        (Some(ours), None) if helm.installs && config.current.as_ref().is_some_and(|current| current != ours) => {
            let current = config.current.clone().unwrap_or_default();
            let one = (current, "the kubeconfig's current context, to which helm installs,");
            return Err(Ambiguous::Contradiction { one, other: (ours.clone(), "--context") });
        }
        (Some(ours), _) => Some((ours.clone(), "--context")),
        (None, theirs) => theirs,
    };
    let kubeconfig = kubeconfig(flags, environment)?;
    if let Some((context, by)) = named {
        return if config.contexts.contains(&context) {
            Ok(ClusterChoice::Context { context, kubeconfig, server })
        } else {
            Err(Ambiguous::Missing { context, by, contexts: config.contexts.clone() })
        };
    }
    match (config.contexts.as_slice(), server) {
        ([only], server) => Ok(ClusterChoice::Context { context: only.clone(), kubeconfig, server }),
        ([], Some(server)) => Ok(ClusterChoice::Server(server)),
        ([], None) if environment.get("KUBERNETES_SERVICE_HOST").is_some() => Ok(ClusterChoice::InCluster),
        ([], None) => Err(Ambiguous::Nothing),
        (several, _) => Err(Ambiguous::Several { contexts: several.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)], helm: &str) -> Environment {
        let words: Vec<_> = helm.split_whitespace().map(str::to_owned).collect();
        Environment {
            variables: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            helm: HelmCommand::read(&words),
            stdin_is_terminal: false,
        }
    }

    /// Chosen context, or the message of the refusal.
    fn chosen(context: &str, variables: &[(&str, &str)], helm: &str, contexts: &[&str]) -> String {
        let flags = ClusterFlags { context: Some(context.to_owned()).filter(|c| !c.is_empty()), ..Default::default() };
        let contexts: Vec<_> = contexts.iter().map(|c| (*c).to_owned()).collect();
        let config = Kubeconfig { current: contexts.first().cloned(), contexts };
        match choose_cluster(&flags, &environment(variables, helm), &config) {
            Ok(ClusterChoice::Context { context, server, .. }) => {
                context + &server.map(|s| format!(" at {s}")).unwrap_or_default()
            }
            Ok(ClusterChoice::Server(server)) => format!("server {server}"),
            Ok(other) => format!("{other:?}"),
            Err(ambiguous) => format!("{ambiguous}; {}", ambiguous.remedy()),
        }
    }

    #[test]
    fn a_named_context_counts_and_must_exist() {
        let two = ["lab", "prod"];
        assert_eq!(chosen("prod", &[], "helm template x", &two), "prod");
        assert_eq!(chosen("", &[("HELM_KUBECONTEXT", "lab")], "helm upgrade", &two), "lab");
        assert_eq!(chosen("", &[], "/usr/bin/helm upgrade --kube-context prod x", &two), "prod");
        assert_eq!(chosen("", &[("HELM_KUBECONTEXT", "lab")], "helm --kube-context=prod", &two), "prod", "as in helm");
        assert_eq!(
            chosen("", &[("HELM_KUBECONTEXT", "old")], "", &two),
            "HELM_KUBECONTEXT names the context `old`; there are lab, prod; run \
             `HELM_KUBECONTEXT=lab helm …` (or another of them)"
        );
    }

    #[test]
    fn the_only_context_counts_and_two_are_refused() {
        assert_eq!(chosen("", &[], "", &["lab"]), "lab");
        assert_eq!(
            chosen("", &[], "", &["lab", "prod"]),
            "the kubeconfig has 2 contexts and none was named: lab, prod; run \
             `HELM_KUBECONTEXT=lab helm …` (or another of them)"
        );
    }

    #[test]
    fn names_that_do_not_agree_are_refused() {
        let two = ["lab", "prod"];
        assert_eq!(
            chosen("lab", &[], "helm --kube-context prod", &two),
            "helm's --kube-context says `prod`, --context says `lab`; name the cluster once, to helm itself: \
             `HELM_KUBECONTEXT=… helm …`; leave the other name out"
        );
        let refused = chosen("lab", &[("HELM_KUBECONTEXT", "prod")], "", &two);
        assert!(refused.starts_with("HELM_KUBECONTEXT says `prod`, --context says `lab`"), "{refused}");
    }

    #[test]
    fn what_one_cluster_agreed_to_does_not_go_to_another() {
        let two = ["lab", "prod"];
        let told =
            "the kubeconfig's current context, to which helm installs, says `lab`, --context says `prod`; name the";
        for command in ["helm upgrade --install cilium c", "/x/helm -n install-me install template c"] {
            let refused = chosen("prod", &[], command, &two);
            assert!(refused.starts_with(told), "{command}: {refused}");
            assert_eq!(chosen("lab", &[], command, &two), "lab");
            assert_eq!(chosen("prod", &[], &format!("{command} --kube-context prod"), &two), "prod");
            assert_eq!(chosen("prod", &[("HELM_KUBECONTEXT", "prod")], command, &two), "prod");
        }
        assert_eq!(chosen("prod", &[], "helm template install c", &two), "prod", "nothing goes anywhere");
        assert_eq!(chosen("prod", &[], "", &two), "prod", "no helm can be seen");
    }

    #[test]
    fn without_a_kubeconfig_a_server_or_the_pod_must_be_there() {
        assert_eq!(chosen("", &[("HELM_KUBEAPISERVER", "https://a")], "", &[]), "server https://a");
        assert_eq!(chosen("", &[("HELM_KUBEAPISERVER", "https://a")], "", &["lab"]), "lab at https://a");
        assert_eq!(chosen("", &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")], "", &[]), "InCluster");
        let nothing = chosen("", &[], "", &[]);
        assert!(
            nothing.starts_with("there is no kubeconfig, and no cluster was named; add `--post-renderer-args=--facts")
        );
    }

    #[test]
    fn a_facts_file_needs_no_cluster_and_allows_no_context() {
        let mut flags = ClusterFlags { facts: Some("f.json".into()), ..Default::default() };
        let environment = environment(&[], "");
        let none = Kubeconfig::default();
        assert_eq!(choose_cluster(&flags, &environment, &none), Ok(ClusterChoice::Facts("f.json".into())));
        flags.context = Some("lab".to_owned());
        assert!(matches!(choose_cluster(&flags, &environment, &none), Err(Ambiguous::Contradiction { .. })));
    }

    #[test]
    fn reads_flags_of_helm_only() {
        let read = |line: &str| HelmCommand::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(read("bash -c x --kube-context y"), None);
        assert_eq!(
            read("/opt/helm-v4 t --kubeconfig k"),
            Some(HelmCommand { kubeconfig: Some("k".into()), ..Default::default() })
        );
    }
}
