//! `helm-version`: the helm that a migration would run is there and new enough.
//!
//! Tests of the host hold that this says what `core/src/compat/helm.rs` says, where each row has its source.

use ovncilium_policy_sdk::prelude::*;
use ovncilium_policy_sdk::version::Version;
use serde::Deserialize;

/// First with `--post-renderer-args`, without which the post-renderer cannot be told which cluster it is for.
const MINIMUM: Version = Version::new(3, 9, 0);
/// Known to render the charts of Cilium 1.17 and newer.
const FOR_NEW_CHARTS: Version = Version::new(3, 17, 0);
const NEW_CHART: Version = Version::new(1, 17, 0);

const RULE: &str = "helm-usable";
const CHARTS: &str = "helm-renders-chart";
const KNOWN: &str = "helm-known";
/// Newest major whose flags are known.
const NEWEST_MAJOR: u64 = 4;

/// The policy; what it holds is told by [`Policy::info`].
pub struct HelmVersion;
export_policy!(HelmVersion);

#[derive(Deserialize)]
struct Helm {
    path: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Tools {
    helm: Option<Helm>,
}

impl Policy for HelmVersion {
    type Settings = NoSettings;

    fn info() -> Info {
        Info::new("helm-version", env!("CARGO_PKG_VERSION"), "helm is there and new enough")
            .scope(ScopeKind::Cluster)
            .fact("tools")
            .fact("intent")
            .rule(Rule::error(RULE, "helm 3.9 or newer is there").help(
                "A migration installs the Cilium chart with the helm of this machine and has it post-rendered. Helm 3 can \
                 hand arguments to a post-renderer since 3.9.0; Helm 4 always can. Install a current helm, or name one.",
            ))
            .rule(Rule::warning(CHARTS, "helm renders charts as new as the target").help(
                "Charts of Cilium 1.17 and newer use template functions that old helm does not have (seen to fail on 3.9, \
                 to work on 3.17).",
            ))
            .rule(Rule::warning(KNOWN, "this helm's major version is known to this release").help(
                "Majors of Helm rename flags and change how post-renderers are found. A newer one is driven as Helm 4.",
            ))
    }

    fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
        let action = context.facts.get::<String>("intent", "/action").ok().flatten();
        if action.as_deref() == Some("install") {
            return Ok(vec![Finding::skip(RULE, "helm itself runs this check")]);
        }
        let helm = match context.facts.require::<Tools>("tools", "") {
            Ok(tools) => tools.helm,
            Err(why) => return Ok(vec![Finding::unknown(RULE, why)]),
        };
        let Some(helm) = helm else {
            return Ok(vec![
                Finding::fail(RULE, "there is no helm on this machine")
                    .remedy("install helm 3.9 or newer (Helm 4 is fine) and put it on PATH"),
            ]);
        };
        let Some(version) = helm.version.as_deref().and_then(Version::parse) else {
            let said =
                helm.version.map_or_else(|| "could not be run".to_owned(), |text| format!("says it is `{text}`"));
            return Ok(vec![
                Finding::unknown(RULE, format!("{} {said}", helm.path))
                    .remedy("run `helm version` by hand and see why"),
            ]);
        };
        if version < MINIMUM {
            return Ok(vec![
                Finding::fail(RULE, format!("{} is helm {version}; 3.9.0 or newer is needed", helm.path))
                    .remedy("install helm 3.9 or newer (Helm 4 is fine)"),
            ]);
        }
        let mut findings = vec![Finding::pass(RULE).message(format!("{} is helm {version}", helm.path))];
        if version.major > NEWEST_MAJOR {
            findings.push(
                Finding::fail(
                    KNOWN,
                    format!("helm {version} is newer than this release knows (3 and 4); it is driven as 4"),
                )
                .remedy("use helm 3 or 4 (`--helm PATH`), or a newer ovncilium"),
            );
        }
        let target = context.facts.get::<String>("intent", "/cilium_version").ok().flatten();
        if version < FOR_NEW_CHARTS
            && let Some(target) = target.as_deref().and_then(Version::parse).filter(|target| *target >= NEW_CHART)
        {
            findings.push(
                Finding::fail(CHARTS, format!("helm {version} may not render the chart of Cilium {target}"))
                    .remedy("install helm 3.17 or newer"),
            );
        }
        Ok(findings)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn judges_every_case_as_expected() {
        ovncilium_policy_sdk::testing::run_cases::<super::HelmVersion>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
    }
}
