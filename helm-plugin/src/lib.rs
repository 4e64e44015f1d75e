//! The post-renderer face: reads the stream Helm writes, and hands it on only when the policies agree.
//!
//! In reading order: [`choose_cluster`] (which cluster is asked; ambiguous is refused), [`intent`] (what the chart is
//! about to do), `judge` (the question to the policies), [`post_render`] (stream in, stream or refusal out: pure),
//! `denial` (what a person reads), `deliver` (how it reaches a person although Helm 4 throws a plugin's stderr away),
//! [`run`] (all of it). [`lint`] asks the same question about files, where no post-renderer can run. [`other_version`]
//! guards both faces that Helm calls.
//!
//! Whatever goes wrong, stdout stays empty and the exit code is not 0, so Helm installs nothing. Cluster facts come
//! through [`FactsSource`] and policies through a closure: this crate knows neither kube nor wasmtime.

mod choose_cluster;
mod deliver;
mod denial;
mod environment;
mod installed;
pub mod intent;
mod judge;
mod lint;
mod post_render;
mod run;

pub use choose_cluster::{Ambiguous, ClusterChoice, ClusterFlags, HelmCommand, Kubeconfig, choose_cluster};
pub use deliver::report_path;
pub use environment::Environment;
pub use installed::other_version;
pub use judge::{Evaluator, offline};
pub use lint::{Rendered, lint, located};
pub use post_render::{Mode, PostRender, post_render};
pub use run::{FactsSource, Options, Streams, Trouble, refuse, run, stale};
