//! [`Charts`] by the operator's own helm, version 3.9 or newer, or 4.
//!
//! Flags are those that both majors have; the majors differ only in how a post-renderer is named and in who applies objects.
//! Values go in by standard input, credentials by a private kubeconfig ([`HelmAccess`]), so neither is on a command line.
//! One chart, opened once: what was digested is what is installed.

mod binary;
mod chart;
mod kept;
mod post_renderer;
mod process;
mod record;
mod release;

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use ovncilium_core::plan::ChartRef;
use ovncilium_engine::world::{Charts, ChartsError, Heartbeat, Kept, Release};
use serde_json::Value;

pub use binary::{Binary, tools};
pub use chart::ChartSource;
pub use post_renderer::PostRenderer;

use crate::KubeCluster;
use crate::kubeconfig::HelmAccess;
use chart::{Chart, Fetch};
use process::Invocation;

/// How long one run of helm may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(300);
/// How long a pending release is given to the helm that may still be at work on it.
pub const PENDING_PATIENCE: Duration = Duration::from_secs(20);
/// Revisions that helm keeps.
const HISTORY: &str = "10";

/// What [`HelmCli`] needs.
#[derive(Clone)]
pub struct HelmOptions {
    /// `--helm`; found by itself when absent.
    pub helm: Option<PathBuf>,
    /// The chart.
    pub chart: ChartSource,
    /// The cluster for helm ([`crate::Access::for_helm`]); without it helm uses its own defaults.
    pub access: Option<HelmAccess>,
    /// The same cluster for us, to correct the record of a helm that was killed.
    pub cluster: Option<KubeCluster>,
    /// Values that the operator gave besides ours; `Null` when there are none.
    pub own_values: Value,
    /// Who judges the documents before they are installed.
    pub post_renderer: Option<PostRenderer>,
    /// Version of the API server, `v1.34.1`, that charts are rendered for.
    pub kube_version: Option<String>,
    /// [`TIME_LIMIT`].
    pub time_limit: Duration,
    /// [`PENDING_PATIENCE`].
    pub pending_patience: Duration,
}

impl HelmOptions {
    /// `chart`, and the defaults for everything else.
    pub fn new(chart: ChartSource) -> Self {
        Self {
            helm: None,
            chart,
            access: None,
            cluster: None,
            own_values: Value::Null,
            post_renderer: None,
            kube_version: None,
            time_limit: TIME_LIMIT,
            pending_patience: PENDING_PATIENCE,
        }
    }
}

/// helm, one chart and one cluster. Holds a private temporary directory that goes with it.
pub struct HelmCli {
    options: HelmOptions,
    dir: tempfile::TempDir,
    binary: OnceLock<Binary>,
    chart: OnceLock<Chart>,
}

impl HelmCli {
    /// Prepares; neither looks for helm nor opens the chart yet.
    ///
    /// # Errors
    /// [`ChartsError::Failed`] when the temporary directory cannot be made.
    pub fn new(options: HelmOptions) -> Result<Self, ChartsError> {
        let made = tempfile::Builder::new()
            .prefix("ovncilium-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .and_then(|dir| fs::create_dir(dir.path().join("plugins")).map(|()| dir));
        let dir = made.map_err(|error| machine(&error))?;
        if let Some(access) = &options.access {
            write_private(&dir.path().join("kubeconfig"), access.kubeconfig().as_bytes())
                .map_err(|error| machine(&error))?;
        }
        Ok(Self { options, dir, binary: OnceLock::new(), chart: OnceLock::new() })
    }

    /// The helm that is driven.
    ///
    /// # Errors
    /// Those of [`Binary::find`].
    pub fn binary(&self) -> Result<&Binary, ChartsError> {
        if let Some(binary) = self.binary.get() {
            return Ok(binary);
        }
        let found = Binary::find(self.options.helm.as_deref())?;
        Ok(self.binary.get_or_init(|| found))
    }

    fn opened(&self) -> Result<&Chart, ChartsError> {
        if let Some(chart) = self.chart.get() {
            return Ok(chart);
        }
        let opened = chart::open(&self.options.chart, self.dir.path(), self)?;
        Ok(self.chart.get_or_init(|| opened))
    }

    /// helm against the cluster.
    fn invocation(&self) -> Result<Invocation, ChartsError> {
        let invocation = Invocation::new(&self.binary()?.path, self.options.time_limit);
        let Some(access) = &self.options.access else { return Ok(invocation) };
        let variable = access
            .variable(&self.dir.path().join("kubeconfig"))
            .map_err(|error| ChartsError::Failed { command: "preparation".to_owned(), message: error.to_string() })?;
        Ok(invocation.environment("KUBECONFIG", variable))
    }

    /// helm against the cluster, without plugins of the operator's: one that is broken must not stop us.
    fn isolated(&self) -> Result<Invocation, ChartsError> {
        Ok(self.invocation()?.environment("HELM_PLUGINS", self.dir.path().join("plugins")))
    }

    fn run(&self, args: &[&str]) -> Result<Vec<u8>, ChartsError> {
        process::run(&self.on_cluster(args)?)
    }

    fn on_cluster(&self, args: &[&str]) -> Result<Invocation, ChartsError> {
        Ok(self.isolated()?.args(args).args(self.context()))
    }

    /// Named although it is the current one, so that a post-renderer that looks at helm's flags sees it.
    fn context(&self) -> Vec<String> {
        self.options.access.iter().map(|access| format!("--kube-context={}", access.context())).collect()
    }
}

impl Charts for HelmCli {
    fn chart(&self) -> Result<ChartRef, ChartsError> {
        Ok(self.opened()?.reference.clone())
    }

