//! What each minor of Kube-OVN does with its CNI configuration file and with the two switches that are handed over.
//!
//! Facts are read by structure, since tags may be anything; this table answers where structure is silent, and what to tell
//! people to change. Read from every tag v1.8.0 to v1.16.2.

use super::{Judged, Newer, UnknownVersion};
use crate::facts::kube_ovn::ConfWriter;

/// What one minor of Kube-OVN does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubeOvnMinor {
    /// Minor of major 1.
    pub minor: u64,
    /// Who writes the file, and when.
    pub writer: ConfWriter,
    /// Where `--cni-conf-name` is read, so that the file has another name; absent where the name is built in.
    pub name_flag: Option<&'static str>,
    /// First patch that leaves an existing file alone; absent where each start overwrites it.
    pub keeps_existing: Option<u64>,
    /// Where `--enable-lb` and `--enable-np` stand in the container `kube-ovn-controller`.
    pub switches: &'static str,
    /// Values of the charts that set the two switches, load balancer first; none where there is no chart.
    pub chart_values: &'static [(&'static str, &'static str, &'static str)],
    /// Where it was read.
    pub source: &'static str,
}

const SERVER_ARGS: &str = "args of container cni-server";
const INIT_COMMAND: &str = "command of init container install-cni";
const ARGS_AFTER_COMMAND: &str = "args, behind command /kube-ovn/start-controller.sh (v1.9: args[0] in late patches)";
const ARGS: &str = "args, behind /kube-ovn/start-controller.sh";
const V1: (&str, &str, &str) = ("kube-ovn", "func.ENABLE_LB", "func.ENABLE_NP");
const V2: (&str, &str, &str) = ("kube-ovn-v2", "features.enableLoadbalancer", "features.enableNetworkPolicies");

/// Known minors, oldest first.
#[rustfmt::skip]
pub const KUBE_OVN_MINORS: &[KubeOvnMinor] = &[
    KubeOvnMinor { minor: 8, writer: ConfWriter::HardCoded, name_flag: None, keeps_existing: None, switches: ARGS_AFTER_COMMAND,
        chart_values: &[], source: "cmd/daemon/cniserver.go, pkg/controller/config.go, dist/images/install.sh@v1.8.18" },
    KubeOvnMinor { minor: 9, writer: ConfWriter::HardCoded, name_flag: None, keeps_existing: None, switches: ARGS_AFTER_COMMAND,
        chart_values: &[], source: "cmd/daemon/cniserver.go, pkg/daemon/config.go:110@v1.9.41" },
    KubeOvnMinor { minor: 10, writer: ConfWriter::CniServer, name_flag: Some(SERVER_ARGS), keeps_existing: None, switches: ARGS,
        chart_values: &[], source: "kube-ovn PR 1318; dist/images/install.sh@v1.10.0" },
    KubeOvnMinor { minor: 11, writer: ConfWriter::CniServer, name_flag: Some(SERVER_ARGS), keeps_existing: None, switches: ARGS,
        chart_values: &[V1], source: "as v1.10; kubeovn-helm@v1.11.0" },
    KubeOvnMinor { minor: 12, writer: ConfWriter::CniServer, name_flag: Some(SERVER_ARGS), keeps_existing: None, switches: ARGS,
        chart_values: &[V1], source: "as v1.10; charts/@v1.12.35" },
    KubeOvnMinor { minor: 13, writer: ConfWriter::InstallCni, name_flag: Some(INIT_COMMAND), keeps_existing: Some(15), switches: ARGS,
        chart_values: &[V1], source: "cmd/daemon/cniserver.go:38@v1.13.0; kube-ovn PR 5558 (existing file)" },
    KubeOvnMinor { minor: 14, writer: ConfWriter::InstallCni, name_flag: Some(INIT_COMMAND), keeps_existing: Some(5), switches: ARGS,
        chart_values: &[V1, V2], source: "as v1.13; charts/kube-ovn-v2@v1.14.0" },
    KubeOvnMinor { minor: 15, writer: ConfWriter::InstallCni, name_flag: Some(INIT_COMMAND), keeps_existing: Some(0), switches: ARGS,
        chart_values: &[V1, V2], source: "as v1.13; kube-ovn PR 5558" },
    KubeOvnMinor { minor: 16, writer: ConfWriter::InstallCni, name_flag: Some(INIT_COMMAND), keeps_existing: Some(0), switches: ARGS,
        chart_values: &[V1, V2], source: "as v1.13; charts/kube-ovn, charts/kube-ovn-v2@v1.16.2" },
];

