//! The same cluster with Kube-OVN installed by Helm: its workloads are those of a release, whose chart is stored in it.

use serde_json::{Value, json};

use super::kube_ovn;
use crate::charts::kept;

const RELEASE: &str = "kube-ovn";
const NAMESPACE: &str = "kube-system";
/// Kinds that the chart makes.
const KINDS: [&str; 3] = ["Deployment", "DaemonSet", "ServiceAccount"];

/// Objects of Kube-OVN and the Secret of its release, of which `values` were given by its owner.
pub(super) fn objects(values: &Value) -> Vec<Value> {
    let (of_chart, other): (Vec<Value>, Vec<Value>) =
        kube_ovn::objects().into_iter().partition(|object| KINDS.iter().any(|kind| object["kind"] == *kind));
    let templates: Vec<Value> = of_chart.into_iter().map(template).collect();
    let chart = kept::chart("v1.14.41", &templates);
    let mut all = other;
    all.extend(kept::rendered(&chart, values, RELEASE, NAMESPACE));
    all.push(kept::secret(&chart, values, RELEASE, NAMESPACE));
    all
}

/// An object of an installation with its switches left open.
fn template(mut object: Value) -> Value {
    let words = object.pointer_mut("/spec/template/spec/containers/0/args").and_then(Value::as_array_mut);
    for word in words.into_iter().flatten() {
        for (flag, key) in [("--enable-lb=", "ENABLE_LB"), ("--enable-np=", "ENABLE_NP")] {
            if word.as_str().is_some_and(|word| word.starts_with(flag)) {
                *word = json!(format!("{flag}{{{{ .Values.func.{key} }}}}"));
            }
        }
    }
    object
}
