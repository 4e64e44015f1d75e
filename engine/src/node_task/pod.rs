//! Task pods as Kubernetes gets them.

use ovncilium_core::Digest;
use ovncilium_core::plan::Settings;
use ovncilium_core::plan::action::{RUN_LABEL, TASK_LABEL};
use serde_json::{Value, json};

/// Where the host's CNI directory is mounted. Not at its own path, where Cilium's cleanup would look for files to rename.
const CONF_MOUNT: &str = "/host-cni";

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Read the CNI directory, the kernel, the devices.
    Probe,
    /// Rename one CNI file out of the runtime's sight.
    Retire,
    /// Prove pod, Service and DNS connections from inside a pod.
    Canary,
    /// Tell which connections Cilium would drop if it enforced.
    Observe,
    /// Tell whether Cilium enforces for every endpoint.
    Endpoints,
    /// Tell whether OVN has rules for every NetworkPolicy.
    Policies,
    /// Remove Cilium's programs, maps and interfaces.
    Cleanup,
    /// Remove Cilium's firewall and routing rules.
    Rules,
    /// Ask Services from the node.
    Services,
    /// Ask Services from a pod.
    PodServices,
    /// Tell whether Cilium's agent replaces kube-proxy.
    Replacement,
    /// Tell whether kube-proxy has its rules.
    Proxy,
    /// Remove kube-proxy's rules.
    Unproxy,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 13] = [
        Self::Probe,
        Self::Retire,
        Self::Canary,
        Self::Observe,
        Self::Endpoints,
        Self::Policies,
        Self::Cleanup,
        Self::Rules,
        Self::Services,
        Self::PodServices,
        Self::Replacement,
        Self::Proxy,
        Self::Unproxy,
    ];

    /// Its name, as in labels and names of pods.
    pub fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Retire => "retire",
            Self::Canary => "canary",
            Self::Observe => "observe",
            Self::Endpoints => "endpoints",
            Self::Policies => "policies",
            Self::Cleanup => "cleanup",
            Self::Rules => "rules",
            Self::Services => "services",
            Self::PodServices => "pod-services",
            Self::Replacement => "replacement",
            Self::Proxy => "proxy",
            Self::Unproxy => "unproxy",
        }
    }

    /// What its container runs.
    pub fn script(self) -> &'static str {
        match self {
            Self::Probe => include_str!("../../scripts/probe.sh"),
            Self::Retire => include_str!("../../scripts/retire.sh"),
            Self::Canary => include_str!("../../scripts/canary.sh"),
            Self::Observe => include_str!("../../scripts/observe.sh"),
            Self::Endpoints => include_str!("../../scripts/endpoints.sh"),
            Self::Policies => include_str!("../../scripts/policies.sh"),
            Self::Cleanup => include_str!("../../scripts/cleanup.sh"),
            Self::Rules => include_str!("../../scripts/rules.sh"),
            Self::Services | Self::PodServices => include_str!("../../scripts/services.sh"),
            Self::Replacement => include_str!("../../scripts/replacement.sh"),
            Self::Proxy => include_str!("../../scripts/proxy.sh"),
            Self::Unproxy => include_str!("../../scripts/unproxy.sh"),
        }
    }

    /// Seconds after which the kubelet ends it.
    pub fn deadline_seconds(self) -> u32 {
        match self {
            Self::Probe | Self::Retire => 60,
            Self::Canary => 200,
            Self::Observe | Self::Cleanup | Self::Endpoints | Self::Rules | Self::Replacement | Self::Proxy => 120,
            Self::Services | Self::PodServices | Self::Unproxy => 150,
            Self::Policies => 180,
        }
    }
}

/// What task pods need to know of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSettings {
    /// Namespace of kube-ovn-cni, where pods on the host's network are allowed.
    pub namespace: String,
    /// An image that is on every node: kube-ovn-cni's.
    pub image: String,
    /// Its pull secrets.
    pub image_pull_secrets: Vec<String>,
    /// Directory of CNI configuration on the hosts.
    pub conf_dir: String,
}

