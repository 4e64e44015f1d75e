//! The clock of the backstop: moves the engine's epoch while modules run.

use std::time::Duration;

pub(crate) use clock::Backstop;

/// How often it looks.
const TICK: Duration = Duration::from_millis(50);

/// Ticks in `time`, at least one, and one more because the first comes at any moment.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// A timer that sends this process a signal, for which wasmtime has made the epoch fit. A thread would have to be started, and ended
/// before the process is: a tenth of a run that takes three milliseconds.
///
/// The signal and the timer are this module's own: nobody's alarm is set anew, and programs that are started meanwhile get neither.
#[cfg(target_os = "linux")]
mod clock {
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;
    use std::{mem, ptr};

    use wasmtime::Engine;

    use super::TICK;

    /// Modules that run.
    static RUNNING: Mutex<usize> = Mutex::new(0);
    static TIMER: OnceLock<Option<Timer>> = OnceLock::new();

    /// The clock goes as long as one of these lives. Where it cannot, the fuel alone stops a module.
    pub(crate) struct Backstop(());

    impl Backstop {
        pub(crate) fn begin(engine: &'static Engine) -> Self {
            TIMER.get_or_init(|| Timer::create(engine));
            count(|running| *running += 1);
            Self(())
        }
    }

    impl Drop for Backstop {
        fn drop(&mut self) {
            count(|running| *running -= 1);
        }
    }

    /// Counts a module that begins or ends; the first lets the clock go, the last stops it.
    fn count(change: impl FnOnce(&mut usize)) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let went = *running > 0;
        change(&mut running);
        let goes = *running > 0;
        if let Some(Some(timer)) = TIMER.get().filter(|_| went != goes) {
            timer.tick_every(if goes { TICK } else { Duration::ZERO });
        }
    }

    struct Timer(libc::timer_t);

    #[expect(unsafe_code, reason = "a pointer in name only")]
    // SAFETY: the kernel's number of a timer of this process, which every thread may use.
    unsafe impl Send for Timer {}
    #[expect(unsafe_code, reason = "a pointer in name only")]
    // SAFETY: as above.
    unsafe impl Sync for Timer {}

    impl Timer {
        /// A timer that does not go yet, and what its signal does. None where either cannot be had.
        fn create(engine: &'static Engine) -> Option<Self> {
            let signal = libc::SIGRTMIN() + 8;
            #[expect(unsafe_code, reason = "what a signal does may be anything to the compiler")]
            // SAFETY: it adds one to a number in memory, which wasmtime says may be done in a signal handler.
            unsafe { signal_hook_registry::register(signal, move || engine.increment_epoch()) }.ok()?;
            let mut timer = ptr::null_mut();
            #[expect(unsafe_code, reason = "a call to the kernel that only libc has")]
            // SAFETY: zeroes are a `sigevent`; the call reads it and writes the timer, and both live as long.
            let failed = unsafe {
                let mut event: libc::sigevent = mem::zeroed();
                event.sigev_notify = libc::SIGEV_SIGNAL;
                event.sigev_signo = signal;
                libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer)
            };
            (failed == 0).then_some(Self(timer))
        }

        /// Has the signal come again and again; never, for no time.
        fn tick_every(&self, time: Duration) {
            let time = libc::timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
            let time = libc::itimerspec { it_interval: time, it_value: time };
            #[expect(unsafe_code, reason = "a call to the kernel that only libc has")]
            // SAFETY: the timer is never deleted; the call reads its time and is not asked for the one before.
            let _is_set = unsafe { libc::timer_settime(self.0, 0, &raw const time, ptr::null_mut()) };
        }
    }
}

/// A thread that moves the epoch, from the first module on.
#[cfg(not(target_os = "linux"))]
mod clock {
    use std::sync::OnceLock;
    use std::thread;

    use wasmtime::Engine;

    use super::TICK;

    /// The clock goes from the first of these on. Where no thread can be started, the fuel alone stops a module.
    pub(crate) struct Backstop(());

    impl Backstop {
        pub(crate) fn begin(engine: &'static Engine) -> Self {
            static STARTED: OnceLock<()> = OnceLock::new();
            STARTED.get_or_init(|| {
                let ticking = || {
                    loop {
                        thread::sleep(TICK);
                        engine.increment_epoch();
                    }
                };
                drop(thread::Builder::new().name("epoch".to_owned()).spawn(ticking));
            });
            Self(())
        }
    }
}
