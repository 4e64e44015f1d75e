//! How a plan has [`KubeProxy`]: what is known of kube-proxy stands beside the rest, or nothing of it does.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApiServer, Distribution, Former, KubeProxy};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distribution: Option<Distribution>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_pull_secrets: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<Vec<String>>,
    api_server: ApiServer,
    replaced: bool,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    own_values: Value,
}

impl From<KubeProxy> for Recorded {
    fn from(proxy: KubeProxy) -> Self {
        let KubeProxy { former, api_server, replaced, own_values } = proxy;
        let nothing = Self {
            distribution: None,
            namespace: None,
            name: None,
            image: None,
            image_pull_secrets: None,
            program: None,
            api_server,
            replaced,
            own_values,
        };
        match former {
            None => nothing,
            Some(former) => Self {
                distribution: former.distribution,
                namespace: Some(former.namespace),
                name: Some(former.name),
                image: Some(former.image),
                image_pull_secrets: Some(former.image_pull_secrets),
                program: Some(former.program),
                ..nothing
            },
        }
    }
}

impl TryFrom<Recorded> for KubeProxy {
    type Error = &'static str;

    fn try_from(recorded: Recorded) -> Result<Self, Self::Error> {
        let Recorded { distribution, api_server, replaced, own_values, .. } = recorded;
        let of_kube_proxy =
            (recorded.namespace, recorded.name, recorded.image, recorded.image_pull_secrets, recorded.program);
        let former = match of_kube_proxy {
            (None, None, None, None, None) if distribution.is_none() => None,
            (Some(namespace), Some(name), Some(image), Some(image_pull_secrets), Some(program)) => {
                Some(Former { distribution, namespace, name, image, image_pull_secrets, program })
            }
            _ => return Err("only a part of kube-proxy is recorded"),
        };
        Ok(Self { former, api_server, replaced, own_values })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kube_proxy_that_was_there_is_recorded_as_ever_and_none_by_nothing() {
        let was = r#"{"namespace":"kube-system","name":"kube-proxy","image":"i","image_pull_secrets":[],"program":["kube-proxy"],"api_server":{"host":"192.0.2.10","port":6443},"replaced":true,"own_values":{"k8sServicePort":6443}}"#;
        let read: KubeProxy = serde_json::from_str(was).unwrap();
        assert_eq!(read.former.as_ref().map(Former::told).as_deref(), Some("daemonset kube-system/kube-proxy"));
        assert_eq!(serde_json::to_string(&read).unwrap(), was, "its digest is the same");
        let alone = KubeProxy { former: None, own_values: Value::Null, ..read };
        let text = serde_json::to_string(&alone).unwrap();
        assert_eq!(text, r#"{"api_server":{"host":"192.0.2.10","port":6443},"replaced":true}"#);
        assert_eq!(serde_json::from_str::<KubeProxy>(&text).unwrap(), alone);
        let mut part: Value = serde_json::from_str(was).unwrap();
        part.as_object_mut().unwrap().remove("program");
        assert!(serde_json::from_value::<KubeProxy>(part).unwrap_err().to_string().contains("only a part"));
        let more = json!({ "api_server": { "host": "h", "port": 1 }, "replaced": true, "mode": "x" });
        assert!(serde_json::from_value::<KubeProxy>(more).is_err());
    }
}
