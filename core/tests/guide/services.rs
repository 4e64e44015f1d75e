//! A chained Cilium that serves Services instead of kube-proxy: it is taken over without a node that nobody serves.

use std::collections::BTreeSet;

use ovncilium_core::plan::action::Moment;
use ovncilium_core::plan::kube_proxy::{ApiServer, Found, NoReplacement};

use super::*;

/// The facts with Cilium alone serving Services.
fn alone(mut facts: Facts) -> Facts {
    set(&mut facts, "kube-proxy-replacement", "true");
    known(&mut facts.services).providers = vec![provider("cilium", 3)];
    facts
}

/// As the guide of old gives helm its values.
fn replacing() -> Adopting {
    let mut release = found();
    release.values["kubeProxyReplacement"] = json!(true);
    release.values["k8sServiceHost"] = json!("192.0.2.10");
    release.values["k8sServicePort"] = json!(6443);
    let service_addresses = ["10.96.0.1".to_owned(), "198.51.100.7".to_owned()].into();
    Adopting {
        release: Some(release),
        kube_proxy: Found { service_addresses, ..Found::default() },
        ..Adopting::default()
    }
}

fn taken_by(facts: &Facts, adopting: Adopting) -> Result<Plan, NoPlan> {
    plan(facts, &Choices { adopt: Some(adopting), ..Choices::default() })
}

fn taken(facts: Facts) -> Plan {
    taken_by(&alone(facts), replacing()).unwrap()
}

#[test]
fn it_goes_on_serving_in_the_values_of_every_stage() {
    let plan = taken(half());
    let proxy = plan.settings.kube_proxy.as_ref().unwrap();
    assert_eq!((&proxy.former, proxy.replaced, proxy.api_server.to_string()), (&None, true, "192.0.2.10:6443".into()));
    for stage in [ReleaseStage::Staged, ReleaseStage::Everywhere, ReleaseStage::Held, ReleaseStage::Settled] {
        let values = values(&plan.settings, stage).unwrap();
        let told = [&values["kubeProxyReplacement"], &values["k8sServiceHost"], &values["k8sServicePort"]];
        assert_eq!(told, [&json!("true"), &json!("192.0.2.10"), &json!("6443")], "{stage:?}");
        assert_eq!(values["bpf"]["lbExternalClusterIP"], true);
    }
    let own = own_values(&replacing().release.unwrap(), &plan.settings).unwrap();
    assert_eq!(own, json!({ "image": { "useDigest": false } }), "what a run sets is nobody else's");
    let lines = plan.consequences.join("\n");
    assert!(
        lines.contains("Cilium goes on serving Services (kubeProxyReplacement, API server 192.0.2.10:6443)"),
        "{lines}"
    );
    assert!(!lines.contains("settings of the release change"), "the same in other words is no change: {lines}");
    assert!(lines.contains("a rollback begins when a kube-proxy is ready on every node again"), "{lines}");
    let text = ovncilium_core::report::PlanReport::new(&plan).text(&Plain);
    assert!(text.contains("kube-proxy   none; Cilium serves Services\n  API server   192.0.2.10:6443\n"), "{text}");
    // Without a replacement nothing of it is in a plan.
    let usual = super::plan(&half(), &adopting()).unwrap();
    assert_eq!(usual.settings.kube_proxy, None);
    assert!(!usual.steps().any(|(_, _, step)| step.action == Action::AwaitReplacement));
}

/// What follows on a node after each restart of its agent, before anything else is done to it.
fn proven_after_restarts(plan: &Plan) -> BTreeSet<String> {
    let mut proven = BTreeSet::new();
    for node in NODES {
        let of_node = plan.steps().filter(|(_, on, _)| on.is_some_and(|on| on.as_str() == node));
        let actions: Vec<&Action> = of_node.map(|(_, _, step)| &step.action).collect();
        let restarts = actions.iter().enumerate().filter(|(_, action)| ***action == Action::RestartAgent);
        for (at, _) in restarts {
            let mut rest = actions[at + 1..].iter().filter(|action| ***action != Action::AwaitEnforcement);
            assert_eq!(rest.next(), Some(&&Action::AwaitReplacement), "{node}");
            assert_eq!(rest.next(), Some(&&Action::ProbeServices { moment: Moment::After }), "{node}");
            proven.insert(node.to_owned());
        }
    }
    proven
}

