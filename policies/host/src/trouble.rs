//! Why a module could not judge, before it is known which module it was.

use ovncilium_core::Digest;
use ovncilium_core::policy::{Fault, FaultKind};
use wasmtime::{Error, Trap};

/// A fault without its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Trouble {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, message: message.into(), remedy: remedy.into() }
    }

    pub(crate) fn of(self, policy: &str, module: Option<Digest>) -> Fault {
        Fault { policy: policy.to_owned(), module, kind: self.kind, message: self.message, remedy: self.remedy }
    }
}

/// What the host itself stops a module for; travels through wasmtime as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("it asked for more than {0} bytes of facts and documents")]
    Answers(usize),
    #[error("it wanted more than {0} bytes of memory")]
    Memory(usize),
}

const REPORT: &str =
    "report it to the module's author, with the facts (`kubectl ovncilium snapshot`) that made it happen";

/// What an error of a call means. `doing` is what the module was asked: `checking the cluster`.
pub(crate) fn of_call(error: &Error, doing: &str) -> Trouble {
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        let (kind, remedy) = match stopped {
            Stopped::Answers(_) => (FaultKind::Budget, "ask for less: use longer pointers, and each fact once"),
            Stopped::Memory(_) => (FaultKind::Memory, REPORT),
        };
        return Trouble::new(kind, format!("stopped while {doing}: {stopped}"), remedy);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Trouble::new(
            FaultKind::Budget,
            format!("stopped while {doing}: it used up its fuel, so it probably loops without end"),
            REPORT,
        ),
        Some(Trap::Interrupt) => Trouble::new(
            FaultKind::Budget,
            format!("stopped while {doing}: it used up its time"),
            "run again when the machine is less busy; if it stops again, report it to the module's author",
        ),
        Some(Trap::StackOverflow) => {
            Trouble::new(FaultKind::Trap, format!("trapped while {doing}: its calls nest too deeply"), REPORT)
        }
        Some(trap) => Trouble::new(FaultKind::Trap, format!("trapped while {doing}: {trap}"), REPORT),
        // The error is private to wasmtime; its words are all there is (tests hold them).
        None if error.chain().any(|cause| cause.to_string().contains("hostcall")) => {
            Trouble::new(FaultKind::Output, format!("answered more than it may while {doing}"), REPORT)
        }
        None => {
            Trouble::new(FaultKind::BadAnswer, format!("its answer while {doing} cannot be read: {error:#}"), REPORT)
        }
    }
}
