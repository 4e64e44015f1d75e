//! What the charts of each minor of Cilium do, and what its agents ask for.
//!
//! [`CILIUM_MINORS`] has what holds for a whole minor, [`VALUES`] what a chart does with a value, down to the patch. Read from
//! every stable chart from 1.10.0 to 1.20.0 and from the agents' source.

use semver::Version;

use super::{Judged, Newer, UnknownVersion};

/// What the charts and agents of one minor of Cilium do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CiliumMinor {
    /// Minor of major 1.
    pub minor: u64,
    /// Oldest mainline kernel, `(5, 10, 0)`.
    pub kernel: (u64, u64, u64),
    /// First release of RHEL 8 whose kernel (it calls itself 4.18) will do: 6 is RHEL 8.6.
    pub rhel_8: u64,
    /// Who writes the CNI configuration file, and with which means.
    pub conf_writer: ConfWriter,
    /// Version under which `CiliumNodeConfig` is served; absent before there was one.
    pub node_config: Option<&'static str>,
    /// The chart turns BPF host routing off by itself when chaining; generic-veth does not work with it (cilium#20135).
    pub forces_legacy_routing: bool,
    /// The chart runs Envoy as a DaemonSet of its own unless told otherwise.
    pub envoy_daemonset: bool,
    /// Where it was read.
    pub source: &'static str,
}

/// Who writes Cilium's CNI configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfWriter {
    /// `cni-install.sh` at the agent's start, which renames the files of others unless `cni.customConf` is set; the agent
    /// copies a ConfigMap once, under the name `05-cilium.conflist`.
    Script,
    /// The agent, atomically, under any name (`write-cni-conf-when-ready`), chained to a network that it finds by name
    /// (`cni-chaining-target`).
    Agent,
}

/// How the chained file stands beside Kube-OVN's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `01-cilium.conflist` beside `01-kube-ovn.conflist`, which stays as it is.
    Beside,
    /// As the guide says: `05-cilium.conflist` from a ConfigMap, and Kube-OVN's file renamed to `10-kube-ovn.conflist`.
    Guide,
}

impl Layout {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Beside => "beside",
            Self::Guide => "guide",
        }
    }
}

impl CiliumMinor {
    /// Layouts that this Cilium can have, the better one first.
    pub fn layouts(&self) -> &'static [Layout] {
        match self.conf_writer {
            ConfWriter::Agent => &[Layout::Beside, Layout::Guide],
            ConfWriter::Script => &[Layout::Guide],
        }
    }

    /// Whether a plan can be made for it: layout `beside`, switched node by node through a `CiliumNodeConfig` of version v2.
    pub fn can_be_planned(&self) -> bool {
        self.conf_writer == ConfWriter::Agent && self.node_config == Some("v2")
    }
}

const REQUIREMENTS_10: &str = "Documentation/operations/system_requirements.rst@v1.10; plugins/cilium-cni/cni-install.sh; charts 1.10.0 to 1.10.20";
const REQUIREMENTS_14: &str =
    "cilium PR 23124, PR 24258 (kernel); daemon/cmd/cni/config.go (agent writes); PR 24956 (target by name)";

