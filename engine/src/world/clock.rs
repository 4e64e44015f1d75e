//! Time.

use std::time::Duration;

/// Time, real or virtual.
pub trait Clock {
    /// Now, for records and expiry.
    fn now(&self) -> jiff::Timestamp;

    /// Time since some fixed moment that also passes while the machine sleeps (CLOCK_BOOTTIME): a laptop that slept
    /// has lost its lock.
    fn since_boot(&self) -> Duration;

    /// Let `duration` pass. Returns early when a person asks to stop ([`Clock::stop_requested`]).
    fn sleep(&self, duration: Duration);

    /// How often a person asked to stop: 0 no, 1 finish the nodes in work, 2 stop at once.
    fn stop_requested(&self) -> u8;
}
