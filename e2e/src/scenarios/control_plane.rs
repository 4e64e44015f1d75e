//! The ground under every other scenario: the control plane starts, controllers work on the fixture, and what happened can be read back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    api::Api,
    control_plane::{ControlPlane, Options},
    error::{Error, Result},
    fixture::Fixture,
    objects::diff,
    pods,
    tools::Tools,
    users::Access,
    verdict::{Tests, expect},
    wait::{self, Seen},
};

pub(super) const SCENARIO: super::Scenario = super::Scenario {
    name: "control-plane",
    about: "a real control plane starts, takes the Kube-OVN fixture, and records what is done to it",
    play: super::Play::OnLoopback(play),
};

const LIMIT: Duration = Duration::from_secs(90);

fn play(tools: &Tools, tests: &mut Tests<'_>) {
    let Some(mut cluster) = tests.run("starts", || ControlPlane::start(tools, &Options::default())) else { return };
    let fixture = Fixture::default();
    if tests.run("takes_the_fixture", || fixture.apply(cluster.api())).is_none() {
        return;
    }
    let nodes = fixture.nodes.len();
    tests.run("daemon_sets_have_a_bound_pod_on_every_node", || daemon_pods(cluster.api(), nodes));
    tests.run("workloads_are_bound_to_nodes_that_take_pods", || workload_pods(cluster.api()));
    tests.run("a_custom_object_keeps_its_status", || custom_status(cluster.api()));
    tests.run("kubectl_works_for_each_user", || kubectl_versions(&cluster));
    tests.run("an_eviction_beyond_the_budget_is_answered_429", || evictions(&cluster));
    tests.run("the_audit_log_tells_who_evicted_and_the_answers", || audited_evictions(&cluster));
    tests.run("a_user_without_permissions_is_refused", || nothing_allowed(&mut cluster));
    tests.run("an_idle_cluster_equals_itself", || idle_snapshots(&cluster));
    tests.run("a_snapshot_shows_what_was_changed", || changed_snapshot(&cluster));
    tests.run("both_helm_majors_reach_the_cluster", || helm_versions(&cluster, tools));
    tests.run("every_process_is_still_alive", || cluster.check_alive());
}

/// Right after its start the controller manager has not seen every node yet: wait for the number, not for "rolled out".
fn daemon_pods(api: &Api, nodes: usize) -> Result<()> {
    for (name, selector) in
        [("kube-ovn-cni", "app%3Dkube-ovn-cni"), ("ovs-ovn", "app%3Dovs"), ("kube-proxy", "k8s-app%3Dkube-proxy")]
    {
        let path = format!("/apis/apps/v1/namespaces/kube-system/daemonsets/{name}");
        wait::until(format!("{name} has a bound pod on each of {nodes} nodes"), LIMIT, || {
            let wanted = api.get(&path)?["status"]["desiredNumberScheduled"].clone();
            let pods = api.list(&format!("/api/v1/namespaces/kube-system/pods?labelSelector={selector}"))?;
            let bound: std::collections::BTreeSet<_> =
                pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
            let done = wanted == json!(nodes) && bound.len() == nodes;
            Ok(if done { Seen::Ready(()) } else { Seen::NotYet(format!("desired {wanted}, bound on {bound:?}")) })
        })?;
    }
    Ok(())
}

fn workload_pods(api: &Api) -> Result<()> {
    let pods = wait::until("the seven pods of the shop are bound", LIMIT, || {
        let pods = api.list("/api/v1/namespaces/shop/pods")?;
        let bound = pods.iter().filter(|pod| pod["spec"]["nodeName"].is_string()).count();
        Ok(if bound == 7 { Seen::Ready(pods) } else { Seen::NotYet(format!("{bound} of {}", pods.len())) })
    })?;
    let wrong = pods.iter().find(|pod| !matches!(pod["spec"]["nodeName"].as_str(), Some("worker-1" | "worker-2")));
    expect(wrong.is_none(), || {
        format!("a pod is on a cordoned or tainted node: {:?}", wrong.map(|pod| &pod["spec"]["nodeName"]))
    })
}

fn custom_status(api: &Api) -> Result<()> {
    let vpc = api.get("/apis/kubeovn.io/v1/vpcs/ovn-cluster")?;
    expect(vpc["status"]["tcpLoadBalancer"] == "cluster-tcp-loadbalancer", || format!("the Vpc is {vpc}"))
}

fn kubectl_versions(cluster: &ControlPlane) -> Result<()> {
    for (user, name) in [("admin", "e2e-admin"), ("operator", "operator"), ("actors", "actors")] {
        let said = cluster.kubectl_as(user)?.run(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])?;
        expect(said == name, || format!("kubectl as {user} is {said}"))?;
    }
    let version = cluster.kubectl().run(&["version", "-o", "json"])?;
    let version: Value = serde_json::from_str(&version).map_err(Error::json("kubectl version"))?;
    expect(version["clientVersion"]["gitVersion"] == version["serverVersion"]["gitVersion"], || version.to_string())
}

