//! The plan that has Cilium serve Services instead of kube-proxy, node by node, with one of them serving at every moment.

use crate::compat::cilium::{Behaviour, Chart};
use crate::facts::Facts;
use crate::facts::kube_ovn::Owner;
use crate::facts::nodes::Node;
use crate::plan::action::{Chain, KUBE_PROXY_LABEL, Moment};
use crate::plan::adopt::FoundRelease;
use crate::plan::build::{bare, cluster_stage, labels, node_stage, phase, step};
use crate::plan::drift::{self, Standing};
use crate::plan::migrate::named;
use crate::plan::waves::{by_wave, waves};
use crate::plan::{Action, Kind, ModulePin, ObjectRef, Pace, Phase, Plan, PlannedNode, ReleaseStage, Settings, writes};

use super::found::{Distribution, Found, ProxySet, StaticPods};
use super::{ApiServer, DIFFERING, Former, KubeProxy, NoReplacement, needs};

/// What the steps need to know: the settings of the migration, with kube-proxy as it was found. `given` is the API server's address
/// as the operator has named it.
///
/// # Errors
/// [`NoReplacement`] says why kube-proxy is not replaced; nothing was changed.
pub fn settings(
    facts: &Facts,
    recorded: &Settings,
    found: &Found,
    release: Option<&FoundRelease>,
    given: Option<ApiServer>,
) -> Result<Settings, NoReplacement> {
    let release = same_release(recorded, release)?;
    let former = match found.distribution {
        Some(distribution) => of_distribution(distribution, found)?,
        None => of_set(facts, the_one(found)?)?,
    };
    must_hold(facts, recorded)?;
    needs::reaches_everybody(facts, &release.values, found)?;
    let version = &recorded.chart.version;
    if found.health_checks > 0 && !Chart::of(version).is_ok_and(|chart| chart.does(Behaviour::TakesHealthChecksOver)) {
        return Err(NoReplacement::HealthChecks { services: found.health_checks, version: version.clone() });
    }
    let its_server = || found.sets.first().and_then(|set| set.api_server.clone());
    let server = given.or_else(|| needs::api_server_of(&release.values)).or_else(its_server);
    let api_server = needs::own_address(server, found, || former.told())?;
    // What the values say while Cilium serves is not the operator's.
    let own_values = match recorded.kube_proxy.as_ref().filter(|before| before.replaced) {
        Some(before) => before.own_values.clone(),
        None => needs::own_of(&release.values),
    };
    let proxy = KubeProxy { former: Some(former), api_server, replaced: true, own_values };
    let mut settings = recorded.clone();
    settings.kube_proxy = Some(proxy);
    Ok(settings)
}

/// What a DaemonSet says of itself.
fn described(set: &ProxySet) -> Former {
    Former {
        distribution: None,
        namespace: set.namespace.clone(),
        name: set.name.clone(),
        image: set.image.clone(),
        image_pull_secrets: set.image_pull_secrets.clone(),
        program: set.program.clone(),
    }
}

fn of_set(facts: &Facts, set: &ProxySet) -> Result<Former, NoReplacement> {
    may_be_taken(set)?;
    serves_everywhere(facts, set)?;
    Ok(described(set))
}

/// Of a kube-proxy that a distribution starts only its rules are taken away, by its image where it has one; that it serves is proven by its
/// rules, before anything is changed.
fn of_distribution(distribution: Distribution, found: &Found) -> Result<Former, NoReplacement> {
    let former = match (found.sets.as_slice(), &found.static_pods) {
        ([set], None) => {
            must_use_iptables(set)?;
            described(set)
        }
        ([], Some(pods)) => Former {
            namespace: pods.namespace.clone(),
            image: pods.image.clone(),
            program: pods.program.clone(),
            ..Former::default()
        },
        ([], None) if distribution == Distribution::K3s => Former::default(),
        ([], None) => return Err(NoReplacement::Nowhere),
        (sets, static_pods) => return Err(several(sets, static_pods.as_ref())),
    };
    Ok(Former { distribution: Some(distribution), ..former })
}

