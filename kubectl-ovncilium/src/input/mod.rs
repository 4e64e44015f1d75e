//! What a command works on: a cluster, a chart, facts, policies; from flags, files and the environment.

pub mod adopt;
pub mod chart;
pub mod connection;
pub mod documents;
pub mod facts;
pub mod files;
pub mod policies;
