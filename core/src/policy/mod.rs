//! What policy modules answer, and what their answers mean together.
//!
//! A [`Finding`] is a verdict; a [`Fault`] is a module that could not give one. They are never mixed: a fault
//! closes the [`Gate`] as *could not judge*, it does not deny. An [`Evaluation`] is everything one run produced.

mod evaluation;
mod fault;
mod finding;

pub use evaluation::{Evaluation, Gate, ModuleRun};
pub use fault::{Fault, FaultKind};
pub use finding::{Finding, Severity, Verdict};
