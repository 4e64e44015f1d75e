//! Those who play the nodes: the actors of `sim/` on the real API server, as user `actors`, on a thread of their own.
//!
//! Real controllers make and bind pods; the actors run them, give addresses and act as Kube-OVN and Cilium. Their clock runs
//! faster than the real one ([`SPEED`]), and begins in the past so that no time they write is in the future.

mod bridge;
mod mirror;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use ovncilium_sim::actors::{Actors, PretendNodes};
use serde_json::{Value, json};

use crate::{
    api::Api,
    error::{Error, Result},
    wait::{self, Seen},
};
use bridge::Bridge;

/// Seconds of the actors per second of the clock: what takes a pod eight seconds on a real node takes two here.
const SPEED: u32 = 4;
/// How long before now the actors' time begins.
const HEAD_START: Duration = Duration::from_secs(6 * 3600);
const ROUND: Duration = Duration::from_millis(150);

/// Running actors. Dropping them stops the thread; the nodes then stand still.
pub struct Players {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Told>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread tells, and is told.
#[derive(Default)]
struct Told {
    complaints: BTreeSet<String>,
    nodes: PretendNodes,
    /// What each node's agent would drop, by node: asked for, and taken by the actors in their next round.
    would_drop: BTreeMap<String, Vec<String>>,
    /// Files that a person removes from the CNI directories of nodes before the next round.
    removed: Vec<(String, String)>,
}

impl Players {
    /// Starts them with `api` as their own user's connection. `seed` decides the small differences between pods.
    ///
    /// # Errors
    /// [`Error::Spawn`].
    pub fn start(api: Api, seed: u64) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::default();
        let (stopped, tell) = (Arc::clone(&stop), Arc::clone(&told));
        let thread = thread::Builder::new()
            .name("actors".into())
            .spawn(move || play(api, seed, &stopped, &tell))
            .map_err(|source| Error::Spawn { program: "the thread of the actors".into(), source })?;
        Ok(Self { stop, told, thread: Some(thread) })
    }

    /// What must not happen and did: what the API server refused them (other than races), and what happened to the
    /// CNI configuration of a node. Each once.
    pub fn complaints(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).complaints.iter().cloned().collect()
    }

    /// From now on the agent of this node would drop these connections, as lines of the task that asks it.
    pub fn would_drop(&self, node: &str, lines: &[&str]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.would_drop.insert(node.to_owned(), lines.iter().map(|&line| line.to_owned()).collect());
    }

    /// A person removes a file from the CNI directory of a node, soon.
    pub fn removes_conf(&self, node: &str, file: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.removed.push((node.to_owned(), file.to_owned()));
    }

    /// What is on the nodes now.
    pub fn nodes(&self) -> PretendNodes {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).nodes.clone()
    }
}

impl Drop for Players {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked_already_told = thread.join();
        }
    }
}

fn play(api: Api, seed: u64, stop: &AtomicBool, told: &Mutex<Told>) {
    let bridge = Bridge::new(api);
    let mut actors = Actors::for_real(seed);
    let (began, real) = (Timestamp::now() - HEAD_START, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let round = Instant::now();
        for (node, lines) in told.lock().unwrap_or_else(PoisonError::into_inner).would_drop.clone() {
            actors.nodes_mut().node(&node).would_drop = lines;
        }
        {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            for (node, file) in std::mem::take(&mut told.removed) {
                actors.nodes_mut().node(&node).fs.remove(&file);
                // By a person, so that nothing was lost.
                told.nodes = actors.nodes().clone();
            }
        }
        let result = actors.tick(&bridge, began + real.elapsed() * SPEED);
        {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.complaints.extend(result.err().into_iter().flatten().map(|error| error.to_string()));
            let lost = lost(&told.nodes, actors.nodes());
            told.complaints.extend(lost);
            told.nodes = actors.nodes().clone();
        }
        thread::sleep(ROUND.saturating_sub(round.elapsed()));
    }
}

/// Nodes whose network is gone or whose own configuration of Kube-OVN was touched, between two rounds.
fn lost(before: &PretendNodes, after: &PretendNodes) -> Vec<String> {
    let mut lost = Vec::new();
    for (name, node) in before.iter() {
        let Some(now) = after.get(name) else { continue };
        if node.fs.loaded().is_some() && now.fs.loaded().is_none() {
            lost.push(format!("node {name} has no network any more; it had {:?}", node.fs.loaded()));
        }
        for (file, content) in node.fs.files().iter().filter(|(file, _)| file.contains("kube-ovn")) {
            if now.fs.read(file) != Some(content) {
                lost.push(format!("node {name}: Kube-OVN's own {file} was moved or rewritten"));
            }
        }
    }
    lost
}

/// Waits until every pod that is bound is ready and none is waiting for a node: the cluster is at work.
///
/// # Errors
/// [`Error::Timeout`] with a pod that is not ready.
pub fn await_all_ready(api: &Api, limit: Duration) -> Result<()> {
    wait::until("every pod is ready", limit, || {
        let pods = api.list("/api/v1/pods")?;
        let late: Vec<_> =
            pods.iter().filter(|pod| !is_ready(pod)).map(|pod| pod["metadata"]["name"].clone()).collect();
        let done = late.is_empty() && pods.len() > 10;
        Ok(if done {
            Seen::Ready(())
        } else {
            Seen::NotYet(format!("{} of {}: {}", late.len(), pods.len(), json!(late)))
        })
    })
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}
