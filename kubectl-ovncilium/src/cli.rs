//! The command line: what can be asked, and the help that teaches it.

mod help;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ovncilium_core::ExitCode;
use ovncilium_core::plan::kube_proxy::ApiServer;

use crate::ui;
use help::{ABOUT, AFTER, LINT_AFTER, REPLACE_HELP, VALUES_HELP};

/// Name of the post-renderer face; the file the process is called by decides.
const POST_RENDERER: &str = "ovncilium-post-renderer";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "kubectl ovncilium", bin_name = "kubectl ovncilium", version, about = ABOUT, after_help = AFTER, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Which cluster.
    #[command(flatten)]
    pub connection: Connection,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge a cluster, a snapshot or manifests by the policies; writes nothing (with --nodes: short-lived pods)
    Check(Check),
    /// Write everything known of the cluster to a file, for check and plan without the cluster
    Snapshot(Snapshot),
    /// Show what a migration would do, step by step; writes nothing to the cluster
    Plan(PlanArgs),
    /// Migrate node by node, or go on with a migration that was interrupted
    Migrate(Migrate),
    /// Tell where a run stands, from the cluster alone
    Status(Status),
    /// Hold what a migration has made against the cluster: 0 when all of it holds, 8 when something has drifted
    Verify(Verify),
    /// Have Cilium serve Services instead of kube-proxy, after a migration; --back brings kube-proxy back
    #[command(after_help = REPLACE_HELP)]
    ReplaceKubeProxy(ReplaceKubeProxy),
    /// Go back to Kube-OVN alone
    Rollback(Rollback),
    /// Judge the Cilium chart's manifests between helm and the cluster (Helm calls this)
    PostRender(PostRender),
    /// Print the complete, minimal chart values for this cluster and this chart, each with its reason
    #[command(after_help = VALUES_HELP)]
    Values(Values),
    /// Judge rendered manifests in Git, by file and line, for pipelines without a post-renderer
    Lint(Lint),
    /// Explain a policy: what must hold, why, and how to get there
    Explain(Explain),
}

/// kubectl's own flags; they come after the plugin's name.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cluster (as kubectl)")]
pub struct Connection {
    /// Path of the kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// Address of the API server
    #[arg(long, short = 's', global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token
    #[arg(long, global = true, hide_env_values = true)]
    pub token: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,
    /// UID to impersonate
    #[arg(long, global = true, value_name = "UID")]
    pub as_uid: Option<String>,
    /// Certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// Client certificate
    #[arg(long, global = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// Client key
    #[arg(long, global = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Do not verify the API server's certificate
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,
    /// Server name for certificate validation
    #[arg(long, global = true)]
    pub tls_server_name: Option<String>,
    /// Seconds to wait for one request
    #[arg(long, global = true, value_name = "SECONDS")]
    pub request_timeout: Option<String>,
}

/// Where policies come from, besides the built-in ones.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Policies")]
pub struct Policies {
    /// Policy module of your own, .wasm or .wat; pin it with @sha256:…; may be repeated
    #[arg(long = "policy", value_name = "FILE[@sha256:DIGEST]")]
    pub modules: Vec<String>,
    /// Policy file: modules, their settings, waivers
    #[arg(long, value_name = "FILE", env = "OVNCILIUM_CONFIG")]
    pub config: Option<PathBuf>,
    /// Take the built-in modules from this directory instead of the binary
    #[arg(long, value_name = "DIR")]
    pub policy_dir: Option<PathBuf>,
}

/// The chart and what to do with it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cilium")]
pub struct Chart {
    /// Cilium's chart: a package, a directory, or repo/name (with --chart-version)
    #[arg(long, value_name = "CHART")]
    pub chart: Option<String>,
    /// Version of the chart, where CHART is a repository reference
    #[arg(long, value_name = "VERSION")]
    pub chart_version: Option<String>,
    /// The helm to run; else $HELM_BIN, else the one on PATH
    #[arg(long, value_name = "PATH")]
    pub helm: Option<PathBuf>,
    /// Range for Cilium's own addresses; else a free one is chosen
    #[arg(long, value_name = "CIDR", value_parser = ipv4_range)]
    pub cluster_pool: Vec<String>,
}

