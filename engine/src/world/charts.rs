//! Helm and the chart of Cilium.

use ovncilium_core::plan::ChartRef;
use ovncilium_core::plan::adopt::FoundRelease;
use serde_json::Value;

/// A Helm release as the cluster's storage knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Revision, from 1.
    pub revision: u32,
    /// `deployed`, `failed`, `pending-install`, `pending-upgrade`, `uninstalling`, …
    pub status: String,
    /// Version of its chart.
    pub chart_version: String,
    /// Values it was given (not those of the chart).
    pub values: Value,
}

impl From<Release> for FoundRelease {
    fn from(release: Release) -> Self {
        let Release { revision, status, chart_version, values } = release;
        Self { revision, status, chart_version, values }
    }
}

/// The newest revision of a release that somebody else keeps, with the chart that is stored in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Revision, from 1.
    pub revision: u32,
    /// As of [`Release::status`].
    pub status: String,
    /// Name of its chart.
    pub chart: String,
    /// Version of its chart.
    pub chart_version: String,
    /// Values it was given (not those of the chart). They may hold secrets: they go to helm and nowhere else.
    pub values: Value,
    /// Values of the stored chart itself. After an upgrade by `--reuse-values` they hold what was given before.
    pub defaults: Value,
    /// What it made, as YAML.
    pub manifest: String,
}

/// Why helm or the chart failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChartsError {
    /// There is no helm.
    #[error("helm was not found: {message}")]
    HelmMissing {
        /// Where it was looked for.
        message: String,
    },
    /// Helm is older than what we can drive.
    #[error("helm {found} is too old: {minimum} or newer is needed")]
    HelmTooOld {
        /// What was found.
        found: String,
        /// What is needed.
        minimum: String,
    },
    /// There is no chart at that place.
    #[error("chart `{location}` cannot be read: {message}")]
    ChartMissing {
        /// The place.
        location: String,
        /// The cause.
        message: String,
    },
    /// Helm ended with an error.
    #[error("helm {command} failed: {message}")]
    Failed {
        /// `upgrade`, `template`, …
        command: String,
        /// What it printed.
        message: String,
    },
}

/// Called about once a second while helm is at work: keeps the lock. `Err` says why helm must stop.
pub type Heartbeat<'h> = dyn FnMut() -> Result<(), String> + 'h;

/// Helm and one chart.
pub trait Charts {
    /// The chart, opened and digested.
    ///
    /// # Errors
    /// [`ChartsError::ChartMissing`].
    fn chart(&self) -> Result<ChartRef, ChartsError>;

    /// Bytes of the packed chart, to travel with the plan.
    ///
    /// # Errors
    /// [`ChartsError::ChartMissing`].
    fn archive(&self) -> Result<Vec<u8>, ChartsError>;

    /// Values that the operator gave besides ours, without empty maps; `Null` when none were given.
    fn own_values(&self) -> &Value;

    /// `helm template`: the documents the chart makes of `values`. Touches no cluster.
    ///
    /// # Errors
    /// [`ChartsError::Failed`] with helm's words.
    fn render(&self, release: &str, namespace: &str, values: &Value) -> Result<String, ChartsError>;

    /// The newest revision of a release; `None` when there is none.
    ///
    /// # Errors
    /// [`ChartsError::Failed`].
    fn release(&self, release: &str, namespace: &str) -> Result<Option<Release>, ChartsError>;

    /// `helm upgrade --install` with exactly `values`, post-rendered by us, without waiting. A release left pending by a helm that was
    /// killed is resolved first.
    ///
    /// # Errors
    /// [`ChartsError::Failed`].
    fn upgrade(
        &self,
        release: &str,
        namespace: &str,
        values: &Value,
        beat: &mut Heartbeat<'_>,
    ) -> Result<(), ChartsError>;

    /// The newest revision of a release of somebody else; `None` when there is none.
    ///
    /// # Errors
    /// [`ChartsError::Failed`].
    fn kept(&self, release: &str, namespace: &str) -> Result<Option<Kept>, ChartsError>;

    /// What the chart stored in such a release makes of `values` in an upgrade, as the cluster is now. Writes nothing.
    ///
    /// # Errors
    /// [`ChartsError::Failed`] with helm's words, or when the chart is not wholly stored.
    fn render_kept(&self, release: &str, namespace: &str, values: &Value) -> Result<String, ChartsError>;

    /// `helm upgrade` of such a release with the chart stored in it and exactly `values`: without hooks, without waiting, without
    /// removing older revisions. A revision left pending by a helm that was killed is resolved first.
    ///
    /// # Errors
    /// As [`Charts::render_kept`].
    fn upgrade_kept(
        &self,
        release: &str,
        namespace: &str,
        values: &Value,
        beat: &mut Heartbeat<'_>,
    ) -> Result<(), ChartsError>;

    /// `helm uninstall` without waiting; nothing happens when there is no release.
    ///
    /// # Errors
    /// [`ChartsError::Failed`].
    fn uninstall(&self, release: &str, namespace: &str, beat: &mut Heartbeat<'_>) -> Result<(), ChartsError>;
}