impl From<&Settings> for TaskSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            namespace: settings.namespace.clone(),
            image: settings.node_image.clone(),
            image_pull_secrets: settings.image_pull_secrets.clone(),
            conf_dir: settings.conf_dir.clone(),
        }
    }
}

/// Name of a node's task pod: the same for the same task, node and run.
pub fn pod_name(task: Task, node: &str, run: &str) -> String {
    format!("ovncilium-{}-{}", task.name(), Digest::of(format!("{node}\n{run}")).short())
}

/// Words of `env` that say how the pod is made, and are not given to the script: the image instead of Kube-OVN's; image, command (a list
/// as JSON) and pull secrets (the same) of what an [`Task::Unproxy`] runs.
const OF_THE_POD: [&str; 4] = ["IMAGE", "CLEANUP_IMAGE", "CLEANUP_COMMAND", "CLEANUP_SECRETS"];

/// A task pod, ready to be created. `IMAGE` in `env` replaces the image and is not given to the script.
pub fn pod_manifest(task: Task, node: &str, run: &str, settings: &TaskSettings, env: &[(&str, &str)]) -> Value {
    let on_host = !matches!(task, Task::Canary | Task::PodServices);
    let said = |wanted: &str| env.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let image = said("IMAGE").unwrap_or(settings.image.as_str());
    let mut variables: Vec<Value> = env
        .iter()
        .filter(|(name, _)| !OF_THE_POD.contains(name))
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    if task == Task::Unproxy {
        variables.push(json!({ "name": "WORK", "value": "/work" }));
        variables.push(json!({ "name": "STAGE", "value": "after" }));
    }
    if matches!(task, Task::Probe | Task::Retire | Task::Cleanup) {
        variables.push(json!({ "name": "CONF_DIR", "value": CONF_MOUNT }));
    }
    let (volumes, mounts): (Vec<Value>, Vec<Value>) = volumes(task, settings).into_iter().unzip();
    let mut container = json!({
        "name": task.name(),
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", task.script()],
        "env": variables,
        "volumeMounts": mounts,
        "securityContext": security(task),
        "terminationMessagePolicy": "File",
    });
    if task == Task::Canary {
        container["readinessProbe"] =
            json!({ "exec": { "command": ["test", "-f", "/tmp/ready"] }, "periodSeconds": 1 });
    }
    let listed = |words: &str| said(words).and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
    let more = listed("CLEANUP_SECRETS").unwrap_or_default();
    let secrets: Vec<Value> =
        settings.image_pull_secrets.iter().chain(&more).map(|name| json!({ "name": name })).collect();
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(task, node, run),
            "namespace": settings.namespace,
            "labels": { TASK_LABEL: task.name(), RUN_LABEL: run },
        },
        "spec": {
            "nodeName": node,
            "hostNetwork": on_host,
            "dnsPolicy": if on_host { "Default" } else { "ClusterFirst" },
            "restartPolicy": "Never",
            "activeDeadlineSeconds": task.deadline_seconds(),
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "tolerations": [{ "operator": "Exists" }],
            "imagePullSecrets": secrets,
            "containers": [container.clone()],
            "volumes": volumes,
        },
    });
    if task == Task::Unproxy {
        let command = listed("CLEANUP_COMMAND").unwrap_or_default();
        pod["spec"]["initContainers"] = around_cleanup(&container, said("CLEANUP_IMAGE").unwrap_or_default(), &command);
    }
    pod
}

/// What runs before the script tells what has changed: the same script, which keeps what it sees, and kube-proxy's own cleanup. That gets no
/// modules of the kernel: without them it leaves IPVS alone, whose services would be those of others.
fn around_cleanup(container: &Value, image: &str, command: &[String]) -> Value {
    let mut before = container.clone();
    before["name"] = json!("before");
    if let Some(variables) = before["env"].as_array_mut() {
        variables.retain(|variable| variable["name"] != "STAGE");
        variables.push(json!({ "name": "STAGE", "value": "before" }));
    }
    json!([before, {
        "name": "cleanup",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "volumeMounts": [{ "name": "xtables-lock", "mountPath": "/run/xtables.lock", "readOnly": false }],
        "securityContext": { "runAsUser": 0, "privileged": true, "seLinuxOptions": { "type": "spc_t" } },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }])
}

