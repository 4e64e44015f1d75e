//! The WebAssembly side: the contract's bindings and what [`export_policy!`](crate::export_policy) expands to.
//!
//! Authors do not call any of this.

use crate::context::{Context, FactError, Source};
use crate::policy::{Policy, Scope, read_settings};
use crate::{Finding, Verdict};

#[allow(clippy::all, unreachable_pub, reason = "generated code")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "policy-module",
        pub_export_macro: true,
        export_macro_name: "export_module",
        default_bindings_module: "ovncilium_policy_sdk::guest::bindings",
    });
}

pub use bindings::exports::ovncilium::policy::policy::Guest;
use bindings::ovncilium::policy::{host, types};
pub use types::{Finding as WireFinding, Info as WireInfo, Scope as WireScope, SettingsError as WireSettingsError};

struct Host;

impl Source for Host {
    fn fact(&self, name: &str, pointer: &str) -> Result<Option<String>, FactError> {
        host::fact(name, pointer).map_err(error)
    }

    fn document(&self, index: u32, pointer: &str) -> Result<Option<String>, FactError> {
        host::document(index, pointer).map_err(error)
    }

    fn log(&self, level: &str, message: &str) {
        host::log(level, message);
    }
}

fn error(error: types::FactError) -> FactError {
    match error {
        types::FactError::Undeclared => FactError::Undeclared,
        types::FactError::Unknown(why) => FactError::Unknown(why),
        types::FactError::TooLarge(bytes) => FactError::TooLarge(bytes),
    }
}

/// `describe` of the contract.
pub fn describe<P: Policy>() -> WireInfo {
    let info = P::info();
    WireInfo {
        id: info.id,
        version: info.version,
        title: info.title,
        scopes: info.scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        facts: info.facts,
        selectors: info
            .selectors
            .into_iter()
            .map(|s| types::Selector { api_group: s.api_group, kinds: s.kinds, namespaces: s.namespaces })
            .collect(),
        rules: info
            .rules
            .into_iter()
            .map(|r| types::Rule { id: r.id, title: r.title, severity: r.severity.word().to_owned(), help: r.help })
            .collect(),
        settings_schema: info.settings_schema,
    }
}

/// `configure` of the contract.
pub fn configure<P: Policy>(settings: &str) -> Result<P::Settings, Vec<WireSettingsError>> {
    read_settings::<P>(settings).map_err(|errors| {
        errors.into_iter().map(|e| WireSettingsError { pointer: e.pointer, message: e.message }).collect()
    })
}

/// `check` of the contract.
pub fn check<P: Policy>(settings: Option<&P::Settings>, at: WireScope) -> Result<Vec<WireFinding>, String> {
    let Some(settings) = settings else { return Err("`check` was called before `configure`".to_owned()) };
    let scope = match at {
        WireScope::Cluster => Scope::Cluster,
        WireScope::Node(name) => Scope::Node(name),
        WireScope::Document(index) => Scope::Document(index),
        WireScope::Stream => Scope::Stream,
    };
    let findings = P::check(settings, &scope, &Context::new(&Host))?;
    Ok(findings.into_iter().map(wire).collect())
}

fn wire(finding: Finding) -> WireFinding {
    WireFinding {
        rule: finding.rule,
        verdict: match finding.verdict {
            Verdict::Pass => types::Verdict::Pass,
            Verdict::Fail => types::Verdict::Fail,
            Verdict::Unknown => types::Verdict::Unknown,
            Verdict::Skip => types::Verdict::Skip,
        },
        message: finding.message,
        subject: finding.subject,
        remedy: finding.remedy,
        document: finding.document,
        pointer: finding.pointer,
        patch: finding.patch,
    }
}