/// The plan; `settings` are those of [`settings`], which later runs find as they are, whatever the `pace` of this one.
///
/// # Errors
/// [`NoReplacement::Unknown`], [`NoReplacement::NodesNotReady`]: kube-proxy may leave no node whose Cilium was not asked.
pub fn replace(
    facts: &Facts,
    settings: Settings,
    found: &Found,
    pace: Pace,
    chart_objects: &[ObjectRef],
    modules: Vec<ModulePin>,
    now: jiff::Timestamp,
) -> Result<Plan, NoReplacement> {
    let nodes = known_nodes(facts)?;
    let away: Vec<String> = nodes.iter().filter(|node| !node.ready).map(|node| node.name.clone()).collect();
    if !away.is_empty() {
        return Err(NoReplacement::NodesNotReady { nodes: away });
    }
    let planned = waves(nodes, pace.wave_limit);
    let phases = phases(&settings, pace, &planned);
    let consequences = consequences(&settings, found);
    let mut plan = bare(Kind::ReplaceKubeProxy, facts, settings, modules, now);
    plan.nodes = planned;
    plan.phases = phases;
    plan.consequences = consequences;
    plan.writes = writes::of(&plan, chart_objects);
    Ok(plan)
}

/// Every node of the facts.
pub(super) fn known_nodes(facts: &Facts) -> Result<&[Node], NoReplacement> {
    let nodes = facts.nodes.value.as_result();
    let nodes = nodes.map_err(|reason| NoReplacement::Unknown { subject: "nodes", reason: reason.to_owned() })?;
    Ok(&nodes.items)
}

fn same_release<'r>(settings: &Settings, release: Option<&'r FoundRelease>) -> Result<&'r FoundRelease, NoReplacement> {
    let name = format!("{}/{}", settings.release_namespace, settings.release);
    let Some(release) = release else {
        return Err(NoReplacement::Release { release: name, what: "it is not there".to_owned() });
    };
    if release.status != "deployed" {
        let what = format!("revision {} is {}", release.revision, release.status);
        return Err(NoReplacement::Release { release: name, what });
    }
    same_chart(settings, Some(release))?;
    Ok(release)
}

/// A release that was upgraded since is not brought back to the chart of the record.
///
/// # Errors
/// [`NoReplacement::OtherChart`].
pub fn same_chart(settings: &Settings, release: Option<&FoundRelease>) -> Result<(), NoReplacement> {
    match release.filter(|release| release.chart_version != settings.chart.version) {
        None => Ok(()),
        Some(release) => Err(NoReplacement::OtherChart {
            release: format!("{}/{}", settings.release_namespace, settings.release),
            installed: release.chart_version.clone(),
            recorded: settings.chart.version.clone(),
        }),
    }
}

/// Everything that a migration leaves must be as it left it.
fn must_hold(facts: &Facts, settings: &Settings) -> Result<(), NoReplacement> {
    for held in drift::held(facts, &settings.leave).into_iter().filter(|held| held.id != drift::KUBE_PROXY) {
        let told = || held.told.first().cloned().unwrap_or_else(|| held.title.to_owned());
        match held.standing {
            Standing::Holds | Standing::NotAsked => {}
            Standing::Drifted => return Err(NoReplacement::NotSettled { what: format!("{}: {}", held.id, told()) }),
            Standing::Unknown => return Err(NoReplacement::Unknown { subject: held.id, reason: told() }),
        }
    }
    Ok(())
}

fn the_one(found: &Found) -> Result<&ProxySet, NoReplacement> {
    match (found.sets.as_slice(), &found.static_pods) {
        ([set], None) => Ok(set),
        ([], Some(pods)) => Err(NoReplacement::Static { namespace: pods.namespace.clone() }),
        ([], None) => Err(NoReplacement::Nowhere),
        (sets, static_pods) => Err(several(sets, static_pods.as_ref())),
    }
}

