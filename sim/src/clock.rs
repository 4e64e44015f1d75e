//! Virtual time: nothing happens until somebody sleeps.

use std::cell::Cell;
use std::time::Duration;

use jiff::Timestamp;

/// Longest stretch of time in which no actor is asked.
pub const TICK: Duration = Duration::from_millis(500);

/// When every pretend cluster is born: 2026-01-05T09:00:00Z.
const BIRTH: i64 = 1_767_603_600;

/// A clock that goes forward only when told to.
#[derive(Debug)]
pub struct VirtualClock {
    now: Cell<Timestamp>,
    born: Timestamp,
    stop: Cell<u8>,
}

impl Default for VirtualClock {
    fn default() -> Self {
        let born = Timestamp::from_second(BIRTH).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { now: Cell::new(born), born, stop: Cell::new(0) }
    }
}

impl VirtualClock {
    /// Now.
    pub fn now(&self) -> Timestamp {
        self.now.get()
    }

    /// Time since the cluster was born, and a thousand seconds: the machine was up before.
    pub fn since_boot(&self) -> Duration {
        let age = Duration::try_from(self.now().duration_since(self.born)).unwrap_or_default();
        Duration::from_secs(1_000) + age
    }

    /// Let time pass.
    pub fn advance(&self, duration: Duration) {
        self.now.set(self.now() + duration);
    }

    /// A person asks to stop: 1 after the nodes in work, 2 at once, 0 not any more.
    pub fn request_stop(&self, level: u8) {
        self.stop.set(level);
    }

    /// What was asked.
    pub fn stop_requested(&self) -> u8 {
        self.stop.get()
    }
}
