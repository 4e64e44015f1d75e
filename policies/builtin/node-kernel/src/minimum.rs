//! What each Cilium minor asks of a kernel.

use ovncilium_policy_sdk::version::Version;

/// Cilium minor, mainline minimum, and the first release of RHEL 8 that will do (its kernel calls itself 4.18).
///
/// A module uses nothing of the program's, so that a verdict is a function of its bytes and the facts; tests of the host hold
/// that this says what `core/src/compat/cilium.rs` says, where each row has its source.
const TABLE: &[(u64, Version, u64)] = &[
    (10, Version::new(4, 9, 17), 0),
    (11, Version::new(4, 9, 17), 0),
    (12, Version::new(4, 9, 17), 0),
    (13, Version::new(4, 9, 17), 0),
    (14, Version::new(4, 19, 57), 0),
    (15, Version::new(4, 19, 57), 0),
    (16, Version::new(5, 4, 0), 6),
    (17, Version::new(5, 4, 0), 6),
    (18, Version::new(5, 10, 0), 6),
    (19, Version::new(5, 10, 0), 10),
    (20, Version::new(5, 10, 0), 10),
];

/// First build numbers of the kernels of RHEL 8.0, 8.1, … 8.10.
///
/// Source: the packages of each release and its updates, whose ending names it: 4.18.0-80.el8 (CentOS 8.0.1905),
/// 147.8.1.el8_1, 193.14.3.el8_2, 240.10.1.el8_3, 305.3.1.el8_4, 348.2.1.el8_5, 372.26.1.el8_6, 425.10.1.el8_7,
/// 477.10.1.el8_8, 513.5.1.el8_9, 553.el8_10 (RHSA-2024:3138).
const RHEL_8_BUILDS: [u64; 11] = [80, 147, 193, 240, 305, 348, 372, 425, 477, 513, 553];

/// Whether a kernel will do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meets {
    Yes,
    No,
    /// It tells no version.
    Unreadable,
    /// It meets everything known, but the target is older than the table.
    NoTable,
}

/// How well a target is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Row,
    /// Newer than the table: judged by its newest row.
    Newer,
    /// Older than the table, or no version.
    No,
}

/// What the target asks of a kernel.
pub(crate) struct Minimum {
    /// The target in words: `Cilium 1.18`.
    pub(crate) target: String,
    mainline: Version,
    rhel_8: u64,
    known: Known,
}

impl Minimum {
    /// The minimum of a Cilium version; of the newest known minor when there is no target, or another one.
    pub(crate) fn of(target: Option<&str>) -> Self {
        let (newest, mainline, rhel_8) = TABLE[TABLE.len() - 1];
        let version = target.and_then(Version::parse);
        let row = version.and_then(|v| TABLE.iter().find(|(minor, ..)| v.major == 1 && v.minor == *minor));
        let is_newer = version.is_some_and(|v| v.major > 1 || (v.major == 1 && v.minor > newest));
        match (target, row) {
            (None, _) => {
                let target = format!("Cilium 1.{newest} (no target was named)");
                Self { target, mainline, rhel_8, known: Known::Row }
            }
            (Some(_), Some((minor, mainline, rhel_8))) => {
                let target = format!("Cilium 1.{minor}");
                Self { target, mainline: *mainline, rhel_8: *rhel_8, known: Known::Row }
            }
            (Some(target), None) => {
                let known = if is_newer { Known::Newer } else { Known::No };
                Self { target: format!("Cilium {target}"), mainline, rhel_8, known }
            }
        }
    }

    /// That the target is newer than the table, in words.
    pub(crate) fn newer(&self) -> Option<String> {
        let ((oldest, ..), (newest, ..)) = (TABLE[0], TABLE[TABLE.len() - 1]);
        let told = format!(
            "{} is newer than this release knows (1.{oldest} to 1.{newest}); kernels are judged as for 1.{newest}",
            self.target
        );
        (self.known == Known::Newer).then_some(told)
    }

    /// What is needed, in words.
    pub(crate) fn needs(&self) -> String {
        match self.rhel_8 {
            0 => format!("{} or newer (or any kernel of RHEL 8)", self.mainline),
            release => format!("{} or newer (or that of RHEL 8.{release})", self.mainline),
        }
    }

    /// Whether a kernel (`uname -r`) will do.
    pub(crate) fn meets(&self, kernel: &str) -> Meets {
        let Some(version) = Version::parse(kernel) else { return Meets::Unreadable };
        let enough = version >= self.mainline || rhel_8(kernel).is_some_and(|release| release >= self.rhel_8);
        match (enough, self.known) {
            (true, Known::Row | Known::Newer) => Meets::Yes,
            (true, Known::No) => Meets::NoTable,
            (false, _) => Meets::No,
        }
    }
}

/// The release of RHEL 8 (or a rebuild of it) whose kernel this is: 6 for `4.18.0-372.9.1.el8.x86_64`, by its build number, and
/// 10 for `4.18.0-553.22.1.el8_10.x86_64`, as its ending says.
pub(crate) fn rhel_8(kernel: &str) -> Option<u64> {
    let build = kernel.strip_prefix("4.18.0-")?;
    let (_, ending) = build.split_once(".el8")?;
    let number: u64 = build.split(['.', '-']).next()?.parse().ok()?;
    let said = ending.strip_prefix('_').and_then(|rest| rest.split(['.', '_']).next()?.parse().ok());
    let by_build = || RHEL_8_BUILDS.iter().rposition(|first| number >= *first).and_then(|at| u64::try_from(at).ok());
    said.or_else(by_build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_releases_of_rhel_8_from_other_kernels_called_4_18() {
        for (kernel, release) in [
            ("4.18.0-80.el8.x86_64", 0),
            ("4.18.0-147.8.1.el8_1.x86_64", 1),
            ("4.18.0-193.el8.x86_64", 2),
            ("4.18.0-240.el8.x86_64", 3),
            ("4.18.0-305.el8.x86_64", 4),
            ("4.18.0-348.2.1.el8_5.x86_64", 5),
            ("4.18.0-372.9.1.el8.x86_64", 6),
            ("4.18.0-372.16.1.el8_6.0.1.x86_64", 6),
            ("4.18.0-425.3.1.el8.x86_64", 7),
            ("4.18.0-477.10.1.el8_8.x86_64", 8),
            ("4.18.0-513.5.1.el8_9.x86_64", 9),
            ("4.18.0-553.22.1.el8_10.x86_64", 10),
        ] {
            assert_eq!(rhel_8(kernel), Some(release), "{kernel}");
        }
        for other in ["4.18.0-25-generic", "4.18.20", "5.14.0-503.el9.x86_64", "4.18.0-x.el8", "4.18.0-12.el8.x86_64"] {
            assert_eq!(rhel_8(other), None, "{other}");
        }
    }
}