/// Volumes with their mounts. What must be there is not made: a pod that waits for it tells more than an empty directory.
fn volumes(task: Task, settings: &TaskSettings) -> Vec<(Value, Value)> {
    let host = |name: &str, path: &str, kind: &str, mount: &str, read_only: bool| {
        (
            json!({ "name": name, "hostPath": { "path": path, "type": kind } }),
            json!({ "name": name, "mountPath": mount, "readOnly": read_only }),
        )
    };
    let lock = || host("xtables-lock", "/run/xtables.lock", "FileOrCreate", "/run/xtables.lock", false);
    let conf = |read_only| host("cni-conf", &settings.conf_dir, "Directory", CONF_MOUNT, read_only);
    match task {
        Task::Probe => vec![conf(true)],
        Task::Retire => vec![conf(false)],
        Task::Canary => vec![(json!({ "name": "tmp", "emptyDir": {} }), json!({ "name": "tmp", "mountPath": "/tmp" }))],
        Task::Policies => vec![(
            json!({ "name": "tls", "secret": { "secretName": "kube-ovn-tls", "optional": true } }),
            json!({ "name": "tls", "mountPath": "/var/run/tls", "readOnly": true }),
        )],
        Task::Services | Task::PodServices => Vec::new(),
        Task::Observe | Task::Endpoints | Task::Replacement => {
            vec![host("cilium-run", "/var/run/cilium", "Directory", "/var/run/cilium", true)]
        }
        Task::Rules | Task::Proxy => vec![lock()],
        Task::Unproxy => {
            vec![lock(), (json!({ "name": "work", "emptyDir": {} }), json!({ "name": "work", "mountPath": "/work" }))]
        }
        Task::Cleanup => {
            // As the chart's own init container has them; cgroups are mounted below the second one.
            let (run, mut run_mount) =
                host("cilium-run", "/var/run/cilium", "DirectoryOrCreate", "/var/run/cilium", false);
            run_mount["mountPropagation"] = json!("HostToContainer");
            vec![conf(false), host("bpf", "/sys/fs/bpf", "DirectoryOrCreate", "/sys/fs/bpf", false), (run, run_mount)]
        }
    }
}

