//! Real time, and a person who wants to stop.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ovncilium_core::ExitCode;
use ovncilium_engine::Clock;
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signal handlers could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("signals cannot be handled")]
pub struct SignalError {
    #[source]
    source: std::io::Error,
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
/// CLOCK_BOOTTIME; on macOS CLOCK_MONOTONIC is the one that goes on while the machine sleeps.
#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

#[derive(Default)]
struct Stop {
    count: AtomicUsize,
    last: AtomicI32,
    asleep: Mutex<()>,
    woken: Condvar,
}

impl Stop {
    fn request(&self, signal: i32) {
        // Under the lock, so that a sleeper that has just looked is already waiting.
        let _asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.last.store(signal, Ordering::SeqCst);
        self.count.fetch_add(1, Ordering::SeqCst);
        self.woken.notify_all();
    }
}

/// The clock of this machine; SIGINT and SIGTERM are requests to stop from its creation on.
///
/// Create one per process: from then on the two signals no longer end it.
pub struct SystemClock {
    stop: Arc<Stop>,
}

impl SystemClock {
    /// A clock that listens for SIGINT and SIGTERM on a thread of its own.
    ///
    /// # Errors
    /// When the system refuses the handlers or the thread.
    pub fn new() -> Result<Self, SignalError> {
        let failed = |source| SignalError { source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (mut interrupt, mut terminate) = {
            let _runtime = runtime.enter();
            (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
        };
        let stop = Arc::new(Stop::default());
        let listener = Arc::clone(&stop);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(listen(&listener, &mut interrupt, &mut terminate)))
            .map_err(failed)?;
        Ok(Self { stop })
    }

    /// A clock that nobody can stop: for commands that only read, where the signals keep their usual meaning.
    pub fn without_signals() -> Self {
        Self { stop: Arc::default() }
    }

    /// How a stopped command ends: [`ExitCode::Terminated`] after SIGTERM, [`ExitCode::Interrupted`] after SIGINT, `None` when
    /// nobody asked. The last signal counts.
    pub fn stopped_by(&self) -> Option<ExitCode> {
        match self.stop.last.load(Ordering::SeqCst) {
            0 => None,
            SIGTERM => Some(ExitCode::Terminated),
            _ => Some(ExitCode::Interrupted),
        }
    }
}

/// Counts signals until the process ends.
async fn listen(stop: &Stop, interrupt: &mut Signal, terminate: &mut Signal) {
    loop {
        let signal = tokio::select! {
            seen = interrupt.recv() => seen.map(|()| SIGINT),
            seen = terminate.recv() => seen.map(|()| SIGTERM),
        };
        match signal {
            Some(signal) => stop.request(signal),
            None => return,
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn since_boot(&self) -> Duration {
        let time = clock_gettime(SINCE_BOOT);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(seconds, nanoseconds)
    }

    /// The first request cuts short the sleep that it meets, no later one: a loop that finishes the nodes in work still waits
    /// between its looks. After the second, no sleep lasts.
    fn sleep(&self, duration: Duration) {
        let started = Instant::now();
        let seen = self.stop.count.load(Ordering::SeqCst);
        let mut guard = self.stop.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        while seen < 2 && self.stop.count.load(Ordering::SeqCst) == seen {
            let Some(left) = duration.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else { return };
            guard = self.stop.woken.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn stop_requested(&self) -> u8 {
        u8::try_from(self.stop.count.load(Ordering::SeqCst)).unwrap_or(u8::MAX).min(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_the_sleep_that_it_meets_and_is_counted_up_to_two() {
        let clock = SystemClock::without_signals();
        assert_eq!((clock.stop_requested(), clock.stopped_by()), (0, None));
        let stop = Arc::clone(&clock.stop);
        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| clock.sleep(Duration::from_secs(3600)));
            scope.spawn(move || {
                // Asked until the sleeper is gone: the first request may come before it sleeps.
                while stop.count.load(Ordering::SeqCst) < 100 {
                    stop.request(SIGTERM);
                    std::thread::yield_now();
                }
            });
        });
        assert!(started.elapsed() < Duration::from_secs(60));
        assert_eq!((clock.stop_requested(), clock.stopped_by()), (2, Some(ExitCode::Terminated)));
    }

    #[test]
    fn time_since_boot_goes_on() {
        let clock = SystemClock::without_signals();
        let before = clock.since_boot();
        clock.sleep(Duration::from_millis(2));
        assert!(clock.since_boot() > before);
    }
}
