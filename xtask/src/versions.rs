//! The version tables of `core/src/compat` as a page.

use std::fmt::Write as _;

use ovncilium_core::compat::cilium::{BEHAVIOURS, Behaviour, CILIUM_MINORS, ConfWriter, Effect, VALUES};
use ovncilium_core::compat::helm::{FLAGS, MINIMUM};
use ovncilium_core::compat::kube_ovn::KUBE_OVN_MINORS;
use ovncilium_core::facts::kube_ovn::ConfWriter as Writer;

/// Text without its heading.
pub(crate) fn page() -> String {
    let mut page = "What is known of each version, and where it was read. A version newer than a table is judged as its newest row, and each \
                    judgement that comes of it is told with a warning; plans are made for no version without a row.\n"
        .to_owned();
    cilium(&mut page);
    behaviours(&mut page);
    values(&mut page);
    kube_ovn(&mut page);
    helm(&mut page);
    page
}

fn cilium(page: &mut String) {
    page.push_str(
        "\n## Cilium\n\nLayouts: *beside* is `01-cilium.conflist` beside Kube-OVN's file, *guide* is `05-cilium.conflist` of a ConfigMap.\n\n\
         | Cilium | kernel | RHEL 8 | writes the CNI file | layouts | CiliumNodeConfig | plans | source |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in CILIUM_MINORS {
        let (major, minor, patch) = row.kernel;
        let rhel = if row.rhel_8 == 0 { "any".to_owned() } else { format!("from 8.{}", row.rhel_8) };
        let writer = match row.conf_writer {
            ConfWriter::Script => "a script at the agent's start",
            ConfWriter::Agent => "the agent",
        };
        let layouts: Vec<&str> = row.layouts().iter().map(|layout| layout.name()).collect();
        let _ = writeln!(
            page,
            "| 1.{} | {major}.{minor}.{patch} | {rhel} | {writer} | {} | {} | {} | {} |",
            row.minor,
            layouts.join(", "),
            row.node_config.unwrap_or("none"),
            if row.can_be_planned() { "yes" } else { "no" },
            row.source
        );
    }
}

fn behaviours(page: &mut String) {
    page.push_str("\n## What some versions do\n\n| Cilium | from | before | source |\n|---|---|---|---|\n");
    let told = |(minor, patch): (u64, u64)| format!("1.{minor}.{patch}");
    for row in BEHAVIOURS {
        let what = match row.behaviour {
            Behaviour::WritesRoutingModeTwice => "its chart writes `routing-mode` twice",
            Behaviour::TakesHealthChecksOver => "takes the port of a Service's health checks over from kube-proxy",
            Behaviour::ForgetsStaticPods => "does not know a static pod again when it restarts",
        };
        let before = row.before.map(told).unwrap_or_default();
        let _ = writeln!(page, "| {what} | {} | {before} | {} |", told(row.since), row.source);
    }
}

fn values(page: &mut String) {
    page.push_str(
        "\n## Values of the chart\n\nWhat charts do with a value that not all of them read; before its first row it is ignored without a word.\n\n\
         | value | from chart | it is | source |\n|---|---|---|---|\n",
    );
    for row in VALUES {
        let effect = match row.effect {
            Effect::Read => "read",
            Effect::Ignored => "ignored",
            Effect::Fails => "refused: rendering fails",
        };
        let (minor, patch) = row.since;
        let _ = writeln!(page, "| `{}` | 1.{minor}.{patch} | {effect} | {} |", row.key, row.source);
    }
}

fn kube_ovn(page: &mut String) {
    page.push_str(
        "\n## Kube-OVN\n\nIts file is `01-kube-ovn.conflist` unless `--cni-conf-name` says otherwise; no version ever removes an old name.\n\n\
         | Kube-OVN | writes the file | `--cni-conf-name` in | leaves an existing file | `--enable-lb`, `--enable-np` in | values of its charts | source |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in KUBE_OVN_MINORS {
        let writer = match row.writer {
            Writer::HardCoded | Writer::CniServer => "main container, at each start of it",
            Writer::InstallCni => "init container, at each start of the pod",
        };
        let keeps =
            row.keeps_existing.map_or_else(|| "no".to_owned(), |patch| format!("from v1.{}.{patch}", row.minor));
        let charts: Vec<String> =
            row.chart_values.iter().map(|(chart, lb, np)| format!("{chart}: `{lb}`, `{np}`")).collect();
        let _ = writeln!(
            page,
            "| v1.{} | {writer} | {} | {keeps} | {} | {} | {} |",
            row.minor,
            row.name_flag.unwrap_or("nowhere: the name is built in"),
            row.switches,
            if charts.is_empty() { "no chart".to_owned() } else { charts.join("; ") },
            row.source
        );
    }
}

fn helm(page: &mut String) {
    let _ = write!(
        page,
        "\n## Helm\n\nThe oldest that can be driven is {MINIMUM}.\n\n| flag | from | until | to us | source |\n|---|---|---|---|---|\n"
    );
    for row in FLAGS {
        let until = row.until.as_ref().map_or_else(String::new, |until| format!("before {until}"));
        let _ = writeln!(page, "| `{}` | {} | {until} | {} | {} |", row.flag, row.since, row.meaning, row.source);
    }
}
