//! Which flags each helm has, and the oldest that can be driven.
//!
//! Read from the help of helm 3.17.2, 3.19.0, 4.1.0, 4.2.3 and 4.3.1 and the source of the tags named.

use semver::Version;

/// The oldest helm that hands arguments to a post-renderer, without which it cannot be told which cluster it is for.
pub const MINIMUM: Version = Version::new(3, 9, 0);

/// Seen to render charts of Cilium from [`NEEDS_NEW_HELM`] on; helm 3.9 was seen to fail on them.
pub const FOR_NEW_CHARTS: Version = Version::new(3, 17, 0);

/// First chart of Cilium with template functions that old helm does not have.
pub const NEEDS_NEW_HELM: Version = Version::new(1, 17, 0);

/// Majors that are known.
pub const MAJORS: [u64; 2] = [3, 4];

/// One flag of `helm install`, `upgrade` or `template`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmFlag {
    /// The flag.
    pub flag: &'static str,
    /// First version that has it.
    pub since: Version,
    /// First version that does not have it any more, or refuses it.
    pub until: Option<Version>,
    /// What it is to us.
    pub meaning: &'static str,
    /// Where it was read.
    pub source: &'static str,
}

const fn v(major: u64, minor: u64) -> Version {
    Version::new(major, minor, 0)
}

/// Known flags that not every helm has, by name.
#[rustfmt::skip]
pub const FLAGS: &[HelmFlag] = &[
    HelmFlag { flag: "--atomic", since: v(3, 0), until: None, meaning: "not used: a run goes on, it does not fall back; 4 calls it --rollback-on-failure",
        source: "help of 3.19.0, 4.3.1" },
    HelmFlag { flag: "--dry-run=server", since: v(3, 13), until: None, meaning: "renders with `lookup` and asks the server; compared before an upgrade of a release",
        source: "pkg/action/install.go@v3.13.0" },
    HelmFlag { flag: "--force-conflicts", since: v(4, 0), until: None, meaning: "our values win over fields that others own", source: "help of 4.3.1" },
    HelmFlag { flag: "--post-renderer EXECUTABLE", since: v(3, 1), until: Some(v(4, 0)), meaning: "a program on PATH or a path",
        source: "pkg/postrender/exec.go@v3.21.4" },
    HelmFlag { flag: "--post-renderer PLUGIN", since: v(4, 0), until: None, meaning: "the name of a plugin of type postrenderer/v1; a path is refused",
        source: "pkg/postrenderer/postrenderer.go@v4.2.4, helm#31340" },
    HelmFlag { flag: "--post-renderer-args", since: v(3, 9), until: None, meaning: "how a post-renderer is told the cluster", source: "absent in v3.8.0, there in v3.9.0" },
    HelmFlag { flag: "--reset-then-reuse-values", since: v(3, 14), until: None, meaning: "for people who change one value of a release", source: "pkg/action/upgrade.go@v3.14.0" },
    HelmFlag { flag: "--rollback-on-failure", since: v(4, 0), until: None, meaning: "not used", source: "help of 4.3.1" },
    HelmFlag { flag: "--server-side", since: v(4, 0), until: None, meaning: "who applies: as the release was applied before", source: "pkg/action/upgrade.go@v4.2.4" },
    HelmFlag { flag: "--take-ownership", since: v(3, 17), until: None, meaning: "for objects that another release made", source: "pkg/action/install.go@v3.17.0" },
    HelmFlag { flag: "list --all", since: v(3, 0), until: Some(v(4, 0)), meaning: "not used: every state is named instead", source: "help of 3.19.0, 4.3.1" },
];

/// Whether a helm has a flag of [`FLAGS`]. A pre-release has the flags of its release.
pub fn has(version: &Version, flag: &str) -> bool {
    let release = Version::new(version.major, version.minor, version.patch);
    FLAGS
        .iter()
        .any(|row| row.flag == flag && row.since <= release && row.until.as_ref().is_none_or(|until| release < *until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn post_renderers_are_programs_in_3_and_plugins_in_4() {
        let helm = |text: &str| Version::parse(text).unwrap();
        for (version, program, plugin) in
            [("3.9.0", true, false), ("3.19.5", true, false), ("4.0.0-rc.1", false, true), ("4.3.1", false, true)]
        {
            assert_eq!(has(&helm(version), "--post-renderer EXECUTABLE"), program, "{version}");
            assert_eq!(has(&helm(version), "--post-renderer PLUGIN"), plugin, "{version}");
        }
        assert!(!has(&helm("3.8.2"), "--post-renderer-args") && has(&MINIMUM, "--post-renderer-args"));
    }

    #[test]
    fn rows_are_in_order_and_have_a_source() {
        assert!(FLAGS.windows(2).all(|pair| pair[0].flag < pair[1].flag));
        assert!(FLAGS.iter().all(|row| !row.source.is_empty() && !row.meaning.is_empty()));
    }
}
