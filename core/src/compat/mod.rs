//! Version tables: what a version of Cilium's chart can do.
//!
//! Read from every stable chart from 1.10.0 to 1.20.0. A minor that is not in the table is *unknown*: plans are not made for it.

use semver::Version;

/// What the charts of one minor of Cilium can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CiliumMinor {
    /// Minor of major 1.
    pub minor: u64,
    /// The agent writes any file name and finds its target network by name (`write-cni-conf-when-ready`,
    /// `cni-chaining-target`, both since 1.14), and `CiliumNodeConfig` is served as v2 (since 1.16): what layout `beside` needs.
    pub chains_beside: bool,
    /// The chart knows `forceDeviceDetection`.
    pub force_device_detection: bool,
    /// The chart runs Envoy as a DaemonSet of its own unless told otherwise.
    pub envoy_daemonset: bool,
}

/// Known minors, oldest first.
pub const CILIUM_MINORS: &[CiliumMinor] = &[
    CiliumMinor { minor: 10, chains_beside: false, force_device_detection: false, envoy_daemonset: false },
    CiliumMinor { minor: 11, chains_beside: false, force_device_detection: false, envoy_daemonset: false },
    CiliumMinor { minor: 12, chains_beside: false, force_device_detection: false, envoy_daemonset: false },
    CiliumMinor { minor: 13, chains_beside: false, force_device_detection: false, envoy_daemonset: false },
    CiliumMinor { minor: 14, chains_beside: false, force_device_detection: false, envoy_daemonset: false },
    CiliumMinor { minor: 15, chains_beside: false, force_device_detection: false, envoy_daemonset: false },
    CiliumMinor { minor: 16, chains_beside: true, force_device_detection: true, envoy_daemonset: true },
    CiliumMinor { minor: 17, chains_beside: true, force_device_detection: true, envoy_daemonset: true },
    CiliumMinor { minor: 18, chains_beside: true, force_device_detection: true, envoy_daemonset: true },
    CiliumMinor { minor: 19, chains_beside: true, force_device_detection: true, envoy_daemonset: true },
    CiliumMinor { minor: 20, chains_beside: true, force_device_detection: true, envoy_daemonset: true },
];

/// A chart version we cannot plan for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownVersion {
    /// The text is no version.
    #[error("`{version}` is not a version of Cilium's chart")]
    NoVersion {
        /// What Chart.yaml says.
        version: String,
    },
    /// The minor is not in the table.
    #[error("Cilium {version} is not known to this release: it knows 1.{oldest} to 1.{newest}")]
    NotInTable {
        /// What Chart.yaml says.
        version: String,
        /// Oldest known minor.
        oldest: u64,
        /// Newest known minor.
        newest: u64,
    },
}

/// The row for a chart version.
///
/// # Errors
/// When the version cannot be read or its minor is not in the table.
pub fn cilium_minor(version: &str) -> Result<CiliumMinor, UnknownVersion> {
    let parsed = Version::parse(version.trim_start_matches('v'))
        .map_err(|_| UnknownVersion::NoVersion { version: version.to_owned() })?;
    CILIUM_MINORS.iter().copied().find(|row| parsed.major == 1 && row.minor == parsed.minor).ok_or_else(|| {
        UnknownVersion::NotInTable {
            version: version.to_owned(),
            oldest: CILIUM_MINORS.first().map_or(0, |row| row.minor),
            newest: CILIUM_MINORS.last().map_or(0, |row| row.minor),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_minors_are_refused_not_guessed() {
        assert!(cilium_minor("1.18.12").is_ok_and(|row| row.chains_beside));
        assert!(cilium_minor("1.15.5").is_ok_and(|row| !row.chains_beside));
        assert!(matches!(cilium_minor("1.21.0"), Err(UnknownVersion::NotInTable { newest: 20, .. })));
        assert!(matches!(cilium_minor("2.18.0"), Err(UnknownVersion::NotInTable { .. })));
        assert!(matches!(cilium_minor("latest"), Err(UnknownVersion::NoVersion { .. })));
    }
}
