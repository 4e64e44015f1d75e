//! What a runtime has loaded, looked at all the time beside the story.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    error::{Error, Result},
    lab::runtime,
    wait,
};

const POLL: Duration = Duration::from_millis(20);

/// What was seen since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) looks: usize,
    /// Every state, in order, each as often as it came about.
    pub(super) states: Vec<String>,
    /// Looks that were not answered, and why the last was not.
    pub(super) unanswered: usize,
    pub(super) trouble: Option<String>,
}

/// A thread that looks until this is dropped.
pub(super) struct Eye {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Eye {
    /// `info` is the command that asks.
    pub(super) fn open(node: &str, info: &[String]) -> Self {
        let (seen, stop): (Arc<Mutex<Seen>>, Arc<AtomicBool>) = Default::default();
        let (node, info) = (node.to_owned(), info.to_vec());
        let (seen_there, stop_there) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stop_there.load(Ordering::Relaxed) {
                let answer = runtime::ask(&node, &info);
                if let Ok(mut seen) = seen_there.lock() {
                    seen.add(answer);
                }
                thread::sleep(POLL);
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// Waits until it has had an answer since what it saw was last taken.
    pub(super) fn wait(&self) -> Result<()> {
        wait::until("the runtime is looked at", Duration::from_secs(10), || {
            Ok(match lock(&self.seen)?.looks {
                0 => wait::Seen::NotYet("no look was answered".to_owned()),
                _ => wait::Seen::Ready(()),
            })
        })
    }

    /// What was seen; from now on it looks anew.
    pub(super) fn take(&self) -> Result<Seen> {
        Ok(std::mem::take(&mut *lock(&self.seen)?))
    }
}

impl Seen {
    fn add(&mut self, answer: Result<String>) {
        match answer {
            Ok(state) => {
                self.looks += 1;
                if self.states.last() != Some(&state) {
                    self.states.push(state);
                }
            }
            Err(error) => {
                self.unanswered += 1;
                self.trouble = Some(error.to_string());
            }
        }
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked_already_told = thread.join();
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> Result<MutexGuard<'_, Seen>> {
    seen.lock().map_err(|_| Error::Expectation("the thread that looks has panicked".to_owned()))
}
