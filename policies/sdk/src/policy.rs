//! The trait that a policy implements.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::finding::Finding;
use crate::info::Info;

/// A policy: what it is, what it takes, and how it judges.
///
/// A policy is a function: the same settings and facts give the same findings. Values that `check` leaves behind in
/// statics are gone with the run; nothing of one run reaches the next.
pub trait Policy {
    /// Its settings. Give them `#[serde(deny_unknown_fields)]`, so that a misspelt key is told; [`NoSettings`] when
    /// there are none.
    type Settings: DeserializeOwned;

    /// What it is: id, rules, scopes, facts. Always the same answer.
    fn info() -> Info;

    /// Checks settings beyond their shape.
    ///
    /// # Errors
    /// One entry per thing that is wrong.
    fn validate(_settings: &Self::Settings) -> Result<(), Vec<SettingsError>> {
        Ok(())
    }

    /// Judges one scope.
    ///
    /// # Errors
    /// When it could not judge for a reason of its own. That is a fault, never a verdict: a fact that is not known is
    /// [`Finding::unknown`], not an error.
    fn check(settings: &Self::Settings, at: &Scope, context: &Context<'_>) -> Result<Vec<Finding>, String>;
}

/// What a call of [`Policy::check`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The cluster as a whole.
    Cluster,
    /// One node, by name.
    Node(String),
    /// One document of the stream, by index.
    Document(u32),
    /// The stream as a whole.
    Stream,
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// JSON pointer to the place; empty for the whole.
    pub pointer: String,
    /// The cause, with what would be right.
    pub message: String,
}

/// Settings of a policy that has none; any key is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads settings and checks them; the same for the pretend host and the real one.
///
/// # Errors
/// One entry per thing that is wrong.
pub(crate) fn read_settings<P: Policy>(json: &str) -> Result<P::Settings, Vec<SettingsError>> {
    let settings = serde_json::from_str(json)
        .map_err(|error| vec![SettingsError { pointer: String::new(), message: error.to_string() }])?;
    P::validate(&settings)?;
    Ok(settings)
}

/// Makes the crate a policy module: exports the contract's functions for the given [`Policy`]. Natively it is nothing.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the canonical ABI reads and writes linear memory")]
        const _: () = {
            struct Module;

            ::std::thread_local! {
                static SETTINGS: ::std::cell::RefCell<Option<<$policy as $crate::Policy>::Settings>> =
                    const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::guest::Guest for Module {
                fn describe() -> $crate::guest::WireInfo {
                    $crate::guest::describe::<$policy>()
                }

                fn configure(settings: ::std::string::String) -> Result<(), Vec<$crate::guest::WireSettingsError>> {
                    let settings = $crate::guest::configure::<$policy>(&settings)?;
                    SETTINGS.with(|cell| cell.replace(Some(settings)));
                    Ok(())
                }

                fn check(
                    at: $crate::guest::WireScope,
                ) -> Result<Vec<$crate::guest::WireFinding>, ::std::string::String> {
                    SETTINGS.with(|cell| $crate::guest::check::<$policy>(cell.borrow().as_ref(), at))
                }
            }

    $crate::guest::bindings::export_module!(Module with_types_in $crate::guest::bindings);
        };
    };
}
