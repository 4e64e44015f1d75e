//! A made-up render of Cilium's chart: the kinds, the depth and the size of 1.20 with everything on, none of its text.

use std::fmt::Write as _;

/// Bytes of the stream, to a few hundred.
const BYTES: usize = 85 * 1024;

/// Kind, API version, how many of it, and entries of its body; the sizes are those of the chart.
const PARTS: [(&str, &str, usize, usize); 9] = [
    ("Namespace", "v1", 1, 0),
    ("ServiceAccount", "v1", 5, 0),
    ("Secret", "v1", 3, 2),
    ("ConfigMap", "v1", 3, 40),
    ("ClusterRole", "rbac.authorization.k8s.io/v1", 3, 30),
    ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", 3, 0),
    ("Role", "rbac.authorization.k8s.io/v1", 7, 3),
    ("Service", "v1", 5, 2),
    ("Deployment", "apps/v1", 3, 26),
];

/// The stream of a chart that chains, as Helm 3 hands it over: [`PARTS`], `cilium-config`, the DaemonSets of Envoy and of the agent.
pub(crate) fn stream() -> String {
    let mut stream = String::with_capacity(BYTES + 1024);
    for (kind, version, count, entries) in PARTS {
        for number in 0..count {
            head(&mut stream, kind, version, &format!("cilium-{}-{number}", kind.to_lowercase()));
            match kind {
                "ConfigMap" | "Secret" => data(&mut stream, entries),
                "ClusterRole" | "Role" => rules(&mut stream, entries),
                "Service" => ports(&mut stream, entries),
                "Deployment" => workload(&mut stream, entries),
                _ => {}
            }
        }
    }
    head(&mut stream, "DaemonSet", "apps/v1", "cilium-envoy");
    workload(&mut stream, 40);
    head(&mut stream, "ConfigMap", "v1", "cilium-config");
    config(&mut stream);
    head(&mut stream, "DaemonSet", "apps/v1", "cilium");
    let mut entries = 0;
    let begun = stream.len();
    // The agent is the largest document; it takes what is left.
    while stream.len() < BYTES {
        stream.truncate(begun);
        entries += 4;
        workload(&mut stream, entries);
    }
    stream
}

/// What [`write!`] to a text cannot fail at.
macro_rules! put {
    ($to:expr, $($text:tt)*) => {
        let _cannot_fail = writeln!($to, $($text)*);
    };
}

fn head(to: &mut String, kind: &str, version: &str, name: &str) {
    put!(to, "---\n# Source: cilium/templates/{name}.yaml\napiVersion: {version}\nkind: {kind}\nmetadata:");
    put!(to, "  name: \"{name}\"\n  namespace: kube-system\n  labels:\n    app.kubernetes.io/part-of: cilium");
}

fn data(to: &mut String, entries: usize) {
    put!(to, "data:");
    for entry in 0..entries {
        put!(to, "  key-{entry:03}: |-\n    # a made-up text of some length\n    value: {entry}\n    other: text");
    }
}

fn config(to: &mut String) {
    put!(to, "data:\n\n  # Chaining, as the chart says it with its comments.\n  cni-chaining-mode: generic-veth");
    put!(to, "  routing-mode: \"native\"\n  enable-ipv4: \"true\"\n  enable-ipv4-masquerade: \"false\"");
    put!(to, "  enable-ipv6: \"false\"\n  enable-ipv6-masquerade: \"false\"\n  cni-exclusive: \"false\"");
    put!(to, "  enable-identity-mark: \"false\"\n  policy-audit-mode: \"true\"\n  ipam: \"cluster-pool\"");
    put!(to, "  cluster-pool-ipv4-cidr: \"100.65.0.0/16\"\n  unmanaged-pod-watcher-interval: \"0\"");
    put!(to, "  devices: \"eth0 ovn0 genev_sys_6081\"");
    for entry in 0..150 {
        if entry % 3 == 0 {
            put!(to, "\n  # What setting {entry} is for, in a sentence\n  # or in two, as long as those of the chart.");
        }
        put!(to, "  setting-number-{entry:03}-of-the-agent: \"{}\"", if entry % 2 == 0 { "true" } else { "false" });
    }
}

fn rules(to: &mut String, entries: usize) {
    put!(to, "rules:");
    for entry in 0..entries {
        put!(to, "- apiGroups:\n  - cilium.io\n  resources:\n  # a comment\n  - resource-{entry}\n  verbs:");
        put!(to, "  - get\n  - list\n  - watch");
    }
}

fn ports(to: &mut String, entries: usize) {
    put!(to, "spec:\n  type: ClusterIP\n  selector:\n    k8s-app: cilium\n  ports:");
    for entry in 0..entries {
        put!(to, "  - name: port-{entry}\n    port: {}\n    protocol: TCP", 9000 + entry);
    }
}

fn workload(to: &mut String, entries: usize) {
    put!(to, "spec:\n  selector:\n    matchLabels:\n      k8s-app: cilium\n  template:\n    metadata:\n      labels:");
    put!(to, "        k8s-app: cilium\n    spec:\n      containers:\n      - name: container");
    put!(
        to,
        "        image: \"quay.io/cilium/cilium:v1.20.0\"\n        command:\n        - cilium-agent\n        env:"
    );
    for entry in 0..entries {
        put!(to, "        - name: NAME_OF_VARIABLE_{entry}\n          valueFrom:\n            fieldRef:");
        put!(to, "              apiVersion: v1\n              fieldPath: spec.nodeName");
    }
    put!(to, "        volumeMounts:");
    for entry in 0..entries {
        put!(to, "        # Why it is needed\n        - name: volume-{entry}\n          mountPath: /var/run/{entry}");
    }
    put!(to, "      volumes:");
    for entry in 0..entries {
        put!(to, "      - name: volume-{entry}\n        hostPath:\n          path: /var/run/{entry}");
        put!(to, "          type: DirectoryOrCreate");
    }
}

#[cfg(test)]
mod tests {
    use ovncilium_core::render::Stream;

    #[test]
    fn has_the_documents_and_the_size_of_the_chart() {
        let text = super::stream();
        assert!(text.len().abs_diff(super::BYTES) < 2048, "{}", text.len());
        assert_eq!(Stream::parse(text.as_bytes()).unwrap().documents().len(), 36);
    }
}
