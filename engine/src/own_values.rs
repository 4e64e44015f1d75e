//! The operator's own chart values of a plan: from the command line, and from the release once a run has made it.

use ovncilium_core::plan::{Kind, Settings};
use ovncilium_core::values::own;
use serde_json::Value;

use crate::world::{Charts, ChartsError};

/// Why they are not at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnValuesError {
    /// Neither those that were given nor those of the release are those of the plan.
    #[error(
        "the plan was made with chart values of {planned}, and neither --values nor release {release} has them; give the same --values again"
    )]
    Missing {
        /// Their digest.
        planned: String,
        /// Namespace and name.
        release: String,
    },
    /// They are not those that the plan was made with.
    #[error(
        "the plan was made with other --values than those given now; give the same, or make a new plan (after a rollback)"
    )]
    Others,
    /// Values were given to a plan that has none.
    #[error("--values were given, but the plan was made without any; make a new plan with them")]
    Unplanned,
    /// Helm.
    #[error(transparent)]
    Charts(#[from] ChartsError),
    /// They may not be used, or the chart's version is not known.
    #[error("{0}")]
    Version(String),
}

/// The operator's own values for a plan with these settings; `Null` when it was made without any.
///
/// A rollback takes what the release has besides ours, whatever that is: the way back must not hang on what was changed since.
///
/// # Errors
/// [`OwnValuesError`]; nothing was changed.
pub fn own_values(charts: &dyn Charts, settings: &Settings, kind: Kind) -> Result<Value, OwnValuesError> {
    let version = |error: ovncilium_core::compat::UnknownVersion| OwnValuesError::Version(error.to_string());
    let kept = || -> Result<Value, OwnValuesError> {
        let release = charts.release(&settings.release, &settings.release_namespace)?;
        release.map_or(Ok(Value::Null), |release| own::kept(&release.values, settings).map_err(version))
    };
    match kind {
        Kind::Migrate => {}
        Kind::Rollback | Kind::ReplaceKubeProxy => return kept(),
        Kind::RestoreKubeProxy => return without_replacement(charts, settings),
    }
    let given =
        own::checked(charts.own_values(), settings).map_err(|error| OwnValuesError::Version(error.to_string()))?;
    let Some(planned) = settings.own_values else {
        return if given.is_null() { Ok(Value::Null) } else { Err(OwnValuesError::Unplanned) };
    };
    match own::digest(&given) {
        Some(digest) if digest == planned => return Ok(given),
        Some(_) => return Err(OwnValuesError::Others),
        None => {}
    }
    let kept = kept()?;
    if own::digest(&kept) == Some(planned) {
        return Ok(kept);
    }
    let release = format!("{}/{}", settings.release_namespace, settings.release);
    Err(OwnValuesError::Missing { planned: planned.to_string(), release })
}

/// What the release has besides a replacement of kube-proxy, and what it had at the same keys before that.
fn without_replacement(charts: &dyn Charts, settings: &Settings) -> Result<Value, OwnValuesError> {
    let mut replaced = settings.clone();
    let Some(proxy) = &mut replaced.kube_proxy else { return own_values(charts, settings, Kind::Rollback) };
    proxy.replaced = true;
    let before = proxy.own_values.clone();
    let kept = own_values(charts, &replaced, Kind::Rollback)?;
    Ok(if before.is_null() { kept } else { own::merged(&kept, &before) })
}

#[cfg(test)]
mod tests {
    use ovncilium_core::Digest;
    use ovncilium_core::plan::{ChartRef, ReleaseStage, values};
    use serde_json::json;

    use super::*;
    use crate::world::{Heartbeat, Kept, Release};

    /// Only what was given and what is installed matter here.
    struct Helm {
        given: Value,
        installed: Option<Value>,
    }

    impl Charts for Helm {
        fn chart(&self) -> Result<ChartRef, ChartsError> {
            unreachable!("not asked for")
        }

        fn archive(&self) -> Result<Vec<u8>, ChartsError> {
            unreachable!("not asked for")
        }

        fn own_values(&self) -> &Value {
            &self.given
        }

        fn render(&self, _: &str, _: &str, _: &Value) -> Result<String, ChartsError> {
            unreachable!("not asked for")
        }

        fn release(&self, _: &str, _: &str) -> Result<Option<Release>, ChartsError> {
            Ok(self.installed.clone().map(|values| Release {
                revision: 1,
                status: "deployed".to_owned(),
                chart_version: "1.18.2".to_owned(),
                values,
            }))
        }

        fn upgrade(&self, _: &str, _: &str, _: &Value, _: &mut Heartbeat<'_>) -> Result<(), ChartsError> {
            unreachable!("not asked for")
        }

        fn kept(&self, _: &str, _: &str) -> Result<Option<Kept>, ChartsError> {
            unreachable!("not asked for")
        }

        fn render_kept(&self, _: &str, _: &str, _: &Value) -> Result<String, ChartsError> {
            unreachable!("not asked for")
        }

        fn upgrade_kept(&self, _: &str, _: &str, _: &Value, _: &mut Heartbeat<'_>) -> Result<(), ChartsError> {
            unreachable!("not asked for")
        }

