//! The version that an image's tag tells.

/// `v1.14.41` of `docker.io/kubeovn/kube-ovn:v1.14.41-dpdk@sha256:…`; none when the tag is no version.
///
/// Suffixes for architecture, debugging or a company's own build are dropped; alpha, beta and rc stay.
pub(super) fn version(image: &str) -> Option<String> {
    let image = image.split('@').next()?;
    let (_, tag) = image.rsplit('/').next()?.split_once(':')?;
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let (numbers, rest) = match tag.split_once(['-', '+']) {
        Some((numbers, rest)) => (numbers, Some(rest)),
        None => (tag, None),
    };
    let parts: Vec<&str> = numbers.split('.').collect();
    if parts.len() != 3 || parts.iter().any(|part| part.parse::<u32>().is_err()) {
        return None;
    }
    let stage = rest.and_then(|rest| rest.split('-').next());
    let stage = stage.filter(|stage| ["alpha", "beta", "rc"].iter().any(|known| stage.starts_with(known)));
    Some(match stage {
        Some(stage) => format!("v{numbers}-{stage}"),
        None => format!("v{numbers}"),
    })
}

/// Major and minor of such a version.
pub(super) fn minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.trim_start_matches('v').split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_registry_digest_and_suffixes() {
        for (image, expected) in [
            ("docker.io/kubeovn/kube-ovn:v1.14.41", Some("v1.14.41")),
            ("kubeovn/kube-ovn:v1.12.35-dpdk", Some("v1.12.35")),
            ("kubeovn/kube-ovn:v1.16.2-debug-arm", Some("v1.16.2")),
            ("registry:5000/a/kube-ovn:1.13.0", Some("v1.13.0")),
            ("ghcr.io/x/kube-ovn:v1.15.10@sha256:abcd", Some("v1.15.10")),
            ("quay.io/cilium/cilium:v1.20.0-rc.1@sha256:ab", Some("v1.20.0-rc.1")),
            ("registry:5000/a/kube-ovn", None),
            ("kubeovn/kube-ovn:latest", None),
            ("kubeovn/kube-ovn@sha256:abcd", None),
            ("x:v1.2", None),
            ("", None),
        ] {
            assert_eq!(version(image).as_deref(), expected, "{image}");
        }
        assert_eq!(minor("v1.14.41"), Some((1, 14)));
        assert_eq!(minor("v1"), None);
    }
}