/// Choices of a plan.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Plan")]
pub struct Choose {
    /// Name of the Helm release
    #[arg(long, default_value = "cilium")]
    pub release: String,
    /// Namespace of the Helm release
    #[arg(long, default_value = "kube-system", value_name = "NAMESPACE")]
    pub release_namespace: String,
    /// Nodes in work at once, at most; waves are 1, 2, 4 … up to this
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=250))]
    pub wave_limit: u32,
    /// Seconds to watch between waves
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub soak: u32,
    /// Your own values of the chart (registry, resources, Hubble …) besides those of the migration; may be repeated
    #[arg(long, value_name = "FILE")]
    pub values: Vec<PathBuf>,
    /// Leave this pod as it is although it will have no endpoint; may be repeated
    #[arg(long, value_name = "NAMESPACE/POD", value_parser = pod)]
    pub leave: Vec<String>,
    /// Take over the Cilium that is chained here already, after Kube-OVN's guide or by hand; reads every node (by a short-lived pod
    /// on each), keeps the release's other values, and needs the chart of its version
    #[arg(long, conflicts_with = "values")]
    pub adopt: bool,
    /// Address of the API server itself, where the Cilium that is taken over serves Services and its release does not tell it by
    /// k8sServiceHost and k8sServicePort; no address of a Service
    #[arg(long, value_name = "HOST:PORT", value_parser = api_server, requires = "adopt")]
    pub api_server: Option<ApiServer>,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Judge this snapshot instead of a cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["manifests", "nodes"])]
    pub facts: Option<PathBuf>,
    /// Judge these manifests (YAML, JSON, install scripts; directories, - for stdin); what is not in them is unknown
    #[arg(long, value_name = "FILE|DIR|-", conflicts_with = "nodes", num_args = 1..)]
    pub manifests: Vec<PathBuf>,
    /// Also read every node: a short-lived read-only pod on each
    #[arg(long)]
    pub nodes: bool,
    /// Version of Cilium to judge for, where no chart is at hand
    #[arg(long, value_name = "VERSION", value_parser = cilium_version)]
    pub cilium_version: Option<String>,
    /// Show what passed as well
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub chart: Chart,
    #[command(flatten)]
    pub policies: Policies,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ReportOutput,
}

