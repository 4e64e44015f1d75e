//! Waiting for another process to reach a state: polled, with a limit, and with what was last seen when it is not reached.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

const POLL: Duration = Duration::from_millis(100);

/// What a look at the world found.
#[derive(Debug)]
pub enum Seen<T> {
    Ready(T),
    /// Not yet, and what is there instead.
    NotYet(String),
}

/// Looks again and again until `look` finds the state called `what`.
///
/// # Errors
/// [`Error::Timeout`] when `limit` has passed, and at once whatever error `look` returns.
pub fn until<T>(what: impl Into<String>, limit: Duration, mut look: impl FnMut() -> Result<Seen<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let last = match look()? {
            Seen::Ready(value) => return Ok(value),
            Seen::NotYet(last) => last,
        };
        if Instant::now() >= end {
            return Err(Error::Timeout { what: what.into(), seconds: limit.as_secs(), last });
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_what_was_last_seen_when_the_time_is_over() {
        let result: Result<()> = until("a door", Duration::ZERO, || Ok(Seen::NotYet("a wall".into())));
        assert_eq!(result.unwrap_err().to_string(), "a door: not so after 0 s; last seen: a wall");
    }

    #[test]
    fn an_error_ends_the_wait_at_once() {
        let result: Result<()> = until("a door", Duration::from_secs(600), || Err(Error::Expectation("fire".into())));
        assert_eq!(result.unwrap_err().to_string(), "fire");
    }
}