fn several(sets: &[ProxySet], static_pods: Option<&StaticPods>) -> NoReplacement {
    let mut sets: Vec<String> = sets.iter().map(ProxySet::object).collect();
    sets.extend(static_pods.map(|pods| format!("static pods in {}", pods.namespace)));
    NoReplacement::Several { sets }
}

fn may_be_taken(set: &ProxySet) -> Result<(), NoReplacement> {
    let owner = match &set.owner {
        None | Some(Owner::Manifest) => None,
        Some(Owner::Helm { release, namespace }) => Some(format!("Helm release {namespace}/{release}")),
        Some(Owner::External { by, object }) => Some(format!("{by} ({object})")),
    };
    if let Some(owner) = owner {
        return Err(NoReplacement::Owned { object: set.object(), owner });
    }
    must_use_iptables(set)
}

fn must_use_iptables(set: &ProxySet) -> Result<(), NoReplacement> {
    match set.mode.as_str() {
        "iptables" => Ok(()),
        mode => {
            let mode = if mode.is_empty() { "that its configuration does not tell" } else { mode };
            Err(NoReplacement::Mode { object: set.object(), mode: mode.to_owned() })
        }
    }
}

fn serves_everywhere(facts: &Facts, set: &ProxySet) -> Result<(), NoReplacement> {
    let all = known_nodes(facts)?.len();
    // One that is limited is of a run that was begun before.
    if set.ready as usize >= all && set.ready >= set.desired && all > 0 && !set.limited {
        return Ok(());
    }
    Err(NoReplacement::NotReady { object: set.object(), ready: set.ready, nodes: all })
}

fn phases(settings: &Settings, pace: Pace, nodes: &[PlannedNode]) -> Vec<Phase> {
    let all: Vec<&PlannedNode> = nodes.iter().collect();
    let waves = by_wave(nodes);
    let in_waves = |part: &str, actions: &dyn Fn() -> Vec<Action>| {
        let stage = |(index, wave): (usize, &Vec<&PlannedNode>)| {
            node_stage(&format!("wave {index}"), part, wave, pace.soak_seconds, actions)
        };
        waves.iter().enumerate().map(stage).collect::<Vec<_>>()
    };
    let mut take_over =
        vec![cluster_stage("release", vec![step("take-over", Action::SetRelease { stage: ReleaseStage::Held })])];
    take_over.extend(in_waves("take-over", &|| {
        vec![Action::RestartAgent, Action::AwaitReplacement, Action::ProbeServices { moment: Moment::After }]
    }));
    let former = settings.kube_proxy.as_ref().and_then(|proxy| proxy.former.as_ref());
    let retire = match former.and_then(|former| former.distribution) {
        None => {
            let mut retire = vec![
                node_stage("labels", "limit", &all, 0, || vec![labels(&[(KUBE_PROXY_LABEL, Some("true"))])]),
                cluster_stage("kube-proxy", vec![step("limit", Action::LimitKubeProxy { limited: true })]),
            ];
            retire.extend(in_waves("retire", &|| {
                vec![
                    // Whoever goes on with a run that was paused finds another agent, perhaps.
                    Action::AwaitReplacement,
                    labels(&[(KUBE_PROXY_LABEL, None)]),
                    Action::AwaitNoKubeProxy,
                    Action::CleanKubeProxy,
                    Action::ProbeServices { moment: Moment::After },
                ]
            }));
            retire
        }
        // Whoever turns the switch decides which node is next.
        Some(distribution) => {
            vec![node_stage(&format!("the switch of {}", distribution.name()), "retire", &all, 0, || {
                let mut actions = vec![Action::AwaitReplacement, Action::AwaitSwitch { on: false }];
                if former.is_some_and(|former| !former.image.is_empty()) {
                    actions.push(Action::CleanKubeProxy);
                }
                actions.push(Action::ProbeServices { moment: Moment::After });
                actions
            })]
        }
    };
    vec![
        phase(
            0,
            "claim",
            "prove kube-proxy on every node, and note which Services answer",
            "nothing",
            vec![node_stage("look at every node", "claim", &all, 0, || {
                vec![Action::ProveKubeProxy, Action::ProbeServices { moment: Moment::Before }]
            })],
        ),
        phase(
            1,
            "take-over",
            "Cilium serves Services on every node, beside kube-proxy",
            "connections through Services may end once",
            take_over,
        ),
        phase(2, "retire", "take kube-proxy and its rules away, node by node", "nothing; Cilium serves", retire),
        phase(
            3,
            "settle",
            "the values that stay; look at everything once more",
            "nothing",
            vec![
                cluster_stage("kube-proxy", vec![step("settle", Action::AwaitNoKubeProxy)]),
                cluster_stage("release", vec![step("settle", Action::SetRelease { stage: ReleaseStage::Settled })]),
                cluster_stage("verify", vec![step("settle", Action::Verify { chain: Chain::Chained })]),
            ],
        ),
    ]
}

