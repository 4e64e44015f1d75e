//! A pretend host: runs a policy natively over facts and documents given as JSON, and over cases written in YAML.
//!
//! ```no_run
//! # use ovncilium_policy_sdk::prelude::*;
//! # struct MyPolicy;
//! # impl Policy for MyPolicy {
//! #     type Settings = NoSettings;
//! #     fn info() -> Info { Info::new("my-policy", "0.1.0", "") }
//! #     fn check(_: &NoSettings, _: &Scope, _: &Context<'_>) -> Result<Vec<Finding>, String> { Ok(vec![]) }
//! # }
//! // in tests/cases.rs of a policy:
//! #[test]
//! fn judges_every_case_as_expected() {
//!     ovncilium_policy_sdk::testing::run_cases::<MyPolicy>(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
//! }
//! ```

mod cases;
mod host;

pub use cases::{Case, Expected, load_cases, mismatch, run_cases};
pub use host::{Docs, FactSet, PretendHost, run};