/// `snapshot`.
#[derive(Debug, Args)]
pub struct Snapshot {
    /// The helm to look at; else $HELM_BIN, else the one on PATH
    #[arg(long, value_name = "PATH")]
    pub helm: Option<PathBuf>,
    /// Where to write; - for stdout
    #[arg(long, short = 'f', value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// Also read every node: a short-lived read-only pod on each
    #[arg(long)]
    pub nodes: bool,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Plan for this snapshot instead of a cluster
    #[arg(long, value_name = "FILE", conflicts_with = "adopt")]
    pub facts: Option<PathBuf>,
    /// Write the plan to a file, for `migrate --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub chart: Chart,
    #[command(flatten)]
    pub choose: Choose,
    #[command(flatten)]
    pub policies: Policies,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Migrate the embedded pretend cluster: the same engine, nothing real is touched
    #[arg(long, conflicts_with_all = ["plan", "chart", "chart_version", "helm", "values"])]
    pub rehearse: bool,
    /// Seed of the rehearsal: the same seed gives the same run
    #[arg(long, default_value_t = 1, requires = "rehearse", value_name = "N")]
    pub seed: u64,
    /// Run this saved plan
    #[arg(long, value_name = "FILE", conflicts_with = "adopt")]
    pub plan: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Enforce although Cilium will drop what the paused run has shown (never what comes from nodes)
    #[arg(long)]
    pub accept_drops: bool,
    #[command(flatten)]
    pub chart: Chart,
    #[command(flatten)]
    pub choose: Choose,
    #[command(flatten)]
    pub policies: Policies,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Hold it against this snapshot instead of a cluster
    #[arg(long, value_name = "FILE", conflicts_with = "nodes")]
    pub facts: Option<PathBuf>,
    /// Also read every node: a short-lived read-only pod on each
    #[arg(long)]
    pub nodes: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `replace-kube-proxy`.
#[derive(Debug, Args)]
pub struct ReplaceKubeProxy {
    /// Bring kube-proxy back and prove it, then have Cilium stop serving Services of nodes
    #[arg(long, conflicts_with = "api_server")]
    pub back: bool,
    /// Address of the API server itself, where kube-proxy's own kubeconfig does not tell it; no address of a Service
    #[arg(long, value_name = "HOST:PORT", value_parser = api_server)]
    pub api_server: Option<ApiServer>,
    /// Show the plan and end
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The chart that is installed, where Cilium was upgraded since the migration
    #[arg(long, value_name = "CHART")]
    pub chart: Option<String>,
    /// The helm to run; else $HELM_BIN, else the one on PATH
    #[arg(long, value_name = "PATH")]
    pub helm: Option<PathBuf>,
    /// Nodes in work at once, at most; as in the migration when it is not said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=250))]
    pub wave_limit: Option<u32>,
    /// Seconds to watch between waves; as in the migration when it is not said
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub soak: Option<u32>,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// The helm to run; else $HELM_BIN, else the one on PATH
    #[arg(long, value_name = "PATH")]
    pub helm: Option<PathBuf>,
}

/// `post-render`.
#[derive(Debug, Args)]
pub struct PostRender {
    /// What the manifests are judged by
    #[arg(long, value_enum, default_value_t)]
    pub mode: RenderMode,
    /// Judge the documents alone, no cluster
    #[arg(long, conflicts_with = "facts")]
    pub offline: bool,
    /// Judge with this snapshot instead of a cluster
    #[arg(long, value_name = "FILE")]
    pub facts: Option<PathBuf>,
    /// How old the snapshot may be, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub max_age: u64,
    /// Where a refusal is written besides stderr
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Policies and choices of the run that calls us
    #[arg(long, value_name = "FILE", hide = true)]
    pub run: Option<PathBuf>,
    /// The helm of the run that calls us
    #[arg(long, value_name = "PATH", hide = true)]
    pub helm: Option<PathBuf>,
    #[command(flatten)]
    pub policies: Policies,
}

/// `values`.
#[derive(Debug, Args)]
pub struct Values {
    /// For the cluster of this snapshot
    #[arg(long, value_name = "FILE", conflicts_with = "nodes")]
    pub facts: Option<PathBuf>,
    /// Also read every node (layout guide: compare Kube-OVN's file): a short-lived read-only pod on each
    #[arg(long)]
    pub nodes: bool,
    /// Version of the chart, where no chart is at hand
    #[arg(long, value_name = "VERSION", value_parser = cilium_version, conflicts_with = "chart")]
    pub cilium_version: Option<String>,
    /// How the chained CNI file stands beside Kube-OVN's; without it the best that this Cilium can have
    #[arg(long, value_enum)]
    pub layout: Option<LayoutChoice>,
    /// The values that stay, which enforce policies: for when every pod is managed by Cilium
    #[arg(long)]
    pub settled: bool,
    /// Uplink of the nodes, name+ for every device whose name begins so; else what Kube-OVN's --iface says; may be repeated
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    pub uplink: Vec<String>,
    /// Address of the API server itself, needed where Cilium has replaced kube-proxy
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub api_server: Option<(String, String)>,
    /// Have Cilium serve Services instead of kube-proxy, where that is done by hand
    #[arg(long, requires = "api_server")]
    pub replace_kube_proxy: bool,
    /// Kube-OVN's own conflist, copied from a node, where it is not the one that Kube-OVN ships
    #[arg(long, value_name = "FILE", requires = "layout")]
    pub conflist: Option<PathBuf>,
    /// Print the ConfigMap of layout guide instead of the values
    #[arg(long, conflicts_with = "output")]
    pub config_map: bool,
    /// Namespace of the Helm release
    #[arg(long, default_value = "kube-system", value_name = "NAMESPACE")]
    pub release_namespace: String,
    /// Where to write; - for stdout
    #[arg(long, short = 'f', value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    #[command(flatten)]
    pub chart: Chart,
    /// Output format; text is YAML for helm
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Layouts of the chained file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutChoice {
    /// 01-cilium.conflist beside 01-kube-ovn.conflist, which stays as it is (Cilium 1.14 and newer)
    Beside,
    /// 05-cilium.conflist of a ConfigMap, and Kube-OVN's file renamed to 10-kube-ovn.conflist
    Guide,
}

/// `lint`.
#[derive(Debug, Args)]
#[command(after_help = LINT_AFTER)]
pub struct Lint {
    /// Rendered manifests (files, directories, - for stdin); all are judged as one stream
    #[arg(long = "filename", short = 'f', value_name = "FILE|DIR|-", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Judge with this snapshot as well; a live cluster is asked only with --context, --kubeconfig or --server
    #[arg(long, value_name = "FILE", conflicts_with_all = ["context", "kubeconfig", "server"])]
    pub facts: Option<PathBuf>,
    /// How old the snapshot may be, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub max_age: u64,
    /// Show what passed as well
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub policies: Policies,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ReportOutput,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Id of a policy; without it, all are listed
    pub policy: Option<String>,
}

/// Formats of `check` and `lint`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportOutput {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For CI systems
    Junit,
    /// For code scanning (SARIF 2.1.0)
    Sarif,
}

/// Formats of most commands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// What rendered manifests are judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum RenderMode {
    /// Documents and cluster
    #[default]
    Gate,
    /// As `migrate` does: what the plan turns off itself counts as off
    Plan,
}

