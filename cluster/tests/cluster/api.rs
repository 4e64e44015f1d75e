//! Requests and refusals of the API server; the answers were recorded from kube-apiserver 1.34.

use std::time::{Duration, Instant};

use ovncilium_cluster::Connection;
use ovncilium_core::plan::Resource;
use ovncilium_engine::world::{Cluster, ClusterError, Eviction, Filter};
use serde_json::{Value, json};

use crate::server::{Reply, Server, connect};

fn status(code: u16, reason: &str, message: &str, details: Value) -> String {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    })
    .to_string()
}

fn refused(code: u16, reason: &str, message: &str, details: Value) -> Server {
    Server::always(code, &status(code, reason, message, details))
}

fn page(names: &[&str], next: &str) -> String {
    let items: Vec<Value> = names.iter().map(|name| json!({ "metadata": { "name": name } })).collect();
    json!({ "kind": "NodeList", "apiVersion": "v1", "metadata": { "continue": next }, "items": items }).to_string()
}

#[test]
fn reads_lists_in_pages_and_adds_what_the_api_leaves_out() {
    let server =
        Server::start(|number, _| Reply(200, &[], if number == 0 { page(&["a"], "x=&") } else { page(&["b"], "") }));
    let filter = Filter { labels: Some("a=b,!c".into()), ..Filter::on_node("n 1") };
    let pods = server.connect().list(&Resource::PODS, &filter).expect("a list");
    assert_eq!(pods[1], json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "b" } }));
    let query = "limit=500&labelSelector=a%3Db%2C%21c&fieldSelector=spec.nodeName%3Dn%201";
    assert_eq!(
        server.lines(),
        [format!("GET /api/v1/pods?{query}"), format!("GET /api/v1/pods?{query}&continue=x%3D%26"),]
    );
}