        fn uninstall(&self, _: &str, _: &str, _: &mut Heartbeat<'_>) -> Result<(), ChartsError> {
            unreachable!("not asked for")
        }
    }

    fn settings(own_values: Option<Digest>) -> Settings {
        serde_json::from_value(json!({
            "namespace": "kube-system",
            "chart": { "location": "c", "name": "cilium", "version": "1.18.2", "digest": Digest::of("chart") },
            "release": "cilium", "release_namespace": "kube-system", "conf_dir": "/etc/cni/net.d",
            "plain_conf": "01-kube-ovn.conflist", "chained_conf": "01-cilium.conflist", "network": "kube-ovn",
            "node_image": "image", "image_pull_secrets": [], "devices": ["ovn0"], "cluster_pool": ["100.65.0.0/16"],
            "node_count": 2, "wave_limit": 4, "soak_seconds": 0, "controller": "c", "controller_container": "c",
            "controller_flags_in": "args", "controller_flags_before": [], "leave": [], "own_values": own_values,
        }))
        .unwrap()
    }

    #[test]
    fn once_installed_the_release_has_them() {
        let theirs = json!({ "image": { "useDigest": false } });
        let settings = settings(own::digest(&theirs));
        let ours = values::values(&settings, ReleaseStage::Staged).unwrap();
        let given = Helm { given: theirs.clone(), installed: None };
        assert_eq!(own_values(&given, &settings, Kind::Migrate), Ok(theirs.clone()));
        let installed = Helm { given: Value::Null, installed: Some(own::merged(&theirs, &ours)) };
        assert_eq!(own_values(&installed, &settings, Kind::Migrate), Ok(theirs));
    }

    #[test]
    fn other_values_than_those_of_the_plan_are_refused() {
        let planned = settings(own::digest(&json!({ "image": { "useDigest": false } })));
        for installed in [None, Some(json!({ "b": 2 }))] {
            let error = own_values(&Helm { given: Value::Null, installed }, &planned, Kind::Migrate).unwrap_err();
            assert!(error.to_string().contains("give the same --values again"), "{error}");
        }
        // Also when the release has those of the plan: nobody may believe that others are used.
        let installed = Some(json!({ "image": { "useDigest": false } }));
        let others = Helm { given: json!({ "a": 1 }), installed };
        assert_eq!(own_values(&others, &planned, Kind::Migrate), Err(OwnValuesError::Others));
        let unplanned = Helm { given: json!({ "a": 1 }), installed: None };
        assert_eq!(own_values(&unplanned, &settings(None), Kind::Migrate), Err(OwnValuesError::Unplanned));
    }

    #[test]
    fn the_way_back_takes_what_is_there() {
        let planned = settings(own::digest(&json!({ "image": { "useDigest": false } })));
        let changed = Helm { given: Value::Null, installed: Some(json!({ "debug": { "enabled": true } })) };
        assert_eq!(own_values(&changed, &planned, Kind::Rollback), Ok(json!({ "debug": { "enabled": true } })));
        let gone = Helm { given: Value::Null, installed: None };
        assert_eq!(own_values(&gone, &planned, Kind::Rollback), Ok(Value::Null));
    }

    #[test]
    fn the_way_back_of_kube_proxy_gives_its_own_keys_back() {
        let theirs =
            json!({ "image": { "useDigest": false }, "k8sServiceHost": "api.example.com", "k8sServicePort": 6443 });
        let mut replaced = settings(None);
        let proxy = json!({
            "namespace": "kube-system", "name": "kube-proxy", "image": "i", "image_pull_secrets": [], "program": ["kube-proxy"],
            "api_server": { "host": "192.0.2.10", "port": 6443 }, "replaced": true,
            "own_values": { "k8sServiceHost": "api.example.com", "k8sServicePort": 6443 },
        });
        replaced.kube_proxy = Some(serde_json::from_value(proxy).unwrap());
        let ours = values::values(&replaced, ReleaseStage::Settled).unwrap();
        assert_eq!((&ours["kubeProxyReplacement"], &ours["k8sServiceHost"]), (&json!("true"), &json!("192.0.2.10")));
        let helm = Helm { given: Value::Null, installed: Some(own::merged(&theirs, &ours)) };
        let image = json!({ "image": { "useDigest": false } });
        assert_eq!(own_values(&helm, &replaced, Kind::ReplaceKubeProxy), Ok(image));
        let mut back = replaced.clone();
        back.kube_proxy.as_mut().unwrap().replaced = false;
        assert_eq!(own_values(&helm, &back, Kind::RestoreKubeProxy), Ok(theirs.clone()));
        let ours = values::values(&back, ReleaseStage::Settled).unwrap();
        assert_eq!((&ours["kubeProxyReplacement"], ours.get("k8sServiceHost")), (&json!("false"), None));
        let helm = Helm { given: Value::Null, installed: Some(own::merged(&theirs, &ours)) };
        assert_eq!(own_values(&helm, &back, Kind::RestoreKubeProxy), Ok(theirs), "once more it is the same");
    }
}