    fn archive(&self) -> Result<Vec<u8>, ChartsError> {
        Ok(self.opened()?.bytes.clone())
    }

    fn own_values(&self) -> &Value {
        &self.options.own_values
    }

    fn render(&self, release: &str, namespace: &str, values: &Value) -> Result<String, ChartsError> {
        let mut invocation = self
            .isolated()?
            .args(["template", release])
            .args([&self.opened()?.file])
            .args(["--namespace", namespace, "--values", "-"])
            .stdin(values.to_string().into_bytes());
        if let Some(version) = &self.options.kube_version {
            invocation = invocation.args(["--kube-version", version]);
        }
        let documents = process::run(&invocation)?;
        String::from_utf8(documents).map_err(|_| ChartsError::Failed {
            command: "template".to_owned(),
            message: "the documents are not UTF-8".to_owned(),
        })
    }

    fn release(&self, release: &str, namespace: &str) -> Result<Option<Release>, ChartsError> {
        Ok(release::find(self, release, namespace)?.map(|found| found.release))
    }

    fn upgrade(
        &self,
        release: &str,
        namespace: &str,
        values: &Value,
        beat: &mut Heartbeat<'_>,
    ) -> Result<(), ChartsError> {
        let binary = self.binary()?;
        let chart = self.opened()?;
        let before = release::settle(self, release, namespace, beat)?;
        let report = self.dir.path().join("report.txt");
        let _ = fs::remove_file(&report);
        let mut invocation = self
            .isolated()?
            .args(["upgrade", "--install", release])
            .args([&chart.file])
            .args(["--namespace", namespace, "--values", "-", "--reset-values", "--history-max", HISTORY])
            .args(self.context())
            .stdin(values.to_string().into_bytes())
            .report(&report);
        if binary.has("--server-side") {
            // As the release was applied before, so that its fields keep their owner. By the server, what somebody else has set
            // would stop helm halfway; by the client it never does. Forced, both do the same: the values win.
            let by_server = before.is_none_or(|found| found.by_server);
            invocation = invocation.args(if by_server {
                ["--server-side=true", "--force-conflicts"].as_slice()
            } else {
                ["--server-side=false"].as_slice()
            });
        }
        if let Some(renderer) = &self.options.post_renderer {
            invocation = invocation
                .args(renderer.prepare(binary.has("--post-renderer PLUGIN"), &self.dir.path().join("plugins"))?);
        }
        process::run_with(&invocation, beat).map(|_| ())
    }

    fn kept(&self, release: &str, namespace: &str) -> Result<Option<Kept>, ChartsError> {
        kept::kept(self, release, namespace)
    }

    fn render_kept(&self, release: &str, namespace: &str, values: &Value) -> Result<String, ChartsError> {
        kept::render(self, release, namespace, values)
    }

    fn upgrade_kept(
        &self,
        release: &str,
        namespace: &str,
        values: &Value,
        beat: &mut Heartbeat<'_>,
    ) -> Result<(), ChartsError> {
        kept::upgrade(self, release, namespace, values, beat)
    }

    fn uninstall(&self, release: &str, namespace: &str, beat: &mut Heartbeat<'_>) -> Result<(), ChartsError> {
        if release::await_end(self, release, namespace, beat)?.is_none() {
            return Ok(());
        }
        let outcome = release::uninstall(self, release, namespace, beat);
        match outcome {
            // Somebody else was faster.
            Err(_) if release::find(self, release, namespace).is_ok_and(|found| found.is_none()) => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }
}

impl Fetch for HelmCli {
    fn package(&self, directory: &Path, into: &Path) -> Result<(), ChartsError> {
        let invocation = self.isolated()?.args(["package"]).args([directory]).args(["--destination"]).args([into]);
        process::run(&invocation).map(|_| ())
    }

    fn pull(&self, location: &str, version: Option<&str>, repo: Option<&str>, into: &Path) -> Result<(), ChartsError> {
        // With the operator's plugins: a repository may need one to be read.
        let mut invocation = self.invocation()?.args(["pull", location, "--destination"]).args([into]);
        if let Some(version) = version {
            invocation = invocation.args(["--version", version]);
        }
        if let Some(repo) = repo {
            invocation = invocation.args(["--repo", repo]);
        }
        process::run(&invocation).map(|_| ())
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

fn machine(error: &std::io::Error) -> ChartsError {
    ChartsError::Failed { command: "preparation".to_owned(), message: error.to_string() }
}