/// Known minors, oldest first.
#[rustfmt::skip]
pub const CILIUM_MINORS: &[CiliumMinor] = &[
    CiliumMinor { minor: 10, kernel: (4, 9, 17), rhel_8: 0, conf_writer: ConfWriter::Script, node_config: None,
        forces_legacy_routing: false, envoy_daemonset: false, source: REQUIREMENTS_10 },
    CiliumMinor { minor: 11, kernel: (4, 9, 17), rhel_8: 0, conf_writer: ConfWriter::Script, node_config: None,
        forces_legacy_routing: false, envoy_daemonset: false, source: "as 1.10; charts 1.11.0 to 1.11.20" },
    CiliumMinor { minor: 12, kernel: (4, 9, 17), rhel_8: 0, conf_writer: ConfWriter::Script, node_config: None,
        forces_legacy_routing: false, envoy_daemonset: false, source: "as 1.10; charts 1.12.0 to 1.12.19" },
    CiliumMinor { minor: 13, kernel: (4, 9, 17), rhel_8: 0, conf_writer: ConfWriter::Script, node_config: Some("v2alpha1"),
        forces_legacy_routing: true, envoy_daemonset: false, source: "as 1.10; cilium#20135 (routing); charts 1.13.0 to 1.13.18" },
    CiliumMinor { minor: 14, kernel: (4, 19, 57), rhel_8: 0, conf_writer: ConfWriter::Agent, node_config: Some("v2alpha1"),
        forces_legacy_routing: true, envoy_daemonset: false, source: REQUIREMENTS_14 },
    CiliumMinor { minor: 15, kernel: (4, 19, 57), rhel_8: 0, conf_writer: ConfWriter::Agent, node_config: Some("v2alpha1"),
        forces_legacy_routing: true, envoy_daemonset: false, source: "as 1.14; charts 1.15.0 to 1.15.19" },
    CiliumMinor { minor: 16, kernel: (5, 4, 0), rhel_8: 6, conf_writer: ConfWriter::Agent, node_config: Some("v2"),
        forces_legacy_routing: true, envoy_daemonset: true, source: "cilium PR 36386 (kernel); charts 1.16.0 to 1.16.19" },
    CiliumMinor { minor: 17, kernel: (5, 4, 0), rhel_8: 6, conf_writer: ConfWriter::Agent, node_config: Some("v2"),
        forces_legacy_routing: true, envoy_daemonset: true, source: "as 1.16; charts 1.17.0 to 1.17.18" },
    CiliumMinor { minor: 18, kernel: (5, 10, 0), rhel_8: 6, conf_writer: ConfWriter::Agent, node_config: Some("v2"),
        forces_legacy_routing: true, envoy_daemonset: true, source: "cilium PR 38308, PR 42081 (kernel); charts 1.18.0 to 1.18.12" },
    CiliumMinor { minor: 19, kernel: (5, 10, 0), rhel_8: 10, conf_writer: ConfWriter::Agent, node_config: Some("v2"),
        forces_legacy_routing: true, envoy_daemonset: true,
        source: "Documentation/operations/system_requirements.rst@00c8811; charts 1.19.0 to 1.19.6" },
    CiliumMinor { minor: 20, kernel: (5, 10, 0), rhel_8: 10, conf_writer: ConfWriter::Agent, node_config: Some("v2"),
        forces_legacy_routing: true, envoy_daemonset: true, source: "as 1.19; chart 1.20.0" },
];

/// What a chart does with a value that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is read.
    Read,
    /// It is not read, and nothing says so.
    Ignored,
    /// Rendering fails.
    Fails,
}

/// A value of the chart: what becomes of it from a version on. Before its first row it is [`Effect::Ignored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueRow {
    /// Path in the values, `cni.chainingTarget`; for one that depends on what it is set to, `kubeProxyReplacement=strict`.
    pub key: &'static str,
    /// First minor and patch of major 1.
    pub since: (u64, u64),
    /// What happens from there until the next row of the key.
    pub effect: Effect,
    /// Where it was read.
    pub source: &'static str,
}

const CONFIG_MAP: &str = "templates/cilium-configmap.yaml of every chart";