fn consequences(settings: &Settings, found: &Found) -> Vec<String> {
    let mut lines = vec![
        "connections through Services, also their node ports and external addresses, may end once on each node when Cilium takes them \
         over: both keep their own tables"
            .to_owned(),
        "a node answers for the addresses of Services that reach it from outside, as with kube-proxy (bpf.lbExternalClusterIP)"
            .to_owned(),
        "after a restart of a node its Services answer when Cilium's agent is there; kube-ovn-cni waits for that".to_owned(),
        "a pod that reaches a Service with the address of a node today, which kube-proxy and Kube-OVN may give it, is seen as itself: a \
         policy that lets nodes in by `ipBlock` lets such pods in no more"
            .to_owned(),
        "while an agent takes over, questions to Services of its node may wait for some seconds".to_owned(),
        DIFFERING.to_owned(),
        format!(
            "node ports are served on the devices that Cilium knows, whatever `nodePortAddresses` of kube-proxy says: {}",
            settings.devices.join(", ")
        ),
        "kube-proxy's own health port (10256) goes with it: load balancers that ask it need another, such as Cilium's \
         `kubeProxyReplacementHealthzBindAddr`"
            .to_owned(),
    ];
    let former = settings.kube_proxy.as_ref().and_then(|proxy| proxy.former.as_ref());
    match former.and_then(|former| Some((former, former.distribution?))) {
        None => lines.extend([
            "kube-proxy restarts once on each node before it leaves: its DaemonSet changes".to_owned(),
            "the DaemonSet of kube-proxy stays, and fits no node; `kubeadm upgrade` puts it back beside Cilium, which is told by \
             `kubectl ovncilium verify`"
                .to_owned(),
        ]),
        Some((former, distribution)) => {
            let switch = distribution.switch(false);
            lines.push(format!("kube-proxy is stopped by you, when the run asks for it: {switch}"));
            if former.image.is_empty() {
                lines.push(format!(
                    "rules that {} leaves stay on a node until it restarts: nobody keeps them, and Cilium is asked before them",
                    distribution.name()
                ));
            }
        }
    }
    let mut counted = |count: u32, what: &str| {
        if count > 0 {
            lines.push(format!("{count} Services {what}"));
        }
    };
    counted(
        found.local_traffic,
        "have externalTrafficPolicy Local: Cilium keeps the client's address for them as well",
    );
    counted(found.health_checks, "have a healthCheckNodePort, which the agents answer from then on");
    counted(found.affinity, "have sessionAffinity: a client may meet another pod once");
    if !settings.leave.is_empty() {
        lines.push(format!(
            "pods that stay without endpoint reach Services by the sockets of their node alone (not at all with \
             socketLB.hostNamespaceOnly): {}",
            named(&settings.leave)
        ));
    }
    lines
}
