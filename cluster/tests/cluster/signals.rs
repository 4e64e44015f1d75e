//! Signals to this very process.

use std::time::{Duration, Instant};

use ovncilium_cluster::SystemClock;
use ovncilium_core::ExitCode;
use ovncilium_engine::Clock;
use rustix::process::{Signal, getpid, kill_process};

#[test]
fn a_signal_is_a_request_to_stop_and_gives_the_exit_code() {
    let clock = SystemClock::new().expect("a clock");
    let wait_for = |count: u8| {
        let started = Instant::now();
        while clock.stop_requested() < count {
            assert!(started.elapsed() < Duration::from_secs(30), "the signal never arrived");
            clock.sleep(Duration::from_millis(10));
        }
    };
    kill_process(getpid(), Signal::INT).expect("a signal");
    wait_for(1);
    assert_eq!(clock.stopped_by(), Some(ExitCode::Interrupted));
    kill_process(getpid(), Signal::TERM).expect("a signal");
    wait_for(2);
    assert_eq!(clock.stopped_by(), Some(ExitCode::Terminated));
}
