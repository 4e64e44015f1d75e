//! Policies of Cilium in a stream: those that a chart, a file or a commit is about to bring.

use ovncilium_policy_sdk::cilium;
use ovncilium_policy_sdk::prelude::*;
use serde_json::Value;

use crate::{GROUP, RULE, void};

/// Kinds of policies.
pub(crate) const KINDS: [&str; 2] = ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"];
/// Key of cilium-config, set by `l7Proxy`.
const PROXY: &str = "enable-l7-proxy";

pub(crate) fn check(context: &Context<'_>) -> Vec<Finding> {
    let kinds = match context.documents.kinds() {
        Ok(kinds) => kinds,
        Err(error) => return vec![Finding::unknown(RULE, error.to_string())],
    };
    let beside = proxy_is_off(context);
    let mut findings = Vec::new();
    for (index, kind) in (0..).zip(&kinds) {
        findings.extend(of_document(index, kind, &beside, context).unwrap_or_else(|error| vec![unread(index, &error)]));
    }
    if findings.is_empty() {
        findings.push(Finding::skip(RULE, "no policy of Cilium is rendered"));
    }
    findings
}

/// Findings about the policies of a document: itself, or items of it.
fn of_document(index: u32, kind: &str, beside: &str, context: &Context<'_>) -> Result<Vec<Finding>, FactError> {
    let version: String = context.documents.get(index, "/apiVersion")?.unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let of_list = kind.strip_suffix("List").unwrap_or_default();
    let mut objects: Vec<(String, Value)> = Vec::new();
    if (group, kind) == ("", "List") || (group == GROUP && KINDS.contains(&of_list)) {
        let items: Vec<Value> = context.documents.get(index, "/items")?.unwrap_or_default();
        objects.extend(items.into_iter().enumerate().map(|(item, object)| (format!("/items/{item}"), object)));
    } else if group == GROUP && KINDS.contains(&kind) {
        objects.extend(context.documents.get(index, "")?.map(|object| (String::new(), object)));
    }
    let found = objects.iter().filter_map(|(at, object)| of_object(object, of_list, at, beside));
    Ok(found.map(|finding| finding.document(index)).collect())
}

fn unread(index: u32, error: &FactError) -> Finding {
    Finding::unknown(RULE, format!("document {index} cannot be read: {error}")).document(index)
}

/// What to add where the chart beside the policies, or else the installed Cilium, runs no proxy at all.
fn proxy_is_off(context: &Context<'_>) -> String {
    let rendered = cilium::find(context).ok().and_then(|stream| stream.configs.into_iter().next());
    let value = match rendered {
        Some(config) => config.get(PROXY),
        None => context.facts.get::<String>("cilium", &format!("/installation/config/{PROXY}")).ok().flatten(),
    };
    if value.as_deref() == Some("false") { format!(", and {PROXY} is \"false\"") } else { String::new() }
}

/// The finding about an object, if it is a policy. An item of a list of one kind need not name that kind.
fn of_object(object: &Value, of_list: &str, at: &str, beside: &str) -> Option<Finding> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("/kind").unwrap_or(of_list);
    if !KINDS.contains(&kind) || text("/apiVersion").is_some_and(|version| version.split('/').next() != Some(GROUP)) {
        return None;
    }
    let namespace = text("/metadata/namespace").map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let subject = format!("{kind} {namespace}{}", text("/metadata/name").unwrap_or_default());
    let uses = uses(object);
    let Some((_, first)) = uses.first() else { return Some(Finding::pass(RULE).subject(subject)) };
    let pointer = format!("{at}{first}");
    let mut fields: Vec<String> = uses.into_iter().map(|(field, _)| field).collect();
    fields.sort();
    fields.dedup();
    Some(void(&fields, beside).subject(subject).pointer(pointer))
}

/// Fields that only Cilium's proxy can enforce, each with its place, in the order they are written.
fn uses(policy: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let specs = items(policy, "specs").map(|(at, spec)| (format!("/specs/{at}"), spec));
    let specs = policy.get("spec").map(|spec| ("/spec".to_owned(), spec)).into_iter().chain(specs);
    for (spec_at, spec) in specs {
        for way in ["ingress", "egress"] {
            for (rule_at, rule) in items(spec, way) {
                let at = format!("{spec_at}/{way}/{rule_at}");
                if items(rule, "toFQDNs").next().is_some() {
                    found.push(("toFQDNs".to_owned(), format!("{at}/toFQDNs")));
                }
                for (port_at, ports) in items(rule, "toPorts") {
                    of_ports(ports, &format!("{at}/toPorts/{port_at}"), &mut found);
                }
            }
        }
    }
    found
}

fn of_ports(ports: &Value, at: &str, found: &mut Vec<(String, String)>) {
    for field in ["terminatingTLS", "originatingTLS", "listener"] {
        if ports.get(field).is_some_and(|value| !value.is_null()) {
            found.push((format!("toPorts.{field}"), format!("{at}/{field}")));
        }
    }
    if items(ports, "serverNames").next().is_some() {
        found.push(("toPorts.serverNames".to_owned(), format!("{at}/serverNames")));
    }
    for (kind, value) in ports.get("rules").and_then(Value::as_object).into_iter().flatten() {
        if !value.is_null() {
            found.push((format!("toPorts.rules.{kind}"), format!("{at}/rules/{kind}")));
        }
    }
}

fn items<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().enumerate()
}
