//! The project's own reduced streams: what `renders.tsv` says of `cilium-config`, and around it what an agent and an operator need,
//! in both dialects of Helm.

use crate::table::Table;

const FILE: &str = "kubectl-ovncilium/tests/verdicts/renders.tsv";

/// One render of one chart.
pub(crate) struct Render {
    pub(crate) version: String,
    pub(crate) case: String,
    /// Keys of `cilium-config` with the text each is written as, in order; a key may be there twice.
    pub(crate) keys: Vec<(String, String)>,
    /// Keys that this chart does not render.
    pub(crate) absent: Vec<String>,
}

/// The column that is a word of the agent's start hook, and no key.
pub(crate) const HOOK: &str = "--cni-exclusive";

/// Names of Helm's dialects, as the recorded files are called.
pub(crate) const DIALECTS: [&str; 2] = ["helm3", "helm4"];

/// All of `renders.tsv`.
pub(crate) fn all() -> Vec<Render> {
    let table = Table::read(FILE, 2);
    let renders = table.rows().iter().map(|row| {
        let mut render = Render { version: row[0].clone(), case: row[1].clone(), keys: Vec::new(), absent: Vec::new() };
        for (key, cell) in table.columns().iter().zip(row).skip(2) {
            if cell.is_empty() {
                render.absent.push(key.clone());
            }
            let values = cell.split(" + ").filter(|value| !value.is_empty());
            render.keys.extend(values.map(|value| (key.clone(), value.to_owned())));
        }
        render
    });
    renders.collect()
}

fn hook(word: &str, value: &str) -> String {
    format!(
        "        lifecycle:\n          postStart:\n            exec:\n              command:\n              - \"/cni-install.sh\"\n              \
         - \"{word}={value}\"\n"
    )
}

impl Render {
    /// The stream as Helm hands it to a post-renderer.
    pub(crate) fn stream(&self, dialect: &str) -> String {
        let keys = self.keys.iter().filter(|(key, _)| key != HOOK);
        let data: String = keys.map(|(key, value)| format!("  {key}: {value}\n")).collect();
        let hook: String =
            self.keys.iter().filter(|(key, _)| key == HOOK).map(|(key, value)| hook(key, value)).collect();
        let version = &self.version;
        let account = |of: &str| {
            format!("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {of}\n  namespace: kube-system\n")
        };
        let workload = |kind: &str, name: &str, label: &str, container: &str, image: &str| {
            format!(
                "apiVersion: apps/v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: kube-system\nspec:\n  selector:\n    matchLabels:\n      {label}\n  \
                 template:\n    metadata:\n      labels:\n        {label}\n    spec:\n      containers:\n      - name: {container}\n        \
                 image: \"quay.io/cilium/{image}:v{version}@sha256:{}\"\n",
                "0".repeat(64)
            )
        };
        let config = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\n  namespace: kube-system\ndata:\n{data}"
        );
        let mut documents = [
            ("cilium/templates/cilium-agent/serviceaccount.yaml", account("cilium")),
            ("cilium/templates/cilium-operator/serviceaccount.yaml", account("cilium-operator")),
            ("cilium/templates/cilium-configmap.yaml", config),
            (
                "cilium/templates/cilium-agent/daemonset.yaml",
                workload("DaemonSet", "cilium", "k8s-app: cilium", "cilium-agent", "cilium") + &hook,
            ),
            (
                "cilium/templates/cilium-operator/deployment.yaml",
                workload(
                    "Deployment",
                    "cilium-operator",
                    "name: cilium-operator",
                    "cilium-operator",
                    "operator-generic",
                ),
            ),
        ];
        if dialect == "helm3" {
            return documents.iter().map(|(source, text)| format!("---\n# Source: {source}\n{text}")).collect();
        }
        // Helm 4 sorts by file name and tells it in an annotation.
        documents.sort();
        let annotated = documents.iter().map(|(source, text)| {
            let annotation =
                format!("metadata:\n  annotations:\n    postrenderer.helm.sh/postrender-filename: '{source}'\n");
            text.replacen("metadata:\n", &annotation, 1)
        });
        annotated.collect::<Vec<_>>().join("---\n")
    }
}
