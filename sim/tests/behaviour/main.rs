//! What the pretend cluster does, as measured on the real components: the promises the engine's tests stand on.
#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests, their helpers included")]

mod api;
mod chaining;
mod charts;
mod cluster;
mod round_trip;
mod support;