/// As little as each task needs: files of root need root, and under SELinux a type that may see the host's directories.
fn security(task: Task) -> Value {
    let selinux = json!({ "type": "spc_t" });
    match task {
        Task::Probe
        | Task::Retire
        | Task::Observe
        | Task::Endpoints
        | Task::Policies
        | Task::Services
        | Task::Replacement => json!({
            "runAsUser": 0,
            "runAsGroup": 0,
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
            "seLinuxOptions": selinux,
        }),
        Task::Canary | Task::PodServices => json!({
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        }),
        Task::Rules | Task::Proxy | Task::Unproxy => json!({
            "runAsUser": 0,
            "runAsGroup": 0,
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"] },
            "seLinuxOptions": selinux,
        }),
        Task::Cleanup => json!({ "runAsUser": 0, "privileged": true, "seLinuxOptions": selinux }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TaskSettings {
        TaskSettings {
            namespace: "kube-system".to_owned(),
            image: "kubeovn/kube-ovn:v1.14.41".to_owned(),
            image_pull_secrets: vec!["pull".to_owned()],
            conf_dir: "/etc/cni/net.d".to_owned(),
        }
    }

    #[test]
    fn names_are_valid_and_tell_node_and_run_apart() {
        let name = pod_name(Task::Probe, "worker-1", "0123456789ab");
        assert_eq!(name, pod_name(Task::Probe, "worker-1", "0123456789ab"));
        assert!(name.starts_with("ovncilium-probe-") && name.len() == "ovncilium-probe-".len() + 12, "{name}");
        assert_ne!(name, pod_name(Task::Probe, "worker-2", "0123456789ab"));
        assert_ne!(name, pod_name(Task::Probe, "worker-1", "0123456789ac"));
    }

    #[test]
    fn a_probe_can_only_read() {
        let pod = pod_manifest(Task::Probe, "worker-1", "0123456789ab", &settings(), &[]);
        let spec = &pod["spec"];
        assert_eq!(spec["nodeName"], "worker-1");
        assert_eq!(spec["hostNetwork"], true);
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["tolerations"], json!([{ "operator": "Exists" }]));
        assert_eq!(spec["imagePullSecrets"], json!([{ "name": "pull" }]));
        assert_eq!(spec["volumes"][0]["hostPath"], json!({ "path": "/etc/cni/net.d", "type": "Directory" }));
        let container = &spec["containers"][0];
        assert_eq!(container["volumeMounts"][0]["readOnly"], true);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(container["env"], json!([{ "name": "CONF_DIR", "value": "/host-cni" }]));
        assert_eq!(pod["metadata"]["labels"], json!({ TASK_LABEL: "probe", RUN_LABEL: "0123456789ab" }));
    }

    #[test]
    fn a_canary_is_an_ordinary_pod_without_the_host() {
        let pod = pod_manifest(Task::Canary, "worker-1", "0123456789ab", &settings(), &[("PEER", "10.0.0.1/53")]);
        assert_eq!(pod["spec"]["hostNetwork"], false);
        assert_eq!(pod["spec"]["volumes"], json!([{ "name": "tmp", "emptyDir": {} }]));
        assert_eq!(pod["spec"]["containers"][0]["env"], json!([{ "name": "PEER", "value": "10.0.0.1/53" }]));
        assert!(pod["spec"]["containers"][0]["readinessProbe"].is_object());
    }

    #[test]
    fn kube_proxys_cleanup_runs_in_its_own_image_between_two_looks() {
        let env = [
            ("CLEANUP_IMAGE", "registry.k8s.io/kube-proxy:v1.34.4"),
            ("CLEANUP_COMMAND", r#"["/usr/local/bin/kube-proxy","--cleanup"]"#),
            ("CLEANUP_SECRETS", r#"["other"]"#),
        ];
        let pod = pod_manifest(Task::Unproxy, "worker-1", "0123456789ab", &settings(), &env);
        let stage = |container: &Value| {
            let variables = container["env"].as_array().unwrap();
            variables.iter().find(|one| one["name"] == "STAGE").unwrap()["value"].as_str().unwrap().to_owned()
        };
        let first = pod["spec"]["initContainers"].as_array().unwrap();
        assert_eq!(
            (first.len(), stage(&first[0]), stage(&pod["spec"]["containers"][0])),
            (2, "before".into(), "after".into())
        );
        assert_eq!(first[1]["image"], "registry.k8s.io/kube-proxy:v1.34.4");
        assert_eq!(first[1]["command"], json!(["/usr/local/bin/kube-proxy", "--cleanup"]));
        assert_eq!(first[0]["securityContext"]["privileged"], false);
        assert_eq!(pod["spec"]["imagePullSecrets"], json!([{ "name": "pull" }, { "name": "other" }]));
        let names =
            |list: &Value| list.as_array().unwrap().iter().map(|one| one["name"].to_string()).collect::<String>();
        assert!(!names(&pod["spec"]["containers"][0]["env"]).contains("CLEANUP"));
        assert!(!names(&pod["spec"]["volumes"]).contains("modules"), "IPVS is left alone");
    }

    #[test]
    fn cleanup_runs_in_the_image_it_is_given() {
        let env = [("IMAGE", "quay.io/cilium/cilium:v1.18.2"), ("FILE", "01-cilium.conflist")];
        let pod = pod_manifest(Task::Cleanup, "worker-1", "0123456789ab", &settings(), &env);
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["image"], "quay.io/cilium/cilium:v1.18.2");
        assert_eq!(container["securityContext"]["privileged"], true);
        let names: Vec<&str> = container["env"].as_array().unwrap().iter().filter_map(|v| v["name"].as_str()).collect();
        assert_eq!(names, ["FILE", "CONF_DIR"]);
    }
}