#[test]
fn services_are_proven_after_each_restart_and_before_and_after_the_hand_over() {
    for (facts, restarts) in [(half(), 7), (guided(), 4)] {
        let plan = taken(facts);
        assert_eq!(lint(&plan), vec![]);
        assert_eq!(proven_after_restarts(&plan).len(), NODES.len());
        let count = plan.steps().filter(|(_, _, step)| step.action == Action::RestartAgent).count();
        assert_eq!(count, restarts, "the canary's twice, and each once more to enforce");
        for node in NODES {
            let noted = format!("claim/probe-services/{node}");
            let said = format!("claim/await-replacement/{node}");
            assert!(before(&plan, &said, &noted) && before(&plan, &noted, "take-over/"));
        }
        assert!(!plan.steps().any(|(_, _, step)| step.action == Action::ProveKubeProxy), "there is none");
    }
    let plan = taken(half());
    for node in NODES {
        assert!(before(&plan, &format!("hand-over/probe-services/{node}"), "hand-over/set-controller-flags"));
        assert!(before(&plan, "enforce/", &format!("hand-over/await-replacement/{node}")));
        assert!(before(&plan, "hand-over/set-controller-flags", &format!("handed-over/probe-services/{node}")));
    }
    assert!(!has(&taken(guided()), "hand-over/probe-services"), "Kube-OVN's load balancer is off already");
}

#[test]
fn a_plan_without_its_proofs_is_refused() {
    let without = |skip: &dyn Fn(&Step) -> bool| {
        let mut plan = taken(half());
        let stages = plan.phases.iter_mut().flat_map(|phase| &mut phase.stages);
        stages.flat_map(|stage| &mut stage.lanes).for_each(|lane| lane.steps.retain(|step| !skip(step)));
        lint(&plan).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let off = "`hand-over/set-controller-flags`: Kube-OVN's load balancer goes off before Cilium was proven";
    let unasked = without(&|step| matches!(step.action, Action::ProbeServices { .. }));
    assert!(unasked.contains(off) && unasked.contains("Cilium is not proven to serve on w-2 at last"), "{unasked}");
    assert!(unasked.contains("an agent restarts before it is noted which Services answer"), "{unasked}");
    let unsaid = without(&|step| step.action == Action::AwaitReplacement);
    assert!(unsaid.contains(off), "{unsaid}");
    let since = |id: &str| id.starts_with("enforce/") || id.starts_with("hand-over/");
    let early = without(&|step| since(step.id.as_str()) && matches!(step.action, Action::ProbeServices { .. }));
    assert!(early.contains(off), "what was asked before a restart proves nothing: {early}");
    let late = without(&|step| step.id.as_str().starts_with("handed-over/"));
    assert_eq!(late.lines().count(), 3, "{late}");
    assert!(late.contains("Cilium is not proven to serve on cp-1 at last"), "{late}");
}

#[test]
fn where_kube_proxy_serves_as_well_nothing_is_taken_over() {
    let both = |proxy: Provider| {
        let mut facts = alone(half());
        known(&mut facts.services).providers.push(proxy);
        taken_by(&facts, replacing())
    };
    for proxy in [provider("kube-proxy", 3), Provider { desired: 0, ..provider("kube-proxy", 1) }] {
        let error = both(proxy).unwrap_err();
        let text = "daemonset kube-system/cilium cannot be taken over: it serves Services, and so does daemonset kube-system/kube-proxy";
        assert_eq!(error.to_string(), format!("no plan: {text}"));
        let next = error.next_step().line();
        assert!(next.contains("By hand") && next.contains("kubeProxyReplacement=false"), "{next}");
    }
    let fits_no_node = both(provider("kube-proxy", 0)).unwrap();
    assert!(fits_no_node.settings.serves_alone(), "a DaemonSet that fits no node serves nothing");
    let in_part = |facts: &mut Facts| set(facts, "kube-proxy-replacement", "partial");
    assert!(
        not_adoptable(in_part).to_string().contains("replaces a part of kube-proxy (kube-proxy-replacement partial)")
    );
    let mut unread = alone(half());
    unread.services = Subject::unknown("forbidden");
    let error = taken_by(&unread, replacing()).unwrap_err();
    assert!(matches!(error, NoPlan::Unknown { subject: "services", .. }), "{error}");
}

#[test]
fn the_api_servers_own_address_must_be_told() {
    let server = |change: &dyn Fn(&mut Adopting)| {
        let mut adopting = replacing();
        change(&mut adopting);
        taken_by(&alone(half()), adopting)
    };
    let value = |key: &'static str, value: serde_json::Value| {
        move |adopting: &mut Adopting| adopting.release.as_mut().unwrap().values[key] = value.clone()
    };
    for untold in [value("k8sServiceHost", json!("auto")), value("k8sServicePort", json!(null))] {
        let error = server(&untold).unwrap_err();
        let text =
            "no plan: the API server's own address is not known: Helm release kube-system/cilium does not tell it";
        assert_eq!(error.to_string(), text);
        assert!(error.next_step().line().contains("--api-server HOST:PORT"));
    }
    for wrong in ["10.96.0.1", "198.51.100.7", "kubernetes.default.svc", "kubernetes.default"] {
        let error = server(&value("k8sServiceHost", json!(wrong))).unwrap_err();
        assert!(matches!(error, NoPlan::Services(NoReplacement::ServiceAddress { .. })), "{wrong}: {error}");
        assert!(error.to_string().contains(&format!("{wrong}:6443 is the address of a Service")), "{error}");
    }
    let named = server(&|adopting| {
        value("k8sServiceHost", json!("auto"))(adopting);
        adopting.api_server = ApiServer::parse("api.example.com:443", None);
    });
    assert_eq!(named.unwrap().settings.kube_proxy.unwrap().api_server.to_string(), "api.example.com:443");
}

