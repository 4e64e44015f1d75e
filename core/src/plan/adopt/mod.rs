//! Taking over a Cilium that somebody else has chained, after Kube-OVN's guide or by hand: what must hold, and the plan.
//!
//! It ends where a migration ends, layout `beside` (docs/adr/0009). Kube-OVN's DaemonSet and file stay as they are, whatever their
//! name; the file that chained before is retired when ours is loaded. Enforcement is never weaker than it can be: Cilium goes on
//! enforcing where every pod is known to it; else Kube-OVN enforces until that is so, as in a migration. [`look`] holds the facts
//! against what a takeover needs, [`services`] what it needs where Cilium serves Services already, [`refusal`] is what it says otherwise,
//! [`phases`] is the order, [`told`] what is said before.

mod look;
mod phases;
mod refusal;
mod services;
mod taken;
mod told;

pub use look::own_values;
pub(super) use look::{complete, uncovered, untold, without_endpoint};
pub(super) use phases::{phases, refuse_foreign_owner};
pub use refusal::NotAdoptable;
pub use taken::{Adopted, Adopting, FoundRelease};
pub(super) use told::consequences;
