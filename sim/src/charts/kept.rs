//! The pretend chart of Kube-OVN, as a release keeps it: objects with the two switches as `{{ .Values.func.… }}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ovncilium_engine::world::{ChartsError, Kept};
use serde_json::{Value, json};

use super::release::Stored;
use super::{failed, merge, owned};

/// The switches in a template, and where they are in the values.
const SWITCHES: [(&str, &str); 2] =
    [("{{ .Values.func.ENABLE_LB }}", "/func/ENABLE_LB"), ("{{ .Values.func.ENABLE_NP }}", "/func/ENABLE_NP")];

/// A chart of these templates with both switches on.
pub(crate) fn chart(version: &str, templates: &[Value]) -> Value {
    let values = json!({ "func": { "ENABLE_LB": true, "ENABLE_NP": true } });
    json!({ "name": "kube-ovn", "version": version, "templates": templates, "values": values })
}

/// What a stored chart makes of `values`.
pub(crate) fn rendered(chart: &Value, values: &Value, release: &str, namespace: &str) -> Vec<Value> {
    let values = merge::coalesce(&chart["values"], values);
    let fill = |template: &Value| {
        let text = SWITCHES.iter().fold(template.to_string(), |text, (place, pointer)| {
            let value = values.pointer(pointer).unwrap_or(&Value::Null);
            text.replace(place, value.as_str().unwrap_or(&value.to_string()))
        });
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    let templates = chart["templates"].as_array().into_iter().flatten();
    templates.map(|template| owned(fill(template), release, namespace)).collect()
}

/// The first revision of a release with such a chart, deployed.
pub(crate) fn secret(chart: &Value, values: &Value, release: &str, namespace: &str) -> Value {
    let manifest = rendered(chart, values, release, namespace);
    let body = json!({ "chart": chart, "values": values, "manifest": manifest });
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": format!("sh.helm.release.v1.{release}.v1"),
            "namespace": namespace,
            "labels": { "name": release, "owner": "helm", "status": "deployed", "version": "1" },
        },
        "data": { "release": STANDARD.encode(body.to_string()) },
    })
}

/// A stored revision as whoever upgrades it sees it.
pub(super) fn kept(stored: Stored) -> Result<Kept, ChartsError> {
    Ok(Kept {
        manifest: yaml(&stored.manifest)?,
        revision: stored.revision,
        status: stored.status,
        chart: stored.chart["name"].as_str().unwrap_or_default().to_owned(),
        chart_version: stored.chart["version"].as_str().unwrap_or_default().to_owned(),
        defaults: stored.chart["values"].clone(),
        values: stored.values,
    })
}

/// Objects as a YAML stream.
pub(super) fn yaml(objects: &[Value]) -> Result<String, ChartsError> {
    let document = |object| serde_yaml::to_string(object).map_err(|error| failed("upgrade", &error.to_string()));
    let documents: Vec<String> = objects.iter().map(document).collect::<Result<_, _>>()?;
    Ok(documents.iter().map(|document| format!("---\n{document}")).collect())
}