#[test]
fn begins_a_list_anew_when_its_pages_expired() {
    let server = Server::start(|number, _| match number {
        1 => Reply(410, &[], status(410, "Expired", "The provided continue parameter is too old", json!({}))),
        0 => Reply(200, &[], page(&["old"], "next")),
        2 => Reply(200, &[], page(&["a"], "next")),
        _ => Reply(200, &[], page(&["b"], "")),
    });
    let nodes = server.connect().list(&Resource::NODES, &Filter::in_namespace("ignored")).expect("a list");
    let names: Vec<_> = nodes.iter().map(|node| node["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn tells_a_kind_that_is_not_served_from_an_object_that_is_not_there() {
    let not_served = ClusterError::NotServed { resource: "ciliumendpoints.cilium.io/v2".into() };
    for server in [
        Server::always(404, "404 page not found\n"),
        refused(404, "NotFound", "the server could not find the requested resource", json!({})),
    ] {
        let cluster = server.connect();
        assert_eq!(cluster.list(&Resource::CILIUM_ENDPOINTS, &Filter::all()), Err(not_served.clone()));
        assert_eq!(cluster.get(&Resource::CILIUM_ENDPOINTS.named("a", "b")), Ok(None));
    }
    let server = refused(404, "NotFound", "pods \"b\" not found", json!({ "name": "b", "kind": "pods" }));
    let (cluster, pod) = (server.connect(), Resource::PODS.named("a", "b"));
    assert_eq!(cluster.get(&pod), Ok(None));
    assert_eq!(cluster.delete(&pod, None), Ok(false));
    assert_eq!(cluster.json_patch(&pod, &json!([])), Err(ClusterError::NotFound { object: "pod a/b".into() }));
    let server = refused(404, "NotFound", "namespaces \"a\" not found", json!({ "name": "a", "kind": "namespaces" }));
    let value = json!({ "metadata": { "name": "b", "namespace": "a" } });
    assert_eq!(
        server.connect().create(&Resource::PODS, &value),
        Err(ClusterError::NotFound { object: "namespace a".into() })
    );
}

#[test]
fn a_failed_test_of_a_patch_is_a_conflict_and_a_bad_patch_is_invalid() {
    let same_words = "the server rejected our request due to an error in our request";
    let server = refused(422, "Invalid", same_words, json!({}));
    let (cluster, object) = (server.connect(), Resource::CONFIG_MAPS.named("kube-system", "x"));
    let tested = json!([{ "op": "test", "path": "/data/a", "value": "2" }, { "op": "remove", "path": "/data/a" }]);
    let error = cluster.json_patch(&object, &tested).expect_err("refused");
    assert!(matches!(&error, ClusterError::Conflict { object, .. } if object == "configmap kube-system/x"), "{error}");
    let error = cluster.json_patch(&object, &json!([{ "op": "remove", "path": "/data/a" }])).expect_err("refused");
    assert_eq!(error.to_string(), format!("patch configmaps x in kube-system was refused: {same_words}"));
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "PATCH /api/v1/namespaces/kube-system/configmaps/x?fieldManager=ovncilium");
    assert!(seen.headers.contains(&"content-type: application/json-patch+json".to_owned()), "{seen:?}");
    assert!(seen.headers.iter().any(|header| header.starts_with("user-agent: kubectl-ovncilium/")), "{seen:?}");
    // A field that is not valid stays invalid although the patch also tests.
    let server = refused(422, "Invalid", "ConfigMap \"x\" is invalid: no", json!({ "name": "x", "kind": "ConfigMap" }));
    let error = server.connect().json_patch(&object, &tested).expect_err("refused");
    assert!(matches!(error, ClusterError::Invalid { .. }), "{error}");
}

#[test]
fn compare_and_swap_needs_a_version_and_says_who_lost() {
    let details = json!({ "name": "x", "kind": "configmaps" });
    let server = refused(409, "Conflict", "the object has been modified", details.clone());
    let value = json!({ "metadata": { "name": "x", "namespace": "a", "resourceVersion": "7" } });
    let error = server.connect().replace(&Resource::CONFIG_MAPS, &value).expect_err("refused");
    assert_eq!(error.to_string(), "configmap a/x was changed by somebody else: the object has been modified");
    let without = json!({ "metadata": { "name": "x", "namespace": "a" } });
    assert!(matches!(server.connect().replace(&Resource::CONFIG_MAPS, &without), Err(ClusterError::Invalid { .. })));
    let server = refused(409, "AlreadyExists", "configmaps \"x\" already exists", details);
    let error = server.connect().create(&Resource::CONFIG_MAPS, &without).expect_err("refused");
    assert_eq!(error, ClusterError::AlreadyExists { object: "configmap a/x".into() });
}

#[test]
fn never_sends_an_object_without_a_name() {
    let server = Server::always(200, "{}");
    let (cluster, nameless) = (server.connect(), Resource::PODS.named("a", ""));
    assert!(matches!(cluster.delete(&nameless, None), Err(ClusterError::Invalid { .. })));
    assert!(matches!(cluster.json_patch(&nameless, &json!([])), Err(ClusterError::Invalid { .. })));
    assert!(matches!(cluster.evict("a", "", "u"), Err(ClusterError::Invalid { .. })));
    assert_eq!(server.lines(), Vec::<String>::new());
}

/// Refuses evictions with `code`, and has a pod of that UID.
fn with_pod(code: u16, body: String, uid: &'static str) -> Server {
    Server::start(move |_, seen| match seen.line.starts_with("POST") {
        true => Reply(code, &["Retry-After: 10"], body.clone()),
        false => Reply(200, &[], json!({ "metadata": { "uid": uid } }).to_string()),
    })
}

#[test]
fn an_eviction_is_sent_once_and_its_refusal_is_no_error() {
    let words = "Cannot evict pod as it would violate the pod's disruption budget.";
    let details = json!({ "causes": [{ "reason": "DisruptionBudget", "message": "needs 2" }] });
    let body = status(429, "TooManyRequests", words, details);
    let server = with_pod(429, body.clone(), "uid-1");
    assert_eq!(server.connect().evict("a", "b", "uid-1"), Ok(Eviction::Refused(words.into())));
    let seen = server.seen();
    assert_eq!(
        server.lines(),
        ["POST /api/v1/namespaces/a/pods/b/eviction?fieldManager=ovncilium", "GET /api/v1/namespaces/a/pods/b",]
    );
    assert_eq!(seen[0].json()["deleteOptions"]["preconditions"]["uid"], "uid-1");
    // The budget is asked first, also about a pod that only has the name.
    assert_eq!(with_pod(429, body, "uid-2").connect().evict("a", "b", "uid-1"), Ok(Eviction::Gone));

    let several = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    let server = with_pod(500, status(500, "InternalError", several, json!({})), "u");
    assert_eq!(server.connect().evict("a", "b", "u"), Ok(Eviction::Refused(several.into())));
}

#[test]
fn an_eviction_of_a_pod_that_is_gone_says_so() {
    let server = Server::always(201, r#"{"kind":"Status","status":"Success"}"#);
    assert_eq!(server.connect().evict("a", "b", "u"), Ok(Eviction::Accepted));
    let other = "Operation cannot be fulfilled on Pod \"b\": the UID in the precondition (u) does not match the UID in record (v).";
    for server in [
        refused(404, "NotFound", "pods \"b\" not found", json!({ "name": "b", "kind": "pods" })),
        refused(409, "Conflict", other, json!({ "name": "b", "kind": "Pod" })),
    ] {
        assert_eq!(server.connect().evict("a", "b", "u"), Ok(Eviction::Gone));
    }
}

#[test]
fn deletes_only_the_object_of_that_uid() {
    let message = "Operation cannot be fulfilled on pods \"b\": the UID in the precondition (u) does not match the UID in record (v).";
    let server = refused(409, "Conflict", message, json!({ "name": "b", "kind": "pods" }));
    assert_eq!(server.connect().delete(&Resource::PODS.named("a", "b"), Some("u")), Ok(false));
    assert_eq!(server.seen()[0].json()["preconditions"], json!({ "uid": "u" }));
    let server = Server::always(200, r#"{"kind":"Status","status":"Success"}"#);
    assert_eq!(server.connect().force_delete(&Resource::PODS.named("a", "b")), Ok(true));
    assert_eq!(server.seen()[0].json()["gracePeriodSeconds"], 0);
}

#[test]
fn forbidden_names_the_request() {
    let words = "configmaps is forbidden: User \"weak\" cannot create resource";
    let server = refused(403, "Forbidden", words, json!({ "kind": "configmaps" }));
    let value = json!({ "metadata": { "namespace": "kube-system", "name": "" } });
    let error = server.connect().create(&Resource::CONFIG_MAPS, &value).expect_err("refused");
    assert_eq!(error.to_string(), format!("create configmaps in kube-system is forbidden: {words}"));
    let server = refused(401, "Unauthorized", "Unauthorized", json!({}));
    let error = server.connect().list(&Resource::DAEMON_SETS, &Filter::all()).expect_err("refused");
    assert_eq!(error.to_string(), "list daemonsets.apps is forbidden: Unauthorized");
}

#[test]
fn tries_reads_again_and_writes_only_when_told() {
    let server = Server::start(|number, _| match number {
        0 => Reply(0, &[], String::new()),
        1 => Reply(503, &[], "busy".into()),
        _ => Reply(200, &[], "{}".into()),
    });
    assert_eq!(server.connect().get(&Resource::NODES.named("", "n")), Ok(Some(json!({}))));
    assert_eq!(server.lines().len(), 3);

    let server = Server::always(503, "busy");
    let value = json!({ "metadata": { "name": "x", "namespace": "a" } });
    let error = server.connect().create(&Resource::CONFIG_MAPS, &value).expect_err("refused");
    assert_eq!(
        error,
        ClusterError::Unreachable { server: server.url.clone(), message: "503 Service Unavailable: busy".into() }
    );
    assert_eq!(server.lines().len(), 1);

    let server = Server::start(|number, _| match number {
        0 => Reply(429, &["Retry-After: 0"], String::new()),
        _ => Reply(201, &[], "{}".into()),
    });
    assert_eq!(server.connect().create(&Resource::CONFIG_MAPS, &value), Ok(json!({})));
    assert_eq!(server.lines().len(), 2);
}

#[test]
fn a_server_that_is_gone_is_named_once_and_quickly() {
    let started = Instant::now();
    let cluster = connect("http://127.0.0.1:1", Connection::default());
    let error = cluster.get(&Resource::NODES.named("", "n")).expect_err("nobody there");
    println!("{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
    let text = error.to_string();
    assert!(text.starts_with("no answer from the API server at http://127.0.0.1:1: "), "{text}");
    assert_eq!(text.matches("refused").count(), 1, "{text}");
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let server = Server::start(|_, _| {
        loop {
            std::thread::park();
        }
    });
    let limit = Connection { request_timeout: Some(Duration::from_millis(1500)), ..Connection::default() };
    let error = connect(&server.url, limit).get(&Resource::NODES.named("", "n")).expect_err("no answer");
    assert_eq!(error.to_string(), format!("no answer from the API server at {}: no answer within 1 s", server.url));
}

#[test]
fn acts_as_whom_the_flags_say() {
    let server = Server::always(200, r#"{"gitVersion":"v1.34.1"}"#);
    let connection = Connection {
        token: Some(ovncilium_cluster::kubeconfig::Token("secret".into())),
        impersonate: Some("jane".into()),
        impersonate_groups: vec!["a".into(), "b".into()],
        ..Connection::default()
    };
    assert!(!format!("{connection:?}").contains("secret"));
    assert_eq!(connect(&server.url, connection).version(), Ok("v1.34.1".into()));
    let headers = server.seen()[0].headers.clone();
    for header in ["authorization: bearer secret", "impersonate-user: jane", "impersonate-group: b"] {
        assert!(headers.contains(&header.to_owned()), "{headers:?}");
    }
}
