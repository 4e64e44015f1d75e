//! What is looked at all the time, beside the program and not through it: pods by the API, the runtimes by CRI.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    answers::{Moment, Window},
    town::{NAMESPACE, is_ready, name},
};
use crate::{
    api::Api,
    error::{Error, Result},
    lab::{Lab, probe, runtime},
};

const POLL: Duration = Duration::from_millis(250);
/// What a pod that was made again needs until everybody knows: endpoints, load balancers, a connection that is held.
const SETTLES: Moment = 2_500;

/// What was seen so far.
#[derive(Debug, Default, Clone)]
struct Seen {
    /// For each pod and workload the times when one of its pods was being made again.
    away: BTreeMap<String, Vec<Window>>,
    /// Since when.
    leaving: BTreeMap<String, Moment>,
    /// Pods that were ready at some time, by UID.
    were_ready: BTreeSet<String>,
    /// For each node what its runtime had loaded, each time it changed.
    loaded: BTreeMap<String, Vec<(Moment, String)>>,
    looks: usize,
    trouble: BTreeSet<String>,
}

/// Two threads that look until this is dropped.
pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn begin(lab: &Lab) -> Self {
        let mut watch = Self { seen: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        let api = lab.control_plane.api().clone();
        watch.spawn(move |seen| look_at_pods(&api, seen));
        for node in &lab.nodes {
            let (node_name, info) = (node.name.clone(), lab.runtime_info(node));
            watch.spawn(move |seen| look_at_runtime(&node_name, &info, seen));
        }
        watch
    }

    /// Has something else done, again and again.
    pub(super) fn also(&mut self, act: impl Fn() -> Result<()> + Send + 'static) {
        self.spawn(move |_| act());
    }

    fn spawn(&mut self, mut look: impl FnMut(&Mutex<Seen>) -> Result<()> + Send + 'static) {
        let (seen, stop) = (Arc::clone(&self.seen), Arc::clone(&self.stop));
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if let Err(error) = look(&seen)
                    && let Ok(mut seen) = seen.lock()
                {
                    seen.trouble.insert(error.to_string());
                }
                thread::sleep(POLL);
            }
        }));
    }

    fn seen(&self) -> Result<Seen> {
        let seen = self.seen.lock().map_err(|_| Error::Expectation("a thread that looks has panicked".to_owned()))?;
        Ok(seen.clone())
    }

    /// When the pods of these names (`db-0`, or a workload's) were not all there.
    pub(super) fn away(&self, names: &[&str]) -> Result<Vec<Window>> {
        let seen = self.seen()?;
        let mut windows = Vec::new();
        for name in names {
            windows.extend(seen.away.get(*name).into_iter().flatten().copied());
            if let Some(since) = seen.leaving.get(*name) {
                windows.push(Window { from: *since, to: Moment::MAX });
            }
        }
        Ok(windows)
    }

    /// Workloads of which a pod was being made again in this time.
    pub(super) fn made_again(&self, time: Window) -> Result<Vec<String>> {
        let seen = self.seen()?;
        let meets = |windows: &Vec<Window>| windows.iter().any(|window| window.meets(time));
        let names: Vec<&String> =
            seen.away.iter().filter(|(_, windows)| meets(windows)).map(|(name, _)| name).collect();
        // Not each pod beside its workload.
        let is_pod = |name: &str| names.iter().any(|other| name.starts_with(&format!("{other}-")));
        Ok(names.iter().filter(|name| !is_pod(name)).map(|name| (*name).clone()).collect())
    }

    /// Per node, every state of its runtime with the time since when.
    pub(super) fn loaded(&self) -> Result<BTreeMap<String, Vec<(Moment, String)>>> {
        Ok(self.seen()?.loaded)
    }

    /// How often the runtimes were asked, and what failed while looking.
    pub(super) fn looks(&self) -> Result<(usize, Vec<String>)> {
        let seen = self.seen()?;
        Ok((seen.looks, seen.trouble.into_iter().collect()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _panicked_already_told = thread.join();
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> Result<std::sync::MutexGuard<'_, Seen>> {
    seen.lock().map_err(|_| Error::Expectation("a thread that looks has panicked".to_owned()))
}

/// Which pods are being made again, under their own name and those of their workload. A pod that was ready once and is no longer is not
/// excused: that is what may not happen.
fn look_at_pods(api: &Api, seen: &Mutex<Seen>) -> Result<()> {
    let pods = api.list(&format!("/api/v1/namespaces/{NAMESPACE}/pods"))?;
    let now = probe::now();
    let mut seen = lock(seen)?;
    let (mut away, mut there) = (BTreeSet::new(), BTreeSet::new());
    for pod in &pods {
        let labels = &pod["metadata"]["labels"];
        let app = labels["app"].as_str().unwrap_or_default();
        let on = labels["on"].as_str().map(|on| format!("{app}-{on}"));
        let names = [Some(name(pod).to_owned()), Some(app.to_owned()), on];
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if is_ready(pod) {
            seen.were_ready.insert(uid.clone());
        }
        let is_leaving = !pod["metadata"]["deletionTimestamp"].is_null();
        let set = if is_leaving || !seen.were_ready.contains(&uid) { &mut away } else { &mut there };
        set.extend(names.into_iter().flatten());
    }
    // A name that nobody bears is between a deletion and the next creation.
    away.extend(seen.away.keys().filter(|name| !there.contains(*name)).cloned().collect::<Vec<_>>());
    for name in there.difference(&away) {
        if let Some(since) = seen.leaving.remove(name) {
            let window = Window { from: since.saturating_sub(SETTLES), to: now + SETTLES };
            seen.away.entry(name.clone()).or_default().push(window);
        }
        seen.away.entry(name.clone()).or_default();
    }
    for name in away {
        seen.leaving.entry(name).or_insert(now);
    }
    Ok(())
}

/// What the runtime has loaded: `ok NETWORK...`, or why it has none.
fn look_at_runtime(node: &str, info: &[String], seen: &Mutex<Seen>) -> Result<()> {
    let state = runtime::ask(node, info)?;
    let now = probe::now();
    let mut seen = lock(seen)?;
    seen.looks += 1;
    let states = seen.loaded.entry(node.to_owned()).or_default();
    if states.last().is_none_or(|(_, last)| *last != state) {
        states.push((now, state));
    }
    Ok(())
}