#[test]
fn whom_only_ovn_serves_keeps_its_load_balancer() {
    let machine = |mut facts: Facts| {
        let mut machine = pod("vm");
        machine.owner_kind = "VirtualMachineInstance".into();
        machine.ips = words(&["10.16.0.30"]);
        known(&mut facts.workloads).pods.push(machine);
        let ips = words(&["10.16.0.30"]);
        let endpoint = Endpoint { namespace: "shop".into(), name: "vm".into(), ips, ..Endpoint::default() };
        known(&mut facts.cilium).endpoints.push(endpoint);
        alone(facts)
    };
    let error = taken_by(&machine(half()), replacing()).unwrap_err().to_string();
    assert_eq!(error, "no plan: virtual machines would reach no Service: shop/vm");
    assert!(taken_by(&machine(guided()), replacing()).is_ok(), "nothing changes for them");
    let mut sctp = replacing();
    sctp.kube_proxy.sctp = 2;
    let error = taken_by(&alone(half()), sctp.clone()).unwrap_err().to_string();
    assert!(error.contains("2 Services have a port of SCTP"), "{error}");
    sctp.release.as_mut().unwrap().values["sctp"] = json!({ "enabled": true });
    assert!(taken_by(&alone(half()), sctp).is_ok());
}

#[test]
fn the_way_back_begins_with_a_kube_proxy_that_has_its_rules() {
    let settings = taken(half()).settings;
    let back = rollback(&alone(half()), settings.clone(), &[], vec![], now()).unwrap();
    assert_eq!(lint(&back), vec![]);
    assert_eq!(values(&back.settings, ReleaseStage::Staged).unwrap()["kubeProxyReplacement"], "true");
    for node in NODES {
        assert!(before(&back, &format!("claim/prove-kube-proxy/{node}"), "hand-back/"));
    }
    let mut hasty = back.clone();
    hasty.phases[0].stages.clear();
    let told = lint(&hasty).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(told.contains("an agent that serves Services goes before kube-proxy has its rules"), "{told}");
    assert!(told.contains("goes before kube-proxy has its rules on every node"), "{told}");
    // Somebody has given the release other values since.
    let off = rollback(&half(), settings, &[], vec![], now()).unwrap();
    assert_eq!(values(&off.settings, ReleaseStage::Staged).unwrap()["kubeProxyReplacement"], "false");
}

#[test]
fn a_saved_plan_is_for_what_serves_services() {
    let saved = taken(half());
    let usual = super::plan(&half(), &adopting()).unwrap();
    let told = |saved: &Plan, fresh: &Plan| superseded(saved, fresh).map(|broken| broken.rule).unwrap_or_default();
    assert_eq!(told(&saved, &saved), "");
    assert!(told(&saved, &usual).starts_with("Cilium does not serve Services any more"));
    assert!(told(&usual, &saved).starts_with("Cilium serves Services now"));
    let mut moved = replacing();
    moved.api_server = ApiServer::parse("192.0.2.11:6443", None);
    let moved = taken_by(&alone(half()), moved).unwrap();
    assert_eq!(told(&saved, &moved), "agents ask the API server at 192.0.2.11:6443 now");
}

#[test]
fn nothing_has_drifted_where_cilium_serves_alone() {
    let alone = |facts: &mut Facts| {
        set(facts, "kube-proxy-replacement", "true");
        known(&mut facts.services).providers = vec![provider("cilium", 3)];
    };
    assert_eq!(drifted(alone), (ExitCode::Done, Vec::new()));
    let (_, wrong) = drifted(|facts| {
        alone(facts);
        known(&mut facts.services).providers.clear();
    });
    assert_eq!(wrong, [("services", "there is neither kube-proxy nor a Cilium in its place".to_owned())]);
}
