//! Halfway: a migration that is killed while it cuts nodes over and goes back from there; one that would drop connections.

use std::time::Duration;

use super::{
    Stage,
    journey::unchanged,
    kills::phase,
    program::{Call, Helm},
    teller::Teller,
    town::Town,
};
use crate::{
    audit::Audit,
    error::{Error, Result},
    verdict::expect,
    wait::{self, Seen},
};

const RUN: Duration = Duration::from_secs(600);
/// The phase in which nodes are cut over in waves.
const CUT_OVER: &str = "3";
const ENFORCE_LABEL: &str = "ovncilium.io/enforce";

pub(super) fn play(stage: &Stage<'_>, tell: &Teller) {
    let (chart, _) = stage.charts.get("1.18.12", "1.18.99");
    let chart = chart.to_string_lossy().into_owned();
    let Some(town) = tell.timed("cluster_is_at_work", || Town::start(stage.tools, 3, 5)) else { return };
    let Some(before) = tell.run("objects_stand_still", || town.plane.settled_objects()) else { return };
    let call = |args: &[&str]| -> Result<Call> {
        Ok(town.call(stage.program, args)?.with_helm(stage.program, Helm::Three).on_a_fresh_machine()?.within(RUN))
    };
    let begin = || call(&["migrate", "--yes", "--chart", &chart, "--soak", "0"]);
    let killed = tell.timed("is_killed_while_nodes_are_cut_over", || killed_in(&town, begin()?, CUT_OVER));
    if killed.is_none() {
        return;
    }
    tell.timed("goes_back_from_there", || call(&["rollback", "--yes"])?.run()?.ended_with(&[7]));
    tell.run("objects_are_as_before", || unchanged(&town, &before));

    let Some(node) = tell.run("has_a_node", || node(&town)) else { return };
    let begun = town.audit().map_or(0, |audit| audit.len());
    tell.timed("stops_at_what_it_would_drop", || {
        town.would_drop(&node.name, &["4 INGRESS 10.16.0.200 ID:7777 10.16.0.201:5432"]);
        begin()?.run()?.ended_with(&[5])?.names(&["10.16.0.201:5432", "--accept-drops"])
    });
    tell.timed("stops_at_a_node_that_would_be_dropped_accepted_or_not", || {
        town.would_drop(&node.name, &[&format!("9 INGRESS {} world 10.16.0.201:8080", node.address)]);
        call(&["migrate", "--yes", "--accept-drops"])?.run()?.ended_with(&[5])?.names(&[&node.address, "kubelet"])
    });
    tell.run("no_node_enforced_until_then", || {
        let labelled = enforcing(&town.audit()?.since(begun));
        expect(labelled.is_empty(), || labelled.join("\n"))
    });
    tell.timed("goes_on_with_what_was_accepted", || {
        town.would_drop(&node.name, &["4 INGRESS 10.16.0.200 ID:7777 10.16.0.201:5432"]);
        call(&["migrate", "--yes", "--accept-drops"])?.run()?.ended_with(&[0])
    });
    tell.run("every_node_enforced_after_that", || {
        let labelled = enforcing(&town.audit()?.since(begun));
        expect(labelled.len() == 3, || format!("{labelled:?}"))
    });
    tell.run("every_pod_is_chained_and_nothing_temporary_is_left", || town.is_chained());
    tell.run("actors_had_no_trouble", || town.actors_had_no_trouble());
}

/// Starts it and kills it in this phase of its run, as the header of its journal tells.
fn killed_in(town: &Town, call: Call, wanted: &str) -> Result<()> {
    let mut running = call.start()?;
    wait::until(format!("the run is in phase {wanted}"), RUN, || {
        let found = phase(town)?;
        if found.as_deref() == Some(wanted) {
            return Ok(Seen::Ready(()));
        }
        expect(!running.has_ended(), || format!("it ended before phase {wanted}"))?;
        Ok(Seen::NotYet(found.unwrap_or_else(|| "no run".to_owned())))
    })?;
    running.kill();
    Ok(())
}

struct Node {
    name: String,
    address: String,
}

/// A node that is not the control plane's, with its address.
fn node(town: &Town) -> Result<Node> {
    let nodes = town.api().list("/api/v1/nodes")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let found = nodes.iter().rev().find(|node| !node["metadata"]["labels"].to_string().contains("control-plane"));
    let node = found.ok_or_else(|| Error::Expectation("there is no worker".to_owned()))?;
    Ok(Node { name: text(&node["metadata"]["name"]), address: text(&node["status"]["addresses"][0]["address"]) })
}

/// Requests that made a node enforce, as the audit log has them.
fn enforcing(audit: &Audit) -> Vec<String> {
    let path = format!("/metadata/labels/{}", ENFORCE_LABEL.replace('/', "~1"));
    let sets = |patch: &serde_json::Value| {
        let operations = patch.as_array().into_iter().flatten();
        operations.into_iter().any(|one| one["op"] == "add" && one["path"] == path && one["value"] == "true")
    };
    audit
        .iter()
        .filter(|event| event.changed_something() && event.request_object.as_ref().is_some_and(sets))
        .map(|event| event.object())
        .collect()
}