/// Flags of kube-ovn-controller and the keys of a chart's values that set them, as `(flag, key)`; absent for a chart that is not known.
///
/// The second chart was called `kube-ovn` too in its first release (2.0.0, in v1.14.0).
pub fn switches_of_chart(name: &str, version: &str) -> Option<[(&'static str, &'static str); 2]> {
    let second = name == V2.0 || (name == V1.0 && version.trim_start_matches('v').starts_with("2."));
    let (_, lb, np) = match (second, name == V1.0) {
        (true, _) => V2,
        (false, true) => V1,
        (false, false) => return None,
    };
    Some([("enable-lb", lb), ("enable-np", np)])
}

/// Name of its file in every version since v1.1, unless a flag says otherwise.
pub const CONF_NAME: &str = "01-kube-ovn.conflist";

/// Name of the file in releases before v1.1.0.
pub const OLDEST_CONF_NAME: &str = "00-kube-ovn.conflist";

/// Where `--cni-conf-name` is read, for who writes the file; absent where the name is built in.
pub fn name_flag(writer: ConfWriter) -> Option<&'static str> {
    KUBE_OVN_MINORS.iter().rfind(|row| row.writer == writer).and_then(|row| row.name_flag)
}

/// Who writes the file in a version, and the name that is built into it: `(major, minor)`, or none when no tag tells one.
/// Versions before the table are told as far as they are known: v1.1 to v1.7 as v1.8, older ones had another name.
pub fn built_in(version: Option<(u64, u64)>) -> (ConfWriter, &'static str) {
    let Some((major, minor)) = version else { return (ConfWriter::HardCoded, CONF_NAME) };
    if (major, minor) < (1, 1) {
        return (ConfWriter::HardCoded, OLDEST_CONF_NAME);
    }
    let row = KUBE_OVN_MINORS.iter().rfind(|row| (1, row.minor) <= (major, minor));
    (row.map_or(ConfWriter::HardCoded, |row| row.writer), CONF_NAME)
}

fn name(row: Option<&KubeOvnMinor>) -> String {
    row.map_or_else(String::new, |row| format!("v1.{}", row.minor))
}

/// The row for a version (`v1.14.41`); the newest with [`Newer`] for one that is newer.
///
/// # Errors
/// No version, or one older than the table.
pub fn nearest(text: &str) -> Result<Judged<&'static KubeOvnMinor>, UnknownVersion> {
    let none = || UnknownVersion::NoVersion { what: "Kube-OVN", version: text.to_owned() };
    let mut numbers = text.trim_start_matches('v').split('.').map(str::parse::<u64>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return Err(none()) };
    let (oldest, newest) = (name(KUBE_OVN_MINORS.first()), name(KUBE_OVN_MINORS.last()));
    let own = KUBE_OVN_MINORS.iter().find(|row| major == 1 && minor == row.minor);
    match (own, KUBE_OVN_MINORS.last()) {
        (Some(row), _) => Ok(Judged { row, newer: None }),
        (None, Some(last)) if (major, minor) > (1, last.minor) => {
            let newer = Newer { what: "Kube-OVN", version: text.to_owned(), oldest, newest };
            Ok(Judged { row: last, newer: Some(newer) })
        }
        _ => Err(UnknownVersion::NotInTable { what: "Kube-OVN", version: text.to_owned(), oldest, newest }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_have_a_source() {
        assert!(KUBE_OVN_MINORS.windows(2).all(|pair| pair[0].minor + 1 == pair[1].minor));
        assert!(KUBE_OVN_MINORS.iter().all(|row| !row.source.is_empty()));
        for row in KUBE_OVN_MINORS {
            assert_eq!(row.name_flag.is_none(), row.writer == ConfWriter::HardCoded, "v1.{}", row.minor);
        }
    }

    #[test]
    fn charts_are_told_apart_also_where_they_have_one_name() {
        let np = |name, version| switches_of_chart(name, version).map(|keys| keys[1].1);
        assert_eq!(np("kube-ovn", "v1.16.2"), Some("func.ENABLE_NP"));
        assert_eq!(np("kube-ovn", "2.0.0"), Some("features.enableNetworkPolicies"));
        assert_eq!(np("kube-ovn-v2", "v1.15.24"), Some("features.enableNetworkPolicies"));
        assert_eq!(np("cozy-kubeovn", "1.0.0"), None);
    }

    #[test]
    fn a_newer_version_is_told_and_judged_by_the_newest_row() {
        let judged = nearest("v1.17.0").unwrap();
        assert_eq!((judged.row.minor, judged.newer.map(|newer| newer.newest)), (16, Some("v1.16".to_owned())));
        assert_eq!(nearest("v2.0.0-alpha").unwrap().row.minor, 16);
        assert_eq!(nearest("v1.9.41").unwrap().row.writer, ConfWriter::HardCoded);
        assert!(matches!(nearest("v1.7.3"), Err(UnknownVersion::NotInTable { .. })));
        assert!(matches!(nearest("latest"), Err(UnknownVersion::NoVersion { .. })));
    }
}
