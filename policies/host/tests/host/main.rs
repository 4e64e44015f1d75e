//! The policy host from outside: real modules, hostile modules, files that are none, the cache, waivers, recorded streams.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers outside of test functions may stop a test too")]

mod builtin_cases;
mod cache;
mod catalog;
mod compat;
mod config;
mod hostile;
mod large;
mod loading;
mod patches;
mod recorded;
mod support;
mod waivers;
