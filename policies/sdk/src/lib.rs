//! For authors of ovncilium policy modules: a trait, finding builders, and a pretend host for native tests.
//!
//! A policy is a type that implements [`Policy`] and a line [`export_policy!`]. Built for `wasm32-unknown-unknown` it
//! becomes a module of the contract `ovncilium:policy@0.1.0` (`policies/wit`); built natively it is an ordinary crate,
//! and [`testing`] runs it over cases written in YAML, so `cargo test` needs no WebAssembly.
//!
//! ```
//! use ovncilium_policy_sdk::prelude::*;
//!
//! struct EveryNodeIsNamed;
//!
//! impl Policy for EveryNodeIsNamed {
//!     type Settings = NoSettings;
//!
//!     fn info() -> Info {
//!         Info::new("named-nodes", "0.1.0", "every node has a name")
//!             .scope(ScopeKind::Cluster)
//!             .fact("nodes")
//!             .rule(Rule::error("named", "every node has a name").help("Nodes without a name cannot be addressed."))
//!     }
//!
//!     fn check(_: &NoSettings, _: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String> {
//!         let names: Vec<Named> = match context.facts.require("nodes", "/items") {
//!             Ok(names) => names,
//!             Err(why) => return Ok(vec![Finding::unknown("named", why)]),
//!         };
//!         Ok(vec![match names.iter().position(|node| node.name.is_empty()) {
//!             None => Finding::pass("named").message(format!("{} nodes", names.len())),
//!             Some(at) => Finding::fail("named", "a node has no name").pointer(format!("/items/{at}")),
//!         }])
//!     }
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Named {
//!     name: String,
//! }
//!
//! export_policy!(EveryNodeIsNamed);
//! # fn main() {}
//! ```
//!
//! Facts are deserialised into slim structs of the author's own: only the fields a policy reads. Which facts there are
//! and what they hold: `core/src/facts`, one file per subject.

pub mod cidr;
pub mod cilium;
mod context;
mod finding;
#[cfg(target_arch = "wasm32")]
pub mod guest;
mod info;
pub mod kube_ovn;
mod policy;
pub mod pool;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod version;

pub use context::{Context, Documents, FactError, Facts, Source};
pub use finding::{Finding, Verdict};
pub use info::{Info, Rule, ScopeKind, Selector, Severity};
pub use policy::{NoSettings, Policy, Scope, SettingsError};

/// Everything a policy's source needs.
pub mod prelude {
    pub use crate::export_policy;
    pub use crate::{
        Context, FactError, Finding, Info, NoSettings, Policy, Rule, Scope, ScopeKind, Selector, SettingsError,
        Severity, Verdict,
    };
}
