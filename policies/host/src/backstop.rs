//! The clock of the backstop: moves the engine's epoch while modules run.
//!
//! A timer of the process does it by a signal, for which wasmtime has made the epoch fit. A thread would have to be started, and ended
//! before the process is: a tenth of a run that takes three milliseconds.

use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use wasmtime::Engine;

/// How often it looks.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// Modules that run.
static RUNNING: Mutex<usize> = Mutex::new(0);

/// The clock goes as long as one of these lives. Where it cannot, the fuel alone stops a module.
pub(crate) struct Backstop(());

impl Backstop {
    pub(crate) fn begin(engine: &'static Engine) -> Self {
        move_by_signal(engine);
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if *running == 0 {
            alarm_every(TICK);
        }
        *running += 1;
        Self(())
    }
}

impl Drop for Backstop {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        *running -= 1;
        if *running == 0 {
            alarm_every(Duration::ZERO);
        }
    }
}

/// Has the signal move the epoch, from the first time on.
fn move_by_signal(engine: &'static Engine) {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        #[expect(unsafe_code, reason = "what a signal does may be anything to the compiler")]
        // SAFETY: it adds one to a number in memory, which wasmtime says may be done in a signal handler.
        let registered = unsafe { signal_hook_registry::register(libc::SIGALRM, move || engine.increment_epoch()) };
        drop(registered);
    });
}

/// Has the signal come again and again; never, for no time. Programs that are started meanwhile do not get it.
fn alarm_every(time: Duration) {
    let part = libc::timeval { tv_sec: 0, tv_usec: time.subsec_micros() as libc::suseconds_t };
    let timer = libc::itimerval { it_interval: part, it_value: part };
    #[expect(unsafe_code, reason = "a call to the kernel that only libc has")]
    // SAFETY: it reads the timer it is given and is not asked for the one before.
    let _is_set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
}

/// Ticks in `time`, at least one, and one more because the first comes at any moment.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}
