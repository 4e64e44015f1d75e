//! The chart of Cilium for the pretend cluster, and a helm that applies it.
//!
//! Not the real chart: the objects that matter to a migration, made of the same values with the same names and the
//! same keys in `cilium-config` as chart 1.18 (compared with a recorded rendering in the tests). Releases are stored
//! as Helm stores them, as Secrets `sh.helm.release.v1.<release>.v<revision>`, so that a new process finds them; a
//! helm that dies half way leaves its release pending, and the next upgrade goes on from there. [`kept`] is the chart of a
//! Kube-OVN that Helm owns.

mod config_map;
mod constant;
mod documents;
pub(crate) mod kept;
mod merge;
mod release;

use ovncilium_core::Digest;
use ovncilium_core::plan::ChartRef;
use ovncilium_engine::world::{Charts, ChartsError, Heartbeat, Kept, Release};
use serde_json::{Value, json};

use crate::objects;
use crate::store::{Store, User};

pub use documents::Document;
use release::{Releases, Stored};

/// Version of the pretend chart.
pub const CHART_VERSION: &str = "1.18.12";

/// Helm and the chart, over a store.
#[derive(Debug, Clone, Copy)]
pub struct SimCharts<'a> {
    store: &'a Store,
}

impl<'a> SimCharts<'a> {
    /// A helm that talks to `store`.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }
}

impl SimCharts<'_> {
    fn newest(&self, release: &str, namespace: &str) -> Result<Option<Stored>, ChartsError> {
        let all = releases(self.store, release, namespace).all("get")?;
        Ok(all.into_iter().max_by_key(|stored| stored.revision))
    }

    fn must(&self, release: &str, namespace: &str) -> Result<Stored, ChartsError> {
        let newest = self.newest(release, namespace)?;
        newest.ok_or_else(|| failed("upgrade", &format!("release {namespace}/{release} is gone")))
    }
}

impl Charts for SimCharts<'_> {
    fn chart(&self) -> Result<ChartRef, ChartsError> {
        let digest = Digest::of(self.archive()?);
        let location = format!("built-in:cilium-{CHART_VERSION}");
        Ok(ChartRef { location, name: "cilium".to_owned(), version: CHART_VERSION.to_owned(), digest })
    }

    fn archive(&self) -> Result<Vec<u8>, ChartsError> {
        Ok(format!("pretend chart cilium {CHART_VERSION}\n").into_bytes())
    }

    fn own_values(&self) -> &Value {
        &Value::Null
    }

    fn render(&self, release: &str, namespace: &str, values: &Value) -> Result<String, ChartsError> {
        let _ = release;
        let mut text = String::new();
        for document in documents(namespace, values, "template")? {
            let yaml =
                serde_yaml::to_string(&document.object).map_err(|error| failed("template", &error.to_string()))?;
            text.push_str(&format!("---\n# Source: {}\n{yaml}", document.source));
        }
        Ok(text)
    }

    fn release(&self, release: &str, namespace: &str) -> Result<Option<Release>, ChartsError> {
        Ok(self.newest(release, namespace)?.map(|stored| Release {
            revision: stored.revision,
            status: stored.status,
            chart_version: objects::text(&stored.chart, "/version").to_owned(),
            values: stored.values,
        }))
    }

    fn upgrade(
        &self,
        release: &str,
        namespace: &str,
        values: &Value,
        _beat: &mut Heartbeat<'_>,
    ) -> Result<(), ChartsError> {
        let desired = documents(namespace, values, "upgrade")?;
        let desired: Vec<Value> =
            desired.into_iter().map(|document| owned(document.object, release, namespace)).collect();
        let chart = json!({ "name": "cilium", "version": CHART_VERSION });
        releases(self.store, release, namespace).upgrade(&chart, values, &desired)
    }

    fn kept(&self, release: &str, namespace: &str) -> Result<Option<Kept>, ChartsError> {
        self.newest(release, namespace)?.map(kept::kept).transpose()
    }

    fn render_kept(&self, release: &str, namespace: &str, values: &Value) -> Result<String, ChartsError> {
        let stored = self.must(release, namespace)?;
        kept::yaml(&kept::rendered(&stored.chart, values, release, namespace))
    }

    fn upgrade_kept(
        &self,
        release: &str,
        namespace: &str,
        values: &Value,
        _beat: &mut Heartbeat<'_>,
    ) -> Result<(), ChartsError> {
        let stored = self.must(release, namespace)?;
        let desired = kept::rendered(&stored.chart, values, release, namespace);
        releases(self.store, release, namespace).upgrade(&stored.chart, values, &desired)
    }

    fn uninstall(&self, release: &str, namespace: &str, _beat: &mut Heartbeat<'_>) -> Result<(), ChartsError> {
        releases(self.store, release, namespace).uninstall()
    }
}

fn releases<'s>(store: &'s Store, release: &'s str, namespace: &'s str) -> Releases<'s> {
    Releases { client: store.as_user(User::Helm), release, namespace }
}

/// The documents of the chart, or what its validation says.
fn documents(namespace: &str, values: &Value, command: &str) -> Result<Vec<Document>, ChartsError> {
    documents::of(namespace, values).map_err(|message| failed(command, &message))
}

fn failed(command: &str, message: &str) -> ChartsError {
    ChartsError::Failed { command: command.to_owned(), message: message.to_owned() }
}

/// The marks Helm puts on what it owns.
fn owned(mut object: Value, release: &str, namespace: &str) -> Value {
    object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    object["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!(release);
    object["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = json!(namespace);
    if objects::namespace(&object).is_empty()
        && let Some(metadata) = object["metadata"].as_object_mut()
    {
        metadata.remove("namespace");
    }
    object
}