/// Values whose meaning depends on the version, by key and version.
#[rustfmt::skip]
pub const VALUES: &[ValueRow] = &[
    ValueRow { key: "cni.chainingTarget", since: (14, 0), effect: Effect::Read, source: "cilium PR 24956" },
    ValueRow { key: "cni.enableRouteMTUForCNIChaining", since: (16, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "cni.uninstall", since: (11, 15), effect: Effect::Read, source: "cilium PR 24009" },
    ValueRow { key: "cni.uninstall", since: (12, 0), effect: Effect::Ignored, source: "cilium PR 24009" },
    ValueRow { key: "cni.uninstall", since: (12, 8), effect: Effect::Read, source: "cilium PR 24009" },
    ValueRow { key: "cni.uninstall", since: (13, 0), effect: Effect::Ignored, source: "cilium PR 24009" },
    ValueRow { key: "cni.uninstall", since: (13, 1), effect: Effect::Read, source: "cilium PR 24009" },
    ValueRow { key: "daemon.enableSourceIPVerification", since: (17, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "envoy.enabled", since: (14, 0), effect: Effect::Read, source: "values.yaml of every chart" },
    ValueRow { key: "externalIPs.enabled", since: (10, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "externalIPs.enabled", since: (17, 6), effect: Effect::Ignored, source: CONFIG_MAP },
    ValueRow { key: "forceDeviceDetection", since: (16, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "hostPort.enabled", since: (10, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "hostPort.enabled", since: (18, 0), effect: Effect::Ignored, source: CONFIG_MAP },
    ValueRow { key: "ipam.operator.clusterPoolIPv4PodCIDR", since: (10, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "ipam.operator.clusterPoolIPv4PodCIDR", since: (14, 0), effect: Effect::Fails, source: "templates/validate.yaml" },
    ValueRow { key: "ipam.operator.clusterPoolIPv4PodCIDR", since: (20, 0), effect: Effect::Ignored, source: CONFIG_MAP },
    ValueRow { key: "ipam.operator.clusterPoolIPv4PodCIDRList", since: (11, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "kubeProxyReplacement=disabled", since: (10, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "kubeProxyReplacement=disabled", since: (16, 0), effect: Effect::Fails, source: CONFIG_MAP },
    ValueRow { key: "kubeProxyReplacement=false", since: (14, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "kubeProxyReplacement=strict", since: (10, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "kubeProxyReplacement=strict", since: (16, 0), effect: Effect::Fails, source: CONFIG_MAP },
    ValueRow { key: "kubeProxyReplacement=true", since: (14, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "nodePort.enabled", since: (10, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "nodePort.enabled", since: (19, 0), effect: Effect::Ignored, source: CONFIG_MAP },
    ValueRow { key: "operator.setNodeNetworkStatus", since: (14, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "operator.setNodeTaints", since: (14, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "operator.unmanagedPodWatcher.restart", since: (10, 11), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "operator.unmanagedPodWatcher.restart", since: (11, 0), effect: Effect::Ignored, source: CONFIG_MAP },
    ValueRow { key: "operator.unmanagedPodWatcher.restart", since: (11, 5), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "routingMode", since: (14, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "sessionAffinity", since: (10, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "sessionAffinity", since: (19, 0), effect: Effect::Ignored, source: CONFIG_MAP },
    ValueRow { key: "socketLB.enabled", since: (12, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "tunnel", since: (10, 0), effect: Effect::Read, source: CONFIG_MAP },
    ValueRow { key: "tunnel", since: (15, 0), effect: Effect::Ignored, source: "cilium PR 29053 (removed without a word)" },
    ValueRow { key: "tunnel", since: (15, 8), effect: Effect::Fails, source: "cilium PR 34213" },
    ValueRow { key: "tunnel", since: (16, 0), effect: Effect::Ignored, source: "cilium PR 34229 (fixed in .2)" },
    ValueRow { key: "tunnel", since: (16, 2), effect: Effect::Fails, source: "cilium PR 34229" },
];

/// What some versions do and others do not, whatever their values say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// The chart writes the key `routing-mode` twice, which a strict reader of YAML refuses.
    WritesRoutingModeTwice,
    /// The agent tries again to listen where kube-proxy has listened until then, on a Service's `healthCheckNodePort`.
    TakesHealthChecksOver,
    /// The agent never learns who a static pod is: the plugin is given another UID than its object has, and its endpoint keeps the identity
    /// `init`.
    ForgetsStaticPods,
}

/// Versions that behave so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BehaviourRow {
    /// What they do.
    pub behaviour: Behaviour,
    /// First minor and patch of major 1.
    pub since: (u64, u64),
    /// First that does it no more.
    pub before: Option<(u64, u64)>,
    /// Where it was read.
    pub source: &'static str,
}

/// Behaviours, by version.
#[rustfmt::skip]
pub const BEHAVIOURS: &[BehaviourRow] = &[
    BehaviourRow { behaviour: Behaviour::WritesRoutingModeTwice, since: (14, 0), before: Some((14, 3)),
        source: "cilium#27756, fixed by PR 27841" },
    BehaviourRow { behaviour: Behaviour::TakesHealthChecksOver, since: (18, 0), before: None,
        source: "pkg/service/healthserver of 1.17 and 1.18" },
    BehaviourRow { behaviour: Behaviour::ForgetsStaticPods, since: (16, 0), before: Some((18, 9)),
        source: "cilium PR 31605, mended by PR 45016" },
    BehaviourRow { behaviour: Behaviour::ForgetsStaticPods, since: (19, 0), before: Some((19, 3)),
        source: "cilium PR 31605, mended by PR 45016" },
];

/// A version of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// What Chart.yaml says, without `v`.
    pub version: Version,
    /// Its row.
    pub row: CiliumMinor,
    /// It is newer than the tables.
    pub newer: Option<Newer>,
}

impl Chart {
    /// The chart of a version; one newer than the tables is told as such and judged by the newest row.
    ///
    /// # Errors
    /// No version, or one older than the table.
    pub fn of(text: &str) -> Result<Self, UnknownVersion> {
        let version = parse(text)?;
        let Judged { row, newer } = nearest(text)?;
        Ok(Self { version, row, newer })
    }

    /// What this chart does with a value of [`VALUES`]. A key that is not in the table is not asked for.
    pub fn effect(&self, key: &str) -> Effect {
        let own = self.judged_as();
        VALUES.iter().rfind(|row| row.key == key && row.since <= own).map_or(Effect::Ignored, |row| row.effect)
    }

    /// Whether this chart reads a value of [`VALUES`].
    pub fn reads(&self, key: &str) -> bool {
        self.effect(key) == Effect::Read
    }

    /// Whether this version behaves so, by [`BEHAVIOURS`].
    pub fn does(&self, behaviour: Behaviour) -> bool {
        let own = self.judged_as();
        BEHAVIOURS
            .iter()
            .filter(|row| row.behaviour == behaviour)
            .any(|row| row.since <= own && row.before.is_none_or(|before| own < before))
    }

    /// Minor and patch in the tables; one that is newer than every row is what the newest charts are.
    fn judged_as(&self) -> (u64, u64) {
        match self.newer {
            Some(_) => (u64::MAX, 0),
            None => (self.version.minor, self.version.patch),
        }
    }
}

fn parse(text: &str) -> Result<Version, UnknownVersion> {
    Version::parse(text.trim_start_matches('v'))
        .map_err(|_| UnknownVersion::NoVersion { what: "Cilium's chart", version: text.to_owned() })
}

fn name(row: Option<&CiliumMinor>) -> String {
    row.map_or_else(String::new, |row| format!("1.{}", row.minor))
}

/// The row for a version of the chart; the newest with [`Newer`] for one that is newer.
///
/// # Errors
/// No version, or one older than the table.
pub fn nearest(text: &str) -> Result<Judged<CiliumMinor>, UnknownVersion> {
    let version = parse(text)?;
    let own = CILIUM_MINORS.iter().find(|row| version.major == 1 && version.minor == row.minor);
    let (oldest, newest) = (name(CILIUM_MINORS.first()), name(CILIUM_MINORS.last()));
    match (own, CILIUM_MINORS.last()) {
        (Some(row), _) => Ok(Judged { row: *row, newer: None }),
        (None, Some(last)) if version.major > 1 || (version.major == 1 && version.minor > last.minor) => {
            let newer = Newer { what: "Cilium", version: text.to_owned(), oldest, newest };
            Ok(Judged { row: *last, newer: Some(newer) })
        }
        _ => Err(UnknownVersion::NotInTable { what: "Cilium", version: text.to_owned(), oldest, newest }),
    }
}

/// The row of a version of the chart, for plans: what will be written may not be guessed.
///
/// # Errors
/// No version, or one without a row of its own.
pub fn cilium_minor(text: &str) -> Result<CiliumMinor, UnknownVersion> {
    match nearest(text)? {
        Judged { row, newer: None } => Ok(row),
        Judged { newer: Some(Newer { what, version, oldest, newest }), .. } => {
            Err(UnknownVersion::NotInTable { what, version, oldest, newest })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_are_taken_over_since_1_18() {
        for (version, taken) in [("1.16.19", false), ("1.17.18", false), ("1.18.2", true), ("1.20.0", true)] {
            assert_eq!(Chart::of(version).unwrap().does(Behaviour::TakesHealthChecksOver), taken, "{version}");
        }
    }

    #[test]
    fn a_newer_version_is_told_and_judged_by_the_newest_row_but_never_planned_for() {
        for newer in ["1.21.0", "v1.21.0-pre.0", "2.0.0"] {
            let chart = Chart::of(newer).unwrap();
            assert_eq!(chart.row.minor, 20);
            let told = chart.newer.as_ref().unwrap().to_string();
            assert!(told.contains(newer) && told.contains("judged as 1.20"), "{told}");
            assert_eq!((chart.effect("tunnel"), chart.reads("routingMode")), (Effect::Fails, true));
            assert!(matches!(cilium_minor(newer), Err(UnknownVersion::NotInTable { .. })), "{newer}");
        }
        assert!(matches!(Chart::of("1.9.18"), Err(UnknownVersion::NotInTable { .. })));
        assert!(matches!(Chart::of("0.9.0"), Err(UnknownVersion::NotInTable { .. })));
        assert!(matches!(Chart::of("latest"), Err(UnknownVersion::NoVersion { .. })));
    }

    #[test]
    fn a_value_is_judged_down_to_the_patch() {
        let effect = |version: &str, key: &str| Chart::of(version).unwrap().effect(key);
        for (version, expected) in [
            ("1.10.5", Effect::Read),
            ("1.14.19", Effect::Read),
            ("1.15.5", Effect::Ignored),
            ("1.15.8", Effect::Fails),
            ("1.16.1", Effect::Ignored),
            ("1.16.2", Effect::Fails),
            ("1.20.0", Effect::Fails),
        ] {
            assert_eq!(effect(version, "tunnel"), expected, "{version}");
        }
        for (version, reads) in
            [("1.10.10", false), ("1.10.11", true), ("1.11.4", false), ("1.11.5", true), ("1.12.0", true)]
        {
            assert_eq!(Chart::of(version).unwrap().reads("operator.unmanagedPodWatcher.restart"), reads, "{version}");
        }
        assert_eq!(effect("1.13.18", "routingMode"), Effect::Ignored);
        assert_eq!(effect("1.15.5", "forceDeviceDetection"), Effect::Ignored);
    }

    #[test]
    fn rows_are_in_order_and_have_a_source() {
        assert!(CILIUM_MINORS.windows(2).all(|pair| pair[0].minor + 1 == pair[1].minor));
        assert!(
            CILIUM_MINORS.windows(2).all(|pair| pair[0].kernel <= pair[1].kernel && pair[0].rhel_8 <= pair[1].rhel_8)
        );
        assert!(CILIUM_MINORS.iter().all(|row| !row.source.is_empty()));
        assert!(VALUES.windows(2).all(|pair| (pair[0].key, pair[0].since) < (pair[1].key, pair[1].since)));
        assert!(VALUES.iter().all(|row| !row.source.is_empty()));
    }

    #[test]
    fn only_what_switches_node_by_node_can_be_planned() {
        let planned: Vec<u64> = CILIUM_MINORS.iter().filter(|row| row.can_be_planned()).map(|row| row.minor).collect();
        assert_eq!(planned, [16, 17, 18, 19, 20]);
        let beside = |row: &&CiliumMinor| row.layouts().contains(&Layout::Beside);
        assert_eq!(CILIUM_MINORS.iter().filter(beside).map(|row| row.minor).min(), Some(14));
    }

    #[test]
    fn behaviours_begin_and_end_at_a_patch() {
        for (behaviour, does, does_not) in [
            (Behaviour::WritesRoutingModeTwice, ["1.14.0", "1.14.2"], ["1.13.9", "1.14.3"]),
            (Behaviour::TakesHealthChecksOver, ["1.18.0", "1.99.0"], ["1.17.9", "1.10.0"]),
            (Behaviour::ForgetsStaticPods, ["1.17.15", "1.18.8"], ["1.15.9", "1.18.9"]),
            (Behaviour::ForgetsStaticPods, ["1.19.0", "1.19.2"], ["1.19.3", "1.99.0"]),
        ] {
            let has = |version: &str| Chart::of(version).unwrap().does(behaviour);
            assert!(does.iter().all(|version| has(version)), "{behaviour:?} in {does:?}");
            assert!(!does_not.iter().any(|version| has(version)), "{behaviour:?} in {does_not:?}");
        }
    }
}
