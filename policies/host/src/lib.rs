//! Runs policy modules: WebAssembly components without WASI, with budgets, pins, waivers and a compiled-code cache.
//!
//! Reading order: [`config`] (the policy file), [`catalog`] (which modules are expected: built in, and the
//! organisation's own), `module` (from bytes to code that keeps the contract), `cache` (compiled code on disk),
//! `engine` (wasmtime, set up so that an answer depends on nothing but module, settings and facts) and its `backstop`, `guest` (what a module
//! may ask) and `pointer` (where in it), `session` (one module in one fresh store) and [`evaluate`] (all of them, and what
//! they mean together). [`precompile()`] makes what a release brings along, which `in_place` runs.
//!
//! A module that cannot run gives a [`Fault`](ovncilium_core::policy::Fault), never a verdict.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let facts = ovncilium_core::facts::Facts::unknown(ovncilium_core::facts::Source::Offline, jiff::Timestamp::UNIX_EPOCH, "");
//! use ovncilium_policy_host::{Catalog, CompiledCache, EvaluateOptions, evaluate};
//!
//! let catalog = Catalog::builtin().with_cache(CompiledCache::from_env());
//! let evaluation = evaluate(&catalog, &facts.into(), None, &EvaluateOptions::at(jiff::Timestamp::UNIX_EPOCH));
//! println!("{:?}", evaluation.gate());
//! # Ok(()) }
//! ```

mod answer;
mod backstop;
mod bindings;
mod cache;
pub mod catalog;
pub mod config;
mod documents;
mod engine;
pub mod evaluate;
mod facts;
mod guest;
mod in_place;
mod limits;
mod module;
mod pointer;
mod precompile;
mod session;
mod trouble;
mod waivers;

pub use cache::CompiledCache;
pub use catalog::{BUILTINS, Catalog, Described};
pub use config::{ConfigError, PolicyConfig};
pub use documents::{DocumentSource, Header, Later};
pub use evaluate::{EvaluateOptions, evaluate};
pub use limits::Limits;
pub use precompile::{PrecompileError, precompile};
