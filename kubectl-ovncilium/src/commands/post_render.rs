//! `post-render`, and `ovncilium-post-renderer`: what Helm calls between rendering and installing.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use ovncilium_cluster::KubeCluster;
use ovncilium_core::ExitCode;
use ovncilium_core::facts::Facts;
use ovncilium_helm_plugin::{
    ClusterChoice, ClusterFlags, Environment, FactsSource, Kubeconfig, Mode, Options, Streams, Trouble, refuse,
    run as post_render,
};
use ovncilium_policy_host::{EvaluateOptions, evaluate};

use crate::cli::{Connection, PostRender, RenderMode};
use crate::failure::Failure;
use crate::input::{connection as connect, facts, files, policies};

/// Judge the stream on stdin.
pub fn run(args: &PostRender, connection: &Connection) -> ExitCode {
    let of_run = match &args.run {
        Some(file) => read_run(file),
        None => policies::Sources::read(&args.policies).map(|sources| policies::OfRun { sources, leave: Vec::new() }),
    };
    let (catalog, leave) = match of_run.and_then(|run| Ok((run.sources.catalog()?, run.leave))) {
        Ok(both) => both,
        Err(failure) => {
            let stderr = std::io::stderr();
            let report = args.report.as_deref();
            return refuse(
                "the policies could not be read",
                &Trouble::from(failure),
                report,
                &Environment::current(),
                &mut stderr.lock(),
            );
        }
    };
    let mode = match (args.offline, args.mode) {
        (true, _) => Mode::Offline,
        (false, RenderMode::Gate) => Mode::Gate,
        (false, RenderMode::Plan) => Mode::Plan,
    };
    let options = Options {
        mode,
        cluster: ClusterFlags {
            context: connection.context.clone(),
            kubeconfig: connection.kubeconfig.clone(),
            facts: args.facts.clone(),
        },
        max_age: Duration::from_secs(args.max_age * 60),
        report: args.report.clone(),
    };
    let now = Timestamp::now();
    let source = Real { connection, helm: args.helm.as_deref(), leave };
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let mut streams = Streams { stdin: &mut stdin.lock(), stdout: &mut stdout.lock(), stderr: &mut stderr.lock() };
    post_render(
        &options,
        &Environment::current(),
        &source,
        &|facts, stream| evaluate(&catalog, facts, Some(stream), &EvaluateOptions::at(now)),
        &mut streams,
    )
}

fn read_run(file: &Path) -> Result<policies::OfRun, Failure> {
    serde_json::from_slice(&files::read(file)?).map_err(|error| Failure::of(ExitCode::Usage, &error, None))
}

/// The real cluster and real files.
struct Real<'a> {
    connection: &'a Connection,
    helm: Option<&'a Path>,
    /// Pods that a run leaves without endpoint, since its operator said so.
    leave: Vec<String>,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            message: failure.message,
            exit: failure.exit,
            next: failure.next.map(|next| next.line()).unwrap_or_default(),
        }
    }
}

impl FactsSource for Real<'_> {
    fn kubeconfig(&self, path: Option<&Path>) -> Result<Kubeconfig, Trouble> {
        let mut flags = connect::flags_of_helm(self.connection)?;
        if let Some(path) = path {
            flags.kubeconfig = Some(path.to_owned());
        }
        let (contexts, current) = flags.contexts().map_err(Failure::from)?;
        Ok(Kubeconfig { contexts, current })
    }

    fn facts(&self, choice: &ClusterChoice) -> Result<Facts, Trouble> {
        let mut flags = connect::flags_of_helm(self.connection)?;
        match choice {
            ClusterChoice::Facts(file) => return Ok(facts::from_file(file)?),
            ClusterChoice::Context { context, kubeconfig, server } => {
                flags.context = Some(context.clone());
                flags.kubeconfig = kubeconfig.clone().or(flags.kubeconfig);
                flags.server = server.clone().or(flags.server);
            }
            ClusterChoice::Server(server) => flags.server = Some(server.clone()),
            ClusterChoice::InCluster => {}
        }
        let access = flags.open().map_err(Failure::from)?;
        let cluster = KubeCluster::connect(&access).map_err(Failure::from)?;
        let mut facts = facts::collect(&cluster, &access, self.helm, facts::RELEASE_NAMESPACE)?;
        facts.accept_unmanaged(&self.leave);
        Ok(facts)
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
