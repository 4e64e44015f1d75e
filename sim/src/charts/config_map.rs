//! `cilium-config`: which keys the chart makes of which values (chart 1.18, `templates/cilium-configmap.yaml`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::constant::CONSTANT;
use crate::objects;

/// Data of the ConfigMap.
///
/// # Errors
/// What the chart's own validation says of values it does not take.
pub(super) fn data(values: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut data: BTreeMap<String, String> =
        CONSTANT.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut set = |key: &str, value: String| data.insert(key.to_owned(), value);
    let at = |pointer: &str| values.pointer(pointer).filter(|value| !value.is_null());
    let shown = |pointer: &str, default: &str| at(pointer).map_or_else(|| default.to_owned(), plain);
    let text = |pointer: &str| objects::text(values, pointer);

    if !text("/tunnel").is_empty() {
        return Err("tunnel was deprecated in v1.14 and has been removed in v1.15".to_owned());
    }
    let replacement = shown("/kubeProxyReplacement", "false");
    if replacement != "true" && replacement != "false" {
        return Err(
            "kubeProxyReplacement must be explicitly set to a valid value (true or false) to continue.".to_owned()
        );
    }
    set("debug", shown("/debug/enabled", "false"));
    set("enable-policy", shown("/policyEnforcementMode", "default").to_lowercase());
    set("enable-ipv4", shown("/ipv4/enabled", "true"));
    set("enable-ipv6", shown("/ipv6/enabled", "false"));
    set("enable-l7-proxy", shown("/l7Proxy", "true"));
    set("enable-source-ip-verification", shown("/daemon/enableSourceIPVerification", "true"));
    if at("/policyAuditMode").is_some() {
        set("policy-audit-mode", shown("/policyAuditMode", "false"));
    }
    set("kube-proxy-replacement", replacement);
    set("bpf-lb-sock", shown("/socketLB/enabled", "false"));
    set("bpf-lb-external-clusterip", shown("/bpf/lbExternalClusterIP", "false"));
    set("routing-mode", shown("/routingMode", "tunnel"));
    set("tunnel-protocol", shown("/tunnelProtocol", "vxlan"));
    set("enable-ipv4-masquerade", shown("/enableIPv4Masquerade", "true"));
    set("enable-ipv6-masquerade", shown("/enableIPv6Masquerade", "true"));
    if at("/devices").is_some() {
        set("devices", shown("/devices", ""));
    }
    if at("/forceDeviceDetection").is_some() {
        set("force-device-detection", shown("/forceDeviceDetection", "false"));
    }

    let custom = shown("/cni/customConf", "false") == "true";
    let target = text("/cni/chainingTarget");
    let mode = if text("/cni/chainingMode").is_empty() && !target.is_empty() {
        "generic-veth"
    } else {
        text("/cni/chainingMode")
    };
    let chaining = !mode.is_empty() && mode != "none";
    set("cni-chaining-mode", if mode.is_empty() { "none".to_owned() } else { mode.to_owned() });
    if !target.is_empty() {
        set("cni-chaining-target", target.to_owned());
    }
    if chaining {
        set("enable-local-node-route", "false".to_owned());
        set("enable-host-legacy-routing", "true".to_owned());
        if at("/enableIdentityMark").is_some() {
            set("enable-identity-mark", shown("/enableIdentityMark", "true"));
        }
    }
    set("enable-endpoint-health-checking", (!chaining).to_string());
    set("custom-cni-conf", custom.to_string());
    let given = !text("/cni/configMap").is_empty();
    if given {
        set(
            "read-cni-conf",
            format!(
                "{}/{}",
                shown("/cni/confFileMountPath", "/tmp/cni-configuration"),
                shown("/cni/configMapKey", "cni-config")
            ),
        );
    }
    // `cni-exclusive` is not rendered at all with customConf, whatever cni.exclusive says.
    if (given && custom) || (!custom && shown("/cni/install", "true") == "true") {
        set(
            "write-cni-conf-when-ready",
            format!("{}/05-cilium.conflist", shown("/cni/hostConfDirMountPath", "/host/etc/cni/net.d")),
        );
    }
    if !custom {
        set("cni-exclusive", shown("/cni/exclusive", "true"));
        set("cni-log-file", shown("/cni/logFile", "/var/run/cilium/cilium-cni.log"));
    }
    if shown("/cni/uninstall", "false") == "true" {
        set("cni-uninstall", "true".to_owned());
    }

    set("ipam", shown("/ipam/mode", "cluster-pool"));
    set("cluster-pool-ipv4-cidr", shown("/ipam/operator/clusterPoolIPv4PodCIDRList", "10.0.0.0/8"));
    set("cluster-pool-ipv4-mask-size", shown("/ipam/operator/clusterPoolIPv4MaskSize", "24"));
    let removes = shown("/operator/removeNodeTaints", "true");
    set("set-cilium-node-taints", shown("/operator/setNodeTaints", &removes));
    set("remove-cilium-node-taints", removes);
    if shown("/operator/setNodeNetworkStatus", "true") == "true" {
        set("set-cilium-is-up-condition", "true".to_owned());
    }
    set("agent-not-ready-taint-key", shown("/agentNotReadyTaintKey", "node.cilium.io/agent-not-ready"));
    let watches = shown("/operator/unmanagedPodWatcher/restart", "true") == "true";
    let interval = shown("/operator/unmanagedPodWatcher/intervalSeconds", "15");
    set("unmanaged-pod-watcher-interval", if watches { interval } else { "0".to_owned() });
    set("external-envoy-proxy", shown("/envoy/enabled", "true"));
    let hubble = shown("/hubble/enabled", "true");
    if hubble == "true" {
        set("hubble-socket-path", "/var/run/cilium/hubble.sock".to_owned());
        set("hubble-network-policy-correlation-enabled", "true".to_owned());
        set("hubble-listen-address", ":4244".to_owned());
        let tls = shown("/hubble/tls/enabled", "true") == "true";
        set("hubble-disable-tls", (!tls).to_string());
        if tls {
            set("hubble-tls-cert-file", "/var/lib/cilium/tls/hubble/server.crt".to_owned());
            set("hubble-tls-key-file", "/var/lib/cilium/tls/hubble/server.key".to_owned());
            set("hubble-tls-client-ca-files", "/var/lib/cilium/tls/hubble/client-ca.crt".to_owned());
        }
    }
    set("enable-hubble", hubble);
    for (key, value) in values.get("extraConfig").and_then(Value::as_object).into_iter().flatten() {
        set(key, plain(value));
    }
    Ok(data)
}

/// A value as the chart writes it into the ConfigMap; lists are joined by blanks.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn custom_conf_without_config_map_writes_nothing() {
        let values = json!({
            "cni": { "customConf": true, "chainingTarget": "kube-ovn", "exclusive": true },
            "policyAuditMode": true,
        });
        let data = data(&values).unwrap();
        assert_eq!(data.get("write-cni-conf-when-ready"), None);
        assert_eq!(data.get("cni-exclusive"), None);
        assert_eq!(data["cni-chaining-mode"], "generic-veth");
        assert_eq!(data["policy-audit-mode"], "true");
    }

    #[test]
    fn extra_config_wins_and_old_values_are_refused() {
        let extra = json!({
            "cni": { "customConf": true },
            "extraConfig": { "write-cni-conf-when-ready": "/host/etc/cni/net.d/01-cilium.conflist" },
        });
        assert_eq!(data(&extra).unwrap()["write-cni-conf-when-ready"], "/host/etc/cni/net.d/01-cilium.conflist");
        assert!(data(&json!({"tunnel": "disabled"})).is_err());
        assert!(data(&json!({"kubeProxyReplacement": "strict"})).is_err());
    }
}