fn ipv4_range(text: &str) -> Result<String, String> {
    let range: ipnet::Ipv4Net = text.parse().map_err(|_| "expected an IPv4 range such as 100.65.0.0/16".to_owned())?;
    Ok(range.trunc().to_string())
}

fn cilium_version(text: &str) -> Result<String, String> {
    let version = text.trim_start_matches('v');
    semver::Version::parse(version).map_err(|_| "expected a version such as 1.18.12".to_owned())?;
    Ok(version.to_owned())
}

fn device(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('+').unwrap_or(text);
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c));
    if is_name { Ok(text.to_owned()) } else { Err("expected the name of a device, such as eth0 or bond+".to_owned()) }
}

fn api_server(text: &str) -> Result<ApiServer, String> {
    ApiServer::parse(text, None).ok_or_else(|| "expected HOST:PORT, such as 192.0.2.10:6443".to_owned())
}

fn host_port(text: &str) -> Result<(String, String), String> {
    let wrong = || "expected HOST:PORT, such as 192.0.2.10:6443".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(wrong());
    }
    Ok((host.to_owned(), port.to_owned()))
}

fn pod(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(text.to_owned())
        }
        _ => Err("expected NAMESPACE/POD".to_owned()),
    }
}

/// Parsing ended without a command: help, version or a wrong command line.
pub struct Stopped(clap::Error);

impl Stopped {
    /// Print it; help and version are no failures.
    pub fn show(self) -> ExitCode {
        ui::raw(&self.0.render().ansi().to_string(), self.0.use_stderr());
        if self.0.use_stderr() { ExitCode::Usage } else { ExitCode::Done }
    }
}

/// Read the command line. Called as `ovncilium-post-renderer`, everything is for `post-render`.
pub fn parse(mut arguments: Vec<OsString>) -> Result<Cli, Stopped> {
    let called_as = arguments.first().map(|first| Path::new(first).file_stem().unwrap_or_default().to_owned());
    if called_as.is_some_and(|name| name == POST_RENDERER) {
        arguments.insert(1, "post-render".into());
    }
    match post_render(&arguments) {
        Some(cli) => Ok(cli),
        None => Cli::try_parse_from(arguments).map_err(Stopped),
    }
}

/// The flags of `post-render`, without the other commands.
#[derive(Debug, Parser)]
struct Rendering {
    #[command(flatten)]
    args: PostRender,
    #[command(flatten)]
    connection: Connection,
}

/// `post-render` is what Helm waits for: the other commands are not built for it. None where there is anything to tell, which
/// the whole command line tells in its own words.
fn post_render(arguments: &[OsString]) -> Option<Cli> {
    let rest = arguments.get(1..).filter(|rest| rest.first().is_some_and(|first| first == "post-render"))?;
    let Rendering { args, connection } = Rendering::try_parse_from(rest).ok()?;
    Some(Cli { command: Command::PostRender(args), connection })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn post_render_alone_is_read_as_among_all_commands() {
        let calls = [
            "",
            "--offline",
            "--offline --kubeconfig a --context=b --report c --policy d --policy e@sha256:0",
            "-s https://example.org --mode plan --max-age 5 --run r --helm h",
            "--facts f --offline",
            "--mode other",
            "--max-age x",
            "--unknown",
            "--version",
            "--help",
            "-h",
            "more",
            "-- more",
        ];
        for call in calls {
            let arguments: Vec<OsString> = ["kubectl-ovncilium", "post-render"]
                .into_iter()
                .chain(call.split_whitespace())
                .map(Into::into)
                .collect();
            let alone = post_render(&arguments).map(|cli| format!("{cli:?}"));
            let among_all = Cli::try_parse_from(arguments).ok().map(|cli| format!("{cli:?}"));
            assert_eq!(alone, among_all, "{call}");
        }
        assert!(post_render(&["kubectl-ovncilium".into(), "check".into()]).is_none());
    }

    #[test]
    fn the_name_decides_the_face() {
        let parsed = parse(vec!["/x/ovncilium-post-renderer".into(), "--offline".into()]).ok().map(|cli| cli.command);
        assert!(matches!(parsed, Some(Command::PostRender(PostRender { offline: true, .. }))));
        assert!(parse(vec!["kubectl-ovncilium".into(), "--offline".into()]).is_err());
    }
}