/// Four replicas, three must stay: the first eviction passes, the second does not. A budget does not protect pending pods.
fn evictions(cluster: &ControlPlane) -> Result<()> {
    pods::run_pending(&cluster.api_as("actors")?)?;
    let api = cluster.api();
    wait::until("the budget of web allows one disruption", LIMIT, || {
        let status = api.get("/apis/policy/v1/namespaces/shop/poddisruptionbudgets/web")?["status"].clone();
        Ok(if status["disruptionsAllowed"] == 1 { Seen::Ready(()) } else { Seen::NotYet(status.to_string()) })
    })?;
    let operator = cluster.api_as("operator")?;
    let pods = api.list("/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb")?;
    let mut codes = Vec::new();
    for pod in pods.iter().take(2) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": "shop"},
            "deleteOptions": {"preconditions": {"uid": pod["metadata"]["uid"]}}});
        let answer = operator.create(&format!("/api/v1/namespaces/shop/pods/{name}/eviction"), &eviction);
        codes.push(answer.map_or_else(|error| error.refused_with(), |_| Some(201)));
    }
    expect(codes == [Some(201), Some(429)], || format!("the evictions were answered {codes:?}"))
}

fn audited_evictions(cluster: &ControlPlane) -> Result<()> {
    let audit = cluster.audit()?;
    let events: Vec<_> = audit.writes_by("operator").filter(|event| event.subresource == "eviction").collect();
    let codes: Vec<_> = events.iter().map(|event| event.code).collect();
    expect(codes == [201, 429], || format!("the log has evictions with {codes:?}"))?;
    for event in &events {
        let body = event.request_object.as_ref().and_then(|body| body.pointer("/deleteOptions/preconditions/uid"));
        expect(event.verb == "create" && body.is_some(), || format!("{} was logged without its body", event.object()))?;
    }
    expect(audit.changes_by("operator").count() == 1, || {
        format!("operator changed {:?}", audit.changes_by("operator").map(|event| event.object()).collect::<Vec<_>>())
    })
}

fn nothing_allowed(cluster: &mut ControlPlane) -> Result<()> {
    cluster.add_user("guest", &Access::Nothing)?;
    let answer = cluster.api_as("guest")?.get("/api/v1/nodes");
    expect(answer.as_ref().is_err_and(|error| error.refused_with() == Some(403)), || format!("guest got {answer:?}"))?;
    cluster.add_user("viewer", &Access::read_only())?;
    let viewer = cluster.api_as("viewer")?;
    viewer.get("/api/v1/nodes")?;
    let answer = viewer.delete("/api/v1/nodes/worker-1");
    expect(answer.as_ref().is_err_and(|error| error.refused_with() == Some(403)), || format!("viewer got {answer:?}"))
}

fn idle_snapshots(cluster: &ControlPlane) -> Result<()> {
    let before = cluster.settled_objects()?;
    expect(before.len() > 100, || format!("only {} objects were found", before.len()))?;
    let differences = diff(&before, &cluster.objects()?);
    expect(differences.is_empty(), || differences.join("\n"))
}

fn changed_snapshot(cluster: &ControlPlane) -> Result<()> {
    const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/kube-system/deployments/kube-ovn-controller";
    let api = cluster.api();
    let before = cluster.settled_objects()?;
    let change = |label: Value| {
        let template = json!({"spec": {"template": {"metadata": {"labels": {"e2e": label}}}}});
        api.merge(DEPLOYMENT, &template)
    };
    change(json!("here"))?;
    let differences = diff(&before, &cluster.objects()?);
    let expected =
        r#"deployments.apps/kube-system/kube-ovn-controller /spec/template/metadata/labels/e2e: (none) -> "here""#;
    expect(differences == [expected], || format!("expected only\n{expected}\nbut found\n{}", differences.join("\n")))?;
    change(Value::Null)?;
    let differences = diff(&before, &cluster.objects()?);
    expect(differences.is_empty(), || format!("after changing it back:\n{}", differences.join("\n")))
}

fn helm_versions(cluster: &ControlPlane, tools: &Tools) -> Result<()> {
    for (helm, version) in [(tools.helm3(), "v3.19.5"), (tools.helm4(), "v4.2.1")] {
        let output = |args: &[&str]| {
            std::process::Command::new(&helm)
                .args(args)
                .env("KUBECONFIG", cluster.kubeconfig("operator")?)
                .output()
                .map_err(|source| Error::Spawn { program: helm.display().to_string(), source })
        };
        let said = String::from_utf8_lossy(&output(&["version", "--short"])?.stdout).into_owned();
        expect(said.starts_with(version), || format!("{} says it is {said}", helm.display()))?;
        let list = output(&["list", "--all-namespaces", "--output", "json"])?;
        let stdout = String::from_utf8_lossy(&list.stdout);
        expect(list.status.success() && stdout.trim() == "[]", || {
            format!("helm list: {stdout}{}", String::from_utf8_lossy(&list.stderr))
        })?;
    }
    Ok(())
}
