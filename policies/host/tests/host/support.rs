//! Facts and documents for tests.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use ovncilium_core::facts::{self, Facts, Source, Subject};
use ovncilium_core::policy::{Evaluation, Fault};
use ovncilium_policy_host::{Catalog, CompiledCache, DocumentSource, EvaluateOptions, Header, evaluate};
use serde_json::{Value, json};

/// The moment all tests happen at.
pub(crate) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// `policies/` of the repository.
pub(crate) fn policies() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Bytes of a file below `policies/`.
pub(crate) fn file(path: &str) -> Vec<u8> {
    let path = policies().join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn hostile(name: &str) -> Vec<u8> {
    file(&format!("hostile/{name}.wat"))
}

/// Facts of a live cluster about which nothing is known.
pub(crate) fn no_facts() -> Facts {
    let source = Source::Live { server: "https://test".to_owned(), context: None, cluster: "uid".to_owned() };
    Facts::unknown(source, now(), "it was not read")
}

/// Facts from the slim values of a case. Each is laid over a default of the real type, so that a field that the real
/// type does not have is an error: what modules read and what the program collects cannot drift apart.
pub(crate) fn facts(slim: &std::collections::BTreeMap<String, Value>) -> Facts {
    let mut facts = no_facts();
    for (name, value) in slim {
        let full = overlay(name, &template(name), value);
        macro_rules! set {
            ($($subject:literal => $field:ident),* $(,)?) => {
                match name.as_str() {
                    $($subject => facts.$field = Subject::known(
                        serde_json::from_value(full).unwrap_or_else(|error| panic!("{name}: {error}")), now()),)*
                    other => panic!("there is no fact {other}"),
                }
            };
        }
        set!(
            "nodes" => nodes, "kube-ovn" => kube_ovn, "networks" => networks, "cilium" => cilium, "addresses" => addresses,
            "services" => services, "multus" => multus, "workloads" => workloads, "permissions" => permissions, "tools" => tools,
            "conflists" => conflists, "node-os" => node_os, "intent" => intent,
        );
    }
    facts
}

/// A default of a fact's type with one element in every list.
fn template(name: &str) -> Value {
    use facts::{
        addresses, cilium, conflists, kube_ovn, multus, networks, nodes, permissions, services, tools, workloads,
    };
    fn json(value: impl serde::Serialize) -> Value {
        serde_json::to_value(value).unwrap()
    }
    match name {
        "nodes" => json(nodes::Nodes { items: vec![nodes::Node::default()] }),
        "kube-ovn" => json(kube_ovn::KubeOvn {
            installations: vec![kube_ovn::Installation {
                components: vec![kube_ovn::Component::default()],
                ..Default::default()
            }],
        }),
        "multus" => json(multus::Multus { installations: vec![multus::Installation::default()] }),
        "permissions" => json(permissions::Permissions { items: vec![permissions::Permission::default()] }),
        "networks" => json(networks::Networks { subnets: vec![networks::Subnet::default()], ..Default::default() }),
        "cilium" => json(cilium::Cilium {
            installation: Some(cilium::Installation::default()),
            endpoints: vec![cilium::Endpoint::default()],
            l7_policies: vec![cilium::L7Policy::default()],
            ..Default::default()
        }),
        "addresses" => json(addresses::Addresses { ranges: vec![addresses::Range::default()] }),
        "services" => json(services::Services { providers: vec![services::Provider::default()], ..Default::default() }),
        "workloads" => json(workloads::Workloads {
            pods: vec![workloads::Pod::default()],
            budgets: vec![workloads::Budget::default()],
            network_policies: vec![],
            ipv6_pods: vec![],
            other_interfaces: vec![workloads::OtherInterface::default()],
            strategies_unknown: None,
            unmanaged: None,
        }),
        "tools" => json(tools::Tools { helm: Some(tools::Helm::default()) }),
        "conflists" => json(conflists::Conflists {
            nodes: vec![conflists::ConfDir { files: vec![conflists::ConfFile::default()], ..Default::default() }],
            silent: vec![conflists::SilentNode::default()],
        }),
        "intent" => json(facts::intent::Intent::default()),
        other => panic!("there is no template for the fact {other}"),
    }
}

fn overlay(at: &str, template: &Value, slim: &Value) -> Value {
    match (template, slim) {
        // A map of free keys: labels, flags.
        (Value::Object(fields), Value::Object(_)) if fields.is_empty() => slim.clone(),
        // A variant of its own, with fields that the template's has not.
        (Value::Object(fields), Value::Object(given))
            if fields.get("kind") != given.get("kind") && at.ends_with(".owner") =>
        {
            slim.clone()
        }
        (Value::Object(fields), Value::Object(given)) => {
            let mut full = fields.clone();
            for (field, value) in &mut full {
                match given.get(field) {
                    Some(given) => *value = overlay(&format!("{at}.{field}"), value, given),
                    // Lists hold one element only to show its shape; what may be absent is absent.
                    None if value.is_array() => *value = json!([]),
                    None if ["helm", "installation"].contains(&field.as_str()) => *value = Value::Null,
                    None => {}
                }
            }
            for field in given.keys() {
                assert!(full.contains_key(field), "{at} has no field {field}");
            }
            Value::Object(full)
        }
        (Value::Array(shape), Value::Array(items)) => match shape.first() {
            Some(shape) => items.iter().map(|item| overlay(&format!("{at}[]"), shape, item)).collect(),
            None => slim.clone(),
        },
        _ => slim.clone(),
    }
}

/// Documents given as values.
pub(crate) struct Values(pub(crate) Vec<Value>);

impl DocumentSource for Values {
    fn count(&self) -> u32 {
        self.0.len().try_into().unwrap()
    }

    fn header(&self, index: u32) -> Option<Header<'_>> {
        let document = self.0.get(index as usize)?;
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
        Some(Header {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
            source: Some("chart/templates/test.yaml"),
        })
    }

    fn value(&self, index: u32) -> Result<Arc<Value>, String> {
        self.0.get(index as usize).cloned().map(Arc::new).ok_or_else(|| "not there".to_owned())
    }
}

/// The built-in modules, compiled once for all tests.
pub(crate) fn builtin() -> Catalog {
    Catalog::builtin().with_cache(CompiledCache::at(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled")))
}

/// Evaluates with nothing known.
pub(crate) fn run(catalog: &Catalog) -> Evaluation {
    evaluate(catalog, &no_facts().into(), None, &EvaluateOptions::at(now()))
}

/// The one fault of a catalog that must have just one.
pub(crate) fn only_fault(catalog: &Catalog) -> Fault {
    let evaluation = run(catalog);
    assert_eq!(evaluation.faults.len(), 1, "{:?}", evaluation.faults);
    assert!(evaluation.findings.is_empty(), "{:?}", evaluation.findings);
    assert_eq!(evaluation.gate(), ovncilium_core::policy::Gate::CouldNotJudge);
    evaluation.faults.into_iter().next().unwrap()
}
