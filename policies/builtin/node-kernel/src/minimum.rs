//! What each Cilium minor asks of a kernel.

use ovncilium_policy_sdk::version::Version;

/// Cilium minor, mainline minimum, and the first release of RHEL 8 that will do (its kernel calls itself 4.18).
///
/// Source: `Documentation/operations/system_requirements.rst` of each minor; PRs 23124, 36386, 38308 (`domain/cilium.md` §3).
const TABLE: &[(u64, Version, Option<u64>)] = &[
    (10, Version::new(4, 9, 17), Some(0)),
    (11, Version::new(4, 9, 17), Some(0)),
    (12, Version::new(4, 9, 17), Some(0)),
    (13, Version::new(4, 9, 17), Some(0)),
    (14, Version::new(4, 19, 57), Some(0)),
    (15, Version::new(4, 19, 57), Some(0)),
    (16, Version::new(5, 4, 0), Some(6)),
    (17, Version::new(5, 4, 0), Some(6)),
    (18, Version::new(5, 10, 0), Some(6)),
    (19, Version::new(5, 10, 0), Some(10)),
    (20, Version::new(5, 10, 0), Some(10)),
];

/// Build numbers of the kernels of RHEL 8.0, 8.1, …: `4.18.0-372.9.1.el8` is that of 8.6.
const RHEL_8_BUILDS: [u64; 11] = [80, 147, 193, 240, 305, 348, 372, 425, 477, 513, 553];

/// Whether a kernel will do.
pub(crate) enum Meets {
    Yes,
    No,
    /// It tells no version.
    Unreadable,
    /// It meets everything known, but what the target asks is not known.
    NoTable,
}

/// What the target asks of a kernel.
pub(crate) struct Minimum {
    /// The target in words: `Cilium 1.18`.
    pub(crate) target: String,
    mainline: Version,
    rhel_8: Option<u64>,
    known: bool,
}

impl Minimum {
    /// The minimum of a Cilium version; of the newest known minor when there is no target, or a newer one.
    pub(crate) fn of(target: Option<&str>) -> Self {
        let (newest, mainline, rhel_8) = TABLE[TABLE.len() - 1];
        let version = target.and_then(Version::parse);
        let row = version.and_then(|v| TABLE.iter().find(|(minor, ..)| v.major == 1 && v.minor == *minor));
        match (target, row) {
            (None, _) => {
                Self { target: format!("Cilium 1.{newest} (no target was named)"), mainline, rhel_8, known: true }
            }
            (Some(_), Some((minor, mainline, rhel_8))) => {
                Self { target: format!("Cilium 1.{minor}"), mainline: *mainline, rhel_8: *rhel_8, known: true }
            }
            (Some(target), None) => Self { target: format!("Cilium {target}"), mainline, rhel_8, known: false },
        }
    }

    /// What is needed, in words.
    pub(crate) fn needs(&self) -> String {
        match self.rhel_8 {
            Some(0) => format!("{} or newer (or any kernel of RHEL 8)", self.mainline),
            Some(release) => format!("{} or newer (or that of RHEL 8.{release})", self.mainline),
            None => format!("{} or newer", self.mainline),
        }
    }

    /// Whether a kernel (`uname -r`) will do.
    pub(crate) fn meets(&self, kernel: &str) -> Meets {
        let Some(version) = Version::parse(kernel) else { return Meets::Unreadable };
        let enough = version >= self.mainline
            || rhel_8(kernel).zip(self.rhel_8).is_some_and(|(release, minimum)| release >= minimum);
        match (enough, self.known) {
            (true, true) => Meets::Yes,
            (true, false) => Meets::NoTable,
            (false, _) => Meets::No,
        }
    }
}

/// The release of RHEL 8 (or a rebuild of it) whose kernel this is: 6 for `4.18.0-372.9.1.el8.x86_64`.
pub(crate) fn rhel_8(kernel: &str) -> Option<u64> {
    let build = kernel.strip_prefix("4.18.0-")?;
    if !build.contains(".el8") {
        return None;
    }
    let number: u64 = build.split(['.', '-']).next()?.parse().ok()?;
    let release = RHEL_8_BUILDS.iter().rposition(|first| number >= *first)?;
    u64::try_from(release).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_releases_of_rhel_8_from_other_kernels_called_4_18() {
        assert_eq!(rhel_8("4.18.0-372.9.1.el8.x86_64"), Some(6));
        assert_eq!(rhel_8("4.18.0-553.22.1.el8_10.x86_64"), Some(10));
        assert_eq!(rhel_8("4.18.0-80.el8.x86_64"), Some(0));
        for other in ["4.18.0-25-generic", "4.18.20", "5.14.0-503.el9.x86_64", "4.18.0-x.el8"] {
            assert_eq!(rhel_8(other), None, "{other}");
        }
    }
}
